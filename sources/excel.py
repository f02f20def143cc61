"""Reads sheets of .xlsx files in bulk, with cells as text as a CSV would have them."""

import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import fastexcel
import numpy
import pyarrow

from pipeline.reading import UnreadableFileError
from sources.export_text import EXCEL, MOST_TITLE_LINES, HeaderFinder

# Cells are doubles: larger integers have lost digits.
LARGEST_WHOLE_NUMBER = 2**53
MOST_UNPACKED_BYTES = 2**30
WORKBOOK = "xl/workbook.xml"


def is_excel(file: Path) -> bool:
    """Whether a file begins like an .xlsx. Raises UnreadableFileError."""
    try:
        with open(file, "rb") as content:
            return content.read(len(EXCEL)) == EXCEL
    except OSError as error:
        raise UnreadableFileError(f"can't be read ({error.strerror})") from None


class Workbook:
    """The sheets of a file. Raises UnreadableFileError."""

    def __init__(self, file: Path) -> None:
        try:
            with zipfile.ZipFile(file) as packed:
                members = packed.infolist()
            if WORKBOOK not in {member.filename for member in members}:
                raise UnreadableFileError(
                    "is an Excel or ZIP file, but no .xlsx: unpack it, or save it as CSV or .xlsx"
                )
            if sum(member.file_size for member in members) > MOST_UNPACKED_BYTES:
                raise UnreadableFileError(
                    f"is larger than {MOST_UNPACKED_BYTES / 2**30:.0f} GiB once it is unpacked: save it as CSV"
                )
            self._reader = fastexcel.read_excel(file)
        except (zipfile.BadZipFile, fastexcel.FastExcelError) as error:
            raise UnreadableFileError(
                f"is an Excel or ZIP file, and damaged: save it as CSV or .xlsx again ({_line(error)})"
            ) from None

    def sheet_with_header(self, finder: HeaderFinder) -> tuple[str, pyarrow.Table, int]:
        """The sheet that fits the mapping, its cells as text, and the row of its header."""
        named = finder.how.sheet
        names = self._reader.sheet_names
        if named is not None and named not in names:
            raise UnreadableFileError(
                f"has no sheet «{named}», but {_listed(names)}: mend `sheet` in the mapping's `file`"
            )
        sheets = {
            name: self._cells(name, "string")
            for name in ([named] if named else names)
            if named or self._is_visible(name)
        }
        filled = {name: cells for name, cells in sheets.items() if cells.num_rows and cells.num_columns}
        if not filled:
            raise UnreadableFileError("is empty: an export without rows has a header at least")
        headers = {name: finder.row(first_rows(cells)) for name, cells in filled.items()}
        fitting = [name for name, row in headers.items() if finder.is_header(first_rows(filled[name])[row])]
        if len(fitting) > 1:
            raise UnreadableFileError(
                f"has such columns in {len(fitting)} sheets, {_listed(fitting)}: write in the mapping's `file` which `sheet` is meant"
            )
        chosen = fitting[0] if fitting else next(iter(filled))
        return chosen, filled[chosen], headers[chosen]

    def numbers(self, sheet: str) -> pyarrow.Table:
        """The sheet read as booleans: cells that are numbers aren't null."""
        return self._cells(sheet, "boolean")

    def _cells(self, sheet: str, kind: fastexcel.DType) -> pyarrow.Table:
        try:
            loaded = self._reader.load_sheet(sheet, header_row=None, skip_rows=0, dtypes=kind)
            batch = loaded.to_arrow() if loaded.width else pyarrow.record_batch({})
        except fastexcel.FastExcelError as error:
            raise UnreadableFileError(
                f"has a sheet «{sheet}» that can't be read ({_line(error)}): save it as CSV"
            ) from None
        return pyarrow.Table.from_batches([batch]).rename_columns(
            [f"field_{place}" for place in range(batch.num_columns)]
        )

    def _is_visible(self, sheet: str) -> bool:
        return self._reader.load_sheet(sheet, header_row=None, n_rows=0).visible == "visible"


def first_rows(cells: pyarrow.Table) -> list[list[str]]:
    columns = [column.to_pylist() for column in cells.slice(0, MOST_TITLE_LINES).columns]
    return [[cell or "" for cell in row] for row in zip(*columns, strict=True)]


def create_rows(connection: duckdb.DuckDBPyConnection, cells: pyarrow.Table, header_row: int, relation: str) -> None:
    """Creates `relation` (position, row_number, field_0, …) from the non-empty rows below the header."""
    with _registered(connection, cells) as sheet:
        fields = ", ".join(cells.column_names)
        connection.execute(
            f"""
            create temporary table {relation} as
            select position, row_number() over (order by position) as row_number, {fields}
            from {sheet} where position > {header_row} and trim(concat({fields})) <> ''
            """
        )


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, cells: pyarrow.Table) -> Iterator[str]:
    connection.register("sheet", cells.append_column("position", pyarrow.array(numpy.arange(cells.num_rows))))
    try:
        yield "sheet"
    finally:
        connection.unregister("sheet")


def settle_numbers(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    numbers: Callable[[], pyarrow.Table],
    with_comma: Collection[str],
    texts: Mapping[str, str],
) -> None:
    """Writes numbers with a decimal comma in columns that use one, where 1.234 would mean a thousand. Raises UnreadableFileError.

    Rejects numeric identifiers that lost digits: two people might share one. `numbers` finds the numeric cells; it is called
    only if needed, as it reads the sheet again.
    """
    ambiguous = {field: f"regexp_full_match({field}, '-?\\d{{1,3}}\\.\\d{{3}}')" for field in with_comma}
    long = {
        field: f"(regexp_full_match({field}, '-?\\d{{16,}}') and abs(try_cast({field} as double)) > {LARGEST_WHOLE_NUMBER}"
        f" or regexp_full_match({field}, '\\d{{9,}}\\.\\d{{4,}}'))"
        for field in texts
    }
    suspicious = " or ".join([*ambiguous.values(), *long.values()]) or "false"
    if not connection.execute(f"select 1 from {relation} where {suspicious} limit 1").fetchall():
        return
    with _registered(connection, numbers()) as sheet:
        for field, condition in long.items():
            found = connection.execute(
                f"""
                select {field} from {relation}
                where {condition} and position in (select position from {sheet} where {field} is not null)
                order by position limit 1
                """
            ).fetchall()
            if found:
                raise UnreadableFileError(
                    f"has a number in «{texts[field]}» with more digits than a spreadsheet keeps ({found[0][0]}): its last digits are "
                    "lost. Let the export write that column as text, or save it as CSV"
                )
        for field, condition in ambiguous.items():
            connection.execute(
                f"""
                update {relation} set {field} = replace({field}, '.', ',')
                where {condition} and position in (select position from {sheet} where {field} is not null)
                """
            )


def cell_text(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> str:
    """SQL for a column's text: the file stores days, times of day and durations alike as points in time.

    A duration counts from the end of 1899. Only the whole column shows that its days have no time, as midnight looks alike.
    """
    point = r"'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?'"
    found = connection.execute(
        f"""
        select count(*), count(*) filter (left({column}, 4) <= '1903'), count(*) filter ({column} not like '% 00:00:00')
        from {relation} where length({column}) between 19 and 23 and regexp_full_match({column}, {point})
        """
    ).fetchone()
    point_count, length_count, time_count = found or (0, 0, 0)
    if not point_count:
        return column
    day = f"left({column}, 10)" if not time_count or time_count == length_count else column
    if not length_count:
        return f"case when regexp_full_match({column}, {point}) then {day} else {column} end"
    # Excel treats 1900 as a leap year.
    moment = f"try_cast({column} as timestamp)"
    seconds = f"(epoch({moment} - timestamp '1899-12-31') + case when {moment} >= timestamp '1900-03-01' then 86400 else 0 end)"
    whole = f"cast(round({seconds}) as bigint)"
    clock = f"printf('%02d:%02d:%02d', {whole} // 3600, {whole} // 60 % 60, {whole} % 60)"
    return f"""case
        when not regexp_full_match({column}, {point}) then {column}
        when left({column}, 4) <= '1903' then {clock}
        else {day}
    end"""


def _listed(names: list[str]) -> str:
    return ", ".join(f"«{name}»" for name in names[:20]) + (", …" if len(names) > 20 else "")


def _line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
