"""What `dagster dev` shows and runs: assets, jobs, the schedule, the sensors."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from orchestration.alerts import alert, step_problem
from orchestration.assets import (
    POOL,
    Pipeline,
    all_days_loaded,
    dbt_models,
    default_rules,
    free_pools,
    ledgers,
    previous_tables,
    published_marts,
    raw_assets,
    sources,
)
from orchestration.contracts import delivered_tables
from orchestration.landing import scan
from orchestration.loading import pending
from orchestration.publishing import PublicationError, read_ledger
from orchestration.settings import DAILY_HOUR, Settings, SettingsError
from orchestration.space import ResourcesError, explained
from orchestration.verifying import verify
from orchestration.warehouse import DamageError, Warehouse, WarehouseBusyError
from orchestration.wording import counted
from sources.assets import source_asset
from sources.fetching import due_days_of_run

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
LOST_AFTER_LOOKS = 3

after_loading = dg.AssetSelection.assets(dbt_models, published_marts, all_days_loaded)

# What a lost run has done is not known for sure; all steps find out by themselves what is left to do.
RETRY_ALL_STEPS = {"dagster/retry_strategy": "ALL_STEPS"}

daily_update = dg.define_asset_job(
    "daily_update",
    tags=RETRY_ALL_STEPS,
    selection=dg.AssetSelection.assets(*raw_assets) | after_loading,
    description="Loads the deliveries of a day or a range of days, brings the marts up to date and publishes them.",
)
source_assets = [source_asset(source) for source in sources.values()]
fetch_and_load = dg.define_asset_job(
    "fetch_and_load",
    tags=RETRY_ALL_STEPS,
    selection=dg.AssetSelection.assets(*source_assets, *raw_assets) | after_loading,
    description="Fetches days from the sources of sources.yml, then does what daily_update does.",
)
rebuild = dg.define_asset_job(
    "rebuild",
    selection=after_loading,
    description="Builds and publishes what is loaded: by itself everything anew, for `load` what is due.",
    config={"resources": {"pipeline": {"config": {"full_refresh": True}}}},
)


@dg.op(description="Builds everything anew beside the warehouse, and fails if any row of the marts differs.", pool=POOL)
def compare_with_a_full_rebuild(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    try:
        with explained(pipeline.warehouse):
            differences = verify(pipeline.warehouse, pipeline.resolved_rules)
    except (DamageError, PublicationError, ResourcesError, SettingsError) as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if differences:
        raise dg.Failure("\n".join(map(str, differences)), allow_retries=False)
    context.log.info("No difference: the marts are what a full rebuild gives, row for row.")


@dg.job(
    tags=RETRY_ALL_STEPS,
    description="Compares the marts, row by row, with a full rebuild beside them; changes nothing.",
)
def verification() -> None:
    compare_with_a_full_rebuild()


weekly_verification = dg.ScheduleDefinition(
    name="verification_on_sundays",
    job=verification,
    cron_schedule=f"0 {DAILY_HOUR + 2} * * 0",
    execution_timezone=default_rules.report_timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every week, whether what was brought up to date day by day is what a full rebuild gives.",
)


def daily_schedule() -> Any:
    told: dict[str, Any] = {"name": "daily_at_four", "default_status": dg.DefaultScheduleStatus.RUNNING}
    if not sources:
        return dg.build_schedule_from_partitioned_job(
            daily_update, hour_of_day=DAILY_HOUR, description="Every night, the day before.", **told
        )

    @dg.schedule(
        job=fetch_and_load,
        cron_schedule=f"0 {DAILY_HOUR} * * *",
        execution_timezone=default_rules.report_timezone,
        description="Every night, the day before, and what sources are to be asked for again.",
        **told,
    )
    def fetch_and_load_at_four(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        settings = Settings.read()
        warehouse = Warehouse(settings.warehouse_dir)
        days = [
            day
            for source in sources.values()
            for day in due_days_of_run(source, default_rules, settings.landing_dir, warehouse)
        ]
        return dg.RunRequest(
            run_key=str(default_rules.yesterday()),
            run_config={"ops": {asset.op.name: {"config": {"only_due": True}} for asset in source_assets}},
            tags={
                RANGE_START: str(min(days, default=default_rules.yesterday())),
                RANGE_END: str(default_rules.yesterday()),
            },
        )

    return fetch_and_load_at_four


@dg.sensor(
    job=daily_update,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Loads a past day again when its delivery appears late or changes, once it has held still between two looks.",
)
def late_deliveries(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    settings = Settings.read()
    now = datetime.now(ZoneInfo(default_rules.report_timezone))
    # Yesterday is the schedule's until it has had its turn.
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
        # Asked for once; again on another day, should the run have died.
        run_key=hashlib.sha256(json.dumps([str(default_rules.today()), settled]).encode()).hexdigest(),
        tags={RANGE_START: days[0], RANGE_END: days[-1]},
    )


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process is gone (killed, or the machine was), so that the queue goes on; they are run again.",
)
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Dagster itself can't tell. But a run that lives has the warehouse's lock, or takes it as soon as it is free."""
    started = [run.run_id for run in context.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))]
    seen: dict[str, int] = json.loads(context.cursor or "{}")
    looks: dict[str, int] = {}
    try:
        with Warehouse(Settings.read().warehouse_dir).locked("a look for lost runs", wait_seconds=0):
            looks = {run_id: seen.get(run_id, 0) + 1 for run_id in started}
            free_pools(context.instance)
    except WarehouseBusyError:
        pass
    # A run may have no lock right after it starts and right before it ends, but not for two looks more.
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


defs = dg.Definitions(
    assets=[*source_assets, *raw_assets, *ledgers, *previous_tables, dbt_models, published_marts, all_days_loaded],
    jobs=[daily_update, *([fetch_and_load] if sources else []), rebuild, verification],
    schedules=[daily_schedule(), weekly_verification],
    sensors=[late_deliveries, lost_runs, notice_of_failure],
    resources={"pipeline": Pipeline()},
    executor=dg.in_process_executor,
)
