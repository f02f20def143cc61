"""Jobs: the daily update with or without sources, a rebuild, the verification."""

import dagster as dg

from orchestration.assets import all_days_loaded, dbt_models, published_marts, raw_assets, sources
from orchestration.steps import POOL, Pipeline, plain_failures

# Dagster's tags for the days of a run.
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
# A lost run may have done any part of its work; each step finds out what is left to do.
RETRY_ALL_STEPS = {"dagster/retry_strategy": "ALL_STEPS"}


def _source_assets() -> list[dg.AssetsDefinition]:
    if not sources:
        return []
    from orchestration.source_assets import source_asset  # with all that reads sources

    return [source_asset(source) for source in sources.values()]


source_assets = _source_assets()
after_loading = dg.AssetSelection.assets(dbt_models, published_marts, all_days_loaded)

daily_update = dg.define_asset_job(
    "daily_update",
    tags=RETRY_ALL_STEPS,
    selection=dg.AssetSelection.assets(*raw_assets) | after_loading,
    description="Loads the deliveries of a day or a range of days, brings the marts up to date and publishes them.",
)
fetch_and_load = dg.define_asset_job(
    "fetch_and_load",
    tags=RETRY_ALL_STEPS,
    selection=dg.AssetSelection.assets(*source_assets, *raw_assets) | after_loading,
    description="Fetches days from the sources of sources.yml, then does what daily_update does.",
)
rebuild = dg.define_asset_job(
    "rebuild",
    selection=after_loading,
    description="Builds everything that is loaded again, and publishes it.",
    config={"resources": {"pipeline": {"config": {"full_refresh": True}}}},
)


@dg.op(
    description="Builds everything again beside the warehouse, and fails if any row of the marts differs.", pool=POOL
)
def compare_with_a_full_rebuild(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    from pipeline.verifying import verify  # imports dbt

    with plain_failures(pipeline.warehouse):
        differences = verify(pipeline.warehouse, pipeline.resolved_rules)
    if differences:
        raise dg.Failure("\n".join(map(str, differences)), allow_retries=False)
    context.log.info("No difference: the marts are what a full rebuild gives, row for row.")


@dg.job(
    tags=RETRY_ALL_STEPS,
    description="Compares the marts, row by row, with a full rebuild beside them; changes nothing.",
)
def verification() -> None:
    compare_with_a_full_rebuild()
