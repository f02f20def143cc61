"""What a load says in few lines: counts, plurals, lists, and what is said of each state."""

import logging
from datetime import date
from itertools import product
from pathlib import Path

import pytest

from cli.summary import (
    CHANGES,
    TableLoads,
    describe_changes,
    describe_freshness,
    describe_loads,
    describe_nothing_to_do,
    describe_period,
    describe_reasons,
)
from pipeline.building import _build
from pipeline.dbt_runner import Build
from pipeline.notices import collected_warnings, details, log, warn
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse
from pipeline.wording import counted, listed, one_line

COUNTS = [0, 1, 2, 5, 11, 21, 101, 1_001]
DAYS = [date(2026, 3, day) for day in range(1, 32)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    ("noun", "plural"),
    [
        ("contact", "contacts"),
        ("delivery", "deliveries"),
        ("day", "days"),
        ("touch", "touches"),
        ("new contact", "new contacts"),
        ("changed touch", "changed touches"),
        ("alias", "aliases"),
    ],
)
def test_one_has_the_singular_and_all_other_counts_the_plural(count: int, noun: str, plural: str) -> None:
    assert counted(count, noun) == f"{count:,} {noun if count == 1 else plural}"


@pytest.mark.parametrize(
    ("items", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_a_list_reads_as_a_sentence(items: list[str], text: str) -> None:
    assert listed(items) == text


def test_a_message_is_one_line() -> None:
    assert one_line("first\n  second\r\n\tthird ") == "first second third"


@pytest.mark.parametrize(
    ("loads", "waiting", "lines"),
    [
        ([], 0, []),
        ([], 1, ["1 delivery has the same bytes as when loaded before"]),
        ([], 2, ["2 deliveries have the same bytes as when loaded before"]),
        ([TableLoads("touches", 1, 1)], 1, ["1 delivery loaded: 1 row (1 of touches)"]),
        ([TableLoads("touches", 1, 0)], 1, ["1 delivery loaded: 0 rows (0 of touches)"]),
        (
            [TableLoads("contacts", 1, 20, 1, {"value": 1}), TableLoads("touches", 2, 2_000, 20)],
            4,
            [
                "3 deliveries loaded: 2,020 rows (20 of contacts, 2,000 of touches); 21 rows rejected (`rejected` shows them); "
                "1 optional value unreadable (value of contacts)",
                "1 delivery has the same bytes as when loaded before",
            ],
        ),
        ([TableLoads("touches", failed_days=DAYS[:1])], 1, ["1 delivery failed: touches of 2026-03-01"]),
        (
            [TableLoads("contacts", 1, 5, failed_days=DAYS[:2]), TableLoads("touches", failed_days=DAYS[1:2])],
            4,
            [
                "1 delivery loaded: 5 rows (5 of contacts)",
                "3 deliveries failed: contacts of 2026-03-01, 2026-03-02; touches of 2026-03-02",
            ],
        ),
    ],
)
def test_deliveries_take_one_line_per_outcome(loads: list[TableLoads], waiting: int, lines: list[str]) -> None:
    assert describe_loads(loads, waiting) == lines


def test_every_failed_day_up_to_ten_is_named() -> None:
    for count in range(1, 11):
        (line,) = describe_loads([TableLoads("touches", failed_days=DAYS[:count])], count)
        assert all(str(day) in line for day in DAYS[:count])
    (line,) = describe_loads([TableLoads("touches", failed_days=DAYS)], 31)
    assert line.startswith("31 deliveries failed: touches of 2026-03-01") and "2026-03-31 (31 days)" in line


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"new": {"the contact was delivered": 49}}, "49 new contacts"),
        ({"new": {"the contact was delivered": 1}}, "1 new contact"),
        ({"removed": {"the contact was removed": 3}}, "3 removed contacts"),
        (
            {
                "removed": {"the contact was removed": 1},
                "other verdict": {"a touch came late": 2, "clients were merged": 1},
                "new": {"the contact was delivered": 20, "everything was built anew": 1},
            },
            "21 new contacts, 1 removed contact, 3 contacts with another icon",
        ),
    ],
)
def test_new_and_removed_contacts_are_told_apart(changes: dict[str, dict[str, int]], text: str) -> None:
    assert describe_changes(changes) == text


def test_every_change_and_reason_has_a_line() -> None:
    changes = {change: {"clients were merged": 1, "a touch came late": 21} for change in CHANGES}
    assert describe_reasons(changes) == [
        f"{text}: {reason}"
        for singular, plural in CHANGES.values()
        for text, reason in ((f"1 {singular}", "clients were merged"), (f"21 {plural}", "a touch came late"))
    ]


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (None, "no day is loaded"),
        (-1, "fresh"),
        (0, "fresh"),
        (1, "1 day behind yesterday"),
        (21, "21 days behind yesterday"),
    ],
)
def test_freshness(days: int | None, text: str) -> None:
    assert describe_freshness(days) == text


@pytest.mark.parametrize(
    ("deliveries", "text"),
    [
        (0, "Nothing to do: no delivery of 2026-03-01 to 2026-03-05 has landed."),
        (1, "Nothing to do: the only delivery is loaded and published."),
        (2, "Nothing to do: all 2 deliveries are loaded and published."),
    ],
)
def test_nothing_to_do(deliveries: int, text: str) -> None:
    assert describe_nothing_to_do(deliveries, date(2026, 3, 1), date(2026, 3, 5)) == text


def test_a_period_of_one_day_is_that_day() -> None:
    assert describe_period(DAYS[0], DAYS[0]) == "2026-03-01"
    assert describe_period(DAYS[0], DAYS[-1]) == "2026-03-01 to 2026-03-31"


def test_nothing_that_is_said_is_none_or_python() -> None:
    for deliveries, rows, rejected, unreadable, failed in product((0, 1, 21), repeat=5):
        columns = {"time_on_site": unreadable} if unreadable else {}
        loads = [TableLoads("touches", deliveries, rows, rejected, columns, DAYS[:failed])]
        for line in describe_loads(loads, deliveries + failed + 1):
            assert "None" not in line and not set("[]{}'=") & set(line), line
            assert " 1 rows" not in line and "1 deliveries" not in line.replace("21 deliveries", ""), line


def test_a_full_build_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipeline.engines.run_dbt", lambda *_: None)
    monkeypatch.setattr("pipeline.engines.build_of", lambda _: Build(False, ()))
    monkeypatch.setattr(log, "propagate", True)
    with caplog.at_level("INFO", "multichannel"):
        _build(Warehouse(tmp_path), Rules.read(), "fingerprint", (), "nothing is published yet")
        _build(Warehouse(tmp_path), Rules.read(), "fingerprint", (), None)

    assert caplog.messages == ["rebuilding everything: nothing is published yet"]


def test_each_distinct_warning_is_collected_once_in_one_line() -> None:
    with collected_warnings() as warnings:
        warn("touches/2026-03-01: a.csv and b.csv hold the same rows:\n  take one away")
        log.warning("%s is not read", "contacts/x")
        warn("contacts/x is not read")
        details.warning("a detail")
        log.error("a failure")
        log.log(logging.INFO, "progress")
    warn("too late")
    assert warnings == [
        "touches/2026-03-01: a.csv and b.csv hold the same rows: take one away",
        "contacts/x is not read",
    ]
