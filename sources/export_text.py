"""Exports as text: recognizes a file's kind, finds its header, and rewrites it in one plain form."""

import codecs
import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import sql
from pipeline.reading import UnreadableFileError
from pipeline.reading.csv_files import Dialect
from pipeline.reading.text_files import CHUNK_BYTES
from sources.mapping import FileFormat, Mapping

MOST_TITLE_LINES = 200
MOST_HEADER_LINES = 50
DELIMITERS = {";": "semicolons", ",": "commas", "\t": "tabs", "|": "vertical bars"}
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
EXCEL = b"PK\x03\x04"
# First bytes of files that aren't plain text.
NO_TEXT = {
    b"\xd0\xcf\x11\xe0": "is an Excel file of the old kind (.xls), or has a password: open it, and save it as CSV or as .xlsx without one",
    b"\x1f\x8b": "is packed by gzip: unpack it",
}
SAVED_PAGES = {
    rb"\s*<(?:!doctype html|html|head|meta|body|title|style|div|table)\b": "an HTML table",
    rb"\s*<\?xml[^>]*>\s*(?:<\?mso-application[^>]*>\s*)?<(?:\w+:)?Workbook\b": "an XML spreadsheet",
    rb"\s*mime-version:": "a saved web page",
}
# A pair of letters in another encoding, such as «С№», may be valid UTF-8 by chance; several of them and nothing else are not.
LEAST_BYTES_OF_LETTERS = 4
# Characters that no text holds: they replace escaped ones while lines are split into fields.
STAND_INS = [chr(0xFDD0 + number) for number in range(16)]


@dataclass(frozen=True)
class Escapes:
    """Resolves escape sequences; unknown ones stay as written."""

    how: FileFormat

    @property
    def meanings(self) -> dict[str, str]:
        """The meaning of each sequence, by the character after the escape."""
        how = self.how
        meant = {
            character: character
            for character in (how.escape, how.quote, how.delimiter, '"', "'", "\n", "\r")
            if character
        }
        # Without quotes, line ends and tabs can only be written as letters.
        return meant | ({} if how.quote else {"n": "\n", "r": "\r", "t": "\t"}) | {"N": ""}

    def hide(self, text: str) -> str:
        """The escape character first, so that an escaped one escapes nothing."""
        for stand_in, character in zip(STAND_INS, self.meanings, strict=False):
            text = text.replace(self.how.escape + character, stand_in)
        return text

    def shown(self, text: str) -> str:
        for stand_in, meaning in zip(STAND_INS, self.meanings.values(), strict=False):
            text = text.replace(stand_in, meaning)
        return text

    def shown_in(self, value: str) -> str:
        r"""The same in SQL. A field that is just \N is null, as databases write it; elsewhere \N stays as written."""
        stand_ins = dict(zip(self.meanings, STAND_INS, strict=False))
        none = sql.literal(stand_ins["N"])
        plain = {stand_in: self.meanings[character] for character, stand_in in stand_ins.items() if character != "N"}
        translated = f"translate({value}, {sql.literal(''.join(plain))}, {sql.literal(''.join(plain.values()))})"
        return (
            f"case when {value} <> {none} then replace({translated}, {none}, {sql.literal(self.how.escape + 'N')}) end"
        )

    def written_in(self, value: str) -> str:
        """SQL that restores the text of the file."""
        for stand_in, character in zip(STAND_INS, self.meanings, strict=False):
            value = f"replace({value}, {sql.literal(stand_in)}, {sql.literal(self.how.escape + character)})"
        return value


class HeaderFinder:
    """Finds the header by the names in the mapping, however long a report's title is."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping, self.how, self.required = mapping, mapping.file, mapping.required_fields
        self._mapped = {squeezed(name): name for name in mapping.used_fields}
        self.hint: str | None = None
        """What to do about a header with other delimiters or quotes."""

    def names(self, written: Iterable[str]) -> list[str]:
        """The names as the mapping writes them, ignoring differences in white space."""
        return [self._mapped.get(name, name) for name in map(squeezed, written)]

    def is_header(self, written: Iterable[str]) -> bool:
        names = set(self.names(written))
        return any(names) and all(any(set(parts) <= names for parts in alternatives) for alternatives in self.required)

    def likeness(self, written: Iterable[str]) -> int:
        return len(set(self.names(written)) & set(self._mapped.values()))

    def row(self, rows: Sequence[Sequence[str]]) -> int:
        """The number of the header row, or else of the row most like it."""
        found = (number for number, row in enumerate(rows) if self.is_header(row))
        return next(found, max(range(len(rows)), key=lambda number: self.likeness(rows[number])))

    def offset(self, text: str, line_end: str) -> int:
        """Where the header begins, or else the line most like it; tries `skip_lines` first."""
        starts = list(_line_starts(text, line_end))
        expected = starts[self.how.skip_lines] if self.how.skip_lines < len(starts) else len(text)
        starts = [expected, *starts]
        dialect = Dialect(self.how.delimiter, self.how.quote)
        records = [(start, _record(text, start, line_end, dialect)) for start in starts]
        for start, record in records:
            if self.is_header(record):
                return start
        self.hint = self._otherwise_written(text, starts, line_end)
        return max(records, key=lambda found: self.likeness(found[1]))[0]

    def _otherwise_written(self, text: str, starts: list[int], line_end: str) -> str | None:
        for quote in dict.fromkeys((self.how.quote, '"')):
            for delimiter, shown in DELIMITERS.items():
                dialect = Dialect(delimiter, quote)
                if quote == delimiter or not any(
                    self.is_header(_record(text, start, line_end, dialect)) for start in starts
                ):
                    continue
                settings = [f'`delimiter: "{escaped(delimiter)}"`'] if delimiter != self.how.delimiter else []
                settings += [f"`quote: '{quote}'`"] if quote != self.how.quote else []
                parted = f"Its columns are separated by {shown}, not by {DELIMITERS.get(self.how.delimiter, repr(self.how.delimiter))}"
                found = parted if delimiter != self.how.delimiter else "Its names stand in quotes"
                return f"{found}: {self.mapping.how_to_set(' and '.join(settings))}"
        return None


def escaped(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter


def squeezed(name: str) -> str:
    return re.sub(r"\s+", " ", name).strip()


def _line_starts(text: str, line_end: str) -> Iterator[int]:
    start = 0
    for _ in range(MOST_TITLE_LINES):
        yield start
        start = text.find(line_end, start) + 1
        if not start or start == len(text):
            return


def _record(text: str, start: int, line_end: str, dialect: Dialect) -> list[str]:
    """The CSV record that starts at a line; empty if it isn't CSV."""
    quoting: dict[str, Any] = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    try:
        reader = csv.reader(_lines(text, start, line_end), strict=True, delimiter=dialect.delimiter, **quoting)
        return next(reader, [])
    except csv.Error:
        return []


def _lines(text: str, start: int, line_end: str) -> Iterator[str]:
    for _ in range(MOST_HEADER_LINES):
        end = text.find(line_end, start)
        line = text[start : len(text) if end < 0 else end]
        yield (line.removeprefix("\ufeff") if start == 0 else line) + "\n"
        if end < 0:
            return
        start = end + 1


def write_plain(file: Path, plain: Path, finder: HeaderFinder) -> None:
    """Rewrites a file as UTF-8 with line feeds, from its header on. Raises UnreadableFileError."""
    try:
        if not _copy(file, plain, finder, "\n"):
            # Old Macs and some spreadsheets end lines with carriage returns only.
            _copy(file, plain, finder, "\r")
    except OSError as error:
        raise UnreadableFileError(f"can't be read ({error.strerror})") from None


def _copy(file: Path, plain: Path, finder: HeaderFinder, line_end: str) -> bool:
    """Copies the file; returns whether it has such line ends, or no others."""
    how = finder.how
    decoder = codecs.getincrementaldecoder(how.encoding)("strict")
    escapes = Escapes(how) if how.escape else None
    line_count, has_other_ends, is_first, held = 0, False, True, ""
    with open(file, "rb") as content, open(plain, "w", encoding="utf-8", newline="") as copy:
        for chunk in itertools.chain(iter(lambda: content.read(CHUNK_BYTES), b""), [b""]):
            if is_first:
                _check_beginning(chunk, finder.mapping)
            try:
                decoded = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line_count += error.object[: error.start].decode(how.encoding, "replace").count(line_end)
                other = "windows-1251" if _is_utf8(how.encoding) else "utf-8"
                raise UnreadableFileError(
                    f"is not {how.encoding} in line {line_count + 1:,}: if it is in {other}, {finder.mapping.how_to_set(f'`encoding: {other}`')}"
                ) from None
            if "\0" in decoded:
                line_count += decoded[: decoded.index("\0")].count(line_end)
                raise UnreadableFileError(
                    f"has a NUL byte in line {line_count + 1:,}: it is damaged, or in another `encoding` than {how.encoding}, like utf-16"
                )
            line_count += decoded.count(line_end)
            has_other_ends = has_other_ends or "\r" in decoded
            if escapes:
                # The escaped character may be in the next chunk.
                decoded, held = held + decoded, ""
                open_count = len(decoded) - len(decoded.rstrip(how.escape))
                if chunk and open_count % 2:
                    decoded, held = decoded[:-1], how.escape
                decoded = escapes.hide(decoded)
            if is_first:
                decoded = decoded[finder.offset(decoded, line_end) :]
            is_first = False
            copy.write(decoded.replace("\r", "\n") if line_end == "\r" else decoded)
    return line_count > 0 or not has_other_ends


def _check_beginning(chunk: bytes, mapping: Mapping) -> None:
    if not chunk:
        raise UnreadableFileError("is empty (0 bytes): an export without rows has a header at least")
    for magic, hint in NO_TEXT.items():
        if chunk.startswith(magic):
            raise UnreadableFileError(hint)
    # Works in any encoding.
    beginning = chunk[:2000].lstrip(b"".join(MARKS)).replace(b"\0", b"")
    for pattern, kind in SAVED_PAGES.items():
        if re.match(pattern, beginning, re.IGNORECASE):
            raise UnreadableFileError(
                f"is {kind}, not CSV, whatever its name ends in: open it in a spreadsheet, and save it as CSV or .xlsx"
            )
    expected = mapping.file.encoding
    name = codecs.lookup(expected).name.replace("-sig", "")
    for mark, encoding in MARKS.items():
        if chunk.startswith(mark) and not name.startswith(encoding):
            raise UnreadableFileError(
                f"says by its first bytes that it is {encoding}, not {expected}: {mapping.how_to_set(f'`encoding: {encoding}`')}"
            )
    if not _is_utf8(expected) and _has_letters_of_utf8(chunk):
        raise UnreadableFileError(f"is in utf-8, not {expected}: {mapping.how_to_set('`encoding: utf-8`')}")


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _has_letters_of_utf8(chunk: bytes) -> bool:
    """Whether everything beyond ASCII is valid UTF-8. Other encodings read it too, as other letters; their texts are hardly ever valid."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(chunk)
    except UnicodeDecodeError:
        return False
    return len(chunk) - len(text) >= LEAST_BYTES_OF_LETTERS
