"""The rules once more, in plain Python, for tests only.

It shares no code with the project, so that the two can be wrong only in different ways. It favours
being read over being fast, yet nothing in it grows with the square of all rows. It knows deliveries
only after parsing: files that can't be read at all and lines that don't parse (parts of R25 and R26)
are beyond it.
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
from reference_attribution import (
    LedContact,
    Worths,
    attribution_marts,
    chain_forms,
    channel_credits,
    channel_performance,
    contact_counts,
    metric_days,
    unmapped_sources,
)
from reference_origins import named_source_and_medium, tags_of

Row = Mapping[str, str | None]
MartRow = dict[str, Any]
Identifier = tuple[str, str]  # kind, value

COOKIE_KINDS = ("visitor_id", "yandex_client_id", "google_client_id", "crm_client_id")
IDENTIFIER_KINDS = (*COOKIE_KINDS, "phone", "email")
TAGS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
CONTACT_TYPES = ("call", "form", "callback", "email", "chat")

COLUMNS = {
    "touches": (
        *("touch_id", "widget_id", "touched_at", "action_type"),
        *COOKIE_KINDS,
        *("landing_page", "referrer"),
        *TAGS,
        *("location", "device_type", "visited_pages", "time_on_site", "visit_duration"),
        "page_hash",
        "delivered_by",
    ),
    "contacts": (
        *("contact_id", "widget_id", "contacted_at", "contact_type"),
        *IDENTIFIER_KINDS,
        *("client_name", "location", "final_group", "is_unique", "call_page", "duration", "value", "delivered_by"),
    ),
    "costs": (
        *("cost_date", "source", "medium", "campaign", "widget_id", "term", "content", "ad_id"),
        *("amount", "currency", "impressions", "clicks"),
    ),
}
REQUIRED = {
    "touches": ("touch_id", "widget_id", "touched_at"),
    "contacts": ("contact_id", "widget_id", "contacted_at", "contact_type"),
    "costs": ("cost_date", "source", "medium", "amount", "currency"),
}
ID_COLUMN = {"touches": "touch_id", "contacts": "contact_id"}
TIME_COLUMN = {"touches": "touched_at", "contacts": "contacted_at"}

UNKNOWN_NAME = "неизвестно"
UNKNOWN_LOCATION = "(undefined)"
NOT_SET = "(not set)"
DIRECT = ("(direct)", "(none)")

# The Unicode property White_Space. str.strip() would also take U+001C to U+001F.
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


# What goes in


@dataclass(frozen=True)
class Delivery:
    """One arrival of a table's load day; file names carry their extension."""

    table: str
    load_day: date
    files: Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Settings:
    report_timezone: str = "Europe/Moscow"
    contact_grace_seconds: int = 0
    history_scope: str = "all_prior"
    lookback_days: int | None = None
    channel_grain: str = "source_medium"
    count_direct_touches: bool = True
    default_phone_region: str = "RU"
    max_rejected_share: float = 0.5
    history_touch_limit: int = 200
    report_currency: str = "RUB"
    chain_form: str = "as_is"
    position_based_first_share: float = 0.4
    position_based_last_share: float = 0.4
    time_decay_half_life_days: float = 7
    same_touch_seconds: float | None = 60
    same_visit_seconds: float | None = 1800
    same_contact_seconds: float | None = 300
    source_precedence: tuple[str, ...] = ("metrica", "calltouch", "mango")

    def __post_init__(self) -> None:
        object.__setattr__(self, "source_precedence", tuple(self.source_precedence))
        if self.history_scope not in ("all_prior", "since_previous_contact"):
            raise ValueError(f"history_scope: {self.history_scope}")
        if self.channel_grain not in (
            "source_medium",
            "medium",
            "source",
            "source_medium_campaign",
        ):
            raise ValueError(f"channel_grain: {self.channel_grain}")

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.report_timezone)


@dataclass(frozen=True)
class Widget:
    name: str
    brand: str
    site_host: str = ""


@dataclass(frozen=True)
class ChannelRule:
    match: str
    source: str
    medium: str
    channel: str
    rule_order: int = 0


@dataclass(frozen=True)
class ClickId:
    parameter: str
    source: str
    medium: str
    is_advertising: bool = True


@dataclass(frozen=True)
class Referrer:
    kind: str
    name: str


@dataclass(frozen=True, eq=False)  # told apart by identity, so that what follows from seeds can be kept
class Seeds:
    widgets: Mapping[str, Widget] = field(default_factory=dict)
    channel_rules: Sequence[ChannelRule] = ()
    click_ids: Sequence[ClickId] = ()
    referrers: Mapping[str, Referrer] = field(default_factory=dict)
    ignored_identifiers: frozenset[Identifier] = frozenset()
    placeholders: frozenset[str] = frozenset()

    @staticmethod
    def read(folder: Path) -> Seeds:
        """Read the project's seed files."""

        def rows(name: str) -> list[dict[str, str]]:
            with open(folder / f"{name}.csv", encoding="utf-8-sig", newline="") as file:
                return [{column: trim(value) for column, value in row.items()} for row in csv.DictReader(file)]

        return Seeds(
            widgets={
                row["widget_id"]: Widget(row["widget_name"], row["brand_id"], row["site_host"])
                for row in rows("widgets")
            },
            channel_rules=[
                ChannelRule(row["match"], row["source"], row["medium"], row["channel"], int(row["rule_order"]))
                for row in sorted(rows("channel_rules"), key=lambda row: int(row["rule_order"]))
                if read_boolean(row["is_enabled"])
            ],
            click_ids=[
                ClickId(row["parameter"], row["source"], row["medium"], bool(read_boolean(row["is_advertising"])))
                for row in sorted(rows("click_ids"), key=lambda row: int(row["click_id_order"]))
            ],
            referrers={
                row["host"]: Referrer(row["kind"], row["name"]) for row in [*rows("search_engines"), *rows("referrers")]
            },
            ignored_identifiers=frozenset(
                (row["identifier_kind"], row["identifier"]) for row in rows("ignored_identifiers")
            ),
            placeholders=frozenset(row["placeholder"] for row in rows("placeholders")),
        )


# What comes out


@dataclass(frozen=True)
class Marts:
    journal: list[MartRow]
    client_card: list[MartRow]
    interaction_history: list[MartRow]
    client_history: list[MartRow]
    costs: list[MartRow]
    """No mart, but what marts are told of costs by: the rows of stg_costs."""
    rejected: list[MartRow]
    failed: set[tuple[str, date]]
    """The tables' days whose latest delivery failed."""
    touch_chains: list[MartRow] = field(default_factory=list)
    channel_steps: list[MartRow] = field(default_factory=list)
    channel_participation: list[MartRow] = field(default_factory=list)
    channel_worths: list[MartRow] = field(default_factory=list)
    touch_credits: list[MartRow] = field(default_factory=list)
    channel_costs: list[MartRow] = field(default_factory=list)
    unmapped_sources: list[MartRow] = field(default_factory=list)
    same_events: list[MartRow] = field(default_factory=list)
    """No mart either, but published beside them: the rows of `_same_events`."""

    @property
    def contact_counts(self) -> list[MartRow]:
        return contact_counts(self.journal)

    @property
    def channel_credits(self) -> list[MartRow]:
        return channel_credits(self.touch_credits)

    @property
    def channel_performance(self) -> list[MartRow]:
        return channel_performance(self.touch_credits, self.channel_costs)

    @property
    def metric_days(self) -> list[MartRow]:
        return metric_days(self.journal, self.channel_costs)


# In between


@dataclass(frozen=True, eq=False)  # a touch is itself, whatever else looks the same
class Touch:
    touch_id: str
    brand_id: str
    touched_at: datetime
    identifiers: frozenset[Identifier]
    channel: str
    is_direct: bool
    widget_id: str
    delivered_by: str | None
    history_columns: MartRow


@dataclass(frozen=True, eq=False)
class Contact:
    contact_id: str
    brand_id: str
    contacted_at: datetime
    identifiers: frozenset[Identifier]
    contact_type: str
    client_name: str
    location: str
    valid_phone: str | None
    valid_email: str | None
    widget_id: str
    delivered_by: str | None
    journal_columns: MartRow
    history_columns: MartRow


@dataclass(eq=False)  # a client is itself, whatever else looks the same
class Client:
    touches: list[Touch] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    same_touches: dict[Touch, str] = field(default_factory=dict)
    """R28: what is left out, with what it is the same as."""
    same_contacts: dict[Contact, str] = field(default_factory=dict)


def expected_marts(
    deliveries: Iterable[Delivery], settings: Settings, seeds: Seeds, given_effects: Worths | None = None
) -> Marts:
    """What the marts hold after these deliveries arrived in this order; credits go by Markov's worths if they are given."""
    arrivals = Arrivals()
    for delivery in deliveries:
        arrivals.add(delivery, settings)
    return marts_of(arrivals, settings, seeds, given_effects)


def marts_of(arrivals: Arrivals, settings: Settings, seeds: Seeds, given_effects: Worths | None = None) -> Marts:
    """What the marts hold after these arrivals, whatever the settings were when they came."""
    accepted = arrivals.accepted
    rejected = [row for _, delivery in sorted(accepted.items()) for row in delivery.rejected]
    touches = [
        read_touch(row, settings, seeds)
        for row in newest_versions("touches", accepted)
        if day_has_come("touches", row, accepted, settings)
    ]
    contacts = [
        read_contact(row, settings, seeds)
        for row in newest_versions("contacts", accepted)
        if day_has_come("contacts", row, accepted, settings)
    ]
    marts = Marts([], [], [], [], costs_of(accepted), rejected, set(arrivals.failed))
    clients = find_clients(touches, contacts)
    led_contacts: list[LedContact] = []
    for client in clients:
        leave_out_same_events(client, settings)
    for client in clients:
        if client.contacts:  # R16
            led_contacts += add_client(client, marts, settings)
    led_contacts.sort(key=lambda contact: contact.row["contact_id"])
    for mart, rows in attribution_marts(led_contacts, clients, settings, given_effects).items():
        getattr(marts, mart).extend(rows)
    marts.unmapped_sources.extend(
        unmapped_sources(led_contacts, [touch.widget_id for touch in touches], seeds.widgets, settings)
    )
    for cost in marts.costs:
        channel = channel_of(cost["source"], cost["medium"], cost["campaign"], settings, seeds)
        marts.channel_costs.append({**cost, "channel": channel})
    marts.same_events.sort(key=lambda row: (row["kind"], row["id"]))
    marts.journal.sort(key=lambda row: row["contact_id"])
    marts.client_card.sort(key=lambda row: row["first_contact_id"])
    marts.interaction_history.sort(key=lambda row: (row["contact_id"], row["touch_rank"]))
    marts.client_history.sort(key=lambda row: (row["client_id"], row["contact_number"]))
    return marts


# Deliveries: R3, R9, R25, R26, R27


class Record(Mapping[str, str]):
    """The trimmed values of a good row: a mapping that can be looked up by, as it never changes."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values_by_column = dict(values)
        self.items_hash = hash(tuple(sorted(self.values_by_column.items())))

    def __getitem__(self, column: str) -> str:
        return self.values_by_column[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_column)

    def __len__(self) -> int:
        return len(self.values_by_column)

    def __hash__(self) -> int:
        return self.items_hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.values_by_column == other.values_by_column


@dataclass(frozen=True)
class AcceptedDelivery:
    records: Sequence[tuple[str, int, Record]]
    """The good rows with file name and row number."""
    rejected: Sequence[MartRow]


Accepted = dict[tuple[str, date], AcceptedDelivery]


@dataclass
class Arrivals:
    """The last accepted delivery of every table and day, and the days whose latest one failed."""

    accepted: Accepted = field(default_factory=dict)
    failed: set[tuple[str, date]] = field(default_factory=set)

    def add(self, delivery: Delivery, settings: Settings) -> None:
        """Judge one more delivery, by the settings of its arrival."""
        key = (delivery.table, delivery.load_day)
        if not delivery.files:
            return
        records: list[tuple[str, int, Record]] = []
        rejected: list[MartRow] = []
        for file_name, rows in sorted(delivery.files.items()):
            reasons = [rejection_reason(delivery.table, delivery.load_day, row, settings) for row in rows]
            if is_mostly_rejected(reasons, settings):
                self.failed.add(key)
                return
            for number, (row, reason) in enumerate(zip(rows, reasons, strict=True), start=1):
                if reason is None:
                    records.append((file_name, number, Record(trimmed(row))))
                else:
                    rejected.append(
                        {
                            "table": delivery.table,
                            "load_day": delivery.load_day,
                            "file": file_name,
                            "row": number,
                            "reason": reason,
                        }
                    )
        self.accepted[key] = AcceptedDelivery(records, rejected)
        self.failed.discard(key)


def is_mostly_rejected(reasons: Sequence[str | None], settings: Settings) -> bool:
    rejected = sum(reason is not None for reason in reasons)
    return len(reasons) >= 20 and rejected / len(reasons) > settings.max_rejected_share


def rejection_reason(table: str, load_day: date, row: Row, settings: Settings) -> str | None:
    values = trimmed(row)
    for column in REQUIRED[table]:
        if column not in values:
            return f"missing_{column}"
    if table == "costs":
        return cost_rejection_reason(load_day, values, settings)
    time_column = TIME_COLUMN[table]
    instant = read_instant(values[time_column], settings.zone)
    if instant is None:
        return f"unreadable_{time_column}"
    earliest = start_of_day(date(2000, 1, 1), settings.zone)
    latest = start_of_day(load_day + timedelta(days=1), settings.zone) + timedelta(hours=24)
    if not earliest <= instant <= latest:
        return f"impossible_{time_column}"
    if table == "contacts" and values["contact_type"].lower() not in CONTACT_TYPES:
        return "unknown_contact_type"
    return None


def cost_rejection_reason(load_day: date, values: Mapping[str, str], settings: Settings) -> str | None:
    cost_date = read_date(values["cost_date"])
    if cost_date is None:
        return "unreadable_cost_date"
    if read_money(values["amount"]) is None:
        return "unreadable_amount"
    if not re.fullmatch(r"[A-Za-z]{3}", values["currency"]):
        return "unreadable_currency"
    if not date(2000, 1, 1) <= cost_date <= load_day + timedelta(days=1):
        return "impossible_cost_date"
    if values["currency"].upper() != settings.report_currency:
        return "unknown_currency"
    return None


def newest_versions(table: str, accepted: Accepted) -> list[Record]:
    """Every id's newest row (R3); a row that was set aside is no version."""
    newest: dict[str, tuple[tuple[date, str, int], Record]] = {}
    for (of_table, load_day), delivery in accepted.items():
        if of_table != table:
            continue
        for file_name, number, record in delivery.records:
            record_id = record[ID_COLUMN[table]]
            version = (load_day, file_name, number)
            if record_id not in newest or newest[record_id][0] < version:
                newest[record_id] = (version, record)
    return [record for _, record in newest.values()]


def day_has_come(table: str, values: Mapping[str, str], accepted: Accepted, settings: Settings) -> bool:
    instant = readable_instant(values[TIME_COLUMN[table]], settings)
    return instant.astimezone(settings.zone).date() <= last_loaded_day(accepted)


def last_loaded_day(accepted: Accepted) -> date:
    """The latest day of touches or contacts; before all days if there is none."""
    return max((load_day for table, load_day in accepted if table != "costs"), default=date.min)


def costs_of(accepted: Accepted) -> list[MartRow]:
    """The rows of each cost, from the latest load day that holds it. Costs after the last loaded day are left out."""
    found: dict[tuple[Any, ...], list[MartRow]] = {}
    for (table, _), delivery in sorted(accepted.items()):  # the latest day is the last to be written down
        if table == "costs":
            found |= costs_of_day([record for _, _, record in delivery.records])
    return [row for rows in found.values() for row in rows if row["cost_date"] <= last_loaded_day(accepted)]


def costs_of_day(records: Iterable[Record]) -> dict[tuple[Any, ...], list[MartRow]]:
    found: dict[tuple[Any, ...], MartRow] = {}
    for record in records:
        key = {
            "cost_date": read_date(record["cost_date"]),
            "source": one_form(record["source"]).lower(),
            "medium": one_form(record["medium"]).lower(),
            "campaign": one_form(record.get("campaign")),
            "widget_id": record.get("widget_id"),
            "term": one_form(record.get("term")),
            "content": one_form(record.get("content")),
            "ad_id": record.get("ad_id"),
        }
        row = found.setdefault(tuple(key.values()), {**key, "amount": Decimal(0), "impressions": None, "clicks": None})
        row["amount"] += read_money(record["amount"])
        for count in ("impressions", "clicks"):
            number = read_whole_number(record.get(count))
            if number is not None:
                row[count] = (row[count] or 0) + number
    costs: dict[tuple[Any, ...], list[MartRow]] = {}
    for key, row in found.items():
        row |= {count: None for count in ("impressions", "clicks") if (row[count] or 0) >= 2**63}
        costs.setdefault(key[:5], []).append(row)
    return costs


# Values


def one_form(text: str | None) -> str | None:
    return unicodedata.normalize("NFC", text) if text else text


def trim(value: str | None) -> str:
    return (value or "").strip(WHITE_SPACE)


def trimmed(row: Row) -> dict[str, str]:
    """The row's values; an empty field is none."""
    return {column: trim(value) for column, value in row.items() if trim(value)}


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def read_instant(text: str, zone: ZoneInfo) -> datetime | None:
    match = re.fullmatch(
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})"
        r"(?::([0-9]{2})(?:\.([0-9]+))?)?"
        r"(Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?",
        text,
    )
    if match is None:
        return None
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    second, fraction, offset, sign, hours, minutes = match.groups()[5:]
    microsecond = int((fraction or "")[:6].ljust(6, "0"))
    try:
        local = datetime(year, month, day, hour, minute, int(second or "0"), microsecond)
        if offset is None:
            aware = local.replace(tzinfo=zone)
        elif offset == "Z":
            aware = local.replace(tzinfo=UTC)
        else:
            if int(minutes or "0") > 59:
                return None
            shift = timedelta(hours=int(hours), minutes=int(minutes or "0"))
            aware = local.replace(tzinfo=timezone(shift if sign == "+" else -shift))
    except ValueError:
        return None
    try:
        return aware.astimezone(UTC)
    except OverflowError:
        # Readable, yet beyond what a datetime holds in UTC: impossible either way.
        edge = datetime.min if aware.year < 5000 else datetime.max
        return edge.replace(tzinfo=UTC)


def read_date(text: str) -> date | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def readable_instant(text: str, settings: Settings) -> datetime:
    instant = read_instant(text, settings.zone)
    if instant is None:
        raise AssertionError(f"{text} should have been set aside")
    return instant


def read_boolean(text: str | None) -> bool | None:
    return {
        **dict.fromkeys(("true", "t", "1", "yes", "y", "да"), True),
        **dict.fromkeys(("false", "f", "0", "no", "n", "нет"), False),
    }.get((text or "").lower())


def read_whole_number(text: str | None) -> int | None:
    match = re.fullmatch(r"([0-9]+)(\.0+)?", text or "")
    return int(match[1]) if match and int(match[1]) < 2**63 else None


def read_money(text: str | None) -> Decimal | None:
    if text is None or not re.fullmatch(r"[+-]?[0-9]{1,20}(\.[0-9]+)?", text):
        return None
    amount = Decimal(text).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return amount if abs(amount) < Decimal(10) ** 16 else None


def read_pages(text: str | None) -> list[str] | None:
    try:
        pages = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(pages, list) or not all(isinstance(page, str) for page in pages):
        return None
    return pages or None


# R14. Only what random deliveries write is read: one number or two, dialled at home or abroad, and what may be around it.
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u202a\u202c\ufeff\u2066\u2069\xad"))
PLAIN = INVISIBLE | {
    ord(fullwidth): plain for fullwidth, plain in zip("０１２３４５６７８９＋＠", "0123456789+@", strict=True)
}


@cache
def valid_phone(text: str | None, region: str) -> str | None:
    spelling = (text or "").replace("&#43;", "+").translate(PLAIN)
    if re.search(r"\dE\+\d", spelling):
        return None
    spelling = re.sub(r"\.0+$", "", spelling)
    for part in re.split(r"[^\W\d]+[.:]?|[,;\n@<>#]", spelling):
        digits = re.sub(r"[^0-9]", "", part)
        is_abroad = "+" in part and not re.match(r"\s*\+8\W", part)
        dialled = [("+" if is_abroad else "") + digits]
        if len(digits) >= 11:
            dialled += [digits] if digits[0] in "08" else []
            dialled += ["+" + digits.removeprefix("00").removeprefix("810")]
        for number in filter(None, dialled):
            with suppress(phonenumbers.NumberParseException):
                parsed = phonenumbers.parse(number, region)
                if phonenumbers.is_valid_number(parsed):
                    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return None


def valid_email(text: str | None) -> str | None:
    spelling = trim(text).translate(PLAIN).lower()
    named = re.search(r"<(.*)>", spelling)
    for part in re.split(r"[,;]", named[1] if named else spelling.removeprefix("mailto:")):
        email = trim(part).rstrip(".")
        if re.fullmatch(r"[^@\s]+@[^@\s]+", email):
            name, domain = email.split("@")
            return f"{name}@{domain.encode().decode('idna')}" if "xn--" in domain else email
    return None


NAME = r"[^\W\d]\D*\d{0,3}\D*"
TEMPLATES = (rf"\{{+{NAME}\}}+", rf"\[?%{NAME}%\]?", rf"\$\{{{NAME}\}}", rf"__{NAME}__", rf"<{NAME}>", r"\{\d\}")
SPREADSHEET_ERRORS = (
    "#n/a",
    "#н/д",
    "#ссылка!",
    "#ref!",
    "#value!",
    "#знач!",
    "#имя?",
    "#дел/0!",
    "#число!",
    "#пусто!",
)


def ties_nothing(text: str, seeds: Seeds) -> bool:
    bare = re.sub(r"^GA\d+\.[\d-]+\.", "", text.strip("\"'«»")).lower()
    words = texts_that_tie_nothing(seeds)
    return (
        {text.lower(), bare, re.sub(r"\.0+$", "", bare)} & words != set()
        or bare in SPREADSHEET_ERRORS
        or not re.search(r"[^\W_0]", bare)
        or any(re.fullmatch(template, bare) for template in TEMPLATES)
        or (bare[0] not in "123456789" and set(bare.split(".")) <= words)
    )


# Who is who: R13 to R16


def comparable(kind: str, value: str, settings: Settings) -> str | None:
    """The form in which identifiers of this kind are compared; none if it can't identify."""
    if kind == "phone":
        return valid_phone(value, settings.default_phone_region)
    if kind == "email":
        return valid_email(value)
    if kind == "google_client_id":
        return re.sub(r"^GA\d+\.[\d-]+\.(?=.)", "", value)
    return value


@cache
def texts_that_tie_nothing(seeds: Seeds) -> frozenset[str]:
    return frozenset(trim(placeholder).lower() for placeholder in seeds.placeholders)


@cache
def ignored_values(kind: str, settings: Settings, seeds: Seeds) -> frozenset[str | None]:
    return frozenset(
        comparable(kind, trim(ignored_value), settings)
        for ignored_kind, ignored_value in seeds.ignored_identifiers
        if ignored_kind in ("", kind)
    )


def identifiers_of(
    values: Mapping[str, str], kinds: Iterable[str], settings: Settings, seeds: Seeds
) -> frozenset[Identifier]:
    found = set()
    for kind in kinds:
        if kind not in values or (kind in COOKIE_KINDS and ties_nothing(values[kind], seeds)):
            continue
        value = comparable(kind, values[kind], settings)
        if value is None or value.lower() in texts_that_tie_nothing(seeds):
            continue
        if value not in ignored_values(kind, settings, seeds):
            found.add((kind, value))
    return frozenset(found)


def find_clients(touches: Iterable[Touch], contacts: Iterable[Contact]) -> list[Client]:
    """Put together what is tied, directly or through others, within a brand."""
    rows: list[Touch | Contact] = [*touches, *contacts]
    carriers: dict[tuple[str, Identifier], list[int]] = {}
    for number, row in enumerate(rows):
        for identifier in row.identifiers:
            carriers.setdefault((row.brand_id, identifier), []).append(number)
    clients: list[Client] = []
    is_placed = [False] * len(rows)
    for start in range(len(rows)):
        if is_placed[start]:
            continue
        client = Client()
        is_placed[start] = True
        waiting = [start]
        while waiting:
            row = rows[waiting.pop()]
            if isinstance(row, Touch):
                client.touches.append(row)
            else:
                client.contacts.append(row)
            for identifier in row.identifiers:
                for number in carriers.pop((row.brand_id, identifier), ()):
                    if not is_placed[number]:
                        is_placed[number] = True
                        waiting.append(number)
        client.touches.sort(key=lambda touch: (touch.touched_at, touch.touch_id))
        client.contacts.sort(key=lambda contact: (contact.contacted_at, contact.contact_id))
        clients.append(client)
    return clients


# One event, two sources: R28


def leave_out_same_events(client: Client, settings: Settings) -> None:
    """Takes out of the client what other sources tell of, too. Whatever is taken out was there to be compared with."""
    told_touches = neighbourhoods(client.touches, lambda touch: touch.touched_at)
    for touch in told_touches:
        if not touch.identifiers:
            continue
        leaving_out = [
            (precedence_of(other, settings), apart, other.touch_id)
            for other, apart in told_touches[touch](largest(settings.same_touch_seconds, settings.same_visit_seconds))
            if precedence_of(other, settings) < precedence_of(touch, settings)
            and (
                is_within_seconds(apart, settings.same_touch_seconds)
                or (is_within_seconds(apart, settings.same_visit_seconds) and came_alike(touch, other))
            )
        ]
        if leaving_out:
            client.same_touches[touch] = min(leaving_out)[2]
    told_contacts = neighbourhoods(client.contacts, lambda contact: contact.contacted_at)
    for contact in told_contacts:
        near = [
            (other, apart)
            for other, apart in told_contacts[contact](settings.same_contact_seconds)
            if reachable_by(contact) & reachable_by(other)
        ]
        leaving_out = [
            (precedence_of(other, settings), apart, other.contact_id)
            for other, apart in near
            if other.contact_type == contact.contact_type
            and precedence_of(other, settings) < precedence_of(contact, settings)
        ]
        ordered = [
            (apart, other.contact_id)
            for other, apart in near
            if contact.contact_type == "call"
            and other.contact_type == "callback"
            and other.contacted_at <= contact.contacted_at
        ]
        if leaving_out:
            client.same_contacts[contact] = min(leaving_out)[2]
        elif ordered:
            client.same_contacts[contact] = min(ordered)[1]
    client.touches = [touch for touch in client.touches if touch not in client.same_touches]
    client.contacts = [contact for contact in client.contacts if contact not in client.same_contacts]


def neighbourhoods(
    rows: Sequence[Any], when: Callable[[Any], datetime]
) -> dict[Any, Callable[[float | None], list[Any]]]:
    """Per row that says who delivered it: a question for what else on its widget is so near, and how far apart it is."""
    told = [row for row in rows if row.delivered_by is not None]
    by_widget: dict[str, list[Any]] = {}
    for row in sorted(told, key=when):
        by_widget.setdefault(row.widget_id, []).append(row)
    instants = {widget_id: [when(row) for row in of_widget] for widget_id, of_widget in by_widget.items()}

    def near(row: Any, seconds: float | None) -> list[Any]:
        if seconds is None:
            return []
        period = timedelta(seconds=seconds)
        first = bisect_left(instants[row.widget_id], when(row) - period)
        last = bisect_right(instants[row.widget_id], when(row) + period)
        return [
            (other, abs(when(other) - when(row))) for other in by_widget[row.widget_id][first:last] if other is not row
        ]

    return {row: partial(near, row) for row in told}


def is_within_seconds(apart: timedelta, seconds: float | None) -> bool:
    return seconds is not None and apart <= timedelta(seconds=seconds)


def largest(*seconds: float | None) -> float | None:
    return max((each for each in seconds if each is not None), default=None)


def came_alike(touch: Touch, other: Touch) -> bool:
    return all(touch.history_columns[column] == other.history_columns[column] for column in ("source", "medium"))


def precedence_of(row: Touch | Contact, settings: Settings) -> tuple[int, str]:
    delivered_by = row.delivered_by or ""
    name = delivered_by.partition(":")[0]
    listed = settings.source_precedence
    return (listed.index(name) if name in listed else len(listed), delivered_by)


def reachable_by(contact: Contact) -> set[Identifier]:
    return {(kind, value) for kind, value in contact.identifiers if kind in ("phone", "email")}


def brand_of(widget_id: str, seeds: Seeds) -> str:
    return seeds.widgets[widget_id].brand if widget_id in seeds.widgets else "default"


# What brought a touch: R11, R12


def rule_of(source: str, medium: str, seeds: Seeds) -> ChannelRule | None:
    for rule in seeds.channel_rules:
        matches = {"exact": matches_exactly, "words": matches_words}[rule.match]
        if matches(one_form(rule.source).lower(), source) and matches(one_form(rule.medium).lower(), medium):
            return rule
    return None


def channel_of(source: str, medium: str, campaign: str | None, settings: Settings, seeds: Seeds) -> str:
    rule = rule_of(source, medium, seeds)
    if rule is not None:
        return rule.channel
    return {
        "source_medium": f"{source} / {medium}",
        "medium": medium,
        "source": source,
        "source_medium_campaign": f"{source} / {medium} / {campaign or NOT_SET}",
    }[settings.channel_grain]


def matches_exactly(wanted: str, text: str) -> bool:
    return wanted in ("", text)


def matches_words(words: str, text: str) -> bool:
    if not words:
        return True
    for start in range(len(text) - len(words) + 1):
        end = start + len(words)
        if (
            text[start:end] == words
            and not (start > 0 and is_letter_or_digit(text[start - 1]))
            and not (end < len(text) and is_letter_or_digit(text[end]))
        ):
            return True
    return False


def is_letter_or_digit(character: str) -> bool:
    category = unicodedata.category(character)
    return category.startswith("L") or category == "Nd"


# Rows into touches and contacts


@lru_cache(maxsize=50_000)
def read_touch(values: Record, settings: Settings, seeds: Seeds) -> Touch:
    touched_at = readable_instant(values["touched_at"], settings)
    tags = tags_of(values, seeds)
    source, medium, told_by = named_source_and_medium(values, seeds)
    rule = rule_of(source, medium, seeds)
    channel = channel_of(source, medium, tags["utm_campaign"], settings, seeds)
    return Touch(
        touch_id=values["touch_id"],
        brand_id=brand_of(values["widget_id"], seeds),
        touched_at=touched_at,
        identifiers=identifiers_of(values, COOKIE_KINDS, settings, seeds),
        channel=channel,
        is_direct=(source, medium) == DIRECT,
        widget_id=values["widget_id"],
        delivered_by=values.get("delivered_by"),
        history_columns={
            "touch_id": values["touch_id"],
            "touched_at": touched_at,
            "action_type": "click" if values.get("action_type", "").lower() == "click" else "visit",
            "location": values.get("location"),
            **tags,
            "source": source,
            "medium": medium,
            "channel": channel,
            "landing_page": values.get("landing_page"),
            "device_type": values.get("device_type"),
            "visited_pages": read_pages(values.get("visited_pages")),
            "time_on_site": read_whole_number(values.get("time_on_site")),
            "visit_duration": read_whole_number(values.get("visit_duration")),
            "page_hash": values.get("page_hash"),
            "channel_told_by": told_by,
            "channel_rule_order": rule.rule_order if rule else None,
        },
    )


@lru_cache(maxsize=50_000)
def read_contact(values: Record, settings: Settings, seeds: Seeds) -> Contact:
    contacted_at = readable_instant(values["contacted_at"], settings)
    widget_id = values["widget_id"]
    widget = seeds.widgets.get(widget_id)
    brand_id = brand_of(widget_id, seeds)
    contact_type = values["contact_type"].lower()
    client_name = values.get("client_name", UNKNOWN_NAME)
    location = values.get("location", UNKNOWN_LOCATION)
    phone = valid_phone(values.get("phone"), settings.default_phone_region)
    unknown = {column: values[column] for column in sorted(values) if column not in COLUMNS["contacts"]}
    history_columns: MartRow = {
        "is_unique": read_boolean(values.get("is_unique")),
        "final_group": values.get("final_group"),
        "call_page": values.get("call_page"),
        "phone": phone or values.get("phone"),
    }
    return Contact(
        contact_id=values["contact_id"],
        brand_id=brand_id,
        contacted_at=contacted_at,
        identifiers=identifiers_of(values, IDENTIFIER_KINDS, settings, seeds),
        contact_type=contact_type,
        client_name=client_name,
        location=location,
        valid_phone=phone,
        valid_email=valid_email(values.get("email")),
        widget_id=widget_id,
        delivered_by=values.get("delivered_by"),
        journal_columns={
            "contact_id": values["contact_id"],
            "widget_id": widget_id,
            "widget_name": widget.name if widget else widget_id,
            "brand_id": brand_id,
            "contact_type": contact_type,
            "contacted_at": contacted_at,
            "contact_date": contacted_at.astimezone(settings.zone).date(),
            "client_name": client_name,
            "location": location,
            **history_columns,
            "duration": read_whole_number(values.get("duration")),
            "value": read_money(values.get("value")),
            "attributes": json.dumps(unknown, ensure_ascii=False) if unknown else None,
        },
        history_columns=history_columns,
    )


# The marts


class CountedTouches(list[Touch]):
    """The touches that count for a contact, oldest first, and how many of the client's don't, by why: R2, R5, R7, R8, R12."""

    def __init__(self, client: Client, contact: Contact, settings: Settings) -> None:
        before = contact.contacted_at + timedelta(seconds=settings.contact_grace_seconds)
        touches = [touch for touch in client.touches if touch.touched_at < before]
        self.later_count = len(client.touches) - len(touches)
        if settings.lookback_days is not None:
            since = contact.contacted_at - timedelta(hours=24 * settings.lookback_days)
            touches = [touch for touch in touches if touch.touched_at >= since]
        if settings.history_scope == "since_previous_contact":
            earlier = [other.contacted_at for other in client.contacts if other.contacted_at < contact.contacted_at]
            touches = [touch for touch in touches if not earlier or touch.touched_at >= max(earlier)]
        self.earlier_count = len(client.touches) - self.later_count - len(touches)
        counted = [touch for touch in touches if settings.count_direct_touches or not touch.is_direct]
        self.left_out_direct_count = len(touches) - len(counted)
        super().__init__(counted)


def add_client(client: Client, marts: Marts, settings: Settings) -> list[LedContact]:
    """Adds the client's rows, and tells its contacts with what counts for them."""
    led_contacts = []
    first_contact = client.contacts[0]
    client_id = f"client-{first_contact.contact_id}"
    limit = settings.history_touch_limit
    multichannel_contact_count = 0
    for contact_number, contact in enumerate(client.contacts, start=1):
        touches = CountedTouches(client, contact, settings)
        channels = sorted({touch.channel for touch in touches})
        is_multichannel = len(channels) >= 2  # R4: two channels are never of one touch
        multichannel_contact_count += is_multichannel
        icon = "multichannel" if is_multichannel else "single_channel" if touches else "no_touches"
        several = "one_channel" if len(touches) > 1 else "one_touch"
        forms = chain_forms(touches, limit)
        marts.journal.append(
            {
                **contact.journal_columns,
                "client_id": client_id,
                "contact_number": contact_number,
                "is_multichannel": is_multichannel,
                "icon": icon,
                "touch_count": len(touches),
                "channel_count": len(channels),
                "channels": channels or None,
                "touch_chain": forms["as_is"],
                "first_touch_at": touches[0].touched_at if touches else None,
                "last_touch_at": touches[-1].touched_at if touches else None,
                "not_multichannel_reason": None if is_multichannel else several if touches else "no_touches",
                "collapsed_chain": forms["collapsed"],
                "unique_chain": forms["unique"],
                "later_touch_count": touches.later_count,
                "earlier_touch_count": touches.earlier_count,
                "left_out_direct_count": touches.left_out_direct_count,
            }
        )
        led_contacts.append(LedContact(marts.journal[-1], touches))
        marts.client_history.append(
            {
                "client_id": client_id,
                "contact_number": contact_number,
                "contact_id": contact.contact_id,
                "contact_type": contact.contact_type,
                "contacted_at": contact.contacted_at,
                "location": contact.location,
                "widget_id": contact.journal_columns["widget_id"],
                "touch_count": len(touches),
                "is_multichannel": is_multichannel,
                "highlight": "green" if is_multichannel else None,
            }
        )
        if is_multichannel:
            ranked = list(enumerate(touches, start=1))
            for touch_rank, touch in ranked[-limit:]:
                marts.interaction_history.append(
                    {
                        "contact_id": contact.contact_id,
                        "touch_rank": touch_rank,
                        "client_id": client_id,
                        **touch.history_columns,
                        **contact.history_columns,
                    }
                )

    calls_first = sorted(client.contacts, key=lambda contact: contact.contact_type != "call")
    phones = [contact.valid_phone for contact in calls_first if contact.valid_phone]
    delivered_contacts = (*client.contacts, *client.same_contacts)
    emails = {contact.valid_email for contact in delivered_contacts if contact.valid_email}
    carrying = (*client.touches, *client.same_touches, *delivered_contacts)
    carriers = Counter(identifier for row in carrying for identifier in row.identifiers)
    ties = sorted(f"{kind} {value}" for (kind, value), count in carriers.items() if count > 1)
    marts.client_card.append(
        {
            "client_id": client_id,
            "brand_id": first_contact.brand_id,
            "phone": phones[0] if phones else None,
            "phones": sorted({contact.valid_phone for contact in delivered_contacts if contact.valid_phone}) or None,
            "emails": sorted(emails) or None,
            "visitor_ids": values_of_kind("visitor_id", carriers),
            "crm_client_ids": values_of_kind("crm_client_id", carriers),
            "client_name": first_contact.client_name,
            "location": first_contact.location,
            "first_touch_at": client.touches[0].touched_at if client.touches else None,
            "first_contact_id": first_contact.contact_id,
            "first_contact_at": first_contact.contacted_at,
            "last_contact_at": client.contacts[-1].contacted_at,
            "contact_count": len(client.contacts),
            "multichannel_contact_count": multichannel_contact_count,
            "tied_by": ties or None,
        }
    )
    for kind, found in (("touch", client.same_touches), ("contact", client.same_contacts)):
        for row, same_as in found.items():
            record_id = row.touch_id if isinstance(row, Touch) else row.contact_id
            marts.same_events.append(
                {
                    "kind": kind,
                    "id": record_id,
                    "delivered_by": row.delivered_by,
                    "same_as": same_as,
                    "client_id": client_id,
                }
            )
    return led_contacts


def values_of_kind(kind: str, identifiers: Iterable[Identifier]) -> list[str] | None:
    return sorted(value for each_kind, value in identifiers if each_kind == kind) or None
