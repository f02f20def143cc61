"""The client card (R17–R21): who a client is, what led to each multichannel contact, and all that the client did.

Its address names a contact, not the client: clients are renamed as they merge, contacts never are.
"""

from datetime import datetime
from typing import Any

import streamlit as st

from report import exports, queries
from report.choices import Choices, one_of, some_text
from report.elements import Child, Node, element
from report.parts import Column, Row, facts, hint, icon, icon_label, lines, notice, table
from report.reporting import Report

TABS = {"multichannel": "tab_card_multichannel", "history": "tab_card_history"}


def show(report: Report) -> None:
    words = report.words
    choices = Choices(
        "card",
        {"contact": some_text(clean=report.generation.mask.text), "tab": one_of(list(TABS), "multichannel")},
        report.parameters(),
    )
    st.button(words("to_journal"), icon=":material/arrow_back:", type="tertiary", on_click=report.go, args=("journal",))
    found = report.rows(queries.contact(choices["contact"], report.showing)) if choices["contact"] else []
    if not found:
        choices.keep()
        report.show(notice(words("unknown_contact" if choices["contact"] else "choose_contact")), key="no_contact")
        return
    contact = found[0]
    client = report.rows(queries.client(contact["client_id"], report.showing))[0]
    report.show(_header(report, client), key="card_header")
    st.segmented_control(
        words("page_card"), list(TABS), key=choices.key("tab"), format_func=lambda tab: words(TABS[tab]), required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    choices.keep()

    def go(event: dict[str, Any]) -> None:
        choices.set("contact", event["contact"])
        choices.set("tab", event["tab"])

    if choices["tab"] == "multichannel":
        _multichannel(report, contact, client, go)
    else:
        _history(report, contact, client, go)


def _header(report: Report, client: Row) -> list[Node]:
    words = report.words
    counts = element(
        "p",
        words.count("client_contact_count", client["contact_count"]),
        " · ",
        words.count("client_multichannel_count", client["multichannel_contact_count"]),
        class_="counts",
    )
    more = [
        ("other_phones", client["phones"]),
        ("client_emails", client["emails"]),
        ("client_visitor_ids", client["visitor_ids"]),
        ("client_crm_ids", client["crm_client_ids"]),
        ("client_tied_by", client["tied_by"]),
    ]
    return [
        element(
            "header",
            facts(
                [
                    (words("client_phone"), element("strong", client["phone"] or words("no_phone"))),
                    (words("client_first_touch"), words.time(client["first_touch_at"]) or words("no_touch_yet")),
                    (words("client_name"), element("strong", client["client_name"])),
                    (words("client_location"), client["location"]),
                ],
                class_="facts client",
            ),
            counts,
            _unfolding(
                words("client_more"), facts((words(name), lines(said)) for name, said in more if said), "client"
            ),
            class_="card",
        )
    ]


def _unfolding(title: str, inner: Child, key: str, is_open: bool = False, class_: str = "more") -> Node:
    return element("details", element("summary", title), inner, class_=class_, data_key=key, open=is_open)


def _multichannel(report: Report, contact: Row, client: Row, go: Any) -> None:
    """A branch per multichannel contact, under it the touches that led to it (R20)."""
    words = report.words
    starts = part_starts(client["multichannel_contact_count"], queries.CARD_CONTACTS)
    first = 0
    if len(starts) > 1:
        before = report.rows(queries.multichannel_before(contact["client_id"], contact["contact_number"]))[0][
            "contacts"
        ]
        first = _part(report, contact, "branches", client["multichannel_contact_count"], starts, before)
    contacts = report.rows(
        queries.client_contacts(
            contact["client_id"], _span(client), report.showing, first, queries.CARD_CONTACTS, is_multichannel=True
        )
    )
    touches: dict[str, list[Row]] = {}
    for touch in (
        report.rows(queries.touches([each["contact_id"] for each in contacts], report.showing)) if contacts else []
    ):
        touches.setdefault(touch["contact_id"], []).append(touch)
    report.show(
        None if contact["is_multichannel"] else _why_not(report, contact),
        element(
            "ul",
            [
                _branch(report, each, touches[each["contact_id"]], each["contact_id"] == contact["contact_id"])
                for each in contacts
            ],
            class_="tree",
        )
        if contacts
        else notice(words("no_multichannel_yet")),
        key="card_multichannel",
        on_event=go,
    )


def _why_not(report: Report, contact: Row) -> Node:
    words = report.words
    reasons = [words(f"reason_{contact['not_multichannel_reason']}")]
    reasons += [
        words(name, n=words.number(contact[column]))
        for name, column in (
            ("later_touches", "later_touch_count"),
            ("earlier_touches", "earlier_touch_count"),
            ("left_out_direct", "left_out_direct_count"),
        )
        if contact[column]
    ]
    what = f"{words.of('contact_type', contact['contact_type'])}, {words.time(contact['contacted_at'])}"
    return element(
        "section",
        element("h2", words("not_multichannel")),
        element("p", what),
        element("ul", [element("li", reason) for reason in reasons]),
        class_="card why",
    )


def _branch(report: Report, contact: Row, touches: list[Row], is_open: bool) -> Node:
    words = report.words
    identity = contact["contact_id"]
    title = element(
        "summary",
        element(
            "span",
            icon("multichannel", contact["touch_count"]),
            title=icon_label(words, "multichannel", contact["touch_count"]),
        ),
        element("strong", words.of("contact_type", contact["contact_type"])),
        element("time", words.time(contact["contacted_at"]), datetime=contact["contacted_at"].isoformat()),
        element("span", contact["location"], class_="place"),
        element("span", contact["phone"] or words("no_phone"), class_="phone"),
        hint(
            words.count("source_count", contact["channel_count"]),
            contact["channels"],
            f"channels-{contact['contact_number']}",
        ),
    )
    left_out = contact["touch_count"] - len(touches)
    return element(
        "li",
        element(
            "details",
            title,
            notice(words("kept_touches", n=words.number(len(touches)), total=words.number(contact["touch_count"])))
            if left_out
            else None,
            element("ol", [_touch(report, touch) for touch in touches], class_="touches"),
            class_="branch",
            data_key=identity,
            data_contact=identity,
            open=is_open,
        ),
    )


def _touch(report: Report, touch: Row) -> Node:
    words = report.words
    place = (
        element("span", touch["location"], class_="place")
        if touch["location"]
        else element(
            "span",
            element("svg", element("circle", cx="12", cy="10", r="4"), element("path", d="M5 20 L19 4"), viewBox="0 0 24 24", aria_hidden="true"),
            element("span", words("no_location"), class_="unseen"),
            class_="place none", title=words("no_location"),
        )
    )  # fmt: skip
    rule = touch["channel_rule_order"]
    told_by = [
        words.of("told_by", touch["channel_told_by"]),
        words("by_channel_rule", n=rule) if rule is not None else None,
    ]
    more = [
        ("touch_device_type", touch["device_type"]),
        ("touch_visited_pages", lines(touch["visited_pages"])),
        ("touch_time_on_site", words.duration(touch["time_on_site"])),
        ("touch_utm_content", touch["utm_content"]),
        ("touch_visit_duration", words.duration(touch["visit_duration"])),
        ("touch_page_hash", touch["page_hash"]),
        ("contact_is_unique", words.boolean(touch["is_unique"])),
        ("contact_final_group", touch["final_group"]),
        ("contact_call_page", touch["call_page"]),
        ("contact_phone", touch["phone"]),
        ("touch_told_by", ", ".join(filter(None, told_by))),
    ]
    tags = [
        (words(f"touch_{name}"), touch[name] or element("span", words("no_value"), class_="none"))
        for name in ("utm_source", "utm_medium", "utm_campaign", "utm_term", "landing_page")
    ]
    return element(
        "li",
        element(
            "div",
            element("strong", words.of("action", touch["action_type"])),
            element("time", words.time(touch["touched_at"]), datetime=touch["touched_at"].isoformat()),
            place,
            element("span", touch["channel"], class_="channel"),
            class_="touch",
        ),
        facts(tags, "facts tags"),
        _unfolding(
            words("touch_more"),
            facts((words(name), said or element("span", words("no_value"), class_="none")) for name, said in more),
            f"{touch['contact_id']}-{touch['touch_rank']}",
        ),
        data_touch=str(touch["touch_rank"]),
    )


def _history(report: Report, contact: Row, client: Row, go: Any) -> None:
    """All of the client's contacts in order (R21)."""
    words = report.words
    starts = part_starts(client["contact_count"], queries.CARD_HISTORY)
    first = 0
    if len(starts) > 1:
        first = _part(report, contact, "history", client["contact_count"], starts, contact["contact_number"] - 1)
    rows = report.rows(
        queries.client_contacts(contact["client_id"], _span(client), report.showing, first, queries.CARD_HISTORY)
    )

    def what(row: Row) -> list[Child]:
        label = icon_label(words, row["icon"], row["touch_count"])
        return [
            element(
                "a", icon(row["icon"], row["touch_count"]), element("span", words("show_history") if row["is_multichannel"] else label),
                href=report.address("card", contact=row["contact_id"], tab="multichannel"),
                event={"contact": row["contact_id"], "tab": "multichannel"}, class_="leading", data_key=f"history-{row['contact_id']}",
            )
        ]  # fmt: skip

    columns = [
        Column(words("column_number"), lambda row: words.number(row["contact_number"]), is_number=True),
        Column(
            words("column_time"),
            lambda row: words.time(row["contacted_at"]),
            class_="time",
            value=lambda row: row["contacted_at"],
        ),
        Column(words("column_type"), lambda row: words.of("contact_type", row["contact_type"])),
        Column(words("column_location"), lambda row: row["location"]),
        Column(words("column_widget"), lambda row: row["widget_name"]),
        Column(
            words("column_touches"),
            lambda row: words.number(row["touch_count"]),
            is_number=True,
            value=lambda row: row["touch_count"],
        ),
        Column(
            words("show_history"),
            what,
            class_="icons",
            value=lambda row: words.of("reason", row["not_multichannel_reason"]),
        ),
    ]
    report.show(
        table(
            words("tab_card_history"), columns, rows, words,
            row_class=lambda row: " ".join(
                filter(None, (row["highlight"], "opened" if row["contact_id"] == contact["contact_id"] else None))
            ) or None,
        ),
        key="card_history",
        on_event=go,
    )  # fmt: skip
    with st.container(horizontal=True, horizontal_alignment="right"):
        whole = queries.client_contacts(contact["client_id"], _span(client), report.showing, 0, queries.EXPORT_LIMIT)
        exports.buttons(report, "card", lambda: (columns, report.rows(whole)))


def _span(client: Row) -> tuple[datetime, datetime]:
    return client["first_at"], client["last_at"]


def part_starts(count: int, size: int) -> list[int]:
    """Where the parts of a long list begin: after each `size` of them."""
    return list(range(0, count, size))


def part_with(starts: list[int], place: int) -> int:
    """The part that holds this place of the list, counted from 0; beyond the end, the last one."""
    return max(start for start in starts if start <= place)


def _part(report: Report, contact: Row, name: str, count: int, starts: list[int], wanted: int) -> int:
    """Which part of a long list is shown: the one with the contact asked for, until another is chosen. Gives its beginning."""
    words = report.words
    key = f"card_{name}_part"
    # Streamlit forgets what isn't shown for a while.
    if key not in st.session_state or st.session_state.get(f"{key}_of") != (contact["contact_id"], count):
        st.session_state[f"{key}_of"] = (contact["contact_id"], count)
        st.session_state[key] = part_with(starts, wanted)

    def span(start: int) -> str:
        last = min(start + starts[1], count)
        return words("shown_of", first=words.number(start + 1), last=words.number(last), total=words.number(count))

    return int(st.selectbox(words("part_of_list"), starts, key=key, format_func=span, width=260))
