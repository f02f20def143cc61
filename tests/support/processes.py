"""The command line as people and cron run it: processes of their own, on folders of their own."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import golden_marts
import pytest

from pipeline import ledger
from pipeline.contracts import delivered_tables
from pipeline.marts import MARTS
from pipeline.publishing import Publications, generations
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 300
# Where processes of tests find this project's modules, and those of tests.
TEST_FOLDERS = [
    REPOSITORY,
    *(REPOSITORY / "tests" / kind for kind in ("support", "oracles", "unit", "end_to_end", "acceptance", "campaigns")),
]
TEST_MODULES = {"PYTHONPATH": ":".join(map(str, TEST_FOLDERS))}
ENVIRONMENT = os.environ | {
    # Empty rather than absent: what is set stays what it is, whatever a .env says.
    "ALERT_COMMAND": "",
    "DAGSTER_HOME": "",
}
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Finished:
    """What a command said, and its exit code."""

    exit_code: int
    said: str
    progress: str

    def __post_init__(self) -> None:
        """No command ever shows its users a traceback."""
        assert "Traceback" not in self.said + self.progress, self.said + self.progress

    @property
    def failure(self) -> str:
        """The message that the command gave up with."""
        _, found, message = self.progress.partition("Failed:")
        assert found, self.progress
        return message

    def table_row(self, name: str) -> list[str]:
        """The cells of the row of a printed table that begins with this one."""
        rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in self.said.splitlines() if "│" in line]
        return next(row for row in rows if row[0] == name)


@dataclass(frozen=True)
class Site:
    """A landing folder and the warehouse that is loaded from it."""

    folder: Path

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.folder / "warehouse")

    @property
    def publications(self) -> Publications:
        return Publications(self.warehouse)

    def copy_to(self, folder: Path) -> "Site":
        # What somebody who looks at the site lays aside comes and goes.
        shutil.copytree(
            self.folder, folder, ignore=shutil.ignore_patterns("temporary"), symlinks=True, dirs_exist_ok=True
        )
        return Site(folder)

    def environment(self) -> dict[str, str]:
        return ENVIRONMENT | {"LANDING_DIR": str(self.landing), "WAREHOUSE_DIR": str(self.warehouse.folder)}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A command in a process that is started for it, as people and cron do."""
        return subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            cwd=REPOSITORY,
            env=self.environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> Finished:
        """A command in a process that was forked for it, where all is imported already."""
        from forks import for_commands  # which imports this module

        return for_commands().run(arguments, self.environment() | environment)

    def load(self, *arguments: str) -> Finished:
        """A load that must succeed."""
        outcome = self.run("load", *arguments)
        assert outcome.exit_code == 0, outcome.progress
        return outcome

    def published(self, query: str) -> list[Row]:
        with duckdb.connect(str(self.publications.link), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(query).fetchall()

    def marts(self) -> dict[str, list[Row]]:
        """All rows that a reader gets, in an order of their own."""
        with duckdb.connect(str(self.publications.link), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return {mart: sorted(connection.execute(f"from {mart}").fetchall(), key=repr) for mart in MARTS}

    def private(self, query: str) -> list[Row]:
        with self.warehouse.locked("test"), self.warehouse.connected() as connection:
            return connection.execute(query).fetchall()

    def raw_rows(self) -> dict[str, list[Row]]:
        """Every row that raw holds, told by its delivery rather than by its load, which a rerun may number anew."""
        tables = (*delivered_tables(), "rejected_rows")
        counts = "select table_name, load_day, count(*) from raw.{} left join raw.loads using (load_id) group by all"
        with self.warehouse.locked("test"), self.warehouse.connected() as connection:
            return {table: sorted(connection.execute(counts.format(table)).fetchall()) for table in tables}

    def leftovers(self) -> list[str]:
        """Files that only something unfinished leaves behind."""
        return sorted(
            path.relative_to(self.warehouse.folder).as_posix()
            for pattern in ("*.tmp", "*.new", "*.wal")
            for path in self.warehouse.folder.rglob(pattern)
        )


def copied_project(folder: Path) -> Path:
    """A project of its own, with the code and seeds to be changed, and all else as it is here."""
    for name in ("cli", "demo", "orchestration", "pipeline", "sources", "report", "seeds"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dbt_project.yml", "profiles.yml", "models", "macros", "metrics", "data_tests"):
        (folder / name).symlink_to(REPOSITORY / name)
    return folder


def finished(process: subprocess.Popen[str]) -> Finished:
    try:
        said, progress = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    return Finished(process.returncode, said, progress)


def made_once(temporary: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first test to need it makes, for all processes that test; to be copied, not changed."""
    root = temporary.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else temporary.getbasetemp()
    folder = root / name
    with open(root / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = root / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def golden_site(temporary: pytest.TempPathFactory) -> Site:
    """The worked cases, loaded by the command line."""

    def make(folder: Path) -> None:
        site = Site(folder)
        shutil.copytree(golden_marts.LANDING, site.landing)
        outcome = finished(site.start("load", "--verbose"))
        assert outcome.exit_code == 0, outcome.progress
        (folder / "load.json").write_text(json.dumps(asdict(outcome)), "utf-8")

    return Site(made_once(temporary, "golden", make))


def python(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A process with this project's and the tests' modules."""
    modules = TEST_MODULES
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        env=ENVIRONMENT | modules | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for query in sys.stdin:
    print(repr(connection.execute(query).fetchall()), flush=True)
"""


class Reader:
    """Somebody in another process who has the marts open."""

    def __init__(self, file: Path) -> None:
        self.process = python(READER, str(file))

    def ask(self, query: str) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(query + "\n")
        self.process.stdin.flush()
        return eval(self.process.stdout.readline(), {"datetime": __import__("datetime")})

    def close(self) -> None:
        self.process.communicate(timeout=PATIENCE_SECONDS)


# Everything that publication asks of the operating system or does in a database, one after the other.
STEPS = (
    *((os, name) for name in ("mkdir", "chmod", "fsync", "rename", "replace", "symlink", "unlink", "rmdir")),
    *((generations, name) for name in ("write_changes", "write_everything", "audit")),
    (ledger, "drop_superseded"),
)


def die_at_every_step(action: str, site_folder: str, out: str) -> None:
    """Runs the action on copies of a site, killed before its first step, its second, … until it gets to its end.

    Runs in a process of its own, which prints the folder of every copy. Must not have used DuckDB, as it forks.
    """
    rules = Rules.read()
    for number in range(1, 100):
        site = Site(Path(site_folder)).copy_to(Path(out) / f"{number:02}")
        child = os.fork()
        if child == 0:
            _die_before_step(number)
            with site.warehouse.locked("test"):
                getattr(site.publications, action)(*([rules] if action == "publish" else []))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, f"{action} failed by itself"
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
        print(site.folder, flush=True)
    raise AssertionError(f"{action} has too many steps")


def _die_before_step(number: int) -> None:
    done = 0

    def deadly(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments, **options)

        return call

    for owner, name in STEPS:
        setattr(owner, name, deadly(getattr(owner, name)))
