"""Every question that the report asks of the published file. What was typed or stands in an address comes in as a parameter only.

The marts say what is true; here it is chosen, added up over days and sites, and put in order.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import phonenumbers

from report.masking import has_digits, whole_phone

PAGE_SIZE = 50
EXPORT_LIMIT = 100_000

# What a journal can be sorted by: never null, so that a page can begin behind a row.
SORTS = {
    "time": "journal.contacted_at",
    "touches": "touch_count",
    "type": "contact_type",
    "widget": "widget_name",
    "client": "client_name",
    "phone": "coalesce(journal.phone, '')",
    "location": "location",
    "duration": "coalesce(duration, -1)",
    "value": "coalesce(value, -1e15::decimal(18, 2))",
}

TEXT_SORTS = ("type", "widget", "client", "phone", "location")


@dataclass(frozen=True)
class Showing:
    """How things are shown: in which time zone, and in which order where phones are hidden."""

    time_zone: str
    phone_region: str
    mask_phones: bool = False
    key: str = ""
    """Secret, of letters and digits."""

    def time(self, column: str) -> str:
        """SQL for a local time; takes the parameter `zone`."""
        return f"timezone($zone, {column})"

    def order(self, text: str) -> str:
        """SQL for what a text is sorted by. Hidden digits don't count: their order would tell them."""
        return f"regexp_replace({text}, '\\pN', '', 'g')" if self.mask_phones else text

    def tie(self, text: str) -> str:
        """SQL for the order of texts that are alike otherwise: no order at all where they may hold hidden digits."""
        return f"hash({text}, '{self.key}')" if self.mask_phones else text

    def in_order(self, text: str) -> str:
        """SQL for sorting by a text alone."""
        return f"{self.order(text)}, {self.tie(text)}" if self.mask_phones else text

    def shuffled(self, texts: str) -> str:
        """SQL for a sorted list as it may be shown."""
        if not self.mask_phones:
            return texts
        pairs = f"list_transform({texts}, lambda text: {{'tie': {self.tie('text')}, 'text': text}})"
        return f"list_transform(list_sort({pairs}), lambda pair: pair.text)"


@dataclass(frozen=True)
class Asked:
    """What a journal is asked for (R22): sites (none: all), report dates from the first to the last, types (none: all)."""

    widgets: tuple[str, ...]
    first_day: date
    last_day: date
    types: tuple[str, ...] = ()
    is_multichannel: bool = False
    search: str = ""

    def conditions(self, day: str = "contact_date") -> tuple[list[str], dict[str, Any]]:
        """What rows of a mart with a site and a day must fulfil."""
        said = [f"{day} between $first_day and $last_day"]
        values: dict[str, Any] = {"first_day": self.first_day, "last_day": self.last_day}
        if self.widgets:
            said.append("list_contains($widgets, widget_id)")
            values["widgets"] = list(self.widgets)
        if self.types:
            said.append("list_contains($types, contact_type)")
            values["types"] = list(self.types)
        return said, values


def search_conditions(search: str, showing: Showing) -> tuple[list[str], dict[str, Any]]:
    """Contacts by phone, in whatever way it is written, or by a part of a name, in any letter case.

    Where phones are hidden, by names only, and by no digits: `Generation.has_phone` answers for whole numbers.
    """
    if not search:
        return [], {}
    if showing.mask_phones:
        return ["false" if has_digits(search) else "contains(lower(client_name), lower($search))"], (
            {} if has_digits(search) else {"search": search}
        )
    digits = "".join(character for character in search if character.isdecimal())
    if not digits or any(character.isalpha() for character in search):
        # A phone that is none may be shown as some words.
        return ["(contains(lower(client_name), lower($search)) or contains(lower(journal.phone), lower($search)))"], {
            "search": search
        }
    if whole := whole_phone(search, showing.phone_region):
        return ["journal.phone = $search"], {"search": whole}
    # A beginning as it is dialled within the country, 8 900, is a beginning with the country's own number, +7 900.
    within = phonenumbers.ndd_prefix_for_region(showing.phone_region, True) or ""
    country = str(phonenumbers.country_code_for_region(showing.phone_region))
    dialled = f"+{country}{digits.removeprefix(within)}" if within and digits.startswith(within) else None
    said = ["contains(regexp_replace(journal.phone, '[^0-9]', '', 'g'), $search)"]
    if dialled:
        said.append("starts_with(journal.phone, $dialled)")
    return [f"({' or '.join(said)})"], {"search": digits} | ({"dialled": dialled} if dialled else {})


@dataclass(frozen=True)
class JournalPage:
    """Which rows of a journal, in which order; `after` is the key of the row before the first (see `key_of`)."""

    asked: Asked
    sort: str = "time"
    is_descending: bool = True
    after: tuple[Any, ...] | None = None
    size: int = PAGE_SIZE

    def query(self, showing: Showing) -> tuple[str, dict[str, Any]]:
        said, values = self.asked.conditions()
        if self.asked.is_multichannel:
            said.append("is_multichannel")
        found, more = search_conditions(self.asked.search, showing)
        said += found
        values |= more
        sorted_by = SORTS[self.sort]
        if self.sort in TEXT_SORTS:
            sorted_by = showing.order(sorted_by)
        tie = showing.tie("contact_id")
        direction, comparison = ("desc", "<") if self.is_descending else ("asc", ">")
        if self.after is not None:
            said.append(
                f"({sorted_by}, journal.contacted_at, {tie}) {comparison} "
                f"($after_value, $after_time, {showing.tie('$after_contact::varchar')})"
            )
            # Says less, and lets whole pieces of the file be left unread.
            said.append(f"{sorted_by} {comparison}= $after_value")
            values |= dict(zip(("after_value", "after_time", "after_contact"), self.after, strict=True))
        order = f"{sorted_by} {direction}, journal.contacted_at {direction}, {tie} {direction}"
        # Which rows, by little of them, and then these rows: a third of the time of both at once.
        query = f"""
            select
                contact_id, icon, touch_count, {showing.time("journal.contacted_at")} as contacted_at, contact_type, client_name,
                phone, location, widget_name, touch_chain, duration, final_group, value,
                {sorted_by} as sort_value, journal.contacted_at as sort_time
            from journal
            where rowid in (select rowid from journal where {" and ".join(said)} order by {order} limit {self.size:d})
            order by {order}
        """
        return query, values | {"zone": showing.time_zone}


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Where a page ends that ends with this row."""
    return row["sort_value"], row["sort_time"], row["contact_id"]


def journal_counts(asked: Asked) -> tuple[str, dict[str, Any]]:
    """How many contacts and multichannel ones there are, whatever is searched for."""
    said, values = asked.conditions()
    return (
        f"""
        select coalesce(sum(contact_count), 0)::bigint as "all", coalesce(sum(multichannel_contact_count), 0)::bigint as multichannel
        from contact_counts where {" and ".join(said)}
    """,
        values,
    )


# Of several names that a site had, the latest.
def widgets(showing: Showing) -> str:
    return f"""
        select * from (
            select widget_id, arg_max(widget_name, last_day) as widget_name from (
                select widget_id, widget_name, max(contact_date) as last_day from journal group by widget_id, widget_name
            ) group by widget_id
        ) order by {showing.in_order("widget_name")}, {showing.tie("widget_id")}
    """


DAYS = "select min(metric_date) as first_day, max(metric_date) as last_day from metric_days"
CONTACT_TYPES = ("call", "form", "callback", "email", "chat")

# The client card (R17–R21)
CARD_CONTACTS = 20
CARD_HISTORY = 200


def contact(contact_id: str, showing: Showing) -> tuple[str, dict[str, Any]]:
    """The contact that an address names, and its client."""
    return (
        f"""
        select
            contact_id, client_id, contact_number, is_multichannel, not_multichannel_reason, later_touch_count, earlier_touch_count,
            left_out_direct_count, contact_type, {showing.time("contacted_at")} as contacted_at
        from journal where contact_id = $contact
    """,
        {"contact": contact_id, "zone": showing.time_zone},
    )


def client(client_id: str, showing: Showing) -> tuple[str, dict[str, Any]]:
    """A client's card: found by when the client came first (R13), as cards lie in this order in the file."""
    return (
        f"""
        select
            phone, client_name, location, {showing.time("first_touch_at")} as first_touch_at,
            {showing.shuffled("phones")} as phones, {showing.shuffled("emails")} as emails,
            {showing.shuffled("visitor_ids")} as visitor_ids, {showing.shuffled("crm_client_ids")} as crm_client_ids,
            {showing.shuffled("tied_by")} as tied_by, contact_count, multichannel_contact_count, first_contact_at as first_at, last_contact_at as last_at
        from client_card
        where client_id = $client and first_contact_at in (select contacted_at from journal where contact_id = substr($client, {len("client-") + 1}))
    """,
        {"client": client_id, "zone": showing.time_zone},
    )


def client_contacts(
    client_id: str,
    span: tuple[datetime, datetime],
    showing: Showing,
    first: int,
    size: int,
    is_multichannel: bool = False,
) -> tuple[str, dict[str, Any]]:
    """A client's contacts in order (R21), so many from the first-th on; `span` is when the first and the last of all were."""
    return (
        f"""
        select
            client_history.contact_id, client_history.contact_number, client_history.contact_type, client_history.location,
            client_history.touch_count, client_history.is_multichannel, client_history.highlight,
            {showing.time("client_history.contacted_at")} as contacted_at, journal.widget_name, journal.channels,
            journal.channel_count, journal.icon, journal.not_multichannel_reason, journal.phone, journal.final_group,
            journal.is_unique, journal.call_page, journal.duration
        from client_history inner join journal on client_history.contact_id = journal.contact_id
        where client_history.client_id = $client and journal.client_id = $client
            and client_history.contacted_at between $first_at and $last_at and journal.contacted_at between $first_at and $last_at
            {"and client_history.is_multichannel" if is_multichannel else ""}
        order by client_history.contact_number
        limit {size:d} offset {first:d}
    """,
        {"client": client_id, "first_at": span[0], "last_at": span[1], "zone": showing.time_zone},
    )


def multichannel_before(client_id: str, contact_number: int) -> tuple[str, dict[str, Any]]:
    """How many of a client's multichannel contacts come before one of the contacts."""
    return (
        """
        select count(*) as contacts from client_history
        where client_id = $client and contact_number < $number and is_multichannel
        """,
        {"client": client_id, "number": contact_number},
    )


def touches(contact_ids: list[str], showing: Showing) -> tuple[str, dict[str, Any]]:
    """The interaction histories of these contacts (R20)."""
    return (
        f"""
        select
            contact_id, touch_rank, action_type, {showing.time("touched_at")} as touched_at, location, utm_source, utm_medium,
            utm_campaign, utm_term, utm_content, channel, landing_page, device_type, visited_pages, time_on_site, visit_duration,
            page_hash, is_unique, final_group, call_page, phone, channel_told_by, channel_rule_order
        from interaction_history where list_contains($contacts, contact_id)
        order by contact_id, touch_rank
    """,
        {"contacts": contact_ids, "zone": showing.time_zone},
    )


# The data itself
LISTED = 100


def large_clients(showing: Showing) -> str:
    return f"""
        select first_contact_id, identifier_kind || ' ' || identifier as tie, contact_count, touch_count
        from _large_clients order by contact_count + touch_count desc, {showing.tie("client_id")} limit {LISTED}
    """


FAILED_LOADS = f"""
    select table_name, load_day, message from _loads
    where outcome = 'failed' and superseded_by is null and (table_name, load_day, load_id) in (
        select (table_name, load_day, max(load_id)) from _loads group by table_name, load_day
    )
    order by load_day desc, table_name limit {LISTED}
"""
REJECTED = f"""
    select table_name, reason, sum(row_count)::bigint as row_count, count(distinct load_day) as day_count, max(load_day) as last_day
    from _rejected group by table_name, reason order by row_count desc, table_name, reason limit {LISTED}
"""


def unmapped(showing: Showing) -> str:
    """What the seeds don't know: of each kind, what most contacts and touches name."""
    return f"""
        select kind, widget_id, source, medium, touch_count, contact_count, last_contact_date from unmapped_sources
        order by
            kind desc, contact_count desc, touch_count desc nulls last, {showing.tie("widget_id")}, {showing.in_order("source")},
            {showing.in_order("medium")}
        limit {LISTED}
    """


BUILDS = """
    select
        timezone($zone, started_at) as started_at, outcome, generation, data_through, is_full, reason,
        changed_touch_count, changed_contact_count, affected_client_count, affected_contact_count
    from _builds order by _builds.started_at desc limit 20
"""


# Channels and chains
SHOWN_CHANNELS = 30
SHOWN_CHAINS = 10
SHOWN_STEPS = 15


def participation(asked: Asked, is_multichannel: bool, showing: Showing) -> tuple[str, dict[str, Any]]:
    """R24, of all contacts or of multichannel ones."""
    said, values = asked.conditions()
    of = "multichannel_" if is_multichannel else ""
    return (
        f"""
        select
            channel, sum({of}contact_count)::bigint as took_part, sum({of}opened_count)::bigint as opened,
            sum({of}assisted_count)::bigint as assisted, sum({of}closed_count)::bigint as closed, sum(alone_count)::bigint as alone
        from channel_participation
        where grain = 'channel' and {" and ".join(said)}
        group by channel having took_part > 0 order by took_part desc, {showing.in_order("channel")} limit {EXPORT_LIMIT}
    """,
        values,
    )


def attribution(asked: Asked, models: list[str], showing: Showing) -> tuple[str, dict[str, Any]]:
    """Credited contacts, a column a model."""
    said, values = asked.conditions()
    columns = ", ".join(
        f"sum(credited_contacts) filter (where model = $model_{n}) as model_{n}" for n in range(len(models))
    )
    return (
        f"""
        select channel, {columns} from channel_credits where {" and ".join(said)}
        group by channel order by model_0 desc, {showing.in_order("channel")} limit {EXPORT_LIMIT}
    """,
        values | {f"model_{n}": model for n, model in enumerate(models)},
    )


# In the order of the mart's columns; credits are told by their type.
MODELS = """
    select column_name as model from duckdb_columns()
    where table_name = 'touch_credits' and data_type = 'DECIMAL(18,12)' order by column_index
"""


def performance(asked: Asked, model: str, showing: Showing) -> tuple[str, dict[str, Any]]:
    """What channels cost and earned, all sites together: sums over days, and the ratios of sums that the mart tells by day."""
    return (
        f"""
        select
            channel, sum(spend) as spend, sum(clicks)::bigint as clicks, sum(credited_contacts) as credited_contacts,
            sum(credited_value) as credited_value,
            sum(spend)::double / nullif(if(sum(spend) = 0, null, sum(credited_contacts)), 0)::double as cost_per_contact,
            sum(credited_value)::double / nullif(sum(spend), 0)::double as return_on_spend
        from channel_performance
        where model = $model and performance_date between $first_day and $last_day
        group by channel order by spend desc, credited_contacts desc, {showing.in_order("channel")} limit {EXPORT_LIMIT}
    """,
        {"model": model, "first_day": asked.first_day, "last_day": asked.last_day},
    )


def part_of_time(asked: Asked) -> str:
    """What shares are told by: days; weeks or months where that would be too many days."""
    days = (asked.last_day - asked.first_day).days
    return "day" if days <= 92 else "week" if days <= 730 else "month"


def multichannel_share(asked: Asked) -> tuple[str, dict[str, Any]]:
    """Contacts and multichannel ones by the part of time; `day` is the first of it that was asked for."""
    said, values = asked.conditions()
    return (
        f"""
        select
            greatest(date_trunc('{part_of_time(asked)}', contact_date)::date, $first_day) as day, sum(contact_count)::bigint as contacts,
            sum(multichannel_contact_count)::bigint as multichannel, multichannel / nullif(contacts, 0) as share
        from contact_counts where {" and ".join(said)} group by day order by day
    """,
        values,
    )


def chains(asked: Asked, is_multichannel: bool, showing: Showing) -> tuple[str, dict[str, Any]]:
    """R23: the chains that most contacts had."""
    said, values = asked.conditions()
    if is_multichannel:
        said.append("multichannel_contact_count > 0")
    return (
        f"""
        select chain, sum(contact_count)::bigint as contacts, sum(multichannel_contact_count)::bigint as multichannel
        from touch_chains where {" and ".join(said)}
        group by chain order by contacts desc, {showing.in_order("chain")} limit {EXPORT_LIMIT}
    """,
        values,
    )


def steps(asked: Asked, is_multichannel: bool, showing: Showing) -> tuple[str, dict[str, Any]]:
    """How often a channel followed another; none is the contact."""
    said, values = asked.conditions()
    of = "multichannel_" if is_multichannel else ""
    return (
        f"""
        select channel, next_channel, sum({of}step_count)::bigint as steps
        from channel_steps where {" and ".join(said)}
        group by channel, next_channel having steps > 0 order by steps desc, {showing.in_order("channel")}, {showing.in_order("next_channel")} limit {EXPORT_LIMIT}
    """,
        values,
    )
