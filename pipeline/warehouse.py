"""The private database file: one user at a time, under one lock, with the ledger of loads."""

import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import duckdb

from pipeline.contracts import RECORDS_PER_LOAD, raw_columns, raw_compressions
from pipeline.settings import Settings, SettingsError

log = logging.getLogger("multichannel")

Resources = dict[str, str | bool | int | float | list[str]]  # options of DuckDB
# The folder of the second warehouse with which a verification compares.
VERIFICATION = "verification"
SCHEMAS = ("raw", "staging", "intermediate", "marts")
NAMELESS_SECONDS = 10  # how long a new holder may take to write its name


class WarehouseBusyError(Exception):
    """Another process holds the warehouse and did not release it in time."""


class DamageError(Exception):
    """A file of the warehouse can't be read. The message says which and what to do."""


# DuckDB's messages for damaged files.
DAMAGE = (
    "Corrupt database file", "Corrupt WAL file", "Failure while replaying WAL", "database has been invalidated",
    "is not a valid DuckDB database file", "Could not read enough bytes from file", "Serialization Error",
)  # fmt: skip
# The file can't be opened, but is intact.
NO_DAMAGE = (
    "Could not set lock on file",
    "Out of Memory Error",
    "version number",
    *map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EROFS)),
)


def is_damage(error: BaseException | str) -> bool:
    """Whether an error means a damaged DuckDB file. DuckDB and dbt report it only in words."""
    return any(words in str(error) for words in DAMAGE)


def first_line(error: BaseException | str) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:!") if lines else type(error).__name__


@dataclass
class _Hold:
    """A lock held by this process: how many times, and what to do at release."""

    handle: IO[str]
    temporary_dir: Path
    previous_umask: int
    depth: int = 1


class Warehouse:
    """WAREHOUSE_DIR: the private file, its lock, and the generations published from it."""

    _held: dict[Path, _Hold] = {}
    _held_guard = threading.RLock()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "warehouse.duckdb"
        self.lock_file = folder / "warehouse.lock"

    @property
    def temporary_dir(self) -> Path:
        """Where DuckDB spills and deliveries are unpacked. Only the warehouse's holder uses this folder."""
        chosen = Settings.read().temporary_dir
        if chosen is None:
            return self.folder / "temporary"
        # Several warehouses may share the setting, and the folder may hold other files.
        name = hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()[:12]
        return chosen / f"warehouse-{name}"

    def resources(self) -> Resources:
        """DuckDB's resource options; creates the folder for spilling. Raises SettingsError."""
        settings = Settings.read()
        try:
            self.temporary_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"The temporary folder {self.temporary_dir} can't be made ({error.strerror}): "
                "set TEMPORARY_DIR to a folder that this user may write to."
            ) from None
        return {
            "memory_limit": settings.memory_limit,
            "threads": settings.threads,
            "temp_directory": str(self.temporary_dir),
        }

    @contextmanager
    def locked(self, purpose: str, wait_seconds: float = 6 * 3600) -> Iterator[None]:
        """Locks the warehouse, waiting for another holder. The same process may lock it repeatedly.

        The operating system releases the lock when the process ends, even by a crash. Files written meanwhile, DuckDB's
        write-ahead log and spilled rows included, are private to the user.
        """
        self._acquire(purpose, wait_seconds)
        try:
            yield
        finally:
            self._release()

    def _acquire(self, purpose: str, wait_seconds: float) -> None:
        key = self.folder.resolve() / self.lock_file.name
        with self._held_guard:
            if key in self._held:
                self._held[key].depth += 1
                return
        temporary_dir = self.temporary_dir
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"The folder {self.folder} can't be made ({error.strerror}): set WAREHOUSE_DIR to a folder that this user may write to."
            ) from None
        handle = _open_lock(self.lock_file)
        began = time.monotonic()
        has_announced = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                handle.seek(0)
                holder = handle.read().strip()
                waited_seconds = time.monotonic() - began
                if waited_seconds >= wait_seconds:
                    handle.close()
                    raise WarehouseBusyError(
                        f"{self.folder} is in use by {holder or 'somebody'}; try again later"
                    ) from None
                # A new holder may not have written its name yet.
                if not has_announced and (holder or waited_seconds > NAMELESS_SECONDS):
                    log.info("%s is in use by %s; waiting", self.folder, holder or "somebody")
                    has_announced = True
                time.sleep(0.2)
        handle.seek(0)
        handle.truncate()
        handle.write(f"{purpose} (process {os.getpid()}, since {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z})")
        handle.flush()
        with self._held_guard:
            self._held[key] = _Hold(handle, temporary_dir, os.umask(0o077))
        # Leftovers of a killed process: only the lock's holder uses the folder.
        shutil.rmtree(temporary_dir, ignore_errors=True)

    def _release(self) -> None:
        key = self.folder.resolve() / self.lock_file.name
        with self._held_guard:
            hold = self._held[key]
            hold.depth -= 1
            if hold.depth == 0:
                shutil.rmtree(hold.temporary_dir, ignore_errors=True)
                del self._held[key]
                os.umask(hold.previous_umask)
                # So that the next waiting process doesn't name a holder that is gone.
                with suppress(OSError):
                    hold.handle.truncate(0)
                hold.handle.close()

    def damaged(self, error: BaseException | str) -> DamageError:
        """The error for a damaged private file."""
        return DamageError(
            f"{self.file} is damaged or can't be opened ({first_line(error)}). Readers keep what is published. "
            "`load --full-refresh` rebuilds everything from what of it can be read, and else from LANDING_DIR."
        )

    @contextmanager
    def looked_into(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A short read-only connection that writes nothing anywhere; None before the first load.

        Doesn't wait: raises WarehouseBusyError at once. Also raises DamageError.
        """
        if self.lock_file.resolve() in self._held:
            with self.connected() as connection:
                yield connection
            return
        try:
            handle = os.open(self.lock_file, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise WarehouseBusyError(f"{self.lock_file} can't be read ({error.strerror})") from None
        try:
            if _is_held(handle):
                raise WarehouseBusyError(f"{self.folder} is in use")
            if not self.file.exists():
                yield None
                return
            settings = Settings.read()
            limits: Resources = {
                "memory_limit": settings.memory_limit,
                "threads": settings.threads,
                "temp_directory": "",
            }
            with self._opened(read_only=True, config=limits) as connection:
                yield connection
        finally:
            os.close(handle)

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the private file, with schemas and raw tables created. Needs the lock. Raises DamageError."""
        is_new = not self.file.exists()
        with self._opened(read_only=False, config=self.resources()) as connection:
            connection.execute("set TimeZone = 'UTC'")
            if is_new:
                os.chmod(self.file, 0o600)
            _create_raw_tables(connection)
            yield connection

    @contextmanager
    def _opened(self, read_only: bool, config: Resources) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            connection = duckdb.connect(str(self.file), read_only=read_only, config=config)
        except duckdb.Error as error:
            if os.strerror(errno.EACCES) in str(error):
                raise SettingsError(
                    f"{self.file} can't be opened ({os.strerror(errno.EACCES)}): run this as the user who owns it, "
                    "or set WAREHOUSE_DIR to another folder."
                ) from None
            if any(words in str(error) for words in NO_DAMAGE):
                raise
            raise self.damaged(error) from error
        try:
            yield connection
        except duckdb.Error as error:
            if is_damage(error) and not is_of_another_file(error, self.file):
                raise self.damaged(error) from error
            raise
        finally:
            connection.close()


def _open_lock(file: Path) -> IO[str]:
    """Opens the lock file without following a link, whose target would be overwritten. Raises SettingsError."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if file.is_symlink():
            raise SettingsError(f"{file} is a link, and is not followed: remove it, and load again.") from None
        raise SettingsError(
            f"{file} can't be opened ({error.strerror}): let this user write to it, or set WAREHOUSE_DIR to another folder."
        ) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise SettingsError(f"{file} is no regular file: remove it, and load again.")
    os.fchmod(handle, 0o600)
    return os.fdopen(handle, "r+", encoding="utf-8")


def set_aside(path: Path) -> Path:
    """Renames a file or folder within its folder, and returns the new path."""
    aside = path.with_name(f"{path.name}.aside-{datetime.now():%Y%m%d-%H%M%S-%f}")
    os.rename(path, aside)
    return aside


def repair(warehouse: Warehouse) -> None:
    """Moves unreadable parts of the private file aside, so that it can be built again. Needs the lock.

    The lost rows are loaded again from deliveries; if these are gone, publication stops.
    """
    if not os.path.lexists(warehouse.file):
        return
    write_ahead_log = warehouse.file.with_name(f"{warehouse.file.name}.wal")
    trouble = _trouble(warehouse)
    if trouble and write_ahead_log.exists():
        log.warning("%s The write-ahead log was put aside, as %s.", trouble, set_aside(write_ahead_log))
        trouble = _trouble(warehouse)
    if trouble:
        log.warning("%s It was put aside, as %s, and a new one is begun.", trouble, set_aside(warehouse.file))


def _trouble(warehouse: Warehouse) -> DamageError | None:
    """The error on reading all raw tables, if any. Everything else is built from them."""
    try:
        with warehouse.connected() as connection:
            for table in raw_columns():
                connection.execute(f"select max(hash({table})) from raw.{table}").fetchall()
    except DamageError as error:
        return error
    return None


def is_of_another_file(error: BaseException | str, file: Path) -> bool:
    """Whether an error names another file."""
    named = re.search(r'file "([^"]+)"', str(error))
    return named is not None and Path(named[1]).name.removesuffix(".wal") != file.name


def _is_held(handle: int) -> bool:
    """Whether a process holds the lock; if not, shares it until the handle is closed, so that none takes it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def is_in_use(folder: Path) -> bool | None:
    """Whether a process holds the warehouse; None if this user may not open its lock.

    Shares the lock only for an instant, so that waiting processes still get it.
    """
    try:
        handle = os.open(folder / "warehouse.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        return _is_held(handle)
    finally:
        os.close(handle)


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("begin transaction")
    try:
        yield
    except BaseException:
        # The failure may have ended the transaction already, and is the error to report.
        with suppress(duckdb.TransactionException):
            connection.execute("rollback")
        raise
    connection.execute("commit")


def _create_raw_tables(connection: duckdb.DuckDBPyConnection) -> None:
    for table, columns in raw_columns().items():
        existing = _columns_of(connection, f"raw.{table}")
        if existing is None:
            for schema in SCHEMAS:
                connection.execute(f"create schema if not exists {schema}")
            definitions = ", ".join(
                f'"{column}" {data_type} {_compression(table, column)}' for column, data_type in columns.items()
            )
            connection.execute(f"create table raw.{table} ({definitions})")
            continue
        # Columns added to the contract since the file was created: older rows have no value.
        for column, data_type in columns.items():
            if column not in existing:
                connection.execute(f'alter table raw.{table} add column "{column}" {data_type}')
                if column == "record_number":
                    _number_records(connection, table)


def _columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> set[str] | None:
    """The names of a table's columns; None if there is no such table. Much quicker than the catalog's list of all columns."""
    try:
        return {column[0] for column in connection.execute(f"from {table} limit 0").description or ()}
    except duckdb.CatalogException:
        return None


def _compression(table: str, column: str) -> str:
    compression = raw_compressions().get((table, column))
    return f"using compression {compression}" if compression else ""


def _number_records(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Numbers records as the loader does: by file name, then by row."""
    connection.execute(
        f"""
        update raw.{table} set record_number = numbered.record_number
        from (
            select
                rowid as row_id,
                load_id * {RECORDS_PER_LOAD} + row_number() over (
                    partition by load_id order by file_name, row_number
                ) as record_number
            from raw.{table}
        ) as numbered
        where raw.{table}.rowid = numbered.row_id
        """
    )


def sync(path: Path) -> None:
    """Makes writes to a file, or renames in a folder, survive a crash of the machine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
