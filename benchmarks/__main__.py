"""`python -m benchmarks`: what a load costs, as history grows, in bulk, and when many rows fall to one client; what a fetch costs."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.deliveries import Crowd, Volume, days_until, write_deliveries
from pipeline.contracts import delivered_tables
from pipeline.settings import PROJECT_DIR

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 160)

PHASES = ("load", "build", "publish")

Folder = Annotated[Path, typer.Option(help="Where deliveries and prepared warehouses are kept for the next time.")]
Touches = Annotated[int, typer.Option(help="Touches a day.")]
Contacts = Annotated[int, typer.Option(help="Contacts a day.")]
Seed = Annotated[int, typer.Option(help="Another seed gives other deliveries.")]
Quick = Annotated[bool, typer.Option("--quick", help="Small sizes: does it run at all?")]
LastDay = Annotated[
    datetime, typer.Option(formats=["%Y-%m-%d"], help="The last day of history; what is measured comes after it.")
]
DEFAULT_FOLDER = PROJECT_DIR / "data" / "benchmarks"
DEFAULT_LAST_DAY = datetime(2025, 6, 30)


@dataclass(frozen=True)
class Site:
    """A landing folder and its warehouse."""

    folder: Path

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    @property
    def environment(self) -> dict[str, str]:
        return {"LANDING_DIR": str(self.landing), "WAREHOUSE_DIR": str(self.warehouse), "DAGSTER_HOME": ""}

    def deliver(self, deliveries: Path, days: Iterable[date]) -> None:
        """Hard links, which take no room and are as good as the files."""
        for day in days:
            for table in delivered_tables():
                target = self.landing / table / day.isoformat()
                target.mkdir(parents=True, exist_ok=True)
                for file in (deliveries / table / day.isoformat()).iterdir():
                    if not (target / file.name).exists():
                        os.link(file, target / file.name)


def measured_load(
    site: Site, memory_limit: str | None = None, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One load in a process of its own, by phase."""
    settings = {**site.environment, **(environment or {}), **({"MEMORY_LIMIT": memory_limit} if memory_limit else {})}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measured_load"],
        cwd=PROJECT_DIR, env=os.environ | settings, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"A measured load failed (exit code {done.returncode}); its warehouse is {site.warehouse}")
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def command_seconds(site: Site) -> float:
    """`multichannel load` from start to end, Dagster's included."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "cli", "load"],
        cwd=PROJECT_DIR, env=os.environ | site.environment, check=True, capture_output=True,
    )  # fmt: skip
    return time.monotonic() - began


def code_stamp() -> str:
    """Changes when a warehouse made by the present code could look otherwise."""
    digest = hashlib.sha256()
    for place in (
        "dbt_project.yml",
        "profiles.yml",
        "requirements/locked.txt",
        "cli",
        "demo",
        "pipeline",
        "sources",
        "data_tests",
        "models",
        "macros",
        "seeds",
    ):
        root = PROJECT_DIR / place
        for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if file.suffix in (".py", ".sql", ".yml", ".csv", ".txt"):
                digest.update(file.relative_to(PROJECT_DIR).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def prepared_history(folder: Path, volume: Volume, days: Sequence[date]) -> tuple[Site, dict[str, Any]]:
    """A warehouse that holds these days, loaded in one go and published; made anew when the code has changed."""
    site = Site(folder / f"history-{len(days)}-until-{days[-1]}")
    stamp = site.folder / "prepared.json"
    made_with = {"code": code_stamp()}
    if stamp.exists():
        prepared: dict[str, Any] = json.loads(stamp.read_text())
        if prepared["made_with"] == made_with:
            return site, prepared["outcome"]
    console.print(f"preparing {len(days):,} days of history: {volume}")
    shutil.rmtree(site.folder, ignore_errors=True)
    write_deliveries(folder / "deliveries", days, volume)
    site.deliver(folder / "deliveries", days)
    outcome = measured_load(site)
    stamp.write_text(json.dumps({"made_with": made_with, "outcome": outcome}))
    return site, outcome


def copy_of(site: Site, name: str) -> Site:
    """To measure on, so that what is prepared stays as it is."""
    copy = Site(site.folder.with_name(name))
    shutil.rmtree(copy.folder, ignore_errors=True)
    shutil.copytree(site.landing, copy.landing, copy_function=os.link)
    shutil.copytree(site.warehouse, copy.warehouse, symlinks=True)
    return copy


def middle(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of every figure."""
    return {
        phase: {
            name: median(outcome["phases"][phase][name] for outcome in outcomes)
            for name in outcomes[0]["phases"][phase]
        }
        for phase in outcomes[0]["phases"]
    } | {name: median(outcome[name] for outcome in outcomes) for name in ("peak_bytes", "history_rows")}


def total(load: dict[str, Any], figure: str, phases: Sequence[str] = PHASES) -> float:
    return sum(load[phase][figure] for phase in phases)


def results_table(title: str, subject: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(subject)
    for column in (*PHASES, "in all", "CPU: load", "build", "publish", "in all", "peak memory"):
        table.add_column(column, justify="right")
    return table


def add_result(table: Table, name: str, phases: dict[str, Any], *more: str) -> None:
    cells = [
        f"{seconds:,.2f} s"
        for figure in ("wall_seconds", "cpu_seconds")
        for seconds in (*(phases[phase][figure] for phase in PHASES), total(phases, figure))
    ]
    table.add_row(name, *cells, _size(phases["peak_bytes"]), *more)


def _size(number: float) -> str:
    return f"{number / 2**20:,.0f} MiB"


def ratios(name: str, compared: Sequence[dict[str, Any]], to: Sequence[dict[str, Any]]) -> str:
    """How many times as much one took as another: the median over pairs that were measured one after the other."""

    def times(figure: str, phases: Sequence[str] = PHASES) -> str:
        return median_ratio(*([total(load, figure, phases) for load in loads] for loads in (compared, to)))

    parts = []
    for figure in ("cpu_seconds", "wall_seconds"):
        by_phase = ", ".join(f"{phase} {times(figure, [phase])}" for phase in PHASES)
        parts.append(f"{figure.split('_')[0]} {times(figure)} ({by_phase})")
    peak = median_ratio(*([load["peak_bytes"] for load in loads] for loads in (compared, to)))
    return f"{name}: {'; '.join(parts)}; peak memory {peak}"


def median_ratio(amounts: Iterable[float], others: Iterable[float]) -> str:
    """The median over pairs, and how far they differ if there are several."""
    found = sorted(amount / max(other, 0.001) for amount, other in zip(amounts, others, strict=True))
    return f"× {median(found):.2f}" + (f" ({found[0]:.2f}–{found[-1]:.2f})" if len(found) > 1 else "")


@app.command()
def compare(
    touches: Annotated[
        str, typer.Option(help="Sizes of the delivery that is loaded in full.")
    ] = "200000,2000000,10000000",
    runs: Annotated[int, typer.Option(help="How often everything is measured, in turn.")] = 5,
    large_runs: Annotated[int, typer.Option(help="How often sizes above 2,000,000 are, in clean formats only.")] = 3,
    with_peers: Annotated[bool, typer.Option("--peers/--no-peers", help="Other tools beside it, from CSV.")] = True,
    peers_up_to: Annotated[int, typer.Option(help="The largest size that peers are measured on.")] = 2_000_000,
    folder: Folder = DEFAULT_FOLDER,
    quick: Quick = False,
) -> None:
    """Loads in full, by day and with nothing new, beside the least that they could cost and beside other tools; writes benchmarks/README.md."""
    from benchmarks.compared import LARGE, full_loads, lines_of, small_days, write_results
    from benchmarks.peer_runs import PeerRuns

    if quick:
        touches, runs = "20000", 1
    peers = PeerRuns() if with_peers else None
    rows = small_days(folder / "compared", runs)
    for size in map(int, touches.split(",")):
        runs_of_size = large_runs if size > LARGE else runs
        rows += full_loads(folder / "compared", size, runs_of_size, peers if size <= peers_up_to else None)
    console.print("\n".join(lines_of(rows, peers)))
    if not quick:
        write_results(rows, peers)


@app.command()
def counting(
    touches: Annotated[int, typer.Option(help="Touches of ordinary clients.")] = 2_000_000,
    clients: Annotated[int, typer.Option(help="Ordinary clients.")] = 150_000,
    oversized: Annotated[int, typer.Option(help="Oversized clients, in the second scene.")] = 3,
    runs: Annotated[int, typer.Option(help="How often each way is measured, in turn.")] = 5,
    limit_seconds: Annotated[float, typer.Option(help="A way that takes longer has no result.")] = 120,
    folder: Folder = DEFAULT_FOLDER,
    quick: Quick = False,
) -> None:
    """Counting alone, by the project's models and by a plain join of contacts and touches; also with oversized clients."""
    from benchmarks.counting import OVERSIZED, OWN, PEER, counted_in_turn, median_run, prepared_inputs, total_of

    if quick:
        touches, clients, runs = 20_000, 1_500, 1
    title = f"Touches to counts: {touches:,} touches of {clients:,} clients, median of {runs}"
    table = Table(title=title, title_justify="left")
    table.add_column("clients")
    table.add_column("way")
    for column in ("CPU", "wall", "peak memory", "CPU of each statement"):
        table.add_column(column, justify="right")
    lines = []
    crowd = (
        f"+ {oversized} of {OVERSIZED['oversized_touches']:,} touches × {OVERSIZED['oversized_contacts']:,} contacts"
    )
    for scene, count in (("ordinary", 0), (crowd, oversized)):
        inputs = prepared_inputs(folder / "counting", touches, clients, count)
        runs_by_way = counted_in_turn(inputs, runs, limit_seconds)
        for way, runs_of_way in runs_by_way.items():
            phases = median_run(runs_of_way)
            if phases is None:
                table.add_row(scene, way, f"no result in {limit_seconds:,.0f} s")
                continue
            table.add_row(
                scene,
                way,
                *(f"{total_of(phases, figure):,.2f} s" for figure in ("cpu_seconds", "wall_seconds")),
                _size(max(phase["peak_bytes"] for phase in phases.values())),
                ", ".join(f"{name} {phase['cpu_seconds']:.2f}" for name, phase in phases.items()),
            )
        finished = [runs for runs in zip(runs_by_way[OWN], runs_by_way[PEER], strict=True) if all(runs)]
        for figure, name in (("cpu_seconds", "CPU"), ("wall_seconds", "wall")):
            if finished:
                own, peer = ([total_of(phases, figure) for phases in way] for way in zip(*finished, strict=True))
                lines.append(f"{scene}, {OWN} to {PEER}: {name} {median_ratio(own, peer)}")
    console.print(table)
    for line in lines:
        console.print(line)


@app.command()
def growth(
    days: Annotated[str, typer.Option(help="Sizes of history to compare.")] = "30,300,1000",
    touches: Touches = 20_000,
    contacts: Contacts = 1_000,
    repeats: Annotated[int, typer.Option(help="How many days to measure on top, one after another.")] = 9,
    seed: Seed = 1,
    file_format: Annotated[str, typer.Option(help="parquet or csv.")] = "parquet",
    folder: Folder = DEFAULT_FOLDER,
    last_day: LastDay = DEFAULT_LAST_DAY,
    quick: Quick = False,
) -> None:
    """The same days' deliveries on top of ever longer histories: what a load costs should not grow with them."""
    if quick:
        days, touches, contacts, repeats = "3,10,30", 2_000, 100, 2
    sizes = sorted(int(size) for size in days.split(","))
    volume = Volume(touches, contacts, seed, file_format)
    home = folder / str(volume)
    measured_days = days_until(last_day.date() + timedelta(days=repeats + 1), repeats + 1)
    write_deliveries(home / "deliveries", measured_days, volume)

    table = results_table(
        f"A day of {touches:,} touches and {contacts:,} contacts on top of history, median of {repeats} days", "history"
    )
    table.add_column("clients affected", justify="right")
    table.add_column("whole command", justify="right")
    preparations = results_table("The histories themselves, loaded in one go", "history")
    sites = {}
    outcomes: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    for size in sizes:
        history, preparation = prepared_history(home, volume, days_until(last_day.date(), size))
        add_result(preparations, f"{size:,} days", preparation["phases"] | {"peak_bytes": preparation["peak_bytes"]})
        sites[size] = copy_of(history, f"measured-{size}")
    # Day by day and not size by size, so that every size is measured next to the others: to and fro, and what one
    # has written is on the disk before the next begins.
    for number, day in enumerate(measured_days[:-1]):
        for size in reversed(sizes) if number % 2 else sizes:
            sites[size].deliver(home / "deliveries", [day])
            os.sync()
            outcomes[size].append(measured_load(sites[size]))
    results = {}
    for size, site in sites.items():
        site.deliver(home / "deliveries", measured_days[-1:])
        whole = command_seconds(site)
        shutil.rmtree(site.folder)
        results[size] = middle(outcomes[size])
        affected = [day["affected_clients"] for day in outcomes[size] if day["affected_clients"] is not None]
        add_result(
            table,
            f"{size:,} days",
            results[size],
            f"{median(affected):,.0f}" if affected else "all",
            f"{whole:,.1f} s",
        )
    console.print(preparations)
    console.print(table)
    # A machine's speed changes within minutes: what is compared was measured within one.
    loads = {size: [middle([outcome]) for outcome in outcomes[size]] for size in sizes}
    for size in sizes[1:]:
        console.print(ratios(f"{size:,} days to {sizes[0]:,}", loads[size], loads[sizes[0]]))


@app.command()
def volume(
    days: Annotated[int, typer.Option(help="Days to load in one go.")] = 1_000,
    touches: Touches = 100_000,
    contacts: Contacts = 5_000,
    memory_limit: Annotated[str, typer.Option(help="DuckDB's part of the memory.")] = "4GB",
    process_gigabytes: Annotated[float, typer.Option(help="What the whole process may take; beyond it fails.")] = 6,
    seed: Seed = 1,
    file_format: Annotated[str, typer.Option(help="parquet or csv.")] = "parquet",
    folder: Folder = DEFAULT_FOLDER,
    last_day: LastDay = DEFAULT_LAST_DAY,
    quick: Quick = False,
) -> None:
    """Everything at once under a limit of memory, then one more day on top."""
    if quick:
        days, touches, contacts = 30, 2_000, 100
    size = Volume(touches, contacts, seed, file_format)
    home = folder / str(size)
    history_days = days_until(last_day.date(), days)
    next_day = last_day.date() + timedelta(days=1)
    began = time.monotonic()
    write_deliveries(home / "deliveries", [*history_days, next_day], size)
    console.print(f"deliveries of {days * touches:,} touches: there after {time.monotonic() - began:,.0f} s")
    site = Site(home / "measured")
    shutil.rmtree(site.folder, ignore_errors=True)
    site.deliver(home / "deliveries", history_days)
    outcome = measured_load(site, memory_limit)
    table = results_table(f"{days:,} days of {touches:,} touches and {contacts:,} contacts", "loaded")
    add_result(table, f"{days:,} days at once", outcome["phases"] | {"peak_bytes": outcome["peak_bytes"]})
    site.deliver(home / "deliveries", [next_day])
    one_day = measured_load(site, memory_limit)
    add_result(table, "one day more", middle([one_day]))
    shutil.rmtree(site.folder)
    console.print(table)
    rows = days * (touches + contacts)
    console.print(f"{rows / outcome['phases']['load']['wall_seconds']:,.0f} rows a second into raw")
    peak = max(outcome["peak_bytes"], one_day["peak_bytes"])
    if peak > process_gigabytes * 10**9:
        raise SystemExit(
            f"The process took {peak / 10**9:.2f} GB, more than the {process_gigabytes:g} that it may take"
        )


@app.command()
def crowds(
    days: Annotated[int, typer.Option(help="Days of ordinary history.")] = 30,
    touches: Touches = 20_000,
    contacts: Contacts = 1_000,
    scale: Annotated[float, typer.Option(help="1: crowds of 100,000 touches; 0.01: of 1,000.")] = 1.0,
    memory_limit: Annotated[str, typer.Option(help="DuckDB's part of the memory; what is free is used.")] = "1GB",
    seed: Seed = 1,
    folder: Folder = DEFAULT_FOLDER,
    last_day: LastDay = DEFAULT_LAST_DAY,
    quick: Quick = False,
) -> None:
    """A bot, a number that everybody calls from and a kiosk, against as many rows of ordinary clients."""
    if quick:
        days, touches, contacts, scale = 3, 2_000, 100, 0.01
    volume = Volume(touches, contacts, seed)
    home = folder / str(volume)

    def scaled(count: int) -> int:
        return max(1, round(count * scale))

    bot = Crowd("bot", scaled(100_000), scaled(10_000), 1)
    bot_rows = Crowd("bot-rows", bot.touches, bot.contacts, bot.contacts)
    number = Crowd("number", scaled(100_000), scaled(20_000), scaled(20_000), "phone")
    kiosk = Crowd("kiosk", number.touches, number.contacts, number.cookies, "yandex_client_id")
    hub_rows = Crowd("hub-rows", number.touches, number.contacts, number.cookies)
    scenes: list[tuple[str, Crowd | None]] = [
        ("an ordinary day", None),
        (f"+ {bot.touches:,} touches, {bot.contacts:,} contacts of {bot_rows.cookies:,} clients", bot_rows),
        ("+ the same rows of one client", bot),
        (f"+ {number.touches:,} touches, {number.contacts:,} contacts of {hub_rows.cookies:,} clients", hub_rows),
        ("+ the same rows, called from one number", number),
        ("+ the same rows, with one Metrica id", kiosk),
    ]
    history, _ = prepared_history(home, volume, days_until(last_day.date(), days))
    day = last_day.date() + timedelta(days=1)
    tables = [
        results_table("The day that brings the crowd", "delivery"),
        results_table("The next day, when a hundredth of the crowd comes again", "delivery"),
    ]
    for table in tables:
        table.add_column("touches in histories", justify="right")
    results: dict[str, list[dict[str, Any]]] = {}
    for name, crowd in scenes:
        site = copy_of(history, "measured")
        again = crowd and Crowd(
            crowd.name, max(1, crowd.touches // 100), max(1, crowd.contacts // 100), crowd.cookies, crowd.shared
        )
        results[crowd.name if crowd else ""] = outcomes = []
        for table, delivered_day, guests in zip(tables, (day, day + timedelta(days=1)), (crowd, again), strict=True):
            write_deliveries(site.landing, [delivered_day], volume, guests)
            outcomes.append(middle([measured_load(site, memory_limit)]))
            # One client's contacts have all touches before them in their histories, up to the limit.
            add_result(table, name, outcomes[-1], f"{outcomes[-1]['history_rows']:,.0f}")
        shutil.rmtree(site.folder)
    for position, table in enumerate(tables):
        console.print(table)
        for name, connected, separate in (
            ("one client to many", "bot", "bot-rows"),
            ("one number to many clients", "number", "hub-rows"),
            ("one Metrica id to many clients", "kiosk", "hub-rows"),
        ):
            console.print(ratios(name, [results[connected][position]], [results[separate][position]]))


@app.command()
def cluster(
    days: Annotated[int, typer.Option(help="Days to load in one go.")] = 100,
    touches: Touches = 100_000,
    contacts: Contacts = 5_000,
    of_one_client: Annotated[int, typer.Option(help="Touches of one client, on the last day.")] = 1_000_000,
    numbers: Annotated[str, typer.Option("--workers", help="Numbers of workers to compare.")] = "1,2",
    seed: Seed = 1,
    folder: Folder = DEFAULT_FOLDER,
    last_day: LastDay = DEFAULT_LAST_DAY,
    quick: Quick = False,
) -> None:
    """A full load and one more day on DuckDB, and on Spark with one worker and with two."""
    from benchmarks.cluster import figures_of, workers

    if quick:
        days, touches, contacts, of_one_client = 3, 2_000, 100, 1_000
    size = Volume(touches, contacts, seed)
    home = folder / f"cluster-{size}-{days}-days-{of_one_client}-of-one-client"
    bot = Crowd("bot", of_one_client, max(1, of_one_client // 100), 1)
    history_days = days_until(last_day.date(), days)
    next_day = last_day.date() + timedelta(days=1)
    write_deliveries(home / "deliveries", [*history_days[:-1], next_day], size)
    write_deliveries(home / "deliveries", history_days[-1:], size, bot)
    table = results_table(
        f"{days * touches + of_one_client:,} touches, {of_one_client:,} of them of one client", "load"
    )
    spark_table = Table(title="What the workers did", title_justify="left")
    spark_table.add_column("load")
    for column in ("run", "CPU", "shuffled", "spilled", "execution memory", "longest task", "longest to median"):
        spark_table.add_column(column, justify="right")

    def measure(name: str, environment: dict[str, str], log_folder: Path | None) -> None:
        site = Site(home / "measured")
        shutil.rmtree(site.folder, ignore_errors=True)
        for load, delivered in (("in full", history_days), ("one more day", [next_day])):
            site.deliver(home / "deliveries", delivered)
            outcome = measured_load(site, environment=environment)
            add_result(table, f"{name}, {load}", outcome["phases"] | {"peak_bytes": outcome["peak_bytes"]})
            # All of it takes an hour.
            console.print(f"{name}, {load}: {outcome['phases']}")
            if log_folder:
                figures = figures_of(log_folder)
                console.print(figures)
                spark_table.add_row(
                    f"{name}, {load}",
                    *(f"{figures[figure]:,.1f} s" for figure in ("executor_seconds", "executor_cpu_seconds")),
                    *(
                        _size(figures[figure])
                        for figure in ("shuffled_bytes", "spilled_bytes", "largest_execution_bytes")
                    ),
                    f"{figures['longest_task_seconds']:,.1f} s",
                    f"{figures['longest_to_median'] or 0:,.1f} ({figures['uneven_task_seconds'] or 0:,.1f} s, {figures['uneven_node']})",
                )
        shutil.rmtree(site.folder)

    measure("DuckDB", {"ENGINE": "duckdb"}, None)
    for number in map(int, numbers.split(",")):
        log_folder = home / f"{number}-workers"
        with workers(number, log_folder) as environment:
            measure(f"Spark, {number} × 1 core", environment, log_folder)
    console.print(table)
    console.print("Spark's CPU time and memory are those of the process that builds, without Java's and the workers'.")
    console.print(spark_table)


@app.command()
def report(
    days: Annotated[str, typer.Option(help="Sizes of history to compare.")] = "1,1000",
    touches: Touches = 15_000,
    contacts: Contacts = 5_000,
    repeats: Annotated[int, typer.Option(help="How often everything is clicked.")] = 7,
    seed: Seed = 1,
    folder: Folder = DEFAULT_FOLDER,
    last_day: LastDay = DEFAULT_LAST_DAY,
    quick: Quick = False,
) -> None:
    """Pages of the report, from a click until all is there, on few contacts and on very many."""
    from benchmarks.pages import ACTIONS, measured_pages

    if quick:
        days, touches, contacts, repeats = "1,10", 2_000, 500, 2
    volume = Volume(touches, contacts, seed)
    sizes = [int(size) for size in days.split(",")]
    home = folder / str(volume)
    sites = [prepared_history(home, volume, days_until(last_day.date(), size))[0] for size in sizes]
    results = [measured_pages(site.warehouse, repeats) for site in sites]
    table = Table(title="The report in a browser, median", title_justify="left")
    table.add_column("clicked")
    for size in sizes:
        table.add_column(f"{size * contacts:,} contacts", justify="right")
    table.add_column("ratio", justify="right")
    for action in ACTIONS:
        taken = [result[action] for result in results]
        table.add_row(action, *(f"{time:,.0f} ms" for time in taken), f"× {taken[-1] / taken[0]:.2f}")
    memory = [result["peak"] for result in results]
    table.add_row("peak memory", *(f"{peak / 2**20:,.0f} MiB" for peak in memory), f"× {memory[-1] / memory[0]:.2f}")
    console.print(table)


@app.command()
def postgres(
    days: Annotated[int, typer.Option(help="Days to fetch.")] = 10,
    touches: Touches = 100_000,
    repeats: Annotated[int, typer.Option(help="How often each way is measured, in turn.")] = 7,
    seed: Seed = 1,
    folder: Folder = DEFAULT_FOLDER,
    last_day: LastDay = DEFAULT_LAST_DAY,
    quick: Quick = False,
) -> None:
    """Touches fetched from a real PostgreSQL into the landing folder, against the server's bare COPY of the same rows."""
    from benchmarks.postgres import COPY, COPY_TO_FILE, FETCH, measured_fetches

    if quick:
        days, touches, repeats = 3, 2_000, 2
    volume = Volume(touches, 0, seed, "csv")
    taken = measured_fetches(folder / str(volume), volume, days_until(last_day.date(), days), repeats)
    seconds = {way: [outcome["wall_seconds"] for outcome in outcomes] for way, outcomes in taken.items()}
    rows = taken[FETCH][0]["rows"]
    table = Table(title=f"{rows:,} touches of {days:,} days, median of {repeats}", title_justify="left")
    table.add_column("way")
    for column in ("in all", "rows a second", "CPU", "peak memory"):
        table.add_column(column, justify="right")
    for way, times in seconds.items():
        own = [f"{median(outcome['cpu_seconds'] for outcome in taken[way]):,.2f} s"] if way == FETCH else [""]
        peak = [_size(max(outcome["peak_bytes"] for outcome in taken[way]))] if way == FETCH else [""]
        table.add_row(way, f"{median(times):,.2f} s", f"{rows / median(times):,.0f}", *own, *peak)
    console.print(table)
    for way in (COPY, COPY_TO_FILE):
        console.print(f"{FETCH} to {way}: {median_ratio(seconds[FETCH], seconds[way])}")


@app.command()
def columns(
    sizes: Annotated[str, typer.Option(help="How many columns or keys.")] = "100,300,1000,3000,10000",
    rows: Annotated[int, typer.Option(help="Rows of each file.")] = 1,
    quick: Quick = False,
) -> None:
    """Files of ever more columns in every format: what reading one costs should grow with them and not with their square."""
    from benchmarks.measured_columns import FORMS

    counts = [int(size) for size in ("100,1000" if quick else sizes).split(",")]
    table = Table(title=f"A file of {rows:,} rows: CPU, peak memory", title_justify="left")
    table.add_column("format")
    for count in counts:
        table.add_column(f"{count:,}", justify="right")
    for form in FORMS:
        cells = []
        for count in counts:
            with tempfile.TemporaryDirectory() as folder:
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.measured_columns", form, str(count), str(rows)],
                    cwd=PROJECT_DIR, env=os.environ | Site(Path(folder)).environment, check=True, stdout=subprocess.PIPE,
                )  # fmt: skip
            taken = json.loads(done.stdout.splitlines()[-1])
            cells.append(f"{taken['cpu_seconds']:,.2f} s, {_size(taken['peak_bytes'])}")
        table.add_row(form, *cells)
    console.print(table)


@app.command()
def deliveries(
    out: Annotated[Path, typer.Option(help="The landing folder to fill.")],
    days: Annotated[int, typer.Option(help="How many.")] = 30,
    touches: Touches = 20_000,
    contacts: Contacts = 1_000,
    seed: Seed = 1,
    file_format: Annotated[str, typer.Option(help="parquet or csv.")] = "parquet",
    last_day: LastDay = DEFAULT_LAST_DAY,
) -> None:
    """Only writes deliveries."""
    began = time.monotonic()
    write_deliveries(out, days_until(last_day.date(), days), Volume(touches, contacts, seed, file_format))
    console.print(f"{days:,} days in {time.monotonic() - began:,.1f} s")


app()
