"""Reads one delivered file of any format into a temporary table, in bulk, by DuckDB.

The table has a row per record of the file: `row_number` (from 1), `line` (the record's text where the format has
lines and it didn't parse), a cleaned text per column of the table's contract, `nested_columns` (those that held a
structure where a value belongs, null if none did), `attributes` (JSON of the columns that the contract doesn't know)
and `reason`, by which the row is rejected.
"""

import codecs
import csv
import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import duckdb
import pyarrow
import pyarrow.parquet

from orchestration.contracts import Column, ReadingMacros, Table
from orchestration.landing import FORMATS
from orchestration.space import is_full_disk, is_out_of_memory

CHUNK_BYTES = 16 * 2**20
LONGEST_LINE_BYTES = 8 * 2**20
UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class UnreadableFileError(Exception):
    """A file that can't be read at all (R26); the message says what is wrong and what to do."""


def hash_file(file: Path, landing_dir: Path) -> str:
    """SHA-256 of a regular file that really lies in the landing folder. Raises UnreadableFileError."""
    try:
        target = file.resolve(strict=True)
        if not target.is_relative_to(landing_dir.resolve()):
            what = "folder" if target.is_dir() else "file"
            raise UnreadableFileError(f"is a link out of the landing folder; put the {what} itself there")
        if not target.is_file():
            raise UnreadableFileError(
                "is not a regular file; put a file there, or begin its name with _ to leave it out"
            )
        if target.stat().st_size == 0:
            raise UnreadableFileError("is empty (0 bytes); a delivery without rows has at least a header")
        with open(target, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        raise UnreadableFileError("is a link to nothing, or was removed while it was read; deliver it again") from None
    except RuntimeError:
        raise UnreadableFileError("is a link to itself; put the file itself there") from None
    except OSError as error:
        raise UnreadableFileError(f"can't be opened ({error.strerror}); let this user read it") from None


@dataclass(frozen=True)
class Limits:
    """What a file may have; more fails it (R26)."""

    columns: int
    unpacked_bytes: int


@dataclass(frozen=True)
class Reading:
    """How rows of a table are read and judged, in one pass: passes over all the text are what loading costs.

    `reason` is an expression over a cleaned row, `is_parsable`, `nested_columns` and what `value_of` names.
    """

    table: Table
    macros: ReadingMacros
    reason: str
    limits: Limits
    into: str


def value_of(column: Column) -> str:
    """The name under which `reason` finds a required column's value."""
    return f"{column.name}_value"


def read_file(connection: duckdb.DuckDBPyConnection, reading: Reading, file: Path, scratch: Path) -> None:
    """Creates the temporary table `reading.into` from a file. `scratch` is an empty folder, emptied again afterwards.

    Raises UnreadableFileError.
    """
    name = file.name.lower()
    file_format = next((ending for ending in FORMATS if name.endswith(ending)), None)
    try:
        if file_format is None:
            raise UnreadableFileError(
                f"is in no format that is read ({', '.join(FORMATS)}); convert it, "
                "or begin its name with _ to leave it out"
            )
        if file_format == ".parquet":
            _read_parquet(connection, reading, file, scratch)
        elif file_format.startswith(".csv"):
            _read_csv(connection, reading, file, scratch)
        else:
            _read_json_lines(connection, reading, file, scratch)
    finally:
        for leftover in scratch.iterdir():
            leftover.unlink()


def _create_rows(
    connection: duckdb.DuckDBPyConnection, reading: Reading, records: str, more_columns: Sequence[str] = ()
) -> None:
    """From a query of row_number, line, is_parsable, nested_columns, attributes and the contract's columns, not cleaned."""
    table, macros = reading.table, reading.macros
    cleaned = ", ".join(f"{macros.clean_text(name)} as {name}" for name in table.column_names)
    values = ", ".join(f"{macros.read(column)} as {value_of(column)}" for column in table.required_columns)
    kept = ", ".join(("row_number", "line", "nested_columns", *more_columns, *table.column_names, "attributes"))
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


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _too_many(counted: str, reading: Reading) -> UnreadableFileError:
    return UnreadableFileError(
        f"{counted}, more than max_columns {reading.limits.columns:,}; leave out those that nobody needs, or raise the setting"
    )


def _check_columns(reading: Reading, names: Sequence[str]) -> None:
    table = reading.table
    if len(names) > reading.limits.columns:
        raise _too_many(f"has {len(names):,} columns", reading)
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


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(values)}]"


def _attributes(named_values: str, value: str) -> str:
    """JSON of the columns that the contract doesn't know; those without a value are left out.

    From a list of (name, what was delivered), and an expression for the JSON of one `member[2]`. All columns go through one
    expression: one for each would cost the square of their number.
    """
    return f"""cast('{{' || array_to_string(
        list_filter(
            list_transform({named_values}, lambda member: to_json(member[1]) || ':' || {value}),
            lambda member: member is not null
        ),
        ','
    ) || '}}' as json)"""


def _cleaned_json(macros: ReadingMacros, text: str = "member[2]") -> str:
    return f"to_json({macros.clean_text(text)})"


# Text files


def _open_bytes(file: Path) -> IO[bytes]:
    if file.name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(file, "rb"))
    return open(file, "rb")


# What files that aren't text begin with, and what to tell who delivered one.
_NO_TEXT = {
    b"\x1f\x8b": "is packed by gzip; end its name in .gz",
    b"PK\x03\x04": "is an Excel or ZIP file, not text; save it as CSV in UTF-8",
    b"PAR1": "is a Parquet file; end its name in .parquet",
    b"\xff\xfe": "is UTF-16; write it again as UTF-8",
    b"\xfe\xff": "is UTF-16; write it again as UTF-8",
}


def _too_large(reading: Reading) -> UnreadableFileError:
    return UnreadableFileError(
        f"unpacks to more than UNPACKED_LIMIT, {reading.limits.unpacked_bytes:,} bytes: "
        "deliver it in smaller files, or raise the setting"
    )


def _check_text(reading: Reading, file: Path, copy: Path | None = None) -> None:
    """Streams a text file: is all of it there, UTF-8 and without NUL bytes? Optionally copies it, unpacked."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    line_number = 1
    beginning = b""
    unpacked_bytes = 0
    target = open(copy, "wb") if copy else None  # noqa: SIM115
    try:
        with _open_bytes(file) as content:
            while chunk := content.read(CHUNK_BYTES):
                beginning = beginning or chunk[:4]
                unpacked_bytes += len(chunk)
                if copy and unpacked_bytes > reading.limits.unpacked_bytes:
                    raise _too_large(reading)
                if b"\0" in chunk:
                    line_number += chunk[: chunk.index(b"\0")].count(b"\n")
                    raise _no_text(
                        beginning,
                        f"has a NUL byte in line {line_number}: it is damaged, or not UTF-8; write it again as UTF-8 text",
                    )
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    line_number += error.object[: error.start].count(b"\n")
                    raise _not_utf8(beginning, line_number) from None
                line_number += chunk.count(b"\n")
                if target:
                    target.write(chunk)
            try:
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                raise _not_utf8(beginning, line_number) from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        with open(file, "rb") as packed:
            if packed.read(2) != b"\x1f\x8b":
                raise UnreadableFileError("is not packed by gzip; pack it, or take .gz off its name") from None
        raise UnreadableFileError("is a truncated or damaged gzip file; deliver it again") from None
    except OSError as error:
        if is_full_disk(error):
            raise
        raise UnreadableFileError(f"can't be read ({error.strerror or error})") from None
    finally:
        if target:
            target.close()
    if not beginning:
        raise UnreadableFileError("is empty once unpacked; a delivery without rows has at least a header")


def _not_utf8(beginning: bytes, line_number: int) -> UnreadableFileError:
    return _no_text(beginning, f"is not UTF-8 in line {line_number} (Windows-1251, perhaps?); write it again as UTF-8")


def _no_text(beginning: bytes, otherwise: str) -> UnreadableFileError:
    hints = (hint for magic, hint in _NO_TEXT.items() if beginning.startswith(magic))
    return UnreadableFileError(next(hints, otherwise))


def _plain_file(reading: Reading, file: Path, scratch: Path) -> Path:
    """A checked, unpacked file under a name without meaning to DuckDB: delivered names may hold any character."""
    plain = scratch / "delivered.txt"
    if file.name.lower().endswith(".gz"):
        _check_text(reading, file, copy=plain)
    else:
        _check_text(reading, file)
        plain.symlink_to(file.resolve())
    return _with_line_feeds(plain, scratch) if _ends_lines_in_carriage_returns(plain) else plain


def _ends_lines_in_carriage_returns(plain: Path) -> bool:
    """Whether a file has carriage returns and no line feed at all, as old Macs and some spreadsheets write it."""
    has_carriage_return = False
    with open(plain, "rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            if b"\n" in chunk:
                return False
            has_carriage_return = has_carriage_return or b"\r" in chunk
    return has_carriage_return


def _with_line_feeds(plain: Path, scratch: Path) -> Path:
    copy = scratch / "line-feeds.txt"
    with open(plain, "rb") as content, open(copy, "wb") as target:
        while chunk := content.read(CHUNK_BYTES):
            target.write(chunk.replace(b"\r", b"\n"))
    return copy


def _create_lines(connection: duckdb.DuckDBPyConnection, plain: Path, scratch: Path) -> None:
    """Creates the temporary table `lines` (line_number, line) of a text file, split at line feeds and nowhere else.

    DuckDB's CSV reader can't do that: it loses text where line ends are mixed. So the file is cut, at line feeds,
    into chunks that fit into memory, and DuckDB splits these, one after the other.
    """
    connection.execute("create or replace temporary table lines (line_number bigint, line varchar)")
    copy = scratch / "chunk.txt"
    line_count = 0
    with open(plain, "rb") as content:
        if content.read(3) != codecs.BOM_UTF8:
            content.seek(0)
        while chunk := content.read(CHUNK_BYTES):
            chunk = (chunk + content.readline(LONGEST_LINE_BYTES + 1)).removesuffix(b"\n")
            copy.write_bytes(chunk)
            connection.execute(
                f"""
                insert into lines
                select {line_count} + generate_subscripts(chunk_lines, 1), unnest(chunk_lines)
                from (select string_split(content, chr(10)) as chunk_lines from read_text({_text(str(copy))}))
                """
            )
            line_count += chunk.count(b"\n") + 1
    longest = connection.execute(
        f"select min(line_number) from lines where strlen(line) > {LONGEST_LINE_BYTES}"
    ).fetchone()
    if longest and longest[0]:
        raise UnreadableFileError(
            f"has a line longer than {LONGEST_LINE_BYTES:,} bytes, line {longest[0]:,}; write each row on a line of its own"
        )


# CSV


@dataclass(frozen=True)
class Dialect:
    """What stands between fields, and what they are quoted by, inside doubled; no quotes if that is empty.

    A field is quoted, with spaces around it, or not, and then it doesn't begin with a quote.
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
            # Forgiving what follows a closing quote: for telling where records end, not whether they are right.
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
        """A line that begins outside of quotes and ends inside."""
        return "(?:{any}{d})*{open}".format(**self._parts)

    @property
    def stays_open(self) -> str:
        """A line that begins inside of quotes and ends inside."""
        return "(?:[^{q}]|{q}{q})*(?:{q}(?:[^{q}{d}][^{d}]*)?{d}(?:{any}{d})*{open})?".format(**self._parts)

    @property
    def options(self) -> str:
        """As DuckDB's own reader takes it, which reads nothing into a file by itself."""
        return (
            f"delim = {_text(self.delimiter)}, quote = {_text(self.quote)}, escape = {_text(self.quote)}, comment = '', "
            f"header = false, auto_detect = false, max_line_size = {LONGEST_LINE_BYTES}, buffer_size = {2 * LONGEST_LINE_BYTES}"
        )


COMMAS = Dialect()


def _read_csv(connection: duckdb.DuckDBPyConnection, reading: Reading, file: Path, scratch: Path) -> None:
    plain = _plain_file(reading, file, scratch)
    header, header_lines = csv_header(plain)
    _check_columns(reading, header)
    try:
        is_clean = _read_clean_csv(connection, reading, plain, header)
    except duckdb.InvalidInputException:
        is_clean = False
    if not is_clean:
        # Something in it isn't CSV. DuckDB can't say which records, so they are told apart one by one.
        _read_faulty_csv(connection, reading, plain, header, header_lines, scratch)


def csv_header(plain: Path, dialect: Dialect = COMMAS) -> tuple[list[str], int]:
    """The names of the columns, and how many lines they and blank lines before them take. Raises UnreadableFileError."""
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
    """The lines among which the header is, and no more of a file than a row may have: it may be one line of a gigabyte."""
    left = LONGEST_LINE_BYTES
    for _ in range(1000):
        line = content.readline(left)
        left -= len(line)
        if left <= 0:
            raise UnreadableFileError(f"has a header longer than {LONGEST_LINE_BYTES:,} bytes; does it have line ends?")
        if not line:
            return
        yield line


def _csv_records(reading: Reading, values: dict[str, str], unknown: str, rest: str, source: str) -> str:
    """From expressions for the columns, by name, and one for a list of (name, text) of those that the contract doesn't know."""
    known = ", ".join(f"{values.get(name, 'cast(null as varchar)')} as {name}" for name in reading.table.column_names)
    attributes = _attributes(unknown, _cleaned_json(reading.macros))
    return f"""
        select {rest}, cast(null as varchar[]) as nested_columns, {attributes} as attributes, {known}
        from {source}
    """


def _read_clean_csv(
    connection: duckdb.DuckDBPyConnection,
    reading: Reading,
    plain: Path,
    header: Sequence[str],
) -> bool:
    """Reads a file that is CSV throughout; whether it is one. Raises duckdb.InvalidInputException if it plainly isn't."""
    source = clean_csv_records(connection, plain, header)
    if source is None:
        return False
    values = {name: f"field_{number}" for number, name in enumerate(header)}
    rest = "row_number, cast(null as varchar) as line, true as is_parsable, delimiter_count"
    unknown = [name for name in header if name not in reading.table.column_names]
    named = f"list_zip({_list(map(_text, unknown))}, {_list(values[name] for name in unknown)})"
    _create_rows(connection, reading, _csv_records(reading, values, named, rest, source), ["delimiter_count"])
    return are_all_delimiters(connection, reading.into, plain, header)


def clean_csv_records(
    connection: duckdb.DuckDBPyConnection, plain: Path, header: Sequence[str], dialect: Dialect = COMMAS
) -> str | None:
    """The records of a file that is CSV throughout, as SQL: row_number, field_0, …, delimiter_count. None if it isn't.

    What it reads must be held against `are_all_delimiters`. It raises duckdb.InvalidInputException if it plainly isn't CSV.
    """
    fields = [f"field_{number}" for number in range(len(header))]
    columns = ", ".join(f"'{field}': 'varchar'" for field in fields)
    # Its header is read as a record, because `skip` takes a name with line breaks for several lines or for one.
    source = f"read_csv({_text(str(plain))}, {dialect.options}, columns = {{{columns}}})"
    first = connection.execute(f"from {source} limit 1").fetchone()
    if first is None or [name or "" for name in first] != list(header) or _is_tolerated(plain, dialect):
        return None
    return f"""(
        select * exclude (record),
            (strlen(record) - strlen(replace(record, {_text(dialect.delimiter)}, ''))) // {_width(dialect)} as delimiter_count
        from (select *, row_number() over () - 1 as row_number, concat({", ".join(fields)}) as record from {source})
        where row_number > 0
    )"""


def are_all_delimiters(
    connection: duckdb.DuckDBPyConnection, rows: str, plain: Path, header: Sequence[str], dialect: Dialect = COMMAS
) -> bool:
    """Whether rows that were read from a file, each with its `delimiter_count`, hold or are parted by all that it has.

    DuckDB leaves out empty fields beyond the header's: then delimiters are left over.
    """
    record_count, in_fields = connection.execute(
        f"select count(*), coalesce(sum(delimiter_count), 0) from {rows}"
    ).fetchone() or (0, 0)
    in_header = sum(name.count(dialect.delimiter) for name in header)
    return _count_delimiters(plain, dialect) == (len(header) - 1) * (record_count + 1) + in_header + int(in_fields)


def _width(dialect: Dialect) -> int:
    return len(dialect.delimiter.encode())


def _is_tolerated(plain: Path, dialect: Dialect) -> bool:
    """Whether a file is one that DuckDB is too forgiving for.

    Next to line feeds it may take lone carriage returns for line ends or for text, and it makes one text of two quoted
    ones with spaces between.
    """
    quote = dialect.quote.encode()
    with open(plain, "rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            chunk += content.readline(LONGEST_LINE_BYTES)
            # Expressions are slow, so only chunks that may hold such a thing are searched.
            if b"\r" in chunk and re.search(rb"\r(?!\n)", chunk):
                return True
            if quote and quote + b" " in chunk and re.search(b"%b +%b" % (re.escape(quote), re.escape(quote)), chunk):
                return True
    return False


def _count_delimiters(plain: Path, dialect: Dialect) -> int:
    delimiter = dialect.delimiter.encode()
    with open(plain, "rb") as content:
        # Whole lines, so that no delimiter of several bytes is cut.
        return sum(
            (chunk + content.readline(LONGEST_LINE_BYTES)).count(delimiter)
            for chunk in iter(lambda: content.read(CHUNK_BYTES), b"")
        )


def _read_faulty_csv(
    connection: duckdb.DuckDBPyConnection,
    reading: Reading,
    plain: Path,
    header: Sequence[str],
    header_lines: int,
    scratch: Path,
) -> None:
    source = faulty_csv_records(connection, reading.macros, plain, header_lines, scratch)
    values = {name: f"parsed_fields[{number}]" for number, name in enumerate(header, start=1)}
    rest = """
        row_number,
        case when parsed_fields is null then line end as line,
        parsed_fields is not null as is_parsable
    """
    known = _list(map(_text, reading.table.column_names))
    named = f"""list_filter(
        list_zip({_list(map(_text, header))}, parsed_fields), lambda member: not list_contains({known}, member[1])
    )"""
    parsed = f"(select *, case when len(fields) = {len(header)} then fields end as parsed_fields from {source})"
    _create_rows(connection, reading, _csv_records(reading, values, named, rest, parsed))
    drop_faulty_csv_records(connection)


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
    """The records of a file that isn't CSV throughout, as SQL: row_number, line, and fields, null if they can't be told.

    One by one: each line maps "inside quotes?" before it to the same after it; composed, they tell records. Raises
    UnreadableFileError.
    """
    _create_lines(connection, plain, scratch)
    bare = "regexp_replace(line, '\\r+$', '')"
    is_no_row = f"{macros.clean_text('line')} is null and not contains(line, {_text(dialect.delimiter)})"
    if not dialect.quote:
        return f"""(
            select row_number() over (order by line_number) as row_number, {bare} as line,
                string_split({bare}, {_text(dialect.delimiter)}) as fields
            from lines
            where line_number > {header_lines} and not ({is_no_row})
        )"""
    has_quote = f"contains(line, {_text(dialect.quote)})"
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
    quote, delimiter = _text(dialect.quote), _text(dialect.delimiter)
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


# JSON lines


def _read_json_lines(connection: duckdb.DuckDBPyConnection, reading: Reading, file: Path, scratch: Path) -> None:
    table, macros = reading.table, reading.macros
    _create_lines(connection, _plain_file(reading, file, scratch), scratch)
    _check_keys(connection, reading)
    nested_kinds = {
        column.name: "('OBJECT')" if column.type == "text_list" else "('OBJECT', 'ARRAY')" for column in table.columns
    }
    members = ", ".join(f"members['{name}'] as {name}" for name in table.column_names)
    # NaN is what Python writes where a number is missing.
    values = ", ".join(
        f"""case
            when json_type({column.name}) = 'DOUBLE' then nullif({column.name} ->> '$', 'NaN')
            when json_type({column.name}) not in {nested_kinds[column.name]} then {_number_as_read(column)}
        end as {column.name}"""
        for column in table.columns
    )
    nested = ", ".join(
        f"case when json_type({name}) in {kinds} then '{name}' end" for name, kinds in nested_kinds.items()
    )
    value = f"""case
        when json_type(member[2]) = 'VARCHAR' then {_cleaned_json(macros, "(member[2] ->> '$')")}
        when json_type(member[2]) <> 'NULL' and member[2] ->> '$' <> 'NaN' then member[2]
    end"""
    _create_rows(
        connection,
        reading,
        f"""
        with numbered_lines as (
            select row_number() over (order by line_number) as row_number, line
            from lines
            where {macros.clean_text("line")} is not null
        ),
        -- A map has no key twice: with one it isn't known which value is meant.
        records as (
            select
                row_number,
                line,
                case when json_valid(line) then try_cast(cast({_with_marked_numbers("line")} as json) as map(varchar, json)) end as members
            from numbered_lines
        )
        select
            row_number,
            line,
            members is not null as is_parsable,
            nullif(list_filter([{nested}], lambda name: name is not null), []) as nested_columns,
            cast({_with_bare_numbers(f"cast({_attributes('unknown', value)} as varchar)")} as json) as attributes,
            {values}
        from (
            select
                *,
                list_filter(
                    list_zip(map_keys(members), map_values(members)),
                    lambda member: not list_contains({_list(map(_text, table.column_names))}, member[1])
                ) as unknown,
                {members}
            from records
        )
        """,
    )
    connection.execute("drop table lines")


# DuckDB reads a JSON number that has a point or an exponent into a double, which holds 17 digits. Until the line is taken
# apart such numbers are texts that begin with this character, which Unicode keeps from ever being one.
_MARK = "\ufdd0"
_MARKED_NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)"


def _with_marked_numbers(line: str) -> str:
    # Behind a key: `": 1.5` is in no string, as a quote there would have a backslash before it. Only at a string's beginning it
    # may be (`{"a": ": 1.5"}`): the quote looks as if it stood where a value does.
    member = rf'([^\\]"\s*:\s*)({_MARKED_NUMBER})'
    # In a list: strings are stepped over. The last match is of what follows the last number, so that none begins inside
    # of a string there. It takes long, so only lines that may have such a list or string pay for it.
    element = rf'(?s)((?:[^"]|"(?:[^"\\]|\\.)*")*?)({_MARKED_NUMBER}|$)'
    marked = rf"""'\1"{_MARK}\2"', 'g')"""
    return rf"""case
        when regexp_matches({line}, '([\[,]|[\s{{\[,:]"\s*:)\s*-?\d+[.eE]') then left(regexp_replace({line}, '{element}', {marked}, -3)
        when regexp_matches({line}, '"\s*:\s*-?\d+[.eE]') then regexp_replace({line}, '{member}', {marked}
        else {line}
    end"""


def _with_bare_numbers(text: str) -> str:
    return f"""case
        when contains({text}, '{_MARK}') then regexp_replace({text}, '"{_MARK}({_MARKED_NUMBER})"', '\\1', 'g')
        else {text}
    end"""


def _number_as_read(column: Column) -> str:
    """A value as it is written; of a column of numbers, one with an exponent as it is written without."""
    text = f"({column.name} ->> '$')"
    if column.type == "text_list":
        return _with_bare_numbers(text)
    number = f"substr({text}, 2)"
    if column.type in ("seconds", "whole_number", "money"):
        number = (
            f"case when regexp_matches({text}, '[eE]') then coalesce(cast(try_cast({number} as decimal(38, 10)) as varchar), "
            f"{number}) else {number} end"
        )
    is_marked = f"starts_with({text}, '{_MARK}') and regexp_full_match({text}, '{_MARK}{_MARKED_NUMBER}')"
    return f"case when {is_marked} then {number} else {text} end"


def _check_keys(connection: duckdb.DuckDBPyConnection, reading: Reading) -> None:
    # A key takes at least five bytes, as in `"a":1`, so that short lines needn't be looked into.
    widest = connection.execute(
        f"""
        with counted as (
            select line_number, case when json_valid(line) then len(json_keys(line)) end as key_count
            from lines
            where strlen(line) > 5 * {reading.limits.columns}
        )
        select line_number, key_count from counted where key_count > {reading.limits.columns} order by line_number limit 1
        """
    ).fetchone()
    if widest:
        raise _too_many(f"has {widest[1]:,} keys in line {widest[0]:,}", reading)


# Parquet


def _read_parquet(connection: duckdb.DuckDBPyConnection, reading: Reading, file: Path, scratch: Path) -> None:
    table, macros = reading.table, reading.macros
    plain = scratch / "delivered.parquet"
    plain.symlink_to(file.resolve())
    try:
        schema = pyarrow.parquet.read_schema(plain)
        names = schema.names
        _check_columns(reading, names)
        # DuckDB renames columns whose names differ in their letters' case only, so they are taken by position.
        fields = [f"field_{number}" for number in range(len(names))]
        plain_source = f"read_parquet({_text(str(plain))}"
        if any(name.lower() == "file_row_number" for name in names):
            source = f"{plain_source}) as delivered ({', '.join(fields)})"
            row_number = "row_number() over ()"
        else:
            # Numbers out of the file leave DuckDB free to read it with all processors.
            source = f"{plain_source}, file_row_number = true) as delivered ({', '.join(fields)}, position)"
            row_number = "position + 1"
        # A length of time arrives as a bare number of its unit.
        seconds = ", ".join(
            f"{field} / {UNITS_PER_SECOND[arrow.unit]} as {field}"
            for field, arrow in zip(fields, schema.types, strict=True)
            if pyarrow.types.is_duration(arrow)
        )
        if seconds:
            source = f"(select * replace ({seconds}) from {source})"
        _check_unpacked(connection, reading, plain)
        described = connection.execute(f"describe select {', '.join(fields)} from {source}").fetchall()
        types = {name: data_type for name, (_, data_type, *_) in zip(names, described, strict=True)}
        field_of = dict(zip(names, fields, strict=True))
        nested = [
            column.name
            for column in table.columns
            if (data_type := types.get(column.name))
            and _is_nested(data_type)
            and not (column.type == "text_list" and data_type.endswith("]"))
        ]
        values = ", ".join(
            "cast(null as varchar) as " + name
            if name not in types or name in nested
            else f"{_parquet_text(field_of[name], types[name])} as {name}"
            for name in table.column_names
        )
        # Bytes that are no text can't be read either.
        unreadable = {name: f"{field_of[name]} is not null" for name in nested} | {
            name: f"{field_of[name]} is not null and {_parquet_text(field_of[name], 'BLOB')} is null"
            for name in table.column_names
            if types.get(name) == "BLOB"
        }
        held = ", ".join(f"case when {condition} then '{name}' end" for name, condition in unreadable.items())
        line = "cast(null as varchar)"
        nested_columns = "cast(null as varchar[])"
        if held:
            members = ", ".join(f"{_text(name)}, {field}" for name, field in field_of.items())
            line = f"case when nested_columns is not null then cast(json_object({members}) as varchar) end"
            nested_columns = f"nullif(list_filter([{held}], lambda name: name is not null), [])"
        unknown = {name: data_type for name, data_type in types.items() if name not in table.column_names}
        texts = [_parquet_text(field_of[name], data_type) for name, data_type in unknown.items()]
        structures = [str(_is_nested(data_type)) for data_type in unknown.values()]
        named = f"list_zip({_list(map(_text, unknown))}, {_list(texts)}, {_list(structures)})"
        value = _cleaned_json(macros)
        if "True" in structures:
            value = f"case when member[3] then json_merge_patch('{{}}', member[2]) else {value} end"
        _create_rows(
            connection,
            reading,
            f"""
            select
                {row_number} as row_number,
                true as is_parsable,
                {nested_columns} as nested_columns,
                {line} as line,
                {_attributes(named, value)} as attributes,
                {values}
            from {source}
            """,
        )
    except (pyarrow.ArrowException, duckdb.Error, OSError, UnicodeDecodeError) as error:
        if is_full_disk(error) or is_out_of_memory(error):
            raise
        # Damage shows in many ways, and DuckDB has no one exception for it.
        cause = str(error).split("\n")[0].replace(str(plain), "it")[:200]
        raise UnreadableFileError(
            f"is not a whole Parquet file: truncated or damaged ({cause}); deliver it again"
        ) from None


def _check_unpacked(connection: duckdb.DuckDBPyConnection, reading: Reading, plain: Path) -> None:
    """Parquet writes a text that many rows have once, so that a small file may hold far more than memory and disk."""
    packed = _text(str(plain))
    encoded, at_most = connection.execute(
        f"""
        select sum(total_uncompressed_size), sum(num_values::hugeint * greatest(total_uncompressed_size, 8))
        from parquet_metadata({packed})
        """
    ).fetchone() or (0, 0)
    limit = reading.limits.unpacked_bytes
    if (encoded or 0) > limit:
        raise _too_large(reading)
    if (at_most or 0) <= limit:
        return
    sizes = []
    for name, data_type, *_ in connection.execute(f"describe from read_parquet({packed})").fetchall():
        column = '"' + name.replace('"', '""') + '"'
        if data_type == "VARCHAR":
            sizes.append(f"sum(strlen({column}))")
        elif data_type == "BLOB":
            sizes.append(f"sum(octet_length({column}))")
        elif _is_nested(data_type):
            sizes.append(f"sum(strlen(cast(to_json({column}) as varchar)))")
        else:
            sizes.append("count(*) * 8")
    row = connection.execute(f"select list_sum({_list(sizes)}) from read_parquet({packed})").fetchone()
    if row and (row[0] or 0) > limit:
        raise _too_large(reading)


def _is_nested(data_type: str) -> bool:
    return data_type.endswith("]") or data_type.startswith(("STRUCT", "MAP", "UNION"))


def _parquet_text(column: str, data_type: str) -> str:
    """A typed value as a CSV would have it."""
    if _is_nested(data_type):
        return f"cast(to_json({column}) as varchar)"
    if data_type == "BLOB":
        return f"try(decode({column}))"
    if data_type in ("TIMESTAMP_NS", "TIMESTAMPTZ_NS"):
        # By its nanoseconds, as a cast would round them to microseconds.
        zone = "Z" if data_type == "TIMESTAMPTZ_NS" else ""
        return f"(strftime(make_timestamp_ns(epoch_ns({column})), '%Y-%m-%dT%H:%M:%S.%n') || '{zone}')"
    if data_type == "TIMESTAMP WITH TIME ZONE":
        return f"strftime(timezone('UTC', {column}), '%Y-%m-%dT%H:%M:%S.%fZ')"
    if data_type.startswith("TIMESTAMP"):
        return f"strftime(cast({column} as timestamp), '%Y-%m-%dT%H:%M:%S.%f')"
    if data_type in ("FLOAT", "DOUBLE"):
        whole = f"{column} = trunc({column}) and abs({column}) <= {2**53}"
        return f"case when {whole} then cast(cast({column} as bigint) as varchar) when not isnan({column}) then cast({column} as varchar) end"
    return f"cast({column} as varchar)"
