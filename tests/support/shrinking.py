"""Cuts a failing history down to the few rows that it takes.

What may be left out is tried many ways at once: copies of the history under other namespaces, each with something else
left out, run through one warehouse.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from history_runs import Fault, HistoryRun
from random_histories import Calendar, Cut, History, namespace_of, random_history
from reference import REQUIRED, Seeds

Atom = TypeVar("Atom", bound=Hashable)
COPIES_AT_ONCE = 24
PARTS_ONE_BY_ONE = 4


def largest_omission(
    atoms: Sequence[Atom], are_failing: Callable[[Sequence[frozenset[Atom]]], Sequence[bool]], parts: int
) -> frozenset[Atom]:
    """As many atoms as can be left out with the rest still failing, found by trying several omissions at once.

    Single parts are tried beside one another; then, as most of them can be left out together, more and more of them.
    """
    left_out: frozenset[Atom] = frozenset()
    while left := [atom for atom in atoms if atom not in left_out]:
        size = -(-len(left) // parts)
        chunks = [frozenset(left[start : start + size]) for start in range(0, len(left), size)]
        answers = are_failing([left_out | chunk for chunk in chunks])
        needless = [chunk for chunk, is_failing in zip(chunks, answers, strict=True) if is_failing]
        if not needless:
            if size == 1:
                break
            parts *= 2
            continue
        unions = [left_out | needless[0]]
        for chunk in needless[1:]:
            unions.append(unions[-1] | chunk)
        answers = [True, *are_failing(unions[1:])] if unions[1:] else [True]
        left_out = max((union for union, is_failing in zip(unions, answers, strict=True) if is_failing), key=len)
    return left_out


class OutOfBuildsError(Exception):
    """The shrinker may not build any more."""


@dataclass
class Budget:
    builds: int

    def spend(self, builds: int) -> None:
        if builds > self.builds:
            raise OutOfBuildsError
        self.builds -= builds


@dataclass
class Shrinker:
    """One fault of a history that a calendar's warehouse showed, made smaller within a budget of builds."""

    folder: Path
    calendar: Calendar
    seed: int
    fault: Fault
    seeds: Seeds
    budget: Budget
    cut: Cut = field(default_factory=Cut)

    def __post_init__(self) -> None:
        self.whole_calendar = self.calendar

    def is_failing_alone(self) -> bool:
        self.calendar = self.calendar.up_to(self.fault.step)
        return self.are_failing([self.cut])[0]

    def shrink(self) -> None:
        """Leaves out what it can until nothing can be left out, or the budget is spent."""
        try:
            self.leave_out_builds()
            self.leave_out_records()
            self.leave_out_changes()
            self.leave_out_writes()
            self.leave_out_rows()
            self.leave_out_builds()
            self.leave_out_columns()
        except OutOfBuildsError:
            pass

    def history(self, number: int | None = None, cut: Cut | None = None) -> History:
        whole = random_history(self.seed, self.whole_calendar, self.seeds, number)
        written = self.calendar.writes()
        return (cut or self.cut).of(
            replace(whole, changes={change: rows for change, rows in whole.changes.items() if change in written})
        )

    def are_failing(self, cuts: Sequence[Cut]) -> list[bool]:
        if self.fault.namespace is None:
            return [bool(self.faults([self.history(cut=cut)])) for cut in cuts]
        answers = []
        for start in range(0, len(cuts), COPIES_AT_ONCE):
            some = cuts[start : start + COPIES_AT_ONCE]
            found = self.faults([self.history(number, cut) for number, cut in enumerate(some)])
            failing = {fault.namespace for fault in found}
            answers += [namespace_of(number) in failing for number in range(len(some))]
        return answers

    def faults(self, histories: Sequence[History]) -> list[Fault]:
        last = len(self.calendar.steps) - 1
        is_rebuilt = self.fault.comparison == "full rebuild"
        self.budget.spend(last + 1 + is_rebuilt)
        for leftover in self.folder.glob("*/*"):
            # What dbt parsed is kept: parsing takes as long as building.
            if leftover.name != "dbt":
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        run = HistoryRun(self.folder, self.calendar, histories, self.seeds)
        return run.faults({self.fault.comparison: [last]}, [self.fault.comparison])

    # What is left out

    def leave_out_builds(self) -> None:
        for step in reversed(range(len(self.calendar.steps) - 1)):
            self.try_calendar(self.calendar.without_build(step))

    def leave_out_writes(self) -> None:
        """The folders in which the history has nothing new; some stay where their days must have come (R9)."""
        changes = set(self.history().changes)
        writes = self.calendar.writes()
        writes_of_days = {write for write in writes if write[1] != "costs"}
        last_day = max((day for _, _, day in writes_of_days), default=None)
        of_last_day = {write for write in writes_of_days if write[2] == last_day}
        self.try_calendar(self.calendar.writing(changes)) or self.try_calendar(
            self.calendar.writing(changes | of_last_day)
        )

    def try_calendar(self, calendar: Calendar) -> bool:
        """Keeps to the calendar if the history fails in it too."""
        former, self.calendar = self.calendar, calendar
        is_failing = False
        try:
            is_failing = self.are_failing([self.cut])[0]
        finally:
            if not is_failing:
                self.calendar = former
        return is_failing

    def leave_out_records(self) -> None:
        rows = [placed for placed_rows in self.history().changes.values() for placed in placed_rows]
        records = list(dict.fromkeys(placed.record for placed in rows))
        self.leave_out(records, lambda cut, some: replace(cut, records=cut.records | some))

    def leave_out_changes(self) -> None:
        changes = list(self.history().changes)
        self.leave_out(changes, lambda cut, some: replace(cut, changes=cut.changes | some))

    def leave_out_rows(self) -> None:
        whole = self.history(cut=Cut())
        rows = [
            (change, number)
            for change, placed_rows in whole.changes.items()
            if change not in self.cut.changes
            for number, placed in enumerate(placed_rows)
            if placed.record not in self.cut.records
        ]
        self.leave_out(rows, lambda cut, some: replace(cut, rows=cut.rows | some))

    def leave_out_columns(self) -> None:
        required = {column for columns in REQUIRED.values() for column in columns}
        rows = [placed.row for placed_rows in self.history().changes.values() for placed in placed_rows]
        columns = {column for row in rows for column, value in row.items() if value is not None} - required
        self.leave_out(sorted(columns), lambda cut, some: replace(cut, columns=cut.columns | some))

    def leave_out(self, atoms: Sequence[Atom], extended: Callable[[Cut, frozenset[Atom]], Cut]) -> None:
        def are_failing(omissions: Sequence[frozenset[Atom]]) -> list[bool]:
            return self.are_failing([extended(self.cut, omission) for omission in omissions])

        parts = PARTS_ONE_BY_ONE if self.fault.namespace is None else COPIES_AT_ONCE
        self.cut = extended(self.cut, largest_omission(atoms, are_failing, parts))


def described(calendar: Calendar, history: History) -> str:
    """The deliveries of a history, step by step, as one would write them down."""
    lines = []
    for number, step in enumerate(calendar.steps):
        rebuilt = ", in full" if step.is_full_refresh else ""
        published = "published" if step.is_published else "not published"
        lines.append(f"step {number}: loads, builds{rebuilt}, {published}; settings {dict(step.settings)}")
        for load in step.loads:
            for folder in load.written:
                if (load.number, *folder) not in history.changes:
                    continue
                is_failing = " beside a file that fails the day" if folder in load.failing else ""
                rows = history.changes[load.number, *folder]
                lines.append(f"  load {load.number}, {folder[0]} of {folder[1]}: {len(rows)} rows{is_failing}")
                for placed in rows:
                    values = {name: value for name, value in placed.row.items() if value is not None}
                    lines.append(f"    {placed.file_name}: {values}")
    return "\n".join(lines)
