"""Writes a generation's tables: the marts, and the tables that explain their origin."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from pipeline import ledger, sql
from pipeline.contracts import raw_descriptions
from pipeline.marts import (
    BY_MODEL,
    CONTACT_COLUMNS,
    DAY_COLUMNS,
    MARTS,
    ORDERS,
    PUBLISHED_AS,
    VIEWS,
    WRITTEN_FIRST,
    WRITTEN_FROM_THESE,
)
from pipeline.publishing import replacing
from pipeline.publishing.changes import changes_query, count_changes, journals
from pipeline.publishing.errors import PublicationError
from pipeline.publishing.replacing import Copy, private_name, published_name
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.yaml_files import read_yaml

# A storage version that tools with an older DuckDB can open.
STORAGE_VERSION = "v1.2.0"
# Tables beside the marts, each from a query in the folder `sql`.
LEDGERS = ("_meta", "_builds", "_loads", "_rejected", "_large_clients", "_same_events")
QUERIES = Path(__file__).with_name("sql")


def write_everything(
    connection: duckdb.DuckDBPyConnection, file: Path, number: int, build: dict[str, Any], previous: Path | None
) -> dict[str, int]:
    """Writes a new file from a build, and the changes against the file `previous`. Returns each mart's row count."""
    with _published(connection, file, f"storage_version '{STORAGE_VERSION}'"):
        for table in WRITTEN_FIRST:
            order = f" order by {ORDERS[table]}" if table in ORDERS else ""
            _create(connection, published_name(table), f"{_query(connection, table)}{order}")
        for view in VIEWS:
            # No schema names, so that the view works under any name of the attached database.
            connection.execute(f"create view published.{view} as {_query(connection, view, schema='')}")
        for mart in WRITTEN_FROM_THESE:
            query = _query(connection, mart)
            if mart in BY_MODEL:
                # Together, as `replace_models` replaces them.
                order = f"{replacing.data_driven_condition(connection)}, {DAY_COLUMNS[mart]}, channel"
                query = f"from ({query}) order by {order}"
            _create(connection, mart, query)
        with journals(connection, previous) as (previous_journal, journal, is_full):
            _create(connection, "_changes", changes_query(previous_journal, journal, is_full))
        row_counts = _write_ledgers(connection, _create, number, build)
        _write_comments(connection)
    return row_counts


def write_changes(
    connection: duckdb.DuckDBPyConnection, file: Path, number: int, build: dict[str, Any], copy: Copy, rules: Rules
) -> tuple[dict[str, int], list[str]]:
    """Writes what a build changed into a copy. Returns each mart's row count, and the contacts whose rows changed.

    Raises PublicationError if the copy then isn't what the build made.
    """
    shutil.copyfile(copy.file, file)  # its bytes, not its mode: nobody may write to what is published
    with _published(connection, file, "read_write"):
        replacing.find_changed_rows(connection)
        for table in CONTACT_COLUMNS:
            replacing.replace_changed_rows(connection, table)
        _refill(connection, published_name("int_path_credits"), _query(connection, "int_path_credits"))
        days = replacing.changed_days(connection, rules.history_touch_limit)
        for mart in WRITTEN_FROM_THESE:
            query = _query(connection, mart)
            if mart in BY_MODEL:
                replacing.replace_models(connection, mart, query, days)
            elif mart in DAY_COLUMNS:
                replacing.replace_days(connection, mart, query, days)
            else:
                _refill(connection, mart, query)
        _refill(connection, "_changes", changes_query("temp.previous_journal", "temp.current_journal", is_full=False))
        row_counts = _write_ledgers(connection, _refill, number, build, copy.ordered_bytes)
    return row_counts, replacing.changed_contacts(connection)


@contextmanager
def _published(connection: duckdb.DuckDBPyConnection, file: Path, options: str) -> Iterator[None]:
    """Attaches the file as `published`."""
    sql.attach(connection, file, "published", options)
    try:
        yield
        connection.execute("checkpoint published")
    finally:
        connection.execute("detach published")


def _write_ledgers(
    connection: duckdb.DuckDBPyConnection,
    write: Callable[[duckdb.DuckDBPyConnection, str, str], None],
    number: int,
    build: dict[str, Any],
    ordered_bytes: int | None = None,
) -> dict[str, int]:
    """Writes the tables of `LEDGERS`, after all others. Returns each mart's row count."""
    row_counts = {mart: sql.count(connection, f"published.{mart}") for mart in MARTS}
    values = {
        "generation": number,
        "build_id": build["build_id"],
        "built_at": build["started_at"],
        "load_ids": ledger.live_loads(connection),
        "fingerprint": build["fingerprint"],
        "settings": build["settings"],
        "row_counts": sql.json_text(row_counts),
        "changes": count_changes(connection),
        "ordered_bytes": ordered_bytes,
    }
    for table in LEDGERS:
        write(connection, table, sql.statement(QUERIES / f"{table}.sql", **values))
    return row_counts


def build_to_publish(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The last build. Raises PublicationError if it can't be published."""
    build = ledger.last_build(connection)
    if build is None:
        raise PublicationError("Nothing was built yet: run a load first.")
    if build["outcome"] != "passed" or build["fingerprint"] is None:
        raise PublicationError(
            f"The last build, of {build['started_at']:%Y-%m-%d %H:%M:%S %Z}, is {build['outcome']}, not a whole one "
            "that passed its tests: build everything again."
        )
    live = ledger.live_loads(connection)
    if live and live[-1] > (build["last_load_id"] or 0):
        raise PublicationError("Deliveries were loaded after the last build: build before publishing.")
    return build


def _query(connection: duckdb.DuckDBPyConnection, table: str, schema: str = "published.") -> str:
    """The query of a table: for a view its own, reading tables already written to the schema."""
    view = sql.value(
        connection, "select sql from duckdb_views() where schema_name = 'marts' and view_name = ?", [table]
    )
    if view is None:
        return f"from {private_name(table)}"
    query = re.sub(r"^create view \S+ as |;\s*$", "", str(view), flags=re.IGNORECASE)
    for each in (*WRITTEN_FIRST, *VIEWS, *WRITTEN_FROM_THESE):
        query = re.sub(rf"\b{private_name(each).replace('.', '[.]')}\b", f"{schema}{published_name(each)}", query)
    return query


def _create(connection: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    connection.execute(f"create table published.{table} as {query}")


def _refill(connection: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    """Replaces all rows of a table, which keeps its comments."""
    connection.execute(f"delete from published.{table}")
    connection.execute(f"insert into published.{table} {query}")


def _write_comments(connection: duckdb.DuckDBPyConnection) -> None:
    """Writes the property files' descriptions as comments, so that SQL tools show them."""
    described = _descriptions()
    existing = connection.execute(
        "select table_name, column_name from duckdb_columns() where database_name = 'published' and not internal"
    ).fetchall()
    statements = []
    for table in {table for table, _ in existing}:
        kind = "view" if table in VIEWS else "table"
        if text := described.get((table, None)):
            statements.append(f"comment on {kind} published.{table} is {sql.literal(text)}")
    for table, column in existing:
        # DuckDB has no comments on a view's columns.
        if (text := described.get((table, column))) and table not in VIEWS:
            statements.append(f"comment on column published.{table}.{sql.identifier(column)} is {sql.literal(text)}")
    connection.execute(";\n".join(statements))


def _descriptions() -> dict[tuple[str, str | None], str]:
    """Descriptions by table and column; the table's own without a column."""
    described: dict[tuple[str, str | None], str] = {}
    for folder in ("marts", "intermediate/multichannel", "intermediate/attribution"):
        for file in sorted((PROJECT_DIR / "models" / folder).glob("*.yml")):
            for model in read_yaml(file).get("models", ()):
                table = PUBLISHED_AS.get(model["name"], model["name"])
                described[table, None] = model["description"]
                described |= {(table, column["name"]): column["description"] for column in model["columns"]}
    for table, columns in read_yaml(Path(__file__).with_name("columns.yml")).items():
        described |= {(table, column): text for column, text in columns.items()}
    for (table, column), text in raw_descriptions().items():
        described[f"_{table}", column] = text
    for table in (*LEDGERS, "_changes"):
        lines = (QUERIES / f"{table}.sql").read_text("utf-8").splitlines()
        described[table, None] = " ".join(line.removeprefix("--").strip() for line in lines if line.startswith("--"))
    return described
