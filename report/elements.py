"""What pages are made of beside Streamlit's own widgets: tables, cards and trees, described as nodes that the browser builds.

A node is `["tag", {attributes}, children …]`; a child is a node or a text. Texts never become markup, so that whatever a
delivery says is shown as it is. An `event` among the attributes is what Python is told when somebody clicks there.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

Node = list[Any]
Child = Node | str | None

FOLDER = Path(__file__).parent


def element(tag: str, *children: Child | Iterable[Child], **attributes: Any) -> Node:
    """A node. Attributes: `class_` is class, `aria_label` aria-label; none and false ones are left out."""
    named = {
        name.rstrip("_").replace("_", "-") if name != "viewBox" else name: "" if value is True else value
        for name, value in attributes.items()
        if value is not None and value is not False
    }
    return [tag, named, *_flat(children)]


def _flat(children: Iterable[Any]) -> Iterable[Child]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, str) or (isinstance(child, list) and len(child) > 1 and isinstance(child[1], dict)):
            yield child
        else:
            yield from _flat(child)


def address(page: str, parameters: Mapping[str, Any]) -> str:
    """A link to a page of the report that can be shared."""
    return f"{page}?{urlencode({name: value for name, value in parameters.items() if value is not None}, doseq=True)}"


@st.cache_resource
def _component() -> Any:
    return st.components.v2.component(
        "multichannel_elements",
        html='<div class="elements"></div>',
        css=(FOLDER / "elements.css").read_text("utf-8"),
        js=(FOLDER / "elements.js").read_text("utf-8"),
    )


def show(
    nodes: Iterable[Child | Iterable[Child]],
    key: str,
    page: dict[str, Any],
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Shows nodes; `on_event` is told of the event that was clicked there, before the page is made anew.

    `page` is what the whole page is of: its `generation`, `language`, and `run`, how often the visitor has had it made.
    """

    def told() -> None:
        event = st.session_state[key].get("event")
        if on_event and event:
            on_event(dict(event))

    data = {"nodes": list(_flat(nodes)), **page}
    _component()(data=data, key=key, on_event_change=told)
