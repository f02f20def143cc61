"""What `dagster dev` shows and runs: assets, jobs, schedules and sensors."""

import dagster as dg

from orchestration.assets import (
    all_days_loaded,
    dbt_models,
    ledgers,
    previous_tables,
    published_marts,
    raw_assets,
    sources,
)
from orchestration.jobs import daily_update, fetch_and_load, rebuild, source_assets, verification
from orchestration.schedules import daily_schedule, weekly_verification
from orchestration.sensors import late_deliveries, lost_runs, notice_of_failure
from orchestration.steps import Pipeline

defs = dg.Definitions(
    assets=[*source_assets, *raw_assets, *ledgers, *previous_tables, dbt_models, published_marts, all_days_loaded],
    jobs=[daily_update, *([fetch_and_load] if sources else []), rebuild, verification],
    schedules=[daily_schedule(), weekly_verification],
    sensors=[late_deliveries, lost_runs, notice_of_failure],
    resources={"pipeline": Pipeline()},
    executor=dg.in_process_executor,
)
