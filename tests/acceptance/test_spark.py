"""The same models on Spark: what they make is what DuckDB makes."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import golden_marts
import pytest
from places import Place, build_marts, built_marts, load_landing
from random_deliveries import read_deliveries, write_delivery
from reference import Delivery, Row

from pipeline.settings import PROJECT_DIR, Rules
from pipeline.spark.settings import CLUSTER, is_cluster_running

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="needs Java and `make install-spark`",
)

Marts = Mapping[str, Sequence[Mapping[str, Any]]]


def marts_of(place: Place, rules: Rules) -> list[Marts]:
    """What the worked cases' marts are after a full build of the first day, and after a build of what the others changed."""
    deliveries = read_deliveries(golden_marts.LANDING)
    days = sorted({delivery.load_day for delivery in deliveries})
    first_day = days[0]
    seen: list[Marts] = []
    # The second day's corrects the first's.
    costs = [
        Delivery("costs", day, {"part-1.csv": [cost(days[0], "10" if day == days[0] else "12.5"), cost(day, "3")]})
        for day in days
    ]
    for chosen in (lambda day: day == first_day, lambda day: day != first_day):
        for delivery in (*deliveries, *costs):
            if chosen(delivery.load_day):
                write_delivery(delivery, place.landing, "csv")
        assert [
            load.message for load in load_landing(place.warehouse, place.landing, rules) if load.outcome != "loaded"
        ] == []
        build_marts(place.warehouse, rules)
        with place.warehouse.locked("test"):
            place.publications.publish(rules)
        assert place.last_build()["is_full"] is (not seen)
        seen.append(built_marts(place.warehouse))
    return seen


def cost(day: date, amount: str) -> Row:
    campaign = "весна" if amount == "3" else "лето"
    return {
        "cost_date": str(day), "source": "vk", "medium": "cpc", "campaign": campaign, "amount": amount, "currency": "RUB"
    }  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a master with two workers, ended afterwards unless it ran before."""
    command = [sys.executable, "-m", "pipeline.spark.cluster"]
    was_running = is_cluster_running()
    subprocess.run([*command, "start"], cwd=PROJECT_DIR, check=True, timeout=120)
    try:
        yield CLUSTER
    finally:
        if not was_running:
            subprocess.run([*command, "stop"], cwd=PROJECT_DIR, check=True, timeout=120)
            assert not is_cluster_running()


@pytest.mark.parametrize(
    ("name", "is_on_cluster"),
    [(name, name == "expected_lookback_1_day") for name in golden_marts.CHANGED_SETTINGS],
)
def test_the_worked_cases_are_the_same_on_both_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, name: str, is_on_cluster: bool
) -> None:
    rules = Rules.read(golden_marts.CHANGED_SETTINGS[name])
    expected = marts_of(Place(tmp_path / "duckdb"), rules)
    monkeypatch.setenv("ENGINE", "spark")
    monkeypatch.setenv("SPARK_MASTER", request.getfixturevalue("cluster") if is_on_cluster else "local[2]")
    given = marts_of(Place(tmp_path / "spark"), rules)
    for step in range(2):
        assert expected[step]["journal"] and expected[step]["channel_costs"]
        for mart, rows in expected[step].items():
            assert in_order(given[step][mart]) == in_order(rows), f"{mart} after build {step + 1}"


def in_order(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows)
