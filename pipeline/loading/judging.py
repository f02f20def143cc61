"""Reads the files of deliveries and judges their rows, before anything is written."""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from pipeline.contracts import delivered_tables, reading_macros
from pipeline.landing import file_signature
from pipeline.loading.attempts import Attempt, JudgedFile, translate_exhaustion
from pipeline.loading.loads import FileCounts
from pipeline.reading import Limits, Reading, Rows, UnreadableFileError, read_file, read_files
from pipeline.rejecting import RowCounts, count_rows, reason_to_reject, too_many_rejected
from pipeline.settings import Rules, Settings

# A delivered file, with what is known of it before it is read.
_File = tuple[Attempt, Path, FileCounts]


def judge_files(
    connection: duckdb.DuckDBPyConnection, attempts: list[Attempt], rules: Rules, scratch: Path, file_by_file: bool
) -> list[Rows]:
    """Reads and judges the files of all deliveries, and notes the deliveries that fail.

    `scratch` is an empty folder.
    """
    files = [
        (attempt, path, facts)
        for attempt in attempts
        for path, facts in zip(attempt.delivery.files, attempt.files, strict=True)
    ]
    table, macros = delivered_tables()[attempts[0].delivery.table], reading_macros(rules)
    days = [attempt.delivery.day for attempt, _, _ in files]
    reading = Reading(
        table,
        macros,
        reason_to_reject(connection, table, macros, rules, days),
        Limits(rules.max_columns, Settings.read().unpacked_limit),
        into="judged",
    )
    rows = _read_together(connection, reading, files, scratch / "together", file_by_file)
    rows += _read_alone(connection, reading, rules, files, rows, scratch / "alone")
    rows_of, counts_of = _by_file(rows), _count_by_file(connection, reading, rows)
    for number, file in enumerate(files):
        if not file[0].error:
            _judge(file, number, rows_of[number], counts_of[number], rules)
    return rows


def _read_together(
    connection: duckdb.DuckDBPyConnection, reading: Reading, files: Sequence[_File], scratch: Path, file_by_file: bool
) -> list[Rows]:
    """Reads many files in a statement. Leaves out files that must be read alone."""
    paths = {number: path for number, (_, path, _) in enumerate(files)}
    rows: list[Rows] = []
    for position, group in enumerate([{number: path} for number, path in paths.items()] if file_by_file else [paths]):
        scratch.mkdir()
        rows += read_files(connection, replace(reading, into=f"judged_together_{position}"), group, scratch)
        shutil.rmtree(scratch)
    return rows


def _read_alone(
    connection: duckdb.DuckDBPyConnection,
    reading: Reading,
    rules: Rules,
    files: Sequence[_File],
    rows: Sequence[Rows],
    scratch: Path,
) -> list[Rows]:
    """Reads the files without rows, each in a statement. A delivery fails with the first of its files that can't be read."""
    scratch.mkdir()
    is_read = _by_file(rows)
    found: list[Rows] = []
    for number, (attempt, path, _) in enumerate(files):
        if number in is_read or attempt.error:
            continue
        with translate_exhaustion(connection, attempt.name(path)):
            try:
                # With the reason of its day alone, as of many it is a long one.
                reason = reason_to_reject(connection, reading.table, reading.macros, rules, [attempt.delivery.day])
                reading_alone = replace(reading, reason=reason, into=f"judged_{number}")
                found.append(read_file(connection, reading_alone, path, number, scratch))
            except (UnreadableFileError, duckdb.IOException, OSError) as error:
                if not path.exists():
                    attempt.error = f"{attempt.name(path)} was removed while it was read; deliver it again"
                elif isinstance(error, UnreadableFileError):
                    attempt.error = f"{attempt.name(path)} {error}"
                else:
                    raise
    return found


def _by_file(rows: Sequence[Rows]) -> dict[int, Rows]:
    """The first rows of each file, by its number: faulty ones come after those that are good."""
    return {number: read for read in reversed(rows) for number in read.file_numbers}


def _count_by_file(
    connection: duckdb.DuckDBPyConnection, reading: Reading, rows: Sequence[Rows]
) -> defaultdict[int, RowCounts]:
    counts_of: defaultdict[int, RowCounts] = defaultdict(RowCounts)
    for read in rows:
        for number, of_file in count_rows(connection, reading.table, reading.macros, read.table).items():
            if number in read.file_numbers:
                counts_of[number].add(of_file)
    return counts_of


def _judge(file: _File, number: int, rows: Rows, counts: RowCounts, rules: Rules) -> None:
    """Adds a file to its delivery's judged ones, and notes if it fails the delivery."""
    attempt, path, facts = file
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
    attempt.judged.append(JudgedFile(number, counted_facts, rows, counts.rejected_by_reason, counts.unreadable_values))
