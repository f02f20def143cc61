"""The worked cases, whatever the settings and however they are delivered."""

from pathlib import Path

import golden_marts
import pytest
from places import build_marts, built_marts, load_landing, rejected_rows, sorted_rows
from random_deliveries import FileFormat, read_deliveries, without_extension, write_delivery

from pipeline.settings import Rules
from pipeline.warehouse import Warehouse


@pytest.mark.parametrize(
    ("expected_name", "file_format"),
    [*((name, "csv") for name in golden_marts.CHANGED_SETTINGS), ("expected", "jsonl"), ("expected", "parquet")],
)
def test_golden_deliveries_give_the_expected_marts(tmp_path: Path, expected_name: str, file_format: FileFormat) -> None:
    rules = Rules.read(golden_marts.CHANGED_SETTINGS[expected_name])
    warehouse = Warehouse(tmp_path / "warehouse")
    for delivery in read_deliveries(golden_marts.LANDING):
        write_delivery(delivery, tmp_path / "landing", file_format)

    loads = load_landing(warehouse, tmp_path / "landing", rules)
    build_marts(warehouse, rules)

    assert [load.message for load in loads if load.outcome != "loaded"] == []
    marts = built_marts(warehouse)
    expected = golden_marts.read_expected(expected_name)
    for mart, rows in expected.items():
        if mart == "rejected":
            continue
        given = golden_marts.as_golden_rows(marts[mart], list(rows[0]))
        assert sorted_rows(given) == sorted_rows(rows), mart
    assert [
        (table, str(day), f"{without_extension(file)}.csv", str(row), reason)
        for table, day, file, row, reason in rejected_rows(warehouse)
    ] == sorted(
        (row["table"], row["load_day"], row["file"], row["row"], row["reason"])
        for row in golden_marts.read_expected("expected")["rejected"]
    )
