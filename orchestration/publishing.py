"""Publishes the built marts: a numbered read-only generation, audited, then one atomic move of a link."""

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb

from orchestration.contracts import delivered_tables
from orchestration.landing import Signature
from orchestration.loading import known_signatures
from orchestration.settings import Rules
from orchestration.space import check_publication, explained
from orchestration.warehouse import (
    DamageError,
    Resources,
    Warehouse,
    WarehouseBusyError,
    first_line,
    is_damage,
    set_aside,
    sync,
)
from orchestration.wording import counted

log = logging.getLogger("orchestration")

# Published as tables, though some are views in the private file: what is summed over all contacts, or changes for all of them
# with every build, is worked out once, here.
MARTS = (
    "journal",
    "client_card",
    "interaction_history",
    "client_history",
    "contact_counts",
    "touch_chains",
    "channel_steps",
    "channel_participation",
    "channel_worths",
    "touch_credits",
    "channel_credits",
    "unmapped_sources",
    "channel_costs",
    "channel_performance",
    "metric_days",
)
# In which order their rows lie in the published file, where readers look for few of many: pages of a journal, one client.
ORDERS = {
    "journal": "contacted_at, contact_id",
    "client_history": "contacted_at, contact_id",
    "client_card": "first_contact_at, client_id",
}
# Published as they are: views over those.
VIEWS = ("channel_attribution",)
KEPT_GENERATIONS = 7
SHOWN_DAYS = 5
# Readers with DuckDB 1.5 open files of this version; later ones do too.
STORAGE_VERSION = "v1.5.0"
LAST_UPDATE = "last_update.json"
UpdateOutcome = Literal["started", "published", "failed"]
UpdateStep = Literal["build", "publication"]
OTHER_CONTACT = "another contact of the client was delivered, corrected or removed"


class PublicationError(Exception):
    """Nothing was published; the message says why and what to do."""


@dataclass(frozen=True)
class LastUpdate:
    """What became of the last update, for readers: `WAREHOUSE_DIR/last_update.json`."""

    outcome: UpdateOutcome
    """`started` is one that is under way, if the warehouse is in use; else it was cut short."""
    at: datetime
    step: UpdateStep | None = None
    """What was under way or failed; of a failure, none is what comes before a build."""
    message: str | None = None
    generation: int | None = None


def record_update(
    warehouse_dir: Path,
    outcome: UpdateOutcome,
    step: UpdateStep | None = None,
    message: str | None = None,
    generation: int | None = None,
) -> None:
    """Says what became of an update, if that can be written; what can't mustn't hide what is going on. Needs the lock."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = {"outcome": outcome, "at": now, "step": step, "message": message, "generation": generation}
    unfinished = warehouse_dir / f"{LAST_UPDATE}.new"
    try:
        # A name of a file may hold bytes that are no text.
        with open(unfinished, "w", encoding="utf-8", errors="backslashreplace") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(json.dumps(said, ensure_ascii=False) + "\n")
        os.replace(unfinished, warehouse_dir / LAST_UPDATE)
    except OSError as error:
        log.warning("%s can't be written: %s", warehouse_dir / LAST_UPDATE, error)


def last_update(warehouse_dir: Path) -> LastUpdate | None:
    """None before the first update, and if what is there can't be read."""
    try:
        said = json.loads((warehouse_dir / LAST_UPDATE).read_text("utf-8"))
        at = datetime.fromisoformat(said["at"])
        found = LastUpdate(said["outcome"], at, said["step"], said["message"], said["generation"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_sound = (
        found.outcome in get_args(UpdateOutcome)
        and found.at.tzinfo is not None
        and found.step in (None, *get_args(UpdateStep))
        and isinstance(found.message, str | None)
        and isinstance(found.generation, int | None)
    )
    return found if is_sound else None


@contextmanager
def recorded_failure(warehouse: Warehouse, step: UpdateStep | None = None) -> Iterator[None]:
    """What an update fails by is told to readers too."""
    try:
        with explained(warehouse):
            yield
    except Exception as error:
        record_update(warehouse.folder, "failed", step, str(error) or type(error).__name__)
        raise


@dataclass(frozen=True)
class Generation:
    number: int
    file: Path
    data_through: date | None
    row_counts: dict[str, int]
    changes: dict[str, dict[str, int]]
    is_linked: bool


class Publications:
    """WAREHOUSE_DIR/marts.duckdb, a link to one of WAREHOUSE_DIR/generations/NUMBER/marts.duckdb."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.link = warehouse.folder / "marts.duckdb"
        self.folder = warehouse.folder / "generations"
        self.pin = warehouse.folder / "pinned"

    def numbers(self) -> list[int]:
        """All whole generations, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in self.folder.iterdir()
            if entry.name.isdecimal() and (entry / "marts.duckdb").exists()
        )

    def current(self) -> int | None:
        """The generation that the link leads to; null if there is no link. Raises DamageError if something else is there."""
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
        """The generation that readers get, if there is one. Raises DamageError if it isn't there, or can't be opened."""
        current = self.current()
        if current is not None:
            self.meta(current)
        return current

    @contextmanager
    def opened(self, number: int) -> Iterator[duckdb.DuckDBPyConnection]:
        """A generation's file, to be read. Raises DamageError, also for what is found to be damaged while it is read."""
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
                raise DamageError(
                    f"Generation {number} is damaged ({file}: {first_line(error)}): `load --full-refresh` publishes a new one; "
                    "until then `rollback` gives readers an earlier one."
                ) from error
            raise

    def pinned(self) -> int | None:
        """The generation that a rollback holds readers at, until `resume`."""
        try:
            number = int(self.pin.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return number if self.file(number).exists() else None

    def file(self, number: int) -> Path:
        return self.folder / f"{number:06}" / "marts.duckdb"

    def meta(self, number: int) -> dict[str, Any]:
        """The row of a generation's `_meta`. Raises DamageError."""
        with self.opened(number) as connection:
            cursor = connection.execute("select * from _meta")
            names = [column[0] for column in cursor.description or ()]
            row = cursor.fetchone()
            return dict(zip(names, row or (), strict=False))

    def check(self) -> None:
        """Raises DamageError if readers can't get a generation, or builds can't go on from the newest one."""
        self.current()
        if numbers := self.numbers():
            self.meta(numbers[-1])

    def is_whole(self, number: int) -> bool:
        """Whether all can be read that later publications and rollbacks need of a generation; the log says if not."""
        try:
            with self.opened(number) as connection:
                for table in ("_meta", "_loads", "journal"):
                    connection.execute(f"select max(hash({table})) from {table}").fetchall()
        except DamageError as error:
            log.warning("%s", error)
            return False
        return True

    def is_up_to_date(self, build_fingerprint: str) -> bool:
        """Whether the newest generation holds all live loads, built as they would be built now. Needs the lock."""
        numbers = self.numbers()
        if not numbers:
            return False
        newest = self.meta(numbers[-1])
        with self.warehouse.connected() as connection:
            build = _last_build(connection)
            live = _live_loads(connection)
        return (
            build is not None
            and build["outcome"] == "passed"
            and newest["build_id"] == build["build_id"]
            and newest["fingerprint"] == build_fingerprint
            and newest["load_ids"] == live
        )

    def publish(self, rules: Rules) -> Generation:
        """Publishes the last build, if it passed and knows all loads. Needs the lock.

        Raises PublicationError, or ResourcesError when there is no room for it.
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
            build = _last_build(connection)
        # A build that is published again is compared with what readers had before it all the same.
        whole = (each for each in reversed(kept) if self.is_whole(each))
        newest = next(whole, None)
        if newest is not None:
            self._check_nothing_is_lost(newest)
            if build and self.meta(newest)["build_id"] == build["build_id"]:
                newest = next((each for each in whole if self.meta(each)["build_id"] != build["build_id"]), None)
        former = None if newest is None else self.file(newest)
        number = max([*kept, self._shown() or 0]) + 1
        unfinished = self.folder / f"{number:06}.tmp"
        unfinished.mkdir()
        try:
            with self.warehouse.connected() as connection:
                row_counts = _write(connection, unfinished / "marts.duckdb", number, former)
            _audit(unfinished / "marts.duckdb", rules, row_counts, self.warehouse.resources())
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        os.chmod(unfinished / "marts.duckdb", 0o444)
        os.chmod(unfinished, 0o755)
        sync(unfinished / "marts.duckdb")
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

    def _check_nothing_is_lost(self, newest: int) -> None:
        """A private file that was restored or begun anew may know less than what readers have. Raises PublicationError."""
        days = "select table_name || '/' || load_day from {} where outcome = 'loaded' and superseded_by is null"
        with self.opened(newest) as connection:
            published = {day for (day,) in connection.execute(days.format("_loads")).fetchall()}
        with self.warehouse.connected() as connection:
            lost = sorted(published - {day for (day,) in connection.execute(days.format("raw.loads")).fetchall()})
        if lost:
            more = f" and {len(lost) - SHOWN_DAYS:,} more" if len(lost) > SHOWN_DAYS else ""
            raise PublicationError(
                f"What is published holds days that are not loaded any more: {', '.join(lost[:SHOWN_DAYS])}{more}. "
                "The generation before stays published. Deliver these days again and run `load`; "
                "if they are to go, start with another WAREHOUSE_DIR."
            )

    def acknowledge(self) -> None:
        """Takes note of a publication that was cut short once readers could have it. Needs the lock."""
        numbers = self.numbers()
        if not numbers:
            return
        try:
            newest = self.meta(numbers[-1])
        except DamageError as error:
            # Then what it knew is worked out once more.
            log.warning("%s", error)
            return
        with self.warehouse.connected() as connection:
            _acknowledge(connection, newest)

    def finish(self) -> None:
        """Does what a crash may have kept the last publication from doing. Needs the lock, and is_up_to_date."""
        newest = self.numbers()[-1]
        self._show(newest)
        self._clear_away()
        last = last_update(self.warehouse.folder)
        if last is None or (last.outcome, last.generation) != ("published", newest):
            record_update(self.warehouse.folder, "published", generation=newest)

    def rollback(self, to: int | None = None) -> int:
        """Moves readers back and holds them there. Needs the lock. Raises PublicationError."""
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
        os.chmod(unfinished_pin, 0o644)  # readers are told
        sync(unfinished_pin)
        os.replace(unfinished_pin, self.pin)
        self._show(numbers[-1])
        return to

    def resume(self) -> int:
        """Lets readers have the newest generation again. Needs the lock. Raises PublicationError."""
        numbers = self.numbers()
        if not numbers:
            raise PublicationError("Nothing was published yet.")
        self.current()
        self.meta(numbers[-1])
        self.pin.unlink(missing_ok=True)
        self._show(numbers[-1])
        return numbers[-1]

    def _show(self, newest: int) -> None:
        """Gives readers the newest generation, unless a rollback holds them at another."""
        pinned = self.pinned()
        due = newest if pinned is None else pinned
        if self._shown() != due:
            self._point_at(due)

    def _shown(self) -> int | None:
        """The generation that readers get, if it is one."""
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
        """Acknowledges what the newest generation knows; then drops old generations, and rows that its loads have replaced."""
        newest = self.meta(self.numbers()[-1])
        for number in self.numbers()[:-KEPT_GENERATIONS]:
            if number not in (self.current(), self.pinned()):
                leftover = self.folder / f"{number:06}.tmp"
                os.rename(self.folder / f"{number:06}", leftover)
                shutil.rmtree(leftover)
        with self.warehouse.connected() as connection:
            _acknowledge(connection, newest)
            _drop_superseded(connection)


def _last_build(connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    row = connection.execute(
        """
        select build_id, outcome, last_load_id, settings, fingerprint, started_at
        from raw.builds order by started_at desc limit 1
        """
    ).fetchone()
    names = ("build_id", "outcome", "last_load_id", "settings", "fingerprint", "started_at")
    return dict(zip(names, row, strict=True)) if row else None


def _live_loads(connection: duckdb.DuckDBPyConnection) -> list[int]:
    row = connection.execute(
        """
        select coalesce(list(load_id order by load_id), []) from raw.loads
        where outcome = 'loaded' and superseded_by is null
        """
    ).fetchone()
    return list(row[0]) if row else []


def last_settings(connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """The settings of the last build that says them; null before the first."""
    row = connection.execute(
        "select settings from raw.builds where settings is not null order by started_at desc limit 1"
    ).fetchone()
    return json.loads(row[0]) if row else None


def _write(connection: duckdb.DuckDBPyConnection, file: Path, number: int, former: Path | None) -> dict[str, int]:
    build = _last_build(connection)
    if build is None:
        raise PublicationError("Nothing was built yet: run a load first.")
    if build["outcome"] != "passed" or build["fingerprint"] is None:
        raise PublicationError(
            f"The last build, of {build['started_at']:%Y-%m-%d %H:%M:%S %Z}, is {build['outcome']}, not a whole one "
            "that passed its tests: build everything again."
        )
    live = _live_loads(connection)
    if live and live[-1] > (build["last_load_id"] or 0):
        raise PublicationError("Deliveries were loaded after the last build: build before publishing.")
    path = str(file).replace("'", "''")
    connection.execute(f"attach '{path}' as published (storage_version '{STORAGE_VERSION}')")
    try:
        for mart in MARTS:
            order = f" order by {ORDERS[mart]}" if mart in ORDERS else ""
            connection.execute(f"create table published.{mart} as {_query(connection, mart, 'published.')}{order}")
        for view in VIEWS:
            # Without names of schemas: found wherever the file is attached, whatever it is called there.
            connection.execute(f"create view published.{view} as {_query(connection, view, '')}")
        row_counts = {mart: _count(connection, f"published.{mart}") for mart in MARTS}
        changes = _write_changes(connection, former)
        connection.execute(
            """
            create table published._meta as
            select
                cast(? as bigint) as generation,
                cast(? as varchar) as build_id,
                cast(? as timestamptz) as built_at,
                (select data_through from staging.stg_data_through) as data_through,
                cast(? as bigint[]) as load_ids,
                cast(? as varchar) as fingerprint,
                cast(? as json) as settings,
                cast(? as json) as row_counts,
                cast(? as json) as changes
            """,
            [
                number, build["build_id"], build["started_at"], live, build["fingerprint"], build["settings"],
                json.dumps(row_counts), changes,
            ],
        )  # fmt: skip
        connection.execute(
            """
            create table published._builds as
            select * replace (
                if(build_id = $build, get_current_timestamp(), published_at) as published_at,
                if(build_id = $build, $generation, generation) as generation,
                if(build_id = $build, cast($changes as json), changes) as changes
            )
            from raw.builds
            order by started_at
            """,
            {"build": build["build_id"], "generation": number, "changes": changes},
        )
        connection.execute(
            "create table published._large_clients as "
            "select * from intermediate.int_oversized_clients order by contact_count + touch_count desc, client_id"
        )
        connection.execute(
            "create table published._same_events as "
            "select kind, id, delivered_by, same_as, client_id from intermediate.int_same_events order by kind, id"
        )
        connection.execute("create table published._loads as select * from raw.loads order by load_id")
        connection.execute(
            """
            create table published._rejected as
            select
                loads.load_id,
                loads.table_name,
                loads.load_day,
                rejected_rows.file_name,
                rejected_rows.reason,
                count(*) as row_count
            from raw.rejected_rows
            inner join raw.loads on rejected_rows.load_id = loads.load_id
            where loads.superseded_by is null
            group by all
            order by all
            """
        )
        connection.execute("checkpoint published")
    finally:
        connection.execute("detach published")
    return row_counts


def _query(connection: duckdb.DuckDBPyConnection, mart: str, place: str) -> str:
    """What gives a mart: if it is a view, from those marts at a place that were published before it."""
    row = connection.execute(
        "select sql from duckdb_views() where schema_name = 'marts' and view_name = ?", [mart]
    ).fetchone()
    if row is None:
        return f"from marts.{mart}"
    query = re.sub(r"^create view \S+ as ", "", str(row[0]), flags=re.IGNORECASE)
    return re.sub(rf"\bmarts[.](?=({'|'.join(MARTS)})\b)", place, query)


def _write_changes(connection: duckdb.DuckDBPyConnection, former: Path | None) -> str:
    """What the journal says otherwise than in the generation before, and why: a row per contact, and counts as JSON."""
    connection.execute(
        """
        create table published._changes (
            contact_id varchar,
            change varchar,
            reason varchar,
            former_icon varchar,
            icon varchar,
            former_touch_count bigint,
            touch_count bigint,
            former_client_id varchar,
            client_id varchar
        )
        """
    )
    if former is None:
        return "{}"
    path = str(former).replace("'", "''")
    connection.execute(f"attach '{path}' as former (read_only)")
    is_full = _is_any_full(connection)
    affected = "true" if is_full else "contact_id in (select contact_id from intermediate.int_affected_contacts)"
    try:
        connection.execute(
            f"""
            insert into published._changes
            with former_journal as (
                select contact_id, icon, touch_count, touch_chain, client_id from former.journal where {affected}
            ),
            journal as (
                select contact_id, icon, touch_count, touch_chain, client_id from marts.journal where {affected}
            ),
            merged as (
                select journal.client_id
                from journal inner join former_journal using (contact_id)
                group by journal.client_id having count(distinct former_journal.client_id) > 1
            ),
            split as (
                select former_journal.client_id
                from journal inner join former_journal using (contact_id)
                group by former_journal.client_id having count(distinct journal.client_id) > 1
            )
            select
                contact_id,
                case
                    when former_journal.contact_id is null then 'new'
                    when journal.contact_id is null then 'removed'
                    when former_journal.icon <> journal.icon then 'other verdict'
                    when former_journal.touch_count <> journal.touch_count then 'other touches'
                    when former_journal.touch_chain <> journal.touch_chain then 'other channels'
                    else 'other client'
                end as change,
                case
                    when {is_full} then 'everything was built anew'
                    -- R28: it was there before, and still is, but another one took its place or gave it back.
                    when (former_journal.contact_id is null or journal.contact_id is null) and not contact_changes.is_changed then '{OTHER_CONTACT}'
                    when former_journal.contact_id is null and not contact_changes.is_corrected then 'the contact was delivered'
                    when journal.contact_id is null and not contact_changes.is_corrected then 'the contact was removed'
                    when contact_changes.is_changed then 'the contact was corrected'
                    when merged.client_id is not null then 'clients were merged'
                    when split.client_id is not null then 'a client was split'
                    when change = 'other client' and contact_changes.has_changed_contacts then '{OTHER_CONTACT}'
                    when contact_changes.has_new_touches then 'a touch came late'
                    when contact_changes.has_changed_touches then 'a touch was corrected or removed'
                    when contact_changes.has_changed_contacts then '{OTHER_CONTACT}'
                    else 'identifiers were tied or untied'
                end as reason,
                former_journal.icon,
                journal.icon,
                former_journal.touch_count,
                journal.touch_count,
                former_journal.client_id,
                journal.client_id
            from former_journal
            full join journal using (contact_id)
            left join intermediate.int_contact_changes as contact_changes using (contact_id)
            left join merged on journal.client_id = merged.client_id
            left join split on former_journal.client_id = split.client_id
            where (former_journal.icon, former_journal.touch_count, former_journal.touch_chain, former_journal.client_id)
                is distinct from (journal.icon, journal.touch_count, journal.touch_chain, journal.client_id)
            order by contact_id
            """
        )
    finally:
        connection.execute("detach former")
    row = connection.execute(
        """
        select coalesce(cast(json_group_object(change, reasons) as varchar), '{}') from (
            select change, json_group_object(reason, contacts) as reasons
            from (select change, reason, count(*) as contacts from published._changes group by all order by all)
            group by change
        )
        """
    ).fetchone()
    return str(row[0]) if row else "{}"


def _is_any_full(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether everything was built anew since the generation before, by the last build or one that wasn't published."""
    row = connection.execute(
        """
        select coalesce(bool_or(is_full), true) from raw.builds
        where started_at > (
            select max(started_at) from raw.builds where published_at is not null and build_id <> (
                select arg_max(build_id, started_at) from raw.builds
            )
        )
        """
    ).fetchone()
    return bool(row and row[0])


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0


def _audit(file: Path, rules: Rules, row_counts: dict[str, int], resources: Resources) -> None:
    """Looks at the written file as a reader would. Raises PublicationError."""
    with duckdb.connect(str(file), read_only=True, config=resources) as connection:
        connection.execute("set TimeZone = 'UTC'")
        # Credits are told by their type.
        models = [
            name
            for name, data_type, *_ in connection.execute("describe touch_credits").fetchall()
            if data_type == "DECIMAL(18,12)"
        ]
        faults = {
            "contacts that stand in the journal twice": (
                "select contact_id from journal group by contact_id having count(*) > 1"
            ),
            "clients with two cards": "select client_id from client_card group by client_id having count(*) > 1",
            "touches that stand in a history twice": (
                "select contact_id, touch_rank from interaction_history group by all having count(*) > 1"
            ),
            "contacts that stand in a client's history twice": (
                "select contact_id from client_history group by contact_id having count(*) > 1"
            ),
            "contacts that are in the journal or in a client's history, but not in both": (
                "select contact_id from journal full join client_history using (contact_id, client_id) "
                "where journal.touch_count is distinct from client_history.touch_count"
            ),
            "clients whose card counts other contacts than the journal": (
                "select client_id from client_card full join (select client_id, count(*) as contacts from journal group by all) "
                "using (client_id) where contact_count is distinct from contacts"
            ),
            "multichannel contacts whose history is not as long as the journal says": (
                "select contact_id from (select contact_id, touch_count from journal where is_multichannel) "
                "full join (select contact_id, count(*) as touches from interaction_history group by all) using (contact_id) "
                f"where least(touch_count, {rules.history_touch_limit}) is distinct from touches"
            ),
            "touches that happened at their contact or after it": (
                "select touch_id from interaction_history inner join journal using (contact_id) "
                f"where touched_at >= contacted_at + to_seconds({rules.contact_grace_seconds})"
            ),
            "contacts whose credits are not exactly the contact by every model": (
                "select contact_id from touch_credits group by contact_id "
                f"having {' or '.join(f'sum({model}) <> 1' for model in models)}"
            ),
            "contacts that are in the journal or have credits, but not both, or another value": (
                "select contact_id from (select contact_id, value from journal) as journal full join "
                "(select distinct contact_id, value from touch_credits) as credits using (contact_id) "
                "where (journal.value is distinct from credits.value) or journal.contact_id is null or credits.contact_id is null"
            ),
            "sites, days and types of which other contacts are counted than the journal lists": (
                "select widget_id from contact_counts full join "
                "(select widget_id, contact_date, contact_type, count(*) as contacts from journal group by all) "
                "using (widget_id, contact_date, contact_type) where contact_count is distinct from contacts or contacts "
                "<> multichannel_contact_count + single_channel_contact_count + no_touches_contact_count"
            ),
            "contacts with touches more or less than chains count": (
                "select * from (select (select count(*) from journal where touch_count > 0) - "
                "(select coalesce(sum(contact_count), 0) from touch_chains) as difference) where difference <> 0"
            ),
            "contacts with touches more or less than channels opened": (
                "select * from (select (select count(*) from journal where touch_count > 0) - "
                "(select coalesce(sum(opened_count), 0) from channel_participation where grain = 'channel') as difference) "
                "where difference <> 0"
            ),
            "channels of a site and day that contacts follow more or less often than they closed them": (
                "select channel from (from channel_participation where grain = 'channel') as participation full join "
                "(from channel_steps where next_channel is null) as steps using (widget_id, contact_date, channel) "
                "where coalesce(closed_count, 0) <> coalesce(step_count, 0)"
            ),
            "models by which not all contacts and their value are credited to channels": (
                f"select model from unnest({models}) as models (model) left join channel_credits using (model) group by model having "
                "coalesce(sum(credited_contacts), 0) <> (select count(*) from journal) "
                "or coalesce(sum(credited_value), 0) <> (select coalesce(sum(value), 0) from journal)"
            ),
            "models by which not all that was spent and earned is told of channels": (
                "select model from channel_performance group by model having "
                "sum(spend) <> (select coalesce(sum(amount), 0) from channel_costs) "
                "or sum(credited_contacts) <> (select count(*) from journal) "
                "or sum(credited_value) <> (select coalesce(sum(value), 0) from journal)"
            ),
            "contacts after the last loaded day": (
                "select contact_id from journal where contact_date > (select data_through from _meta)"
            ),
        }
        found = [f"{count:,} {fault}" for fault, query in faults.items() if (count := _count(connection, f"({query})"))]
        found += [
            f"{mart} has {counted(count, 'row')} where {row_counts[mart]:,} were written"
            for mart in MARTS
            if (count := _count(connection, mart)) != row_counts[mart]
        ]
    if found:
        raise PublicationError(
            f"The audit found {'; '.join(found)}. The generation before stays published. `load --full-refresh` builds everything anew."
        )


def _acknowledge(connection: duckdb.DuckDBPyConnection, generation: dict[str, Any]) -> None:
    """From here on builds start from this one: what was loaded up to it needs no more work."""
    connection.execute(
        """
        update raw.builds set published_at = get_current_timestamp(), generation = ?, changes = ?
        where build_id = ? and published_at is null
        """,
        [generation["generation"], generation["changes"], generation["build_id"]],
    )


def _drop_superseded(connection: duckdb.DuckDBPyConnection) -> None:
    """Replaced rows were kept until a build that knows of their replacement was published: now."""
    superseded = "select load_id from raw.loads where superseded_by is not null"
    for table in (*delivered_tables(), "rejected_rows"):
        connection.execute(f"delete from raw.{table} where load_id in ({superseded})")


def freshness(data_through: date | None, rules: Rules) -> int | None:
    """Days between yesterday, the latest day that could be loaded, and the day that data reaches."""
    return (rules.yesterday() - data_through).days if data_through else None


def read_ledger(warehouse: Warehouse) -> dict[tuple[str, date], tuple[str, Signature]]:
    """What was loaded: from the private file if nobody uses it, else as of the last publication. Writes nothing."""
    try:
        with warehouse.looked_into() as connection:
            return known_signatures(connection) if connection else {}
    except duckdb.CatalogException:  # killed as it was begun
        return {}
    except WarehouseBusyError:
        publications = Publications(warehouse)
        numbers = publications.numbers()
        if not numbers:
            return {}
        with publications.opened(numbers[-1]) as connection:
            return known_signatures(connection, "_loads")
