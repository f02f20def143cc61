"""Reports the work of a command to a Dagster instance, so that its pages show it."""

import glob
import os
import shutil
from pathlib import Path

import dagster as dg

from orchestration.assets import dbt_models
from orchestration.dbt_specs import UNIQUE_ID
from orchestration.metadata import (
    check_metadata,
    generation_metadata,
    load_metadata,
    node_metadata,
    previews,
)
from pipeline.dbt_runner import Build
from pipeline.lineage import column_lineage
from pipeline.loading import Load
from pipeline.notices import warn
from pipeline.publishing import Generation
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.warehouse import Warehouse

DAGSTER_SETTINGS = "dagster.yaml"


class Report:
    """A command's results, as Dagster events outside of any run."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    def loaded(self, load: Load) -> None:
        """Reports the result of a day's delivery."""
        if load.outcome != "failed":
            self._materialized(["raw", load.table], load_metadata(load), partition=str(load.day))

    def all_loaded(self, table: str, loads: list[Load], absent: list[str]) -> None:
        """Reports a table's checks, once all its days are loaded."""
        failed = [load for load in loads if load.outcome == "failed"]
        messages = [load.message or "" for load in failed]
        self._checked(["raw", table], "deliveries_load", not failed, {"messages": messages})
        self._checked(["raw", table], "days_are_delivered", not absent, {"days": absent}, is_warning=True)

    def built(self, build: Build, warehouse: Warehouse) -> None:
        """Reports a build's models, seeds and data tests."""
        keys = {spec.metadata[UNIQUE_ID]: spec.key for spec in dbt_models.specs}
        checks = {(spec.metadata or {}).get(UNIQUE_ID): spec for spec in dbt_models.check_specs}
        shown = previews(warehouse) if build.is_passed else {}
        lineage = column_lineage(build)
        for node in build.nodes:
            if node.unique_id in keys and node.is_passed:
                self._materialized(list(keys[node.unique_id].path), node_metadata(node, shown, lineage))
            elif node.unique_id in checks:
                check = checks[node.unique_id]
                self._checked(list(check.asset_key.path), check.name, node.is_passed, check_metadata(node))

    def published(self, generation: Generation, rules: Rules, warnings: list[str]) -> None:
        metadata = generation_metadata(generation, rules, warnings)
        self._materialized(["published", "marts"], metadata)
        is_fresh = metadata["days_behind_yesterday"] == 0
        self._checked(
            ["published", "marts"],
            "data_is_fresh",
            is_fresh,
            {"data_through": metadata["data_through"]},
            is_warning=True,
        )

    def ended(self) -> None:
        """All days were loaded."""
        self._materialized(["published", "all_days_loaded"], {"failed_days": []})

    def _materialized(self, key: list[str], metadata: dict, partition: str | None = None) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(dg.AssetKey(key), partition=partition, metadata=metadata)
        )

    def _checked(self, key: list[str], name: str, passed: bool, metadata: dict, is_warning: bool = False) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(key),
                check_name=name,
                passed=passed,
                metadata=metadata,
                severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
            )
        )


def prepared_home() -> Path | None:
    """Prepares DAGSTER_HOME, Dagster's history, with our settings; None if no history is wanted."""
    home = Path(os.environ.get("DAGSTER_HOME") or "")
    if home == Path():
        return None
    if glob.escape(str(home)) != str(home):
        warn(
            f"DAGSTER_HOME = {home}: Dagster can't read its settings below a name with *, ? or [ in it, so this load "
            "is not in its history; set another folder."
        )
        return None
    home.mkdir(parents=True, exist_ok=True)
    if not (home / DAGSTER_SETTINGS).exists():
        shutil.copy(PROJECT_DIR / DAGSTER_SETTINGS, home)
    return home
