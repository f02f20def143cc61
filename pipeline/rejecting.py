"""Which rows are rejected, and why (R25), and when that fails a file (R26)."""

from datetime import date

import duckdb

from pipeline import sql
from pipeline.contracts import Column, ReadingMacros, Table
from pipeline.reading import Reading, value_of
from pipeline.settings import Rules

SMALLEST_JUDGED_FILE = 20  # R26: a file with fewer rows never has too many rejected


def reason_to_reject(table: Table, macros: ReadingMacros, rules: Rules, day: date) -> str:
    """SQL for R25's reason to reject a row; null for a good one."""
    reasons = ["when not is_parsable then 'unparsable_row'"]
    reasons += [
        f"when {column.name} is null and not {_is_nested(column)} then 'missing_{column.name}'"
        for column in table.required_columns
    ]
    reasons += [
        f"when {_is_nested(column)} or {value_of(column)} is null then 'unreadable_{column.name}'"
        for column in table.required_columns
    ]
    first_day = "date '2000-01-01'"
    day_after = f"(date '{day}' + 1)"
    possible = {
        "instant": (macros.day_start(first_day), f"{macros.day_start(day_after)} + interval 24 hours"),
        "date": (first_day, day_after),
    }
    for column in table.required_columns:
        if column.type in possible:
            earliest, latest = possible[column.type]
            reasons.append(
                f"when {value_of(column)} < {earliest} or {value_of(column)} > {latest} then 'impossible_{column.name}'"
            )
    for column in table.required_columns:
        if words := column.known_words(rules):
            listed = ", ".join(f"'{word}'" for word in words)
            reasons.append(f"when {value_of(column)} not in ({listed}) then 'unknown_{column.name}'")
    return f"case {' '.join(reasons)} end"


def _is_nested(column: Column) -> str:
    return f"coalesce(list_contains(nested_columns, '{column.name}'), false)"


def count_rows(connection: duckdb.DuckDBPyConnection, reading: Reading) -> tuple[int, dict[str, int], dict[str, int]]:
    """Counts all rows, rejected rows by reason, and unreadable optional values of good rows by column."""
    has_nested = sql.value(connection, f"select count(nested_columns) from {reading.into}") > 0
    is_unreadable = {
        column.name: f"{column.name} is not null and {reading.macros.read(column)} is null"
        + (f" or {_is_nested(column)}" if has_nested else "")
        for column in reading.table.columns
        # Text is always readable unless it is nested.
        if not column.is_required and (has_nested or column.type != "text")
    }
    counts = "".join(f", count(*) filter (where {condition})" for condition in is_unreadable.values())
    by_reason = connection.execute(
        f"select reason, count(*){counts} from {reading.into} group by reason order by reason"
    ).fetchall()
    unreadable = next((row[2:] for row in by_reason if row[0] is None), (0,) * len(is_unreadable))
    return (
        sum(row[1] for row in by_reason),
        {row[0]: row[1] for row in by_reason if row[0] is not None},
        {column: count for column, count in zip(is_unreadable, unreadable, strict=True) if count},
    )


def too_many_rejected(delivered_count: int, reasons: dict[str, int], rules: Rules) -> str | None:
    """Why a file fails for its rejected rows, and what to do; None if it doesn't."""
    rejected_count = sum(reasons.values())
    if delivered_count < SMALLEST_JUDGED_FILE or rejected_count <= rules.max_rejected_share * delivered_count:
        return None
    listed = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1]))
    return (
        f"would have {rejected_count:,} of its {delivered_count:,} rows rejected ({listed}), a larger share than "
        f"max_rejected_share {rules.max_rejected_share}; mend the file, or raise the setting"
    )
