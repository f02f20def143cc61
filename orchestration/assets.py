"""The whole way of the data as Dagster assets: raw, staging, intermediate and marts (by dbt), published."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
import duckdb
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster_dbt import dbt_assets
from dagster_dbt.asset_utils import DAGSTER_DBT_UNIQUE_ID_METADATA_KEY
from pydantic import Field

from orchestration.building import build, prepared_manifest
from orchestration.contracts import delivered_tables
from orchestration.landing import scan
from orchestration.loading import Load, known_signatures, live_load, load_delivery, nothing_to_publish, pending
from orchestration.notices import collected_warnings, details, generation_warnings, warn
from orchestration.publishing import MARTS, VIEWS, PublicationError, Publications, freshness, recorded_failure
from orchestration.settings import Rules, Settings, SettingsError
from orchestration.space import ResourcesError, check_load, explained, explanation
from orchestration.warehouse import DamageError, Warehouse
from orchestration.wording import counted
from sources.configuration import read_sources
from sources.delivering import shortened

log = logging.getLogger("orchestration")

# What can go wrong for a while: a busy file system. What is wrong with data, rules or the machine's size fails at once.
RETRIES = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL)
POOL = "warehouse"


def free_pools(instance: dg.DagsterInstance) -> None:
    """Gives back what killed runs have claimed of the pool. Needs the lock: who has it is the only one to work."""
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits and POOL in storage.get_concurrency_keys():
        for slot in storage.get_concurrency_info(POOL).claimed_slots:
            storage.free_concurrency_slots_for_run(slot.run_id)


default_rules = Rules.read()
sources = read_sources()
load_days = dg.DailyPartitionsDefinition(
    start_date=str(default_rules.first_load_day), timezone=default_rules.report_timezone
)


class Pipeline(dg.ConfigurableResource):
    """Where things are and how to work. While a run has it, the run has the warehouse to itself."""

    rules: dict[str, Any] = Field(
        default={}, description="Settings that differ from dbt_project.yml, for a warehouse of its own."
    )
    full_refresh: bool = Field(default=False, description="Build everything anew, rather than what changed.")

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Pipeline"]:
        purpose = f"Dagster run {context.run.run_id[:8]}" if context.run else "Dagster"
        with explained(self.warehouse), self.warehouse.locked(purpose):
            yield self

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(Settings.read().warehouse_dir)

    @property
    def resolved_rules(self) -> Rules:
        return Rules.read(self.rules)


@contextmanager
def plain_failures(warehouse: Warehouse) -> Iterator[None]:
    """What a message explains fails the run with this message, at once and without a trace."""
    try:
        with explained(warehouse):
            yield
    except (DamageError, PublicationError, ResourcesError, SettingsError) as error:
        raise dg.Failure(str(error), allow_retries=False) from None


class LoadConfig(dg.Config):
    reload: bool = Field(
        default=False, description="Load deliveries again that have not changed since their last load."
    )


def source_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["sources", name])


def raw_asset(table: str) -> dg.AssetsDefinition:
    """A raw table, loaded by day; a range of days is one step of one run."""
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
                partitions_def=load_days,
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
        rules = pipeline.resolved_rules
        days = sorted(date.fromisoformat(day) for day in context.partition_keys)
        settings = Settings.read()
        landing = scan(settings.landing_dir, [table], rules.first_load_day, min(days[-1], rules.yesterday()), days[0])
        failures: list[Load] = []
        doubled: list[str] = []
        found = {delivery.day: delivery for delivery in landing.deliveries}
        warehouse = pipeline.warehouse
        with (
            collected_warnings() as warnings,
            plain_failures(warehouse),
            recorded_failure(warehouse),
            warehouse.connected() as connection,
        ):
            for warning in landing.warnings:
                warn(warning)
            changed = {delivery.day for delivery in pending(landing.deliveries, known_signatures(connection))}
            due = [found[day] for day in days if day in found and (day in changed or config.reload)]
            check_load(warehouse, due)
            for day in days:
                delivery = found.get(day)
                if delivery is None:
                    continue
                load = Load(table, day, "unchanged")
                if day not in changed and not config.reload:
                    load = live_load(connection, delivery) or load
                else:
                    load = load_delivery(
                        connection, delivery, rules, settings.landing_dir, config.reload, _launch_id(context)
                    )
                    details.log(logging.ERROR if load.outcome == "failed" else logging.INFO, "%s", _describe(load))
                    for warning in load.warnings:
                        warn(warning)
                    doubled += load.warnings
                if load.outcome == "failed":
                    failures.append(load)
                else:
                    yield dg.AssetMaterialization(key, partition=str(day), metadata=_load_metadata(load))
        # The days above are recorded one by one; this only lets the steps after this one run.
        yield dg.Output(
            None, output_name=key.to_python_identifier(), metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
        )
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="deliveries_load",
            passed=not failures,
            metadata={
                "failed_days": [str(load.day) for load in failures],
                "messages": [load.message or "" for load in failures],
                "warnings": warnings,
            },
        )
        # Who delivers some of an optional table wants to know of the days that it is missing on; who delivers none doesn't.
        is_expected = not delivered_tables()[table].is_optional or (settings.landing_dir / table).exists()
        absent = [str(day) for day in days if day not in found and is_expected]
        if absent:
            days_absent = "this day" if len(absent) == 1 else "these days"
            warn(f"no delivery of {table} for {shortened(absent)}: nothing is loaded for {days_absent}")
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="days_are_delivered",
            passed=not absent,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"days_without_delivery": len(absent), "days": shortened(absent)},
        )
        if has_no_key:
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name="rows_count_once",
                passed=not doubled,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"messages": doubled},
            )

    return load


def _launch_id(context: dg.AssetExecutionContext) -> str:
    """The run, or the backfill that it is a part of: Dagster splits one that spans partitioned and other assets."""
    return context.run.tags.get("dagster/backfill", context.run.run_id)


def _describe(load: Load) -> str:
    if load.outcome == "failed":
        return f"{load.table} of {load.day} failed: {load.message}"
    if load.outcome == "unchanged":
        return f"{load.table} of {load.day}: the same bytes as loaded before"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in load.rejected_by_reason.items())
    unreadable = "".join(
        f"; {column} can't be read in {counted(count, 'row')}" for column, count in load.unreadable_values.items()
    )
    return (
        f"{load.table} of {load.day}: {load.delivered_count:,} delivered, {load.loaded_count:,} loaded, "
        f"{load.rejected_count:,} rejected{f' ({reasons})' if reasons else ''}{unreadable}"
    )


def _load_metadata(load: Load) -> dict[str, Any]:
    return {
        "outcome": load.outcome,
        "load_id": load.load_id,
        "delivered_rows": load.delivered_count,
        "loaded_rows": load.loaded_count,
        "rejected_rows": load.rejected_count,
        "rejected_by_reason": load.rejected_by_reason,
        "unreadable_values": load.unreadable_values,
        "files": [file.file_name for file in load.files],
    }


raw_assets = [raw_asset(table) for table in delivered_tables()]
ledgers = [
    dg.AssetSpec(
        ["raw", name],
        group_name="raw",
        kinds={"duckdb"},
        deps=[dg.AssetKey(["raw", table]) for table in delivered_tables()],
        description=description,
    )
    for name, description in {
        "loads": "The ledger: one row per attempt to load a delivery.",
        "builds": "The ledger of builds: what each took in, and what was published.",
    }.items()
]


manifest = prepared_manifest()
# What the build before left, read before this one replaces it: named apart from the models that make it.
previous_tables = [
    dg.AssetSpec(["previous", source["name"]], group_name="previous", kinds={"duckdb"}, description=source["description"])
    for source in json.loads(manifest.read_text("utf-8"))["sources"].values()
    if source["source_name"] == "previous"
]


@dbt_assets(manifest=manifest, name="dbt_models", retry_policy=RETRIES, pool=POOL)
def dbt_models(context: dg.AssetExecutionContext, pipeline: Pipeline) -> Iterator[Any]:
    specs = {spec.metadata[DAGSTER_DBT_UNIQUE_ID_METADATA_KEY]: spec for spec in context.assets_def.specs}
    checks = {
        (spec.metadata or {}).get(DAGSTER_DBT_UNIQUE_ID_METADATA_KEY): spec for spec in context.assets_def.check_specs
    }
    selected = [
        unique_id.split(".")[-1] for unique_id, spec in specs.items() if spec.key in context.selected_asset_keys
    ]
    with plain_failures(pipeline.warehouse):
        _check_something_is_loaded(pipeline.warehouse)
        outcome = build(
            pipeline.warehouse,
            pipeline.resolved_rules,
            selected if len(selected) < len(specs) else (),
            pipeline.full_refresh,
        )
        if message := explanation(outcome.explain(), pipeline.warehouse):
            raise ResourcesError(message)
        with recorded_failure(pipeline.warehouse, "build"):
            previews = _previews(pipeline.warehouse) if outcome.is_passed else {}
    nodes = {node.unique_id: node for node in outcome.nodes}
    unique_ids = {spec.key: unique_id for unique_id, spec in specs.items()}
    dependencies = {spec.key: {dependency.asset_key for dependency in spec.deps} for spec in specs.values()}
    for key in TopologicalSorter(dependencies).static_order():
        node = nodes.get(unique_ids.get(key, ""))
        if node and node.is_passed:
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={"execution_seconds": node.execution_seconds} | dict(previews.get(node.name, {})),
            )
        elif nodes and not node and key in context.selected_asset_keys and unique_ids[key].startswith("model."):
            # A view that a build of what changed needn't make again says what it worked out all the same.
            yield dg.MaterializeResult(asset_key=key)
    for node in outcome.nodes:
        check = checks.get(node.unique_id)
        if check is not None and check.key in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=node.is_passed,
                metadata={"failing_rows": node.failures, "message": node.message},
            )
    if not outcome.is_passed:
        raise dg.Failure(f"The build failed, nothing is published:\n{outcome.explain()}", allow_retries=False)


def _check_something_is_loaded(warehouse: Warehouse) -> None:
    """Raises PublicationError where all that was ever delivered has failed: empty marts would look like an empty business."""
    with recorded_failure(warehouse, "publication"):
        if Publications(warehouse).numbers():
            return
        with warehouse.connected() as connection:
            messages = nothing_to_publish(connection)
        if messages:
            raise PublicationError(
                f"Nothing is published: {'the one delivery' if len(messages) == 1 else f'all {len(messages):,} deliveries'}"
                " failed, and none was loaded before.\n" + "\n".join(messages)
            )


def _previews(warehouse: Warehouse) -> Mapping[str, dict[str, Any]]:
    with warehouse.connected() as connection:
        tables = connection.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
        counts = {
            mart: {"dagster/row_count": _scalar(connection, f"select count(*) from marts.{mart}")} for (mart,) in tables
        }
        counts["journal"]["latest_contacts"] = dg.MetadataValue.md(_markdown(connection))
        return counts


def _markdown(connection: duckdb.DuckDBPyConnection) -> str:
    """The latest contacts of the journal, without names and phones: Dagster's history is no place for them."""
    cursor = connection.execute(
        """
        select contact_id, contact_type, contact_date, widget_name, icon, touch_count, touch_chain
        from marts.journal order by contacted_at desc, contact_id limit 10
        """
    )
    names = [column[0] for column in cursor.description or ()]
    lines = [names, ["---"] * len(names), *cursor.fetchall()]
    cells = [["" if value is None else str(value).replace("|", "\\|") for value in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _scalar(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


@dg.asset(
    key=["published", "marts"],
    group_name="published",
    kinds={"duckdb"},
    deps=[dg.AssetKey(["marts", mart]) for mart in (*MARTS, *VIEWS)],
    description="WAREHOUSE_DIR/marts.duckdb: the marts that people query, swapped in whole after an audit.",
    check_specs=[
        dg.AssetCheckSpec("data_is_fresh", asset=["published", "marts"], description="Data reaches yesterday."),
    ],
    retry_policy=RETRIES,
    pool=POOL,
)
def published_marts(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    rules = pipeline.resolved_rules
    publications = Publications(pipeline.warehouse)
    with plain_failures(pipeline.warehouse):
        generation = publications.publish(rules)
        warnings = generation_warnings(publications, generation.number)
    for warning in warnings:
        details.warning("%s", warning)
    days_behind = freshness(generation.data_through, rules)
    data_through = str(generation.data_through or "no day is loaded")
    return dg.MaterializeResult(
        metadata={
            "generation": generation.number,
            "data_through": data_through,
            "days_behind_yesterday": days_behind,
            "readers_see_it": generation.is_linked,
            "changes": generation.changes,
            "warnings": warnings,
            "path": dg.MetadataValue.path(str(generation.file)),
            **{f"{mart}_rows": count for mart, count in generation.row_counts.items()},
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="data_is_fresh",
                passed=days_behind == 0,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"data_through": data_through, "days_behind_yesterday": days_behind},
            )
        ],
    )


@dg.asset(
    key=["published", "all_days_loaded"],
    group_name="published",
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
        failed = connection.execute(
            """
            select table_name, load_day, message from raw.loads
            where run_id = ? and outcome = 'failed' order by load_day, table_name
            """,
            [_launch_id(context)],
        ).fetchall()
    not_fetched = _failed_fetches(context)
    if failed or not_fetched:
        days = sorted({str(day) for _, day, _ in failed})
        messages = [message for _, _, message in failed]
        told = f"Not loaded, and pending until mended: {', '.join(days)}. " if days else ""
        told += "Not all was fetched. " if not_fetched else ""
        raise dg.Failure(
            f"{told}All else is published.\n" + "\n".join([*not_fetched, *messages]),
            metadata={"failed_days": days},
            allow_retries=False,
        )
    return dg.MaterializeResult(metadata={"failed_days": []})


def _failed_fetches(context: dg.AssetExecutionContext) -> list[str]:
    """What the sources of this run, or of the backfill that it is a part of, could not fetch, as their checks say it."""
    backfill = context.run.tags.get("dagster/backfill")
    run_ids = [context.run.run_id]
    if backfill:
        # Dagster splits one that spans partitioned and other assets.
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
