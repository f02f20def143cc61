"""Sources as Dagster assets, by day, upstream of the raw tables that they deliver to."""

import logging
from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration.assets import days_of_loads, source_key, sources
from orchestration.steps import OWNERS, POOL, Pipeline, plain_failures, recorded_by_partition
from pipeline.notices import warn
from pipeline.settings import Settings
from sources.delivering import Fetched, explained_problems
from sources.fetching import due_days_of_run, fetch
from sources.files import shared_file_warnings
from sources.source import Source

log = logging.getLogger("multichannel")


class FetchConfig(dg.Config):
    only_due: bool = Field(
        default=False,
        description="Of the run's days only those of the source's reload window, and those that it hasn't delivered.",
    )


def source_asset(source: Source) -> dg.AssetsDefinition:
    """A source's deliveries by day; a range of days is a single step."""
    key = source_key(source.name)

    @dg.multi_asset(
        name=f"fetch_{source.name}",
        specs=[
            dg.AssetSpec(
                key,
                description=f"Deliveries of {', '.join(sorted(source.tables))} by {source.delivered_by}, in the landing folder.",
                group_name="sources",
                kinds={source.kind},
                owners=OWNERS,
                partitions_def=days_of_loads,
            )
        ],
        check_specs=[
            dg.AssetCheckSpec("days_are_fetched", asset=key, description="Every day that was asked for came."),
            dg.AssetCheckSpec(
                "totals_agree", asset=key, description="As much came as the source says there is, where it says so."
            ),
            dg.AssetCheckSpec(
                "nothing_is_gone", asset=key, description="No day has less than when it was fetched before."
            ),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
    )
    def fetch_source(context: dg.AssetExecutionContext, config: FetchConfig, pipeline: Pipeline) -> Iterator[Any]:
        rules, settings = pipeline.resolved_rules, Settings.read()
        for warning in shared_file_warnings(sources.values(), [source.name]):
            warn(warning)
        days = {date.fromisoformat(day) for day in context.partition_keys}
        if config.only_due:
            days &= set(due_days_of_run(source, rules, settings.landing_dir, pipeline.warehouse))
        # The source may have nothing yet for a day that isn't over in its zone.
        days = {day for day in days if day <= source.latest_day(rules)}
        results: list[Fetched] = []
        with plain_failures(pipeline.warehouse):
            for fetched in fetch(source, sorted(days), rules, settings, pipeline.warehouse) if days else ():
                results.append(fetched)
                log.info("%s, %s of %s: %s, %s rows", *_facts(fetched))
        for day in sorted(days):
            of_day = [fetched for fetched in results if fetched.day == day]
            if all(fetched.outcome != "failed" for fetched in of_day):
                yield dg.AssetMaterialization(key, partition=str(day), metadata=_metadata(of_day))
        yield recorded_by_partition(key)
        failed = [fetched for fetched in results if fetched.outcome == "failed"]
        for message in explained_problems(results):
            log.error("%s", message)
        differing = [fetched for fetched in results if not fetched.totals_agree]
        fewer = [fetched for fetched in results if fetched.has_become_less]
        for name, found, messages, severity in (
            ("days_are_fetched", failed, explained_problems(failed), dg.AssetCheckSeverity.ERROR),
            ("totals_agree", differing, explained_problems(differing), dg.AssetCheckSeverity.ERROR),
            ("nothing_is_gone", fewer, [_became_less(fetched) for fetched in fewer], dg.AssetCheckSeverity.WARN),
        ):
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=name,
                passed=not found,
                severity=severity,
                metadata={
                    "days": sorted({str(fetched.day) for fetched in found}),
                    "messages": messages,
                },
            )

    return fetch_source


def _facts(fetched: Fetched) -> tuple[str, str, date, str, str]:
    return fetched.source, fetched.dataset, fetched.day, fetched.outcome, f"{fetched.row_count:,}"


def _became_less(fetched: Fetched) -> str:
    return (
        f"{fetched.source}, {fetched.dataset} of {fetched.day}: {fetched.row_count:,} rows, "
        f"where {fetched.previous_row_count or 0:,} came before"
    )


def _metadata(of_day: list[Fetched]) -> dict[str, Any]:
    """Counts and field names; no records, and no addresses, which may hold credentials."""
    metadata: dict[str, Any] = {}
    for fetched in of_day:
        name = fetched.dataset
        metadata |= {
            f"{name}_outcome": fetched.outcome,
            f"{name}_rows": fetched.row_count,
            f"{name}_rows_before": fetched.previous_row_count,
            f"{name}_totals": fetched.totals,
            f"{name}_not_delivered": fetched.counts,
            f"{name}_notes": fetched.notes,
            f"{name}_unknown_fields": list(fetched.unknown_fields),
            f"{name}_absent_fields": list(fetched.absent_fields),
        }
    return metadata
