"""The worked cases, whatever the settings and however they are delivered."""

from pathlib import Path

import golden_marts
import pytest
from places import build_marts, built_marts, load_landing, rejected_rows, rows_of, sorted_rows
from random_deliveries import FILE_FORMATS, FileFormat, read_deliveries, without_extension, write_delivery

from pipeline.contracts import delivered_tables
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse


def loaded(folder: Path, file_format: FileFormat, rules: Rules) -> Warehouse:
    """The worked cases' deliveries, loaded from files of a format."""
    for delivery in read_deliveries(golden_marts.LANDING):
        write_delivery(delivery, folder / "landing", file_format)
    warehouse = Warehouse(folder / "warehouse")
    loads = load_landing(warehouse, folder / "landing", rules)
    assert [load.message for load in loads if load.outcome != "loaded"] == []
    return warehouse


@pytest.mark.parametrize("expected_name", golden_marts.CHANGED_SETTINGS)
def test_golden_deliveries_give_the_expected_marts(tmp_path: Path, expected_name: str) -> None:
    rules = Rules.read(golden_marts.CHANGED_SETTINGS[expected_name])
    warehouse = loaded(tmp_path, "csv", rules)
    build_marts(warehouse, rules)

    marts = built_marts(warehouse)
    expected = golden_marts.read_expected(expected_name)
    for mart, rows in expected.items():
        if mart == "rejected":
            continue
        given = golden_marts.as_golden_rows(marts[mart], list(rows[0]))
        assert sorted_rows(given) == sorted_rows(rows), mart
    assert rejected(warehouse) == sorted(
        (row["table"], row["load_day"], row["file"], row["row"], row["reason"])
        for row in golden_marts.read_expected("expected")["rejected"]
    )


def rejected(warehouse: Warehouse) -> list[tuple[str, str, str, str, str]]:
    """The rejected rows, as if all files were CSV."""
    return [
        (table, str(day), f"{without_extension(file)}.csv", str(row), reason)
        for table, day, file, row, reason in rejected_rows(warehouse)
    ]


def test_golden_deliveries_give_the_same_rows_in_every_format(tmp_path: Path) -> None:
    """What is built of the same rows is the same."""
    rules = Rules.read()
    by_format = {name: loaded(tmp_path / name, name, rules) for name in FILE_FORMATS}
    rows = {name: (raw_rows(warehouse), rejected(warehouse)) for name, warehouse in by_format.items()}
    assert len(rows) == 5 and rows["csv"][0]["touches"] and rows["csv"][0]["contacts"] and rows["csv"][1]
    for name in FILE_FORMATS:
        assert rows[name] == rows["csv"], name


def raw_rows(warehouse: Warehouse) -> dict[str, list[dict[str, str]]]:
    with warehouse.locked("test"), warehouse.connected() as connection:
        rows = {
            table: rows_of(connection, f"select * exclude (file_name) from raw.{table} order by all")
            for table in delivered_tables()
        }
    return {table: golden_marts.as_golden_rows(some, list(some[0]) if some else []) for table, some in rows.items()}
