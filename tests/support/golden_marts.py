"""The worked cases: what the marts must hold, and how their files write a value."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
LANDING = GOLDEN / "landing"

# What differs from the default settings in each of the expected results.
CHANGED_SETTINGS: dict[str, dict[str, Any]] = {
    "expected": {},
    "expected_since_previous_contact": {"history_scope": "since_previous_contact"},
    "expected_lookback_1_day": {"lookback_days": 1},
}


def read_expected(name: str) -> dict[str, list[dict[str, str]]]:
    """The rows of every file of an expected result, by the file's mart."""
    expected = {}
    for path in sorted((GOLDEN / name).glob("*.csv")):
        with open(path, encoding="utf-8-sig", newline="") as file:
            expected[path.stem] = list(csv.DictReader(file))
    if not expected:
        raise FileNotFoundError(GOLDEN / name)
    return expected


def as_golden_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows with these columns only, their values written as in the expected files."""
    return [{column: as_golden_text(row[column], column) for column in columns} for row in rows]


def as_golden_text(value: Any, column: str = "") -> str:
    if value is None:
        return ""
    if column == "attributes":
        # Two JSON texts may differ in the order of their keys only.
        parsed = json.loads(value) if isinstance(value, str) else value
        return json.dumps(parsed, ensure_ascii=False, sort_keys=True)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{column}: an instant needs a time zone, got {value}")
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, list | tuple):
        return "|".join(as_golden_text(element) for element in value)
    return str(value)
