"""`python -m orchestration`: the same assets without the web page, for cron and for people."""

import csv
import glob
import io
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestration.alerts import alert, step_problem
from orchestration.contracts import delivered_tables
from orchestration.demo import write_demo
from orchestration.landing import Delivery, Landing, scan
from orchestration.loading import known_signatures, pending
from orchestration.notices import collected_warnings, details, generation_warnings, warn
from orchestration.publishing import (
    MARTS,
    VIEWS,
    PublicationError,
    Publications,
    freshness,
    last_settings,
    read_ledger,
    record_update,
    recorded_failure,
)
from orchestration.seeds import check_seeds
from orchestration.settings import PROJECT_DIR, Rules, Settings, SettingsError
from orchestration.space import ResourcesError, check_load, explained
from orchestration.summary import (
    TableLoads,
    describe_changes,
    describe_freshness,
    describe_loads,
    describe_nothing_to_do,
    describe_period,
    describe_reasons,
)
from orchestration.warehouse import DamageError, Warehouse, WarehouseBusyError, repair
from orchestration.wording import counted, one_line
from sources.delivering import shortened

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say all of it, not a summary.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
# Without a terminal there is nothing to fit into.
console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 160)
log = logging.getLogger("orchestration")
DAGSTER_SETTINGS = "dagster.yaml"
MOST_PENDING = 10
LONGEST_CELL = 48


@app.command()
def load(
    from_: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First load day.")] = None,
    to: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last load day.")] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Also deliveries that have not changed.")] = False,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild from raw, even if nothing is new.")
    ] = False,
    variables: Annotated[str, typer.Option("--vars", help="Settings as JSON, for a warehouse of its own.")] = "{}",
    verbose: Verbose = False,
) -> None:
    """Loads every landed day before today that is new or changed, rebuilds the marts and publishes them.

    Exit code 0 only if all was loaded and published; rejected rows are counted, and are no failure.
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
    _say_progress(verbose)
    with collected_warnings() as warnings, explained(warehouse), warehouse.locked("load"):
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
            console.print(describe_nothing_to_do(len(landing.deliveries)))
            _print_generation(warehouse, rules, verbose)
            return
        with recorded_failure(warehouse):
            check_load(warehouse, waiting)
        run_id, problem = _execute(waiting, overrides, reload, full_refresh)
        _print_loads(warehouse, run_id, len(waiting), verbose)
        _print_generation(warehouse, rules, verbose)
        # They were said when they came; in full, that is many lines ago.
        _print_warnings(warnings if verbose else [])
    if problem:
        raise _Problem(problem)


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE", help="Names of sources.yml; by default all.")
    ] = None,
    from_: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day; by default what is due.")
    ] = None,
    to: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; by default yesterday.")
    ] = None,
) -> None:
    """Asks the sources of sources.yml for days, and writes what they answer as deliveries into the landing folder.

    Without days: those of each source's reload window, and those missing since its first delivery that is there; of exports,
    those that the files hold. Exit code 0 only if all came.
    """
    _say_progress()
    if problem := _fetch(names or [], from_.date() if from_ else None, to.date() if to else None):
        raise _Problem(problem)


@app.command()
def update(verbose: Verbose = False) -> None:
    """What is to be done once a day: fetches what is due from all sources, then loads and publishes, whatever didn't come."""
    _say_progress(verbose)
    try:
        problem = _fetch([], None, None)
    except (SettingsError, ResourcesError) as error:
        problem = str(error)
    try:
        load(verbose=verbose)
    except EXPECTED as error:
        raise _Problem("\n".join(dict.fromkeys(filter(None, (problem, str(error)))))) from None
    if problem:
        raise _Problem(problem)


def _fetch(names: list[str], first_day: date | None, last_day: date | None) -> str | None:
    """What didn't come, if anything. One source's trouble keeps no other from being fetched."""
    from sources.configuration import read_sources, sources_file
    from sources.delivering import Fetched, explained_problems
    from sources.fetching import days_between, due_days, held_days
    from sources.fetching import fetch as fetch_source
    from sources.source import SourceError

    settings, rules, sources = Settings.read(), Rules.read(), read_sources()
    if not sources:
        raise SettingsError(f"There are no sources: name some in {sources_file()}; sources.example.yml shows how.")
    unknown = [name for name in names if name not in sources]
    if unknown:
        raise SettingsError(f"{sources_file()} has no source {', '.join(unknown)}; it has {', '.join(sources)}.")
    warehouse = Warehouse(settings.warehouse_dir)
    problems: list[str] = []
    results: list[Fetched] = []
    shown = Table("source", "data", "day", "outcome", "rows", "before", "what it said there is", title="Fetched")
    with explained(warehouse), warehouse.locked("fetch"):
        for source in (sources[name] for name in (names or sources)):
            latest = source.latest_day(rules)
            last = min(last_day or rules.yesterday(), latest)
            if last_day and last < last_day:
                log.warning("%s: days up to %s are fetched, later ones aren't there yet", source.name, last)
            first = max(first_day or last, rules.first_load_day)
            try:
                if first_day or last_day:
                    days = days_between(first, last)
                else:
                    held = held_days(source, rules, warehouse)
                    days = due_days(source, rules, settings.landing_dir) if held is None else held
            except SourceError as error:
                problems.append(f"{source.name}: {error}")
                continue
            if not days:
                problems.append(f"{source.name}: there is no day to fetch from {first} to {last}")
                continue
            log.info("%s: %s, %s", source.name, counted(len(days), "day"), describe_period(days[0], days[-1]))
            told: dict[str, dict[str, int]] = {}
            for fetched in fetch_source(source, days, rules, settings, warehouse):
                shown.add_row(
                    *(escape(text) for text in (fetched.source, fetched.dataset, str(fetched.day), fetched.outcome)),
                    f"{fetched.row_count:,}",
                    "" if fetched.former_row_count is None else f"{fetched.former_row_count:,}",
                    escape(fetched.totals),
                )
                if fetched.counts and fetched.counts != told.get(fetched.dataset):
                    told[fetched.dataset] = fetched.counts
                    left = ", ".join(f"{count:,} {name}" for name, count in fetched.counts.items())
                    log.info("%s, %s: not delivered: %s", fetched.source, fetched.dataset, left)
                if fetched.notes and fetched.notes not in [before.notes for before in results]:
                    noted = ", ".join(f"{count:,} {name}" for name, count in fetched.notes.items())
                    log.info("%s, %s: delivered: %s", fetched.source, fetched.dataset, noted)
                results.append(fetched)
    console.print(shown)
    return "\n".join([*problems, *explained_problems(results)]) or None


@contextmanager
def _recorded_damage(warehouse: Warehouse) -> Iterator[None]:
    """Of what goes wrong before a run, readers are told what isn't a mistake in how it was called."""
    try:
        with explained(warehouse):
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
    """The deliveries to load, perhaps none if only a build or its publication is due; None if all is done."""
    from orchestration.building import fingerprint

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


def _execute(
    waiting: list[Delivery], overrides: dict[str, Any], reload: bool, full_refresh: bool
) -> tuple[str, str | None]:
    """Runs the job that the web page would run. Returns the run's id and what failed."""
    import dagster as dg

    _leave_out_unusable_sources()
    from orchestration.assets import free_pools
    from orchestration.definitions import RANGE_END, RANGE_START, defs

    run_config: dict[str, Any] = {
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        "resources": {"pipeline": {"config": {"rules": overrides, "full_refresh": full_refresh}}},
    }
    tags: dict[str, str] = {}
    if waiting:
        days = sorted(delivery.day for delivery in waiting)
        log.info("%s to load, %s", counted(len(waiting), "delivery"), describe_period(days[0], days[-1]))
        tags = {RANGE_START: str(days[0]), RANGE_END: str(days[-1])}
        run_config["ops"] = {f"load_{table}": {"config": {"reload": reload}} for table in delivered_tables()}
    job = defs.resolve_job_def("daily_update" if waiting else "rebuild")
    home = _dagster_home()
    instance = dg.DagsterInstance.get() if home else dg.DagsterInstance.ephemeral()
    with instance:
        free_pools(instance)
        result = job.execute_in_process(run_config=run_config, tags=tags, instance=instance, raise_on_error=False)
        problems = (
            [] if result.success else [step_problem(event) for event in result.all_events if event.is_step_failure]
        )
    return result.run_id, None if result.success else "\n".join(dict.fromkeys(problems)) or "the run failed"


def _dagster_home() -> Path | None:
    """Where Dagster keeps the history of runs, made with our settings; none if there is to be no history."""
    home = Path(os.environ.get("DAGSTER_HOME") or "")
    if home == Path():
        return None
    if glob.escape(str(home)) != str(home):
        warn(
            f"DAGSTER_HOME = {home}: Dagster can't read its settings below a name with *, ? or [ in it, so this load "
            "is not in its history; set another folder."
        )
        return None
    home.mkdir(parents=True, exist_ok=True)
    if not (home / DAGSTER_SETTINGS).exists():
        shutil.copy(PROJECT_DIR / DAGSTER_SETTINGS, home)
    return home


def _leave_out_unusable_sources() -> None:
    """What lies in the landing folder can be loaded, whatever is wrong with who is to bring more."""
    from sources.configuration import read_sources

    try:
        read_sources()
    except SettingsError as error:
        log.warning("%s\nWhat lies in the landing folder is loaded all the same.", error)
        os.environ["SOURCES_FILE"] = os.devnull


def _print_loads(warehouse: Warehouse, run_id: str, waiting: int, verbose: bool) -> None:
    """What became of the deliveries of a run."""
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


def _print_generation(warehouse: Warehouse, rules: Rules, verbose: bool) -> None:
    """What readers get, and how it differs from what they got before."""
    publications = Publications(warehouse)
    current = publications.current()
    if current is None:
        console.print("Nothing is published yet.")
        return
    meta = publications.meta(current)
    behind = describe_freshness(freshness(meta["data_through"], rules))
    reached = f"data through {meta['data_through']} ({behind})" if meta["data_through"] else behind
    row_counts = json.loads(meta["row_counts"])
    contacts, clients = counted(row_counts["journal"], "contact"), counted(row_counts["client_card"], "client")
    console.print(f"Generation {current}, {reached}, {contacts} of {clients}: {escape(str(publications.link))}")
    changes = json.loads(meta["changes"])
    if verbose:
        console.print("  rows: " + ", ".join(f"{mart} {count:,}" for mart, count in row_counts.items()))
        for line in describe_reasons(changes):
            console.print(f"  since the generation before: {line}")
    elif changes:
        console.print(f"  since the generation before: {describe_changes(changes)}")
    pinned = publications.pinned()
    if pinned is not None:
        console.print(f"  readers are held at generation {pinned} by a rollback; `resume` lets them go on")
    _print_warnings(generation_warnings(publications, current))


def _print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        console.print(f"[yellow]Warning:[/] {escape(warning)}")


@app.command()
def status(verbose: Verbose = False) -> None:
    """What is landed, loaded, rejected and published."""
    settings = Settings.read()
    rules = Rules.read()
    warehouse = Warehouse(settings.warehouse_dir)
    landing = scan(settings.landing_dir, list(delivered_tables()), rules.first_load_day, rules.yesterday())
    problems: list[str] = []
    try:
        known = read_ledger(warehouse)
    except (DamageError, SettingsError) as error:
        problems.append(str(error))
        known = {}
    # Without the ledger, all would look new.
    waiting = [] if problems else pending(landing.deliveries, known)
    console.print(
        f"landing folder   {escape(str(settings.landing_dir))}: {counted(len(landing.deliveries), 'delivery')}"
    )
    _print_warnings(landing.warnings)
    for delivery in waiting if verbose else waiting[:MOST_PENDING]:
        outcome = known.get((delivery.table, delivery.day), ("new", ()))[0]
        reason = {"failed": "failed, pending until mended", "new": "new"}.get(outcome, "changed")
        console.print(f"  pending: {delivery.table}/{delivery.day} ({reason})")
    if len(waiting) > MOST_PENDING and not verbose:
        console.print(f"  pending: {len(waiting) - MOST_PENDING:,} more, to {waiting[-1].day}; `status -v` lists them")
    problems += filter(None, [_print_sources(settings, rules)])
    try:
        _print_warehouse(warehouse, rules, verbose)
    except DamageError as error:
        problems.append(str(error))
    if problems:
        raise _Problem("\n".join(problems))


def _print_warehouse(warehouse: Warehouse, rules: Rules, verbose: bool) -> None:
    publications = Publications(warehouse)
    console.print(f"warehouse folder {escape(str(warehouse.folder))}")
    current = publications.current()
    if current is None:
        console.print("  nothing is published yet")
        return
    with publications.opened(current) as connection:
        tables = connection.execute(
            """
            select table_name, count(*), min(load_day), max(load_day), sum(delivered_count), sum(loaded_count),
                sum(rejected_count)
            from _loads where outcome = 'loaded' and superseded_by is null group by all order by all
            """
        ).fetchall()
        rejected = connection.execute(
            "select table_name, reason, sum(row_count) from _rejected group by all order by all"
        ).fetchall()
        large = connection.execute("from _large_clients limit 10").fetchall()
    shown = Table("table", "days", "first", "last", "delivered", "loaded", "rejected")
    for name, days, first, last, *counts in tables:
        shown.add_row(name, f"{days:,}", str(first), str(last), *(f"{count:,}" for count in counts))
    if tables:
        console.print(shown)
    for name, reason, count in rejected:
        console.print(f"  rejected: {name}, {reason}: {count:,}")
    for client, _, contacts, touches, identifiers, kind, identifier, records, _ in large:
        console.print(
            f"  large client: {escape(client)} has {counted(contacts, 'contact')}, {counted(touches, 'touch')} and "
            f"{counted(identifiers, 'identifier')}; {counted(records, 'row')} of it {'carries' if records == 1 else 'carry'} {kind} {escape(identifier)}. If that isn't one person's, add a line "
            f"`{escape(_csv_line(kind, identifier, 'shared by many'))}` to seeds/ignored_identifiers.csv"
        )
    console.print("kept generations: " + ", ".join(map(str, publications.numbers())))
    _print_generation(warehouse, rules, verbose)


def _print_sources(settings: Settings, rules: Rules) -> str | None:
    """What is wrong with sources.yml, if anything."""
    from sources.configuration import read_sources
    from sources.fetching import delivered_days, missing_days

    try:
        sources = read_sources()
    except SettingsError as error:
        return str(error)
    for name, source in sources.items():
        days = set().union(*delivered_days(source, settings.landing_dir).values())
        if not days:
            console.print(f"source {escape(name)}: nothing of it lies in the landing folder")
            continue
        missing = missing_days(source, rules, settings.landing_dir)
        told = f"; missing, and due: {shortened([str(day) for day in missing])}" if missing else ""
        console.print(f"source {escape(name)}: {describe_period(min(days), max(days))}{told}")
    return None


def _csv_line(*cells: str) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


@app.command()
def rejected(
    limit: Annotated[int, typer.Option(min=1, help="How many rows to show, the latest days first.")] = 20,
    out: Annotated[Path | None, typer.Option("--out", help="A CSV file to write all of them to, instead.")] = None,
) -> None:
    """Shows the rejected rows: where they lie, what is wrong with them, and what they say."""
    warehouse = Warehouse(Settings.read().warehouse_dir)
    query = """
        select
            table_name as "table", load_day as day, file_name as file, row_number as "row", reason, row_text as text
        from raw.rejected_rows inner join raw.loads using (load_id)
        where outcome = 'loaded' and superseded_by is null
        order by load_day desc, table_name, file_name, row_number
    """
    if not os.path.lexists(warehouse.file):
        raise PublicationError("Nothing is loaded yet: run a load first.")
    _say_progress()
    with explained(warehouse), warehouse.locked("rejected"), warehouse.connected() as connection:
        if out is None:
            _Excerpt(connection, is_full=True).show(
                "Rejected rows", f"{query} limit $limit", {"limit": limit}, otherwise="No row is rejected."
            )
        else:
            target = str(out).replace("'", "''")
            written = connection.execute(f"copy ({query}) to '{target}' (format csv, header)").fetchone()
            console.print(f"{escape(str(out))}: {counted(written[0] if written else 0, 'rejected row')}")


@app.command()
def verify() -> None:
    """Compares the marts, row by row, with a full rebuild beside them; changes nothing."""
    from orchestration.verifying import verify as compare

    warehouse = Warehouse(Settings.read().warehouse_dir)
    _say_progress()
    with explained(warehouse), warehouse.locked("verify"):
        differences = compare(warehouse, Rules.read())
    if differences:
        raise _Problem(
            "\n".join(map(str, differences))
            + "\n`load --full-refresh` puts it right. Please report it, with what was loaded lately."
        )
    console.print("No difference: the marts are what a full rebuild gives, row for row.")


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option("--to", help="The generation; by default the one before.")] = None,
) -> None:
    """Moves readers back to an earlier generation, and holds them there until `resume`."""
    warehouse = Warehouse(Settings.read().warehouse_dir)
    _say_progress()
    with explained(warehouse), warehouse.locked("rollback"):
        number = Publications(warehouse).rollback(to)
    console.print(f"Readers are at generation {number} until `resume`; loads go on and wait.")


@app.command()
def resume() -> None:
    """Lets readers have the newest generation again after a rollback."""
    warehouse = Warehouse(Settings.read().warehouse_dir)
    _say_progress()
    with explained(warehouse), warehouse.locked("resume"):
        number = Publications(warehouse).resume()
    console.print(f"Readers are at generation {number}, and follow new ones.")


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")],
) -> None:
    """Writes the published marts as Parquet files."""
    publications = Publications(Warehouse(Settings.read().warehouse_dir))
    current = publications.current()
    if current is None:
        raise PublicationError("Nothing is published yet: run a load first.")
    publications.meta(current)
    out.mkdir(parents=True, exist_ok=True)
    with publications.opened(current) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for mart in (*MARTS, *VIEWS):
            unfinished = out / f".{mart}.parquet.part"
            target = str(unfinished).replace("'", "''")
            connection.execute(f"copy {mart} to '{target}' (format parquet, compression zstd)")
            os.replace(unfinished, out / f"{mart}.parquet")
            console.print(escape(f"{out / mart}.parquet"))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="The landing folder to write to.")],
    days: Annotated[int, typer.Option(min=1, help="How many days of deliveries.")] = 30,
    touches: Annotated[int, typer.Option(min=1, help="About how many touches in all.")] = 60_000,
    seed: Annotated[int, typer.Option(help="Another number gives other data.")] = 1,
    last_day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last of these days; by default yesterday.")
    ] = None,
) -> None:
    """Writes believable deliveries of a window company with several sites."""
    written = write_demo(out, days=days, touches=touches, seed=seed, last_day=last_day.date() if last_day else None)
    rows = ", ".join(f"{table} {count:,}" for table, count in written.rows.items())
    console.print(
        escape(
            f"{out}: {counted(written.files, 'delivery')} of {counted(written.days, 'day')}, "
            f"{describe_period(written.first_day, written.last_day)}; rows: {rows}"
        )
    )


@app.command()
def look(
    contact: Annotated[
        str | None, typer.Option("--contact", help="A contact's id; by default one worth looking at.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Shows an excerpt of the published journal, what channels cost and earned, and one client's card with its history."""
    publications = Publications(Warehouse(Settings.read().warehouse_dir))
    current = publications.current()
    if current is None:
        raise PublicationError("Nothing is published yet: run a load first.")
    zone = Rules.read().report_timezone
    with publications.opened(current) as connection:
        connection.execute("set TimeZone = ?", [zone])
        excerpt = _Excerpt(connection, verbose)
        excerpt.show(
            f"Журнал: the latest contacts (times in {zone})",
            """
            select
                strftime(contacted_at, '%d.%m.%Y %H:%M') as "when", contact_type as type, widget_name as site,
                client_name as client, coalesce(phone, '') as phone, icon, touch_count as touches,
                coalesce(touch_chain, '') as chain
            from journal order by contacted_at desc, contact_id limit $rows
            """,
            {"rows": 12 if verbose else 4},
            otherwise="There is no contact yet.",
        )
        excerpt.show(
            "Каналы: what they cost and earned, all touches of a contact counting the same (model linear)",
            """
            select
                channel, format('{:,.0f}', sum(spend)::double) as spend, round(sum(credited_contacts), 1) as contacts,
                coalesce(format('{:,.0f}', nullif(sum(spend), 0)::double / nullif(sum(credited_contacts), 0)::double), '') as "cost per contact",
                coalesce(format('{:.1f}', sum(credited_value)::double / nullif(sum(spend), 0)::double), '') as "return on spend"
            from channel_performance where model = 'linear'
            group by channel order by sum(credited_contacts) desc, channel limit $rows
            """,
            {"rows": 12 if verbose else 4},
        )
        chosen = connection.execute(
            """
            select contact_id, client_id from journal
            inner join client_card using (client_id)
            where coalesce(contact_id = $contact, is_multichannel)
            order by touch_count between 3 and 4 desc, touch_count between 3 and 8 desc, contact_count between 2 and 5 desc, contacted_at desc, contact_id
            limit 1
            """,
            {"contact": contact},
        ).fetchone()
        if chosen is None:
            if contact:
                raise _Problem(f"There is no contact {contact} in generation {current}.")
            console.print("No contact is multichannel yet.")
            return
        excerpt.show(
            "Карточка клиента: one client",
            """
            select
                client_name as client, coalesce(phone, '') as phone, location,
                strftime(first_touch_at, '%d.%m.%Y %H:%M') as "first touch", contact_count as contacts,
                multichannel_contact_count as multichannel
            from client_card where client_id = $client
            """,
            {"client": chosen[1]},
        )
        if verbose or contact:
            excerpt.show(
                "Вся история клиента: all the client's contacts",
                """
                select
                    contact_number as no, strftime(contacted_at, '%d.%m.%Y %H:%M') as "when", contact_type as type, location,
                    touch_count as touches, coalesce(highlight, '') as highlight
                from client_history where client_id = $client order by contact_number
                """,
                {"client": chosen[1]},
            )
        excerpt.show(
            f"История взаимодействия: the touches that led to contact {chosen[0]}",
            """
            select
                touch_rank as no, strftime(touched_at, '%d.%m.%Y %H:%M') as "when", action_type as action, channel,
                coalesce(utm_campaign, '') as campaign, coalesce(utm_term, '') as term, coalesce(device_type, '') as device
            from interaction_history where contact_id = $contact order by touch_rank
            """,
            {"contact": chosen[0]},
            most=None if verbose or contact else 5,
        )


class _Excerpt:
    """Tables of rows: in full with frames and all text, in short a line a row."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, is_full: bool) -> None:
        self.connection = connection
        self.is_full = is_full

    def show(
        self,
        title: str,
        query: str,
        parameters: dict[str, Any] | None = None,
        otherwise: str | None = None,
        most: int | None = None,
    ) -> None:
        """What a query gives, the first `most` rows of it; a sentence instead if it gives nothing."""
        cursor = self.connection.execute(query, parameters or {})
        rows = cursor.fetchall()
        if not rows and otherwise:
            console.print(otherwise)
            return
        shown = Table(title=escape(title), title_justify="left")
        if not self.is_full:
            shown.box, shown.pad_edge = None, False
        for name, *_ in cursor.description or ():
            shown.add_column(name, no_wrap=not self.is_full, overflow="fold" if self.is_full else "ellipsis")
        for row in rows[:most]:
            shown.add_row(*(escape(self._cell(value)) for value in row))
        console.print(shown)
        if most and len(rows) > most:
            console.print(f"… {len(rows) - most:,} more: `look -v`")
        console.print()

    def _cell(self, value: Any) -> str:
        text = "" if value is None else str(value)
        return text if self.is_full or len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


class _Problem(Exception):
    """Something a user must act on, said in full."""


# What its message alone explains. Anything else is a mistake of this project's, which needs the traceback.
EXPECTED = (
    SettingsError, ResourcesError, PublicationError, DamageError, WarehouseBusyError, _Problem, ValueError, duckdb.Error, OSError
)  # fmt: skip


class _Progress(logging.Formatter):
    """A line each: what was said, when, and whether it is a warning or an error."""

    def format(self, record: logging.LogRecord) -> str:
        said = one_line(record.getMessage())
        kind = f"{record.levelname.capitalize()}: " if record.levelno >= logging.WARNING else ""
        return f"{self.formatTime(record, '%H:%M:%S')} {kind}{said}"


class _Shown(logging.Filter):
    """Lets details pass if they are asked for, and each distinct warning once: several steps may come upon the same."""

    def __init__(self, verbose: bool) -> None:
        super().__init__()
        self.verbose = verbose
        self.warnings: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == details.name and not self.verbose:
            return False
        if record.levelno != logging.WARNING:
            return True
        said = record.getMessage()
        is_new = said not in self.warnings
        self.warnings.add(said)
        return is_new


def _say_progress(verbose: bool = False) -> None:
    log.setLevel(logging.INFO)
    if any(isinstance(handler.formatter, _Progress) for handler in log.handlers):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Progress())
    handler.addFilter(_Shown(verbose))
    log.handlers = [handler]
    log.propagate = False


def main() -> None:
    # A terminal that can't show a letter shows its number.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
    except Exception as problem:
        # A load is what runs while nobody looks.
        if sys.argv[1:2] in (["load"], ["update"], ["fetch"]):
            alert(f"{sys.argv[1]} failed: {problem}")
        if not isinstance(problem, EXPECTED):
            raise
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]Failed:[/] {escape(str(problem))}")
        sys.exit(1)
