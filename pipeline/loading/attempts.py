"""A delivery on its way into raw, and how it fails."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.capacity import ResourcesError, check_delivery, exhaustion
from pipeline.landing import Delivery, file_signature, readable
from pipeline.loading.loads import FileCounts, Load, live_load
from pipeline.reading import Rows, UnreadableFileError, hash_file


class DeliveryFailedError(Exception):
    """A delivery fails its day (R26). The message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class JudgedFile:
    """A judged file, whose rows wait in a temporary table for the transaction."""

    number: int
    counts: FileCounts
    rows: Rows
    rejected_by_reason: dict[str, int]
    unreadable_values: dict[str, int]


@dataclass
class Attempt:
    """A delivery on its way. It has failed if there is an `error`, and is not read if it is `unchanged`."""

    delivery: Delivery
    files: list[FileCounts] = field(default_factory=list)
    unchanged: Load | None = None
    error: str | None = None
    judged: list[JudgedFile] = field(default_factory=list)

    @property
    def is_to_be_read(self) -> bool:
        return self.error is None and self.unchanged is None

    def name(self, file: Path | None = None) -> str:
        # A linked folder stands in for its files.
        name = "" if file is None or file.name == str(self.delivery.day) else readable(file.name)
        return f"{self.delivery.table}/{self.delivery.day}/{name}"


def begin(connection: duckdb.DuckDBPyConnection, delivery: Delivery, landing_dir: Path, reload: bool) -> Attempt:
    """Checks a delivery's files and size, and whether its bytes are those of the live load, before anything is read."""
    attempt = Attempt(delivery)
    for file in delivery.files:
        signature = file_signature(file)
        try:
            attempt.files.append(FileCounts(*signature, hash_file(file, landing_dir)))
        except UnreadableFileError as error:
            attempt.error = f"{attempt.name(file)} {error}"
            return attempt
    live = live_load(connection, delivery)
    if live and not reload and _contents(live.files) == _contents(attempt.files):
        attempt.unchanged = live
        return attempt
    try:
        check_delivery(delivery, _warehouse_dir(connection), temporary_dir(connection))
    except ResourcesError as error:
        attempt.error = f"{attempt.name()} is not read: {error}"
    return attempt


@contextmanager
def translate_exhaustion(connection: duckdb.DuckDBPyConnection, what: str) -> Iterator[None]:
    """Raises DeliveryFailedError when memory or disk space runs out."""
    try:
        yield
    except (duckdb.Error, OSError, MemoryError) as error:
        if message := exhaustion(error, temporary_dir(connection)):
            raise DeliveryFailedError(f"{what} {message}") from error
        raise


def temporary_dir(connection: duckdb.DuckDBPyConnection) -> Path:
    """Where the connection spills; copies of deliveries go there too."""
    return Path(sql.value(connection, "select current_setting('temp_directory')"))


def _warehouse_dir(connection: duckdb.DuckDBPyConnection) -> Path:
    path = sql.value(connection, "select path from duckdb_databases() where database_name = current_database()")
    return Path(path).parent


def _contents(files: Iterable[FileCounts]) -> list[tuple[str, str]]:
    return sorted((file.file_name, file.sha256) for file in files)
