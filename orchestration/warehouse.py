"""The private database file: one user at a time, under one lock, with the ledger of loads."""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import duckdb

from orchestration.contracts import raw_columns

log = logging.getLogger("orchestration")

SCHEMAS = ("raw", "staging", "intermediate", "marts")


class WarehouseBusyError(Exception):
    """Somebody else holds the warehouse and did not let go in time."""


class Warehouse:
    """WAREHOUSE_DIR: the private file, its lock, and the generations that are published from it."""

    _held: dict[Path, tuple[IO[str], int, int]] = {}  # the open lock file, how often it is held, the umask before
    _held_guard = threading.RLock()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "warehouse.duckdb"
        self.lock_file = folder / "warehouse.lock"

    @contextmanager
    def locked(self, purpose: str, wait_seconds: float = 6 * 3600) -> Iterator[None]:
        """Holds the warehouse; waits for whoever has it. One process may hold it several times over.

        The operating system lets go of it when the process ends, however it ends. What the process writes meanwhile,
        DuckDB's write-ahead log and spilled rows included, is for its own user only.
        """
        self._acquire(purpose, wait_seconds)
        try:
            yield
        finally:
            self._release()

    def _acquire(self, purpose: str, wait_seconds: float) -> None:
        key = self.lock_file.resolve()
        with self._held_guard:
            if key in self._held:
                handle, depth, umask = self._held[key]
                self._held[key] = handle, depth + 1, umask
                return
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = open(self.lock_file, "a+", encoding="utf-8")  # noqa: SIM115
        os.chmod(self.lock_file, 0o600)
        deadline = time.monotonic() + wait_seconds
        has_said = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                handle.seek(0)
                holder = handle.read().strip() or "somebody"
                if time.monotonic() >= deadline:
                    handle.close()
                    raise WarehouseBusyError(f"{self.folder} is in use by {holder}; try again later") from None
                if not has_said:
                    log.info("%s is in use by %s; waiting", self.folder, holder)
                    has_said = True
                time.sleep(0.2)
        handle.seek(0)
        handle.truncate()
        handle.write(f"{purpose} (process {os.getpid()}, since {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z})")
        handle.flush()
        with self._held_guard:
            self._held[key] = handle, 1, os.umask(0o077)

    def _release(self) -> None:
        key = self.lock_file.resolve()
        with self._held_guard:
            handle, depth, umask = self._held[key]
            if depth > 1:
                self._held[key] = handle, depth - 1, umask
            else:
                del self._held[key]
                os.umask(umask)
                handle.close()

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the private file, with all its schemas and raw tables. Needs the lock."""
        is_new = not self.file.exists()
        connection = duckdb.connect(str(self.file))
        try:
            connection.execute("set TimeZone = 'UTC'")
            if is_new:
                os.chmod(self.file, 0o600)
            _create_raw_tables(connection)
            yield connection
        finally:
            connection.close()


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("begin transaction")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _create_raw_tables(connection: duckdb.DuckDBPyConnection) -> None:
    existing = {
        (table, column)
        for table, column in connection.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = 'raw' and not internal"
        ).fetchall()
    }
    tables = {table for table, _ in existing}
    if not tables:
        for schema in SCHEMAS:
            connection.execute(f"create schema if not exists {schema}")
    for table, columns in raw_columns().items():
        if table not in tables:
            definitions = ", ".join(f'"{column}" {data_type}' for column, data_type in columns.items())
            connection.execute(f"create table raw.{table} ({definitions})")
            continue
        # A contract that has grown since the file was made: older rows have no value there.
        for column, data_type in columns.items():
            if (table, column) not in existing:
                connection.execute(f'alter table raw.{table} add column "{column}" {data_type}')
