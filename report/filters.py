"""What all reports are asked for: sites and a period of report dates (R22)."""

from datetime import date, timedelta

import streamlit as st

from report import queries
from report.choices import Choice, Choices, period, some_of
from report.reporting import Report

USUAL_DAYS = 30
QUICK_PERIODS = {"last_7_days": 7, "last_30_days": 30, "last_90_days": 90, "whole_time": None}


def shared_choices(report: Report) -> dict[str, Choice]:
    first, last = _bounds(report)
    return {
        "widget": some_of(list(report.widgets)),
        "period": period(first, last, (max(first, last - timedelta(days=USUAL_DAYS - 1)), last)),
    }


def choose(report: Report, choices: Choices) -> None:
    """Shows the widgets that choose them."""
    words = report.words
    first, last = _bounds(report)
    st.multiselect(
        words("widgets"), list(report.widgets), key=choices.key("widget"), placeholder=words("all_widgets"), select_all=False,
        format_func=lambda widget: report.widgets.get(widget, widget),
    )  # fmt: skip
    st.date_input(
        words("period"), key=choices.key("period"), min_value=first, max_value=last,
        format="DD.MM.YYYY" if words.language == "ru" else "YYYY-MM-DD",
    )  # fmt: skip


def choose_quickly(report: Report, choices: Choices) -> None:
    """Usual periods, up to the last day there is."""
    words = report.words
    first, last = _bounds(report)

    def take() -> None:
        chosen = st.session_state.get(quick)
        if chosen:
            days = QUICK_PERIODS[chosen]
            choices.set("period", (max(first, last - timedelta(days=days - 1)) if days else first, last))

    quick = f"{choices.key('period')}_quick"
    st.session_state[quick] = next(
        (
            name
            for name, days in QUICK_PERIODS.items()
            if tuple(choices["period"]) == (max(first, last - timedelta(days=days - 1)) if days else first, last)
        ),
        None,
    )
    st.pills(
        words("quick_period"),
        list(QUICK_PERIODS),
        format_func=words,
        key=quick,
        on_change=take,
        label_visibility="collapsed",
    )


def chosen(choices: Choices) -> queries.Asked:
    """While a period is half chosen, it is one day."""
    days = choices["period"]
    return queries.Asked(tuple(choices["widget"]), days[0], days[-1])


def _bounds(report: Report) -> tuple[date, date]:
    days = report.generation.remembered(queries.DAYS)[0]
    last = report.generation.data_through or date.today()
    return min(days["first_day"] or last, last), last
