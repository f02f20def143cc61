"""Writes counts, lists and messages for people."""

from collections.abc import Iterable


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun in singular or plural: 1 day, 2 days, 1,021 deliveries."""
    return f"{count:,} {noun if abs(count) == 1 else plural or _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def listed(items: Iterable[str]) -> str:
    """`a, b and c`."""
    *first, last = [*items] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def one_line(text: object) -> str:
    """A message without line breaks, for one line of a log."""
    return " ".join(str(text).split())


def shortened(days: list[str]) -> str:
    return ", ".join(days) if len(days) <= 10 else f"{', '.join(days[:5])}, … {days[-1]} ({len(days):,} days)"
