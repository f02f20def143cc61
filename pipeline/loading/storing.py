"""Stores judged rows, rejected rows and the ledger in one transaction."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator

import duckdb

from pipeline import sql
from pipeline.contracts import RECORDS_PER_LOAD, Table, delivered_tables
from pipeline.landing import Delivery, file_signature, readable
from pipeline.loading.attempts import Attempt, JudgedFile
from pipeline.loading.loads import DoubledFiles, FileCounts, Load
from pipeline.reading import Rows
from pipeline.warehouse import transaction


def store(
    connection: duckdb.DuckDBPyConnection, attempts: list[Attempt], rows: list[Rows], run_id: str | None
) -> list[Load]:
    """Writes rows, rejected rows and the ledger in one transaction, deliveries in their order."""
    table = delivered_tables()[attempts[0].delivery.table]
    with transaction(connection):
        next_load_id = int(sql.value(connection, "select coalesce(max(load_id), 0) + 1 from raw.loads"))
        load_ids = itertools.count(next_load_id)
        loads = [_load_of(connection, table, attempt, load_ids) for attempt in attempts]
        for read in rows:
            _store_rows(connection, table, read, attempts, loads)
        _write_ledger(connection, [load for load in loads if load.outcome != "unchanged"], run_id)
        for attempt, load in zip(attempts, loads, strict=True):
            if load.outcome == "unchanged":
                _note_unchanged(connection, attempt, load)
            elif load.outcome == "loaded":
                _supersede(connection, load, "load_id < ?")
    return loads


def _load_of(connection: duckdb.DuckDBPyConnection, table: Table, attempt: Attempt, load_ids: Iterator[int]) -> Load:
    delivery = attempt.delivery
    if attempt.unchanged:
        return attempt.unchanged
    if attempt.error:
        files = tuple(FileCounts(*file_signature(file), "") for file in delivery.files)
        return Load(table.name, delivery.day, "failed", next(load_ids), attempt.error, files)
    return Load(
        table.name,
        delivery.day,
        "loaded",
        next(load_ids),
        files=tuple(file.counts for file in attempt.judged),
        rejected_by_reason=_added(file.rejected_by_reason for file in attempt.judged),
        unreadable_values=_added(file.unreadable_values for file in attempt.judged),
        warnings=tuple(_files_without_good_rows(delivery, attempt.judged)),
        doubled_files=_doubled_files(connection, table, attempt.judged),
    )


def _note_unchanged(connection: duckdb.DuckDBPyConnection, attempt: Attempt, live: Load) -> None:
    """Updates the modification times in the ledger, so that the same bytes don't look changed again."""
    modified = {file.file_name: file.modified_ns for file in attempt.files}
    _supersede(connection, live, "load_id > ?")
    connection.execute(
        "update raw.loads set files = ? where load_id = ?",
        [[vars(file) | {"modified_ns": modified[file.file_name]} for file in live.files], live.load_id],
    )


def _files_without_good_rows(delivery: Delivery, judged: list[JudgedFile]) -> Iterator[str]:
    """Warns of files without a good row. Small files may lose all rows (R26), and the day's earlier rows go, too."""
    for file in judged:
        if file.counts.rejected_count and not file.counts.loaded_count:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in file.rejected_by_reason.items())
            yield (
                f"{delivery.table}/{delivery.day}/{readable(file.counts.file_name)} has no good row, so it loads none: all "
                f"{file.counts.rejected_count:,} were rejected ({reasons}). `rejected` shows them; mend the file and load the day again"
            )


def _doubled_files(
    connection: duckdb.DuckDBPyConnection, table: Table, judged: list[JudgedFile]
) -> tuple[DoubledFiles, ...]:
    """Finds files of a table without a key that hold the same good rows in any order: all of them count (R25)."""
    filled = [file for file in judged if file.counts.loaded_count]
    if not table.has_no_key or len(filled) < 2:
        return ()
    row = f"hash({', '.join(table.column_names)}, cast(attributes as varchar))"
    contents = " union all by name ".join(
        f"select {number} as number, count(*) as row_count, sum({row}::hugeint) as digest, bit_xor({row}) as other_digest "
        f"from {file.rows.table} where file_number = {file.number} and reason is null"
        for number, file in enumerate(filled)
    )
    same = connection.execute(
        f"""
        select list(number order by number), any_value(row_count) from ({contents})
        group by row_count, digest, other_digest having count(*) > 1 order by 1
        """
    ).fetchall()
    return tuple(
        DoubledFiles(tuple(readable(filled[number].counts.file_name) for number in numbers), row_count)
        for numbers, row_count in same
    )


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return dict(total)


def _supersede(connection: duckdb.DuckDBPyConnection, load: Load, which: str) -> None:
    """Closes the day's other attempts, failures included: this load replaces them all."""
    connection.execute(
        f"""
        update raw.loads set superseded_by = ?
        where table_name = ? and load_day = ? and superseded_by is null and {which}
        """,
        [load.load_id, load.table, load.day, load.load_id],
    )


def _store_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: Rows, attempts: list[Attempt], loads: list[Load]
) -> None:
    """Moves the rows of one temporary table into raw."""
    # By file number; files that are not kept have no load.
    size = max(rows.file_numbers, default=-1) + 1
    load_ids, names, records_before = ["null"] * size, ["null"] * size, ["null"] * size
    has_rejected = False
    for attempt, load in zip(attempts, loads, strict=True):
        record_count = RECORDS_PER_LOAD * (load.load_id or 0)
        for file in attempt.judged:
            if load.outcome == "loaded" and file.number in rows.file_numbers:
                load_ids[file.number] = str(load.load_id)
                names[file.number] = sql.literal(file.counts.file_name)
                records_before[file.number] = str(record_count)
                has_rejected = has_rejected or bool(file.rejected_by_reason)
            record_count += file.counts.delivered_count
    if set(load_ids) <= {"null"}:
        return

    def of_file(values: list[str], data_type: str) -> str:
        if len(rows.file_numbers) == 1:
            return f"cast({values[-1]} as {data_type})"
        return f"cast({sql.listing(values)} as {data_type}[])[file_number + 1]"

    load_id, file_name = of_file(load_ids, "bigint"), of_file(names, "varchar")
    is_kept = f"file_number = {size - 1}" if len(rows.file_numbers) == 1 else f"{load_id} is not null"
    columns = ", ".join(table.column_names)
    connection.execute(
        f"""
        insert into raw.{table.name} (load_id, file_name, row_number, record_number, {columns}, attributes)
        select
            {load_id},
            {file_name},
            {rows.row_number},
            {of_file(records_before, "bigint")} + {rows.row_number},
            {columns},
            attributes
        from {rows.table} where reason is null and {is_kept}
        """
    )
    if not has_rejected:
        return
    parsed = ", ".join(f"'{name}', {name}" for name in table.column_names)
    connection.execute(
        f"""
        insert into raw.rejected_rows (load_id, file_name, row_number, row_text, reason)
        select
            {load_id},
            {file_name},
            {rows.row_number},
            coalesce(line, cast(json_merge_patch(coalesce(attributes, '{{}}'), json_object({parsed})) as varchar)),
            reason
        from {rows.table} where reason is not null and {is_kept}
        """
    )


def _write_ledger(connection: duckdb.DuckDBPyConnection, loads: list[Load], run_id: str | None) -> None:
    values = [
        [
            load.load_id, load.table, load.day, load.outcome, load.message, [vars(file) for file in load.files],
            load.delivered_count, load.loaded_count, load.rejected_count, json.dumps(load.unreadable_values),
            run_id,
        ]
        for load in loads
    ]  # fmt: skip
    if values:
        connection.executemany(
            """
            insert into raw.loads
                (load_id, table_name, load_day, outcome, message, files, delivered_count, loaded_count, rejected_count,
                unreadable_values, loaded_at, superseded_by, run_id)
            values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, get_current_timestamp(), null, ?)
            """,
            values,
        )
