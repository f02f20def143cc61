"""What is chosen on a page: it stands in the page's address, is shown by widgets, and can be shared with the address."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import streamlit as st

LONGEST_ADDRESS = 20_000


@dataclass(frozen=True)
class Choice:
    """How a value is read out of an address (nothing if it says nothing usable), and written into one."""

    default: Any
    read: Callable[[Sequence[str]], Any]
    write: Callable[[Any], list[str]]
    allowed: Callable[[Any], Any]
    """What of a value is still possible: sites and days come and go with the data."""


def one_of(options: Sequence[str], default: str | None) -> Choice:
    def allowed(value: Any) -> Any:
        return value if value in options else default

    return Choice(default, lambda texts: texts[-1], lambda value: [value], allowed)


def some_of(options: Sequence[str]) -> Choice:
    """None chosen means all of them."""

    def allowed(values: Any) -> list[str]:
        return [value for value in dict.fromkeys(values or ()) if value in options]

    return Choice([], list, list, allowed)


def yes_or_no(default: bool = False) -> Choice:
    return Choice(default, lambda texts: texts[-1] == "yes", lambda value: ["yes" if value else "no"], bool)


def some_text(longest: int = LONGEST_ADDRESS, clean: Callable[[str], str] = str) -> Choice:
    def allowed(value: Any) -> str:
        return clean(str(value or "").replace("\0", "").strip()[:longest])

    return Choice("", lambda texts: texts[-1], lambda value: [value], allowed)


def period(first: date, last: date, default: tuple[date, date]) -> Choice:
    """A first and a last day, both between these."""

    def read(texts: Sequence[str]) -> Any:
        try:
            days = [date.fromisoformat(text) for text in texts]
        except ValueError:
            return None
        return tuple(days) if len(days) in (1, 2) else None

    def allowed(value: Any) -> tuple[date, ...]:
        # While somebody chooses, there is only a first day.
        days = tuple(value or ())
        if not days or days[0] > days[-1] or days[0] > last or days[-1] < first:
            return default
        return tuple(min(max(day, first), last) for day in days)

    return Choice(default, read, lambda value: [day.isoformat() for day in value], allowed)


class Choices:
    """The choices of one page: as its address says or, for who comes back from another page by its name, as they were left."""

    def __init__(self, page: str, choices: dict[str, Choice], others: dict[str, str]) -> None:
        """`others` is what addresses say on every page."""
        self._page = page
        self._others = others
        self._choices = choices
        kept = st.session_state.setdefault("kept_choices", {}).setdefault(page, {})
        last = st.session_state.get("address", ("", {}))
        is_new = last != self._address()
        comes_back = last[0] != page and not any(name in st.query_params for name in choices)
        for name, choice in choices.items():
            if is_new and comes_back:
                value = kept.get(name)
            elif is_new:
                texts = st.query_params.get_all(name)
                value = choice.read(texts) if texts else None
            else:
                value = st.session_state.get(self.key(name))
            # What was the default stays the default, as days go by.
            was_default = value is not None and value == kept.get(f"default {name}")
            value = choice.default if value is None or was_default else choice.allowed(value)
            kept[f"default {name}"] = choice.default
            # Only what is another, or the widget would take back what somebody is just writing.
            if self.key(name) not in st.session_state or st.session_state[self.key(name)] != value:
                st.session_state[self.key(name)] = value

    def key(self, name: str) -> str:
        """The key of the widget that shows this choice."""
        return f"{self._page}_{name}"

    def __getitem__(self, name: str) -> Any:
        return self._choices[name].allowed(st.session_state[self.key(name)])

    def set(self, name: str, value: Any) -> None:
        """For choices without a widget, or before the widget is shown."""
        st.session_state[self.key(name)] = value

    def keep(self) -> None:
        """Writes what is chosen into the address, defaults left out. After the page's widgets."""
        kept = st.session_state["kept_choices"][self._page]
        said = {name: [text] for name, text in self._others.items()}
        for name, choice in self._choices.items():
            value = self[name]
            kept[name] = value
            if value != choice.default:
                said[name] = choice.write(value)
        if said != self._address()[1]:
            st.query_params.from_dict(said)
        st.session_state["address"] = (self._page, said)

    def _address(self) -> tuple[str, dict[str, list[str]]]:
        return self._page, {name: st.query_params.get_all(name) for name in st.query_params}
