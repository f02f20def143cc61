"""Chains: those that most contacts had (R23), and how channels follow one another."""

import plotly.graph_objects as plotly
import streamlit as st

from report import exports, filters, queries
from report.channels import counted
from report.choices import Choices, yes_or_no
from report.parts import Column, Row, heading, notice, shortened, table
from report.reporting import Report

# More than these are one: a picture of all could not be read.
DRAWN_CHANNELS = 8
COLORS = ("#4c78a8", "#e07b39", "#3d8f5f", "#b5566b", "#7a6fb0", "#93754a", "#3b97a3", "#a8890f")
OTHER_COLOR, CONTACT_COLOR = "#8a8f98", "#1f8a70"


def show(report: Report) -> None:
    words = report.words
    choices = Choices(
        "chains", {**filters.shared_choices(report), "multichannel": yes_or_no(True)}, report.parameters()
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        filters.choose(report, choices)
        filters.choose_quickly(report, choices)
        st.toggle(words("only_multichannel"), key=choices.key("multichannel"))
    choices.keep()
    asked = filters.chosen(choices)
    _chains(report, asked, choices["multichannel"])
    _steps(report, asked, choices["multichannel"])


def _chains(report: Report, asked: queries.Asked, is_multichannel: bool) -> None:
    words = report.words
    rows = report.rows(queries.chains(asked, is_multichannel, report.showing))
    shown = rows[: queries.SHOWN_CHAINS]
    columns = [
        Column(words("column_chain"), lambda row: row["chain"], class_="chain"),
        counted(report, "column_chain_contacts", "contacts", shown),
        Column(
            words("column_chain_multichannel"),
            lambda row: words.number(row["multichannel"]),
            True,
            value=lambda row: row["multichannel"],
        ),
    ]
    report.show(
        heading(words("chains"), words("chains_note")),
        table(words("chains"), columns, shown, words) if rows else notice(words("nothing_found")),
        notice(words("shown_first", n=words.number(len(shown)))) if len(rows) > len(shown) else None,
        key="chains",
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        exports.buttons(report, "chains", lambda: (columns, rows))


def _steps(report: Report, asked: queries.Asked, is_multichannel: bool) -> None:
    words = report.words
    rows = report.rows(queries.steps(asked, is_multichannel, report.showing))
    shown = rows[: queries.SHOWN_STEPS]
    report.show(heading(words("steps"), words("steps_note")), key="steps_title")
    if rows:
        st.plotly_chart(_flow(report, rows), alt=words("steps_alt"), config={"displayModeBar": False}, key="flow")
    columns = [
        Column(words("column_from_channel"), lambda row: row["channel"], class_="channel-name"),
        Column(
            words("column_to_channel"), lambda row: row["next_channel"] or words("the_contact"), class_="channel-name"
        ),
        counted(report, "column_steps", "steps", shown),
    ]
    report.show(
        table(words("steps"), columns, shown, words) if rows else notice(words("nothing_found")),
        notice(words("shown_first", n=words.number(len(shown)))) if len(rows) > len(shown) else None,
        key="steps",
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        exports.buttons(report, "steps", lambda: (columns, rows))


def _flow(report: Report, rows: list[Row]) -> plotly.Figure:
    """From the channel of a touch, on the left, to that of the next one or the contact, on the right."""
    words = report.words
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["channel"]] = counts.get(row["channel"], 0) + row["steps"]
    drawn = sorted(counts, key=lambda channel: (-counts[channel], channel))[:DRAWN_CHANNELS]
    places = {channel: place for place, channel in enumerate(drawn)}
    other, contact, side = len(drawn), len(drawn) + 1, len(drawn) + 2
    flows: dict[tuple[int, int], int] = {}
    for row in rows:
        after = contact if row["next_channel"] is None else places.get(row["next_channel"], other)
        flow = (places.get(row["channel"], other), side + after)
        flows[flow] = flows.get(flow, 0) + row["steps"]
    names = [*(_plain(shortened(channel, words)) for channel in drawn), words("other_channels"), words("the_contact")]
    colors = [*COLORS[: len(drawn)], OTHER_COLOR, CONTACT_COLOR]
    used = {place for flow in flows for place in flow}
    numbering = {place: number for number, place in enumerate(sorted(used))}
    return plotly.Figure(
        plotly.Sankey(
            arrangement="snap",
            node={
                "label": [names[place % side] for place in sorted(used)],
                "color": [colors[place % side] for place in sorted(used)],
                "customdata": [names[place % side] for place in sorted(used)],
                "hovertemplate": "%{customdata}: %{value:d}<extra></extra>",
                "thickness": 14,
                "pad": 12,
            },
            link={
                "source": [numbering[one] for one, _ in flows],
                "target": [numbering[other] for _, other in flows],
                "value": list(flows.values()),
                "color": [_pale(colors[one % side]) for one, _ in flows],
                "hovertemplate": "%{source.customdata} → %{target.customdata}: %{value:d}<extra></extra>",
            },
        ),
        layout={
            "font": {"size": 13, "color": "#e8eeec" if st.context.theme.type == "dark" else "#1c2522"}, "height": 460, "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        },
    )  # fmt: skip


def _plain(text: str) -> str:
    """As Plotly shows it as it is: it reads some markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _pale(color: str) -> str:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.35)"
