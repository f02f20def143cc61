"""The benchmarks' peers find the project's journal in a small demo: those that the tests' environment can run."""

from datetime import date
from pathlib import Path

import pytest
from places import build_marts, load_landing

from benchmarks.peer_runs import differing_rows
from benchmarks.peers import duckdb_pairs, duckdb_paths, duckdb_ranked, polars_pairs
from demo.deliveries import write_demo
from pipeline.publishing import Publications
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole rows only, as the peers take no others."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, days=20, touches=8_000, last_day=date(2026, 6, 30))
    for file in folder.glob("*/*/*.csv"):
        lines = file.read_text("utf-8").splitlines(keepends=True)
        file.write_text("".join(line for line in lines if "-cut," not in line), "utf-8")
    return folder


@pytest.fixture(scope="module")
def marts(landing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    warehouse, rules = Warehouse(tmp_path_factory.mktemp("warehouse")), Rules.read()
    load_landing(warehouse, landing, rules)
    build_marts(warehouse, rules)
    with warehouse.locked("test"):
        publications = Publications(warehouse)
        publications.publish(rules)
    return publications.link


@pytest.mark.parametrize(
    "peer", [duckdb_pairs, duckdb_ranked, duckdb_paths, polars_pairs], ids=lambda peer: peer.__name__
)
def test_a_peer_finds_the_same_journal(peer, landing: Path, marts: Path, tmp_path: Path) -> None:
    peer.write_journal(landing, tmp_path, 2)
    assert differing_rows(marts, tmp_path) == 0


def test_rows_that_a_peer_judges_otherwise_are_counted(landing: Path, marts: Path, tmp_path: Path) -> None:
    polars_pairs.write_journal(landing, tmp_path, 2)
    journal = polars_pairs.polars.read_parquet(tmp_path / "journal.parquet")
    touch_count = polars_pairs.polars.col("touch_count")
    journal.head(len(journal) - 1).with_columns(
        touch_count=touch_count + (touch_count == touch_count.max()).cast(int)
    ).write_parquet(tmp_path / "journal.parquet")
    most = journal.filter(touch_count == touch_count.max())
    assert differing_rows(marts, tmp_path) == len({*most["contact_id"], journal["contact_id"][-1]})
