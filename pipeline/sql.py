"""SQL for DuckDB: quoting, statements from files, counts."""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import jinja2


def literal(text: object) -> str:
    """A text or path as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A column or table name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def json_text(value: object) -> str:
    """A value as JSON, for a parameter."""
    return json.dumps(value, ensure_ascii=False)


def listing(values: Iterable[str]) -> str:
    """A list of expressions."""
    return f"[{', '.join(values)}]"


class Fragment(str):
    """SQL that goes into a statement unquoted."""


def _written(value: object) -> str:
    """A value as SQL."""
    if isinstance(value, Fragment):
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, datetime):
        return f"timestamptz {literal(value.isoformat())}"
    if isinstance(value, list | tuple):
        return listing(map(_written, value))
    return literal(value)


@cache
def _template(file: Path) -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_written
    )
    return environment.from_string(file.read_text("utf-8"))


def statement(file: Path, **values: object) -> str:
    """The statement of an SQL file, with values filled in and quoted."""
    return _template(file).render(**values)


def attach(connection: duckdb.DuckDBPyConnection, file: Path, name: str, options: str = "read_only") -> None:
    """Attaches another database file."""
    connection.execute(f"attach {literal(file)} as {name} ({options})")


def value(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> Any:
    """The first column of the first row; None without rows."""
    # All rows, as DuckDB refuses other work while a result is unread.
    rows = connection.execute(query, parameters).fetchall()
    return rows[0][0] if rows else None


def count(connection: duckdb.DuckDBPyConnection, rows: str) -> int:
    """How many rows a table, or a query in brackets, has."""
    return int(value(connection, f"select count(*) from {rows}"))
