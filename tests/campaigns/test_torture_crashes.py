"""Loads that are killed, fail and meet, many times over: readers always have a whole generation, and a load repairs all.

The sizes are small by default, so that all tests can run often; `make torture` sets them large.
"""

import csv
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import forks
import golden_marts
import pytest
from forks import NAMESPACE, Outcome, Trouble, Warm
from processes import PATIENCE_SECONDS, Site, finished, golden_site, made_once, python
from test_dagster import DagsterDev, started_dagster_dev, wait_until

from pipeline.settings import Rules

KILLS = int(os.environ.get("TORTURE_KILLS", "1"))
TROUBLES = int(os.environ.get("TORTURE_TROUBLES", "1"))  # of each kind of trouble
DISKS = int(os.environ.get("TORTURE_DISKS", "2"))
PUBLICATIONS = int(os.environ.get("TORTURE_PUBLICATIONS", "4"))
MEETINGS = int(os.environ.get("TORTURE_MEETINGS", "0"))
VERSIONS = int(os.environ.get("TORTURE_VERSIONS", "2"))  # of the deliveries, one after the other
DAGSTER = bool(int(os.environ.get("TORTURE_DAGSTER", "0")))  # minutes rather than seconds
SEED = int(os.environ.get("TORTURE_SEED", "1"))
READERS = int(os.environ.get("TORTURE_READERS", "4"))
NEW_DAY = "2026-03-04"


# Deliveries that change


def write_version(landing: Path, number: int) -> None:
    """The worked cases' deliveries, in which days come one by one, and rows are corrected, withdrawn and late."""
    unfinished = landing.with_name("landing.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    days = sorted(path.name for path in (golden_marts.LANDING / "touches").iterdir())
    for file in sorted(golden_marts.LANDING.rglob("*.csv")):
        table, day = file.relative_to(golden_marts.LANDING).parts[:2]
        dice = random.Random(f"{number} {table} {day}")
        with open(file, encoding="utf-8", newline="") as content:
            header, *rows = csv.reader(content)
        if number != 1:
            rows = [[value.replace("yandex", dice.choice(["yandex", "bing", "vk"])) for value in row] for row in rows]
        late = [row for row in rows if number != 1 and dice.random() < 0.2]
        if days.index(day) < 2 + number:
            _write(unfinished / table / day / "part-1.csv", header, [row for row in rows if row not in late])
        if number >= 2:
            # Some of what is missing is delivered with a later day, the rest isn't; and the first day's ids come again.
            _write(unfinished / table / NEW_DAY / f"late-{day}.csv", header, late[::2])
            if day == days[0]:
                again = [[value.replace(day, NEW_DAY) for value in row] for row in rows]
                _write(unfinished / table / NEW_DAY / "part-1.csv", header, again)
    shutil.rmtree(landing, ignore_errors=True)
    unfinished.rename(landing)


def _write(file: Path, header: list[str], rows: list[list[str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", encoding="utf-8", newline="") as content:
        csv.writer(content).writerows([header, *rows])


@dataclass(frozen=True)
class Clean:
    """What a clean load makes of each version, how long it takes, and its steps."""

    sites: list[Site]
    digests: list[tuple[str, str]]
    seconds: float
    step_count: int


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with forks.warm() as process:
        yield process


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Clean:
    sites = []
    for number in range(VERSIONS):

        def make(folder: Path, number: int = number) -> None:
            site = Site(folder)
            write_version(site.landing, number)
            outcome = warm.ask(forks.load_with_trouble, site, Trouble("none", 0))
            assert outcome.exit_code == 0, outcome.said
            (folder / "cost.json").write_text(json.dumps([outcome.seconds, len(outcome.value)]), "utf-8")

        sites.append(Site(made_once(tmp_path_factory, f"version-{number}", make)))
    digests = [warm.tell(forks.digests, site) for site in sites]
    assert len({marts for marts, _ in digests}) == VERSIONS, "every version changes what readers get"
    seconds, step_counts = zip(
        *(json.loads((site.folder / "cost.json").read_text("utf-8")) for site in sites), strict=True
    )
    return Clean(sites, digests, max(seconds), max(step_counts))


@dataclass
class Victim:
    """A site that has loaded a version, and is to load the next one."""

    site: Site
    version: int
    clean: Clean
    warm: Warm

    def deliver_next(self) -> None:
        self.version += 1
        write_version(self.site.landing, self.version)

    def holder(self) -> int:
        """The process that has the warehouse."""
        return int(self.site.warehouse.lock_file.read_text("utf-8").partition("(process ")[2].split(",")[0])

    def is_used_by(self, purpose: str) -> bool:
        """Whether somebody who says so has the lock."""
        with open(self.site.warehouse.lock_file, encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read().startswith(purpose)
            return False

    def assert_whole(self, told: str) -> None:
        """Readers get exactly what some version's publication held: this one's or one before."""
        marts = self.warm.tell(forks.marts_digest, self.site)
        assert marts in [digest for digest, _ in self.clean.digests[: self.version + 1]], told
        private = [*self.site.warehouse.folder.glob("warehouse.*"), *self.site.warehouse.folder.glob("temporary")]
        assert private and not [path for path in private if path.stat().st_mode & 0o077], told

    def assert_repaired(self, told: str) -> None:
        """One more load, and nothing tells that it wasn't loaded cleanly."""
        outcome = self.warm.ask(forks.load, self.site)
        assert outcome.exit_code == 0, told + outcome.said
        assert self.warm.tell(forks.digests, self.site) == self.clean.digests[self.version], told
        current, numbers, leftovers = self.warm.tell(forks.state, self.site)
        assert current == numbers[-1], told
        assert leftovers == [], told
        assert not self.site.warehouse.temporary_dir.exists(), told


def victim_of(clean: Clean, warm: Warm, folder: Path, version: int = 0) -> Victim:
    shutil.rmtree(folder, ignore_errors=True)
    victim = Victim(clean.sites[version].copy_to(folder), version, clean, warm)
    victim.deliver_next()
    return victim


# 1. Killed at any instant


@pytest.mark.parametrize(("first", "kills"), [(first, min(50, KILLS - first)) for first in range(0, KILLS, 50)])
def test_loads_killed_at_any_instant(clean: Clean, warm: Warm, tmp_path: Path, first: int, kills: int) -> None:
    dice = random.Random(f"{SEED} from kill {first} on")
    victim = victim_of(clean, warm, tmp_path / "site")
    killed = 0
    ends: Counter[str] = Counter()
    load_seconds = clean.seconds
    while killed < kills:
        seconds = dice.uniform(0, 1.05 * load_seconds)
        if killed % 10 == 1:
            outcome = load_killed_after(victim.site, seconds + dice.uniform(0, 6))
        else:
            outcome = warm.ask(forks.load, victim.site, kill_after=seconds)
            # The machine's speed changes: a load takes as long as the last one that got to its end, and perhaps longer.
            if outcome.is_killed:
                load_seconds *= 1.03
            elif "published generation" in outcome.said:
                load_seconds = outcome.seconds
        told = f"seed {SEED}, kill {first + killed}, version {victim.version}, after {seconds:.3f} s:\n{outcome.said}"
        assert outcome.is_killed or outcome.exit_code == 0, told
        killed += outcome.is_killed
        ends[outcome.said.strip().split("\n")[-1][9:].split(" (")[0]] += 1
        victim.assert_whole(told)
        # Sometimes the next deliveries come before the last ones were repaired.
        if not outcome.is_killed or dice.random() < 0.3 or killed == kills:
            if dice.random() < 0.5 or killed == kills or victim.version + 1 == VERSIONS:
                victim.assert_repaired(told)
            if victim.version + 1 == VERSIONS:
                victim = victim_of(clean, warm, tmp_path / "site", dice.randrange(VERSIONS - 1))
            else:
                victim.deliver_next()
    print(f"{kills} kills; the last that was said before: {dict(ends)}")


def load_killed_after(site: Site, seconds: float) -> Outcome:
    """A command of its own."""
    process = site.start("load")
    started = time.monotonic()
    try:
        said, progress = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        said, progress = process.communicate(timeout=PATIENCE_SECONDS)
    return Outcome(None, process.returncode, time.monotonic() - started, said + progress)


# 2. Trouble at every step


def test_trouble_at_every_step(clean: Clean, warm: Warm, tmp_path: Path) -> None:
    """Killed before it, failing once, or on a disk that is full or read-only from then on."""
    dice = random.Random(SEED)
    steps = range(1, clean.step_count + 1)
    troubles = [
        Trouble(kind, step)
        for kind in ("killed", "error", "full", "read-only")
        for step in dice.sample(steps, min(TROUBLES, len(steps)))
    ]
    dice.shuffle(troubles)
    victim = victim_of(clean, warm, tmp_path / "site")
    ends: Counter[tuple[str, str]] = Counter()
    for number, trouble in enumerate(troubles, 1):
        outcome = warm.ask(forks.load_with_trouble, victim.site, trouble)
        told = f"seed {SEED}, {trouble}:\n{outcome.said}"
        end = "killed" if outcome.is_killed else f"exit code {outcome.exit_code}"
        ends[trouble.kind, end] += 1
        # A load of what another one left may have fewer steps, and some trouble is got over.
        if trouble.kind == "killed":
            assert outcome.is_killed or outcome.exit_code == 0, told
        else:
            assert outcome.exit_code in (0, 1), told
            assert "Traceback" not in outcome.said, told
            assert outcome.exit_code == 0 or "Failed:" in outcome.said, told
            if trouble.kind == "full" and outcome.exit_code:
                assert "The disk is full: make room for " in outcome.said, told
        victim.assert_whole(told)
        # Sometimes trouble follows on trouble.
        if outcome.exit_code == 0 or number == len(troubles) or (TROUBLES > 1 and dice.random() < 0.6):
            victim.assert_repaired(told)
            victim = victim_of(clean, warm, tmp_path / "site", dice.randrange(VERSIONS - 1))
    print(f"{len(troubles)} troubles in {clean.step_count} steps: {dict(ends)}")


# 3. and 4. Disks that are full or can't be written to


@pytest.fixture(scope="module")
def mounting(warm: Warm) -> Iterator[Warm]:
    """A warm process that may mount disks, in a namespace of its own if need be."""
    for in_a_namespace in (False, True):
        prefix = NAMESPACE if in_a_namespace else ()
        probe = "d=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs $d && umount $d && rmdir $d"
        if subprocess.run([*prefix, "sh", "-c", probe], capture_output=True).returncode == 0:
            if in_a_namespace:
                with forks.warm(in_a_namespace) as process:
                    yield process
            else:
                yield warm
            return
    pytest.skip("no disks can be mounted here, neither as root nor by unshare: full and read-only disks stay untested")


@pytest.fixture
def disk(mounting: Warm, tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts small disks for warehouses."""
    mounted = []

    def mount(size: int) -> Path:
        folder = tmp_path / f"disk-{len(mounted)}" / "warehouse"
        mounting.tell(forks.mount_disk, folder, size)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        mounting.tell(forks.unmount, folder)


def test_disks_of_growing_size(clean: Clean, mounting: Warm, disk: Callable[[int], Path]) -> None:
    before = sum(path.stat().st_size for path in clean.sites[0].warehouse.folder.rglob("*") if path.is_file())
    # What a load needs for a while: dbt's tables beside the former ones, the generation beside the former one.
    sizes = [int(before * (1.02 + 3 * number / max(1, DISKS - 1))) for number in range(DISKS)]
    fitted = []
    for size in sizes:
        folder = disk(size)
        mounting.tell(forks.copy_into, clean.sites[0].folder, folder.parent)
        victim = Victim(Site(folder.parent), 0, clean, mounting)
        victim.deliver_next()
        outcome = mounting.ask(forks.load_without_asking_for_space, victim.site)
        told = f"a disk of {size:,} bytes, of which {before:,} were taken:\n{outcome.said}"
        fitted.append(outcome.exit_code == 0)
        if outcome.exit_code:
            assert outcome.exit_code == 1, told
            assert "Traceback" not in outcome.said, told
            assert "Failed: The disk is full: make room for " in outcome.said, told
            assert len(outcome.said.partition("Failed:")[2].strip().splitlines()) == 1, told
        victim.assert_whole(told)
        if DISKS > 3 or not fitted[-1]:
            mounting.tell(forks.remount, folder, f"size={10 * before}")
            victim.assert_repaired(told)
    assert fitted[0] is False and fitted[-1] is True, list(zip(sizes, fitted, strict=True))


def test_folders_that_cannot_be_written_to(
    clean: Clean, mounting: Warm, disk: Callable[[int], Path], tmp_path: Path
) -> None:
    folder, landing = disk(500 * 10**6), disk(10**7)
    mounting.tell(forks.copy_into, clean.sites[0].folder, folder.parent)
    victim = Victim(Site(folder.parent), 0, clean, mounting)
    victim.deliver_next()

    mounting.tell(forks.remount, folder, "ro")
    outcome = mounting.ask(forks.load, victim.site)

    assert outcome.exit_code == 1, outcome.said
    assert "Traceback" not in outcome.said
    assert "Read-only file system" in outcome.said and str(folder) in outcome.said
    assert len(outcome.said.partition("Failed:")[2].strip().splitlines()) == 1, outcome.said
    victim.assert_whole(outcome.said)

    mounting.tell(forks.remount, folder, "rw")
    mounting.tell(forks.copy_into, victim.site.landing, landing)
    mounting.tell(forks.remount, landing, "ro")
    outcome = mounting.ask(forks.load_from, victim.site, landing)

    assert outcome.exit_code == 0, outcome.said
    assert mounting.tell(forks.digests, victim.site) == clean.digests[1]


# 5. Readers through publications

READ = """
import os, sys, time
import duckdb

link, stop, holds = sys.argv[1], sys.argv[2], int(sys.argv[3])
marts = ("journal", "client_card", "interaction_history", "client_history")
seen = []
reads = 0
while not os.path.exists(stop):
    with duckdb.connect(link, read_only=True) as connection:
        for _ in range(1 + holds):
            (generation,) = connection.execute("select generation from _meta").fetchone()
            for mart in marts:
                rows = connection.execute(f"select count(*), min(location), max(location) from {mart}").fetchall()
                assert rows[0][0] > 0 and rows[0][1:] == (str(generation),) * 2, (generation, mart, rows)
            seen.append(generation)
            reads += 1
            time.sleep(0.05)
assert holds or seen == sorted(seen), "readers went back"
print(reads, len(set(seen)))
"""


def test_readers_through_publications(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    site = golden_site(tmp_path_factory).copy_to(tmp_path / "site")
    rules = Rules.read()
    stop = tmp_path / "stop"
    publish_contents(site, rules)
    arguments = (str(site.publications.link), str(stop))
    readers = [python(READ, *arguments, "20" if number % 4 == 3 else "0") for number in range(READERS)]
    try:
        time.sleep(1)
        for _ in range(PUBLICATIONS):
            publish_contents(site, rules)
    finally:
        stop.touch()
    ends = [finished(reader) for reader in readers]
    assert [end.exit_code for end in ends] == [0] * READERS, [end.progress for end in ends]
    told = [tuple(map(int, end.said.split())) for end in ends]
    print(f"{PUBLICATIONS} publications; reads and generations seen: {told}")
    assert all(reads for reads, _ in told) and max(seen for _, seen in told) > 1


def publish_contents(site: Site, rules: Rules) -> None:
    """A generation that has its own number in every row."""
    with site.warehouse.locked("test"):
        number = str(site.publications.numbers()[-1] + 1)
        with site.warehouse.connected() as connection:
            for mart in ("journal", "client_card", "interaction_history", "client_history"):
                connection.execute(f"update marts.{mart} set location = ?", [number])
        assert str(site.publications.publish(rules).number) == number


# 6. Loads that meet


@pytest.mark.skipif(not MEETINGS, reason="TORTURE_MEETINGS is 0")
def test_loads_of_changed_deliveries_at_once(clean: Clean, warm: Warm, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    for _ in range(MEETINGS):
        victim = victim_of(clean, warm, tmp_path / "site", dice.randrange(VERSIONS - 1))
        first = victim.site.start("load")
        time.sleep(dice.uniform(0, clean.seconds) * dice.randrange(2))
        second = victim.site.start("load")
        ends = [finished(process) for process in (first, second)]
        told = "\n".join(end.progress for end in ends)
        assert [end.exit_code for end in ends] == [0, 0], told
        assert sum("published generation" in end.progress for end in ends) == 1, told
        victim.assert_repaired(told)


needs_patience = pytest.mark.skipif(not DAGSTER, reason="TORTURE_DAGSTER is 0")
DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]


@needs_patience
def test_a_load_while_dagster_runs_another(clean: Clean, warm: Warm, tmp_path: Path) -> None:
    victim = victim_of(clean, warm, tmp_path / "site")
    with started_dagster_dev(tmp_path / "dagster", **folders_of(victim.site)) as dev:
        backfill = dev.launch(DAYS)
        wait_until(lambda: victim.is_used_by("Dagster run"), 120, "the run has the warehouse")
        load = finished(victim.site.start("load"))
        assert load.exit_code == 0, load.progress
        assert "is in use by Dagster run " in load.progress and "Nothing to do" in load.said
        assert wait_for_end(dev, backfill, 60) == ["SUCCESS"]

        victim.site.start("load", "--reload")
        wait_until(lambda: victim.is_used_by("load"), 120, "the load has the warehouse")
        again = dev.launch(DAYS)
        assert wait_for_end(dev, again, 240) == ["SUCCESS"]
    victim.assert_repaired("a load and a run")


@needs_patience
@pytest.mark.parametrize("kill", ["everything", "run"])
def test_dagster_is_killed_in_the_middle_of_a_run(clean: Clean, warm: Warm, tmp_path: Path, kill: str) -> None:
    """It is found out, and run again, without anybody doing anything."""
    victim = victim_of(clean, warm, tmp_path / "site")
    environment = folders_of(victim.site)
    with started_dagster_dev(tmp_path / "dagster", **environment) as dev:
        backfill = dev.launch(DAYS)
        wait_until(lambda: victim.is_used_by("Dagster run"), 120, "the run has the warehouse")
        time.sleep(random.Random(SEED).uniform(0, clean.seconds / 2))
        if kill == "everything":
            dev.kill()
        else:
            os.kill(victim.holder(), signal.SIGKILL)
            assert wait_for_end(dev, backfill, 400) == ["FAILURE", "SUCCESS"]
    victim.assert_whole("after Dagster was killed")
    if kill == "everything":
        with started_dagster_dev(tmp_path / "dagster", **environment) as dev:
            assert wait_for_end(dev, backfill, 400) == ["FAILURE", "SUCCESS"]
    victim.assert_repaired("after Dagster was killed and started again")


def folders_of(site: Site) -> dict[str, str]:
    return {"LANDING_DIR": str(site.landing), "WAREHOUSE_DIR": str(site.warehouse.folder)}


def wait_for_end(dev: DagsterDev, backfill: str, seconds: float) -> list[str]:
    """How the backfill's runs ended, the first one first; the last one's is waited for."""

    def ends() -> list[str]:
        found = [str(run["status"]) for run in reversed(dev.runs(backfill))]
        is_over = found and (found[-1] == "SUCCESS" or (len(found) > 1 and found[-1] in ("FAILURE", "CANCELED")))
        return found if is_over else []

    return list(wait_until(ends, seconds, "the runs end"))
