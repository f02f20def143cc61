"""One load of a file of very many columns in a process of its own; prints what it took as JSON."""

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pyarrow
import pyarrow.parquet

from benchmarks.measured_load import Phase, measured
from pipeline.landing import scan
from pipeline.loading import load_deliveries
from pipeline.settings import Rules, Settings
from pipeline.warehouse import Warehouse

DAY = date(2025, 6, 30)


def _write_csv(file: Path, rows: list[dict[str, str]]) -> None:
    with open(file, "w", encoding="utf-8", newline="") as content:
        writer = csv.DictWriter(content, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_faulty_csv(file: Path, rows: list[dict[str, str]]) -> None:
    """With one row that doesn't parse, so that records are told apart one by one."""
    _write_csv(file, rows)
    with open(file, "a", encoding="utf-8") as content:
        content.write("c0,w1\n")


def _write_json_lines(file: Path, rows: list[dict[str, str]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _write_parquet(file: Path, rows: list[dict[str, str]]) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)


FORMS: dict[str, tuple[str, Callable[[Path, list[dict[str, str]]], None]]] = {
    "csv": ("a.csv", _write_csv),
    "csv with a faulty row": ("a.csv", _write_faulty_csv),
    "jsonl": ("a.jsonl", _write_json_lines),
    "parquet": ("a.parquet", _write_parquet),
}


def run(form: str, columns: int, row_count: int) -> None:
    required = {"widget_id": "w1", "contacted_at": "2025-06-30 10:00:00", "contact_type": "call"}
    rows = [
        {"contact_id": f"c{row}"}
        | required
        | {f"column_{number}": f"value {row} {number}" for number in range(columns - 1 - len(required))}
        for row in range(row_count)
    ]
    settings = Settings.read()
    name, write = FORMS[form]
    file = settings.landing_dir / "contacts" / str(DAY) / name
    file.parent.mkdir(parents=True)
    write(file, rows)
    rules = Rules.read({"max_columns": columns})
    warehouse = Warehouse(settings.warehouse_dir)
    phases: dict[str, Phase] = {}
    with warehouse.locked("benchmark"), warehouse.connected() as connection:
        (delivery,) = scan(settings.landing_dir, ["contacts"], DAY, DAY).deliveries
        with measured(phases, "load"):
            (load,) = load_deliveries(connection, [delivery], rules, settings.landing_dir)
    if load.loaded_count != row_count:
        sys.exit(f"{form} of {columns:,} columns: {load.loaded_count} rows of {row_count} loaded; {load.message}")
    print(json.dumps(asdict(phases["load"]) | {"file_bytes": file.stat().st_size}))


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
