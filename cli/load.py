"""`load` and `update`: the daily commands."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import duckdb
import typer
from rich.table import Table

from cli.fetch import fetch_days
from cli.output import Problem, Verbose, console, print_generation, print_warnings, show_progress
from cli.summary import TableLoads, describe_loads, describe_nothing_to_do, describe_period
from pipeline.capacity import ResourcesError, check_load, explanation, translate_errors
from pipeline.contracts import delivered_tables
from pipeline.fingerprints import fingerprint
from pipeline.landing import Delivery, Landing, scan
from pipeline.last_update import record_update, recorded_failure
from pipeline.ledger import failed_loads, known_signatures, last_settings
from pipeline.loading import pending
from pipeline.notices import collected_warnings, generation_warnings, warn
from pipeline.publishing import PublicationError, Publications
from pipeline.seeds import check_seeds
from pipeline.settings import Rules, Settings, SettingsError
from pipeline.updating import BuildFailedError, absent_days, build_loaded, check_build, describe_failures, load_days
from pipeline.warehouse import DamageError, Warehouse, WarehouseBusyError, repair
from pipeline.wording import counted

if TYPE_CHECKING:
    from orchestration.reporting import Report

log = logging.getLogger("multichannel")

EXPLAINED = (
    BuildFailedError, DamageError, PublicationError, ResourcesError, SettingsError, WarehouseBusyError, duckdb.Error, OSError
)  # fmt: skip


def load(
    from_: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day to load.")] = None,
    to: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day to load.")] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Load unchanged deliveries too.")] = False,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Build everything again from raw, even if nothing is new.")
    ] = False,
    variables: Annotated[
        str, typer.Option("--vars", help="Other settings, as JSON, for a warehouse of their own.")
    ] = "{}",
    verbose: Verbose = False,
) -> None:
    """Load every landed day before today that is new or changed, build the marts, publish them.

    The exit code is 0 only if everything was loaded and published. Rejected rows are counted; they are no failure.
    """
    overrides = _read_variables(variables)
    rules = Rules.read(overrides)
    settings = Settings.read()
    warehouse = Warehouse(settings.warehouse_dir)
    home = os.environ.get("DAGSTER_HOME")
    if home and not Path(home).is_absolute():
        raise SettingsError(f"DAGSTER_HOME = {home!r}: give the whole path, from / on.")
    if not settings.landing_dir.is_dir() and not full_refresh:
        raise SettingsError(
            f"There is no folder {settings.landing_dir}: set LANDING_DIR to where deliveries land, "
            "or give --full-refresh to rebuild from what is loaded."
        )
    show_progress(verbose)
    with collected_warnings() as warnings, translate_errors(warehouse), warehouse.locked("load"):
        with recorded_failure(warehouse):
            check_seeds()
        first_day = from_.date() if from_ else rules.first_load_day
        last_day = min(to.date() if to else rules.yesterday(), rules.yesterday())
        _check_days(first_day, last_day, to, rules)
        landing = scan(settings.landing_dir, list(delivered_tables()), rules.first_load_day, last_day, first_day)
        for warning in landing.warnings:
            warn(warning)
        with _recorded_damage(warehouse):
            if full_refresh:
                repair(warehouse)
            else:
                Publications(warehouse).check()
            waiting = _waiting(warehouse, landing, rules, overrides, reload, full_refresh)
            if waiting is None:
                Publications(warehouse).finish()
        if waiting is None:
            console.print(describe_nothing_to_do(len(landing.deliveries), first_day, last_day))
            print_generation(warehouse, rules, verbose)
            return
        with recorded_failure(warehouse):
            check_load(warehouse, waiting)
        run_id, problem = _run(warehouse, waiting, rules, reload, full_refresh)
        print_loads(warehouse, run_id, len(waiting), verbose)
        print_generation(warehouse, rules, verbose)
        # Already printed when they occurred; with --verbose, that is many lines ago.
        print_warnings(warnings if verbose else [])
    if problem:
        raise Problem(problem)


@contextmanager
def _recorded_damage(warehouse: Warehouse) -> Iterator[None]:
    """Records failures before a run for readers, except mistakes in the call itself."""
    try:
        with translate_errors(warehouse):
            yield
    except (DamageError, ResourcesError, duckdb.Error, OSError) as error:
        record_update(warehouse.folder, "failed", message=str(error))
        raise


def _read_variables(text: str) -> dict[str, Any]:
    try:
        variables = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"--vars is not JSON ({error}); write it like '{{\"lookback_days\": 30}}'.") from None
    if not isinstance(variables, dict):
        raise SettingsError("--vars must be a JSON object, like '{\"lookback_days\": 30}'.")
    return variables


def _check_days(first_day: date, last_day: date, to: datetime | None, rules: Rules) -> None:
    if to and to.date() > rules.yesterday():
        log.warning("%s is not over yet in %s: days up to %s are loaded", to.date(), rules.report_timezone, last_day)
    if first_day > last_day:
        raise SettingsError(f"There is no day to load from {first_day} to {last_day}.")


def _waiting(
    warehouse: Warehouse, landing: Landing, rules: Rules, overrides: dict[str, Any], reload: bool, full_refresh: bool
) -> list[Delivery] | None:
    """The deliveries to load, empty if only a build or publication is due; None if there is nothing to do."""
    with warehouse.connected() as connection:
        built_with = last_settings(connection)
        known = known_signatures(connection)
    if overrides and not full_refresh and built_with is not None and built_with != rules.as_vars():
        differing = ", ".join(
            f"{name}: {built_with.get(name)!r} → {value!r}"
            for name, value in rules.as_vars().items()
            if built_with.get(name) != value
        )
        raise SettingsError(
            f"This warehouse was built with other settings ({differing}). --vars is for a warehouse of its own: "
            "set WAREHOUSE_DIR to another folder, or give --full-refresh to rebuild this one."
        )
    waiting = list(landing.deliveries) if reload else pending(landing.deliveries, known)
    if waiting or full_refresh or not Publications(warehouse).is_up_to_date(fingerprint(rules)):
        return waiting
    return None


def _run(
    warehouse: Warehouse, waiting: list[Delivery], rules: Rules, reload: bool, full_refresh: bool
) -> tuple[str, str | None]:
    """Loads, builds and publishes. Returns the run's id in the ledger, and what failed."""
    run_id = str(uuid4())
    try:
        report = _dagster_report()
        if waiting:
            # Importing dbt takes seconds. Meanwhile, loading leaves a processor idle.
            Thread(target=import_module, args=["pipeline.building"], daemon=True).start()
            _load_all(warehouse, waiting, rules, reload, run_id, report)
        build = build_loaded(warehouse, rules, full_refresh=full_refresh)
        if report:
            report.built(build, warehouse)
        check_build(build)
        publications = Publications(warehouse)
        generation = publications.publish(rules)
        if report:
            report.published(generation, rules, generation_warnings(publications, generation.number))
        with recorded_failure(warehouse), warehouse.connected() as connection:
            problem = describe_failures(failed_loads(connection, run_id))
        if report and problem is None:
            report.ended()
    except EXPLAINED as error:
        return run_id, explanation(error, warehouse) or str(error)
    return run_id, problem


def _load_all(
    warehouse: Warehouse,
    waiting: list[Delivery],
    rules: Rules,
    reload: bool,
    run_id: str,
    report: "Report | None",
) -> None:
    """Loads all tables for the days from the first to the last waiting delivery."""
    first, last = min(delivery.day for delivery in waiting), max(delivery.day for delivery in waiting)
    log.info("%s to load, %s", counted(len(waiting), "delivery"), describe_period(first, last))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    for table in delivered_tables():
        loads = []
        for load in load_days(warehouse, table, days, rules, reload, run_id):
            loads.append(load)
            if report:
                report.loaded(load)
        absent = absent_days(table, days, loads)
        if report:
            report.all_loaded(table, loads, absent)


def _dagster_report() -> "Report | None":
    """The report to the Dagster instance of DAGSTER_HOME; None without one."""
    if not os.environ.get("DAGSTER_HOME"):
        return None
    _leave_out_unusable_sources()
    import dagster as dg

    from orchestration.reporting import Report, prepared_home

    return Report(dg.DagsterInstance.get()) if prepared_home() else None


def _leave_out_unusable_sources() -> None:
    """Ignores sources if sources.yml is unusable, as landed deliveries can be loaded without it."""
    from sources.configuration import read_sources

    try:
        read_sources()
    except SettingsError as error:
        # A line each, as the log writes a message in one line.
        for line in (*str(error).splitlines(), "Deliveries in the landing folder are loaded all the same."):
            log.warning("%s", line.strip())
        os.environ["SOURCES_FILE"] = os.devnull


def print_loads(warehouse: Warehouse, run_id: str, waiting: int, verbose: bool) -> None:
    """Prints the results of a run's deliveries."""
    with warehouse.connected() as connection:
        loads = connection.execute(
            """
            select
                table_name,
                count(*) filter (where outcome = 'loaded'),
                coalesce(sum(delivered_count) filter (where outcome = 'loaded'), 0),
                coalesce(sum(loaded_count) filter (where outcome = 'loaded'), 0),
                coalesce(sum(rejected_count) filter (where outcome = 'loaded'), 0),
                coalesce(list(load_day order by load_day) filter (where outcome = 'failed'), [])
            from raw.loads where run_id = ? group by table_name order by table_name
            """,
            [run_id],
        ).fetchall()
        reasons = connection.execute(
            """
            select table_name, reason, count(*) from raw.rejected_rows inner join raw.loads using (load_id)
            where run_id = ? group by all order by all
            """,
            [run_id],
        ).fetchall()
        unreadable = connection.execute(
            """
            select table_name, entry.key, sum(entry.value)
            from (
                select table_name, unnest(map_entries(cast(unreadable_values as map(varchar, bigint)))) as entry
                from raw.loads where run_id = ? and outcome = 'loaded'
            )
            group by all order by all
            """,
            [run_id],
        ).fetchall()
    if verbose and loads:
        shown = Table("table", "deliveries", "delivered", "loaded", "rejected", "failed", title="Loaded by this run")
        for name, *counts, failed_days in loads:
            shown.add_row(name, *(f"{count:,}" for count in (*counts, len(failed_days))))
        console.print(shown)
        for name, reason, count in reasons:
            console.print(f"  rejected: {name}, {reason}: {count:,}")
        for name, column, count in unreadable:
            console.print(f"  unreadable: {name}, {column}: {count:,}")
    in_short = [
        TableLoads(
            name,
            deliveries,
            loaded_rows,
            rejected_rows,
            {column: count for table, column, count in unreadable if table == name},
            failed_days,
        )
        for name, deliveries, _, loaded_rows, rejected_rows, failed_days in loads
    ]
    for line in describe_loads(in_short, waiting):
        console.print(line)


def update(verbose: Verbose = False) -> None:
    """Fetch what is due from all sources, then load and publish whatever came: once a day."""
    show_progress(verbose)
    try:
        problem = fetch_days([], None, None)
    except (SettingsError, ResourcesError) as error:
        problem = str(error)
    try:
        load(verbose=verbose)
    except (Problem, *EXPLAINED, ValueError) as error:
        raise Problem("\n".join(dict.fromkeys(filter(None, (problem, str(error)))))) from None
    if problem:
        raise Problem(problem)
