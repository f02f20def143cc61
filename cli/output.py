"""Output of commands: progress on standard error, results on standard output."""

import json
import logging
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import duckdb
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.summary import describe_changes, describe_freshness, describe_reasons
from pipeline.notices import details, generation_warnings
from pipeline.publishing import Publications
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse
from pipeline.wording import counted, one_line

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show everything, not a summary.")]

# Without a terminal, there is no width to fit. Ids like files:mango:7 name no emoji.
console = Console(soft_wrap=True, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
log = logging.getLogger("multichannel")
LONGEST_CELL = 48


class Problem(Exception):
    """The user must act on something. The message says it in full."""


def print_generation(warehouse: Warehouse, rules: Rules, verbose: bool) -> None:
    """Prints the readers' generation, and how it differs from the previous one."""
    publications = Publications(warehouse)
    current = publications.current()
    if current is None:
        console.print("Nothing is published yet.")
        return
    meta = publications.meta(current)
    behind = describe_freshness(rules.days_behind(meta["data_through"]))
    reached = f"data through {meta['data_through']} ({behind})" if meta["data_through"] else behind
    row_counts = json.loads(meta["row_counts"])
    contacts, clients = counted(row_counts["journal"], "contact"), counted(row_counts["client_card"], "client")
    console.print(f"Generation {current}, {reached}, {contacts} of {clients}: {escape(str(publications.link))}")
    changes = json.loads(meta["changes"])
    if verbose:
        console.print("  rows: " + ", ".join(f"{mart} {count:,}" for mart, count in row_counts.items()))
        for line in describe_reasons(changes):
            console.print(f"  since the generation before: {line}")
    elif changes:
        console.print(f"  since the generation before: {describe_changes(changes)}")
    pinned = publications.pinned()
    if pinned is not None:
        console.print(f"  readers are held at generation {pinned} by a rollback; `resume` lets them go on")
    print_warnings(generation_warnings(publications, current))


def print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        console.print(f"[yellow]Warning:[/] {escape(warning)}")


class Excerpt:
    """Tables of rows: verbose with frames and all text, or a line per row."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, is_full: bool) -> None:
        self.connection = connection
        self.is_full = is_full

    def show(
        self,
        title: str,
        query: str,
        parameters: dict[str, Any] | None = None,
        otherwise: str | None = None,
        most: int | None = None,
    ) -> None:
        """Prints the first `most` rows of a query, or a sentence if there are none."""
        cursor = self.connection.execute(query, parameters or {})
        rows = cursor.fetchall()
        if not rows and otherwise:
            console.print(otherwise)
            return
        shown = Table(title=escape(title), title_justify="left")
        if not self.is_full:
            shown.box, shown.pad_edge = None, False
        for name, *_ in cursor.description or ():
            shown.add_column(name, no_wrap=not self.is_full, overflow="fold" if self.is_full else "ellipsis")
        for row in rows[:most]:
            shown.add_row(*(escape(self._cell(value)) for value in row))
        console.print(shown)
        if most and len(rows) > most:
            console.print(f"… {len(rows) - most:,} more: `look -v`")
        console.print()

    def _cell(self, value: Any) -> str:
        text = "" if value is None else str(value)
        return text if self.is_full or len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


class _Progress(logging.Formatter):
    """A line per message: its time, its level if a warning or an error, its text."""

    def format(self, record: logging.LogRecord) -> str:
        message = one_line(record.getMessage())
        kind = f"{record.levelname.capitalize()}: " if record.levelno >= logging.WARNING else ""
        return f"{self.formatTime(record, '%H:%M:%S')} {kind}{message}"


class _Shown(logging.Filter):
    """Passes details if requested, and each distinct warning once: several steps may find the same."""

    def __init__(self, verbose: bool) -> None:
        super().__init__()
        self.verbose = verbose
        self.warnings: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == details.name and not self.verbose:
            return False
        if record.levelno != logging.WARNING:
            return True
        message = record.getMessage()
        is_new = message not in self.warnings
        self.warnings.add(message)
        return is_new


def show_progress(verbose: bool = False) -> None:
    log.setLevel(logging.INFO)
    if any(isinstance(handler.formatter, _Progress) for handler in log.handlers):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Progress())
    handler.addFilter(_Shown(verbose))
    log.handlers = [handler]
    log.propagate = False
