"""CSV files read by DuckDB, many in a statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.capacity import is_full_disk, is_out_of_memory
from pipeline.reading.csv_files import COMMAS, Bytes, csv_header, csv_records, look_at_bytes
from pipeline.reading.rows import Reading, Rows, UnreadableFileError, check_columns, create_rows

# A file with more faulty records is read record by record.
MOST_FAULTS = 100


def read_clean_csv(connection: duckdb.DuckDBPyConnection, reading: Reading, files: Mapping[int, Path]) -> list[Rows]:
    """Reads plain files by number. Leaves out files in which DuckDB may not find each record."""
    groups: dict[tuple[tuple[str, ...], bool], dict[int, Bytes]] = {}
    for number, file in files.items():
        try:
            names, line_count = csv_header(file)
            check_columns(reading, names)
            found = look_at_bytes(file)
        except (UnreadableFileError, UnicodeDecodeError, OSError):
            continue
        if line_count == 1 and not found.may_be_misread:
            groups.setdefault((tuple(names), found.has_carriage_returns), {})[number] = found
    rows: list[Rows] = []
    for position, ((header, _), of_group) in enumerate(groups.items()):
        into = replace(reading, into=f"{reading.into}_{position}")
        try:
            rows += _read_group(connection, into, header, files, of_group)
        except (duckdb.InvalidInputException, duckdb.IOException, OSError) as error:
            if is_full_disk(error) or is_out_of_memory(error):
                raise
            # One of them obviously isn't CSV, or is gone.
    return rows


@dataclass(frozen=True)
class _Fault:
    """A record with too few or too many fields."""

    record_number: int
    line: str


@dataclass(frozen=True)
class _GoodRows:
    """A file's rows in the table of its group: their count, the delimiters in their fields, and their first and last place."""

    count: int = 0
    delimiter_count: int = 0
    first: int = 0
    last: int = -1


def _read_group(
    connection: duckdb.DuckDBPyConnection,
    reading: Reading,
    header: Sequence[str],
    files: Mapping[int, Path],
    of_group: Mapping[int, Bytes],
) -> list[Rows]:
    """Reads files of the same header and line ends."""
    rejects = f"rejects_of_{reading.into}"
    _create_good_rows(connection, reading, header, {number: files[number] for number in of_group}, rejects)
    faults = _faults_of(connection, rejects, files, list(of_group))
    connection.execute(f"drop table {rejects}; drop table {rejects}_scan")
    found = _good_rows(connection, reading)
    good = {number: found.get(number, _GoodRows()) for number in of_group}
    clean = {
        number
        for number, of_bytes in of_group.items()
        if (of_file := faults.get(number, [])) is not None and _are_all(header, good[number], of_file, of_bytes)
    }
    first_rows = [str(good[number].first if number in clean else 0) for number in range(max(of_group) + 1)]
    # A file's rows lie in their order and one after another, so their places number them.
    place = f"rowid - {sql.listing(first_rows)}[good.file_number + 1] + 1"
    faults_of_clean = {number: of_file for number, of_file in faults.items() if of_file and number in clean}
    faulty_rows = _number_around_faults(connection, reading, place, faults_of_clean) if faults_of_clean else []
    row_number = place.replace("good.", "") + (" + fault_count" if faulty_rows else "")
    return [Rows(reading.into, frozenset(clean), row_number), *faulty_rows]


def _good_rows(connection: duckdb.DuckDBPyConnection, reading: Reading) -> dict[int, _GoodRows]:
    """What was read, by file number."""
    found = connection.execute(
        f"""
        select file_number, count(*), cast(sum(delimiter_count) as bigint), min(rowid), max(rowid)
        from {reading.into} group by file_number
        """
    ).fetchall()
    return {number: _GoodRows(*counts) for number, *counts in found}


def _are_all(header: Sequence[str], good: _GoodRows, faults: Sequence[_Fault], of_bytes: Bytes) -> bool:
    """Whether good and faulty rows are the whole file, and the good ones lie together.

    DuckDB drops empty fields beyond the header's, which leaves delimiters over.
    """
    between_fields = (len(header) - 1) * (good.count + 1)
    in_fields = sum(name.count(",") for name in header) + good.delimiter_count
    in_faults = sum(fault.line.count(",") for fault in faults)
    delimiter_count = between_fields + in_fields + in_faults
    return delimiter_count == of_bytes.delimiter_count and good.last - good.first + 1 == good.count


def _create_good_rows(
    connection: duckdb.DuckDBPyConnection,
    reading: Reading,
    header: Sequence[str],
    files: Mapping[int, Path],
    rejects: str,
) -> None:
    fields = [f"field_{number}" for number in range(len(header))]
    columns = ", ".join(f"'{field}': 'varchar'" for field in fields)
    record = f"concat({', '.join(fields)})"
    source = f"""(
        select
            *,
            {sql.listing(map(str, files))}[cast(file_index as bigint) + 1] as file_number,
            strlen({record}) - strlen(replace({record}, ',', '')) as delimiter_count
        from read_csv(
            {sql.listing(sql.literal(file) for file in files.values())},
            {COMMAS.options(header=True)}, columns = {{{columns}}},
            store_rejects = true, rejects_table = '{rejects}', rejects_scan = '{rejects}_scan', rejects_limit = 0
        )
    )"""
    values = dict(zip(header, fields, strict=True))
    unknown = [name for name in header if name not in reading.table.column_names]
    named = f"list_zip({sql.listing(map(sql.literal, unknown))}, {sql.listing(values[name] for name in unknown)})"
    rest = "file_number, cast(null as varchar) as line, true as is_parsable, delimiter_count, 0 as fault_count"
    records = csv_records(reading, values, named, rest, source)
    create_rows(connection, reading, records, ["delimiter_count", "fault_count"])


def _faults_of(
    connection: duckdb.DuckDBPyConnection, rejects: str, files: Mapping[int, Path], numbers: Sequence[int]
) -> dict[int, list[_Fault] | None]:
    """The records that DuckDB has left out, by file number; None where it isn't certain that these are all.

    DuckDB says their number and text. But it numbers blank lines too, and of several lines not all need belong to the record.
    """
    faults: dict[int, list[_Fault] | None] = {}
    for index, line_number, line, is_of_fields in connection.execute(
        f"""
        select
            file_id,
            line,
            trim(any_value(csv_line), chr(13) || chr(10)),
            bool_and(error_type in ('MISSING COLUMNS', 'TOO MANY COLUMNS'))
        from {rejects} group by all order by file_id, line
        """
    ).fetchall():
        of_file = faults.setdefault(numbers[index], [])
        if of_file is None or not is_of_fields or not line or not line.strip() or "\n" in line:
            faults[numbers[index]] = None
        else:
            of_file.append(_Fault(line_number - 1, line))
    for number, of_file in faults.items():
        if of_file and (len(of_file) > MOST_FAULTS or _has_blank_lines(files[number])):
            faults[number] = None
    return faults


def _has_blank_lines(plain: Path) -> bool:
    with open(plain, "rb") as content:
        return any(not line.strip() for line in content)


def _number_around_faults(
    connection: duckdb.DuckDBPyConnection, reading: Reading, place: str, faults: Mapping[int, Sequence[_Fault]]
) -> list[Rows]:
    """Counts the faulty records before each good one, and creates the rows of the faulty ones.

    `place` is a good record's place among those of its file, from 1.
    """
    facts = [
        (number, fault.record_number, fault.line, fault.record_number - position)
        for number, of_file in faults.items()
        for position, fault in enumerate(of_file, 1)
    ]
    connection.execute(
        """
        create or replace temporary table faults as
        select file_number, row_number, line, false as is_parsable, good_before
        from (select unnest(?) as file_number, unnest(?) as row_number, unnest(?) as line, unnest(?) as good_before)
        """,
        [list(column) for column in zip(*facts, strict=True)],
    )
    connection.execute(
        f"""
        update {reading.into} as good set fault_count = faults.fault_count
        from (
            select
                file_number,
                good_before,
                lead(good_before) over of_file as next_good_before,
                row_number() over of_file as fault_count
            from faults
            window of_file as (partition by file_number order by row_number)
        ) as faults
        where good.file_number = faults.file_number
            and {place} > faults.good_before
            and coalesce({place} <= faults.next_good_before, true)
        """
    )
    into = replace(reading, into=f"{reading.into}_faulty")
    create_rows(
        connection, into, csv_records(reading, {}, "[]", "file_number, row_number, line, is_parsable", "faults")
    )
    connection.execute("drop table faults")
    return [Rows(into.into, frozenset(faults))]
