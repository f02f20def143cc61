"""How docs/metrics.md is written: all of it but its introduction and its SQL, which are read from it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from pipeline.settings import PROJECT_DIR

DOCUMENT = PROJECT_DIR / "docs" / "metrics.md"
SECTION = re.compile(
    r'^## [^\n]+\n.*?--saved-query (\w+)".*?```sql\n(.*?)```\n.*?(?=^## |\Z)', re.DOTALL | re.MULTILINE
)
# A table of more rows than that is cut.
MOST_ROWS, FIRST_ROWS = 20, 12

# How a column of numbers is written.
FORMATS: dict[str, Callable[[Any], str]] = {
    "contacts": "{:,}".format,
    "multichannel_contacts": "{:,}".format,
    "multichannel_share": "{:.1%}".format,
    "touches_per_contact": "{:.2f}".format,
    "seconds_to_contact": lambda seconds: f"{seconds / 3600:,.1f} hours",
    "contact_growth": "{:+.1%}".format,
    "spend": "{:,.0f}".format,
    "cost_per_contact": "{:,.0f}".format,
    "return_on_spend": "{:.2f}".format,
    "credited_contacts": "{:,.1f}".format,
    "credited_value": "{:,.0f}".format,
}
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Plot:
    """A bar for each row, if it has a number and `where` holds, and perhaps a line over them."""

    title: str
    along: str
    label: str
    bars: str
    numbers: str
    line: str | None = None
    factor: float = 1
    where: Callable[[Mapping[str, Any]], bool] = lambda row: True
    prepared: Callable[[Rows], Rows] = lambda rows: rows
    is_horizontal: bool = False

    def drawn(self, rows: Rows) -> str:
        shown = [row for row in self.prepared(rows) if row[self.bars] is not None and self.where(row)]
        drawings = {
            kind: [float(row[column]) * self.factor for row in shown]
            for kind, column in {"bar": self.bars, "line": self.line}.items()
            if column
        }
        highest = max(number for numbers in drawings.values() for number in numbers)
        names = ", ".join(f'"{row[self.along]}"' for row in shown)
        return "\n    ".join(
            [
                "xychart-beta" + " horizontal" * self.is_horizontal,
                f'title "{self.title}"',
                f'x-axis "{self.label}" [{names}]',
                f'y-axis "{self.numbers}" 0 --> {ceil(highest)}',
                *(
                    f"{kind} [{', '.join(f'{number:.1f}'.removesuffix('.0') for number in numbers)}]"
                    for kind, numbers in drawings.items()
                ),
            ]
        )


def first_and_last(rows: Rows) -> Rows:
    """What a channel is credited with by two models, beside each other; those that open most come first."""
    channels: dict[str, dict[str, Any]] = {}
    for row in rows:
        channels.setdefault(row["channel"], {"channel": row["channel"]})[row["model"]] = row["credited_contacts"]
    return sorted(channels.values(), key=lambda channel: -channel["first_touch"])


PLOTS = {
    "multichannel_by_week": Plot(
        "Contacts (bars), multichannel ones (line)", "week", "week from", "contacts", "contacts", "multichannel_contacts"
    ),
    "multichannel_by_site": Plot(
        "Median time from the first touch to contact", "site", "site", "seconds_to_contact", "hours",
        factor=1 / 3600, is_horizontal=True,
    ),
    "multichannel_by_contact_type": Plot(
        "Share of multichannel contacts", "contact_type", "kind", "multichannel_share", "percent", factor=100
    ),
    "cost_of_channels": Plot(
        "Cost per contact", "channel", "channel", "cost_per_contact", "roubles", where=lambda row: row["spend"] > 0
    ),
    "channels_by_model": Plot(
        "Contacts by first touch (bars), by last touch (line)", "channel", "channel", "first_touch", "contacts",
        "last_touch", where=lambda row: row["channel"] != "(unattributed)", prepared=first_and_last, is_horizontal=True,
    ),
}  # fmt: skip


def cell(column: str, value: Any) -> str:
    return "" if value is None else FORMATS.get(column, str)(value)


def table(rows: Rows) -> str:
    columns = list(rows[0])
    shown = rows if len(rows) <= MOST_ROWS else rows[:FIRST_ROWS]
    aligned = "|".join("---:" if column in FORMATS else "---" for column in columns)
    lines = [" | ".join(cell(column, row[column]) for column in columns) for row in shown]
    text = "".join(f"{line}\n" for line in (f"| {' | '.join(columns)} |", f"|{aligned}|", *(f"| {x} |" for x in lines)))
    return text if shown is rows else f"{text}\nThese are the first {len(shown)} of {len(rows)} rows.\n"


def section(query: Mapping[str, Any], sql: str, rows: Rows) -> str:
    name = query["name"]
    plot = f"\n```mermaid\n{PLOTS[name].drawn(rows)}\n```\n" if name in PLOTS else ""
    return f"""## {query["label"]}

{query["description"]}

```sh
make metrics DEMO_DATA=1 QUERY="--saved-query {name}"
```

```sql
{sql}```

{table(rows)}{plot}"""


def sections() -> dict[str, tuple[str, str]]:
    """By the name of the saved query: what stands in the document, and the SQL therein."""
    found = SECTION.finditer(DOCUMENT.read_text("utf-8"))
    return {match[1]: (match[0].rstrip("\n") + "\n", match[2]) for match in found}


def write(former: str, section: str) -> None:
    DOCUMENT.write_text(DOCUMENT.read_text("utf-8").replace(former, section), "utf-8")
