"""SQL for DuckDB: quoting, statements that stand in files, counts."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import jinja2


def literal(text: object) -> str:
    """A text or path as SQL writes it."""
    return "'" + str(text).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """The name of a column or table as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def json_text(value: object) -> str:
    """A value as JSON, for a parameter."""
    return json.dumps(value, ensure_ascii=False)


def listing(values: Iterable[str]) -> str:
    """A list of expressions."""
    return f"[{', '.join(values)}]"


@cache
def _template(file: Path) -> jinja2.Template:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["literal"] = literal
    return environment.from_string(file.read_text("utf-8"))


def statement(file: Path, **names: Any) -> str:
    """What a file of SQL says, as a template with these names. Values belong into parameters of the statement."""
    return _template(file).render(**names)


def attach(connection: duckdb.DuckDBPyConnection, file: Path, name: str, options: str = "read_only") -> None:
    """Opens another database file beside the connection's own."""
    connection.execute(f"attach {literal(file)} as {name} ({options})")


def value(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> Any:
    """The first column of the first row; None without rows."""
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


def count(connection: duckdb.DuckDBPyConnection, rows: str) -> int:
    """How many rows a table, or a query in brackets, has."""
    return int(value(connection, f"select count(*) from {rows}"))
