"""Random histories of deliveries, judged by an implementation of the rules that shares no code with the models.

RANDOM_HISTORIES sets how many are tried, FIRST_RANDOM_HISTORY from which seed on.
"""

import os
from collections import ChainMap
from pathlib import Path

import pytest
from golden_marts import as_golden_rows
from history_runs import cost_rows, same_event_rows
from places import build_marts, built_marts, load_landing, rejected_rows, sorted_rows
from random_deliveries import (
    CHANGED_SETTINGS,
    FILE_FORMATS,
    random_attribution_settings,
    random_deliveries,
    random_same_event_settings,
    write_delivery,
)
from reference import Seeds, Settings, expected_marts
from reference_attribution import as_given, worths_in

from pipeline.settings import PROJECT_DIR, Rules
from pipeline.warehouse import Warehouse

FIRST = int(os.environ.get("FIRST_RANDOM_HISTORY", "0"))
# Every history changes settings of several kinds, those that stand apart, so that few histories see all kinds.
KINDS, KINDS_AT_ONCE = len(CHANGED_SETTINGS), 4
COUNT = int(os.environ.get("RANDOM_HISTORIES", str(-(-KINDS // KINDS_AT_ONCE))))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_a_random_history_gives_the_reference_marts(tmp_path: Path, seed: int) -> None:
    kinds = [CHANGED_SETTINGS[(seed + KINDS_AT_ONCE * number) % KINDS] for number in range(KINDS_AT_ONCE)]
    changed = dict(ChainMap(*kinds))
    changed |= random_attribution_settings(f"{seed}") | random_same_event_settings(f"{seed}")
    rules = Rules.read(changed)
    seeds = Seeds.read(PROJECT_DIR / "seeds")
    warehouse = Warehouse(tmp_path / "warehouse")
    deliveries = []
    for delivery in random_deliveries(
        seed, seeds, report_timezone=rules.report_timezone, days=4, rows_per_day=10 + seed % 3 * 15
    ):
        deliveries.append(write_delivery(delivery, tmp_path / "landing", FILE_FORMATS[seed % len(FILE_FORMATS)]))
        load_landing(warehouse, tmp_path / "landing", rules)
    build_marts(warehouse, rules)

    given = built_marts(warehouse)
    given |= {"costs": cost_rows(warehouse), "same_events": same_event_rows(warehouse)}
    expected = expected_marts(deliveries, Settings(**changed), seeds, worths_in(given["channel_worths"]))
    for mart, rows in as_given(expected, given).items():
        columns = sorted((given[mart] or rows or [{}])[0])
        assert sorted_rows(as_golden_rows(given[mart], columns)) == sorted_rows(as_golden_rows(rows, columns)), mart
    assert rejected_rows(warehouse) == sorted(
        (row["table"], row["load_day"], row["file"], row["row"], row["reason"]) for row in expected.rejected
    )
