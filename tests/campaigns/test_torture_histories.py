"""Random histories, compared after every build with the reference and with a full rebuild.

A few by default, with the rebuild less often; `make torture` tries hundreds. From the environment:

TORTURE_HISTORIES                 how many
TORTURE_FIRST_SEED                from which seed on
TORTURE_HISTORIES_PER_WAREHOUSE   how many share a warehouse; a seed's calendar depends on it
TORTURE_STEPS                     builds per history, at least 6
TORTURE_ORDERS                    how many warehouses' deliveries arrive once more in every other order
TORTURE_HOST_ZONES                under how many host time zones
TORTURE_SHRINK_BUILDS             how many builds may be spent on cutting failing histories down
"""

import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from history_runs import COMPARISONS, Fault, HistoryRun, Row
from processes import TEST_MODULES
from random_histories import (
    Calendar,
    Folder,
    History,
    Load,
    PlacedRow,
    namespace_of,
    random_calendar,
    random_history,
)
from reference import Seeds
from shrinking import Budget, OutOfBuildsError, Shrinker, described, largest_omission

from pipeline.settings import PROJECT_DIR

HISTORIES = int(os.environ.get("TORTURE_HISTORIES", "12"))
FIRST_SEED = int(os.environ.get("TORTURE_FIRST_SEED", "2070"))  # see what the few histories must hold
PER_WAREHOUSE = int(os.environ.get("TORTURE_HISTORIES_PER_WAREHOUSE", "30"))
STEPS = max(6, int(os.environ.get("TORTURE_STEPS", "6")))
ORDERS = int(os.environ.get("TORTURE_ORDERS", "0"))
HOST_ZONES = int(os.environ.get("TORTURE_HOST_ZONES", "1"))
SHRINK_BUDGET = Budget(int(os.environ.get("TORTURE_SHRINK_BUILDS", "120")))

ARE_THE_FEW = not any(
    f"TORTURE_{name}" in os.environ for name in ("FIRST_SEED", "HISTORIES", "HISTORIES_PER_WAREHOUSE", "STEPS")
)
# The reference tells of the step that a mistake is made in. What it can't tell stays in what is kept, until the last step.
COMPARED_STEPS = {"full rebuild": (1, STEPS - 1)} if ARE_THE_FEW else {}
SEEDS_OF_HISTORIES = range(FIRST_SEED, FIRST_SEED + HISTORIES)
WAREHOUSES = sorted({seed // PER_WAREHOUSE for seed in SEEDS_OF_HISTORIES})
ZONES = ("Pacific/Kiritimati", "America/New_York", "UTC", "Asia/Kolkata", "America/St_Johns")
SEEDS = Seeds.read(PROJECT_DIR / "seeds")
Order = list[list[list[Folder]]]  # steps, their loads, the folders written before each


@dataclass(frozen=True)
class Outcome:
    """What a warehouse with all its histories came to."""

    calendar: Calendar
    histories: tuple[History, ...]
    faults: tuple[Fault, ...]
    marts: dict[str, list[Row]]
    accepted: dict[Folder, dict[str, tuple[PlacedRow, ...]]]
    """By folder, what every namespace had in it when it was last accepted."""
    changed_contact: str | None
    """Of the first warehouse, a contact whose row in the journal was changed at last."""
    told: dict[str, list[tuple[str, str | None]]]
    """By comparison, mart and owner of every difference that this makes."""


@cache
def outcome_of(warehouse: int) -> Outcome:
    calendar = random_calendar(warehouse, STEPS)
    seeds = [seed for seed in SEEDS_OF_HISTORIES if seed // PER_WAREHOUSE == warehouse]
    histories = [random_history(seed, calendar, SEEDS) for seed in seeds]
    with TemporaryDirectory(prefix="histories-") as folder:
        run = HistoryRun(Path(folder), calendar, histories, SEEDS)
        faults = run.faults(COMPARED_STEPS)
        marts = {} if faults else run.mart_rows()
        changed, told = told_of_a_changed_row(run) if warehouse == WAREHOUSES[0] and not faults else (None, {})
        return Outcome(calendar, tuple(histories), tuple(faults), marts, run.accepted_parts, changed, told)


def in_group(warehouse: int, *values: object) -> object:
    """Tests of one warehouse stay together where tests are spread over processors, so that it is run once."""
    return pytest.param(*values, marks=pytest.mark.xdist_group(f"warehouse-{warehouse}"))


@pytest.mark.parametrize("seed", [in_group(seed // PER_WAREHOUSE, seed) for seed in SEEDS_OF_HISTORIES])
def test_a_history_gives_what_a_full_rebuild_and_the_reference_give(seed: int) -> None:
    outcome = outcome_of(seed // PER_WAREHOUSE)
    faults = [fault for fault in outcome.faults if fault.namespace in (None, namespace_of(seed))]
    if faults:
        pytest.fail(explained(seed, outcome.calendar, faults), pytrace=False)


def explained(seed: int, calendar: Calendar, faults: Sequence[Fault]) -> str:
    lines = [f"history {seed} in calendar {calendar.seed}, {calendar.file_format}"]
    lines += [f"after step {fault.step}, compared with {fault.comparison}:\n{fault.message}" for fault in faults]
    # What costs least to look at: a fault against the reference needs no rebuild.
    fault = min(faults, key=lambda fault: (fault.step, fault.comparison != "reference"))
    first, count = seed, 1
    with TemporaryDirectory(prefix="shrinking-") as folder:
        shrinker = Shrinker(Path(folder), calendar, seed, fault, SEEDS, SHRINK_BUDGET)
        try:
            if shrinker.is_failing_alone():
                shrinker.shrink()
                lines += ["cut down to:", described(shrinker.calendar, shrinker.history())]
            else:
                first, count = calendar.seed * PER_WAREHOUSE, PER_WAREHOUSE
                lines.append("It fails only together with the other histories of its warehouse.")
        except OutOfBuildsError:
            lines.append("It is not cut down: TORTURE_SHRINK_BUILDS is spent.")
    lines += ["again:", replay_command(first, count)]
    return "\n".join(lines)


def replay_command(first: int, count: int) -> str:
    settings = {
        "TORTURE_FIRST_SEED": first,
        "TORTURE_HISTORIES": count,
        "TORTURE_HISTORIES_PER_WAREHOUSE": PER_WAREHOUSE,
        "TORTURE_STEPS": STEPS,
    }
    variables = " ".join(f"{name}={value}" for name, value in settings.items())
    return f"{variables} .venv/bin/python -m pytest tests/campaigns/test_torture_histories.py -k test_a_history"


# The few histories that are always tried are others whenever the making of histories changes: they must not become harmless


def steps_built_from_changes(calendar: Calendar) -> set[int]:
    """Those of which nothing asks for a full build."""
    return {
        number
        for number, (former, step) in enumerate(pairwise(calendar.steps), start=1)
        if any(earlier.is_published for earlier in calendar.steps[:number])
        and step.settings == former.settings
        and not step.is_full_refresh
    }


def last_days(calendar: Calendar) -> list[date]:
    """The last loaded day after every step (R9)."""
    days = [
        max(
            (day for load in step.loads for table, day in set(load.written) - load.failing if table != "costs"),
            default=date.min,
        )
        for step in calendar.steps
    ]
    return list(accumulate(days, max))


def removals(history: History, calendar: Calendar) -> list[tuple[int, str]]:
    """Step and table of every record that lies nowhere any more."""
    lying: dict[Folder, set[str]] = {}
    removed = []
    for number, step in enumerate(calendar.steps):
        before = {(table, record) for (table, _), records in lying.items() for record in records}
        for load in step.loads:
            for folder in set(load.written) - load.failing:
                if (load.number, *folder) in history.changes:
                    lying[folder] = {placed.record for placed in history.changes[load.number, *folder]}
        after = {(table, record) for (table, _), records in lying.items() for record in records}
        removed += [(number, table) for table, _ in before - after]
    return removed


def told_of_a_changed_row(run: HistoryRun) -> tuple[str, dict[str, list[tuple[str, str | None]]]]:
    with run.warehouse.locked("test"), run.warehouse.connected() as connection:
        (contact_id,) = connection.execute("select max(contact_id) from marts.journal").fetchone()
        connection.execute("update marts.journal set touch_count = touch_count + 1 where contact_id = ?", [contact_id])
    return contact_id, {
        comparison: [
            (difference.mart, difference.owner) for difference in run.compare(run.calendar.steps[-1], comparison)
        ]
        for comparison in COMPARISONS
    }


@pytest.mark.parametrize("comparison", [in_group(WAREHOUSES[0], comparison) for comparison in COMPARISONS])
def test_a_changed_row_is_reported(comparison: str) -> None:
    """Comparisons that never tell anything would pass all histories."""
    outcome = outcome_of(WAREHOUSES[0])
    assert not outcome.faults
    told = outcome.told[comparison]
    assert [(mart, owner) for mart, owner in told if owner] == [("journal", outcome.changed_contact)] * 2
    # The contact's chain leads to one touch more, if it has one.
    assert {mart for mart, owner in told if not owner} <= {"touch_chains"}


@pytest.mark.xdist_group(f"warehouse-{WAREHOUSES[0]}")
@pytest.mark.skipif(not ARE_THE_FEW, reason="other histories are asked for")
def test_the_few_histories_hold_what_mistakes_show_in() -> None:
    calendar = random_calendar(WAREHOUSES[0], STEPS)
    from_changes = steps_built_from_changes(calendar)
    assert len(from_changes) >= 4
    assert from_changes.issuperset(COMPARED_STEPS["full rebuild"])
    assert COMPARED_STEPS["full rebuild"][-1] == max(from_changes), "what is kept is built anew before the last step"
    assert any(number - 1 in from_changes and not calendar.steps[number - 1].is_published for number in from_changes), (
        "no build of changes follows one that isn't published"
    )
    assert any(calendar.steps[number].killed_after is not None for number in from_changes), (
        "no build of changes follows a killed one"
    )
    days = last_days(calendar)
    assert sum(days[number] > days[number - 1] for number in from_changes) >= 3, (
        f"the last day moves too seldom: {days}"
    )
    for table in ("touches", "contacts", "costs"):
        losing = [
            seed
            for seed in SEEDS_OF_HISTORIES
            if any(
                number in from_changes and of == table
                for number, of in removals(random_history(seed, calendar, SEEDS), calendar)
            )
        ]
        assert len(losing) >= 3, f"{table} are removed in the histories {losing} only"
    left_out = outcome_of(WAREHOUSES[0]).marts["same_events"]
    for kind, least in (("touch", 30), ("contact", 8)):
        told = [record_id for of, record_id, *_ in left_out if of == kind]
        assert len(told) >= least and len({record_id[: len(namespace_of(0))] for record_id in told}) >= 3, (
            f"two sources told of one {kind} in {told} only"
        )


# R27: what lies in the landing folder at last decides, not how it came


def every_order(warehouse: int, folders: Sequence[Folder]) -> dict[str, Order]:
    days = sorted({day for _, day in folders})
    by_day = [[folder for folder in folders if folder[1] == day] for day in days]
    shuffled = random.Random(f"order {warehouse}").sample(folders, len(folders))
    return {
        "all at once": [[list(folders)]],
        "day by day": [[of_day] for of_day in by_day],
        "backwards, folder by folder, built daily": [[[folder] for folder in of_day] for of_day in reversed(by_day)],
        "shuffled, in groups": [[shuffled[start : start + 4]] for start in range(0, len(shuffled), 4)],
    }


def in_order(outcome: Outcome, order: Order) -> tuple[Calendar, list[History]]:
    """What the histories had at last, arriving in another order; every second build is not published."""
    last = outcome.calendar.steps[-1]
    steps = []
    changes: dict[str, dict] = {history.namespace: {} for history in outcome.histories}
    number = 0
    for position, loads in enumerate(order):
        numbered = []
        for folders in loads:
            numbered.append(Load(number, tuple(folders)))
            for folder in folders:
                for namespace, part in outcome.accepted[folder].items():
                    changes[namespace][number, *folder] = part
            number += 1
        is_published = position % 2 == 1 or position == len(order) - 1
        steps.append(replace(last, loads=tuple(numbered), is_published=is_published, killed_after=None))
    histories = [replace(history, changes=changes[history.namespace]) for history in outcome.histories]
    return replace(outcome.calendar, steps=tuple(steps)), histories


@pytest.mark.parametrize(
    ("warehouse", "name"),
    [
        in_group(warehouse, warehouse, name)
        for warehouse in WAREHOUSES[: ORDERS or 1]
        for name in (every_order(0, ()) if ORDERS else [])
    ],
)
def test_the_same_deliveries_in_another_order_give_the_same_marts(tmp_path: Path, warehouse: int, name: str) -> None:
    outcome = outcome_of(warehouse)
    assert not outcome.faults
    calendar, histories = in_order(outcome, every_order(warehouse, sorted(outcome.accepted))[name])
    run = HistoryRun(tmp_path, calendar, histories, SEEDS)
    faults = run.faults(comparisons=["reference", "published"])
    assert not faults, faults
    assert run.mart_rows() == outcome.marts


# The host's time zone decides nothing


@pytest.mark.parametrize(
    ("zone", "warehouse"),
    [in_group(warehouse, zone, warehouse) for warehouse in WAREHOUSES[: ORDERS or 1] for zone in ZONES[:HOST_ZONES]],
)
def test_the_marts_are_the_same_under_every_host_time_zone(tmp_path: Path, zone: str, warehouse: int) -> None:
    """Deliveries come in two halves there: of the few histories, the only other order that is tried."""
    outcome = outcome_of(warehouse)
    assert not outcome.faults
    folders = sorted(outcome.accepted, key=lambda folder: folder[1])
    middle = len(folders) // 2
    calendar, histories = in_order(outcome, [[folders[:middle]], [folders[middle:]]])
    (tmp_path / "histories.pickle").write_bytes(pickle.dumps((calendar, histories)))
    run = subprocess.run(
        [sys.executable, "tests/support/history_runs.py", str(tmp_path / "histories.pickle"), str(tmp_path / "run")],
        cwd=PROJECT_DIR,
        env=os.environ | {"TZ": zone} | TEST_MODULES,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout.splitlines()[-1])
    assert answer["faults"] == []
    assert answer["host_zone"] == zone
    assert {mart: [tuple(row) for row in rows] for mart, rows in answer["marts"].items()} == outcome.marts


# The shrinker's own search


@pytest.mark.parametrize("needed", [{17}, {3, 4}, {0, 50, 99}, set(range(10, 20)), set()])
@pytest.mark.parametrize("parts", [2, 24])
def test_what_a_failure_does_not_need_is_left_out(needed: set[int], parts: int) -> None:
    def are_failing(omissions: Sequence[frozenset[int]]) -> list[bool]:
        return [not needed & omission for omission in omissions]

    assert largest_omission(range(100), are_failing, parts) == set(range(100)) - needed


def test_needs_that_stand_in_for_one_another_are_cut_to_one() -> None:
    """Each of two rows is enough by itself, so both can be left out alone, and not together."""

    def are_failing(omissions: Sequence[frozenset[int]]) -> list[bool]:
        return [not {5, 80} <= omission for omission in omissions]

    assert len(largest_omission(range(100), are_failing, 24)) == 99
