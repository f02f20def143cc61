"""CSV: dialects, headers, and files of which a part isn't CSV, read record by record."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import duckdb

from pipeline import sql
from pipeline.contracts import ReadingMacros
from pipeline.reading.rows import (
    Reading,
    Rows,
    UnreadableFileError,
    attributes_json,
    check_columns,
    cleaned_json,
    create_rows,
)
from pipeline.reading.text_files import CHUNK_BYTES, LONGEST_LINE_BYTES, create_lines, plain_file


@dataclass(frozen=True)
class Dialect:
    """The delimiter and the quote, which is doubled inside fields; an empty quote means none.

    A quoted field may have spaces around it; an unquoted field doesn't begin with a quote.
    """

    delimiter: str = ","
    quote: str = '"'

    @cached_property
    def _parts(self) -> dict[str, str]:
        q, d = (f"\\x{{{ord(character):x}}}" for character in (self.quote, self.delimiter))
        space = "" if self.delimiter == " " else " *"
        quoted = f"{space}{q}(?:[^{q}]|{q}{q})*{q}"
        plain = f"{space}(?:[^{q}{d} ][^{d}]*)?" if space else f"(?:[^{q}{d}][^{d}]*)?"
        return {
            "q": q,
            "d": d,
            "quoted": f"{quoted}{space}",
            "plain": plain,
            # Tolerates text after a closing quote: this finds where records end, not whether they are valid.
            "any": f"(?:{quoted}(?:[^{q}{d}][^{d}]*)?|{plain})",
            "open": f"{space}{q}(?:[^{q}]|{q}{q})*",
        }

    @property
    def field(self) -> str:
        return "(?:{quoted}|{plain})".format(**self._parts)

    @property
    def record(self) -> str:
        return f"{self.field}(?:{self._parts['d']}{self.field})*"

    @property
    def delimited_field(self) -> str:
        return f"{self._parts['d']}({self.field})"

    @property
    def opens(self) -> str:
        """Matches a line that begins outside of quotes and ends inside."""
        return "(?:{any}{d})*{open}".format(**self._parts)

    @property
    def stays_open(self) -> str:
        """Matches a line that begins inside of quotes and ends inside."""
        return "(?:[^{q}]|{q}{q})*(?:{q}(?:[^{q}{d}][^{d}]*)?{d}(?:{any}{d})*{open})?".format(**self._parts)

    def options(self, header: bool = False) -> str:
        """The options for DuckDB's CSV reader, with its detection switched off."""
        return (
            f"delim = {sql.literal(self.delimiter)}, quote = {sql.literal(self.quote)}, escape = {sql.literal(self.quote)}, comment = '', "
            f"header = {str(header).lower()}, auto_detect = false, max_line_size = {LONGEST_LINE_BYTES}, buffer_size = {2 * LONGEST_LINE_BYTES}"
        )


COMMAS = Dialect()


def read_csv(
    connection: duckdb.DuckDBPyConnection, reading: Reading, file: Path, file_number: int, scratch: Path
) -> Rows:
    """Reads a file of which DuckDB can't say which parts aren't CSV."""
    plain = plain_file(reading, file, scratch)
    header, header_lines = csv_header(plain)
    check_columns(reading, header)
    source = faulty_csv_records(connection, reading.macros, plain, header_lines, scratch)
    values = {name: f"parsed_fields[{number}]" for number, name in enumerate(header, start=1)}
    rest = f"""
        {file_number} as file_number,
        row_number,
        case when parsed_fields is null then line end as line,
        parsed_fields is not null as is_parsable
    """
    known = sql.listing(map(sql.literal, reading.table.column_names))
    named = f"""list_filter(
        list_zip({sql.listing(map(sql.literal, header))}, parsed_fields), lambda member: not list_contains({known}, member[1])
    )"""
    parsed = f"(select *, case when len(fields) = {len(header)} then fields end as parsed_fields from {source})"
    create_rows(connection, reading, csv_records(reading, values, named, rest, parsed))
    drop_faulty_csv_records(connection)
    return Rows(reading.into, frozenset({file_number}))


def csv_header(plain: Path, dialect: Dialect = COMMAS) -> tuple[list[str], int]:
    """The column names, and how many lines they take with blank lines before them. Raises UnreadableFileError."""
    quoting: dict[str, Any] = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    with open(plain, encoding="utf-8-sig", newline="\n") as content:
        reader = csv.reader(_first_lines(content), strict=True, delimiter=dialect.delimiter, **quoting)
        try:
            for names in reader:
                if any(name.strip() for name in names):
                    return names, reader.line_num
        except csv.Error as error:
            if "new-line" in str(error):
                raise UnreadableFileError(
                    "has a carriage return inside its header; end lines with line feeds"
                ) from None
            raise UnreadableFileError(f"has a header that can't be read ({error}); are its quotes right?") from None
    raise UnreadableFileError("has no header: its first line must name its columns")


def _first_lines(content: IO[str]) -> Iterator[str]:
    """The lines that contain the header, within a row's size limit: a file may be a single line of a gigabyte."""
    left = LONGEST_LINE_BYTES
    for _ in range(1000):
        line = content.readline(left)
        left -= len(line)
        if left <= 0:
            raise UnreadableFileError(f"has a header longer than {LONGEST_LINE_BYTES:,} bytes; does it have line ends?")
        if not line:
            return
        yield line


def csv_records(reading: Reading, values: dict[str, str], unknown: str, rest: str, source: str) -> str:
    """A query from expressions for the columns, by name, and one for a list of (name, text) of unknown columns."""
    known = ", ".join(f"{values.get(name, 'cast(null as varchar)')} as {name}" for name in reading.table.column_names)
    attributes = attributes_json(unknown, cleaned_json(reading.macros))
    return f"""
        select {rest}, cast(null as varchar[]) as nested_columns, {attributes} as attributes, {known}
        from {source}
    """


@dataclass(frozen=True)
class Bytes:
    """What the bytes of a file say, of which DuckDB says nothing."""

    delimiter_count: int
    has_carriage_returns: bool
    may_be_misread: bool
    """Whether DuckDB may read something else without an error.

    Beside line feeds, DuckDB may treat lone carriage returns as line ends or as text, and it joins two quoted texts with
    spaces between. NUL bytes are text to it. Of five or more files, it leaves out a last record that ends within quotes. If that
    record has delimiters, their count shows it; if not, it begins with a quote.
    """


def look_at_bytes(plain: Path, dialect: Dialect = COMMAS) -> Bytes:
    delimiter, quote = dialect.delimiter.encode(), dialect.quote.encode()
    delimiter_count, has_carriage_returns, may_be_misread = 0, False, False
    after_last_delimiter = b""
    with open(plain, "rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            # Whole lines, so that nothing searched for is cut.
            chunk += content.readline(LONGEST_LINE_BYTES)
            delimiter_count += _count(chunk, delimiter)
            last = chunk.rfind(delimiter)
            after_last_delimiter = after_last_delimiter + chunk if last < 0 else chunk[last + len(delimiter) :]
            if b"\r" in chunk:
                has_carriage_returns = True
                may_be_misread = may_be_misread or chunk.count(b"\r") != chunk.count(b"\r\n")
            may_be_misread = may_be_misread or b"\0" in chunk
            # Regular expressions are slow, so search only chunks that may match.
            if quote and not may_be_misread and _has_pair(chunk, quote, b" "):
                may_be_misread = re.search(b"%b +%b" % (re.escape(quote), re.escape(quote)), chunk) is not None
    if quote and re.search(b"\n *%b" % re.escape(quote), after_last_delimiter):
        may_be_misread = True
    return Bytes(delimiter_count, has_carriage_returns, may_be_misread)


def _count(chunk: bytes, text: bytes) -> int:
    import numpy  # takes a tenth of a second to import

    # Several times as fast for single bytes.
    if len(text) == 1:
        return int(numpy.count_nonzero(numpy.frombuffer(chunk, numpy.uint8) == text[0]))
    return chunk.count(text)


def _has_pair(chunk: bytes, first: bytes, second: bytes) -> bool:
    import numpy

    if len(first) == 1 == len(second):
        found = numpy.frombuffer(chunk, numpy.uint8)
        return bool(((found[:-1] == first[0]) & (found[1:] == second[0])).any())
    return first + second in chunk


def clean_csv_records(
    connection: duckdb.DuckDBPyConnection, plain: Path, header: Sequence[str], dialect: Dialect = COMMAS
) -> str | None:
    """The records of a clean file, as SQL: row_number, field_0, …, delimiter_count. None if it isn't clean.

    Check the rows by `are_all_delimiters`. Reading raises duckdb.InvalidInputException if the file obviously isn't CSV.
    """
    fields = [f"field_{number}" for number in range(len(header))]
    columns = ", ".join(f"'{field}': 'varchar'" for field in fields)
    # The header is read as a record, as `skip` is inconsistent on names with line breaks.
    source = f"read_csv({sql.literal(str(plain))}, {dialect.options()}, columns = {{{columns}}})"
    first = connection.execute(f"from {source} limit 1").fetchone()
    if first is None or [name or "" for name in first] != list(header) or look_at_bytes(plain, dialect).may_be_misread:
        return None
    return f"""(
        select * exclude (record),
            (strlen(record) - strlen(replace(record, {sql.literal(dialect.delimiter)}, ''))) // {_width(dialect)} as delimiter_count
        from (select *, row_number() over () - 1 as row_number, concat({", ".join(fields)}) as record from {source})
        where row_number > 0
    )"""


def are_all_delimiters(
    connection: duckdb.DuckDBPyConnection, rows: str, plain: Path, header: Sequence[str], dialect: Dialect = COMMAS
) -> bool:
    """Whether the rows read, each with its `delimiter_count`, account for all delimiters of the file.

    DuckDB drops empty fields beyond the header's, which leaves delimiters over.
    """
    record_count, in_fields = connection.execute(
        f"select count(*), coalesce(sum(delimiter_count), 0) from {rows}"
    ).fetchone() or (0, 0)
    in_header = sum(name.count(dialect.delimiter) for name in header)
    return look_at_bytes(plain, dialect).delimiter_count == (len(header) - 1) * (record_count + 1) + in_header + int(
        in_fields
    )


def _width(dialect: Dialect) -> int:
    return len(dialect.delimiter.encode())


def drop_faulty_csv_records(connection: duckdb.DuckDBPyConnection) -> None:
    for leftover in ("lines", "record_lines", "records"):
        connection.execute(f"drop table if exists {leftover}")


def faulty_csv_records(
    connection: duckdb.DuckDBPyConnection,
    macros: ReadingMacros,
    plain: Path,
    header_lines: int,
    scratch: Path,
    dialect: Dialect = COMMAS,
) -> str:
    """The records of a faulty file, as SQL: row_number, line, and fields, null if they can't be split.

    Each line maps "inside quotes?" before it to the same after it; composing these maps finds where records end. Raises
    UnreadableFileError.
    """
    create_lines(connection, plain, scratch)
    bare = "regexp_replace(line, '\\r+$', '')"
    is_no_row = f"{macros.clean_text('line')} is null and not contains(line, {sql.literal(dialect.delimiter)})"
    if not dialect.quote:
        return f"""(
            select row_number() over (order by line_number) as row_number, {bare} as line,
                string_split({bare}, {sql.literal(dialect.delimiter)}) as fields
            from lines
            where line_number > {header_lines} and not ({is_no_row})
        )"""
    has_quote = f"contains(line, {sql.literal(dialect.quote)})"
    connection.execute(
        f"""
        create or replace temporary table record_lines as
        with line_states as (
            select
                line_number,
                line,
                {has_quote} and regexp_full_match({bare}, '{dialect.opens}') as opens,
                not {has_quote} or regexp_full_match({bare}, '{dialect.stays_open}') as stays_open
            from lines
            where line_number > {header_lines}
        ),
        toggles as (
            select
                *,
                sum(case when opens and not stays_open then 1 else 0 end) over (
                    order by line_number rows between unbounded preceding and current row
                ) as toggle_count
            from line_states
        ),
        -- The latest line after which the state is the same whatever it was before; toggles since then turn it over.
        settled as (
            select
                *,
                max(case when opens = stays_open then {{'at': line_number, 'is_open': opens, 'toggle_count': toggle_count}} end) over (
                    order by line_number rows between unbounded preceding and current row
                ) as latest
            from toggles
        ),
        states as (
            select
                line_number,
                line,
                coalesce(latest.is_open, false)
                    <> ((toggle_count - coalesce(latest.toggle_count, 0)) % 2 = 1) as is_open_after
            from settled
        )
        select
            line_number,
            line,
            is_open_after,
            sum(case when is_open_before then 0 else 1 end) over (
                order by line_number rows between unbounded preceding and current row
            ) as record_number
        from (
            select *, lag(is_open_after, 1, false) over (order by line_number) as is_open_before
            from states
        )
        """
    )
    connection.execute(
        f"""
        create or replace temporary table records as
        with joined_lines as (
            select
                record_number,
                regexp_replace(string_agg(line, chr(10) order by line_number), '\\r+$', '') as line,
                bool_or(is_open_after) and arg_max(is_open_after, line_number) as is_unclosed
            from record_lines
            group by record_number
        )
        select row_number() over (order by record_number) as row_number, line, is_unclosed
        from joined_lines
        where not ({is_no_row})
        """
    )
    unclosed = connection.execute("select row_number from records where is_unclosed").fetchone()
    if unclosed:
        raise UnreadableFileError(
            f"has a quote that is opened in row {unclosed[0]} and never closed; close or double it"
        )
    longest = connection.execute("select coalesce(max(strlen(line)), 0) from records").fetchone()
    if longest and longest[0] > LONGEST_LINE_BYTES:
        raise UnreadableFileError(f"has a row longer than {LONGEST_LINE_BYTES:,} bytes; is a quote missing?")
    quote, delimiter = sql.literal(dialect.quote), sql.literal(dialect.delimiter)
    return f"""(
        select
            row_number,
            line,
            list_transform(
                case when regexp_full_match(line, '{dialect.record}')
                    then regexp_extract_all({delimiter} || line, '{dialect.delimited_field}', 1)
                end,
                lambda field: case
                    when starts_with(ltrim(field, ' '), {quote})
                        then replace(trim(field, ' ')[2:-2], {quote} || {quote}, {quote})
                    else field
                end
            ) as fields
        from records
    )"""
