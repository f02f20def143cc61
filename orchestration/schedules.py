"""When jobs run by the clock."""

from typing import Any

import dagster as dg

from orchestration.assets import default_rules, sources
from orchestration.jobs import RANGE_END, RANGE_START, daily_update, fetch_and_load, source_assets, verification
from pipeline.settings import DAILY_HOUR, Settings
from pipeline.warehouse import Warehouse

weekly_verification = dg.ScheduleDefinition(
    name="verification_on_sundays",
    job=verification,
    cron_schedule=f"0 {DAILY_HOUR + 2} * * 0",
    execution_timezone=default_rules.report_timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every week, whether what was brought up to date day by day is what a full rebuild gives.",
)


def daily_schedule() -> Any:
    """The daily update; with sources, it fetches from them first."""
    options: dict[str, Any] = {"name": "daily_at_four", "default_status": dg.DefaultScheduleStatus.RUNNING}
    if not sources:
        return dg.build_schedule_from_partitioned_job(
            daily_update, hour_of_day=DAILY_HOUR, description="Every night, the day before.", **options
        )
    from sources.fetching import due_days_of_run

    @dg.schedule(
        job=fetch_and_load,
        cron_schedule=f"0 {DAILY_HOUR} * * *",
        execution_timezone=default_rules.report_timezone,
        description="Every night, the day before, and what sources are to be asked for again.",
        **options,
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
