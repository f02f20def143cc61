"""Random small histories of deliveries, as nasty as the rules allow, and their files.

What the rules leave open is left out: half seconds, seconds below zero, a third decimal of money,
sites under a search engine's own domain, clock changes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, quote_plus
from zoneinfo import ZoneInfo

import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
from reference import (
    COLUMNS,
    CONTACT_TYPES,
    COOKIE_KINDS,
    IDENTIFIER_KINDS,
    REQUIRED,
    TAGS,
    TIME_COLUMN,
    ChannelRule,
    ClickId,
    Delivery,
    Referrer,
    Row,
    Seeds,
    Widget,
    read_instant,
    start_of_day,
)

FileFormat = Literal["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"]
FILE_FORMATS: tuple[FileFormat, ...] = ("csv", "csv.gz", "jsonl", "jsonl.gz", "parquet")

# Their order by code point is neither that of their numbers nor that of the alphabet.
FILE_NAMES = (
    *("part-1.csv", "part-10.csv", "part-2.csv", "Part-1.csv", "a.csv", "a-1.csv"),
    *("выгрузка.csv", "part [1].csv", "it's.csv"),
)
PHONES = ("+79001234567", "+79001234568", "+74991234567", "+84991234567", "+79161112233")
INVALID_PHONES = ("12345", "7,9161E+10", "+7 000 000-00-00", "перезвоните", "+7(900)123-45-6")
# What is around a number, an address, or a word that stands for no value.
PHONE_WRAPPERS = (
    *(
        "tel:{}",
        "sip:{}@pbx.example",
        "{} (Анна)",
        "тел.: {}",
        "\u202a{}\u202c",
        "{}, +7 916 999-88-77",
    ),
    *("{}\n8 495 765-43-21", "перезвоните, {}", "\u200b{}"),
)
EMAIL_WRAPPERS = ("Анна <{}>", "mailto:{}", "{}.", "{};", "{}, other@example.com", "нет, {}", "\u200b{}", "<{}>")
NO_VALUES = (
    *('"WORD"', "WORD.0", "WORD.WORD", "GA1.2.WORD", "«WORD»", "0.0", "000-000", "...", "#N/A", "#ССЫЛКА!", "#ДЕЛ/0!"),
    *("{{client_id}}", "{source}", "%client_id%", "${id}", "[%id%]", "__ID__", "<не найдено>", "{1}"),
)
INVALID_EMAILS = ("no-at-sign.example", "@example.com", "anna@", "a b@example.com")
UNKNOWN_WIDGET = "w-unknown"
# Listed as sources by the settings, and not; of several accounts; their order by code point is another.
SOURCES = ("metrica:1", "metrica:20", "metrica:3", "calltouch:7", "mango:5", "mango", "Metrica:1", "crm:1", "сайт")
# How far apart two sources put one event: exactly on the settings' bounds, beside them, and anywhere.
SECONDS_APART = (
    *[0, 0, 0, 1, 30, 59.999999, 60, 60, 60.000001, 61],
    *[300, 300, 300.000001, 301, 1800, 1800, 1800.000001, 1801],
)

# What a correction may change, together.
CORRECTED_COLUMNS: dict[str, tuple[Sequence[str], ...]] = {
    "touches": (("touched_at",), ("widget_id",), COOKIE_KINDS, (*TAGS, "landing_page", "referrer")),
    "contacts": (("contacted_at",), ("widget_id",), IDENTIFIER_KINDS, ("contact_type",)),
    "costs": (
        ("amount", "currency"),
        ("impressions", "clicks"),
        ("source", "medium"),
        ("campaign", "widget_id"),
        ("term", "content", "ad_id"),
    ),
}

# Every setting at some other value, alone and together.
CHANGED_SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"history_scope": "since_previous_contact"},
    {"lookback_days": 1},
    {"channel_grain": "medium"},
    {"channel_grain": "source"},
    {"channel_grain": "source_medium_campaign", "history_touch_limit": 3},
    {"count_direct_touches": False},
    {"contact_grace_seconds": 60, "lookback_days": 0.5, "history_scope": "since_previous_contact"},
    {"default_phone_region": "US"},
    {"report_timezone": "Asia/Vladivostok"},
    {"history_touch_limit": 1, "contact_grace_seconds": 3600},
    {"report_timezone": "America/New_York", "lookback_days": 3},
    {"max_rejected_share": 0.1, "history_scope": "since_previous_contact", "count_direct_touches": False},
)


def random_attribution_settings(seed: str) -> dict[str, Any]:
    """Settings of what is only told of touches, whichever count; of a generator of their own, so that all else stays."""
    dice = random.Random(f"attribution settings {seed}")
    first_share, last_share = dice.choice(((0.4, 0.4), (0.4, 0.4), (0.3, 0.45), (0.1, 0.9), (1, 0), (0, 0)))
    return {
        "chain_form": dice.choice(("as_is", "collapsed", "unique")),
        "position_based_first_share": first_share,
        "position_based_last_share": last_share,
        "time_decay_half_life_days": dice.choice((7, 7, 1, 0.25, 40)),
    }


def random_same_event_settings(seed: str) -> dict[str, Any]:
    """R28's settings, mostly the defaults; of a generator of their own, too."""
    dice = random.Random(f"events {seed}")
    return {
        "same_touch_seconds": dice.choice((*[60] * 5, 300, 300, 1, 0, None)),
        "same_visit_seconds": dice.choice((*[1800] * 5, 300, 300, 0.5, 0, None)),
        "same_contact_seconds": dice.choice((*[300] * 5, 1800, 1800, 60, 0, None)),
        "source_precedence": dice.choice(
            (*[("metrica", "calltouch", "mango")] * 3, ("mango", "metrica"), ("calltouch",), ())
        ),
    }


def example_seeds() -> Seeds:
    """Seeds with something of every kind."""
    return Seeds(
        widgets={
            "w1": Widget("Окна", "okna", "okna.example"),
            "w2": Widget("Окна, акция", "okna", "www.okna-sale.example"),
            "w3": Widget("Двери", "dveri", ""),
        },
        channel_rules=[
            ChannelRule("exact", "qr", "listovka", "QR-листовка"),
            ChannelRule("words", "яндекс директ", "", "Яндекс Директ"),
            ChannelRule("words", "vk", "ads", "Реклама VK"),
            ChannelRule("exact", "", "email", "Рассылка"),
            ChannelRule("words", "", "рассылка", "Рассылка"),
            ChannelRule("exact", "yandex.direct", "", "Яндекс Директ"),
        ],
        click_ids=[
            ClickId("yclid", "yandex", "cpc"),
            ClickId("gclid", "google", "cpc"),
            ClickId("rb_clickid", "vk", "cpc"),
            ClickId("fbclid", "facebook", "social", is_advertising=False),
        ],
        referrers={
            "yandex.ru": Referrer("search", "yandex"),
            "pay.yandex.ru": Referrer("ignored", ""),
            "google.com": Referrer("search", "google"),
            "vk.com": Referrer("social", "vk"),
            "t.me": Referrer("social", "telegram"),
            "ads.example": Referrer("advertising", "ads"),
            "copies.example": Referrer("copy", ""),
            "*.ask.example": Referrer("search", "ask"),
        },
        ignored_identifiers=frozenset(
            {
                ("visitor_id", "callcenter-1"),
                ("phone", "8 (900) 765-43-21"),
                ("email", "Test@Example.com"),
                ("", "robot"),
            }
        ),
        placeholders=frozenset({"-", "0", "нет", "undefined", "null", "anonymous", "<не указано>"}),
    )


def random_deliveries(
    seed: int,
    seeds: Seeds | None = None,
    *,
    report_timezone: str = "Europe/Moscow",
    first_day: date = date(2026, 3, 1),
    days: int = 4,
    rows_per_day: int = 10,
) -> list[Delivery]:
    """Deliveries in the order of their arrival, the same for the same arguments."""
    seeds, zone = seeds or example_seeds(), ZoneInfo(report_timezone)
    load_days = [first_day + timedelta(days=number) for number in range(days)]
    dice = random.Random(seed)
    deliveries = deliveries_of(("touches", "contacts"), load_days, RowMaker(dice, seeds, zone), rows_per_day)
    dice.shuffle(deliveries)
    # By dice of their own: touches and contacts are the same with costs and without. A day more of them than of these.
    dice = random.Random(f"costs {seed}")
    load_days.append(load_days[-1] + timedelta(days=1))
    for delivery in deliveries_of(("costs",), load_days, RowMaker(dice, seeds, zone), rows_per_day):
        deliveries.insert(dice.randint(0, len(deliveries)), delivery)
    return deliveries


def deliveries_of(
    tables: Sequence[str], load_days: Sequence[date], maker: RowMaker, rows_per_day: int
) -> list[Delivery]:
    dice = maker.dice
    deliveries: list[Delivery] = []
    for table in tables:
        for load_day in load_days:
            if dice.random() < 0.1:
                continue  # the day never arrives
            rows = [maker.row(table, load_day) for _ in range(dice.randint(1, 2 * rows_per_day))]
            deliveries.append(Delivery(table, load_day, maker.files(rows)))
            while dice.random() < 0.35:
                deliveries.append(maker.redelivery(table, load_day, rows))
    return deliveries


@dataclass
class Person:
    """What one person may be known by; only some of it is on each row."""

    identifiers: dict[str, list[str]]


@dataclass
class RowMaker:
    dice: random.Random
    seeds: Seeds
    zone: ZoneInfo
    people: list[Person] = field(default_factory=list)
    delivered: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in COLUMNS})
    identifier_shares: Sequence[float] = (0.15, 0.4, 0.4, 0.7)
    stranger_chance: float = 0.07

    def __post_init__(self) -> None:
        # Who delivered what, and which rows are of one event, by dice of their own: all else stays.
        self.event_dice = random.Random(f"same events {self.dice.getstate()[1][:4]}")
        # So with spellings of URLs, tags and identifiers.
        self.spelling_dice = random.Random(f"spellings {self.dice.getstate()[1][:4]}")
        # Sorted, as the order of a set changes from one run of Python to the next.
        self.widget_ids = [*sorted(self.seeds.widgets), UNKNOWN_WIDGET]
        self.placeholders = sorted(self.seeds.placeholders) or [""]
        self.ignored = sorted(self.seeds.ignored_identifiers)
        self.hosts = sorted({host.removeprefix("*.") for host in self.seeds.referrers})
        self.people = [self.person(number) for number in range(self.dice.randint(2, 7))]

    def chance(self, probability: float) -> bool:
        return self.dice.random() < probability

    def widget_id(self) -> str:
        # Half of all on one widget, or too few rows would be of one brand to meet.
        return self.dice.choice((self.widget_ids[0], self.dice.choice(self.widget_ids)))

    # Who

    def person(self, number: int) -> Person:
        # The bare number is the same in every kind, which must tie nothing.
        return Person(
            {
                "visitor_id": [f"v-{number}-home", f"V-{number}-home", f"{number + 1}"],
                "yandex_client_id": [f"{number + 1}", f"16670000{number}"],
                "google_client_id": [f"{number + 1}", f"55.{number}"],
                "crm_client_id": [f"{number + 1}", f"crm-{number}"],
                "phone": [PHONES[number % len(PHONES)], PHONES[(number + 1) % len(PHONES)]],
                "email": [f"anna{number}@example.com", f"вера.{number}@окна.example"],
            }
        )

    def identifiers(self, kinds: Sequence[str]) -> dict[str, str | None]:
        person = self.dice.choice(self.people)
        share = self.dice.choice(self.identifier_shares)
        found: dict[str, str | None] = {}
        for kind in kinds:
            found[kind] = None
            if not self.chance(share):
                continue
            owner = self.dice.choice(self.people) if self.chance(self.stranger_chance) else person
            value = self.dice.choice(owner.identifiers[kind][: 1 + self.chance(0.35) * 2])
            ignored = [each for of_kind, each in self.ignored if of_kind in ("", kind)]
            if self.chance(0.06):
                value = self.no_value(kind)
            elif ignored and self.chance(0.08):
                value = self.dice.choice(ignored)
            if kind == "phone":
                value = self.dice.choice(INVALID_PHONES) if self.chance(0.1) else self.phone(value)
            elif kind == "email":
                invalid = self.chance(0.1)
                value = self.dice.choice(INVALID_EMAILS) if invalid else self.email(self.any_case(value))
            elif kind == "google_client_id" and self.spelling_dice.random() < 0.3:
                value = self.spelling_dice.choice(("GA1.2.", "GA1.1.", "GA1.3-2.", "GS1.1.")) + value
            found[kind] = value
        return found

    def phone(self, number: str) -> str:
        spellings = [number]
        if number.startswith("+7") and len(number) == 12:
            area, three, two, last = number[2:5], number[5:8], number[8:10], number[10:]
            spellings += [
                f"8 ({area}) {three}-{two}-{last}",
                f"+7 {area} {three} {two} {last}",
                f"7{number[2:]}",
                number[2:],
                f"8-{area}-{three}-{two}-{last} доб. 12",
                f"{number} ext. 7",
            ]
        elif number.startswith("+84"):
            spellings += [f"+84 {number[3:5]} {number[5:8]} {number[8:]}", f"810{number[1:]}"]
        spelling = self.dice.choice(spellings)
        return (
            self.spelling_dice.choice(PHONE_WRAPPERS).format(spelling)
            if self.spelling_dice.random() < 0.4
            else spelling
        )

    def email(self, address: str) -> str:
        name, _, domain = address.partition("@")
        if self.spelling_dice.random() < 0.3:
            address = f"{name}@{domain.lower().encode('idna').decode()}"
        return (
            self.spelling_dice.choice(EMAIL_WRAPPERS).format(address) if self.spelling_dice.random() < 0.4 else address
        )

    def no_value(self, kind: str) -> str:
        word = self.any_case(self.dice.choice(self.placeholders))
        if kind in COOKIE_KINDS and self.spelling_dice.random() < 0.5:
            return self.spelling_dice.choice(NO_VALUES).replace("WORD", word)
        return word

    def any_case(self, text: str) -> str:
        return self.dice.choice((text, text, text.upper(), text.title(), text.lower()))

    # When

    def instant(self, load_day: date) -> datetime:
        """An instant that others share: days, ten minutes and a few edges are all there is."""
        day = load_day - timedelta(days=self.dice.choice((0, 0, 0, 0, 0, 1, 1, 2, 5)))
        start = start_of_day(day, self.zone)
        next_start = start_of_day(load_day + timedelta(days=1), self.zone)
        smallest = timedelta(microseconds=1)
        dense = start + timedelta(hours=10, minutes=10 * self.dice.randrange(6))
        instants = [
            *[dense] * 10,
            *[dense + timedelta(seconds=self.dice.choice((0, 1, 30)))] * 2,
            dense + smallest,
            dense + timedelta(microseconds=self.dice.randrange(10**6)),
            start + timedelta(minutes=self.dice.randrange(24 * 60)),
            start,
            start - smallest,
            start + timedelta(hours=24) - smallest,
            # Its day hasn't come with this delivery (R9), at most as far ahead as R25 allows.
            next_start,
            next_start + timedelta(hours=10, minutes=10),
            next_start + timedelta(hours=24),
        ]
        if self.chance(0.01):
            return datetime(2000, 1, 1, 12, tzinfo=UTC)
        return self.dice.choice(instants)

    def written_instant(self, instant: datetime) -> str:
        local = instant.astimezone(self.zone)
        offset = local.utcoffset()
        if self.chance(0.4) or offset is None:
            offset = timedelta(minutes=self.dice.choice((0, 180, 180, 330, -480, 600)))
        shown = instant.astimezone(timezone(offset))
        minutes = abs(int(offset.total_seconds()) // 60)
        sign = "-" if offset < timedelta(0) else "+"
        suffixes = [
            f"{sign}{minutes // 60:02}:{minutes % 60:02}",
            f"{sign}{minutes // 60:02}{minutes % 60:02}",
        ]
        if minutes % 60 == 0:
            suffixes.append(f"{sign}{minutes // 60:02}")
        if not offset:
            suffixes += ["Z"] * 3
        suffix = self.dice.choice(suffixes)
        clock_changes = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
        if self.chance(0.2) and not clock_changes:
            shown, suffix = local, ""
        text = shown.strftime("%Y-%m-%d") + self.dice.choice("TTT ") + shown.strftime("%H:%M")
        if shown.microsecond:
            # Digits beyond microseconds are cut, not rounded.
            text += shown.strftime(":%S.%f") + self.dice.choice(("", "", "000", "999"))
        elif shown.second or self.chance(0.7):
            text += shown.strftime(":%S") + self.dice.choice(("", "", "", ".0", ".000"))
        return text + suffix

    # From where

    def channel(self, widget_id: str) -> dict[str, str | None]:
        """The columns that tell a touch's channel, in one of the ways there are."""
        widget = self.seeds.widgets.get(widget_id)
        site = (widget.site_host if widget else "") or "shop.example"
        found: dict[str, str | None] = dict.fromkeys((*TAGS, "landing_page", "referrer"))
        query: list[str] = []
        source, medium = self.source_and_medium()
        in_columns = {"utm_source": source, "utm_medium": medium}
        way = self.dice.choice(("columns", "columns", "url", "url", "both", "half", "click id", "referrer", "direct"))
        if way == "columns":
            found |= in_columns
        elif way == "url":
            query += [self.parameter(name, value) for name, value in in_columns.items()]
        elif way == "both":
            found["utm_source"] = source
            query += [self.parameter("utm_source", "other"), self.parameter("utm_medium", medium)]
        elif way == "half":
            half = self.dice.choice(list(in_columns))
            if self.chance(0.5):
                found[half] = in_columns[half]
            else:
                query.append(self.parameter(half, in_columns[half]))
        if way in ("click id", "half") or self.chance(0.1):
            query += [self.click_id() for _ in range(self.dice.randint(1, 2))]
        if way in ("click id", "half", "referrer") or self.chance(0.1):
            found["referrer"] = self.referrer(site)
        for tag in ("utm_campaign", "utm_term", "utm_content"):
            if self.chance(0.25):
                value = self.dice.choice(("весна 2026", "Весна 2026", "окна+двери", "sale", "50%"))
                if self.chance(0.5):
                    found[tag] = value
                else:
                    query.append(self.parameter(tag, value))
        if self.chance(0.1):
            query.insert(0, self.dice.choice(("utm_source=", "utm_source", "utm_source=%20")))
        if self.chance(0.1):
            query.append(self.parameter("utm_source", "second"))  # of two, the first counts
        if self.chance(0.1):
            # Not a tag's name, and not text that decodes.
            query.append(self.dice.choice(("xutm_source=x", "utm_content=%FF", "utm_term=%D0")))
        if query or self.chance(0.5):
            host = self.dice.choice((site, site, f"www.{site}", site.upper(), f"{site}.:443"))
            page = self.dice.choice(("", "/", "/price", "/цены"))
            fragment = self.dice.choice(("", "", "#top", "#?utm_source=fragment&gclid=1"))
            question = "?" + "&".join(query) if query else ""
            found["landing_page"] = f"https://{host}{page}{question}{fragment}"
        return self.oddly_spelt(found, site)

    def oddly_spelt(self, found: dict[str, str | None], site: str) -> dict[str, str | None]:
        """Now and then as systems on the way rewrite URLs and tags, or with a referrer of the rarer kinds."""
        dice = self.spelling_dice
        landing_page, referrer = found["landing_page"], found["referrer"]
        if landing_page and dice.random() < 0.4:
            page, hash_sign, fragment = landing_page.partition("#")
            address, question, query = page.partition("?")
            query = dice.choice(
                (
                    query.replace("&", "&amp;"),
                    query.replace("&", "&amp;amp;"),
                    query.replace("&", "\\u0026"),
                    query.replace("&", ";"),
                    query.replace("&", "?", 1),
                    query.replace("utm_", "utm%5F"),
                    query.replace("=", "[]=", 1),
                    f"{query}&utm_content={{keyword}}&utm_content=b",
                    f"utm_term=%FF%E0&{query}&utm_campaign=%u0431",
                    f"id=5;{query}",
                    f"{query}/",
                )
            )
            landing_page = address + (question or "?") + query + hash_sign + fragment
        if landing_page and dice.random() < 0.15:
            whole = quote(landing_page, safe="")
            landing_page = dice.choice((f'"{landing_page}"', f"\ufeff{landing_page}\u200b", f"«{landing_page}»", whole))
        if dice.random() < 0.12:
            copied_site = site.replace("-", "--").replace(".", "-")
            hosts = ("vk.com", f"m.{site}", "okna-sale.example", "xn--e1afmkfd.xn--p1ai", "пример.рф", "ads.example")
            referrer = dice.choice(
                (
                    *(
                        f"{scheme}{dice.choice(hosts)}/a"
                        for scheme in ("", "//", "https:\\\\", "android-app://", '"https://')
                    ),
                    f"https://{copied_site}.copies.example/x",
                    *(
                        "tg://resolve?domain=a",
                        "about:blank",
                        "http://10.0.0.7/crm",
                        "http://crm/",
                        "chrome-extension://a/",
                    ),
                )
            )
        found |= {"landing_page": landing_page, "referrer": referrer}
        for tag in TAGS:
            value = found[tag]
            if value and dice.random() < 0.15:
                encoded = quote_plus(value)
                found[tag] = dice.choice((encoded, quote(value), "{macro}", unicodedata.normalize("NFD", value)))
        return found

    def source_and_medium(self) -> tuple[str, str]:
        source = self.dice.choice(("yandex", "vk", " Google ", "Яндекс", "telegram", "mail"))
        medium = self.dice.choice(("cpc", "CPC", "social", "Email", "ads"))
        if self.seeds.channel_rules and self.chance(0.35):
            rule = self.dice.choice(self.seeds.channel_rules)
            source = self.around(rule.source) or source
            medium = self.around(rule.medium) or medium
        elif self.chance(0.05):
            source, medium = "(Direct)", self.dice.choice(("(none)", "cpc"))
        return source, medium

    def around(self, word: str) -> str:
        """A rule's word, alone or within a text, where it is a whole word or isn't."""
        patterns = ("{}", "{}", "{}", "{}_2", "my-{}", "{}2", "x{}", "{}ы", "x{}.{}", " {} ")
        text = self.dice.choice(patterns).replace("{}", word) if word else ""
        return self.any_case(text)

    def parameter(self, name: str, value: str | None) -> str:
        encode = self.dice.choice((quote, quote_plus, quote_plus))
        return f"{self.any_case(name)}={encode(value or '')}"

    def click_id(self) -> str:
        names = [click_id.parameter for click_id in self.seeds.click_ids] or ["yclid"]
        name = self.any_case(self.dice.choice(names))
        return f"{name}={self.dice.choice(('CjwK-1', '42', '42', '', '%20'))}"

    def referrer(self, site: str) -> str:
        bare_site = site.removeprefix("www.")
        host = self.dice.choice(self.hosts or ["search.example"])
        hosts = [
            *[host, f"m.{host}"] * 3,
            f"not{host}",
            f"{host}.evil.example",
            "forum.example",
            bare_site,
            f"www.{bare_site}",
            f"blog.{bare_site}",
            f"not{bare_site}",
        ]
        host = self.dice.choice(hosts)
        spellings: list[Callable[[str], str]] = [
            lambda host: f"https://{host}/",
            lambda host: f"https://{host}",
            lambda host: f"http://{host.upper()}:8080/path?q=https://other.example/",
            lambda host: f"https://user:secret@{host}./?a@b",
            lambda host: f"android-app://{host}/",
            lambda host: f"https://{host}?from=ads#part",
            lambda host: host,  # no scheme, no host
        ]
        return self.dice.choice(spellings)(host)

    # Rows

    def row(self, table: str, load_day: date) -> Row:
        """A new row, or one that was delivered before, as it was or corrected."""
        earlier = self.delivered[table]
        if earlier and self.chance(0.25):
            row = dict(self.dice.choice(earlier))
            new = self.good_row(table, load_day)
            for columns in CORRECTED_COLUMNS[table]:
                if self.chance(0.3):
                    row |= {column: new[column] for column in columns}
        else:
            row = dict(self.perhaps_same_event(table, load_day, self.good_row(table, load_day), earlier))
        if self.chance(0.05):
            row = self.spoilt(table, load_day, row)
        self.delivered[table].append(row)
        return row

    def good_row(self, table: str, load_day: date) -> dict[str, str | None]:
        row = {"touches": self.touch, "contacts": self.contact, "costs": self.cost}[table](load_day)
        for column, value in row.items():
            if self.chance(0.03):
                row[column] = f"\u00a0{value or ''} "
        if table != "costs":
            row["delivered_by"] = self.delivered_by()
        return row

    def delivered_by(self) -> str | None:
        dice = self.event_dice
        return dice.choice((None, dice.choice(SOURCES), dice.choice(SOURCES[:5])))

    def perhaps_same_event(self, table: str, load_day: date, row: Row, earlier: Sequence[Row]) -> Row:
        """The row or, now and then, what it says of an event that another row is of: nearly the same."""
        dice = self.event_dice
        if table == "costs" or not earlier or dice.random() > {"touches": 0.4, "contacts": 0.6}[table]:
            return row
        telling = ("phone", "email") if table == "contacts" else COOKIE_KINDS
        comparable = [some for some in earlier if some.get("delivered_by") and any(map(some.get, telling))]
        other = dice.choice(comparable[-8:] or earlier)
        instant = read_instant((other[TIME_COLUMN[table]] or "").strip(), self.zone)
        latest = start_of_day(load_day + timedelta(days=1), self.zone) + timedelta(hours=24)
        if instant is None or not datetime(2001, 1, 1, tzinfo=UTC) < instant < latest - timedelta(hours=1):
            return row
        # A chain: what is left out leaves out the next.
        instant += timedelta(seconds=dice.choice((-1, 1)) * dice.choice(SECONDS_APART))
        same = ["delivered_by"] if dice.random() < 0.1 else []
        same += [] if dice.random() < 0.07 else ["widget_id"]
        kinds = COOKIE_KINDS if table == "touches" else IDENTIFIER_KINDS
        same += [kind for kind in kinds if dice.random() < 0.85]
        if dice.random() < 0.6:
            same += (*TAGS, "landing_page", "referrer") if table == "touches" else ("contact_type",)
        changed: dict[str, str | None] = {column: other.get(column) for column in same}
        changed[TIME_COLUMN[table]] = f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
        if "delivered_by" not in same:
            changed["delivered_by"] = dice.choice(SOURCES)
        if table == "contacts" and "contact_type" not in same:
            changed["contact_type"] = dice.choice(("call", "call", "callback", "callback", "form"))
        return {**row, **changed}

    def touch(self, load_day: date) -> dict[str, str | None]:
        pick = self.dice.choice
        widget_id = self.widget_id()
        return {
            "touch_id": pick(("t", "t", "T", "т")) + str(self.dice.randrange(60)),
            "widget_id": widget_id,
            "touched_at": self.written_instant(self.instant(load_day)),
            "action_type": pick((None, "click", "Click", "VISIT", "scroll")),
            **self.identifiers(COOKIE_KINDS),
            **self.channel(widget_id),
            "location": pick((None, None, "Казань", "Нижний, Новгород")),
            "device_type": pick((None, "mobile", "desktop")),
            "visited_pages": pick((None, '["/", "/цены"]', '["/a, \\"b\\""]', "[]", "/", '{"a": 1}')),
            "time_on_site": pick((None, "0", "95", "13.0", "девяносто")),
            "visit_duration": pick((None, "120", "3600.00", "-", "1.5")),
            "page_hash": pick((None, "a1b2")),
        }

    def contact(self, load_day: date) -> dict[str, str | None]:
        pick = self.dice.choice
        row = {
            "contact_id": pick(("c", "c", "C", "с")) + str(self.dice.randrange(40)),
            "widget_id": self.widget_id(),
            "contacted_at": self.written_instant(self.instant(load_day)),
            "contact_type": self.any_case(pick(CONTACT_TYPES)),
            **self.identifiers(IDENTIFIER_KINDS),
            "client_name": pick((None, None, "Анна", 'ООО "Окна, двери"', "Анна\nи Борис")),
            "location": pick((None, None, "Казань", "Уфа")),
            "final_group": pick((None, "Продажи")),
            "is_unique": pick((None, "true", "FALSE", "t", "N", "0", "yes", "Да", "нет", "может быть")),
            "call_page": pick((None, "https://okna.example/price?a=1,2")),
            "duration": pick((None, "0", "61", "61.0", "минута")),
            "value": pick((None, "1500", "1500.50", "-10.5", "тысяча", "1 500")),
        }
        if self.chance(0.3):
            row["crm_stage"] = pick((None, "новый", '"в работе"'))
            row["Contact_ID"] = pick((None, "another column"))
        return row

    def cost(self, load_day: date) -> dict[str, str | None]:
        """Of few keys, so that rows meet in one, and of channels that touches come by."""
        pick = self.dice.choice
        days_before = pick((0, 0, 0, 0, 1, 1, 2, 5, -1))  # its day hasn't come with this delivery (R9)
        row = {
            "cost_date": (load_day - timedelta(days=days_before)).isoformat(),
            "source": pick(("yandex", "Yandex", "vk", "Google", "google", "Яндекс", "яндекс", "(direct)")),
            "medium": pick(("cpc", "CPC", "ads", "social")),
            "campaign": pick((None, None, "весна 2026", "Весна 2026", "sale")),
            "widget_id": pick((None, None, None, *self.widget_ids[:2])),
            "amount": pick(("0", "100", "1500.50", "+7.05", "-10.5", "99.99", "0.01")),
            "currency": pick(("RUB", "RUB", "rub", "Rub")),
            "impressions": pick((None, "0", "1000", "350.0", "много", "-5")),
            "clicks": pick((None, "0", "12", "7.00", "1.5")),
        }
        if self.chance(0.02):
            row |= {"amount": "9999999999999999.99", "impressions": str(2**63 - 1), "clicks": pick((str(2**63), "0"))}
        is_divided = self.chance(0.4)
        row["term"] = pick((None, "двери", "двери недорого", "Двери")) if is_divided else None
        row["content"] = pick((None, None, "баннер 1")) if is_divided else None
        row["ad_id"] = pick((None, None, "11", "12")) if is_divided else None
        if self.chance(0.3):
            row["placement"] = pick((None, "search", "network"))
        return row

    def spoilt(self, table: str, load_day: date, row: Row) -> dict[str, str | None]:
        """The row, so that R25 sets it aside; sometimes for more than one reason."""
        spoilt = dict(row)
        next_start = start_of_day(load_day + timedelta(days=1), self.zone)
        too_late = next_start + timedelta(hours=24, microseconds=1)
        times = (
            *("вчера", "2026-03-01", "2026-02-30T10:00:00Z", "2026-03-01T25:00:00Z"),
            *("01.03.2026 10:00", "1772348400", "2026-03-01T10:00:00 MSK"),
            *("1970-01-01T00:00:00Z", "1999-12-31T09:00:00Z", "2031-01-01 00:00"),
            *("9999-12-31T23:59:59-03:00", too_late.isoformat(), too_late.isoformat()),
        )
        faults: list[dict[str, str | None]] = []
        faults += [{column: self.dice.choice((None, "", " "))} for column in REQUIRED[table]]
        if table == "costs":
            dates = ("вчера", "2026-02-30", "2026-03-01T10:00:00Z", "01.03.2026", "20260301", "2026-3-1", "1999-12-31")
            too_late_dates = ("2031-01-01", (load_day + timedelta(days=2)).isoformat())
            faults += [{"cost_date": text} for text in (*dates, *too_late_dates)]
            faults += [{"amount": text} for text in ("тысяча", "1 500", "1,5", "10000000000000000", "NaN")]
            faults += [{"currency": text} for text in ("USD", "eur", "RU", "RUBL", "РУБ", "₽")]
        else:
            faults += [{TIME_COLUMN[table]: text} for text in times]
        if table == "contacts":
            faults += [{"contact_type": text} for text in ("visit", "звонок", "calls", "0")]
        for fault in self.dice.sample(faults, self.dice.choice((1, 1, 2, 3))):
            spoilt |= fault
        return spoilt

    # Files

    def files(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        names = self.dice.sample(FILE_NAMES, self.dice.choice((1, 1, 2, 3)))
        files: dict[str, list[Row]] = {name: [] for name in names}
        for row in rows:
            files[self.dice.choice(names)].append(row)
        return files

    def redelivery(self, table: str, load_day: date, rows: Sequence[Row]) -> Delivery:
        """The day once more: corrected, shrunk, emptied, without a file, or one that fails."""
        some = [row for row in rows if self.chance(0.7)]
        way = self.dice.choice(("same", "fewer", "corrected", "corrected", "emptied", "no file", "half", "failing"))
        if way == "no file":
            return Delivery(table, load_day, {})
        if way == "emptied":
            return Delivery(table, load_day, self.files([]))
        if way in ("half", "failing"):
            # Of 20 rows and more, half set aside is still good and one more is not; of 19, all is.
            count = self.dice.choice((20, 24))
            set_aside = count // 2 + (way == "failing")
            if way == "half" and self.chance(0.3):
                count = set_aside = 19
            mixed: list[Row] = [self.good_row(table, load_day) for _ in range(count - set_aside)]
            mixed += [self.spoilt(table, load_day, self.good_row(table, load_day)) for _ in range(set_aside)]
            self.dice.shuffle(mixed)
            return Delivery(table, load_day, {"b.csv": some, "c.csv": mixed})
        if way == "same":
            return Delivery(table, load_day, self.files(rows))
        new = [self.row(table, load_day) for _ in range(3)] if way == "corrected" else []
        return Delivery(table, load_day, self.files([*some, *new]))


# Folders


def write_delivery(delivery: Delivery, landing: Path, file_format: FileFormat) -> Delivery:
    """Write the delivery's folder anew; returns the delivery under the names its files now have."""
    folder = landing / delivery.table / delivery.load_day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    for former in folder.iterdir():
        former.unlink()
    files: dict[str, Sequence[Row]] = {}
    for name, rows in delivery.files.items():
        written_name = f"{without_extension(name)}.{file_format}"
        (folder / written_name).write_bytes(file_content(delivery.table, rows, file_format))
        files[written_name] = rows
    return Delivery(delivery.table, delivery.load_day, files)


def without_extension(name: str) -> str:
    for file_format in FILE_FORMATS:
        if name.endswith(f".{file_format}"):
            return name.removesuffix(f".{file_format}")
    return name


def file_content(table: str, rows: Sequence[Row], file_format: FileFormat) -> bytes:
    columns = list(dict.fromkeys(column for row in rows for column in row)) or list(COLUMNS[table])
    if file_format == "parquet":
        return parquet_content(rows, columns)
    text = io.StringIO(newline="")
    if file_format in ("csv", "csv.gz"):
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
    else:
        for row in rows:
            text.write(json.dumps(row, ensure_ascii=False) + "\n")
        if not rows:
            text.write("\n")  # no bytes at all would be a damaged file
    content = text.getvalue().encode()
    return gzip.compress(content, mtime=0) if file_format.endswith(".gz") else content


def parquet_content(rows: Iterable[Row], columns: Sequence[str]) -> bytes:
    schema = pyarrow.schema([(column, pyarrow.string()) for column in columns])
    content = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), content)
    return bytes(content.getvalue().to_pybytes())


def read_deliveries(landing: Path) -> list[Delivery]:
    """The deliveries of a landing folder that holds CSV files only."""
    deliveries = []
    for table in COLUMNS:
        for folder in sorted((landing / table).glob("*")):
            files = {
                path.name: read_csv(path)
                for path in sorted(folder.iterdir())
                if not path.name.startswith((".", "_")) and path.suffix not in (".part", ".tmp")
            }
            deliveries.append(Delivery(table, date.fromisoformat(folder.name), files))
    return deliveries


def read_csv(path: Path) -> list[Row]:
    if path.suffix != ".csv":
        raise ValueError(f"{path} is not a CSV file")
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *records = [record for record in csv.reader(file) if record]
    return [dict(zip(header, record, strict=True)) for record in records]
