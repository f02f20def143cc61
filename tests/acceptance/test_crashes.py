"""Loads that are killed, and loads that meet: the next load makes of it what a clean one would have made (R27)."""

import fcntl
import os
import shutil
import time
from pathlib import Path

import golden_marts
import pytest
from processes import PATIENCE_SECONDS, Finished, Reader, Row, Site, finished, golden_site, made_once, python

from pipeline.fingerprints import fingerprint
from pipeline.last_update import last_update
from pipeline.settings import Rules
from pipeline.warehouse import WarehouseBusyError, is_in_use

RULES = Rules.read()
CHANGED_DAY = "touches/2026-03-01/part-1.csv"
Marts = dict[str, list[Row]]


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The worked cases, loaded by one clean load."""
    return golden_site(tmp_path_factory)


@pytest.fixture(scope="session")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two of the three days, one of them with other rows, in generation 1; then the worked cases lie there."""

    def make(folder: Path) -> None:
        site = Site(folder)
        shutil.copytree(golden_marts.LANDING, site.landing)
        changed = site.landing / CHANGED_DAY
        text = changed.read_text("utf-8")
        assert "t002" in text
        changed.write_text(text.replace("t002", "t-withdrawn").replace("yandex", "bing"), "utf-8")
        site.load("--to", "2026-03-02")
        shutil.copy(golden_marts.LANDING / CHANGED_DAY, changed)

    return Site(made_once(tmp_path_factory, "earlier", make))


@pytest.fixture(scope="session")
def marts(earlier: Site, clean: Site) -> dict[int, Marts]:
    """What readers get in generation 1, and in any later one."""
    return {1: earlier.marts(), 2: clean.marts()}


@pytest.fixture
def site(earlier: Site, tmp_path: Path) -> Site:
    return earlier.copy_to(tmp_path / "site")


def assert_whole(site: Site, marts: dict[int, Marts]) -> None:
    """Readers get one generation or the other."""
    generation = site.publications.current()
    assert generation in (1, 2)
    assert site.marts() == marts[generation]


def assert_as_clean(site: Site, clean: Site, marts: dict[int, Marts]) -> None:
    """Nothing tells that it wasn't loaded cleanly."""
    assert site.marts() == marts[2]
    assert site.raw_rows() == clean.raw_rows()
    assert site.publications.current() == site.publications.numbers()[-1]
    assert site.leftovers() == []
    assert what_became(site) == ("published", None, site.publications.current())


def what_became(site: Site) -> tuple[str, str | None, int | None]:
    """What readers are told of the last update."""
    told = last_update(site.warehouse.folder)
    assert told is not None
    return told.outcome, told.step, told.generation


# Killed


DIE_AT_EVERY_STEP = "import sys, processes; processes.die_at_every_step(*sys.argv[1:])"
LOAD_BUT_DO_NOT_PUBLISH = """
import os, sys
from cli import app as cli
from pipeline import publishing
publishing.Publications.publish = lambda *_: os._exit(9)
sys.argv[1:] = ["load"]
cli.main()
"""
HOLD_THE_WAREHOUSE = """
import sys
from pathlib import Path
from pipeline.warehouse import Warehouse
with Warehouse(Path(sys.argv[1])).locked("spring cleaning"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def killed_copies(site: Site, action: str, out: Path) -> list[Site]:
    """Copies of the site, each as an action leaves it that is killed one step later."""
    outcome = finished(python(DIE_AT_EVERY_STEP, action, str(site.folder), str(out)))
    assert outcome.exit_code == 0, outcome.progress
    return [Site(Path(line)) for line in outcome.said.splitlines()]


def test_a_publication_killed_at_any_step(site: Site, clean: Site, marts: dict[int, Marts], tmp_path: Path) -> None:
    folders = {"LANDING_DIR": str(site.landing), "WAREHOUSE_DIR": str(site.warehouse.folder)}
    assert finished(python(LOAD_BUT_DO_NOT_PUBLISH, **folders)).exit_code == 9
    assert what_became(site) == ("started", "build", None)
    assert not is_in_use(site.warehouse.folder)

    killed = killed_copies(site, "publish", tmp_path / "copies")

    states = []
    for copy in killed:
        assert_whole(copy, marts)
        told = what_became(copy)
        assert told[0] == "started" or told == ("published", None, copy.publications.current())
        states.append((copy.publications.numbers(), copy.publications.current()))
        with copy.warehouse.locked("test"):
            is_published = copy.publications.is_up_to_date(fingerprint(RULES))
            if not is_published:
                # A load would build the same once more before it does this.
                copy.publications.publish(RULES)
        if is_published and states[-1] not in states[:-1]:
            assert "Nothing to do" in copy.load().said
        elif is_published:
            with copy.warehouse.locked("test"):
                copy.publications.finish()
        assert_as_clean(copy, clean, marts)
    # Before there is a new generation, before readers get it, before what it replaces is cleared away.
    assert list(dict.fromkeys(map(str, states))) == ["([1], 1)", "([1, 2], 1)", "([1, 2], 2)"]


@pytest.mark.parametrize(("action", "before"), [("rollback", 2), ("resume", 1)])
def test_moving_readers_killed_at_any_step(clean: Site, tmp_path: Path, action: str, before: int) -> None:
    site = clean.copy_to(tmp_path / "site")
    with site.warehouse.locked("test"):
        site.publications.publish(RULES)
        if before == 1:
            site.publications.rollback()

    killed = killed_copies(site, action, tmp_path / "copies")

    assert len(killed) > 3
    for copy in killed:
        publications = copy.publications
        assert len(copy.published("from journal")) == len(clean.published("from journal"))
        with copy.warehouse.locked("test"):
            assert publications.is_up_to_date(fingerprint(RULES))
            publications.finish()
        assert publications.current() == publications.pinned() or (publications.current(), publications.pinned()) == (
            2,
            None,
        )


# Meeting


def started(site: Site) -> list[Finished]:
    """Two loads, started at once."""
    return [finished(process) for process in [site.start("load"), site.start("load")]]


def test_two_loads_at_once_and_a_reader(site: Site, clean: Site, marts: dict[int, Marts]) -> None:
    everything = "select (select generation from _meta), array_agg(journal order by contact_id)::varchar from journal"
    reader = Reader(site.publications.link)
    first = reader.ask(everything)

    loads = started(site)

    assert [load.exit_code for load in loads] == [0, 0], [load.progress for load in loads]
    waited, worked = sorted(loads, key=lambda load: "published generation" in load.progress)
    assert "is in use by load (process " in waited.progress and "; waiting" in waited.progress
    assert "Nothing to do" in waited.said
    assert "in use" not in worked.progress
    # The process ends as Python ends one, though it frees nothing.
    assert "leaked" not in worked.progress
    assert site.publications.numbers() == [1, 2]
    assert_as_clean(site, clean, marts)
    assert reader.ask(everything) == first != site.published(everything)
    reader.close()


@pytest.mark.parametrize(("command", "answer"), [("load", "Nothing to do"), ("resume", "and follow new ones")])
def test_a_command_waits_for_whoever_has_the_warehouse(clean: Site, tmp_path: Path, command: str, answer: str) -> None:
    site = clean.copy_to(tmp_path)
    holder = python(HOLD_THE_WAREHOUSE, str(site.warehouse.folder))
    assert holder.stdout and holder.stdout.readline() == "held\n"
    waiting = site.start(command)
    assert waiting.stderr

    said = waiting.stderr.readline()

    assert f"is in use by spring cleaning (process {holder.pid}, since " in said
    with pytest.raises(WarehouseBusyError, match="spring cleaning"), site.warehouse.locked("test", wait_seconds=0):
        pass
    assert is_in_use(site.warehouse.folder)
    assert waiting.poll() is None
    holder.communicate("\n", timeout=PATIENCE_SECONDS)
    outcome = finished(waiting)
    assert outcome.exit_code == 0
    assert answer in outcome.said
    assert site.warehouse.lock_file.read_text("utf-8") == "", "nobody is named who has gone"


def test_who_has_only_just_taken_the_warehouse_is_named_all_the_same(clean: Site, tmp_path: Path) -> None:
    site = clean.copy_to(tmp_path)
    with open(site.warehouse.lock_file, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        load = site.start("load")
        while not has_open(load.pid, site.warehouse.lock_file):
            assert load.poll() is None, finished(load)
            time.sleep(0.05)
        time.sleep(0.5)
        lock.write("a newcomer")
        lock.flush()
        assert load.stderr
        assert "is in use by a newcomer; waiting" in load.stderr.readline()

    assert finished(load).exit_code == 0


def has_open(process: int, file: Path) -> bool:
    descriptors = Path(f"/proc/{process}/fd")
    # One may be closed while it is looked at, and then has no target.
    return any(os.path.realpath(descriptor) == str(file.resolve()) for descriptor in descriptors.iterdir())
