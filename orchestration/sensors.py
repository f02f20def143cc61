"""Sensors that start runs, end lost ones, and alert on failures."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from orchestration.assets import default_rules
from orchestration.jobs import RANGE_END, RANGE_START, daily_update
from orchestration.steps import free_pools, step_problem
from pipeline.alerts import alert
from pipeline.contracts import delivered_tables
from pipeline.landing import scan
from pipeline.loading import pending
from pipeline.publishing.generations import read_ledger
from pipeline.settings import DAILY_HOUR, Settings
from pipeline.warehouse import Warehouse, WarehouseBusyError
from pipeline.wording import counted

LOST_AFTER_LOOKS = 3


@dg.sensor(
    job=daily_update,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Loads a past day again when its delivery appears late or changes, once it has held still between two looks.",
)
def late_deliveries(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    settings = Settings.read()
    now = datetime.now(ZoneInfo(default_rules.report_timezone))
    # Leave yesterday to the schedule until it has run.
    last_day = default_rules.yesterday() - timedelta(days=1 if now.hour < DAILY_HOUR + 1 else 0)
    landing = scan(settings.landing_dir, list(delivered_tables()), default_rules.first_load_day, last_day)
    ledger_now = read_ledger(Warehouse(settings.warehouse_dir))
    changed = {
        f"{delivery.table}/{delivery.day}": repr(delivery.signature())
        for delivery in pending(landing.deliveries, ledger_now, is_failed_pending=False)
    }
    seen: dict[str, str] = json.loads(context.cursor or "{}")
    context.update_cursor(json.dumps(changed))
    settled = {name: signature for name, signature in changed.items() if seen.get(name) == signature}
    if not settled:
        yield dg.SkipReason(f"New or changed: {counted(len(changed), 'delivery')}, none the same as at the last look")
        return
    days = sorted(name.split("/")[1] for name in settled)
    yield dg.RunRequest(
        # Requested once, and again on another day in case the run died.
        run_key=hashlib.sha256(json.dumps([str(default_rules.today()), settled]).encode()).hexdigest(),
        tags={RANGE_START: days[0], RANGE_END: days[-1]},
    )


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process is gone (killed, or the machine was), so that the queue goes on; they are run again.",
)
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Dagster can't detect dead runs, but the lock can: a live run holds it, or takes it as soon as it is free."""
    started = [run.run_id for run in context.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))]
    seen: dict[str, int] = json.loads(context.cursor or "{}")
    looks: dict[str, int] = {}
    try:
        with Warehouse(Settings.read().warehouse_dir).locked("a look for lost runs", wait_seconds=0):
            looks = {run_id: seen.get(run_id, 0) + 1 for run_id in started}
            free_pools(context.instance)
    except WarehouseBusyError:
        pass
    # A run may lack the lock right after its start and right before its end, but not for two more looks.
    lost = [run_id for run_id, count in looks.items() if count >= LOST_AFTER_LOOKS]
    for run_id in lost:
        run = context.instance.get_run_by_id(run_id)
        if run and run.status == dg.DagsterRunStatus.STARTED:
            context.instance.report_run_failed(run, "The run's process is gone: it was killed, or its machine was.")
    context.update_cursor(json.dumps({run_id: count for run_id, count in looks.items() if run_id not in lost}))
    return dg.SkipReason(f"Under way: {counted(len(started), 'run')}; lost: {len(lost)}")


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING, description="Runs ALERT_COMMAND when a run fails."
)
def notice_of_failure(context: dg.RunFailureSensorContext) -> None:
    problems = [step_problem(event) for event in context.get_step_failure_events()]
    alert(
        f"{context.dagster_run.job_name} failed: "
        + ("\n".join(dict.fromkeys(problems)) or str(context.failure_event.message))
    )
