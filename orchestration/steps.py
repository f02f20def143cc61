"""What all Dagster steps share, and what they need beside Dagster's public interface."""

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import dagster as dg

# An asset whose partitions were recorded one by one must still return an output, or downstream steps don't run. Dagster
# records this output as another materialization, without a partition, unless it carries this mark, which has no public name.
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from pydantic import Field

from pipeline.capacity import ResourcesError, translate_errors
from pipeline.garbage_collection import gc_frozen
from pipeline.publishing import PublicationError
from pipeline.settings import Rules, Settings, SettingsError
from pipeline.updating import BuildFailedError
from pipeline.warehouse import DamageError, Warehouse

# Retries help with transient problems, such as a busy file system. Faults of data, rules or machine size fail at once.
RETRIES = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL)
POOL = "warehouse"
OWNERS = ["team:analytics-engineering"]
EXPLAINED = (BuildFailedError, DamageError, PublicationError, ResourcesError, SettingsError)


class Pipeline(dg.ConfigurableResource):
    """The settings of a run. While a run holds this resource, it has the warehouse to itself."""

    rules: dict[str, Any] = Field(
        default={}, description="Settings that differ from dbt_project.yml, for a warehouse of its own."
    )
    full_refresh: bool = Field(default=False, description="Build everything again, rather than what changed.")

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Pipeline"]:
        purpose = f"Dagster run {context.run.run_id[:8]}" if context.run else "Dagster"
        with translate_errors(self.warehouse), self.warehouse.locked(purpose), gc_frozen():
            _leave_memory_at_exit()
            yield self

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(Settings.read().warehouse_dir)

    @property
    def resolved_rules(self) -> Rules:
        return Rules.read(self.rules)


# Registered once per process.
@cache
def _leave_memory_at_exit() -> None:
    atexit.register(_leave_memory)


def _leave_memory() -> None:
    """Leaves freeing the memory to the operating system, as the command line does.

    Silences standard error, as DuckDB's bindings would report each remaining object as a leak.
    """
    gc.freeze()
    with suppress(OSError):
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@contextmanager
def plain_failures(warehouse: Warehouse) -> Iterator[None]:
    """Fails the run at once, without a trace, on errors whose message is explanation enough."""
    try:
        with translate_errors(warehouse):
            yield
    except EXPLAINED as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def recorded_by_partition(key: dg.AssetKey) -> dg.Output:
    """The output of an asset whose partitions were recorded one by one: it only lets downstream steps run."""
    return dg.Output(
        None, output_name=key.to_python_identifier(), metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
    )


def free_pools(instance: dg.DagsterInstance) -> None:
    """Frees the pool's slots of killed runs. Needs the lock, whose holder is the only live run."""
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits and POOL in storage.get_concurrency_keys():
        for slot in storage.get_concurrency_info(POOL).claimed_slots:
            storage.free_concurrency_slots_for_run(slot.run_id)


def step_problem(event: dg.DagsterEvent) -> str:
    """Why a step failed, for people: without the trace."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    error = failure.error
    while error and error.cause:
        error = error.cause
    return f"{event.step_key}: {error.message.strip() if error else event.message}"
