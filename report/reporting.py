"""What every page has at hand while it is made: one generation of the data, one language, and how things are shown."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import streamlit as st

from pipeline.settings import ReportSettings
from report import elements, queries
from report.masking import PHONE_SEARCHES, whole_phone
from report.parts import shortened, shortened_nodes
from report.published import Generation
from report.words import Words


@dataclass(frozen=True)
class Report:
    generation: Generation
    words: Words
    settings: ReportSettings
    run: int

    @cached_property
    def showing(self) -> queries.Showing:
        rules = self.generation.settings
        return queries.Showing(
            rules["report_timezone"],
            rules["default_phone_region"],
            self.settings.mask_phones,
            self.generation.mask.key if self.settings.mask_phones else "",
        )

    @property
    def currency(self) -> str:
        return str(self.generation.settings["report_currency"])

    @cached_property
    def widgets(self) -> dict[str, str]:
        """Names of sites by id; those of the same name say their ids, too."""
        rows = self.generation.remembered(queries.widgets(self.showing))
        times = Counter(row["widget_name"] for row in rows)
        names = {
            row["widget_id"]: row["widget_name"]
            if times[row["widget_name"]] == 1
            else f"{row['widget_name']} ({row['widget_id']})"
            for row in rows
        }
        return {widget_id: shortened(name, self.words) for widget_id, name in names.items()}

    def rows(self, question: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        return self.generation.rows(*question)

    def look_up(self, typed: str) -> str:
        """The word for whether a phone is in the data: all that is said of it where phones are hidden, and seldom enough."""
        phone = whole_phone(typed, self.showing.phone_region)
        if phone is None:
            return "phone_not_whole"
        if not PHONE_SEARCHES.is_allowed():
            return "phone_searches_used_up"
        return "phone_found" if self.generation.has_phone(phone) else "phone_not_found"

    def show(self, *nodes: Any, key: str, on_event: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Shows nodes; `on_event` is told of what is clicked there."""
        nodes = shortened_nodes(nodes, self.words)
        page = {"generation": self.generation.number, "language": self.words.language, "run": self.run}
        elements.show(nodes, key, page, on_event)

    def go(self, page: str, **said: Any) -> None:
        """Has another page made instead of this one, with this in its address. For what is called when something is clicked."""
        st.session_state["going"] = page, self.parameters(**said)

    def parameters(self, **said: Any) -> dict[str, str]:
        """What an address says; the language goes with it if it was chosen."""
        lang = {"lang": self.words.language} if self.words.language != self.settings.language else {}
        return lang | {name: str(value) for name, value in said.items() if value is not None}

    def address(self, page: str, **said: Any) -> str:
        """A link that can be shared."""
        return elements.address(page, self.parameters(**said))
