"""The assets, jobs, schedule and sensor, in process and behind a real `dagster dev`."""

import contextlib
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

from orchestration.contracts import delivered_tables
from orchestration.definitions import RANGE_END, RANGE_START, defs, late_deliveries
from orchestration.settings import PROJECT_DIR
from orchestration.warehouse import Warehouse

DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    landing, warehouse = tmp_path / "landing", tmp_path / "warehouse"
    shutil.copytree(LANDING, landing)
    monkeypatch.setenv("LANDING_DIR", str(landing))
    monkeypatch.setenv("WAREHOUSE_DIR", str(warehouse))
    return landing, warehouse


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


def test_asset_keys_are_schema_and_table_and_groups_are_the_layers() -> None:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert {"raw/touches", "raw/contacts", "raw/loads", "marts/journal", "published/marts"} <= set(specs)
    for key, spec in specs.items():
        assert spec.group_name == key.split("/")[0], key
    assert {spec.group_name for spec in specs.values()} == {"raw", "staging", "intermediate", "marts", "published"}


def test_every_dbt_test_of_the_build_is_an_asset_check() -> None:
    checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert {"unique_journal_contact_id", "histories_follow_the_journal_interaction_history_", "data_is_fresh"} <= checks


def test_a_range_with_a_damaged_day_publishes_the_others_and_fails_naming_it(folders: tuple[Path, Path]) -> None:
    landing, warehouse = folders
    damage(landing, "touches", "2026-03-02")

    result = run_days(DAYS[0], DAYS[-1])

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
    with duckdb.connect(str(warehouse / "marts.duckdb"), read_only=True) as published:
        assert published.execute("select data_through::varchar from _meta").fetchall() == [("2026-03-03",)]
        assert published.execute("select count(*) from journal where contact_date = '2026-03-02'").fetchall() > [(0,)]
        failed = published.execute(
            "select table_name, load_day::varchar from _loads where outcome = 'failed'"
        ).fetchall()
        assert failed == [("touches", "2026-03-02")]


def test_days_are_loaded_once_unless_reload_is_asked_for(folders: tuple[Path, Path]) -> None:
    _, warehouse = folders
    assert run_days(DAYS[0], DAYS[0]).success
    assert run_days(DAYS[0], DAYS[0]).success
    assert run_days(DAYS[0], DAYS[0], reload=True).success
    with duckdb.connect(str(warehouse / "marts.duckdb"), read_only=True) as published:
        loads = published.execute("select table_name, superseded_by is null from _loads order by load_id").fetchall()
    assert sorted(loads) == [("contacts", False), ("contacts", True), ("touches", False), ("touches", True)]


def test_a_day_without_a_delivery_warns_and_moves_nothing(folders: tuple[Path, Path]) -> None:
    _, warehouse = folders
    result = run_days("2026-03-03", "2026-03-05")
    assert result.success
    assert materialized_days(result, "touches") == ["2026-03-03"]
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not checks["days_are_delivered"].passed
    assert checks["days_are_delivered"].severity == dg.AssetCheckSeverity.WARN
    with duckdb.connect(str(warehouse / "marts.duckdb"), read_only=True) as published:
        assert published.execute("select data_through::varchar from _meta").fetchall() == [("2026-03-03",)]


def test_a_failed_test_publishes_nothing(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, warehouse = folders
    assert run_days(DAYS[0], DAYS[0]).success
    private = Warehouse(warehouse)
    with private.locked("test"), private.connected() as connection:
        connection.execute("update raw.loads set delivered_count = delivered_count + 1")
    result = run_days(DAYS[1], DAYS[1])
    assert not result.success
    failures = [event.step_key for event in result.all_events if event.is_step_failure]
    assert failures == ["dbt_models"]
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


def test_the_sensor_leaves_loaded_and_failed_deliveries_alone_until_they_change(folders: tuple[Path, Path]) -> None:
    landing, _ = folders
    damage(landing, "contacts", "2026-03-02")
    run_days(DAYS[0], DAYS[-1])
    _, cursor = look(None)
    requests, cursor = look(cursor)
    assert requests == []
    shutil.copy(LANDING / "contacts/2026-03-02/part-1.csv", landing / "contacts/2026-03-02/part-1.csv")
    _, cursor = look(cursor)
    requests, _ = look(cursor)
    assert [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in requests] == [
        ("2026-03-02", "2026-03-02")
    ]


class DagsterDev:
    """A real `dagster dev`, asked through its own interface."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            data: dict[str, Any] = json.load(answer)
        assert "errors" not in data, data
        return data["data"]

    def is_up(self) -> bool:
        try:
            return bool(self.ask("{assetNodes {id}}")["assetNodes"])
        except (OSError, AssertionError):
            return False


def wait_until(holds: Any, seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := holds():
            return answer
        time.sleep(1)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture
def dagster_dev(folders: tuple[Path, Path], tmp_path: Path) -> Iterator[DagsterDev]:
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(PROJECT_DIR / "dagster.yaml", home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = open(tmp_path / "dagster.log", "wb")  # noqa: SIM115
    process = subprocess.Popen(
        [Path(sys.executable).with_name("dagster"), "dev", "-h", "127.0.0.1", "-p", str(port)],
        cwd=PROJECT_DIR,
        env=os.environ | {"DAGSTER_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=log,
        stderr=log,
        start_new_session=True,
        # A test run started in the background ignores interrupts, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        dev = DagsterDev(port)
        wait_until(dev.is_up, 120, f"dagster dev is up: {tmp_path / 'dagster.log'}")
        yield dev
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        log.close()


def test_dagster_dev_runs_a_range_of_days_as_one_run(dagster_dev: DagsterDev, folders: tuple[Path, Path]) -> None:
    landing, warehouse = folders
    damage(landing, "touches", "2026-03-02")
    nodes = dagster_dev.ask("{assetNodes {assetKey {path} groupName hasAssetChecks}}")["assetNodes"]
    assert {node["groupName"] for node in nodes} == {"raw", "staging", "intermediate", "marts", "published"}
    assert {"journal", "client_card"} <= {node["assetKey"]["path"][-1] for node in nodes if node["hasAssetChecks"]}

    launched = dagster_dev.ask(
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
            "partitionNames": DAYS,
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def finished() -> list[dict[str, Any]]:
        runs = dagster_dev.ask(
            """
            query ($filter: RunsFilter!) {
                runsOrError(filter: $filter) {... on Runs {results {
                    runId status stepStats {stepKey status}
                    eventConnection(limit: 1000) {events {__typename ... on RunFailureEvent {message error {message}}}}
                }}}
            }
            """,
            filter={"tags": [{"key": "dagster/backfill", "value": launched["backfillId"]}]},
        )["runsOrError"]["results"]
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
