"""Parts that several pages have: tables, icons, hints, facts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from report.elements import Child, Node, element
from report.words import Words

Row = dict[str, Any]

# What is longer is cut where it is shown; files have all of it.
LONGEST_TEXT = 300
LONGEST_LIST = 100
READ_ALOUD = ("title", "aria-label")


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and what a cell of it shows. With `sort` it can be sorted by that."""

    heading: str
    cell: Callable[[Row], Child | Iterable[Child]]
    is_number: bool = False
    sort: str | None = None
    class_: str | None = None
    share: Callable[[Row], float | None] | None = None
    """How far a bar behind the cell reaches, from 0 to 1."""
    value: Callable[[Row], Any] | None = None
    """What an exported file holds instead of a text: a number, a day or a time."""


@dataclass(frozen=True)
class Sorted:
    """What a table is sorted by."""

    by: str
    is_descending: bool


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Row],
    words: Words,
    sorted_by: Sorted | None = None,
    row_class: Callable[[Row], str | None] = lambda row: None,
) -> Node:
    """A table that scrolls sideways where it is too wide, and becomes a list of cards on a phone."""
    return element(
        "div",
        element(
            "table",
            element("caption", caption, class_="unseen"),
            element("thead", element("tr", [_heading(column, sorted_by, words) for column in columns])),
            element(
                "tbody",
                [element("tr", [_cell(column, row) for column in columns], class_=row_class(row)) for row in rows],
            ),
        ),
        class_="scrolling",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _heading(column: Column, sorted_by: Sorted | None, words: Words) -> Node:
    class_ = "number" if column.is_number else column.class_
    if column.sort is None:
        return element("th", column.heading, scope="col", class_=class_)
    is_sorted = sorted_by is not None and sorted_by.by == column.sort
    arrow = ("↓" if sorted_by and sorted_by.is_descending else "↑") if is_sorted else "↕"
    button = element(
        "button",
        element("span", column.heading),
        element("span", arrow, aria_hidden="true", class_="arrow"),
        type="button",
        title=words("sort_by", column=column.heading),
        event={"sort": column.sort},
        data_key=f"sort-{column.sort}",
    )
    direction = ("descending" if sorted_by and sorted_by.is_descending else "ascending") if is_sorted else None
    return element("th", button, scope="col", class_=class_, aria_sort=direction)


def _cell(column: Column, row: Row) -> Node:
    shown = column.cell(row)
    share = column.share(row) if column.share else None
    return element(
        "td",
        [] if shown is None else shown,
        class_=" ".join(filter(None, ("number" if column.is_number else None, column.class_, "bar" if share else None)))
        or None,
        data_label=column.heading,
        share=share,
    )


def icon(kind: str, touch_count: int) -> Node:
    """One of the journal's three icons (R6): shapes that differ without colour, too."""
    if kind == "multichannel":
        drawing = [
            element("path", d="M5 6 L12 18 L19 6"),
            *(element("circle", cx=x, cy=y, r="3") for x, y in (("5", "6"), ("19", "6"), ("12", "18"))),
        ]
    elif kind == "single_channel":
        drawing = [element("path", d="M2 12 L22 12"), element("circle", cx="12", cy="12", r="5")]
    else:
        drawing = [element("circle", cx="12", cy="12", r="7"), element("path", d="M7 17 L17 7")]
    number = element("span", str(touch_count), class_="count") if kind == "multichannel" else None
    svg = element("svg", drawing, viewBox="0 0 24 24", aria_hidden="true")
    return element("span", svg, number, class_=f"icon {kind}")


def icon_label(words: Words, kind: str, touch_count: int) -> str:
    if kind == "no_touches":
        return words("icon_label_no_touches")
    return words.count(f"icon_label_{kind}", touch_count)


def hint(text: str, listed: Sequence[str], key: str) -> Node:
    """A word that says more when it is hovered over or focused."""
    return element(
        "span",
        element("span", text, tabindex="0", aria_describedby=key, class_="hinted"),
        element("span", element("ul", [element("li", line) for line in listed]), role="tooltip", id=key, class_="tip"),
        class_="hint",
    )


def facts(pairs: Iterable[tuple[str, Child | Iterable[Child]]], class_: str = "facts") -> Node:
    """Names and what they are, below or beside one another."""
    return element(
        "dl",
        [element("div", element("dt", name), element("dd", [] if said is None else said)) for name, said in pairs],
        class_=class_,
    )


def lines(texts: Sequence[str] | None) -> Child:
    return element("ul", [element("li", text) for text in texts], class_="lines") if texts else None


def heading(text: str, note: str | None = None) -> list[Node]:
    return [element("h2", text), *([element("p", note, class_="note")] if note else [])]


def notice(text: str) -> Node:
    return element("p", text, class_="notice")


def shortened(text: str, words: Words) -> str:
    """The beginning of a long text, and how long the whole is."""
    if len(text) <= LONGEST_TEXT:
        return text
    return words("shortened", beginning=text[:LONGEST_TEXT].rstrip(), length=words.count("characters", len(text)))


def shortened_nodes(child: Any, words: Words) -> Any:
    """The same of every text of nodes, and of what is read aloud; and the first items of long lists."""
    if isinstance(child, str):
        return shortened(child, words)
    if not isinstance(child, list | tuple):
        return child
    if len(child) > 1 and isinstance(child[1], dict):
        tag, attributes, *children = child
        attributes = attributes | {
            name: shortened(attributes[name], words) for name in READ_ALOUD if name in attributes
        }
        if tag == "ul" and len(children) > LONGEST_LIST:
            more = element("li", words.count("more_lines", len(children) - LONGEST_LIST), class_="note")
            children = [*children[:LONGEST_LIST], more]
        return [tag, attributes, *(shortened_nodes(each, words) for each in children)]
    return [shortened_nodes(each, words) for each in child]
