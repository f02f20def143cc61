"""The published file as the report reads it: one generation at a time, read-only, locked down, by bound parameters."""

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from pipeline import sql
from report.masking import Mask, tokens_in_sql

# Of each generation that somebody still looks at; a page that began with one ends with it.
OPEN_GENERATIONS = 2
MOVED_MEANWHILE = 3

# No reader can change this file, read another one, load code or loosen any of this.
LOCKED = {
    "TimeZone": "'UTC'",
    "temp_directory": "''",
    "allow_community_extensions": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "enable_external_access": "false",
}

# The ids that pages ask by.
IDS = (("journal", "contact_id"), ("journal", "client_id"), ("journal", "widget_id"))


class NothingPublishedError(Exception):
    """There is no published file to read yet."""


class Generation:
    """One published generation, opened. All that a page shows comes from one of these."""

    def __init__(self, file: Path, threads: int, memory_limit: str, mask_phones: bool) -> None:
        """Raises OSError or duckdb.Error if the file is not there, or no database."""
        # Of its own: what is opened by a file's name is shared with whoever opens it again, though it be another file by then.
        self._connection = duckdb.connect(":memory:", config={"threads": threads, "memory_limit": memory_limit})
        sql.attach(self._connection, file, "marts")
        for name, value in LOCKED.items():
            self._connection.execute(f"set global {name} = {value}")
        self._connection.execute("set global lock_configuration = true")
        self._lock = threading.Lock()
        self._remembered: dict[str, list[dict[str, Any]]] = {}
        self.meta: dict[str, Any] = self._fetched("select * from _meta")[0]
        self.mask = Mask(mask_phones, self.settings["default_phone_region"], self._key, self._find)

    @property
    def number(self) -> int:
        return int(self.meta["generation"])

    @property
    def data_through(self) -> date | None:
        return self.meta["data_through"]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The rules' settings that the marts were built with."""
        return json.loads(self.meta["settings"])

    @cached_property
    def row_counts(self) -> dict[str, int]:
        """How many rows each mart has."""
        return json.loads(self.meta["row_counts"])

    @property
    def time_zone(self) -> str:
        return str(self.settings["report_timezone"])

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """What a query gives, as it may be shown; values come in as named parameters ($name) only. Safe from several threads."""
        asked = {name: self.mask.asked(value) for name, value in (parameters or {}).items()}
        return [
            {name: self.mask.value(name, value) for name, value in row.items()} for row in self._fetched(query, asked)
        ]

    def has_phone(self, phone: str) -> bool:
        """Whether a contact has this phone, in E.164: the one question that a masked report answers about a number."""
        return bool(self._fetched("select 1 from journal where phone = $phone limit 1", {"phone": phone}))

    def _fetched(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute("use marts")
            cursor.execute(query, dict(parameters or {}))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _key(self) -> str:
        """A secret that is the same in every generation: random numbers of the first run, which only those with the file can read."""
        first_load = self._fetched("select run_id, loaded_at from _loads order by load_id limit 1")
        return hashlib.sha256(repr(first_load or os.urandom(32)).encode()).hexdigest()

    def _find(self, token: str) -> str | None:
        """The id that a token of this file stands for."""
        for table, column in IDS:
            query = f"select {column} as id from {table} where {tokens_in_sql(column)} = $token limit 1"
            if found := self._fetched(query, {"key": self.mask.key, "token": token}):
                return str(found[0]["id"])
        return None

    def remembered(self, query: str) -> list[dict[str, Any]]:
        """The same, asked once: for what looks at everything and is wanted on every page."""
        with self._lock:
            if query not in self._remembered:
                self._remembered[query] = self.rows(query)
            return self._remembered[query]

    def row(self, query: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        rows = self.rows(query, parameters)
        return rows[0] if rows else None


class Published:
    """WAREHOUSE_DIR/marts.duckdb, whichever generation it leads to now."""

    def __init__(self, link: Path, threads: int, memory_limit: str, mask_phones: bool = False) -> None:
        self._link = link
        self._threads = threads
        self._memory_limit = memory_limit
        self._mask_phones = mask_phones
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, int], Generation] = OrderedDict()

    def current(self) -> Generation:
        """The generation that readers get now. Raises NothingPublishedError, and what opening one does.

        It stays readable for who has it, even once its file is gone.
        """
        with self._lock:
            trouble: Exception | None = None
            for _ in range(MOVED_MEANWHILE):
                file = Path(os.path.realpath(self._link))
                try:
                    key = (str(file), file.stat().st_ino)
                    if key not in self._open:
                        self._open[key] = Generation(file, self._threads, self._memory_limit, self._mask_phones)
                        while len(self._open) > OPEN_GENERATIONS:
                            self._open.popitem(last=False)
                    self._open.move_to_end(key)
                    return self._open[key]
                except (FileNotFoundError, duckdb.IOException) as error:
                    trouble = error
        if trouble is not None and os.path.lexists(self._link):
            raise trouble  # there is something, and it can't be read
        raise NothingPublishedError(str(self._link))
