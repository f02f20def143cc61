"""dbt's models, seeds and tests as specs of assets and checks, the way dagster-dbt translates them.

To translate them takes longer than all else that defines the assets, as it needs dbt. So it is done once per version of the
project, and the result kept beside the parsed project.
"""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from pipeline.fingerprints import parsed_folder
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.warehouse import sync

# The specs depend on the parsed project, in whose folder they are kept, and on these: dagster-dbt, the project's folder (links to
# source files contain it) and this module.
CACHE_KEY = (importlib.metadata.version("dagster-dbt"), str(PROJECT_DIR), Path(__file__).read_text("utf-8"))
CACHE_FILE = f"dagster-{hashlib.sha256(repr(CACHE_KEY).encode()).hexdigest()[:16]}.json"

# Keys of metadata: dbt's unique id, and what serves dagster-dbt's own runner of dbt only.
UNIQUE_ID = "dagster_dbt/unique_id"
RUNNER_METADATA = ("dagster_dbt/manifest", "dagster_dbt/dagster_dbt_translator", "dagster_dbt/project")


@dataclass(frozen=True)
class DbtSpecs:
    assets: list[dg.AssetSpec]
    checks: list[dg.AssetCheckSpec]
    previous: dict[str, str]
    """The previous build's tables, with their descriptions."""


def read_specs() -> DbtSpecs:
    """The specs of the current project."""
    file = parsed_folder(Rules.read()) / CACHE_FILE
    with suppress(FileNotFoundError):
        os.utime(file.parent)  # keeps recently used folders longest
        return _specs(json.loads(file.read_text("utf-8")))
    translated = _translated()
    # Without a cache, the next import only takes longer.
    with suppress(OSError):
        unfinished = file.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(translated), "utf-8")
        sync(unfinished)
        os.replace(unfinished, file)
    return _specs(translated)


def _translated() -> dict[str, Any]:
    from pipeline.dbt_runner import prepared_manifest

    manifest = json.loads(prepared_manifest().read_text("utf-8"))
    models = _dbt_assets(manifest)
    return {
        "assets": [_described_asset(spec) for spec in models.specs],
        "checks": [_described_check(spec) for spec in models.check_specs],
        "previous": {
            source["name"]: source["description"]
            for source in manifest["sources"].values()
            if source["source_name"] == "previous"
        },
    }


def _dbt_assets(manifest: dict[str, Any]) -> dg.AssetsDefinition:
    """The project's models, seeds and tests as dagster-dbt translates them."""
    from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets

    @dbt_assets(
        manifest=manifest,
        project=DbtProject(PROJECT_DIR),
        dagster_dbt_translator=DagsterDbtTranslator(DagsterDbtTranslatorSettings(enable_code_references=True)),
    )
    def models() -> Iterator[Any]:
        yield from ()

    return models


def _described_asset(spec: dg.AssetSpec) -> dict[str, Any]:
    metadata = {name: value for name, value in spec.metadata.items() if name not in RUNNER_METADATA}
    return {
        "key": spec.key.path,
        "deps": sorted(dep.asset_key.path for dep in spec.deps),
        "description": spec.description,
        "group_name": spec.group_name,
        "skippable": spec.skippable,
        "code_version": spec.code_version,
        "owners": spec.owners,
        "tags": dict(spec.tags),
        "metadata": dg.serialize_value(metadata),
    }


def _described_check(spec: dg.AssetCheckSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "asset": spec.asset_key.path,
        "additional_deps": sorted(dep.asset_key.path for dep in spec.additional_deps),
        "description": spec.description,
        "blocking": spec.blocking,
        "metadata": spec.metadata,
    }


def _specs(described: dict[str, Any]) -> DbtSpecs:
    return DbtSpecs(
        [_asset(**asset) for asset in described["assets"]],
        [dg.AssetCheckSpec(**check) for check in described["checks"]],
        described["previous"],
    )


def _asset(metadata: str, **described: Any) -> dg.AssetSpec:
    return dg.AssetSpec(metadata=dg.deserialize_value(metadata, dict), **described)
