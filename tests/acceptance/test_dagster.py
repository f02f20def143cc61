"""The assets, jobs, schedule and sensor, in process and behind a real `dagster dev`."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from golden_marts import LANDING

from orchestration.definitions import defs
from orchestration.jobs import RANGE_END, RANGE_START
from orchestration.sensors import late_deliveries, lost_runs
from orchestration.steps import POOL
from pipeline.contracts import delivered_tables
from pipeline.dbt_runner import prepared_manifest
from pipeline.last_update import last_update
from pipeline.lineage import KEPT
from pipeline.settings import PROJECT_DIR
from pipeline.warehouse import Warehouse

DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]
GROUPS = [
    "raw",
    "previous",
    "staging",
    "changes",
    "identity",
    "touches",
    "multichannel",
    "attribution",
    "marts",
    "published",
]


def use_folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    landing, warehouse = folder / "landing", folder / "warehouse"
    monkeypatch.setenv("LANDING_DIR", str(landing))
    monkeypatch.setenv("WAREHOUSE_DIR", str(warehouse))
    return landing, warehouse


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The worked cases, and a warehouse that has none of them."""
    shutil.copytree(LANDING, tmp_path / "landing")
    return use_folders(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked cases, of which a run has loaded the first day."""
    folder = tmp_path_factory.mktemp("first-day")
    shutil.copytree(LANDING, folder / "landing")
    prepared_manifest().with_name(KEPT).unlink(missing_ok=True)  # what earlier code may have made of the same SQL
    with pytest.MonkeyPatch.context() as patched:
        use_folders(folder, patched)
        assert run_days(DAYS[0], DAYS[0]).success
    return folder


@pytest.fixture(scope="module")
def later_days(first_day: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dg.ExecuteInProcessResult]:
    """What came of a run of three days after the first, of which one is delivered."""
    folder = tmp_path_factory.mktemp("later-days")
    shutil.copytree(first_day, folder, symlinks=True, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        _, warehouse = use_folders(folder, patched)
        result = run_days("2026-03-03", "2026-03-05")
    return warehouse, result


@pytest.fixture
def folders_with_a_day(first_day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    shutil.copytree(first_day, tmp_path, symlinks=True, dirs_exist_ok=True)
    return use_folders(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dg.ExecuteInProcessResult]:
    """The worked cases, with touches of a day that can't be read, and what came of a run of all days."""
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(LANDING, folder / "landing")
    damage(folder / "landing", "touches", "2026-03-02")
    with pytest.MonkeyPatch.context() as patched:
        use_folders(folder, patched)
        return folder, run_days(DAYS[0], DAYS[-1])


def damage(landing: Path, table: str, day: str) -> None:
    (landing / table / day / "part-1.csv").write_bytes(b"touch_id\0")


def run_days(first: str, last: str, **config: Any) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("daily_update").execute_in_process(
        tags={RANGE_START: first, RANGE_END: last},
        run_config={"ops": {f"load_{table}": {"config": config} for table in delivered_tables()}},
        raise_on_error=False,
    )


def materialized_days(result: dg.ExecuteInProcessResult, table: str) -> list[str]:
    key = dg.AssetKey(["raw", table])
    return [str(event.partition) for event in result.get_asset_materialization_events() if event.asset_key == key]


def column_origins(result: dg.ExecuteInProcessResult, asset: str, column: str) -> list[str] | None:
    (event,) = [
        event for event in result.get_asset_materialization_events() if event.asset_key.to_user_string() == asset
    ]
    metadata = event.materialization.metadata
    if "dagster/column_lineage" not in metadata:
        return None
    origins = metadata["dagster/column_lineage"].value.deps_by_column[column]
    named = [f"{origin.asset_key.to_user_string()}.{origin.column_name}" for origin in origins]
    assert f"| {column} | {', '.join(named)} |" in str(metadata["column_origins"].value).splitlines()
    return named


def checks_of(result: dg.ExecuteInProcessResult, name: str) -> list[dg.AssetCheckEvaluation]:
    return [check for check in result.get_asset_check_evaluations() if check.check_name == name]


def test_asset_keys_are_schema_and_table_and_groups_are_the_layers() -> None:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert {"raw/touches", "raw/contacts", "raw/costs", "raw/loads", "marts/journal", "published/marts"} <= set(specs)
    folders = {path.stem: path.parent.name for path in (PROJECT_DIR / "models/intermediate").rglob("int_*")}
    for key, spec in specs.items():
        layer, name = key.split("/")
        assert spec.group_name == (folders[name] if layer == "intermediate" else layer), key


def test_the_graph_of_assets_runs_from_left_to_right() -> None:
    graph = defs.resolve_asset_graph()
    groups = {key: graph.get(key).group_name for key in graph.get_all_asset_keys()}
    assert set(groups.values()) == set(GROUPS)
    for key, group in groups.items():
        for parent in graph.get(key).parent_keys:
            assert GROUPS.index(groups[parent]) <= GROUPS.index(group), f"{parent} comes before {key}"


def test_every_dbt_test_of_the_build_is_an_asset_check() -> None:
    checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert {
        "rules_of_journal",
        "histories_follow_the_journal",
        "data_is_fresh",
    } <= checks


def test_a_range_with_a_damaged_day_publishes_the_others_and_fails_naming_it(
    damaged: tuple[Path, dg.ExecuteInProcessResult],
) -> None:
    folder, result = damaged
    assert not result.success
    assert materialized_days(result, "touches") == ["2026-03-01", "2026-03-03"]
    assert materialized_days(result, "contacts") == DAYS
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == "published__all_days_loaded"
    message = failure.step_failure_data.user_failure_data.description
    assert "2026-03-02" in message and "part-1.csv has a NUL byte" in message
    checks = {
        (check.asset_key.to_user_string(), check.check_name): check for check in result.get_asset_check_evaluations()
    }
    assert not checks["raw/touches", "deliveries_load"].passed
    assert checks["raw/contacts", "deliveries_load"].passed
    with duckdb.connect(str(folder / "warehouse/marts.duckdb"), read_only=True) as published:
        assert published.execute("select data_through::varchar from _meta").fetchall() == [("2026-03-03",)]
        assert published.execute("select count(*) from journal where contact_date = '2026-03-02'").fetchall() > [(0,)]
        failed = published.execute(
            "select table_name, load_day::varchar from _loads where outcome = 'failed'"
        ).fetchall()
        assert failed == [("touches", "2026-03-02")]


def test_days_are_loaded_once_unless_reload_is_asked_for(folders_with_a_day: tuple[Path, Path]) -> None:
    _, warehouse = folders_with_a_day
    assert run_days(DAYS[0], DAYS[0]).success
    assert run_days(DAYS[0], DAYS[0], reload=True).success
    with duckdb.connect(str(warehouse / "marts.duckdb"), read_only=True) as published:
        loads = published.execute("select table_name, superseded_by is null from _loads order by load_id").fetchall()
    assert sorted(loads) == [("contacts", False), ("contacts", True), ("touches", False), ("touches", True)]


def test_a_day_without_a_delivery_warns_and_moves_nothing(later_days: tuple[Path, dg.ExecuteInProcessResult]) -> None:
    warehouse, result = later_days
    assert result.success
    assert materialized_days(result, "touches") == ["2026-03-03"]
    checks = {check.asset_key.path[-1]: check for check in checks_of(result, "days_are_delivered")}
    assert {table: check.passed for table, check in checks.items()} == {
        "touches": False,
        "contacts": False,
        "costs": True,  # as none were ever delivered
    }
    assert checks["touches"].severity == dg.AssetCheckSeverity.WARN
    with duckdb.connect(str(warehouse / "marts.duckdb"), read_only=True) as published:
        assert published.execute("select data_through::varchar from _meta").fetchall() == [("2026-03-03",)]


def test_columns_name_the_columns_that_they_come_from(later_days: tuple[Path, dg.ExecuteInProcessResult]) -> None:
    _, result = later_days
    assert column_origins(result, "marts/journal", "is_multichannel") == ["intermediate/int_journal.is_multichannel"]
    assert column_origins(result, "intermediate/int_journal", "not_multichannel_reason") == [
        "intermediate/int_contact_verdicts.is_multichannel",
        "intermediate/int_contact_verdicts.touch_count",
    ]
    # From a raw table; from what the build before left; in a view, which this build left as it was; in Python.
    assert column_origins(result, "staging/stg_touch_keys", "record_date") == ["raw/touches.touched_at"]
    assert column_origins(result, "intermediate/int_affected_edges", "cluster_number") == [
        "previous/int_identifier_clusters.cluster_number"
    ]
    assert column_origins(result, "marts/channel_costs", "amount") == ["staging/stg_costs.amount"]
    assert column_origins(result, "intermediate/int_origins", "origin") is None


def test_a_day_without_costs_warns_where_costs_are_delivered(folders_with_a_day: tuple[Path, Path]) -> None:
    landing, _ = folders_with_a_day
    cost = "cost_date,source,medium,amount,currency\n2026-03-02,vk,cpc,100,rub\n"
    (landing / "costs/2026-03-02").mkdir(parents=True)
    (landing / "costs/2026-03-02/part-1.csv").write_text(cost)
    result = run_days(DAYS[0], DAYS[1])
    assert result.success
    assert materialized_days(result, "costs") == ["2026-03-02"]
    checks = {check.asset_key.path[-1]: check for check in checks_of(result, "days_are_delivered")}
    assert {table: check.passed for table, check in checks.items()} == {
        "touches": True,
        "contacts": True,
        "costs": False,
    }
    assert checks["costs"].metadata["days"].value == "2026-03-01"


def test_a_failed_test_publishes_nothing(folders_with_a_day: tuple[Path, Path]) -> None:
    _, warehouse = folders_with_a_day
    told = last_update(warehouse)
    assert told and (told.outcome, told.generation) == ("published", 1)
    private = Warehouse(warehouse)
    with private.locked("test"), private.connected() as connection:
        connection.execute("update raw.loads set delivered_count = delivered_count + 1")
    result = run_days(DAYS[1], DAYS[1])
    assert not result.success
    failures = [event.step_key for event in result.all_events if event.is_step_failure]
    assert failures == ["dbt_models"]
    told = last_update(warehouse)
    assert told and (told.outcome, told.step) == ("failed", "build")
    assert told.message and told.message.startswith("test ")
    with duckdb.connect(str(warehouse / "marts.duckdb"), read_only=True) as published:
        assert published.execute("select generation, data_through::varchar from _meta").fetchall() == [
            (1, "2026-03-01")
        ]


def test_the_schedule_loads_the_day_before_at_four_in_the_report_zone() -> None:
    daily_schedule = defs.resolve_schedule_def("daily_at_four")
    assert daily_schedule.cron_schedule == "0 4 * * *"
    assert daily_schedule.execution_timezone == "Europe/Moscow"
    assert daily_schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    four_in_moscow = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
    with dg.build_schedule_context(
        scheduled_execution_time=four_in_moscow, repository_def=defs.get_repository_def()
    ) as context:
        tick = daily_schedule.evaluate_tick(context)
    assert [request.partition_key for request in tick.run_requests or []] == ["2026-03-02"]


def look(cursor: str | None) -> tuple[list[dg.RunRequest], str | None]:
    """One tick of the sensor: what it asks for, and its cursor afterwards."""
    with dg.build_sensor_context(cursor=cursor, repository_def=defs.get_repository_def()) as context:
        tick = late_deliveries.evaluate_tick(context)
    return list(tick.run_requests or []), tick.cursor


def test_the_sensor_asks_for_a_delivery_that_held_still_for_two_looks(folders: tuple[Path, Path]) -> None:
    landing, _ = folders
    requests, cursor = look(None)
    assert requests == []
    late = landing / "touches" / "2026-02-27"
    late.mkdir()
    (late / "part-1.csv").write_text("touch_id,widget_id,touched_at\n")
    requests, cursor = look(cursor)
    assert [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in requests] == [(DAYS[0], DAYS[-1])]
    (late / "part-1.csv").write_text("touch_id,widget_id,touched_at\nt,w,2026-02-27T10:00:00Z\n")
    requests, cursor = look(cursor)
    assert [request.tags[RANGE_START] for request in requests] == [DAYS[0]], "it still grows"
    requests, cursor = look(cursor)
    assert [request.tags[RANGE_START] for request in requests] == ["2026-02-27"]


def test_the_sensor_leaves_loaded_and_failed_deliveries_alone_until_they_change(
    damaged: tuple[Path, dg.ExecuteInProcessResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(damaged[0], tmp_path, symlinks=True, dirs_exist_ok=True)
    landing, _ = use_folders(tmp_path, monkeypatch)
    _, cursor = look(None)
    requests, cursor = look(cursor)
    assert requests == []
    shutil.copy(LANDING / "touches/2026-03-02/part-1.csv", landing / "touches/2026-03-02/part-1.csv")
    _, cursor = look(cursor)
    requests, _ = look(cursor)
    assert [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in requests] == [
        ("2026-03-02", "2026-03-02")
    ]


def look_for_lost_runs(instance: dg.DagsterInstance, cursor: str | None) -> str | None:
    with dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=defs.get_repository_def()) as context:
        return lost_runs.evaluate_tick(context).cursor


def test_a_run_whose_process_is_gone_is_ended_and_one_that_works_or_waits_is_not(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    _, folder = folders
    (tmp_path / "home").mkdir()
    shutil.copy(PROJECT_DIR / "dagster.yaml", tmp_path / "home")
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        run = instance.create_run_for_job(defs.resolve_job_def("rebuild"), status=dg.DagsterRunStatus.STARTED)
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default(POOL)
        assert storage.claim_concurrency_slot(POOL, run.run_id, "dbt_models").is_claimed

        def status() -> dg.DagsterRunStatus:
            found = instance.get_run_by_id(run.run_id)
            assert found
            return found.status

        cursor = None
        with held_by_another(Warehouse(folder)):
            for _ in range(5):
                cursor = look_for_lost_runs(instance, cursor)
        cursor = look_for_lost_runs(instance, cursor)
        cursor = look_for_lost_runs(instance, cursor)
        with held_by_another(Warehouse(folder)):
            cursor = look_for_lost_runs(instance, cursor)
        for _ in range(2):
            assert status() == dg.DagsterRunStatus.STARTED
            cursor = look_for_lost_runs(instance, cursor)
        assert status() == dg.DagsterRunStatus.STARTED
        look_for_lost_runs(instance, cursor)
        assert status() == dg.DagsterRunStatus.FAILURE
        assert storage.get_concurrency_info(POOL).claimed_slots == []
        ended = instance.get_run_by_id(run.run_id)
        assert ended and ended.tags["dagster/will_retry"] == "true"


@contextlib.contextmanager
def held_by_another(warehouse: Warehouse) -> Iterator[None]:
    """The lock, as another process would have it."""
    warehouse.folder.mkdir(exist_ok=True)
    with open(warehouse.lock_file, "a+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class DagsterDev:
    """A real `dagster dev`, asked through its own interface."""

    def __init__(self, port: int, process_group: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process_group = process_group

    def kill(self) -> None:
        """All of it: page, daemon, code servers and runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process_group, signal.SIGKILL)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            data: dict[str, Any] = json.load(answer)
        assert "errors" not in data, data
        return dict(data["data"])

    def is_up(self) -> bool:
        try:
            return bool(self.ask("{assetNodes {id}}")["assetNodes"])
        except (OSError, AssertionError):
            return False

    def launch(self, days: list[str]) -> str:
        """A backfill of the daily job, as the page starts it; returns its id."""
        launched = self.ask(
            """
            mutation ($backfill: LaunchBackfillParams!) {
                launchPartitionBackfill(backfillParams: $backfill) {
                    __typename ... on PythonError {message} ... on LaunchBackfillSuccess {backfillId}
                }
            }
            """,
            backfill={
                "selector": {
                    "partitionSetName": "daily_update_partition_set",
                    "repositorySelector": {
                        "repositoryName": "__repository__",
                        "repositoryLocationName": "orchestration.definitions",
                    },
                },
                "partitionNames": days,
            },
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def runs(self, backfill: str) -> list[dict[str, Any]]:
        """The latest first."""
        found: list[dict[str, Any]] = self.ask(
            """
            query ($filter: RunsFilter!) {
                runsOrError(filter: $filter) {... on Runs {results {
                    runId status stepStats {stepKey status}
                    eventConnection(limit: 1000) {events {__typename ... on RunFailureEvent {message error {message}}}}
                }}}
            }
            """,
            filter={"tags": [{"key": "dagster/backfill", "value": backfill}]},
        )["runsOrError"]["results"]
        return found


def wait_until(holds: Any, seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := holds():
            return answer
        time.sleep(1)
    raise AssertionError(f"not within {seconds} s: {what}")


@contextlib.contextmanager
def started_dagster_dev(home: Path, **environment: str) -> Iterator[DagsterDev]:
    """`dagster dev` on a folder for its history, which it may have used before; nothing of it is left running."""
    home.mkdir(exist_ok=True)
    shutil.copy(PROJECT_DIR / "dagster.yaml", home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = open(home / "dagster.log", "ab")  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, Path(sys.executable).with_name("dagster"), "dev", "-h", "127.0.0.1", "-p", str(port)],
        cwd=PROJECT_DIR,
        env=os.environ
        | {"DAGSTER_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        | environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
        # A test run started in the background ignores interrupts, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    dev = DagsterDev(port, process.pid)
    try:
        wait_until(dev.is_up, 300, f"dagster dev is up: {home / 'dagster.log'}")
        yield dev
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        dev.kill()
        process.wait()
        log.close()


@pytest.fixture
def dagster_dev(folders: tuple[Path, Path], tmp_path: Path) -> Iterator[DagsterDev]:
    with started_dagster_dev(tmp_path / "dagster") as dev:
        yield dev


def test_dagster_dev_runs_a_range_of_days_as_one_run(dagster_dev: DagsterDev, folders: tuple[Path, Path]) -> None:
    landing, warehouse = folders
    damage(landing, "touches", "2026-03-02")
    nodes = dagster_dev.ask("{assetNodes {assetKey {path} groupName hasAssetChecks}}")["assetNodes"]
    assert {node["groupName"] for node in nodes} == set(GROUPS)
    assert {"int_journal", "int_contact_clients"} <= {
        node["assetKey"]["path"][-1] for node in nodes if node["hasAssetChecks"]
    }

    backfill = dagster_dev.launch(DAYS)

    def finished() -> list[dict[str, Any]]:
        runs = dagster_dev.runs(backfill)
        return runs if runs and all(run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in runs) else []

    runs = wait_until(finished, 240, "the backfill's runs end")
    assert [run["status"] for run in runs] == ["FAILURE"]
    failed_steps = [step["stepKey"] for step in runs[0]["stepStats"] if step["status"] == "FAILURE"]
    assert failed_steps == ["published__all_days_loaded"]
    assert "2026-03-02" in json.dumps(runs[0]["eventConnection"])
    touches = dagster_dev.ask(
        """
        {assetOrError(assetKey: {path: ["raw", "touches"]}) {
            ... on Asset {assetMaterializations(limit: 100) {partition}}
        }}
        """
    )["assetOrError"]["assetMaterializations"]
    assert sorted(event["partition"] for event in touches) == ["2026-03-01", "2026-03-03"]
    with duckdb.connect(str(warehouse / "marts.duckdb"), read_only=True) as published:
        assert published.execute("select count(*) > 0 from journal").fetchall() == [(True,)]
