"""Channels: how they take part (R24), what they earn by each model, what they cost and return, and how many contacts are multichannel."""

from collections.abc import Sequence

import altair
import streamlit as st

from report import exports, filters, queries
from report.choices import Choices, one_of, yes_or_no
from report.elements import Child
from report.parts import Column, Row, heading, notice, table
from report.reporting import Report

UNATTRIBUTED = "(unattributed)"
# So few are all named below the chart.
FEW_DAYS = 12


def show(report: Report) -> None:
    words = report.words
    models = [row["model"] for row in report.generation.remembered(queries.MODELS)]
    choices = Choices(
        "channels",
        {
            **filters.shared_choices(report),
            "multichannel": yes_or_no(),
            "model": one_of(models, "linear"),
        },
        report.parameters(),
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        filters.choose(report, choices)
        filters.choose_quickly(report, choices)
        st.toggle(words("only_multichannel"), key=choices.key("multichannel"), help=words("only_multichannel_hint"))
    asked = filters.chosen(choices)
    choices.keep()
    _share(report, asked)
    _participation(report, asked, choices["multichannel"])
    _attribution(report, asked, models)
    _performance(report, asked, models, choices)
    choices.keep()


def _channel(report: Report, row: Row) -> str:
    return report.words("unattributed") if row["channel"] == UNATTRIBUTED else row["channel"]


def _listed(report: Report, name: str, title: Sequence[Child], columns: list[Column], rows: list[Row]) -> None:
    """A table of the first rows, and all of them as a file."""
    words = report.words
    shown = rows[: queries.SHOWN_CHANNELS]
    report.show(
        title,
        table(words(name), columns, shown, words) if rows else notice(words("nothing_found")),
        notice(words("shown_first", n=words.number(len(shown)))) if len(rows) > len(shown) else None,
        key=name,
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        exports.buttons(report, name, lambda: (columns, rows))


def counted(report: Report, heading_: str, name: str, rows: list[Row]) -> Column:
    """A column of whole numbers, with bars."""
    largest = max((row[name] for row in rows), default=0)
    return Column(
        report.words(heading_), lambda row: report.words.number(row[name]), is_number=True, value=lambda row: row[name],
        share=lambda row: row[name] / largest if largest else None,
    )  # fmt: skip


def _share(report: Report, asked: queries.Asked) -> None:
    words = report.words
    rows = report.rows(queries.multichannel_share(asked))
    contacts, multichannel = sum(row["contacts"] for row in rows), sum(row["multichannel"] for row in rows)
    report.show(
        heading(
            words("share_over_time"),
            words("share_of_all", share=words.percent(multichannel / contacts)) if contacts else words("nothing_found"),
        ),
        key="share",
    )
    if not rows:
        return
    part = f"axis_{queries.part_of_time(asked)}"
    told = [
        {
            "day": row["day"].isoformat(), "share": row["share"], words(part): words.day(row["day"]),
            words("axis_share"): words.percent(row["share"]), words("column_contacts"): words.number(row["contacts"]),
        }
        for row in rows
    ]  # fmt: skip
    # Told here, as Vega warns while it looks for them.
    span, top = [told[0]["day"], told[-1]["day"]], max(0.05, *(row["share"] for row in rows))
    days = "%d.%m" if words.language == "ru" else "%b %-d"
    chart = (
        altair.Chart(altair.InlineData(values=told))
        .mark_area(line=True, opacity=0.25, point=len(rows) < 2, interpolate="monotone")
        .encode(
            x=altair.X(
                "day:T",
                title=None,
                # Days are days, wherever the browser is.
                scale=altair.Scale(type="utc", domain=span),
                axis=altair.Axis(
                    format=days,
                    labelOverlap=True,
                    values=[row["day"] for row in told] if len(told) <= FEW_DAYS else altair.Undefined,
                ),
            ),
            y=altair.Y("share:Q", title=None, axis=altair.Axis(format=".0%"), scale=altair.Scale(domain=[0, top])),
            tooltip=[f"{words(name)}:N" for name in (part, "axis_share", "column_contacts")],
        )
        .properties(height=220)
    )
    st.altair_chart(chart, alt=words("share_alt"))


def _participation(report: Report, asked: queries.Asked, is_multichannel: bool) -> None:
    words = report.words
    rows = report.rows(queries.participation(asked, is_multichannel, report.showing))
    columns = [
        Column(words("column_channel"), lambda row: row["channel"], class_="channel-name"),
        *(
            counted(report, f"column_{name}", name, rows)
            for name in ("took_part", "opened", "assisted", "closed", *(() if is_multichannel else ("alone",)))
        ),
    ]
    _listed(report, "participation", heading(words("participation"), words("participation_note")), columns, rows)


def _attribution(report: Report, asked: queries.Asked, models: list[str]) -> None:
    words = report.words
    rows = report.rows(queries.attribution(asked, models, report.showing))

    def column(number: int, model: str) -> Column:
        name = f"model_{number}"
        largest = max((row[name] for row in rows if row["channel"] != UNATTRIBUTED), default=0)
        return Column(
            words.of("model", model) or model, lambda row: words.fixed(row[name], 1), is_number=True, value=lambda row: row[name],
            share=lambda row: float(row[name] / largest) if largest and row["channel"] != UNATTRIBUTED else None,
        )  # fmt: skip

    columns = [
        Column(words("column_channel"), lambda row: _channel(report, row), class_="channel-name"),
        *(column(number, model) for number, model in enumerate(models)),
    ]
    _listed(report, "attribution", heading(words("attribution"), words("attribution_note")), columns, rows)


def _performance(report: Report, asked: queries.Asked, models: list[str], choices: Choices) -> None:
    words = report.words
    report.show(heading(words("performance"), words("performance_note")), key="performance_title")
    st.selectbox(
        words("model"),
        models,
        key=choices.key("model"),
        format_func=lambda model: words.of("model", model) or model,
        width=260,
    )
    rows = report.rows(queries.performance(asked, choices["model"], report.showing))
    columns = [
        Column(words("column_channel"), lambda row: _channel(report, row), class_="channel-name"),
        Column(words("column_spend"), lambda row: words.money(row["spend"] or None, report.currency, 0), True, value=lambda row: row["spend"]),
        Column(
            words("column_contacts"), lambda row: words.fixed(row["credited_contacts"], 1), True,
            value=lambda row: row["credited_contacts"],
        ),
        Column(
            words("column_value"), lambda row: words.money(row["credited_value"] or None, report.currency, 0), True,
            value=lambda row: row["credited_value"],
        ),
        Column(
            words("column_cost_per_contact"), lambda row: words.money(row["cost_per_contact"], report.currency, 0), True,
            value=lambda row: row["cost_per_contact"],
        ),
        Column(
            words("column_return"), lambda row: words.fixed(row["return_on_spend"], 2), True, value=lambda row: row["return_on_spend"]
        ),
    ]  # fmt: skip
    _listed(report, "performance", [], columns, rows)
