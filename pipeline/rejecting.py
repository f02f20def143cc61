"""Which rows are rejected, and why (R25), and when that fails a file (R26)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb

from pipeline import sql
from pipeline.contracts import Column, ReadingMacros, Table
from pipeline.reading import value_of
from pipeline.settings import Rules

SMALLEST_JUDGED_FILE = 20  # R26: a file with fewer rows never has too many rejected


@dataclass
class RowCounts:
    """Counts of a file's rows: all, rejected ones by reason, and unreadable optional values of good rows by column."""

    delivered: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    unreadable_values: dict[str, int] = field(default_factory=dict)

    def add(self, others: "RowCounts") -> None:
        """Adds counts of other rows of the file."""
        self.delivered += others.delivered
        reasons = Counter(self.rejected_by_reason) + Counter(others.rejected_by_reason)
        self.rejected_by_reason = dict(sorted(reasons.items()))
        self.unreadable_values |= others.unreadable_values

    @property
    def rejected(self) -> int:
        return sum(self.rejected_by_reason.values())


def reason_to_reject(
    connection: duckdb.DuckDBPyConnection, table: Table, macros: ReadingMacros, rules: Rules, days: Sequence[date]
) -> str:
    """SQL for R25's reason to reject a row; null for a good one. `days` are the load days of the files, by `file_number`."""
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
    # Worked out once: as expressions, many days would take longer to plan than their rows to read.
    last_instants = connection.execute(
        f"""
        select cast({macros.day_start("(load_day + 1)")} + interval 24 hours as varchar)
        from (select unnest(cast(? as date[])) as load_day)
        """,
        [list(days)],
    ).fetchall()
    possible = {
        "instant": (
            macros.day_start(first_day),
            _of_file([sql.literal(instant) for (instant,) in last_instants], "timestamptz"),
        ),
        "date": (first_day, _of_file([f"date '{day}' + 1" for day in days], "date")),
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


def _of_file(values: Sequence[str], data_type: str) -> str:
    """The value of a row's file."""
    if len(set(values)) == 1:
        return f"cast({values[0]} as {data_type})"
    return f"cast({sql.listing(values)} as {data_type}[])[file_number + 1]"


def _is_nested(column: Column) -> str:
    return f"coalesce(list_contains(nested_columns, '{column.name}'), false)"


def count_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, macros: ReadingMacros, rows: str
) -> dict[int, RowCounts]:
    """Counts the judged rows of a table (see `Reading`) by file number."""
    counts: dict[int, RowCounts] = {}
    for file_number, reason, row_count in connection.execute(
        f"select file_number, reason, count(*) from {rows} group by all order by all"
    ).fetchall():
        of_file = counts.setdefault(file_number, RowCounts())
        of_file.delivered += row_count
        if reason is not None:
            of_file.rejected_by_reason[reason] = row_count
    has_nested = sql.value(connection, f"select count(nested_columns) from {rows}") > 0
    for column in table.columns:
        # Text is always readable unless it is nested.
        if column.is_required or (column.type == "text" and not has_nested):
            continue
        nested = _is_nested(column) if has_nested else "false"
        # Values repeat, so each is read once a file.
        unreadable = connection.execute(
            f"""
            with delivered_values as (
                select file_number, {column.name}, {nested} as is_nested, count(*) as row_count
                from {rows}
                where reason is null and ({column.name} is not null or {nested})
                group by all
            )
            select file_number, cast(sum(row_count) as bigint)
            from delivered_values
            where is_nested or {macros.read(column)} is null
            group by file_number
            """
        ).fetchall()
        for file_number, row_count in unreadable:
            counts[file_number].unreadable_values[column.name] = row_count
    return counts


def too_many_rejected(counts: RowCounts, rules: Rules) -> str | None:
    """Why a file fails for its rejected rows, and what to do; None if it doesn't."""
    if counts.delivered < SMALLEST_JUDGED_FILE or counts.rejected <= rules.max_rejected_share * counts.delivered:
        return None
    reasons = sorted(counts.rejected_by_reason.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons)
    return (
        f"would have {counts.rejected:,} of its {counts.delivered:,} rows rejected ({listed}), a larger share than "
        f"max_rejected_share {rules.max_rejected_share}; mend the file, or raise the setting"
    )
