"""Exports: CSV files that somebody or something puts into a folder, read by a mapping file."""

import codecs
import itertools
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import duckdb
from pydantic import Field

from orchestration.contracts import reading_macros
from orchestration.landing import is_complete, readable
from orchestration.reading import (
    CHUNK_BYTES,
    Dialect,
    UnreadableFileError,
    are_all_delimiters,
    clean_csv_records,
    csv_header,
    drop_faulty_csv_records,
    faulty_csv_records,
)
from orchestration.settings import PROJECT_DIR, Rules, SettingsError
from sources.mapping import SHIPPED, UNPARSABLE, FileFormat
from sources.mapping import Mapping as FieldMapping
from sources.records import table_records, text
from sources.source import Answer, Days, Part, RefusedError, Source, SourceError, Workshop

log = logging.getLogger("orchestration")

DAY = "{day}"
# What a row tells beside its fields: where it stands and, if it doesn't parse, all of it.
OWN_FIELDS = ("export_file", "export_row", UNPARSABLE)
ROWS_PER_FILE = 2**40
OTHER_DELIMITERS = {";": ";", ",": ",", "\t": "\\t", "|": "|"}
# What files that aren't plain text begin with.
NO_TEXT = {
    b"PK\x03\x04": "is an Excel or ZIP file, not text: save it as CSV",
    b"\xd0\xcf\x11\xe0": "is an Excel file, not text: save it as CSV",
    b"\x1f\x8b": "is packed by gzip: unpack it",
}
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Files(Source):
    """The files at `path`, in which `*` stands for anything, `**` for folders and {day} for the day that a file is of.

    With {day} all rows of a file are of that day. Without it all files are read, and each row goes by its own time. Of a
    touch or contact that is there several times, the later row of the later file (by path) is the newest; of costs, the
    later file that tells of a day says all of it.
    """

    kind: Literal["files"]
    path: str = Field(min_length=1)
    mapping: str = Field(min_length=1)
    source: Part | None = None
    """What ids are prefixed by before the account; the name of another source, where they are the same ids."""
    keep_ids: bool = False

    datasets: ClassVar = {}

    def days_are_in(self, rules: Rules) -> str:
        return rules.report_timezone

    @property
    def delivered_by(self) -> str:
        return f"{self.source or self.kind}:{self.own_account}"

    @property
    def keeps_ids(self) -> bool:
        return self.keep_ids

    @cached_property
    def field_mapping(self) -> FieldMapping:
        """Raises SettingsError."""
        candidates = (PROJECT_DIR / self.mapping, SHIPPED / self.mapping)
        file = next((file for file in candidates if file.is_file()), None)
        if file is None:
            shipped = ", ".join(sorted(file.name for file in SHIPPED.glob("*.yml")))
            raise SettingsError(
                f"`mapping`: there is no file {candidates[0]}, and among those that come along only {shipped}"
            )
        return FieldMapping.read(file)

    @property
    def delivered_datasets(self) -> Mapping[str, str]:
        return {"rows": self.field_mapping.table}

    def read(self, days: Days, workshop: Workshop) -> Iterator[Answer]:
        if DAY not in self.path:
            try:
                with self._answered(self._found(self.path), days, workshop) as answer:
                    yield answer
            except SourceError as error:
                raise RefusedError(str(error)) from None
            return
        problems: dict[str, None] = {}
        for day in days:
            try:
                with self._answered(self._found(self.path.replace(DAY, str(day))), (day,), workshop) as answer:
                    yield answer
            except SourceError as problem:
                # One day's file keeps no other from being delivered.
                problems[str(problem)] = None
        if problems:
            raise RefusedError("; ".join(problems))

    def _found(self, pattern: str) -> list[Path]:
        exact = PROJECT_DIR / pattern
        if exact.is_dir():
            raise SourceError(
                f"{exact} is a folder: say in `path` which files of it are meant, like {self.path.rstrip('/')}/*.csv"
            )
        anchor = Path(exact.anchor)
        try:
            found = [exact] if exact.is_file() else list(anchor.glob(str(exact.relative_to(anchor))))
        except ValueError as error:
            raise SourceError(f"`path` can't be looked for ({error}): write one like exports/*.csv") from None
        files = sorted({file for file in found if file.is_file() and is_complete(file.name)})
        if not files:
            waiting = [file.name for file in found if not is_complete(file.name)]
            raise SourceError(
                f"there is no file {PROJECT_DIR / self.path}"
                + (f" but {', '.join(waiting[:3])}, which isn't complete while it is called so" if waiting else "")
                + ": put the export there, or mend `path`"
            )
        return files

    @contextmanager
    def _answered(self, files: list[Path], days: Days, workshop: Workshop) -> Iterator[Answer]:
        mapping = self.field_mapping
        # Of costs, files are newer or older; of what has an id, each row.
        rank = "file_number" if mapping.table == "costs" else "position"
        relations = [self._read(file, workshop) for file in files]
        names = list(dict.fromkeys([*OWN_FIELDS, *(name for _, header in relations for name in header)]))
        columns = {name: f"field_{number}" for number, name in enumerate(names)}
        parts = []
        for number, (relation, header) in enumerate(relations):
            there = {name: f"field_{place}" for place, name in enumerate(header)} | {name: name for name in OWN_FIELDS}
            listed = ", ".join(f"{there.get(name, 'null')}::varchar as {column}" for name, column in columns.items())
            parts.append(
                f"select {number} as file_number, {number} * {ROWS_PER_FILE} + row_number as position, {listed} from {relation}"
            )
        relation = workshop.new_name("records")
        workshop.connection.execute(f"create temporary view {relation} as {' union all '.join(parts)}")
        self._tell_absent(names)
        yield Answer("rows", mapping, table_records(relation, names, rank), days, is_of_its_day=DAY in self.path)
        workshop.connection.execute(f"drop view {relation}")
        for relation, _ in relations:
            workshop.connection.execute(f"drop table {relation}")

    def _tell_absent(self, names: list[str]) -> None:
        absent = [
            f"{name} ({', '.join(f'«{field}»' for field in column.fields)})"
            for name, column in self.field_mapping.columns.items()
            if column.constant is None and not set(column.fields) & set(names)
        ]
        if absent:
            log.warning("%s: no file has a column for %s: these stay empty", self.name, ", ".join(absent))

    def _read(self, file: Path, workshop: Workshop) -> tuple[str, list[str]]:
        """A relation (row_number, field_0, …, and OWN_FIELDS) of one file, and its header. What doesn't parse is a row as well."""
        how = self.field_mapping.file
        dialect = Dialect(how.delimiter, how.quote)
        shown = readable(file)
        plain = workshop.new_file("export")
        try:
            write_plain(file, plain, how)
            written, header_lines = csv_header(plain, dialect)
            header = self._header(written)
            relation = workshop.new_name("file")
            self._read_rows(plain, header_lines, written, dialect, relation, text(readable(file.name)), workshop)
        except UnreadableFileError as error:
            raise SourceError(f"{shown} {error}") from None
        finally:
            plain.unlink(missing_ok=True)
        return relation, header

    def _read_rows(
        self,
        plain: Path,
        header_lines: int,
        written: list[str],
        dialect: Dialect,
        relation: str,
        file_name: str,
        workshop: Workshop,
    ) -> None:
        connection = workshop.connection
        fields = [f"field_{place}" for place in range(len(written))]
        own = f"{file_name} as export_file, row_number::varchar as export_row"
        has_value = f"concat({', '.join(fields)}) <> ''"
        try:
            clean = clean_csv_records(connection, plain, written, dialect)
            if clean is not None:
                connection.execute(
                    f"create temporary table {relation} as select *, {own}, null::varchar as {UNPARSABLE} from {clean}"
                )
                if are_all_delimiters(connection, relation, plain, written, dialect):
                    connection.execute(f"delete from {relation} where not ({has_value})")
                    return
        except duckdb.InvalidInputException:
            pass
        connection.execute(f"drop table if exists {relation}")
        scratch = workshop.new_file("lines")
        scratch.mkdir()
        macros = reading_macros(workshop.rules)
        records = faulty_csv_records(connection, macros, plain, header_lines, scratch, dialect)
        # Columns without a name at the end of the header may be absent, and empty fields beyond it say nothing.
        named = max(place for place, name in enumerate(written, 1) if name.strip())
        is_parsable = f"len(fields) >= {named} and len(list_filter(fields[{len(written) + 1}:], lambda field: trim(field) <> '')) = 0"
        values = ", ".join(
            f"case when is_parsable then fields[{place}] end as field_{place - 1}"
            for place in range(1, len(written) + 1)
        )
        connection.execute(
            f"""
            create temporary table {relation} as
            select row_number, {values}, {own}, case when not is_parsable then line end as {UNPARSABLE}
            from (select *, coalesce({is_parsable}, false) as is_parsable from {records})
            """
        )
        connection.execute(f"delete from {relation} where {UNPARSABLE} is null and not ({has_value})")
        drop_faulty_csv_records(connection)
        for leftover in scratch.iterdir():
            leftover.unlink()

    def _header(self, written: list[str]) -> list[str]:
        """Names of the columns: as the mapping writes them, whatever white space is in them; those without one by their place."""
        mapping = self.field_mapping
        told = {squeezed(name): name for name in mapping.used_fields}
        squeezed_names = [squeezed(name) for name in written]
        names = [told.get(name, name) for name in squeezed_names]
        counts = Counter(names)
        doubled = sorted(name for name in set(mapping.used_fields) if counts[name] > 1)
        if doubled:
            raise UnreadableFileError(
                f"has more than one column {', '.join(f'«{name}»' for name in doubled)}: which one is meant? Rename or drop one"
            )
        absent = [
            " or ".join(" + ".join(f"«{name}»" for name in parts) for parts in alternatives)
            for alternatives in mapping.required_fields
            if not any(set(parts) <= set(names) for parts in alternatives)
        ]
        if absent:
            raise UnreadableFileError(
                f"has no column {', '.join(absent)}; its columns are {', '.join(f'«{name}»' for name in squeezed_names)[:1000]}. "
                + self._hint(written)
            )
        taken: set[str] = set(OWN_FIELDS)
        header = []
        for place, name in enumerate(names, 1):
            chosen, number = name or f"column {place}", 1
            while chosen in taken:
                number += 1
                chosen = f"{name or 'column'} {place if not name else number}"
            taken.add(chosen)
            header.append(chosen)
        return header

    def _hint(self, written: list[str]) -> str:
        how = self.field_mapping.file
        others = {
            shown: sum(name.count(delimiter) for name in written)
            for delimiter, shown in OTHER_DELIMITERS.items()
            if delimiter != how.delimiter
        }
        likely = max(others, key=lambda shown: others[shown])
        if others[likely] >= max(1, len(written) - 1):
            return f'Its fields seem to be parted by something else: write `delimiter: "{likely}"` in {self.mapping}'
        return f"Mend {self.mapping} (names, `delimiter`, `encoding`, `skip_lines`), or export it as before"


def squeezed(name: str) -> str:
    return re.sub(r"\s+", " ", name).strip()


def write_plain(file: Path, plain: Path, how: FileFormat) -> None:
    """Writes a file again as UTF-8, with line feeds, from its header on. Raises UnreadableFileError."""
    try:
        if not _copy(file, plain, how, "\n"):
            # Old Macs and some spreadsheets end lines in carriage returns only.
            _copy(file, plain, how, "\r")
    except OSError as error:
        raise UnreadableFileError(f"can't be read ({error.strerror})") from None


def _copy(file: Path, plain: Path, how: FileFormat, line_end: str) -> bool:
    """Whether the file has such line ends, or no others."""
    decoder = codecs.getincrementaldecoder(how.encoding)("strict")
    left, line_count, has_other_ends, is_first = how.skip_lines, 0, False, True
    with open(file, "rb") as content, open(plain, "w", encoding="utf-8", newline="") as copy:
        for chunk in itertools.chain(iter(lambda: content.read(CHUNK_BYTES), b""), [b""]):
            if is_first:
                _check_beginning(chunk, how)
            try:
                decoded = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line_count += error.object[: error.start].decode(how.encoding, "replace").count(line_end)
                raise UnreadableFileError(
                    f"is not {how.encoding} in line {line_count + 1:,}: write in the mapping's `file` which `encoding` it is in"
                    + (", like windows-1251" if _is_utf8(how.encoding) else ", like utf-8")
                ) from None
            is_first = False
            if "\0" in decoded:
                line_count += decoded[: decoded.index("\0")].count(line_end)
                raise UnreadableFileError(
                    f"has a NUL byte in line {line_count + 1:,}: it is damaged, or in another `encoding` than {how.encoding}, like utf-16"
                )
            line_count += decoded.count(line_end)
            has_other_ends = has_other_ends or "\r" in decoded
            while left and decoded:
                _, found, decoded = decoded.partition(line_end)
                left -= bool(found)
            copy.write(decoded.replace("\r", "\n") if line_end == "\r" else decoded)
    return line_count > 0 or not has_other_ends


def _check_beginning(chunk: bytes, how: FileFormat) -> None:
    if not chunk:
        raise UnreadableFileError("is empty (0 bytes): an export without rows has a header at least")
    for magic, hint in NO_TEXT.items():
        if chunk.startswith(magic):
            raise UnreadableFileError(hint)
    name = codecs.lookup(how.encoding).name.replace("-sig", "")
    for mark, encoding in MARKS.items():
        if chunk.startswith(mark) and not name.startswith(encoding):
            raise UnreadableFileError(
                f"says by its first bytes that it is {encoding}, not {how.encoding}: mend `encoding`"
            )


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
