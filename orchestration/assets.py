"""The data's path as Dagster assets: raw, staging, intermediate and marts (by dbt), published."""

import logging
from collections.abc import Iterator
from datetime import date
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration.dbt_specs import UNIQUE_ID, read_specs
from orchestration.metadata import (
    check_metadata,
    generation_metadata,
    lineage_metadata,
    load_metadata,
    node_metadata,
    previews,
)
from orchestration.steps import OWNERS, POOL, RETRIES, Pipeline, plain_failures, recorded_by_partition
from pipeline.contracts import delivered_tables
from pipeline.last_update import recorded_failure
from pipeline.ledger import failed_loads
from pipeline.loading import Load, doubled_files_warnings
from pipeline.marts import CHANNEL_ATTRIBUTION, MARTS
from pipeline.notices import collected_warnings, details, environment_warnings, generation_warnings, warn
from pipeline.publishing import Publications
from pipeline.settings import Rules, Settings
from pipeline.updating import absent_days, build_loaded, check_build, describe_failures, load_days
from pipeline.wording import shortened
from sources.configuration import read_sources

log = logging.getLogger("multichannel")

default_rules = Rules.read()
sources = read_sources()
days_of_loads = dg.DailyPartitionsDefinition(
    start_date=str(default_rules.first_load_day), timezone=default_rules.report_timezone
)


class LoadConfig(dg.Config):
    reload: bool = Field(
        default=False, description="Load deliveries again that have not changed since their last load."
    )


def source_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["sources", name])


def raw_asset(table: str) -> dg.AssetsDefinition:
    """A raw table, loaded by day; a range of days is a single step."""
    key = dg.AssetKey(["raw", table])
    has_no_key = delivered_tables()[table].has_no_key
    rows_count_once = (
        [dg.AssetCheckSpec("rows_count_once", asset=key, description="No two files of a day hold the same rows.")]
        if has_no_key
        else []
    )

    @dg.multi_asset(
        name=f"load_{table}",
        specs=[
            dg.AssetSpec(
                key,
                description=f"The {table} that were delivered, per load day, as text.",
                group_name="raw",
                kinds={"duckdb"},
                owners=OWNERS,
                partitions_def=days_of_loads,
                deps=[source_key(source.name) for source in sources.values() if table in source.tables],
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "deliveries_load", asset=key, description="Every delivery of the run's days could be read (R26)."
            ),
            dg.AssetCheckSpec("days_are_delivered", asset=key, description="Every day of the run was delivered."),
            *rows_count_once,
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRIES,
        pool=POOL,
    )
    def load(context: dg.AssetExecutionContext, config: LoadConfig, pipeline: Pipeline) -> Iterator[Any]:
        days = sorted(date.fromisoformat(day) for day in context.partition_keys)
        loads: list[Load] = []
        with collected_warnings() as warnings, plain_failures(pipeline.warehouse):
            for warning in environment_warnings():
                warn(warning)
            for each in load_days(
                pipeline.warehouse, table, days, pipeline.resolved_rules, config.reload, _launch_id(context)
            ):
                loads.append(each)
                if each.outcome != "failed":
                    yield dg.AssetMaterialization(key, partition=str(each.day), metadata=load_metadata(each))
        yield recorded_by_partition(key)
        failed = [each for each in loads if each.outcome == "failed"]
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="deliveries_load",
            passed=not failed,
            metadata={
                "failed_days": [str(each.day) for each in failed],
                "messages": [each.message or "" for each in failed],
                "warnings": warnings,
            },
        )
        absent = absent_days(table, days, loads)
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="days_are_delivered",
            passed=not absent,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"days_without_delivery": len(absent), "days": shortened(absent)},
        )
        if has_no_key:
            doubled = doubled_files_warnings(loads, Settings.read().landing_dir)
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name="rows_count_once",
                passed=not doubled,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"messages": doubled},
            )

    return load


def _launch_id(context: dg.AssetExecutionContext) -> str:
    """The run's id, or its backfill's: Dagster splits a launch of partitioned and other assets into several runs."""
    return context.run.tags.get("dagster/backfill", context.run.run_id)


raw_assets = [raw_asset(table) for table in delivered_tables()]
ledgers = [
    dg.AssetSpec(
        ["raw", name],
        group_name="raw",
        kinds={"duckdb"},
        owners=OWNERS,
        deps=[dg.AssetKey(["raw", table]) for table in delivered_tables()],
        description=description,
    )
    for name, description in {
        "loads": "The ledger: one row per attempt to load a delivery.",
        "builds": "The ledger of builds: what each took in, and what was published.",
    }.items()
]
dbt_specs = read_specs()
# The previous build's tables, read before this one replaces them: listed apart from the models that create them.
previous_tables = [
    dg.AssetSpec(["previous", name], group_name="previous", kinds={"duckdb"}, owners=OWNERS, description=description)
    for name, description in dbt_specs.previous.items()
]


@dg.multi_asset(
    name="dbt_models",
    specs=dbt_specs.assets,
    check_specs=dbt_specs.checks,
    can_subset=True,
    retry_policy=RETRIES,
    pool=POOL,
)
def dbt_models(context: dg.AssetExecutionContext, pipeline: Pipeline) -> Iterator[Any]:
    specs = {spec.metadata[UNIQUE_ID]: spec for spec in context.assets_def.specs}
    checks = {(spec.metadata or {}).get(UNIQUE_ID): spec for spec in context.assets_def.check_specs}
    selected = [
        unique_id.split(".")[-1] for unique_id, spec in specs.items() if spec.key in context.selected_asset_keys
    ]
    with plain_failures(pipeline.warehouse):
        outcome = build_loaded(
            pipeline.warehouse,
            pipeline.resolved_rules,
            selected if len(selected) < len(specs) else (),
            pipeline.full_refresh,
        )
        with recorded_failure(pipeline.warehouse, "build"):
            shown = previews(pipeline.warehouse) if outcome.is_passed else {}
    from pipeline.lineage import column_lineage  # imports dbt

    lineage = column_lineage(outcome)
    nodes = {node.unique_id: node for node in outcome.nodes}
    unique_ids = {spec.key: unique_id for unique_id, spec in specs.items()}
    dependencies = {spec.key: {dependency.asset_key for dependency in spec.deps} for spec in specs.values()}
    for key in TopologicalSorter(dependencies).static_order():
        node = nodes.get(unique_ids.get(key, ""))
        if node and node.is_passed:
            yield dg.MaterializeResult(asset_key=key, metadata=node_metadata(node, shown, lineage))
        elif nodes and not node and key in context.selected_asset_keys and unique_ids[key].startswith("model."):
            # Incremental builds skip static views.
            yield dg.MaterializeResult(asset_key=key, metadata=lineage_metadata(lineage.get(unique_ids[key])))
    for node in outcome.nodes:
        check = checks.get(node.unique_id)
        if check is not None and check.key in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(
                asset_key=check.asset_key, check_name=check.name, passed=node.is_passed, metadata=check_metadata(node)
            )
    with plain_failures(pipeline.warehouse):
        check_build(outcome)


@dg.asset(
    key=["published", "marts"],
    group_name="published",
    kinds={"duckdb"},
    owners=OWNERS,
    deps=[dg.AssetKey(["marts", mart]) for mart in (*MARTS, CHANNEL_ATTRIBUTION)],
    description="WAREHOUSE_DIR/marts.duckdb: the marts that people query, swapped in whole after an audit.",
    check_specs=[
        dg.AssetCheckSpec("data_is_fresh", asset=["published", "marts"], description="Data reaches yesterday."),
    ],
    retry_policy=RETRIES,
    pool=POOL,
)
def published_marts(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    publications = Publications(pipeline.warehouse)
    with plain_failures(pipeline.warehouse):
        generation = publications.publish(pipeline.resolved_rules)
        warnings = generation_warnings(publications, generation.number)
    for warning in warnings:
        details.warning("%s", warning)
    metadata = generation_metadata(generation, pipeline.resolved_rules, warnings)
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name="data_is_fresh",
                passed=metadata["days_behind_yesterday"] == 0,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={name: metadata[name] for name in ("data_through", "days_behind_yesterday")},
            )
        ],
    )


@dg.asset(
    key=["published", "all_days_loaded"],
    group_name="published",
    owners=OWNERS,
    deps=[published_marts],
    description="The last step: fails the run when a day could not be fetched or loaded, after all else was published.",
    pool=POOL,
)
def all_days_loaded(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    with (
        plain_failures(pipeline.warehouse),
        recorded_failure(pipeline.warehouse),
        pipeline.warehouse.connected() as connection,
    ):
        failed = failed_loads(connection, _launch_id(context))
    if message := describe_failures(failed, _failed_fetches(context)):
        days = sorted({str(day) for _, day, _ in failed})
        raise dg.Failure(message, metadata={"failed_days": days}, allow_retries=False)
    return dg.MaterializeResult(metadata={"failed_days": []})


def _failed_fetches(context: dg.AssetExecutionContext) -> list[str]:
    """What the sources of this run or its backfill could not fetch, from their checks."""
    backfill = context.run.tags.get("dagster/backfill")
    run_ids = [context.run.run_id]
    if backfill:
        # Dagster splits a backfill of partitioned and other assets into several runs.
        run_ids = [run.run_id for run in context.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))]
    evaluations = [
        entry.dagster_event.asset_check_evaluation_data
        for run_id in run_ids
        for entry in context.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        if entry.dagster_event
    ]
    messages: list[str] = []
    for evaluation in evaluations:
        is_of_source = evaluation.asset_key.path[0] == source_key("").path[0]
        if is_of_source and not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            value = evaluation.metadata["messages"].value
            messages += value if isinstance(value, list) else [str(value)]
    return list(dict.fromkeys(messages))
