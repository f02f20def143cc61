"""The steps of an update, shared by all drivers: load, build, publish, report what is missing."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.capacity import ResourcesError, check_load, explanation
from pipeline.contracts import delivered_tables
from pipeline.landing import scan
from pipeline.last_update import recorded_failure
from pipeline.ledger import failures_before_any_load, known_signatures
from pipeline.loading import Load, doubled_files_warnings, live_load, load_deliveries, pending
from pipeline.notices import details, warn
from pipeline.publishing import PublicationError, Publications
from pipeline.settings import Rules, Settings
from pipeline.warehouse import Warehouse
from pipeline.wording import counted, shortened

if TYPE_CHECKING:
    from pipeline.dbt_runner import Build


class BuildFailedError(Exception):
    """The build failed or its tests did; nothing is published."""


def load_days(
    warehouse: Warehouse,
    table: str,
    days: Sequence[date],
    rules: Rules,
    reload: bool = False,
    run_id: str | None = None,
) -> Iterator[Load]:
    """Loads a table's new and changed deliveries of these days, oldest first; with `reload`, all of them.

    Yields a result per delivered day. Needs the lock. Raises ResourcesError, DamageError and SettingsError.
    """
    settings = Settings.read()
    landing = scan(settings.landing_dir, [table], rules.first_load_day, min(days[-1], rules.yesterday()), days[0])
    found = {delivery.day: delivery for delivery in landing.deliveries}
    with (
        recorded_failure(warehouse),
        warehouse.connected() as connection,
        _warned_of_doubled_files(settings.landing_dir) as loads,
    ):
        for warning in landing.warnings:
            warn(warning)
        known = known_signatures(connection, first_day=days[0], last_day=days[-1])
        changed = {delivery.day for delivery in pending(landing.deliveries, known)}
        to_load = [found[day] for day in days if day in found and (day in changed or reload)]
        check_load(warehouse, to_load)
        loading = load_deliveries(connection, to_load, rules, settings.landing_dir, reload, run_id)
        for day in days:
            delivery = found.get(day)
            if delivery is None:
                continue
            if day not in changed and not reload:
                yield live_load(connection, delivery) or Load(table, day, "unchanged")
                continue
            load = next(loading)
            details.log(logging.ERROR if load.outcome == "failed" else logging.INFO, "%s", _describe(load))
            for warning in load.warnings:
                warn(warning)
            loads.append(load)
            yield load


@contextmanager
def _warned_of_doubled_files(landing_dir: Path) -> Iterator[list[Load]]:
    """Warns of the doubled files of all days at the end, even of an interrupted run: what it loaded isn't loaded again."""
    loads: list[Load] = []
    try:
        yield loads
    finally:
        for warning in doubled_files_warnings(loads, landing_dir):
            warn(warning)


def absent_days(table: str, days: Sequence[date], loads: Sequence[Load]) -> list[str]:
    """Returns the days of a `load_days` run without a delivery, and warns of them.

    An optional table without any delivery isn't missed; if it has some, a day without one may be a mistake.
    """
    is_expected = not delivered_tables()[table].is_optional or (Settings.read().landing_dir / table).exists()
    delivered = {load.day for load in loads}
    absent = [str(day) for day in days if is_expected and day not in delivered]
    if absent:
        those = "this day" if len(absent) == 1 else "these days"
        warn(f"no {table} were delivered for {shortened(absent)}; what else came for {those} is loaded")
    return absent


def _describe(load: Load) -> str:
    if load.outcome == "failed":
        return f"{load.table} of {load.day} failed: {load.message}"
    if load.outcome == "unchanged":
        return f"{load.table} of {load.day}: the same bytes as loaded before"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in load.rejected_by_reason.items())
    unreadable = "".join(
        f"; {column} can't be read in {counted(count, 'row')}" for column, count in load.unreadable_values.items()
    )
    return (
        f"{load.table} of {load.day}: {load.delivered_count:,} delivered, {load.loaded_count:,} loaded, "
        f"{load.rejected_count:,} rejected{f' ({reasons})' if reasons else ''}{unreadable}"
    )


def build_loaded(warehouse: Warehouse, rules: Rules, select: Sequence[str] = (), full_refresh: bool = False) -> "Build":
    """Builds and tests what is loaded. The caller reports the parts of a failed build, then calls `check_build`.

    Needs the lock. Raises PublicationError if every delivery so far has failed: empty marts would look like an empty
    business. Raises ResourcesError, DamageError and SettingsError.
    """
    from pipeline.building import build  # dbt takes a second to import

    with recorded_failure(warehouse, "publication"):
        _check_something_is_loaded(warehouse)
    outcome = build(warehouse, rules, select, full_refresh)
    if message := explanation(outcome.explain(), warehouse):
        raise ResourcesError(message)
    return outcome


def check_build(outcome: "Build") -> None:
    """Raises BuildFailedError if a build didn't pass."""
    if not outcome.is_passed:
        raise BuildFailedError(f"The build failed, nothing is published:\n{outcome.explain()}")


def _check_something_is_loaded(warehouse: Warehouse) -> None:
    if Publications(warehouse).numbers():
        return
    with warehouse.connected() as connection:
        messages = failures_before_any_load(connection)
    if messages:
        raise PublicationError(
            f"Nothing is published: {'the one delivery' if len(messages) == 1 else f'all {len(messages):,} deliveries'}"
            " failed, and none was loaded before.\n" + "\n".join(messages)
        )


def describe_failures(failed: Sequence[tuple[str, date, str]], not_fetched: Sequence[str] = ()) -> str | None:
    """Describes what an update left out: table, day and message of failed loads, and messages of sources."""
    if not failed and not not_fetched:
        return None
    days = sorted({str(day) for _, day, _ in failed})
    parts = [f"Not loaded, and pending until mended: {', '.join(days)}."] if days else []
    parts += ["Not all was fetched."] if not_fetched else []
    messages = [*not_fetched, *(message for _, _, message in failed)]
    return "\n".join([" ".join([*parts, "All else is published."]), *messages])
