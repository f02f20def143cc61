"""Short summaries of loads and generations for `load` and `status`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from pipeline.wording import counted, shortened

CHANGES = {
    "new": ("new contact", "new contacts"),
    "removed": ("removed contact", "removed contacts"),
    "other verdict": ("contact with another icon", "contacts with another icon"),
    "other touches": ("contact with other touches", "contacts with other touches"),
    "other channels": ("contact with other channels", "contacts with other channels"),
    "other client": ("contact of another client", "contacts of another client"),
}


@dataclass(frozen=True)
class TableLoads:
    """A run's loads of one table: deliveries, their rows, and the failed days."""

    table: str
    deliveries: int = 0
    loaded_rows: int = 0
    rejected_rows: int = 0
    unreadable_values: Mapping[str, int] = field(default_factory=dict)  # by column
    failed_days: Sequence[date] = ()


def describe_loads(loads: Iterable[TableLoads], waiting: int) -> list[str]:
    """Describes the results of waiting deliveries; those with unchanged bytes are in no load of the run."""
    loads = list(loads)
    lines = []
    deliveries = sum(load.deliveries for load in loads)
    failed = {load.table: load.failed_days for load in loads if load.failed_days}
    failures = sum(map(len, failed.values()))
    if deliveries:
        of_tables = ", ".join(f"{load.loaded_rows:,} of {load.table}" for load in loads if load.deliveries)
        line = f"{counted(deliveries, 'delivery')} loaded: {counted(sum(load.loaded_rows for load in loads), 'row')} ({of_tables})"
        if rejected := sum(load.rejected_rows for load in loads):
            line += f"; {counted(rejected, 'row')} rejected (`rejected` shows them)"
        if unreadable := {
            f"{column} of {load.table}": n for load in loads for column, n in load.unreadable_values.items()
        }:
            line += f"; {counted(sum(unreadable.values()), 'optional value')} unreadable ({', '.join(unreadable)})"
        lines.append(line)
    if unchanged := max(waiting - deliveries - failures, 0):
        have = "has" if unchanged == 1 else "have"
        lines.append(f"{counted(unchanged, 'delivery')} {have} the same bytes as when loaded before")
    if failed:
        days = "; ".join(f"{table} of {shortened([str(day) for day in days])}" for table, days in failed.items())
        lines.append(f"{counted(failures, 'delivery')} failed: {days}")
    return lines


def describe_nothing_to_do(deliveries: int, first_day: date, last_day: date) -> str:
    if deliveries == 0:
        return f"Nothing to do: no delivery of {describe_period(first_day, last_day)} has landed."
    which = "the only delivery is" if deliveries == 1 else f"all {counted(deliveries, 'delivery')} are"
    return f"Nothing to do: {which} loaded and published."


def describe_period(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


def describe_freshness(days_behind: int | None) -> str:
    if days_behind is None:
        return "no day is loaded"
    return "fresh" if days_behind <= 0 else f"{counted(days_behind, 'day')} behind yesterday"


def describe_changes(changes: Mapping[str, Mapping[str, int]]) -> str:
    """`49 new contacts, 3 removed contacts`; empty if nothing has changed."""
    return ", ".join(
        counted(sum(changes[change].values()), *CHANGES[change]) for change in CHANGES if changes.get(change)
    )


def describe_reasons(changes: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line per kind of change and reason."""
    return [
        f"{counted(count, *CHANGES[change])}: {reason}"
        for change in CHANGES
        for reason, count in changes.get(change, {}).items()
    ]
