"""Loads that build on Spark, killed on the way, or robbed of a worker: readers always have a whole generation, and a load repairs all.

From the environment:

TORTURE_SPARK_KILLS     loads killed at random instants
TORTURE_SPARK_COMMITS   loads killed before a commit
TORTURE_SPARK_JAVA      loads whose Java is killed
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
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from processes import REPOSITORY, TEST_MODULES, Site
from test_torture_crashes import write_version

from pipeline.spark.settings import CLUSTER, CLUSTER_DIR, is_cluster_running

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
        reason="needs Java and `make install-spark`",
    ),
    # There is one cluster.
    pytest.mark.xdist_group("spark"),
]

KILLS = int(os.environ.get("TORTURE_SPARK_KILLS", "1"))
# Each takes minutes.
COMMITS = int(os.environ.get("TORTURE_SPARK_COMMITS", "0"))
JAVA = int(os.environ.get("TORTURE_SPARK_JAVA", "0"))
WORKERS = int(os.environ.get("TORTURE_SPARK_WORKERS", "0"))
SEED = int(os.environ.get("TORTURE_SEED", "1"))
LOAD = ("-m", "cli", "load")
LOAD_SECONDS = 900
# A load killed before the commit of this number: of Iceberg's tables, and of their copies.
KILLED_AT_COMMIT = """
import os, re, signal, sys
from pyspark.sql import SparkSession
from pyspark.sql.readwriter import DataFrameWriterV2
from pipeline.spark import builds, copies

COMMITS = re.compile(r"\\s*(/\\*.*?\\*/)?\\s*(create|insert|delete|alter|call|drop)\\b", re.IGNORECASE | re.DOTALL)
last, done = int(sys.argv.pop(1)), 0

def deadly(owner, name, commits=lambda *arguments: True):
    real = getattr(owner, name)
    def call(*arguments, **options):
        global done
        if commits(*arguments):
            done += 1
            if done == last:
                os.killpg(0, signal.SIGKILL)
        return real(*arguments, **options)
    setattr(owner, name, call)

deadly(SparkSession, "sql", lambda session, query, *more: COMMITS.match(query))
deadly(DataFrameWriterV2, "append")
deadly(DataFrameWriterV2, "createOrReplace")
deadly(copies, "_create")
deadly(builds, "end_build")

from cli import app
sys.argv = ["multichannel", "load"]
try:
    app.main()
finally:
    print(f"commits: {done}", flush=True)
"""


@dataclass
class Victim:
    """A site that is always at the same place, as Iceberg's metadata holds paths."""

    site: Site
    pristine: Path
    digests: list[str]
    """Of DuckDB's marts, by version."""
    seconds: float = 0
    """What the first version's load took; the second one's, of changes, takes nearly as long."""

    def begin(self) -> None:
        """As it was after the first version's load, with the second one's deliveries."""
        shutil.rmtree(self.site.folder)
        shutil.copytree(self.pristine, self.site.folder, symlinks=True)
        write_version(self.site.landing, 1)

    def assert_whole(self, context: str) -> None:
        assert digest_of(self.site) in self.digests, context

    def assert_repaired(self, context: str) -> None:
        """One more load, and readers get what DuckDB makes of the same deliveries."""
        with Load(self.site) as load:
            assert load.exit_code() == 0, context + load.output()
        assert digest_of(self.site) == self.digests[1], context


class Load:
    """A process that loads on Spark, in a group of processes that ends with it."""

    def __init__(self, site: Site, command: Sequence[str] = LOAD, master: str = "local[2]") -> None:
        self.file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed on exit)
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=REPOSITORY,
            env=site.environment() | TEST_MODULES | {"ENGINE": "spark", "SPARK_MASTER": master},
            stdin=subprocess.DEVNULL,
            stdout=self.file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self.file.close()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def exit_code(self) -> int:
        return self.process.wait(LOAD_SECONDS)

    def output(self) -> str:
        self.file.seek(0)
        return self.file.read()


def digest_of(site: Site) -> str:
    # Without an order, which Spark's rows don't have.
    return repr(sorted((mart, sorted(map(repr, rows))) for mart, rows in site.marts().items()))


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    digests = []
    for number in range(2):
        site = Site(tmp_path_factory.mktemp(f"duckdb-{number}"))
        write_version(site.landing, number)
        outcome = site.run("load", ENGINE="duckdb")
        assert outcome.exit_code == 0, outcome.progress
        digests.append(digest_of(site))
    assert digests[0] != digests[1], "both versions make the same marts"
    site = Site(tmp_path_factory.mktemp("spark"))
    write_version(site.landing, 0)
    victim = Victim(site, tmp_path_factory.mktemp("pristine") / "site", digests)
    began = time.monotonic()
    with Load(site) as load:
        assert load.exit_code() == 0, load.output()
    victim.seconds = time.monotonic() - began
    assert digest_of(site) == digests[0]
    shutil.copytree(site.folder, victim.pristine, symlinks=True)
    return victim


def test_loads_killed_at_any_instant(victim: Victim) -> None:
    dice = random.Random(SEED)
    for number in range(KILLS):
        victim.begin()
        # Every other one in the second half, in which Spark builds.
        after = dice.uniform(0.35 if number % 2 == 0 else 0, 0.7) * victim.seconds
        context = f"seed {SEED}, kill {number}, after {after:.2f} s:\n"
        with Load(victim.site) as load:
            until = time.monotonic() + after
            while load.is_running and time.monotonic() < until:
                victim.assert_whole(context)
                time.sleep(0.2)
            load.kill()
            context += load.output()
        victim.assert_whole(context)
        victim.assert_repaired(context)


@pytest.mark.skipif(not COMMITS, reason="TORTURE_SPARK_COMMITS is 0")
def test_loads_killed_at_a_commit(victim: Victim) -> None:
    dice = random.Random(SEED)
    victim.begin()
    commits = commits_of(victim, 0)
    assert commits > 50, "the load isn't one that builds on Spark"
    for number in sorted(dice.sample(range(1, commits + 1), min(COMMITS, commits))):
        victim.begin()
        assert commits_of(victim, number) == -1
        context = f"killed before commit {number} of {commits}:\n"
        victim.assert_whole(context)
        victim.assert_repaired(context)


def commits_of(victim: Victim, last: int) -> int:
    """How many commits a load makes; -1 if it was killed before the one of that number."""
    with Load(victim.site, ("-c", KILLED_AT_COMMIT, str(last))) as load:
        exit_code = load.exit_code()
        output = load.output()
    if exit_code == -signal.SIGKILL:
        return -1
    counted = re.search(r"^commits: (\d+)$", output, re.MULTILINE)
    assert exit_code == 0 and counted, output
    return int(counted[1])


@pytest.mark.parametrize("number", range(JAVA))
def test_loads_fail_if_java_dies(victim: Victim, number: int) -> None:
    """And the next one repairs all."""
    dice = random.Random(f"{SEED} {number}")
    victim.begin()
    after = dice.uniform(0, 0.7) * victim.seconds
    context = f"seed {SEED}, Java {number}, after {after:.2f} s:\n"
    with Load(victim.site) as load:
        java = java_of(load)
        time.sleep(after)
        assert load.is_running, f"{context}the load ended before its Java: {load.output()}"
        os.kill(java, signal.SIGKILL)
        exit_code = load.exit_code()
        context += load.output()
    assert exit_code == 1, context
    assert "\nFailed: Spark: its Java was killed" in context and "Traceback" not in context, context
    victim.assert_whole(context)
    victim.assert_repaired(context)


def java_of(load: Load) -> int:
    """The process of Spark's driver. Waits for it."""
    while load.is_running:
        for process, parent, command in java_processes():
            if b"org.apache.spark.deploy.SparkSubmit" in command and parent == load.process.pid:
                return process
        time.sleep(0.1)
    raise AssertionError(f"the load ended before it had Java: {load.output()}")


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
    """Or, every other time, only the executor that the worker runs."""
    dice = random.Random(f"{SEED} {number}")
    victim.begin()
    with Load(victim.site, master=CLUSTER) as load:
        executors = executors_of(load)
        time.sleep(dice.uniform(0, 20))
        worker = dice.randrange(2)
        assert load.is_running, f"the load ended before its worker: {load.output()}"
        os.kill(executors[worker] if number % 2 else worker_processes()[worker], signal.SIGKILL)
        assert load.exit_code() == 0, load.output()
    assert digest_of(victim.site) == victim.digests[1]


def worker_processes() -> list[int]:
    return [int(file.read_text()) for file in sorted(CLUSTER_DIR.glob("worker-*.pid"))]


def executors_of(load: Load) -> list[int]:
    """The processes of the two executors, in their workers' order. Waits for them: when they are there, the build has begun."""
    while load.is_running:
        children = {
            parent: process
            for process, parent, command in java_processes()
            if b"CoarseGrainedExecutorBackend" in command
        }
        if children.keys() >= {*worker_processes()}:
            return [children[worker] for worker in worker_processes()]
        time.sleep(0.1)
    raise AssertionError(f"the load ended before it had executors: {load.output()}")


def java_processes() -> Iterator[tuple[int, int, bytes]]:
    """Process id, parent's id and command line of each Java process."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes()
            parent = re.search(r"^PPid:\s+(\d+)$", (folder / "status").read_text(), re.MULTILINE)
            if parent and b"java" in command.partition(b"\0")[0]:
                yield int(folder.name), int(parent[1]), command
