"""Dagster's history in SQLite, in Dagster's own files and tables, with connections that stay open.

Dagster opens and closes a file for each of the thousands of statements of a run, which costs more than to execute them.
`dagster.yaml` names `OpenSqliteStorage`.
"""

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, create_engine, event

from pipeline.settings import PROJECT_DIR

# Each run has a file of its own; pages show a few at a time.
FILES_KEPT_OPEN = 8


class OpenEventLog(SqliteEventLogStorage):
    """Dagster's log of events in SQLite. Connections to the files used last stay open."""

    def __init__(self, base_dir: str) -> None:
        self._open: OrderedDict[str, tuple[int, Connection]] = OrderedDict()
        self._known_tables: set[str] = set()
        super().__init__(base_dir)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            connection = self._connection(shard)
            with connection.begin():
                yield connection

    def _connection(self, shard: str) -> Connection:
        """The open connection to a file: `shard` is a run's id or the index. Needs `_db_lock`."""
        file = Path(self.path_for_shard(shard))
        inode, connection = self._open.pop(shard, (0, None))
        if connection is not None and not (file.exists() and file.stat().st_ino == inode):
            # Deleted, and maybe made again, as by `dagster run wipe`.
            _close(connection)
            self._initialized_dbs.discard(shard)
            connection = None
        if connection is None:
            engine = create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            event.listen(engine, "connect", _sync_at_checkpoints)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            connection = engine.connect()
        self._open[shard] = file.stat().st_ino, connection
        if len(self._open) > FILES_KEPT_OPEN:
            _close(self._open.popitem(last=False)[1][1])
        return connection

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._known_tables and super().has_table(table_name):
            self._known_tables.add(table_name)
        return table_name in self._known_tables

    def dispose(self) -> None:
        super().dispose()
        while self._open:
            _close(self._open.popitem()[1][1])


def _close(connection: Connection) -> None:
    connection.close()
    connection.engine.dispose()


def _sync_at_checkpoints(connection: sqlite3.Connection, _: object) -> None:
    """Makes SQLite sync the file at checkpoints only.

    A power cut may lose the last events, but no runs, and never damages the file.
    """
    connection.execute("pragma synchronous = normal")


class OpenSqliteStorage(DagsterSqliteStorage):
    """Dagster's default storage, with `OpenEventLog` for events."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = OpenEventLog(str(Path(base_dir) / "history" / "runs"))

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "OpenSqliteStorage":
        # Dagster passes a storage its folder only in its configuration, and `dagster.yaml` has none.
        # Without DAGSTER_HOME, the folder is that of `make dev`.
        return cls(os.environ.get("DAGSTER_HOME") or str(PROJECT_DIR / "data" / "dagster"), inst_data)
