"""Fetches sources day by day into the landing folder."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import duckdb

from orchestration.settings import Rules, Settings, SettingsError
from orchestration.warehouse import Warehouse
from sources.delivering import Fetched, deliver
from sources.source import Days, Source, SourceError, Workshop

log = logging.getLogger("orchestration")


def fetch(
    source: Source, days: Sequence[date], rules: Rules, settings: Settings, warehouse: Warehouse
) -> Iterator[Fetched]:
    """One result per dataset and day, as they are delivered; what fails is a result, too. Needs the warehouse's lock."""
    asked: Days = tuple(sorted(set(days)))
    done: set[tuple[str, date]] = set()
    problem = None
    try:
        with _workshop(rules, warehouse) as workshop:
            for answer in source.read(asked, workshop):
                for fetched in deliver(source, answer, workshop, settings.landing_dir):
                    done.add((fetched.dataset, fetched.day))
                    yield fetched
    except (SourceError, SettingsError) as error:
        problem = str(error)
    except duckdb.Error as error:
        problem = f"what it answered can't be read: {str(error).splitlines()[0][:300]}"
    except OSError as error:
        problem = f"{error.filename or settings.landing_dir} can't be written or read ({error.strerror})"
    missing = [(name, day) for day in asked for name in source.delivered_datasets if (name, day) not in done]
    for dataset, day in missing:
        yield Fetched(
            source.name, dataset, source.delivered_datasets[dataset], day, "failed", problem or "nothing was answered"
        )


@contextmanager
def _workshop(rules: Rules, warehouse: Warehouse) -> Iterator[Workshop]:
    resources = warehouse.resources()
    with (
        tempfile.TemporaryDirectory(dir=warehouse.temporary_dir, prefix="fetch-") as folder,
        duckdb.connect(":memory:", config=resources) as connection,
    ):
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set preserve_insertion_order = true")
        yield Workshop(Path(folder), connection, rules)


def due_days(source: Source, rules: Rules, landing_dir: Path) -> Days:
    """The days of the source's reload window, up to yesterday, and those that are missing."""
    last = rules.yesterday()
    first = max(last - timedelta(days=source.reload_days - 1), rules.first_load_day)
    return tuple(sorted({*missing_days(source, rules, landing_dir), *days_between(first, last)}))


def missing_days(source: Source, rules: Rules, landing_dir: Path) -> Days:
    """The days up to yesterday of which something isn't there, since the first day that lies in the landing folder."""
    delivered = days_that_lie_there(source, landing_dir)
    if not delivered:
        return ()
    return tuple(day for day in days_between(min(delivered), rules.yesterday()) if day not in delivered)


def days_that_lie_there(source: Source, landing_dir: Path) -> set[date]:
    """The days of which all of a source's deliveries lie in the landing folder."""
    days_by_dataset = [
        {
            date.fromisoformat(file.parent.name)
            for file in (landing_dir / table).glob(f"????-??-??/{source.name}-{dataset}.parquet")
        }
        for dataset, table in source.delivered_datasets.items()
    ]
    return set.intersection(*days_by_dataset) if days_by_dataset else set()


def days_between(first: date, last: date) -> Days:
    return tuple(first + timedelta(days=number) for number in range((last - first).days + 1))
