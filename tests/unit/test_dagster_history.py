"""Dagster's history on open connections, and what its definitions cost to import."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration import dbt_specs
from orchestration.storage import FILES_KEPT_OPEN, OpenEventLog
from pipeline.dbt_runner import prepared_manifest
from pipeline.settings import PROJECT_DIR

KEY = dg.AssetKey(["raw", "touches"])


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """The instance of dagster.yaml."""
    shutil.copy(PROJECT_DIR / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return dg.DagsterInstance.get()


def materialize(instance: dg.DagsterInstance, rows: int) -> str:
    """Materializes an asset in a run; returns the run's id."""

    @dg.asset(key=KEY)
    def touches() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"rows": rows})

    return dg.materialize([touches], instance=instance).run_id


def latest_rows(instance: dg.DagsterInstance) -> object:
    event = instance.get_latest_materialization_event(KEY)
    assert event is not None and event.asset_materialization is not None
    return event.asset_materialization.metadata["rows"].value


def test_the_usual_storage_reads_what_this_one_wrote_and_the_other_way_round(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with instance, dg.DagsterInstance.local_temp(str(tmp_path)) as usual:
        assert isinstance(instance.event_log_storage, OpenEventLog)
        run_id = materialize(instance, 1)
        assert latest_rows(usual) == 1
        assert [event.message for event in usual.all_logs(run_id)] == [
            event.message for event in instance.all_logs(run_id)
        ]
        materialize(usual, 2)
        assert latest_rows(instance) == 2


def test_more_runs_than_files_stay_open_are_all_there(instance: dg.DagsterInstance) -> None:
    with instance:
        run_ids = [materialize(instance, number) for number in range(FILES_KEPT_OPEN + 2)]
        assert all(instance.all_logs(run_id) for run_id in run_ids)
        opened = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)]
        assert len({name for name in opened if name.endswith(".db") and "/history/runs/" in name}) <= FILES_KEPT_OPEN


def _is_open(name: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{name}")


def test_history_that_another_process_wiped_begins_anew(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    with instance:
        former = materialize(instance, 1)
        with dg.DagsterInstance.local_temp(str(tmp_path)) as usual:
            usual.wipe()
        assert instance.all_logs(former) == []
        materialize(instance, 2)
        assert latest_rows(instance) == 2


def test_kept_specs_are_those_of_dagster_dbt() -> None:
    manifest = json.loads(prepared_manifest().read_text("utf-8"))
    models, kept = dbt_specs._dbt_assets(manifest), dbt_specs.read_specs()
    assert fields_by_key(kept.assets) == fields_by_key(models.specs)
    assert fields_by_key(kept.checks) == fields_by_key(models.check_specs)
    previous = [source for source in manifest["sources"].values() if source["source_name"] == "previous"]
    assert kept.previous == {source["name"]: source["description"] for source in previous}


def fields_by_key(specs: Iterable[dg.AssetSpec | dg.AssetCheckSpec]) -> dict[Any, dict[str, Any]]:
    """All fields of specs, by key, without the metadata of dagster-dbt's own runner.

    Dependencies have no order, and their metadata would only describe assets that nothing defines.
    """
    by_key = {}
    for spec in specs:
        fields = spec._asdict()
        fields["metadata"] = {
            name: value for name, value in fields["metadata"].items() if name not in dbt_specs.RUNNER_METADATA
        }
        for name in {"deps", "additional_deps"} & set(fields):
            fields[name] = {dependency.asset_key: dependency.partition_mapping for dependency in fields[name]}
        by_key[spec.key] = fields
    return by_key


def test_definitions_import_neither_dbt_nor_what_reads_sources() -> None:
    dbt_specs.read_specs()
    ask = "import orchestration.definitions, sys; print(*{name.split('.')[0] for name in sys.modules})"
    imported = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=PROJECT_DIR, env=os.environ | {"SOURCES_FILE": os.devnull}, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert not {"dbt", "dagster_dbt", "sqlglot", "httpx", "pyarrow"} & set(imported)
