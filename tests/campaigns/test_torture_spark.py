"""Loads that build on Spark, killed on the way, or robbed of a worker: readers always have a whole generation, and a load repairs all.

From the environment:

TORTURE_SPARK_KILLS     loads killed at random instants, and as many killed at a commit
TORTURE_SPARK_WORKERS   builds on a cluster that lose a worker
"""

import importlib.util
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import PATIENCE_SECONDS, REPOSITORY, TEST_MODULES, Site
from test_torture_crashes import write_version

from pipeline.spark.settings import CLUSTER, is_cluster_running

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="needs Java and `make install-spark`",
)

KILLS = int(os.environ.get("TORTURE_SPARK_KILLS", "1"))
WORKERS = int(os.environ.get("TORTURE_SPARK_WORKERS", "1"))
SEED = int(os.environ.get("TORTURE_SEED", "1"))
# A load killed before the commit of this number, of all that the process makes in Iceberg's tables.
KILLED_AT_COMMIT = """
import os, re, signal, sys
from pyspark.sql import SparkSession
from pyspark.sql.readwriter import DataFrameWriterV2

COMMITS = re.compile(r"\\s*(/\\*.*?\\*/)?\\s*(create|insert|delete|alter|call|drop)\\b", re.IGNORECASE | re.DOTALL)
last, done = int(sys.argv.pop(1)), 0

def deadly(owner, name, commits=lambda *arguments: True):
    real = getattr(owner, name)
    def call(self, *arguments, **options):
        global done
        if commits(*arguments):
            done += 1
            if done == last:
                os.killpg(0, signal.SIGKILL)
        return real(self, *arguments, **options)
    setattr(owner, name, call)

deadly(SparkSession, "sql", lambda query, *more: COMMITS.match(query))
deadly(DataFrameWriterV2, "append")
deadly(DataFrameWriterV2, "createOrReplace")

from cli import app
sys.argv = ["multichannel", "load"]
try:
    app.main()
finally:
    print(f"commits: {done}", flush=True)
"""


@dataclass
class Victim:
    """A site at a place of its own, as Iceberg writes down where its files are."""

    site: Site
    pristine: Path
    digests: list[str]
    """Of the marts, by version: as DuckDB makes them."""
    version: int = 0

    def begin(self) -> None:
        """As it was after the first version's load, with the second one's deliveries."""
        shutil.rmtree(self.site.folder)
        shutil.copytree(self.pristine, self.site.folder, symlinks=True)
        write_version(self.site.landing, 1)

    def load(self, master: str = "local[2]") -> subprocess.Popen[str]:
        return self.start([sys.executable, "-m", "cli", "load"], master)

    def start(self, command: list[str], master: str = "local[2]") -> subprocess.Popen[str]:
        """In a group of processes of its own: Spark's ends with it."""
        return subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=self.site.environment() | TEST_MODULES | {"ENGINE": "spark", "SPARK_MASTER": master},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def assert_whole(self, told: str) -> None:
        assert digest_of(self.site) in self.digests, told

    def assert_repaired(self, told: str) -> None:
        """One more load, and readers get what DuckDB makes of the same deliveries."""
        load = self.load()
        said, _ = load.communicate(timeout=PATIENCE_SECONDS)
        assert load.returncode == 0, told + said
        assert digest_of(self.site) == self.digests[1], told + said


def digest_of(site: Site) -> str:
    # Spark's marts have no order, and neither have lists of them that DuckDB reads here.
    return repr(sorted((mart, sorted(map(repr, rows))) for mart, rows in site.marts().items()))


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    digests = []
    for number in range(2):
        site = Site(tmp_path_factory.mktemp(f"duckdb-{number}"))
        write_version(site.landing, number)
        site.load()
        digests.append(digest_of(site))
    assert digests[0] != digests[1], "both versions make the same marts"
    site = Site(tmp_path_factory.mktemp("spark"))
    write_version(site.landing, 0)
    victim = Victim(site, tmp_path_factory.mktemp("pristine") / "site", digests)
    load = victim.load()
    said, _ = load.communicate(timeout=PATIENCE_SECONDS)
    assert load.returncode == 0, said
    assert digest_of(site) == digests[0]
    shutil.copytree(site.folder, victim.pristine, symlinks=True)
    return victim


def killed(process: subprocess.Popen[str], seconds: float, watch: Callable[[], None]) -> tuple[bool, str]:
    """Whether a load was killed with all its processes after so many seconds, and what it said. Readers watch it."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        watch()
        time.sleep(0.2)
    is_killed = process.poll() is None
    if is_killed:
        os.killpg(process.pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return is_killed, said


def test_loads_killed_at_any_instant(victim: Victim) -> None:
    dice = random.Random(SEED)
    seconds = seconds_of_a_load(victim)
    for number in range(KILLS):
        victim.begin()
        after = dice.uniform(0, seconds)
        told = f"seed {SEED}, kill {number}, after {after:.2f} of {seconds:.2f} s:\n"
        _, said = killed(victim.load(), after, lambda: victim.assert_whole(told))  # noqa: B023
        victim.assert_whole(told + said)
        victim.assert_repaired(told + said)


def seconds_of_a_load(victim: Victim) -> float:
    victim.begin()
    began = time.monotonic()
    victim.assert_repaired("a load without trouble")
    return time.monotonic() - began


def test_loads_killed_at_a_commit(victim: Victim) -> None:
    dice = random.Random(SEED)
    victim.begin()
    commits = commits_of(victim, 0)
    assert commits > 50, "the load isn't one that builds on Spark"
    for number in sorted(dice.sample(range(1, commits + 1), min(KILLS, commits))):
        victim.begin()
        assert commits_of(victim, number) == -1
        told = f"killed before commit {number} of {commits}:\n"
        victim.assert_whole(told)
        victim.assert_repaired(told)


def commits_of(victim: Victim, last: int) -> int:
    """How many commits a load makes; -1 if it was killed before the one of that number."""
    process = victim.start([sys.executable, "-c", KILLED_AT_COMMIT, str(last)])
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    if process.returncode == -signal.SIGKILL:
        return -1
    counted = re.search(r"^commits: (\d+)$", said, re.MULTILINE)
    assert process.returncode == 0 and counted, said
    return int(counted[1])


@pytest.fixture
def cluster() -> Iterator[None]:
    if is_cluster_running():
        pytest.skip("the cluster of `make cluster` runs, and is somebody's")
    command = [sys.executable, "-m", "pipeline.spark.cluster"]
    subprocess.run([*command, "start"], cwd=REPOSITORY, check=True, timeout=120)
    try:
        yield
    finally:
        subprocess.run([*command, "stop"], cwd=REPOSITORY, check=True)


@pytest.mark.parametrize("number", range(WORKERS))
def test_builds_that_lose_a_worker(victim: Victim, cluster: None, number: int) -> None:
    dice = random.Random(f"{SEED} {number}")
    victim.begin()
    process = victim.load(CLUSTER)
    # When executors are there, the build has begun.
    executors = processes_until(process, "CoarseGrainedExecutorBackend", count=2)
    time.sleep(dice.uniform(0, 20))
    lost = dice.choice(executors if number % 2 else processes_until(process, "deploy.worker.Worker", count=2))
    with suppress(ProcessLookupError):
        os.kill(lost, signal.SIGKILL)
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    assert digest_of(victim.site) == victim.digests[1], said


def processes_until(process: subprocess.Popen[str], name: str, count: int) -> list[int]:
    """So many processes with a name in their command line, waited for while a process runs."""
    while process.poll() is None:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if name.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"the load ended before {name} was there: {process.communicate()[0]}")
