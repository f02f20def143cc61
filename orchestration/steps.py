"""What steps of Dagster need beside Dagster's public interface, and what all steps have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

# An asset whose partitions were recorded one by one still has to give an output, or the steps behind it don't run. Dagster
# records this output as one more materialization, of no partition, unless it carries this mark; there is no public name for it.
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from pydantic import Field

from pipeline.capacity import ResourcesError, translate_errors
from pipeline.publishing import PublicationError
from pipeline.settings import Rules, Settings, SettingsError
from pipeline.updating import BuildFailedError
from pipeline.warehouse import DamageError, Warehouse

# What can go wrong for a while: a busy file system. What is wrong with data, rules or the machine's size fails at once.
RETRIES = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL)
POOL = "warehouse"
OWNERS = ["team:analytics-engineering"]
EXPLAINED = (BuildFailedError, DamageError, PublicationError, ResourcesError, SettingsError)


class Pipeline(dg.ConfigurableResource):
    """Where things are and how to work. While a run has it, the run has the warehouse to itself."""

    rules: dict[str, Any] = Field(
        default={}, description="Settings that differ from dbt_project.yml, for a warehouse of its own."
    )
    full_refresh: bool = Field(default=False, description="Build everything again, rather than what changed.")

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Pipeline"]:
        purpose = f"Dagster run {context.run.run_id[:8]}" if context.run else "Dagster"
        with translate_errors(self.warehouse), self.warehouse.locked(purpose):
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
        with translate_errors(warehouse):
            yield
    except EXPLAINED as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def recorded_by_partition(key: dg.AssetKey) -> dg.Output:
    """The output of an asset whose partitions were recorded one by one: it only lets the steps behind it run."""
    return dg.Output(
        None, output_name=key.to_python_identifier(), metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
    )


def free_pools(instance: dg.DagsterInstance) -> None:
    """Gives back what killed runs have claimed of the pool. Needs the lock: who has it is the only one to work."""
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits and POOL in storage.get_concurrency_keys():
        for slot in storage.get_concurrency_info(POOL).claimed_slots:
            storage.free_concurrency_slots_for_run(slot.run_id)


def step_problem(event: dg.DagsterEvent) -> str:
    """Why a step failed, without the trace: for people."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    error = failure.error
    while error and error.cause:
        error = error.cause
    return f"{event.step_key}: {error.message.strip() if error else event.message}"
