"""The journal (R22): every contact of the sites and days asked for, multichannel ones with the number of their touches."""

from dataclasses import replace
from typing import Any

import streamlit as st

from report import exports, filters, queries
from report.choices import Choices, one_of, some_of, some_text
from report.elements import Node, element
from report.masking import has_digits
from report.parts import Column, Row, Sorted, icon, icon_label, notice, table
from report.reporting import Report

LONGEST_SEARCH = 200
TABS = {"all": "tab_all_contacts", "multichannel": "tab_multichannel"}


def show(report: Report) -> None:
    words = report.words
    choices = Choices(
        "journal",
        {
            **filters.shared_choices(report),
            "type": some_of(queries.CONTACT_TYPES),
            # A hidden phone stands in no address, and nothing is sought by one there.
            "search": some_text(
                LONGEST_SEARCH, lambda text: "" if report.settings.mask_phones and has_digits(text) else text
            ),
            "tab": one_of(list(TABS), "all"),
            # The order of phones would tell what a mask hides.
            "sort": one_of(
                [sort for sort in queries.SORTS if sort != "phone" or not report.settings.mask_phones], "time"
            ),
            "order": one_of(["descending", "ascending"], "descending"),
        },
        report.parameters(),
    )

    def look_up() -> None:
        """Takes a phone out of the field and keeps the answer alone."""
        typed = st.session_state[choices.key("search")] or ""
        if report.settings.mask_phones and has_digits(typed):
            st.session_state["phone_search"] = report.look_up(typed)
            st.session_state[choices.key("search")] = ""

    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        filters.choose(report, choices)
        st.multiselect(
            words("types"), queries.CONTACT_TYPES, key=choices.key("type"), placeholder=words("all_types"), select_all=False,
            format_func=lambda kind: words.of("contact_type", kind) or kind,
        )  # fmt: skip
        st.text_input(
            words("search"), key=choices.key("search"), type="search", max_chars=LONGEST_SEARCH, on_change=look_up,
            placeholder=words("search_hint_masked" if report.settings.mask_phones else "search_hint"),
        )  # fmt: skip
    asked = replace(filters.chosen(choices), types=tuple(choices["type"]), search=choices["search"])
    counts = report.rows(queries.journal_counts(asked))[0]
    with st.container(horizontal=True, horizontal_alignment="distribute", key="tabs"):
        st.segmented_control(
            words("page_journal"), list(TABS), key=choices.key("tab"), required=True, label_visibility="collapsed",
            format_func=lambda tab: f"{words(TABS[tab])} · {words.number(counts[tab])}",
        )  # fmt: skip
        filters.choose_quickly(report, choices)
    choices.keep()
    asked = replace(asked, is_multichannel=choices["tab"] == "multichannel")
    total = None if asked.search else counts[choices["tab"]]

    ordered = (asked, choices["sort"], choices["order"])
    # Where pages begin: each behind the last row of the one before.
    if st.session_state.get("journal_ordered") != ordered:
        st.session_state["journal_ordered"], st.session_state["journal_pages"] = ordered, [None]
    begins = st.session_state["journal_pages"]
    page = queries.JournalPage(
        asked, choices["sort"], choices["order"] == "descending", begins[-1], queries.PAGE_SIZE + 1
    )
    rows = report.rows(page.query(report.showing))
    is_more, rows = len(rows) > queries.PAGE_SIZE, rows[: queries.PAGE_SIZE]

    # Which page that is was decided when the button was shown: two clicks on it are one.
    def show_page(pages: list[tuple[Any, ...] | None]) -> None:
        st.session_state["journal_pages"] = pages

    def follow(event: dict[str, Any]) -> None:
        if "contact" in event:
            report.go("card", contact=event["contact"], tab=event["tab"])
        elif "sort" in event:
            turns = event["sort"] == choices["sort"] and choices["order"] == "descending"
            choices.set("sort", event["sort"])
            choices.set("order", "ascending" if turns else "descending")

    answer = st.session_state.pop("phone_search", None)
    report.show(
        notice(words(answer)) if answer else None,
        _legend(report),
        _journal(report, rows, Sorted(choices["sort"], page.is_descending)) if rows else notice(words("nothing_found")),
        key="journal",
        on_event=follow,
    )
    with st.container(horizontal=True, vertical_alignment="center", key="pager"):
        st.button(
            words("previous_page"),
            icon=":material/chevron_left:",
            disabled=len(begins) == 1,
            on_click=show_page,
            args=(begins[:-1] or [None],),
        )
        if rows:
            first = (len(begins) - 1) * queries.PAGE_SIZE + 1
            numbers = {"first": words.number(first), "last": words.number(first + len(rows) - 1)}
            st.text(
                words("shown", **numbers) if total is None else words("shown_of", **numbers, total=words.number(total))
            )
        st.button(
            words("next_page"), icon=":material/chevron_right:", icon_position="right", disabled=not is_more,
            on_click=show_page, args=([*begins, queries.key_of(rows[-1])] if rows else begins,),
        )  # fmt: skip
        st.space("stretch")
        exports.buttons(
            report,
            "journal",
            lambda: (
                _columns(report),
                report.rows(replace(page, after=None, size=queries.EXPORT_LIMIT).query(report.showing)),
            ),
        )


def _columns(report: Report) -> list[Column]:
    words = report.words

    def opens(row: Row) -> Node:
        tab = "multichannel" if row["icon"] == "multichannel" else "history"
        label = f"{words('open_card')}: {icon_label(words, row['icon'], row['touch_count'])}"
        return element(
            "a", icon(row["icon"], row["touch_count"]),
            href=report.address("card", contact=row["contact_id"], tab=tab), event={"contact": row["contact_id"], "tab": tab},
            aria_label=label, title=label, data_key=f"open-{row['contact_id']}",
        )  # fmt: skip

    return [
        Column(words("column_icon"), opens, sort="touches", class_="icons", value=lambda row: row["touch_count"]),
        Column(
            words("column_time"),
            lambda row: words.time(row["contacted_at"]),
            sort="time",
            class_="time",
            value=lambda row: row["contacted_at"],
        ),
        Column(words("column_type"), lambda row: words.of("contact_type", row["contact_type"]), sort="type"),
        Column(words("column_client"), lambda row: row["client_name"], sort="client"),
        Column(
            words("column_phone"),
            lambda row: row["phone"],
            sort=None if report.settings.mask_phones else "phone",
            class_="phone",
        ),
        Column(words("column_location"), lambda row: row["location"], sort="location"),
        Column(words("column_widget"), lambda row: row["widget_name"], sort="widget"),
        Column(words("column_chain"), lambda row: row["touch_chain"], class_="chain"),
        Column(
            words("column_duration"),
            lambda row: words.duration(row["duration"]),
            sort="duration",
            is_number=True,
            value=lambda row: row["duration"],
        ),
        Column(words("column_final_group"), lambda row: row["final_group"]),
        Column(
            words("column_value"),
            lambda row: words.money(row["value"], report.currency),
            sort="value",
            is_number=True,
            value=lambda row: row["value"],
        ),
    ]


def _journal(report: Report, rows: list[Row], sorted_by: Sorted) -> Node:
    return table(
        report.words("page_journal"), _columns(report), rows, report.words, sorted_by,
        row_class=lambda row: "multichannel-row" if row["icon"] == "multichannel" else None,
    )  # fmt: skip


def _legend(report: Report) -> Node:
    words = report.words
    return element(
        "ul",
        [
            element("li", icon(kind, 3), element("span", words(f"icon_{kind}")))
            for kind in ("multichannel", "single_channel", "no_touches")
        ],
        class_="legend",
        aria_label=words("legend"),
    )
