"""Writes a generation's tables: the marts, and the tables that explain their origin."""

import re
from pathlib import Path
from typing import Any

import duckdb

from pipeline import ledger, sql
from pipeline.contracts import raw_descriptions
from pipeline.marts import MARTS, ORDERS, VIEWS
from pipeline.publishing.changes import write_changes
from pipeline.publishing.errors import PublicationError
from pipeline.settings import PROJECT_DIR
from pipeline.yaml_files import read_yaml

# A storage version that tools with an older DuckDB can open.
STORAGE_VERSION = "v1.2.0"
# Tables beside the marts, each from a query in the folder `sql`.
LEDGERS = ("_meta", "_builds", "_loads", "_rejected", "_large_clients", "_same_events")
QUERIES = Path(__file__).with_name("sql")
# Models that are published under another name.
PUBLISHED_AS = {"int_oversized_clients": "_large_clients", "int_left_out_events": "_same_events"}


def write_tables(
    connection: duckdb.DuckDBPyConnection, file: Path, number: int, previous: Path | None
) -> dict[str, int]:
    """Writes a new file from the last build, and counts changes against the file `previous`.

    Returns each mart's row count. Raises PublicationError if the last build can't be published.
    """
    build = _build_to_publish(connection)
    sql.attach(connection, file, "published", f"storage_version '{STORAGE_VERSION}'")
    try:
        for mart in MARTS:
            order = f" order by {ORDERS[mart]}" if mart in ORDERS else ""
            connection.execute(f"create table published.{mart} as {_query(connection, mart, 'published.')}{order}")
        for view in VIEWS:
            # No schema names, so that the view works under any name of the attached database.
            connection.execute(f"create view published.{view} as {_query(connection, view, '')}")
        row_counts = {mart: sql.count(connection, f"published.{mart}") for mart in MARTS}
        values = {
            "generation": number,
            "build_id": build["build_id"],
            "built_at": build["started_at"],
            "load_ids": ledger.live_loads(connection),
            "fingerprint": build["fingerprint"],
            "settings": build["settings"],
            "row_counts": sql.json_text(row_counts),
            "changes": write_changes(connection, previous),
        }
        for table in LEDGERS:
            _create(connection, table, values)
        _write_comments(connection)
        connection.execute("checkpoint published")
    finally:
        connection.execute("detach published")
    return row_counts


def _build_to_publish(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
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


def _query(connection: duckdb.DuckDBPyConnection, mart: str, schema: str) -> str:
    """The query of a mart: for a view its own, reading the marts already written to the schema."""
    view = sql.value(connection, "select sql from duckdb_views() where schema_name = 'marts' and view_name = ?", [mart])
    if view is None:
        return f"from marts.{mart}"
    query = re.sub(r"^create view \S+ as ", "", str(view), flags=re.IGNORECASE)
    return re.sub(rf"\bmarts[.](?=({'|'.join(MARTS)})\b)", schema, query)


def _create(connection: duckdb.DuckDBPyConnection, table: str, values: dict[str, Any]) -> None:
    connection.execute(f"create table published.{table} as {sql.statement(QUERIES / f'{table}.sql', **values)}")


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
    for folder in ("marts", "intermediate/multichannel"):
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
