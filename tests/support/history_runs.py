"""Runs histories through a warehouse, and compares its marts after its builds.

They must equal a full rebuild of the same raw tables, the reference's marts, and, once published, what readers get.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from attribution_oracle import MODELS_BY_WORTH
from dbt_common.events.base_types import EventMsg
from forks import Warm
from places import MARTS, load_landing, rows_of
from random_deliveries import write_delivery
from random_histories import NOBODY, Calendar, Folder, History, PlacedRow, Step, combined_delivery
from reference import Arrivals, Delivery, Seeds, Settings, marts_of
from reference_attribution import as_given, worths_in

from pipeline import dbt_runner
from pipeline.building import MENDED, build
from pipeline.publishing import Publications, replacing
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.warehouse import Warehouse

COMPARISONS = ("reference", "published", "full rebuild")


@dataclass(frozen=True)
class Compared:
    """Columns of a mart, by default all, that are compared row by row; whose a row is tells an id in its owner column.

    Without an owner column rows are everybody's: what they say is made of the rows of all histories.
    """

    mart: str
    owner_column: str | None = None
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    is_of_loads: bool = False
    """Whether it tells nobody's costs, too, which say in which load they came."""

    @property
    def query(self) -> str:
        return ", ".join(self.only) or (f"* exclude ({', '.join(self.without)})" if self.without else "*")

    def columns_of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: row[name] for name in self.only or row if name not in self.without}


COMPARED = (
    Compared("journal", "contact_id"),
    Compared("client_card", "first_contact_id"),
    Compared("interaction_history", "contact_id"),
    Compared("client_history", "contact_id"),
    Compared("touch_credits", "contact_id", without=MODELS_BY_WORTH),
    Compared("touch_credits", only=("contact_id", "touch_rank", *MODELS_BY_WORTH)),
    Compared("contact_counts"),
    Compared("touch_chains"),
    Compared("channel_steps"),
    Compared("channel_participation"),
    Compared("channel_worths"),
    Compared("channel_credits"),
    Compared("unmapped_sources"),
    Compared("channel_costs", is_of_loads=True),
    Compared("channel_performance", is_of_loads=True),
    Compared("metric_days"),
)
COSTS = Compared("costs")  # no mart, but what marts are told of costs by: stg_costs
SAME_EVENTS = Compared("same_events", "id")  # no mart either, but published beside them
SHOWN_ROWS = 6
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Fault:
    """What went wrong at a step; a namespace of none is everybody's."""

    step: int
    comparison: str
    namespace: str | None
    message: str


@dataclass(frozen=True)
class Difference:
    compared: Compared
    side: str
    row: Mapping[str, Any]

    @property
    def mart(self) -> str:
        return self.compared.mart

    @property
    def owner(self) -> str | None:
        """None is everybody."""
        return str(self.row[self.compared.owner_column]) if self.compared.owner_column else None

    def __str__(self) -> str:
        values = {name: value for name, value in self.row.items() if value is not None}
        return f"{self.mart}, {self.side}: {values}"


@contextmanager
def generations_made_of_copies() -> Iterator[None]:
    """Publications write only what changed wherever they can, and fail where they would write everything instead."""

    def refuse(record: logging.LogRecord) -> bool:
        assert "is written as a whole" not in record.getMessage(), record.getMessage()
        return True

    log = logging.getLogger("multichannel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replacing, "SMALLEST_COPY", 0)
        patch.setattr(replacing, "LARGEST_GROWTH", 1000)
        log.addFilter(refuse)
        try:
            yield
        finally:
            log.removeFilter(refuse)


@cache
def warm_process() -> Warm:
    return Warm()


def build_and_be_killed(folder: Path, step: Step) -> None:
    """To be called in a process of its own."""
    models: list[str] = []
    log_progress = dbt_runner._log_progress

    def die_in_time(event: EventMsg) -> None:
        log_progress(event)
        if event.info.name == "LogModelResult":
            models.append(event.data.description)
        if len(models) >= step.killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    dbt_runner._log_progress = die_in_time
    warehouse = Warehouse(folder)
    with warehouse.locked("test"):
        build(warehouse, Rules.read(step.settings), full_refresh=step.is_full_refresh)


class HistoryRun:
    """One warehouse with its landing folder, and what it must hold."""

    def __init__(self, folder: Path, calendar: Calendar, histories: Sequence[History], seeds: Seeds) -> None:
        self.folder = folder
        self.landing = folder / "landing"
        self.warehouse = Warehouse(folder / "warehouse")
        self.calendar = calendar
        self.histories = histories
        self.seeds = seeds
        self.arrivals = Arrivals()
        self.parts: dict[Folder, dict[str, tuple[PlacedRow, ...]]] = {}
        self.lying: dict[Folder, Delivery] = {}
        self.accepted_parts: dict[Folder, dict[str, tuple[PlacedRow, ...]]] = {}

    def faults(
        self, compared_steps: Mapping[str, Collection[int]] | None = None, comparisons: Sequence[str] = COMPARISONS
    ) -> list[Fault]:
        """Runs all steps, or until every history has failed. Of each history only its first faulty step is told.

        Comparisons are made after every step, or those named of `compared_steps`.
        """
        found: list[Fault] = []
        namespaces = {history.namespace for history in self.histories}
        for number, step in enumerate(self.calendar.steps):
            try:
                self.run_step(step)
            except Exception as error:  # whatever it is, it is the fault that is looked for
                return [*found, Fault(number, "build", None, f"{type(error).__name__}: {error}")]
            for comparison in comparisons:
                if compared_steps and number not in compared_steps.get(comparison, (number,)):
                    continue
                try:
                    differing = by_namespace(told(self.compare(step, comparison), is_first=not found), namespaces)
                except Exception as error:
                    return [*found, Fault(number, comparison, None, f"{type(error).__name__}: {error}")]
                for namespace, own in differing.items():
                    if any(fault.namespace == namespace and fault.step < number for fault in found):
                        continue
                    shown = "\n".join(str(difference) for difference in own[:SHOWN_ROWS])
                    more = f"\n… and {len(own) - SHOWN_ROWS} more" if len(own) > SHOWN_ROWS else ""
                    found.append(Fault(number, comparison, namespace, shown + more))
            if namespaces <= {fault.namespace for fault in found}:
                break
        return found

    def run_step(self, step: Step) -> None:
        rules = Rules.read(step.settings)
        for load in step.loads:
            for folder in load.written:
                self.write(folder, load.number, is_failing=folder in load.failing)
            for table, day in load.rewritten:
                for file in (self.landing / table / day.isoformat()).iterdir():
                    file.touch()
            self.load(rules, Settings(**step.settings))
        if step.killed_after is not None:
            killed = warm_process().ask(build_and_be_killed, self.warehouse.folder, step)
            assert killed.is_killed or killed.exit_code == 0, killed.said
        with self.warehouse.locked("test"):
            outcome = build(self.warehouse, rules, full_refresh=step.is_full_refresh)
            assert outcome.is_passed, outcome.explain()
            self.check_that_no_build_was_mended()
            if step.is_published:
                with generations_made_of_copies():
                    Publications(self.warehouse).publish(rules)

    def check_that_no_build_was_mended(self) -> None:
        """Where its tests fail, an incremental build is followed by a full one, and so a mistake would be covered up."""
        with self.warehouse.connected() as connection:
            reasons = connection.execute(
                "select reason from raw.builds where starts_with(reason, ?)", [MENDED]
            ).fetchall()
        assert not reasons, f"built in full although nothing asked for it: {reasons}"

    def write(self, folder: Folder, load_number: int, is_failing: bool) -> None:
        parts = self.parts.setdefault(folder, {})
        for history in self.histories:
            if (load_number, *folder) in history.changes:
                parts[history.namespace] = history.changes[load_number, *folder]
        ordered = [parts.get(history.namespace, ()) for history in self.histories]
        delivery = combined_delivery(folder, load_number, ordered, self.seeds, self.calendar.zone, is_failing)
        self.lying[folder] = write_delivery(delivery, self.landing, self.calendar.file_format)

    def load(self, rules: Rules, settings: Settings) -> None:
        for load in load_landing(self.warehouse, self.landing, rules):
            folder = (load.table, load.day)
            if load.outcome == "unchanged":
                self.arrivals.failed.discard(folder)
                continue
            self.arrivals.add(self.lying[folder], settings)
            if load.outcome == "loaded":
                self.accepted_parts[folder] = dict(self.parts[folder])
            assert (folder in self.arrivals.failed) == (load.outcome == "failed"), (
                f"{load.table} of {load.day} {load.outcome}: {load.message}"
            )

    # Comparisons

    def compare(self, step: Step, comparison: str) -> list[Difference]:
        if comparison == "reference":
            return self.differences_from_reference(step)
        if comparison == "full rebuild":
            rebuilt = self.full_rebuild(step)
            found = row_differences(COSTS, cost_rows(self.warehouse), cost_rows(rebuilt))
            found += row_differences(SAME_EVENTS, same_event_rows(self.warehouse), same_event_rows(rebuilt))
            with self.attached(rebuilt=rebuilt.file) as connection:
                return found + differences(connection, "rebuilt.marts")
        if comparison == "published" and step.is_published:
            with self.attached(published=self.warehouse.folder / "marts.duckdb") as connection:
                through = connection.execute("select data_through from published._meta").fetchone()
                assert through == (self.data_through(),), f"published through {through}, not {self.data_through()}"
                published = rows_of(connection, "from published.main._same_events")
                found = differences(connection, "published.main")
            return found + row_differences(SAME_EVENTS, same_event_rows(self.warehouse), published)
        return []

    def full_rebuild(self, step: Step) -> Warehouse:
        """Everything once more from the same raw tables, in a copy, by DuckDB, whatever engine builds otherwise."""
        copy = Warehouse(self.folder / "full rebuild")
        copy.folder.mkdir(exist_ok=True)
        with self.warehouse.locked("test"), copy.locked("test"), pytest.MonkeyPatch.context() as patch:
            patch.setenv("ENGINE", "duckdb")
            for ending in ("", ".wal"):
                original = self.warehouse.file.with_name(self.warehouse.file.name + ending)
                target = copy.folder / original.name
                target.unlink(missing_ok=True)
                if original.exists():
                    shutil.copyfile(original, target)
            outcome = build(copy, Rules.read(step.settings), full_refresh=True)
        assert outcome.is_passed, f"the full rebuild failed: {outcome.explain()}"
        return copy

    def differences_from_reference(self, step: Step) -> list[Difference]:
        if not self.arrivals.accepted:
            return []
        found = []
        with self.attached() as connection:
            given = {mart: rows_of(connection, f"from incremental.marts.{mart}") for mart in MARTS}
        given["costs"] = cost_rows(self.warehouse)
        given["same_events"] = same_event_rows(self.warehouse)
        worths = worths_in(given["channel_worths"])
        expected = as_given(marts_of(self.arrivals, Settings(**step.settings), self.seeds, worths), given)
        for compared in (*COMPARED, COSTS, SAME_EVENTS):
            given_rows, expected_rows = (
                [compared.columns_of(row) for row in rows[compared.mart]] for rows in (given, expected)
            )
            found += row_differences(compared, given_rows, expected_rows)
        return found

    def data_through(self) -> date | None:
        return max((day for table, day in self.arrivals.accepted if table != "costs"), default=None)

    @contextmanager
    def attached(self, **files: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.warehouse.locked("test"), duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            for name, file in {"incremental": self.warehouse.file, **files}.items():
                connection.execute(f"attach '{file}' as {name} (read_only)")
            yield connection

    def mart_rows(self) -> dict[str, list[Row]]:
        """All rows of the histories as texts, the same under every host time zone."""
        costs = [
            tuple(None if value is None else str(value) for value in row.values())
            for row in cost_rows(self.warehouse)
            if row["source"] != NOBODY
        ]
        same_events = [tuple(row.values()) for row in same_event_rows(self.warehouse)]
        with self.attached() as connection:
            return {"costs": sorted(costs, key=repr), "same_events": sorted(same_events)} | {
                f"{compared.mart} {compared.query}": connection.execute(
                    f"""
                    select columns(*)::varchar from (select {compared.query} from incremental.marts.{compared.mart})
                    where not starts_with({compared.owner_column or "''"}, '{NOBODY}') order by all
                    """
                ).fetchall()
                for compared in COMPARED
                if not compared.is_of_loads
            }


def cost_rows(warehouse: Warehouse) -> list[dict[str, Any]]:
    """A view can be read where it was made only."""
    with warehouse.locked("test"), warehouse.connected() as connection:
        return rows_of(connection, "from staging.stg_costs")


def same_event_rows(warehouse: Warehouse) -> list[dict[str, Any]]:
    with warehouse.locked("test"), warehouse.connected() as connection:
        return rows_of(
            connection, "select kind, id, delivered_by, same_as, client_id from intermediate.int_left_out_events"
        )


def row_differences(
    compared: Compared, given_rows: Sequence[Mapping[str, Any]], expected_rows: Sequence[Mapping[str, Any]]
) -> list[Difference]:
    columns = sorted((given_rows or expected_rows or [{}])[0])
    given = {comparable(row, columns): row for row in given_rows}
    wanted = {comparable(row, columns): row for row in expected_rows}
    counts = Counter(comparable(row, columns) for row in given_rows)
    counts.subtract(Counter(comparable(row, columns) for row in expected_rows))
    return [
        Difference(compared, "is there, should not be" if count > 0 else "is missing", (given | wanted)[key])
        for key, count in counts.items()
        if count
    ]


def differences(connection: duckdb.DuckDBPyConnection, other: str) -> list[Difference]:
    """Rows of marts that are not in both databases equally often."""
    found = []
    for compared in COMPARED:
        ours, theirs = (
            f"select {compared.query} from {database}.{compared.mart}" for database in ("incremental.marts", other)
        )
        for side, query in (
            ("is there, should not be", f"{ours} except all {theirs}"),
            ("is missing", f"{theirs} except all {ours}"),
        ):
            found += [Difference(compared, side, row) for row in rows_of(connection, query)]
    return found


def told(some: Sequence[Difference], is_first: bool) -> list[Difference]:
    """What somebody's own rows differ in; else what everybody's do, unless that may follow from an earlier fault."""
    own = [difference for difference in some if difference.owner is not None]
    return own or (list(some) if is_first else [])


def by_namespace(some: Sequence[Difference], namespaces: set[str]) -> dict[str | None, list[Difference]]:
    grouped: dict[str | None, list[Difference]] = {}
    for difference in some:
        owner = next((namespace for namespace in namespaces if (difference.owner or "").startswith(namespace)), None)
        grouped.setdefault(owner, []).append(difference)
    return grouped


def comparable(row: Mapping[str, Any], columns: Sequence[str]) -> tuple[Any, ...]:
    return tuple(hashable(column, row[column]) for column in columns)


def hashable(column: str, value: Any) -> Any:
    if value is None:
        return None
    if column == "attributes":
        # Two JSON texts may differ in the order of their keys only.
        return tuple(sorted(json.loads(value).items()))
    return tuple(value) if isinstance(value, list) else value


def main() -> None:
    """Runs pickled histories in a process of its own: history_runs.py PICKLE FOLDER."""
    calendar, histories = pickle.loads(Path(sys.argv[1]).read_bytes())
    run = HistoryRun(Path(sys.argv[2]), calendar, histories, Seeds.read(PROJECT_DIR / "seeds"))
    faults = [str(fault) for fault in run.faults(comparisons=["reference"])]
    print(json.dumps({"faults": faults, "marts": run.mart_rows(), "host_zone": os.environ.get("TZ")}))


if __name__ == "__main__":
    main()
