"""Loads deliveries into raw, many in a transaction, under R25 and R26: each is in whole or not at all."""

import itertools
import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.capacity import ResourcesError, check_delivery, deliveries_at_once, exhaustion
from pipeline.contracts import RECORDS_PER_LOAD, Table, delivered_tables, reading_macros
from pipeline.landing import Delivery, Signature, file_signature, readable, shown_path
from pipeline.reading import Limits, Reading, Rows, UnreadableFileError, hash_file, read_file, read_files
from pipeline.rejecting import RowCounts, count_rows, reason_to_reject, too_many_rejected
from pipeline.settings import Rules, Settings
from pipeline.warehouse import transaction
from pipeline.wording import counted, listed, shortened


@dataclass(frozen=True)
class FileCounts:
    file_name: str
    size_bytes: int
    modified_ns: int
    sha256: str
    delivered_count: int = 0
    loaded_count: int = 0
    rejected_count: int = 0


@dataclass(frozen=True)
class DoubledFiles:
    """Files of a delivery that hold the same rows, by name."""

    file_names: tuple[str, ...]
    row_count: int


@dataclass(frozen=True)
class Load:
    """The result for one delivery. `outcome` is loaded, failed, or unchanged (nothing to do)."""

    table: str
    day: date
    outcome: str
    load_id: int | None = None
    message: str | None = None
    files: tuple[FileCounts, ...] = ()
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    unreadable_values: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    doubled_files: tuple[DoubledFiles, ...] = ()

    @property
    def delivered_count(self) -> int:
        return sum(file.delivered_count for file in self.files)

    @property
    def loaded_count(self) -> int:
        return sum(file.loaded_count for file in self.files)

    @property
    def rejected_count(self) -> int:
        return sum(file.rejected_count for file in self.files)


class DeliveryFailedError(Exception):
    """A delivery fails its day (R26). The message names the file, what is wrong and what to do."""


def pending(
    deliveries: Iterable[Delivery],
    known: dict[tuple[str, date], tuple[str, Signature]],
    is_failed_pending: bool = True,
) -> list[Delivery]:
    """Deliveries that are new, changed since their last load, or failed in it."""
    waiting = []
    for delivery in deliveries:
        outcome, signature = known.get((delivery.table, delivery.day), (None, None))
        if signature != delivery.signature() or (outcome == "failed" and is_failed_pending):
            waiting.append(delivery)
    return waiting


def load_deliveries(
    connection: duckdb.DuckDBPyConnection,
    deliveries: Iterable[Delivery],
    rules: Rules,
    landing_dir: Path,
    reload: bool = False,
    run_id: str | None = None,
) -> Iterator[Load]:
    """Loads deliveries of one table. Bad data and a lack of memory or disk space become failed Loads, not an exception.

    Each supersedes its day's earlier loads. A failed attempt is only noted in the ledger. A delivery with the same bytes as
    the live load is skipped unless `reload` is set.
    """
    memory = sql.value(connection, "select parse_formatted_bytes(current_setting('memory_limit'))")
    for batch in deliveries_at_once(deliveries, _temporary_dir(connection), memory):
        attempts = [_begin(connection, delivery, landing_dir, reload) for delivery in batch]
        try:
            yield from _load_batch(connection, attempts, rules, run_id)
        except DeliveryFailedError as error:
            for attempt in attempts:
                yield from _load_alone(connection, attempt, rules, run_id, error if len(attempts) == 1 else None)


@dataclass
class _Attempt:
    """A delivery on its way. It has failed if there is an `error`, and is not read if it is `unchanged`."""

    delivery: Delivery
    files: list[FileCounts] = field(default_factory=list)
    unchanged: Load | None = None
    error: str | None = None
    judged: list["_JudgedFile"] = field(default_factory=list)

    @property
    def is_to_be_read(self) -> bool:
        return self.error is None and self.unchanged is None

    def name(self, file: Path | None = None) -> str:
        # A linked folder stands in for its files.
        name = "" if file is None or file.name == str(self.delivery.day) else readable(file.name)
        return f"{self.delivery.table}/{self.delivery.day}/{name}"


def _begin(connection: duckdb.DuckDBPyConnection, delivery: Delivery, landing_dir: Path, reload: bool) -> _Attempt:
    attempt = _Attempt(delivery)
    for file in delivery.files:
        signature = file_signature(file)
        try:
            attempt.files.append(FileCounts(*signature, hash_file(file, landing_dir)))
        except UnreadableFileError as error:
            attempt.error = f"{attempt.name(file)} {error}"
            return attempt
    live = live_load(connection, delivery)
    if live and not reload and _contents(live.files) == _contents(attempt.files):
        attempt.unchanged = live
        return attempt
    try:
        check_delivery(delivery, _warehouse_dir(connection), _temporary_dir(connection))
    except ResourcesError as error:
        attempt.error = f"{attempt.name()} is not read: {error}"
    return attempt


def _load_batch(
    connection: duckdb.DuckDBPyConnection,
    attempts: list[_Attempt],
    rules: Rules,
    run_id: str | None,
    file_by_file: bool = False,
) -> list[Load]:
    """Loads deliveries in a transaction. Raises DeliveryFailedError when memory or disk space runs out."""
    read = [attempt for attempt in attempts if attempt.is_to_be_read]
    # Of several deliveries none is at fault alone, and their message is seen by nobody.
    what = read[0].name(read[0].delivery.files[0] if len(read[0].files) == 1 else None) if read else ""
    with (
        _exhausting(connection, what),
        tempfile.TemporaryDirectory(prefix="delivery-", dir=_temporary_dir(connection)) as scratch,
    ):
        rows = _judge_files(connection, read, rules, Path(scratch), file_by_file) if read else []
        loads = _keep(connection, attempts, rows, run_id)
    _drop_temporary_tables(connection)
    return loads


def _load_alone(
    connection: duckdb.DuckDBPyConnection,
    attempt: _Attempt,
    rules: Rules,
    run_id: str | None,
    error: DeliveryFailedError | None,
) -> list[Load]:
    """Loads a delivery of a batch that was too much at once, or notes that it is too much itself.

    `error` says that the whole batch was this delivery.
    """
    ways = ([] if error else [False]) + ([True] if len(attempt.delivery.files) > 1 else [])
    for file_by_file in ways:
        _drop_temporary_tables(connection)
        attempt.judged.clear()
        try:
            return _load_batch(connection, [attempt], rules, run_id, file_by_file)
        except DeliveryFailedError as its_own:
            error = its_own
    assert error
    attempt.judged.clear()
    attempt.error = attempt.error or str(error)
    try:
        _drop_temporary_tables(connection)
        return _keep(connection, [attempt], [], run_id)
    except duckdb.Error as other:
        # If even the ledger can't be written, the delivery isn't at fault.
        raise (error.__cause__ or other) from None


@contextmanager
def _exhausting(connection: duckdb.DuckDBPyConnection, what: str) -> Iterator[None]:
    """Raises DeliveryFailedError when memory or disk space runs out."""
    try:
        yield
    except (duckdb.Error, OSError, MemoryError) as error:
        if message := exhaustion(error, _temporary_dir(connection)):
            raise DeliveryFailedError(f"{what} {message}") from error
        raise


def _drop_temporary_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Frees the memory and disk space of a failed delivery for the next one."""
    for (name,) in connection.execute("select table_name from duckdb_tables() where temporary").fetchall():
        connection.execute(f"drop table {name}")


def _warehouse_dir(connection: duckdb.DuckDBPyConnection) -> Path:
    path = sql.value(connection, "select path from duckdb_databases() where database_name = current_database()")
    return Path(path).parent


def _temporary_dir(connection: duckdb.DuckDBPyConnection) -> Path:
    """Where the connection spills; copies of deliveries go there too."""
    return Path(sql.value(connection, "select current_setting('temp_directory')"))


def _contents(files: Iterable[FileCounts]) -> list[tuple[str, str]]:
    return sorted((file.file_name, file.sha256) for file in files)


def live_load(connection: duckdb.DuckDBPyConnection, delivery: Delivery) -> Load | None:
    """The current content of the delivery's day, as an unchanged Load; None before the first."""
    row = connection.execute(
        """
        select load_id, files, cast(unreadable_values as varchar) from raw.loads
        where table_name = ? and load_day = ? and outcome = 'loaded' and superseded_by is null
        """,
        [delivery.table, delivery.day],
    ).fetchone()
    if row is None:
        return None
    reasons = connection.execute(
        "select reason, count(*) from raw.rejected_rows where load_id = ? group by reason order by reason", [row[0]]
    ).fetchall()
    return Load(
        delivery.table,
        delivery.day,
        "unchanged",
        row[0],
        files=tuple(FileCounts(**file) for file in row[1]),
        rejected_by_reason=dict(reasons),
        unreadable_values=json.loads(row[2]),
    )


@dataclass(frozen=True)
class _JudgedFile:
    """A judged file, whose rows wait in a temporary table for the transaction."""

    number: int
    counts: FileCounts
    rows: Rows
    rejected_by_reason: dict[str, int]
    unreadable_values: dict[str, int]


def _judge_files(
    connection: duckdb.DuckDBPyConnection, attempts: list[_Attempt], rules: Rules, scratch: Path, file_by_file: bool
) -> list[Rows]:
    """Reads and judges the files of all deliveries before anything is written, and notes those that fail."""
    table = delivered_tables()[attempts[0].delivery.table]
    macros = reading_macros(rules)
    files = [
        (attempt, path, facts)
        for attempt in attempts
        for path, facts in zip(attempt.delivery.files, attempt.files, strict=True)
    ]
    reading = Reading(
        table,
        macros,
        reason_to_reject(connection, table, macros, rules, [attempt.delivery.day for attempt, _, _ in files]),
        Limits(rules.max_columns, Settings.read().unpacked_limit),
        into="judged",
    )
    paths = {number: path for number, (_, path, _) in enumerate(files)}
    rows: list[Rows] = []
    for position, group in enumerate([{number: path} for number, path in paths.items()] if file_by_file else [paths]):
        together = scratch / "together"
        together.mkdir()
        rows += read_files(connection, replace(reading, into=f"judged_together_{position}"), group, together)
        shutil.rmtree(together)
    alone = scratch / "alone"
    alone.mkdir()
    rows_of = {number: read for read in reversed(rows) for number in read.file_numbers}
    for number, (attempt, path, _) in enumerate(files):
        if number in rows_of or attempt.error:
            continue
        with _exhausting(connection, attempt.name(path)):
            try:
                # With the reason of its day alone, as of many it is a long one.
                reason = reason_to_reject(connection, table, macros, rules, [attempt.delivery.day])
                reading_alone = replace(reading, reason=reason, into=f"judged_{number}")
                rows_of[number] = read_file(connection, reading_alone, path, number, alone)
                rows.append(rows_of[number])
            except UnreadableFileError as error:
                attempt.error = f"{attempt.name(path)} {error}"
            except (duckdb.IOException, OSError):
                if path.exists():
                    raise
                attempt.error = f"{attempt.name(path)} was removed while it was read; deliver it again"
    counts_of: dict[int, RowCounts] = defaultdict(RowCounts)
    for read in rows:
        for number, of_file in count_rows(connection, table, macros, read.table).items():
            if number in read.file_numbers:
                counts_of[number].add(of_file)
    for number, (attempt, path, facts) in enumerate(files):
        if attempt.error:
            continue
        counts = counts_of[number]
        if problem := too_many_rejected(counts, rules):
            attempt.error = f"{attempt.name(path)} {problem}"
        elif file_signature(path) != (facts.file_name, facts.size_bytes, facts.modified_ns):
            attempt.error = f"{attempt.name(path)} changed while it was read; it is read again by the next load"
        counted_facts = replace(
            facts,
            delivered_count=counts.delivered,
            loaded_count=counts.delivered - counts.rejected,
            rejected_count=counts.rejected,
        )
        attempt.judged.append(
            _JudgedFile(number, counted_facts, rows_of[number], counts.rejected_by_reason, counts.unreadable_values)
        )
    return rows


def _keep(
    connection: duckdb.DuckDBPyConnection, attempts: list[_Attempt], rows: list[Rows], run_id: str | None
) -> list[Load]:
    """Writes rows, rejected rows and the ledger in one transaction, deliveries in their order."""
    table = delivered_tables()[attempts[0].delivery.table]
    with transaction(connection):
        next_load_id = int(sql.value(connection, "select coalesce(max(load_id), 0) + 1 from raw.loads"))
        load_ids = itertools.count(next_load_id)
        loads = [_load_of(connection, table, attempt, load_ids) for attempt in attempts]
        for read in rows:
            _keep_rows(connection, table, read, attempts, loads)
        _write_ledger(connection, [load for load in loads if load.outcome != "unchanged"], run_id)
        for attempt, load in zip(attempts, loads, strict=True):
            if load.outcome == "unchanged":
                _note_unchanged(connection, attempt, load)
            elif load.outcome == "loaded":
                _supersede(connection, load, "load_id < ?")
    return loads


def _load_of(connection: duckdb.DuckDBPyConnection, table: Table, attempt: _Attempt, load_ids: Iterator[int]) -> Load:
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


def _note_unchanged(connection: duckdb.DuckDBPyConnection, attempt: _Attempt, live: Load) -> None:
    """Updates the modification times in the ledger, so that the same bytes don't look changed again."""
    modified = {file.file_name: file.modified_ns for file in attempt.files}
    _supersede(connection, live, "load_id > ?")
    connection.execute(
        "update raw.loads set files = ? where load_id = ?",
        [[vars(file) | {"modified_ns": modified[file.file_name]} for file in live.files], live.load_id],
    )


def _files_without_good_rows(delivery: Delivery, judged: list[_JudgedFile]) -> Iterator[str]:
    """Warns of files without a good row. Small files may lose all rows (R26), and the day's earlier rows go, too."""
    for file in judged:
        if file.counts.rejected_count and not file.counts.loaded_count:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in file.rejected_by_reason.items())
            yield (
                f"{delivery.table}/{delivery.day}/{readable(file.counts.file_name)} has no good row, so it loads none: all "
                f"{file.counts.rejected_count:,} were rejected ({reasons}). `rejected` shows them; mend the file and load the day again"
            )


def _doubled_files(
    connection: duckdb.DuckDBPyConnection, table: Table, judged: list[_JudgedFile]
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


def doubled_files_warnings(loads: Iterable[Load], landing_dir: Path) -> list[str]:
    """Warnings of doubled files: a line for a day's, and one line where files of the same names are doubled on several days."""
    found: dict[tuple[str, tuple[str, ...]], dict[date, int]] = {}
    for load in loads:
        for doubled in load.doubled_files:
            found.setdefault((load.table, doubled.file_names), {})[load.day] = doubled.row_count
    warnings = []
    for (table, names), row_counts in found.items():
        (day, row_count), *more = row_counts.items()
        if more:
            folder, rows = landing_dir / table, f"rows on {shortened([str(day) for day in row_counts])}"
            advice = "take one away from each of these days and load them again"
        else:
            folder, rows = landing_dir / table / str(day), counted(row_count, "row")
            advice = "take one away and load the day again"
        warnings.append(
            f"{shown_path(folder)}: {listed(names)} hold the same {rows}, and each counts: if that isn't meant, {advice}"
        )
    return warnings


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


def _keep_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: Rows, attempts: list[_Attempt], loads: list[Load]
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
