"""`make run` and what follows it, from a project folder whose name has blanks, quotes and other letters."""

import os
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from processes import PATIENCE_SECONDS

from demo.deliveries import write_demo
from orchestration.definitions import defs
from pipeline.settings import PROJECT_DIR, Rules

DAYS = 3
LEFT_OUT = (".git", ".venv*", ".env", "data", "target", "logs", "screenshots", "sources.yml", "__pycache__", ".*_cache")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a small demo, which borrows this one's environment."""
    folder = tmp_path_factory.mktemp("make") / 'it\'s a "дом" $HOME'
    shutil.copytree(PROJECT_DIR, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / ".venv").symlink_to(sys.prefix)
    write_demo(folder / "data/demo/landing", days=DAYS, touches=400)
    return folder


def make(project: Path, *arguments: str) -> str:
    """What `make` says of a target on either stream; the environment is there already."""
    own = ("LANDING_DIR", "WAREHOUSE_DIR", "DAGSTER_HOME", "FIRST_LOAD_DAY", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL")
    finished = subprocess.run(
        ["make", "--old-file=.venv/installed", *arguments],
        cwd=project,
        env={name: value for name, value in os.environ.items() if name not in own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=4 * PATIENCE_SECONDS,
    )
    assert finished.returncode == 0, finished.stdout
    assert "Traceback" not in finished.stdout, finished.stdout
    return finished.stdout


@pytest.fixture(scope="module")
def said(project: Path) -> str:
    return make(project, "run")


def test_make_run_says_in_at_most_40_lines_what_was_done_and_what_comes_next(said: str, project: Path) -> None:
    lines = said.splitlines()
    assert len(lines) <= 40, said
    assert not re.search(r"\bNone\b|datetime|Decimal\(|\w\(\w+=|[{}]", said), said
    assert not re.search(r"(?<![\d,.])1 (deliveries|rows|days|contacts|models|tests|clients)\b", said), said
    for words in (
        f"{DAYS * 3} deliveries to load, ",
        " models built, ",
        f"{DAYS * 3} deliveries loaded: ",
        "Generation 1, data through ",
        "Журнал: ",
        "Каналы: ",
        "What next:",
        "make report DEMO_DATA=1",
    ):
        assert sum(words in line for line in lines) == 1, (words, said)
    assert str(project / "data/demo/warehouse/marts.duckdb") in said


def test_make_run_leaves_its_history_for_make_dev(said: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(project / "data/demo/dagster")
    monkeypatch.setenv("DAGSTER_HOME", home)
    yesterday = Rules.read().yesterday()
    days = {str(yesterday - timedelta(days=back)) for back in range(DAYS)}
    with dg.DagsterInstance.from_config(home) as instance:
        for table in ("touches", "contacts", "costs"):
            assert instance.get_materialized_partitions(dg.AssetKey(["raw", table])) == days
        for asset, metadata in {
            ("marts", "journal"): "dagster/row_count",
            ("published", "marts"): "generation",
            ("published", "all_days_loaded"): "failed_days",
        }.items():
            event = instance.get_latest_materialization_event(dg.AssetKey(asset))
            assert event and event.asset_materialization and metadata in event.asset_materialization.metadata
        check_keys = defs.resolve_asset_graph().asset_check_keys
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(check_keys))
        assert len(latest) > 50
        assert all(record.event.dagster_event.asset_check_evaluation_data.passed for record in latest.values())


def test_the_demos_partitions_begin_with_its_first_day(said: str, project: Path) -> None:
    ask = "from orchestration.assets import days_of_loads; print(*days_of_loads.get_partition_keys())"
    dev = make(project, "--dry-run", "dev", "DEMO_DATA=1")
    exported = re.sub(r"\\\n\s*", "", dev).replace("dagster dev", "").strip()
    code = exported.removesuffix("-m").strip() + f" -c '{ask}'"
    answer = subprocess.run(code, shell=True, cwd=project, capture_output=True, text=True, check=True).stdout
    assert len(answer.split()) == DAYS


def test_metrics_answer_there(said: str, project: Path) -> None:
    assert re.search(r"\n +\d+\n", make(project, "metrics", "DEMO_DATA=1", "QUERY=--metrics contacts"))
