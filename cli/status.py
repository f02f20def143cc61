"""`status` and `rejected`: what is landed, loaded, rejected and published."""

import csv
import io
import json
import os
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.output import Problem, Verbose, console, print_generation, print_warnings, show_progress
from cli.summary import describe_period
from pipeline import sql
from pipeline.capacity import translate_errors
from pipeline.contracts import delivered_tables
from pipeline.landing import scan
from pipeline.loading import pending
from pipeline.publishing import PublicationError, Publications
from pipeline.publishing.generations import read_ledger
from pipeline.settings import Rules, Settings, SettingsError
from pipeline.warehouse import DamageError, Warehouse
from pipeline.wording import counted, one_line, shortened

MOST_PENDING = 10
# Of a rejected row's text.
INDENT, SHOWN_LINES, LEAST_WIDTH = "  ", 2, 20


def status(verbose: Verbose = False) -> None:
    """Show what is landed, loaded, rejected and published."""
    settings = Settings.read()
    rules = Rules.read()
    warehouse = Warehouse(settings.warehouse_dir)
    landing = scan(settings.landing_dir, list(delivered_tables()), rules.first_load_day, rules.yesterday())
    problems: list[str] = []
    try:
        known = read_ledger(warehouse)
    except (DamageError, SettingsError) as error:
        problems.append(str(error))
        known = {}
    # Without the ledger, every delivery would look new.
    waiting = [] if problems else pending(landing.deliveries, known)
    console.print(
        f"landing folder   {escape(str(settings.landing_dir))}: {counted(len(landing.deliveries), 'delivery')}"
    )
    print_warnings(landing.warnings)
    for delivery in waiting if verbose else waiting[:MOST_PENDING]:
        outcome = known.get((delivery.table, delivery.day), ("new", ()))[0]
        reason = {"failed": "failed, pending until mended", "new": "new"}.get(outcome, "changed")
        console.print(f"  pending: {delivery.table}/{delivery.day} ({reason})")
    if len(waiting) > MOST_PENDING and not verbose:
        console.print(f"  pending: {len(waiting) - MOST_PENDING:,} more, to {waiting[-1].day}; `status -v` lists them")
    problems += filter(None, [_print_sources(settings, rules)])
    try:
        _print_warehouse(warehouse, rules, verbose)
    except DamageError as error:
        problems.append(str(error))
    if problems:
        raise Problem("\n".join(problems))


def _print_warehouse(warehouse: Warehouse, rules: Rules, verbose: bool) -> None:
    publications = Publications(warehouse)
    console.print(f"warehouse folder {escape(str(warehouse.folder))}")
    current = publications.current()
    if current is None:
        console.print("  nothing is published yet")
        return
    with publications.opened(current) as connection:
        tables = connection.execute(
            """
            select table_name, count(*), min(load_day), max(load_day), sum(delivered_count), sum(loaded_count),
                sum(rejected_count)
            from _loads where outcome = 'loaded' and superseded_by is null group by all order by all
            """
        ).fetchall()
        rejected = connection.execute(
            "select table_name, reason, sum(row_count) from _rejected group by all order by all"
        ).fetchall()
        large = connection.execute("from _large_clients limit 10").fetchall()
    shown = Table("table", "days", "first", "last", "delivered", "loaded", "rejected")
    for name, days, first, last, *counts in tables:
        shown.add_row(name, f"{days:,}", str(first), str(last), *(f"{count:,}" for count in counts))
    if tables:
        console.print(shown)
    for name, reason, count in rejected:
        console.print(f"  rejected: {name}, {reason}: {count:,}")
    for client, _, contacts, touches, identifiers, kind, identifier, records, _ in large:
        console.print(
            f"  large client: {escape(client)} has {counted(contacts, 'contact')}, {counted(touches, 'touch')} and "
            f"{counted(identifiers, 'identifier')}; {counted(records, 'row')} of it {'carries' if records == 1 else 'carry'} {kind} {escape(identifier)}. If that isn't one person's, add a line "
            f"`{escape(_csv_line(kind, identifier, 'shared by many'))}` to seeds/ignored_identifiers.csv"
        )
    console.print("kept generations: " + ", ".join(map(str, publications.numbers())))
    print_generation(warehouse, rules, verbose)


def _print_sources(settings: Settings, rules: Rules) -> str | None:
    """Prints the days of each source; returns what is wrong with sources.yml, if anything."""
    from sources.configuration import read_sources
    from sources.fetching import delivered_days, missing_days

    try:
        sources = read_sources()
    except SettingsError as error:
        return str(error)
    for name, source in sources.items():
        days = set().union(*delivered_days(source, settings.landing_dir).values())
        if not days:
            console.print(f"source {escape(name)}: the landing folder has no delivery of it")
            continue
        missing = missing_days(source, rules, settings.landing_dir)
        missing_note = f"; missing, and due: {shortened([str(day) for day in missing])}" if missing else ""
        console.print(f"source {escape(name)}: {describe_period(min(days), max(days))}{missing_note}")
    return None


def _csv_line(*cells: str) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def rejected(
    limit: Annotated[int, typer.Option(min=1, help="How many rows to show, latest days first.")] = 20,
    out: Annotated[Path | None, typer.Option("--out", help="Write all of them to this CSV file instead.")] = None,
) -> None:
    """Show rejected rows: file and row, the reason, the beginning of the text."""
    warehouse = Warehouse(Settings.read().warehouse_dir)
    query = """
        select
            table_name as "table", load_day as day, file_name as file, row_number as "row", reason, row_text as text
        from raw.rejected_rows inner join raw.loads using (load_id)
        where outcome = 'loaded' and superseded_by is null
        order by load_day desc, table_name, file_name, row_number
    """
    if not os.path.lexists(warehouse.file):
        raise PublicationError("Nothing is loaded yet: run a load first.")
    show_progress()
    with translate_errors(warehouse), warehouse.locked("rejected"), warehouse.connected() as connection:
        if out is None:
            _print_rejected(connection.execute(f"{query} limit $limit", {"limit": limit}).fetchall())
        else:
            written = sql.value(connection, f"copy ({query}) to {sql.literal(out)} (format csv, header)")
            console.print(f"{escape(str(out))}: {counted(written, 'rejected row')}")


def _print_rejected(rows: Sequence[tuple[str, date, str, int, str, str]]) -> None:
    """Prints a block per row: where it is, the reason, and the beginning of its text."""
    for table, day, file, row, reason, text in rows:
        place = f"{table}/{day}/{file}, row {row}"
        # An unparsable line is shown as it is: its JSON may name a key twice.
        if columns := _columns_of(text) if reason != "unparsable_row" else {}:
            if {"export_file", "export_row"} <= columns.keys():
                place = f"{columns.pop('export_file')}, row {columns.pop('export_row')} ({place})"
            faulty, known = reason.partition("_")[2], delivered_tables()[table].column_names
            text = columns.get("unparsable_line") or _with_first(columns, faulty, known)
        console.print(f"{escape(place)}: [bold]{escape(reason)}[/]")
        _print_beginning(one_line(text))
    if rows:
        console.print("`rejected --out FILE` writes all of them, with their whole text.")
    else:
        console.print("No row is rejected.")


def _columns_of(text: str) -> dict[str, Any]:
    """The columns of a row that parsed; none if Python can't read what DuckDB wrote."""
    try:
        return dict(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _with_first(columns: dict[str, Any], faulty: str, known: Collection[str]) -> str:
    """The columns as JSON: first the one that the reason names, then those of the contract, as the end may be cut."""
    names = sorted(columns, key=lambda name: (name != faulty, name not in known))
    return json.dumps({name: columns[name] for name in names}, ensure_ascii=False)


def _print_beginning(text: str) -> None:
    width = max(console.width - len(INDENT), LEAST_WIDTH)
    lines = Text(text[: (SHOWN_LINES + 1) * width]).wrap(console, width)
    if len(lines) > SHOWN_LINES:
        lines[SHOWN_LINES - 1].truncate(width - 1)
        lines[SHOWN_LINES - 1].append("…")
    for line in lines[:SHOWN_LINES]:
        line.rstrip()
        console.print(Text(INDENT) + line)
