"""Loads: the results for deliveries, what is loaded of a day, and which deliveries wait."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from pipeline.landing import Delivery, Signature, shown_path
from pipeline.wording import counted, listed, shortened


@dataclass(frozen=True)
class FileCounts:
    file_name: str
    size_bytes: int
    modified_ns: int
    sha256: str
    delivered_count: int = 0
    loaded_count: int = 0
    rejected_count: int = 0


@dataclass(frozen=True)
class DoubledFiles:
    """Files of a delivery that hold the same rows, by name."""

    file_names: tuple[str, ...]
    row_count: int


@dataclass(frozen=True)
class Load:
    """The result for one delivery. `outcome` is loaded, failed, or unchanged (nothing to do)."""

    table: str
    day: date
    outcome: str
    load_id: int | None = None
    message: str | None = None
    files: tuple[FileCounts, ...] = ()
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    unreadable_values: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    doubled_files: tuple[DoubledFiles, ...] = ()

    @property
    def delivered_count(self) -> int:
        return sum(file.delivered_count for file in self.files)

    @property
    def loaded_count(self) -> int:
        return sum(file.loaded_count for file in self.files)

    @property
    def rejected_count(self) -> int:
        return sum(file.rejected_count for file in self.files)


def pending(
    deliveries: Iterable[Delivery],
    known: dict[tuple[str, date], tuple[str, Signature]],
    is_failed_pending: bool = True,
) -> list[Delivery]:
    """Deliveries that are new, changed since their last load, or failed in it."""
    waiting = []
    for delivery in deliveries:
        outcome, signature = known.get((delivery.table, delivery.day), (None, None))
        if signature != delivery.signature() or (outcome == "failed" and is_failed_pending):
            waiting.append(delivery)
    return waiting


def live_load(connection: duckdb.DuckDBPyConnection, delivery: Delivery) -> Load | None:
    """The current content of the delivery's day, as an unchanged Load; None before the first."""
    row = connection.execute(
        """
        select load_id, files, cast(unreadable_values as varchar) from raw.loads
        where table_name = ? and load_day = ? and outcome = 'loaded' and superseded_by is null
        """,
        [delivery.table, delivery.day],
    ).fetchone()
    if row is None:
        return None
    reasons = connection.execute(
        "select reason, count(*) from raw.rejected_rows where load_id = ? group by reason order by reason", [row[0]]
    ).fetchall()
    return Load(
        delivery.table,
        delivery.day,
        "unchanged",
        row[0],
        files=tuple(FileCounts(**file) for file in row[1]),
        rejected_by_reason=dict(reasons),
        unreadable_values=json.loads(row[2]),
    )


def doubled_files_warnings(loads: Iterable[Load], landing_dir: Path) -> list[str]:
    """Warnings of doubled files: a line for a day's, and one line where files of the same names are doubled on several days."""
    found: dict[tuple[str, tuple[str, ...]], dict[date, int]] = {}
    for load in loads:
        for doubled in load.doubled_files:
            found.setdefault((load.table, doubled.file_names), {})[load.day] = doubled.row_count
    warnings = []
    for (table, names), row_counts in found.items():
        (day, row_count), *more = row_counts.items()
        if more:
            folder, rows = landing_dir / table, f"rows on {shortened([str(day) for day in row_counts])}"
            advice = "take one away from each of these days and load them again"
        else:
            folder, rows = landing_dir / table / str(day), counted(row_count, "row")
            advice = "take one away and load the day again"
        warnings.append(
            f"{shown_path(folder)}: {listed(names)} hold the same {rows}, and each counts: if that isn't meant, {advice}"
        )
    return warnings
