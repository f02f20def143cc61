"""Generations: numbered read-only files of the marts, and the link that points readers to one."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from pipeline import ledger, sql
from pipeline.capacity import check_publication
from pipeline.landing import Signature
from pipeline.last_update import last_update, record_update, recorded_failure
from pipeline.publishing.audit import audit
from pipeline.publishing.errors import PublicationError
from pipeline.publishing.replacing import Copy, copyable
from pipeline.publishing.tables import build_to_publish, write_changes, write_everything
from pipeline.settings import Rules
from pipeline.warehouse import DamageError, Warehouse, WarehouseBusyError, first_line, is_damage, set_aside, sync

log = logging.getLogger("multichannel")

KEPT_GENERATIONS = 7
SHOWN_DAYS = 5


@dataclass(frozen=True)
class Generation:
    number: int
    file: Path
    data_through: date | None
    row_counts: dict[str, int]
    changes: dict[str, dict[str, int]]
    is_linked: bool


def checksum_of(file: Path) -> str:
    with open(file, "rb") as content:
        return f"{hashlib.file_digest(content, 'sha256').hexdigest()}  {file.name}\n"


class Publications:
    """WAREHOUSE_DIR/marts.duckdb, a link to a WAREHOUSE_DIR/generations/NUMBER/marts.duckdb."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.link = warehouse.folder / "marts.duckdb"
        self.folder = warehouse.folder / "generations"
        self.pin = warehouse.folder / "pinned"

    def numbers(self) -> list[int]:
        """All complete generations, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in self.folder.iterdir()
            if entry.name.isdecimal() and (entry / "marts.duckdb").exists()
        )

    def current(self) -> int | None:
        """The generation that the link points to; None without a link. Raises DamageError if it isn't such a link."""
        try:
            target = os.readlink(self.link)
        except FileNotFoundError:
            return None
        except OSError:
            raise DamageError(
                f"{self.link} is no link to a generation, as something else was put there: move it away and run `load`, "
                "or let `load --full-refresh` do so."
            ) from None
        number = Path(target).parent.name
        if not number.isdecimal() or os.path.normpath(self.link.parent / target) != os.path.normpath(
            self.file(int(number))
        ):
            raise DamageError(
                f"{self.link} leads to {target}, which is no generation: remove the link and run `load`, "
                "or let `load --full-refresh` do so."
            )
        return int(number)

    def readable(self) -> int | None:
        """The readers' generation, if any. Raises DamageError if its file is missing or can't be opened."""
        current = self.current()
        if current is not None:
            self.meta(current)
        return current

    @contextmanager
    def opened(self, number: int) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens a generation's file for reading. Raises DamageError, also for damage found while reading."""
        file = self.file(number)
        try:
            with duckdb.connect(str(file), read_only=True) as connection:
                yield connection
        except duckdb.Error as error:
            if not file.exists():
                raise DamageError(
                    f"{self.link} leads to generation {number}, which isn't there: `resume` gives readers the newest one."
                ) from None
            if is_damage(error) or isinstance(error, duckdb.IOException | duckdb.CatalogException):
                raise self._damage(number, first_line(error)) from error
            raise

    def _damage(self, number: int, what: str) -> DamageError:
        return DamageError(
            f"Generation {number} is damaged ({self.file(number)}: {what}): `load --full-refresh` publishes a new one; "
            "until then `rollback` gives readers an earlier one."
        )

    def pinned(self) -> int | None:
        """The generation where a rollback holds readers until `resume`."""
        try:
            number = int(self.pin.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return number if self.file(number).exists() else None

    def file(self, number: int) -> Path:
        return self.folder / f"{number:06}" / "marts.duckdb"

    def _checksum_file(self, number: int) -> Path:
        """Holds a generation's checksum as it was published, as `sha256sum` writes it."""
        return self.file(number).with_suffix(".sha256")

    def meta(self, number: int) -> dict[str, Any]:
        """The row of a generation's `_meta`. Raises DamageError."""
        with self.opened(number) as connection:
            cursor = connection.execute("select * from _meta")
            names = [column[0] for column in cursor.description or ()]
            row = cursor.fetchone()
            return dict(zip(names, row or (), strict=False))

    def check(self) -> None:
        """Raises DamageError if readers can't open their generation, or builds can't continue from the newest."""
        self.current()
        if numbers := self.numbers():
            self.meta(numbers[-1])

    def is_whole(self, number: int) -> bool:
        """Whether a generation is as it was published; logs if not. Of one without a checksum, what publications and rollbacks need."""
        try:
            if (checksum := self._checksum_file(number)).exists():
                if checksum.read_text("utf-8") != checksum_of(self.file(number)):
                    raise self._damage(number, "other bytes than were published")
                return True
            with self.opened(number) as connection:
                for table in ("_meta", "_loads", "journal"):
                    connection.execute(f"select max(hash({table})) from {table}").fetchall()
        except DamageError as error:
            log.warning("%s", error)
            return False
        return True

    def is_up_to_date(self, build_fingerprint: str) -> bool:
        """Whether the newest generation has all live loads and the current fingerprint. Needs the lock."""
        numbers = self.numbers()
        if not numbers:
            return False
        newest = self.meta(numbers[-1])
        with self.warehouse.connected() as connection:
            build = ledger.last_build(connection)
            live = ledger.live_loads(connection)
        return (
            build is not None
            and build["outcome"] == "passed"
            and newest["build_id"] == build["build_id"]
            and newest["fingerprint"] == build_fingerprint
            and newest["load_ids"] == live
        )

    def publish(self, rules: Rules) -> Generation:
        """Publishes the last build if it passed and includes all loads. Needs the lock.

        Raises PublicationError, or ResourcesError if there is no room.
        """
        record_update(self.warehouse.folder, "started", "publication")
        with recorded_failure(self.warehouse, "publication"):
            generation = self._publish(rules)
        record_update(self.warehouse.folder, "published", generation=generation.number)
        return generation

    def _publish(self, rules: Rules) -> Generation:
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.folder, 0o755)
        for leftover in self.folder.glob("*.tmp"):
            shutil.rmtree(leftover)
        kept = self.numbers()
        with self.warehouse.connected() as connection:
            check_publication(self.warehouse, connection, self.file(kept[-1]) if kept else None)
            build = build_to_publish(connection)
            whole = (each for each in reversed(kept) if self.is_whole(each))
            newest = next(whole, None)
            if newest is not None:
                self._check_nothing_is_lost(newest, connection)
                # Even if the build is published again, compare it with what readers had before it.
                if self.meta(newest)["build_id"] == build["build_id"]:
                    newest = next((each for each in whole if self.meta(each)["build_id"] != build["build_id"]), None)
            copy = None if newest is None else self._copyable(newest, connection, build)
        number = max([*kept, self._shown() or 0]) + 1
        unfinished = self.folder / f"{number:06}.tmp"
        unfinished.mkdir()
        try:
            previous = None if newest is None else self.file(newest)
            file = unfinished / "marts.duckdb"
            row_counts = self._write(file, number, build, previous, copy, rules)
            file.with_suffix(".sha256").write_text(checksum_of(file), "utf-8")
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        for part in unfinished.iterdir():
            os.chmod(part, 0o444)
            sync(part)
        os.chmod(unfinished, 0o755)
        sync(unfinished)
        os.rename(unfinished, self.folder / f"{number:06}")
        sync(self.folder)
        self._show(number)
        pinned = self.pinned()
        if pinned is None:
            log.info("published generation %s", number)
        else:
            log.warning("generation %s is ready, but readers stay at generation %s until `resume`", number, pinned)
        self._clear_away()
        meta = self.meta(number)
        changes = json.loads(meta["changes"])
        return Generation(number, self.file(number), meta["data_through"], row_counts, changes, pinned is None)

    def _copyable(self, number: int, connection: duckdb.DuckDBPyConnection, build: dict[str, Any]) -> Copy | None:
        if not self._checksum_file(number).exists():
            return None  # nobody knows whether it is as it was published
        meta = self.meta(number)
        with self.opened(number) as published:
            # Without free blocks, which the next rows take.
            used_bytes = sql.value(published, "select used_blocks * block_size from pragma_database_size()")
        return copyable(connection, build, self.file(number), meta, used_bytes)

    def _write(
        self, file: Path, number: int, build: dict[str, Any], previous: Path | None, copy: Copy | None, rules: Rules
    ) -> dict[str, int]:
        """Writes and audits a file: what changed, into a copy, if there is one; else everything. Returns each mart's row count."""
        resources = self.warehouse.resources()
        if copy:
            try:
                with self.warehouse.connected() as connection:
                    row_counts, contacts = write_changes(connection, file, number, build, copy, rules)
                audit(file, rules, row_counts, resources, contacts)
                return row_counts
            except (PublicationError, DamageError, duckdb.Error) as error:
                message = "the copy can't be published, so generation %s is written as a whole: %s"
                log.warning(message, number, first_line(error))
                for leftover in file.parent.iterdir():
                    leftover.unlink()
        with self.warehouse.connected() as connection:
            row_counts = write_everything(connection, file, number, build, previous)
        try:
            audit(file, rules, row_counts, resources)
        except PublicationError as error:
            raise PublicationError(
                f"{error}. The generation before stays published. `load --full-refresh` builds everything again."
            ) from None
        return row_counts

    def _check_nothing_is_lost(self, newest: int, connection: duckdb.DuckDBPyConnection) -> None:
        """Detects a restored or recreated private file with less data than readers have. Raises PublicationError."""
        days = "select table_name || '/' || load_day from {} where outcome = 'loaded' and superseded_by is null"
        with self.opened(newest) as generation:
            published = {day for (day,) in generation.execute(days.format("_loads")).fetchall()}
        lost = sorted(published - {day for (day,) in connection.execute(days.format("raw.loads")).fetchall()})
        if lost:
            more = f" and {len(lost) - SHOWN_DAYS:,} more" if len(lost) > SHOWN_DAYS else ""
            raise PublicationError(
                f"What is published holds days that are not loaded any more: {', '.join(lost[:SHOWN_DAYS])}{more}. "
                "The generation before stays published. Deliver these days again and run `load`; "
                "if they are to go, start with another WAREHOUSE_DIR."
            )

    def acknowledge(self) -> None:
        """Acknowledges a publication that was interrupted after readers could see it. Needs the lock."""
        numbers = self.numbers()
        if not numbers:
            return
        try:
            newest = self.meta(numbers[-1])
        except DamageError as error:
            # Its work isn't acknowledged then, and is done again.
            log.warning("%s", error)
            return
        with self.warehouse.connected() as connection:
            ledger.acknowledge(connection, newest)

    def finish(self) -> None:
        """Completes the last publication if a crash interrupted it. Needs the lock, and is_up_to_date."""
        newest = self.numbers()[-1]
        self._show(newest)
        self._clear_away()
        last = last_update(self.warehouse.folder)
        if last is None or (last.outcome, last.generation) != ("published", newest):
            record_update(self.warehouse.folder, "published", generation=newest)

    def rollback(self, to: int | None = None) -> int:
        """Moves readers back to a generation and holds them there. Needs the lock. Raises PublicationError."""
        current = self.current() if to is None else None
        numbers = self.numbers()
        if to is None:
            earlier = [
                number for number in numbers if current is not None and number < current and self.is_whole(number)
            ]
            if not earlier:
                raise PublicationError("There is no earlier generation to roll back to.")
            to = earlier[-1]
        if to not in numbers:
            kept = ", ".join(map(str, numbers)) or "none"
            raise PublicationError(f"Generation {to} is not kept; kept are: {kept}.")
        self.meta(to)
        unfinished_pin = self.pin.with_suffix(".new")
        unfinished_pin.write_text(str(to))
        os.chmod(unfinished_pin, 0o644)  # readers may see it
        sync(unfinished_pin)
        os.replace(unfinished_pin, self.pin)
        self._show(numbers[-1])
        return to

    def resume(self) -> int:
        """Gives readers the newest generation again. Needs the lock. Raises PublicationError."""
        numbers = self.numbers()
        if not numbers:
            raise PublicationError("Nothing was published yet.")
        self.current()
        self.meta(numbers[-1])
        self.pin.unlink(missing_ok=True)
        self._show(numbers[-1])
        return numbers[-1]

    def _show(self, newest: int) -> None:
        """Points readers to the newest generation, unless a rollback holds them at another."""
        pinned = self.pinned()
        due = newest if pinned is None else pinned
        if self._shown() != due:
            self._point_at(due)

    def _shown(self) -> int | None:
        """The readers' generation; None if the link is damaged."""
        try:
            return self.current()
        except DamageError:
            return None

    def _point_at(self, number: int) -> None:
        unfinished = self.link.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(Path("generations") / f"{number:06}" / "marts.duckdb")
        if os.path.lexists(self.link) and not self.link.is_symlink():
            log.warning("%s was no link: it is %s now", self.link, set_aside(self.link))
        os.replace(unfinished, self.link)
        sync(self.link.parent)

    def _clear_away(self) -> None:
        """Drops old generations, acknowledges the newest one, and drops the rows that its loads replaced."""
        newest = self.meta(self.numbers()[-1])
        for number in self.numbers()[:-KEPT_GENERATIONS]:
            if number not in (self.current(), self.pinned()):
                leftover = self.folder / f"{number:06}.tmp"
                os.rename(self.folder / f"{number:06}", leftover)
                shutil.rmtree(leftover)
        with self.warehouse.connected() as connection:
            ledger.acknowledge(connection, newest)
            ledger.drop_superseded(connection)


def read_ledger(warehouse: Warehouse) -> dict[tuple[str, date], tuple[str, Signature]]:
    """The ledger of loads: current if the private file is free, else as of the last publication. Writes nothing."""
    try:
        with warehouse.looked_into() as connection:
            return ledger.known_signatures(connection) if connection else {}
    except duckdb.CatalogException:  # the first load was killed at its start
        return {}
    except WarehouseBusyError:
        publications = Publications(warehouse)
        numbers = publications.numbers()
        if not numbers:
            return {}
        with publications.opened(numbers[-1]) as connection:
            return ledger.known_signatures(connection, "_loads")
