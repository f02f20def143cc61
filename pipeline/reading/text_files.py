"""Text files: checks that a file is text, and splits it into lines."""

import codecs
import gzip
import zlib
from pathlib import Path
from typing import IO, cast

import duckdb

from pipeline import sql
from pipeline.capacity import is_full_disk
from pipeline.reading.rows import Reading, UnreadableFileError, too_large

CHUNK_BYTES = 16 * 2**20
LONGEST_LINE_BYTES = 8 * 2**20


def _open_bytes(file: Path) -> IO[bytes]:
    if file.name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(file, "rb"))
    return open(file, "rb")


# First bytes of files that aren't text, and what to do about them.
_NO_TEXT = {
    b"\x1f\x8b": "is packed by gzip; end its name in .gz",
    b"PK\x03\x04": "is an Excel or ZIP file, not text; save it as CSV in UTF-8",
    b"PAR1": "is a Parquet file; end its name in .parquet",
    b"\xff\xfe": "is UTF-16; write it again as UTF-8",
    b"\xfe\xff": "is UTF-16; write it again as UTF-8",
}


def _check_text(reading: Reading, file: Path, copy: Path | None = None) -> None:
    """Checks that a text file is complete, UTF-8 and without NUL bytes. Optionally copies it, unpacked."""
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
                    raise too_large(reading)
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


def plain_file(reading: Reading, file: Path, scratch: Path) -> Path:
    """A checked, unpacked copy under a plain name: delivered names may hold characters special to DuckDB."""
    plain = scratch / "delivered.txt"
    if file.name.lower().endswith(".gz"):
        _check_text(reading, file, copy=plain)
    else:
        _check_text(reading, file)
        plain.symlink_to(file.resolve())
    return _with_line_feeds(plain, scratch) if _ends_lines_in_carriage_returns(plain) else plain


def _ends_lines_in_carriage_returns(plain: Path) -> bool:
    """Whether a file has carriage returns and no line feeds, as old Macs and some spreadsheets write."""
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


def create_lines(connection: duckdb.DuckDBPyConnection, plain: Path, scratch: Path) -> None:
    """Creates the temporary table `lines` (line_number, line) of a text file, split only at line feeds.

    DuckDB's CSV reader can't do that: it loses text if line ends are mixed. So the file is cut at line feeds into chunks
    that fit into memory, and DuckDB splits them one by one.
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
                from (select string_split(content, chr(10)) as chunk_lines from read_text({sql.literal(str(copy))}))
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
