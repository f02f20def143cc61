"""What loads cost beside the least that they could: the table of benchmarks/README.md and benchmarks/results.json."""

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import duckdb

from benchmarks.costs import Cost, cost_of
from benchmarks.peer_runs import PeerRuns
from demo.deliveries import write_demo
from pipeline import sql
from pipeline.settings import PROJECT_DIR, Settings

FORMATS = ("csv", "parquet", "faulty csv")
LARGE = 2_000_000  # touches; above it, only clean formats
FAULTY_ROW = "a,b\n"
FAULTY_FILES = 10  # one in so many
LAST_DAY = date(2025, 6, 30)
PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "dagster")
RESULTS, README = (PROJECT_DIR / "benchmarks" / name for name in ("results.json", "README.md"))
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"


@dataclass(frozen=True)
class Row:
    """The medians of a command's runs, and of its runs' ratios to the floor measured beside each, in CPU."""

    what: str
    touches: int
    contacts: int
    format: str
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float
    ratio_to_floor: float
    runs: int


def load(landing: Path, warehouse: Path, *arguments: str) -> Cost:
    return cost_of(
        [sys.executable, "-m", "cli", "load", *arguments],
        LANDING_DIR=str(landing), WAREHOUSE_DIR=str(warehouse), DAGSTER_HOME="", SOURCES_FILE=os.devnull,
    )  # fmt: skip


def compared(
    costs: dict[str, Callable[[], Cost]], floor: str, runs: int, touches: int, contacts: int, file_format: str
) -> list[Row]:
    """Measures commands in turn, so that a machine whose speed changes does so for all of them."""
    measured: dict[str, list[Cost]] = {what: [] for what in costs}
    for _ in range(runs):
        for what, run in costs.items():
            os.sync()
            measured[what].append(run())
    return [
        Row(
            what=what,
            touches=touches,
            contacts=contacts,
            format=file_format,
            **{
                field.name: round(median(getattr(cost, field.name) for cost in of_command), 2) for field in fields(Cost)
            },
            ratio_to_floor=round(
                median(
                    cost.cpu_seconds / of_floor.cpu_seconds
                    for cost, of_floor in zip(of_command, measured[floor], strict=True)
                ),
                2,
            ),
            runs=runs,
        )
        for what, of_command in measured.items()
    ]


def full_loads(folder: Path, touches: int, runs: int, peers: PeerRuns | None) -> list[Row]:
    """All days at once, in each format; from clean CSV by the peers too."""
    rows = []
    for file_format in FORMATS[:2] if touches > LARGE else FORMATS:
        landing = prepared(folder, 60, touches, file_format)
        database, warehouse = folder / "floor.duckdb", folder / "warehouse"

        def floor(landing: Path = landing, database: Path = database) -> Cost:
            database.unlink(missing_ok=True)
            threads = str(Settings.read().threads)
            return cost_of([sys.executable, "-m", "benchmarks.floor", str(landing), str(database), threads])

        def whole(landing: Path = landing, warehouse: Path = warehouse) -> Cost:
            shutil.rmtree(warehouse, ignore_errors=True)
            return load(landing, warehouse)

        costs: dict[str, Callable[[], Cost]] = {"DuckDB reads the files": floor, "full load": whole}
        if peers and file_format == "csv":
            costs |= {what: partial(peers.run, what, landing, folder / "peer", warehouse) for what in peers.modules}
        measured = compared(costs, "DuckDB reads the files", runs, *row_counts(landing), file_format)
        rows += [row for row in measured if not peers or row.what not in peers.rejected]
    return rows


def small_days(folder: Path, runs: int) -> list[Row]:
    """One more day on 30, by the command line and through Dagster, and nothing new, beside a build of one trivial model."""
    landing = prepared(folder, 31, 62_000, "csv")
    home = folder / "daily"
    shutil.rmtree(home, ignore_errors=True)
    before, after, trivial, history = home / "before", home / "after", home / "trivial", home / "dagster"
    day_before = LAST_DAY - timedelta(days=1)
    load(landing, before, "--to", str(day_before))
    (trivial / "models").mkdir(parents=True)
    (trivial / "models/one.sql").write_text("select 1 as a\n")
    (trivial / "dbt_project.yml").write_text("name: trivial\nprofile: trivial\n")
    (trivial / "profiles.yml").write_text(
        "trivial: {target: one, outputs: {one: {type: duckdb, path: one.duckdb, threads: 1}}}\n"
    )

    def one_day() -> Cost:
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(before, after, symlinks=True)
        return load(landing, after)

    def one_day_through_dagster() -> Cost:
        """The run that the daily schedule asks for, in a process of its own, with its history on disk."""
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(before, after, symlinks=True)
        history.mkdir(exist_ok=True)
        shutil.copy(PROJECT_DIR / "dagster.yaml", history)
        tags = json.dumps({"dagster/partition": str(LAST_DAY)})
        return cost_of(
            [sys.executable, "-m", "dagster", "job", "execute", "-m", "orchestration.definitions", "-j", "daily_update", "--tags", tags],
            LANDING_DIR=str(landing), WAREHOUSE_DIR=str(after), DAGSTER_HOME=str(history), SOURCES_FILE=os.devnull,
        )  # fmt: skip

    build = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--no-send-anonymous-usage-stats", "build"]
    costs = {
        "dbt builds one trivial model": lambda: cost_of(build, trivial),
        "one more day": one_day,
        "one more day, through Dagster": one_day_through_dagster,
        "nothing new": lambda: load(landing, before, "--to", str(day_before)),
    }
    cost_of(build, trivial)  # parsed once, as the project is
    return compared(costs, "dbt builds one trivial model", runs, *row_counts(landing), "csv")


def prepared(folder: Path, days: int, touches: int, file_format: str) -> Path:
    """The demo's deliveries in a format, made once."""
    name = f"demo-{days}-{touches}"
    demo = folder / name / "demo"
    landing = folder / name / file_format.replace(" ", "-")
    if not demo.exists():
        unfinished = demo.with_name("demo.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        write_demo(unfinished, days, touches, 5, LAST_DAY)
        unfinished.rename(demo)
    if not landing.exists():
        unfinished = landing.with_name(f"{landing.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        _rewrite(demo, unfinished, file_format)
        unfinished.rename(landing)
    return landing


def _rewrite(demo: Path, landing: Path, file_format: str) -> None:
    """Writes good rows only; for `faulty csv`, then a faulty one into one file of ten."""
    ending = "parquet" if file_format == "parquet" else "csv"
    with duckdb.connect() as connection:
        for number, file in enumerate(sorted(demo.glob("*/*/*"))):
            target = (landing / file.relative_to(demo)).with_suffix(f".{ending}")
            target.parent.mkdir(parents=True, exist_ok=True)
            rows = f"read_csv({sql.literal(file)}, header = true, all_varchar = true, ignore_errors = true)"
            connection.execute(f"copy (from {rows}) to {sql.literal(target)} (format {ending})")
            if file_format == "faulty csv" and number % FAULTY_FILES == 0:
                lines = target.read_text("utf-8").splitlines(keepends=True)
                lines.insert(len(lines) // 2, FAULTY_ROW)
                target.write_text("".join(lines), "utf-8")


def row_counts(landing: Path) -> tuple[int, int]:
    """How many touches and contacts lie there."""
    counts = []
    with duckdb.connect() as connection:
        for table in ("touches", "contacts"):
            files = sorted((landing / table).glob("*/*"))
            read = "read_parquet" if files[0].suffix == ".parquet" else "read_csv"
            options = "" if read == "read_parquet" else ", header = true, all_varchar = true, ignore_errors = true"
            counts.append(sql.count(connection, f"{read}({sql.listing(map(sql.literal, files))}{options})"))
    return counts[0], counts[1]


def machine() -> str:
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    memory = next((int(line.split()[1]) // 2**20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return f"{processor}, {len(os.sched_getaffinity(0))} processors, {memory} GB of memory"


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []


def write_results(rows: list[Row], peers: PeerRuns | None) -> None:
    results = {
        "machine": machine(),
        "versions": versions(peers),
        "rows": [asdict(row) for row in rows],
        "notes": peers.notes if peers else [],
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    text = README.read_text("utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    README.write_text(before + BEGIN + "\n".join(lines_of(rows, peers)) + "\n" + END + after, "utf-8")


def lines_of(rows: list[Row], peers: PeerRuns | None) -> list[str]:
    """A table in Markdown."""
    used = ", ".join(f"{name} {number}" for name, number in versions(peers).items())
    return [
        f"On {machine()}; {used}. Medians of so many runs as the last column says.",
        "",
        "| what | touches | contacts | format | CPU s | wall s | peak MB | CPU to floor | runs |",
        "|---|--:|--:|---|--:|--:|--:|--:|--:|",
        *(
            f"| {row.what} | {row.touches:,} | {row.contacts:,} | {row.format} | {row.cpu_seconds:,.1f} | {row.wall_seconds:,.1f} "
            f"| {row.peak_mb:,.0f} | {row.ratio_to_floor:.2f} | {row.runs} |"
            for row in rows
        ),
        *(line for note in (peers.notes if peers else []) for line in ("", note)),
    ]


def versions(peers: PeerRuns | None) -> dict[str, str]:
    own = {package: version(package) for package in PACKAGES}
    return {"python": platform.python_version(), **(peers.versions if peers else {}), **own}
