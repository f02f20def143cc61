"""Too little disk space or memory: said before anything is changed, or else in one line, and the next load repairs it."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import duckdb
import golden_marts
import pytest
from processes import Site, golden_site

from orchestration.definitions import defs
from orchestration.jobs import RANGE_END, RANGE_START
from pipeline import building, capacity, reading
from pipeline.capacity import ResourcesError
from pipeline.contracts import delivered_tables
from pipeline.dbt_runner import Build, NodeResult
from pipeline.landing import Delivery
from pipeline.last_update import last_update
from pipeline.loading import judging, storing
from pipeline.publishing import generations
from pipeline.reading import csv_files, parquet_files
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse

DAYS = ("2026-03-01", "2026-03-03")
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The worked cases in generation 1. To be copied before anything is changed."""
    return golden_site(tmp_path_factory)


@pytest.fixture
def site(loaded: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = loaded.copy_to(tmp_path / "site")
    monkeypatch.setenv("LANDING_DIR", str(site.landing))
    monkeypatch.setenv("WAREHOUSE_DIR", str(site.warehouse.folder))
    with site.warehouse.locked("test"):
        yield site


def run_days() -> dg.ExecuteInProcessResult:
    """Loads all days of the worked cases again."""
    return defs.resolve_job_def("daily_update").execute_in_process(
        tags=dict(zip((RANGE_START, RANGE_END), DAYS, strict=True)),
        run_config={"ops": {f"load_{table}": {"config": {"reload": True}} for table in delivered_tables()}},
        raise_on_error=False,
    )


def the_failure(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """The first step that failed, and its message."""
    assert not result.success
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    failure = next(event for event in result.all_events if event.is_step_failure)
    message = failure.step_failure_data.user_failure_data.description
    assert "\n" not in message and "Traceback" not in message
    return failure.step_key, message


def what_became(site: Site) -> tuple[str, str | None, str | None]:
    """What readers are told of the last update: its outcome, and what failed by what."""
    told = last_update(site.warehouse.folder)
    assert told is not None
    return told.outcome, told.step, told.message


# Before


def test_a_load_that_may_not_fit_changes_nothing(loaded: Site, tmp_path: Path) -> None:
    site = loaded.copy_to(tmp_path / "site")
    before = site.marts(), site.raw_rows()
    huge = site.landing / "touches" / "2026-03-04" / "part-1.csv"
    huge.parent.mkdir()
    huge.touch()
    os.truncate(huge, 2 * shutil.disk_usage(tmp_path).free)  # of which nothing takes any space

    outcome = site.run("load")

    assert outcome.exit_code == 1
    said = outcome.failure
    assert "too little disk space to load 1 delivery of" in said
    assert str(site.warehouse.folder) in said and "free, and up to" in said
    assert "set WAREHOUSE_DIR or TEMPORARY_DIR" in said and "Nothing was loaded." in said
    assert (site.marts(), site.raw_rows()) == before
    outcome_told, step, message = what_became(site)
    assert (outcome_told, step) == ("failed", None) and message and message in " ".join(said.split())

    shutil.rmtree(huge.parent)
    assert "Nothing to do" in site.load().said
    assert what_became(site) == ("published", None, None)


@pytest.mark.parametrize(
    ("sizes", "free", "fits"),
    [
        ({"a.csv": 10_000_000}, 92_000_000, True),
        ({"a.csv": 10_000_000}, 91_000_000, False),
        ({"a.csv": 5_000_000, "b.jsonl": 5_000_000}, 91_000_000, False),
        ({"a.csv.gz": 1_250_000}, 92_000_000, True),
        ({"a.csv.gz": 1_250_000}, 91_000_000, False),
        ({"A.PARQUET": 3_333_333}, 91_000_000, False),
        ({"A.PARQUET": 3_333_333}, 92_000_000, True),
    ],
)
def test_what_deliveries_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int], free: int, fits: bool
) -> None:
    for name, size in sizes.items():
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
    delivery = Delivery("touches", Rules.read().yesterday(), tuple(tmp_path / name for name in sizes))
    monkeypatch.setattr(capacity, "free_bytes", lambda folder: free)
    warehouse = Warehouse(tmp_path / "not" / "yet" / "there")
    if fits:
        capacity.check_load(warehouse, [delivery])
    else:
        with pytest.raises(ResourcesError, match=r"up to 92\.0 MB may be needed"):
            capacity.check_load(warehouse, [delivery])
    # Each delivery's temporary files are gone before the next.
    monkeypatch.setattr(capacity, "free_bytes", lambda folder: 122_000_000)
    capacity.check_load(warehouse, [delivery, delivery])


def test_folders_on_different_disks_are_asked_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    monkeypatch.setenv("TEMPORARY_DIR", str(elsewhere / "multichannel-test"))
    file = tmp_path / "a.csv"
    file.touch()
    os.truncate(file, 10_000_000)
    delivery = Delivery("touches", Rules.read().yesterday(), (file,))
    warehouse = Warehouse(tmp_path)
    free = {tmp_path.stat().st_dev: 62_000_000, elsewhere.stat().st_dev: 29_000_000}
    monkeypatch.setattr(capacity, "free_bytes", lambda folder: free[capacity._existing(folder).stat().st_dev])
    with pytest.raises(ResourcesError, match=r"/dev/shm/multichannel-test/warehouse-\w+ has 29\.0 MB free"):
        capacity.check_load(warehouse, [delivery])
    free[elsewhere.stat().st_dev] = 30_000_000
    capacity.check_load(warehouse, [delivery])


def test_a_dagster_run_that_may_not_fit_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    before = site.raw_rows()
    monkeypatch.setattr(capacity, "free_bytes", lambda folder: 1_000_000)

    step, message = the_failure(run_days())

    assert step in ("load_touches", "load_contacts")
    assert "too little disk space to load 3 deliveries" in message and "1.0 MB free" in message
    assert site.raw_rows() == before


def test_a_publication_that_may_not_fit_publishes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Rules.read()
    monkeypatch.setattr(capacity, "free_bytes", lambda folder: 9_000_000)
    with pytest.raises(ResourcesError, match="too little disk space to publish marts of"):
        site.publications.publish(rules)
    assert site.publications.numbers() == [1] and site.publications.current() == 1
    assert not list(site.publications.folder.glob("*.tmp"))
    # What the marts hold counts, not only what was published last.
    with site.warehouse.connected() as connection:
        connection.execute(
            "insert into marts.client_history by name "
            "select (random() + range)::varchar as client_id, uuid()::varchar as contact_id from range(400_000)"
        )
    monkeypatch.setattr(capacity, "free_bytes", lambda folder: 20_000_000)
    with pytest.raises(ResourcesError, match=r"publish marts of [12]\d\.\d MB"):
        site.publications.publish(rules)


# In the middle


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (storing, "_write_ledger", duckdb.TransactionException(f"Failed to commit: {FULL.strerror}")),
        (generations, "write_everything", duckdb.IOException(f"IO Error: Could not write file: {FULL.strerror}")),
        (generations, "sync", FULL),
    ],
)
def test_a_disk_that_fills_up_is_reported_in_a_line(
    site: Site, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception
) -> None:
    marts = site.marts()

    def full(*arguments: Any) -> None:
        raise error

    with monkeypatch.context() as broken:
        # Said twice, while others use the disk, too.
        broken.setattr(capacity, "free_bytes", lambda _: 10**11)
        broken.setattr(owner, name, full)
        _, message = the_failure(run_days())

    assert message.startswith(f"The disk is full: make room for {site.warehouse.folder} (")
    assert what_became(site) == ("failed", "publication" if owner is generations else None, message)
    assert site.marts() == marts
    assert site.publications.numbers() == [1]
    if owner is generations:
        site.publications.publish(Rules.read())
        assert site.marts() == marts
        assert site.leftovers() == []


def test_a_disk_that_fills_up_under_dbt_is_reported_in_a_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = NodeResult(
        "model.a", "model", "marts", "a", False, False, f"Runtime Error in model a\n  IO Error: {FULL.strerror}", 0, 0
    )
    monkeypatch.setattr("pipeline.building.build", lambda *_, **__: Build(False, (failed,)))

    step, message = the_failure(run_days())

    assert step == "dbt_models" and message.startswith("The disk is full")


def test_too_little_memory_is_reported_in_a_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_LIMIT", "3GB")
    monkeypatch.setenv("THREADS", "7")

    def hungry(connection: duckdb.DuckDBPyConnection, *_: Any) -> None:
        connection.execute("set memory_limit = '1MB'")
        connection.execute("select list(range) from range(10_000_000)")

    monkeypatch.setattr(judging, "count_rows", hungry)

    _, message = the_failure(run_days())

    assert message.startswith("MEMORY_LIMIT = 3GB is too little for THREADS = 7: raise the one or lower the other.")


@pytest.mark.parametrize("count", [2, 7])
def test_a_full_build_in_parts_gives_the_same(site: Site, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    tables = ("marts.client_card", "intermediate.int_chains_delta", "intermediate.int_touch_values")

    def built() -> list[list[Any]]:
        assert building.build(site.warehouse, Rules.read(), full_refresh=True).is_passed
        with site.warehouse.connected() as connection:
            return [connection.execute(f"from {table} order by all").fetchall() for table in tables]

    at_once = built()
    with site.warehouse.connected() as connection:
        rows = building._row_count(connection)
        monkeypatch.setattr(building, "_memory_limit", lambda _: rows * building.MEMORY_PER_ROW // count)
        parts = building.parts(connection)
    # Of rows, there are no more parts than loads.
    assert len(parts) >= count and parts[0][0] == 0 and parts[-1][1] == building.AFTER_ALL_LOADS
    assert 1 < len({part for part in parts if part[0] < part[1]}) <= len(parts)

    assert all(at_once)
    assert built() == at_once
    compiled = (site.warehouse.folder / "dbt/run/multichannel/models/marts/client_card.sql").read_text("utf-8")
    assert compiled.count("set variable part =") == len(parts)


def test_a_join_that_does_not_fit_into_memory_loses_nothing(tmp_path: Path) -> None:
    """DuckDB, on its way to 2.0.0, filtered what is joined by the first part that it had built, and said nothing."""
    query = "select count(*) from touches where client in (select client from contacts)"
    with duckdb.connect(tmp_path / "joined.duckdb", config={"threads": 1}) as connection:
        connection.execute("create table touches as select range % 25 as client from range(3_000_000)")
        connection.execute("create table contacts as from touches")
        connection.execute("set memory_limit = '60MB'")
        connection.execute("set max_temp_directory_size = '0KB'")
        with pytest.raises(duckdb.OutOfMemoryException):
            connection.execute(query)
        connection.execute("set max_temp_directory_size = '1GB'")

        assert connection.execute(query).fetchone() == (3_000_000,)


@pytest.mark.parametrize("file_format", ["csv.gz", "parquet"])
def test_a_file_that_fills_the_disk_fails_its_day_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch, file_format: str, tmp_path: Path
) -> None:
    folder = site.landing / "touches" / DAYS[0]
    source = golden_marts.LANDING / "touches" / DAYS[0] / "part-1.csv"
    shutil.rmtree(folder)
    folder.mkdir()
    with duckdb.connect() as connection:
        rows = connection.read_csv(str(source), all_varchar=True)
        file = str(folder / f"a.{file_format}")
        rows.to_parquet(file) if file_format == "parquet" else rows.to_csv(file, compression="gzip")

    def filled_up(module: ModuleType, function: str) -> None:
        former = getattr(module, function)

        def full(*arguments: Any) -> Any:
            files = [
                file
                for argument in arguments
                for file in (argument.values() if isinstance(argument, dict) else [argument])
                if isinstance(file, Path)
            ]
            if any(each.resolve().name == f"a.{file_format}" for each in files):
                raise FULL
            return former(*arguments)

        monkeypatch.setattr(module, function, full)

    # Among others, and by itself.
    if file_format == "parquet":
        filled_up(parquet_files, "read_parquet")
    else:
        filled_up(reading, "plain_file")
        filled_up(csv_files, "plain_file")

    result = run_days()

    failures = [event for event in result.all_events if event.is_step_failure]
    assert [failure.step_key for failure in failures] == ["published__all_days_loaded"]
    assert site.publications.current() == 2
    assert site.private("select load_day::varchar, message from raw.loads where outcome = 'failed'") == [
        (
            DAYS[0],
            f"touches/{DAYS[0]}/a.{file_format} needs more disk space than there is: make room for "
            f"{site.warehouse.temporary_dir}, set TEMPORARY_DIR to a folder on a larger disk, or deliver smaller files",
        )
    ]
