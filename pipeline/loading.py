"""Loads deliveries into raw, one transaction per table and day, under R25 and R26."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.capacity import ResourcesError, check_delivery, exhaustion
from pipeline.contracts import RECORDS_PER_LOAD, Table, delivered_tables, reading_macros
from pipeline.landing import Delivery, Signature, file_signature, readable, shown_path
from pipeline.reading import Limits, Reading, UnreadableFileError, hash_file, read_file
from pipeline.rejecting import count_rows, reason_to_reject, too_many_rejected
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


def load_delivery(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    rules: Rules,
    landing_dir: Path,
    reload: bool = False,
    run_id: str | None = None,
) -> Load:
    """Loads a delivery. Bad data and a lack of memory or disk space become a failed Load, not an exception.

    Supersedes the day's earlier loads. A failed attempt is only noted in the ledger. A delivery with the same bytes as
    the live load is skipped unless `reload` is set.
    """
    table = delivered_tables()[delivery.table]
    try:
        files = _hash_files(delivery, landing_dir)
        live = live_load(connection, delivery)
        if live and not reload and _contents(live.files) == _contents(files):
            return _note_unchanged(connection, delivery, live, files)
        _check_space(connection, delivery)
        with (
            _exhausting(connection, f"{delivery.table}/{delivery.day}/"),
            tempfile.TemporaryDirectory(prefix="delivery-", dir=_temporary_dir(connection)) as scratch,
        ):
            judged = _judge_files(connection, table, delivery, files, rules, Path(scratch))
            return _keep_files(connection, table, delivery, judged, run_id)
    except DeliveryFailedError as error:
        try:
            _drop_temporary_tables(connection)
            return _note_failure(connection, delivery, str(error), run_id)
        except duckdb.Error as other:
            # If even the ledger can't be written, the delivery isn't at fault.
            raise (error.__cause__ or other) from None


def _check_space(connection: duckdb.DuckDBPyConnection, delivery: Delivery) -> None:
    try:
        check_delivery(delivery, _warehouse_dir(connection), _temporary_dir(connection))
    except ResourcesError as error:
        raise DeliveryFailedError(f"{delivery.table}/{delivery.day}/ is not read: {error}") from None


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


def _hash_files(delivery: Delivery, landing_dir: Path) -> list[FileCounts]:
    hashed = []
    for file in delivery.files:
        signature = file_signature(file)
        try:
            sha256 = hash_file(file, landing_dir)
        except UnreadableFileError as error:
            raise _failed(delivery, file, error) from None
        hashed.append(FileCounts(*signature, sha256))
    return hashed


def _failed(delivery: Delivery, file: Path, error: Exception | str) -> DeliveryFailedError:
    # A linked folder stands in for its files.
    name = "" if file.name == str(delivery.day) else readable(file.name)
    return DeliveryFailedError(f"{delivery.table}/{delivery.day}/{name} {error}")


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


def _note_unchanged(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, live: Load, files: list[FileCounts]
) -> Load:
    """Updates the modification times in the ledger, so that the same bytes don't look changed again."""
    modified = {file.file_name: file.modified_ns for file in files}
    with transaction(connection):
        _supersede(connection, delivery, live.load_id, "load_id > ?")
        connection.execute(
            "update raw.loads set files = ? where load_id = ?",
            [[vars(file) | {"modified_ns": modified[file.file_name]} for file in live.files], live.load_id],
        )
    return live


@dataclass(frozen=True)
class _JudgedFile:
    """A judged file, whose rows wait in a temporary table for the day's transaction."""

    counts: FileCounts
    rows: str
    rejected_by_reason: dict[str, int]
    unreadable_values: dict[str, int]


def _judge_files(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    delivery: Delivery,
    files: list[FileCounts],
    rules: Rules,
    scratch: Path,
) -> list[_JudgedFile]:
    """Reads and judges all files before anything is written. Raises DeliveryFailedError."""
    macros = reading_macros(rules)
    reason = reason_to_reject(table, macros, rules, delivery.day)
    judged: list[_JudgedFile] = []
    limits = Limits(rules.max_columns, Settings.read().unpacked_limit)
    for number, (path, facts) in enumerate(zip(delivery.files, files, strict=True)):
        reading = Reading(table, macros, reason, limits, into=f"judged_{number}")
        with _exhausting(connection, f"{delivery.table}/{delivery.day}/{readable(path.name)}"):
            try:
                read_file(connection, reading, path, scratch)
            except UnreadableFileError as error:
                raise _failed(delivery, path, error) from None
            delivered_count, reasons, unreadable = count_rows(connection, reading)
        rejected_count = sum(reasons.values())
        if problem := too_many_rejected(delivered_count, reasons, rules):
            raise _failed(delivery, path, problem)
        if file_signature(path) != (facts.file_name, facts.size_bytes, facts.modified_ns):
            raise _failed(delivery, path, "changed while it was read; it is read again by the next load")
        counts = replace(
            facts,
            delivered_count=delivered_count,
            loaded_count=delivered_count - rejected_count,
            rejected_count=rejected_count,
        )
        judged.append(_JudgedFile(counts, reading.into, reasons, unreadable))
    return judged


def _keep_files(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    delivery: Delivery,
    judged: list[_JudgedFile],
    run_id: str | None,
) -> Load:
    """Writes rows, rejected rows and the ledger in one transaction."""
    with transaction(connection):
        load = Load(
            delivery.table,
            delivery.day,
            "loaded",
            _next_load_id(connection),
            files=tuple(file.counts for file in judged),
            rejected_by_reason=_added(file.rejected_by_reason for file in judged),
            unreadable_values=_added(file.unreadable_values for file in judged),
            warnings=tuple(_files_without_good_rows(delivery, judged)),
            doubled_files=_doubled_files(connection, table, judged),
        )
        records_before = RECORDS_PER_LOAD * (load.load_id or 0)
        for file in judged:
            _keep_rows(connection, table, load.load_id, file, records_before)
            records_before += file.counts.delivered_count
        _supersede(connection, delivery, load.load_id, "load_id < ?")
        _write_ledger(connection, load, run_id)
    for file in judged:
        connection.execute(f"drop table {file.rows}")
    return load


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
        f"from {file.rows} where reason is null"
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


def _supersede(connection: duckdb.DuckDBPyConnection, delivery: Delivery, load_id: int | None, which: str) -> None:
    """Closes the day's other attempts, failures included: this load replaces them all."""
    connection.execute(
        f"""
        update raw.loads set superseded_by = ?
        where table_name = ? and load_day = ? and superseded_by is null and {which}
        """,
        [load_id, delivery.table, delivery.day, load_id],
    )


def _keep_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, load_id: int | None, file: _JudgedFile, records_before: int
) -> None:
    columns = ", ".join(table.column_names)
    connection.execute(
        f"""
        insert into raw.{table.name} (load_id, file_name, row_number, record_number, {columns}, attributes)
        select ?, ?, row_number, ? + row_number, {columns}, attributes from {file.rows} where reason is null
        """,
        [load_id, file.counts.file_name, records_before],
    )
    if not file.rejected_by_reason:
        return
    parsed = ", ".join(f"'{name}', {name}" for name in table.column_names)
    connection.execute(
        f"""
        insert into raw.rejected_rows (load_id, file_name, row_number, row_text, reason)
        select
            ?,
            ?,
            row_number,
            coalesce(line, cast(json_merge_patch(coalesce(attributes, '{{}}'), json_object({parsed})) as varchar)),
            reason
        from {file.rows} where reason is not null
        """,
        [load_id, file.counts.file_name],
    )


def _note_failure(connection: duckdb.DuckDBPyConnection, delivery: Delivery, message: str, run_id: str | None) -> Load:
    files = tuple(FileCounts(*file_signature(file), "") for file in delivery.files)
    with transaction(connection):
        load = Load(delivery.table, delivery.day, "failed", _next_load_id(connection), message, files)
        _write_ledger(connection, load, run_id)
    return load


def _next_load_id(connection: duckdb.DuckDBPyConnection) -> int:
    return int(sql.value(connection, "select coalesce(max(load_id), 0) + 1 from raw.loads"))


def _write_ledger(connection: duckdb.DuckDBPyConnection, load: Load, run_id: str | None) -> None:
    connection.execute(
        """
        insert into raw.loads
            (load_id, table_name, load_day, outcome, message, files, delivered_count, loaded_count, rejected_count,
            unreadable_values, loaded_at, superseded_by, run_id)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, get_current_timestamp(), null, ?)
        """,
        [
            load.load_id, load.table, load.day, load.outcome, load.message, [vars(file) for file in load.files],
            load.delivered_count, load.loaded_count, load.rejected_count, json.dumps(load.unreadable_values),
            run_id,
        ],
    )  # fmt: skip
