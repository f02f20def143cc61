"""Reads one delivered file of any format into a temporary table, in bulk, by DuckDB.

The table has a row per record of the file: `row_number` (from 1), `line` (the record's text if the format has lines and
it didn't parse), a cleaned text per column of the table's contract, `nested_columns` (the columns that held a structure
instead of a value, null if none), `attributes` (JSON of the columns outside the contract) and `reason`, why the row is
rejected.
"""

import hashlib
from pathlib import Path

import duckdb

from pipeline.landing import FORMATS
from pipeline.reading.csv_files import read_csv
from pipeline.reading.json_lines import read_json_lines
from pipeline.reading.parquet_files import read_parquet
from pipeline.reading.rows import Limits, Reading, UnreadableFileError, value_of

__all__ = ["Limits", "Reading", "UnreadableFileError", "hash_file", "read_file", "value_of"]


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


def read_file(connection: duckdb.DuckDBPyConnection, reading: Reading, file: Path, scratch: Path) -> None:
    """Creates the temporary table `reading.into` from a file. `scratch` is an empty folder, and is left empty.

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
            read_parquet(connection, reading, file, scratch)
        elif file_format.startswith(".csv"):
            read_csv(connection, reading, file, scratch)
        else:
            read_json_lines(connection, reading, file, scratch)
    finally:
        for leftover in scratch.iterdir():
            leftover.unlink()
