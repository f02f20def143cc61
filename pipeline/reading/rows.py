"""What all formats share: the limits of a file, and the temporary table of its rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from pipeline.contracts import Column, ReadingMacros, Table


class UnreadableFileError(Exception):
    """A file can't be read at all (R26). The message says what is wrong and what to do."""


@dataclass(frozen=True)
class Limits:
    """The limits of a file; beyond them it fails (R26)."""

    columns: int
    unpacked_bytes: int


@dataclass(frozen=True)
class Reading:
    """How a table's rows are read and judged in a single pass, as passes over the text dominate the cost of loading.

    `reason` is an expression over a cleaned row, `file_number`, `is_parsable`, `nested_columns` and what `value_of` names.
    """

    table: Table
    macros: ReadingMacros
    reason: str
    limits: Limits
    into: str


@dataclass(frozen=True)
class Rows:
    """The rows of these files, by number, in a temporary table that may hold others. `row_number` is an expression."""

    table: str
    file_numbers: frozenset[int]
    row_number: str = "row_number"


def value_of(column: Column) -> str:
    """The name under which `reason` finds a required column's value."""
    return f"{column.name}_value"


def too_large(reading: Reading) -> UnreadableFileError:
    return UnreadableFileError(
        f"unpacks to more than UNPACKED_LIMIT, {reading.limits.unpacked_bytes:,} bytes: "
        "deliver it in smaller files, or raise the setting"
    )


def create_rows(
    connection: duckdb.DuckDBPyConnection, reading: Reading, records: str, more_columns: Sequence[str] = ("row_number",)
) -> None:
    """Creates the table from a query of more_columns, file_number, line, is_parsable, nested_columns, attributes and uncleaned columns."""
    table, macros = reading.table, reading.macros
    cleaned = ", ".join(f"{macros.clean_text(name)} as {name}" for name in table.column_names)
    values = ", ".join(f"{macros.read(column)} as {value_of(column)}" for column in table.required_columns)
    kept = ", ".join(("file_number", *more_columns, "line", "nested_columns", *table.column_names, "attributes"))
    connection.execute(
        f"""
        create or replace temporary table {reading.into} as
        with cleaned as (
            select * replace ({cleaned}, nullif(attributes, '{{}}') as attributes)
            from ({records})
        ),
        valued as (
            select *, {values} from cleaned
        )
        select {kept}, {reading.reason} as reason
        from valued
        """
    )


def too_many(counted: str, reading: Reading) -> UnreadableFileError:
    return UnreadableFileError(
        f"{counted}, more than max_columns {reading.limits.columns:,}; leave out those that nobody needs, or raise the setting"
    )


def check_columns(reading: Reading, names: Sequence[str]) -> None:
    table = reading.table
    if len(names) > reading.limits.columns:
        raise too_many(f"has {len(names):,} columns", reading)
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise UnreadableFileError(
            f"has more than one column called {', '.join(map(repr, doubled))}; rename or drop one"
        )
    missing = [column.name for column in table.required_columns if column.name not in names]
    if missing:
        similar = [name for name in names if name.strip().lower().replace(" ", "_") in missing]
        if len(names) == 1 and any(separator in names[0] for separator in ";\t|"):
            hint = "its fields are not separated by commas: write it with commas"
        elif similar:
            hint = f"rename {', '.join(map(repr, similar))}: names are spelled exactly"
        else:
            hint = "add or rename one"
        raise UnreadableFileError(
            f"has no column {', '.join(missing)}; its columns are {', '.join(map(repr, names))[:500] or 'none'} ({hint})"
        )


def attributes_json(named_values: str, value: str) -> str:
    """JSON of the columns outside the contract that have a value.

    Built from a list of (name, delivered value), and an expression for the JSON of one `member[2]`. All columns share one
    expression: one for each would cost the square of their number.
    """
    return f"""cast('{{' || array_to_string(
        list_filter(
            list_transform({named_values}, lambda member: to_json(member[1]) || ':' || {value}),
            lambda member: member is not null
        ),
        ','
    ) || '}}' as json)"""


def cleaned_json(macros: ReadingMacros, text: str = "member[2]") -> str:
    return f"to_json({macros.clean_text(text)})"
