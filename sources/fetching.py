"""Fetches sources day by day into the landing folder."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import duckdb

from pipeline.capacity import explanation
from pipeline.settings import Rules, Settings, SettingsError
from pipeline.warehouse import Warehouse
from pipeline.wording import shortened
from sources.delivering import Fetched, deliver, delivery_file, is_of_a_whole_day
from sources.source import Days, FetchContext, RefusedError, Source, SourceError

log = logging.getLogger("multichannel")

MOST_FAILURES_IN_A_ROW = 3


def fetch(
    source: Source, days: Sequence[date], rules: Rules, settings: Settings, warehouse: Warehouse
) -> Iterator[Fetched]:
    """Yields a result per dataset and day as they are delivered, failures included. Needs the warehouse's lock.

    A failed day doesn't stop the later ones: a permanently unavailable day would block them for good. If a source keeps
    failing, only the days of its reload window are tried, then it is left alone.
    """
    asked: Days = tuple(sorted(set(days)))
    done: set[tuple[str, date]] = set()
    problems: dict[date, str] = {}
    problem, failures, is_refused = None, 0, False

    def is_missing(day: date) -> bool:
        return any((name, day) not in done for name in source.delivered_datasets)

    remaining = asked
    while remaining and failures < 2 * MOST_FAILURES_IN_A_ROW and not is_refused:
        try:
            with _fetch_context(rules, warehouse) as context:
                for extract in source.read(remaining, context):
                    for fetched in deliver(source, extract, context, settings.landing_dir):
                        done.add((fetched.dataset, fetched.day))
                        if not is_missing(fetched.day):
                            failures = 0
                        yield fetched
            break
        except (SourceError, SettingsError) as error:
            problem, is_refused = str(error), isinstance(error, RefusedError | SettingsError)
        except duckdb.Error as error:
            lack = explanation(error, warehouse)
            problem, is_refused = (
                lack or f"what it answered can't be read: {str(error).splitlines()[0][:300]}",
                bool(lack),
            )
        except OSError as error:
            lack = explanation(error, warehouse)
            message = f"{error.filename or settings.landing_dir} can't be written or read ({error.strerror})"
            problem, is_refused = lack or message, bool(lack)
        failures += 1
        # Days are read in order, so the first missing one failed, or starts the group that did.
        failed = next((day for day in remaining if is_missing(day)), remaining[-1])
        problems[failed] = problem
        remaining = tuple(day for day in remaining if day > failed)
        if failures >= MOST_FAILURES_IN_A_ROW:
            # Permanently unavailable days stay due. Without this, nothing else would ever be requested.
            remaining = tuple(day for day in remaining if (asked[-1] - day).days < source.reload_days)
    for dataset, day in [(name, day) for day in asked for name in source.delivered_datasets if (name, day) not in done]:
        yield Fetched(
            source.name,
            dataset,
            source.delivered_datasets[dataset],
            day,
            "failed",
            problems.get(day) or problem or "nothing was answered",
        )


def held_days(source: Source, rules: Rules, warehouse: Warehouse) -> Days | None:
    """The days up to yesterday that a source holds; None if it can't list them. Raises SourceError."""
    if source.has_every_day:
        return None
    try:
        with _fetch_context(rules, warehouse) as context:
            held = source.held_days(context)
    except (duckdb.Error, OSError) as error:
        raise SourceError(
            explanation(error, warehouse) or f"what it holds can't be read: {str(error).splitlines()[0][:300]}"
        ) from None
    if held is None:
        return None
    last = latest_due_day(source, rules)
    days = tuple(day for day in held if rules.first_load_day <= day <= last)
    if held and not days:
        raise SourceError(
            f"it holds {shortened([str(day) for day in held])}, and nothing from {rules.first_load_day} (`first_load_day`) to {last}"
        )
    return days


@contextmanager
def _fetch_context(rules: Rules, warehouse: Warehouse) -> Iterator[FetchContext]:
    resources = warehouse.resources()
    with (
        tempfile.TemporaryDirectory(dir=warehouse.temporary_dir, prefix="fetch-") as folder,
        duckdb.connect(":memory:", config=resources) as connection,
    ):
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set preserve_insertion_order = true")
        yield FetchContext(Path(folder), connection, rules, warehouse.folder / "sources")


def due_days(source: Source, rules: Rules, landing_dir: Path) -> Days:
    """The days of the source's reload window, up to yesterday, and the missing days."""
    last = latest_due_day(source, rules)
    first = max(last - timedelta(days=source.reload_days - 1), rules.first_load_day)
    return tuple(sorted({*missing_days(source, rules, landing_dir), *days_between(first, last)}))


def due_days_of_run(source: Source, rules: Rules, landing_dir: Path, warehouse: Warehouse) -> Days:
    """The days for Dagster's runs: those that the source holds, and that are due or not yet delivered."""
    due = due_days(source, rules, landing_dir)
    try:
        held = held_days(source, rules, warehouse)
    except SourceError:
        # The fetch itself will report the problem.
        return due
    if held is None:
        return due
    delivered = set.intersection(*delivered_days(source, landing_dir).values())
    return tuple(day for day in held if day in due or day not in delivered)


def latest_due_day(source: Source, rules: Rules) -> date:
    """Yesterday, or the day before if the source's own yesterday isn't available yet."""
    return min(rules.yesterday(), source.latest_day(rules))


def missing_days(source: Source, rules: Rules, landing_dir: Path) -> Days:
    """The days with a missing dataset, from the source's first delivered day up to yesterday.

    A delivery that was fetched before its day ended counts as missing.
    """
    delivered = delivered_days(source, landing_dir)
    first = min(set().union(*delivered.values()), default=None)
    if first is None or not source.has_every_day:
        return ()
    whole = {
        day
        for day in set.intersection(*delivered.values())
        if all(
            is_of_a_whole_day(delivery_file(landing_dir, source.name, dataset, table, day), source.end_of(day, rules))
            for dataset, table in source.delivered_datasets.items()
        )
    }
    days = days_between(max(first, rules.first_load_day), latest_due_day(source, rules))
    return tuple(day for day in days if day not in whole)


def delivered_days(source: Source, landing_dir: Path) -> dict[str, set[date]]:
    """The days that a source has delivered into the landing folder, by dataset."""
    return {
        dataset: {
            date.fromisoformat(file.parent.name)
            for file in (landing_dir / table).glob(f"????-??-??/{source.name}-{dataset}.parquet")
        }
        for dataset, table in source.delivered_datasets.items()
    }


def days_between(first: date, last: date) -> Days:
    return tuple(first + timedelta(days=number) for number in range((last - first).days + 1))
