"""Reads delivered files of any format into temporary tables, in bulk, by DuckDB.

Such a table has a row per record: `file_number` (given by the caller), its number in the file (from 1, see `Rows`), `line` (the
record's text if the format has lines and it didn't parse), a cleaned text per column of the table's contract, `nested_columns`
(the columns that held a structure instead of a value, null if none), `attributes` (JSON of the columns outside the contract)
and `reason`, why the row is rejected.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import duckdb

from pipeline.landing import FORMATS
from pipeline.reading.csv_files import read_csv
from pipeline.reading.json_lines import read_json_lines
from pipeline.reading.many_csv_files import read_clean_csv
from pipeline.reading.rows import Limits, Reading, Rows, UnreadableFileError, value_of
from pipeline.reading.text_files import plain_file

__all__ = ["Limits", "Reading", "Rows", "UnreadableFileError", "hash_file", "read_file", "read_files", "value_of"]


def hash_file(file: Path, landing_dir: Path) -> str:
    """SHA-256 of a regular file in the landing folder, not behind a link. Raises UnreadableFileError."""
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


def read_files(
    connection: duckdb.DuckDBPyConnection, reading: Reading, files: Mapping[int, Path], scratch: Path
) -> list[Rows]:
    """Reads files by number into temporary tables whose names begin with `reading.into`, many in a statement.

    Leaves out files that must be read by themselves (`read_file`), be it to say what is wrong with them. Copies and links lie
    in the folder `scratch` until the caller empties it.
    """
    csv_files, parquet_files = {}, {}
    for number, file in files.items():
        file_format = _format_of(file)
        # Under plain names, as delivered ones may hold characters special to DuckDB.
        plain = scratch / f"{number}{file_format}"
        if file_format == ".csv":
            plain.symlink_to(file.resolve())
            csv_files[number] = plain
        elif file_format == ".csv.gz":
            plain.mkdir()
            with suppress(UnreadableFileError):
                csv_files[number] = plain_file(reading, file, plain)
        elif file_format == ".parquet":
            plain.symlink_to(file.resolve())
            parquet_files[number] = plain
    rows = read_clean_csv(connection, replace(reading, into=f"{reading.into}_csv"), csv_files)
    if parquet_files:
        from pipeline.reading.parquet_files import read_parquet_by_schema  # pyarrow takes a tenth of a second to import

        rows += read_parquet_by_schema(connection, replace(reading, into=f"{reading.into}_parquet"), parquet_files)
    return rows


def read_file(
    connection: duckdb.DuckDBPyConnection, reading: Reading, file: Path, file_number: int, scratch: Path
) -> Rows:
    """Reads a file by itself into the temporary table `reading.into`. `scratch` is an empty folder, and is left empty.

    Raises UnreadableFileError.
    """
    file_format = _format_of(file)
    try:
        if file_format is None:
            raise UnreadableFileError(
                f"is in no format that is read ({', '.join(FORMATS)}); convert it, "
                "or begin its name with _ to leave it out"
            )
        if file_format == ".parquet":
            from pipeline.reading.parquet_files import read_parquet

            plain = scratch / "delivered.parquet"
            plain.symlink_to(file.resolve())
            return read_parquet(connection, reading, {file_number: plain})
        if file_format.startswith(".csv"):
            return read_csv(connection, reading, file, file_number, scratch)
        return read_json_lines(connection, reading, file, file_number, scratch)
    finally:
        for leftover in scratch.iterdir():
            leftover.unlink()


def _format_of(file: Path) -> str | None:
    name = file.name.lower()
    return next((ending for ending in FORMATS if name.endswith(ending)), None)
