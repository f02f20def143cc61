"""Many files are read at once: the same rows, numbers and reasons as file by file, record by record."""

import gzip
import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pyarrow.parquet
import pytest
from processes import Site

from pipeline import capacity
from pipeline.capacity import deliveries_at_once
from pipeline.landing import Delivery, scan
from pipeline.loading import Load, judging, load_deliveries
from pipeline.reading import csv_files, many_csv_files
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse

FIRST_DAY = date(2025, 11, 1)
NAMES = ("contact_id", "contacted_at", "contact_type", "widget_id", "client_name", "value", "unknown")
GOOD = "c{number},2025-11-01T10:00:00,call,w1,Анна,1,{number}"
# Records, each of which something may be wrong with.
ODD = {
    "too few fields": "c9,w1",
    "one field": "x",
    "too few fields, of many bytes": "ы,😀",
    "too few fields, quoted": 'c9,"w1"',
    "too few fields, with a line break": 'c9,"w\n1"',
    "only commas": ",,,,,,",
    "too few commas": ",,",
    "too many fields": GOOD.format(number=9) + ",x",
    "one empty field too many": GOOD.format(number=9) + ",",
    "two empty fields too many": GOOD.format(number=9) + ",,",
    "text after a quote": 'c9,2025-11-01T10:00:00,call,w1,"x"y,1,u',
    "quote in plain text": 'c9,2025-11-01T10:00:00,call,w1,x"y,1,u',
    "spaces around quotes": 'c9,2025-11-01T10:00:00,call,w1, "x" ,1,u',
    "two quoted texts": 'c9,2025-11-01T10:00:00,call,w1,"x" "y",1,u',
    "quoted quotes, commas and line breaks": 'c9,2025-11-01T10:00:00,call,w1,"""x"", ""y"",\n\nz",1,u',
    "quoted line break": 'c9,2025-11-01T10:00:00,call,w1,"a\nb",1,u',
    "quoted line break, too few fields": 'c9,2025-11-01T10:00:00,call,w1,"a\nb",1,u\nc9,w1',
    "blank line": "",
    "blank lines, too few fields": "\n\nc9,w1",
    "white space": " \t\u00a0",
    "comment": "#" + GOOD.format(number=9),
    "unclosed quote": 'c9,2025-11-01T10:00:00,call,w1,"x,1,u',
    "lone carriage return": "c9,2025-11-01T10:00:00,call,w1,x\ry,1,u",
    "NUL": "c9,2025-11-01T10:00:00,call,w1,x\0y,1,u",
    "header again": ",".join(NAMES),
    "quotes alone": '""',
    "no id": GOOD.format(number=9).replace("c9", ""),
    "impossible time": GOOD.format(number=9).replace("2025", "2099"),
    "time of another day": GOOD.format(number=9).replace("2025-11-01", "2025-11-20"),
    "unreadable value": GOOD.format(number=9).replace(",1,", ",one,"),
}


class Desk:
    """A landing folder of contacts, and a warehouse for each way to read them."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        self.rules = Rules.read()

    def write(self, day_number: int, name: str, content: str | bytes) -> None:
        folder = self.site.landing / "contacts" / str(FIRST_DAY + timedelta(days=day_number))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def load(self, way: str) -> tuple[list[Load], list[tuple], list[tuple]]:
        """The loads, the rows with their numbers, and the rejected rows."""
        warehouse = Warehouse(self.site.warehouse.folder.with_name(way))
        deliveries = scan(self.site.landing, ["contacts"], self.rules.first_load_day, self.rules.yesterday()).deliveries
        with warehouse.locked("test"), warehouse.connected() as connection:
            loads = list(load_deliveries(connection, deliveries, self.rules, self.site.landing))
            rows = connection.execute("from raw.contacts order by record_number").fetchall()
            rejected = connection.execute("from raw.rejected_rows order by all").fetchall()
            assert connection.execute("select count(*) from duckdb_tables() where temporary").fetchone() == (0,)
            assert list(warehouse.temporary_dir.glob("delivery-*")) == []
        return loads, rows, rejected

    def load_both_ways(self, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Load], list[tuple], list[tuple]]:
        together = self.load("together")
        with monkeypatch.context() as alone:
            alone.setattr(judging, "read_files", lambda *_: [])
            loads, rows, rejected = self.load("alone")
        assert together[0] == loads
        assert together[1] == rows
        assert together[2] == rejected
        return together


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield Desk(tmp_path)


def file_of(*records: str, line_end: str = "\n", names: tuple[str, ...] = NAMES) -> str:
    return line_end.join([",".join(names), *records, ""])


def good_records(count: int) -> list[str]:
    return [GOOD.format(number=number) for number in range(count)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_an_odd_file_is_the_same_alone_and_among_fifty_good_ones(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, line_end: str
) -> None:
    for day_number, (name, record) in enumerate(ODD.items()):
        desk.write(day_number, f"{name}.csv", file_of("c1,,,,,,", record, *good_records(30), line_end=line_end))
        for number in range(2):
            desk.write(day_number, f"good-{number}.csv", file_of(*good_records(3)))
    loads, rows, rejected = desk.load_both_ways(monkeypatch)
    failed = {load.message.split("/")[2].partition(".csv")[0] for load in loads if load.message}
    assert failed == {"unclosed quote", "NUL"}
    assert len(rows) > 36 * (len(ODD) - 2)
    assert len(rejected) > len(ODD)


@pytest.mark.parametrize("end", ["", "\n"], ids=["no line end", "line end"])
def test_an_odd_end_is_the_same_alone_and_among_fifty_good_files(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """As of a file that was cut off while it was copied."""
    monkeypatch.setattr(csv_files, "CHUNK_BYTES", 4)  # which readline completes: a line a chunk
    cut = {
        "in the first text": '"c9',
        "before the first text": '"',
        "after spaces": '  "c9',
        "over lines": '"c9\nc10\n',
    }
    for day_number, (name, record) in enumerate((ODD | cut).items()):
        desk.write(day_number, f"{name}.csv", file_of(*good_records(3)) + record + end)
        for number in range(2):
            desk.write(day_number, f"good-{number}.csv", file_of(*good_records(3)))
    loads, rows, _ = desk.load_both_ways(monkeypatch)
    failed = {load.message.split("/")[2].partition(".csv")[0] for load in loads if load.message}
    assert failed == {"unclosed quote", "NUL", *cut}
    assert len(rows) > 9 * (len(ODD) - 2)


def test_most_odd_files_are_read_together(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow way is for those of which DuckDB may not find each record."""
    for day_number, (name, record) in enumerate(ODD.items()):
        desk.write(day_number, f"{name}.csv", file_of("c1,,,,,,", record, *good_records(30)))
    former, alone = judging.read_file, []

    def noted(connection: Any, reading: Any, file: Path, *more: Any) -> Any:
        alone.append(file.stem)
        return former(connection, reading, file, *more)

    monkeypatch.setattr(judging, "read_file", noted)
    desk.load("together")
    assert set(alone) == {
        *("too few fields, with a line break", "one empty field too many", "text after a quote", "two quoted texts"),
        *("two empty fields too many", "blank lines, too few fields", "white space", "unclosed quote"),
        *("lone carriage return", "NUL"),
    }


@pytest.mark.parametrize("step", ["look_at_bytes", "_create_good_rows"])
def test_a_file_that_is_removed_in_between_fails_its_day_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for day_number in range(3):
        desk.write(day_number, "a.csv", file_of(*good_records(3)))
    removed = desk.site.landing / "contacts" / str(FIRST_DAY + timedelta(days=1)) / "a.csv"
    read = getattr(many_csv_files, step)

    def remove(*arguments: Any) -> Any:
        removed.unlink(missing_ok=True)
        return read(*arguments)

    monkeypatch.setattr(many_csv_files, step, remove)
    loads, rows, _ = desk.load("together")
    assert [load.outcome for load in loads] == ["loaded", "failed", "loaded"]
    assert (loads[1].message or "").endswith("a.csv was removed while it was read; deliver it again") and len(rows) == 6


def test_a_parquet_file_that_is_removed_in_between_fails_its_day_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day_number in range(3):
        desk.write(day_number, "a.parquet", b"")
        file = desk.site.landing / "contacts" / str(FIRST_DAY + timedelta(days=day_number)) / "a.parquet"
        pyarrow.parquet.write_table(
            pyarrow.table(
                {"contact_id": ["c1"], "contacted_at": ["2025-11-01"], "contact_type": ["call"], "widget_id": ["w1"]}
            ),
            file,
        )
    removed = desk.site.landing / "contacts" / str(FIRST_DAY + timedelta(days=1)) / "a.parquet"
    read = judging.read_files

    def remove(*arguments: Any) -> Any:
        removed.unlink()
        return read(*arguments)

    monkeypatch.setattr(judging, "read_files", remove)
    loads, _, _ = desk.load("together")
    assert [load.outcome for load in loads] == ["loaded", "failed", "loaded"]
    assert (loads[1].message or "").endswith("a.parquet was removed while it was read; deliver it again")


def test_parquet_files_are_read_together_only_if_they_are_stored_alike(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both times are of nanoseconds to Arrow; to DuckDB, those of the older form are of microseconds."""
    times = pyarrow.array([1_762_000_000_123_456_789] * 3, pyarrow.timestamp("ns"))
    columns = {name: pyarrow.array(["1", "2", "3"]) for name in NAMES if name != "contacted_at"}
    for day_number in range(4):
        folder = desk.site.landing / "contacts" / str(FIRST_DAY + timedelta(days=day_number))
        folder.mkdir(parents=True)
        pyarrow.parquet.write_table(
            pyarrow.table(columns | {"contact_type": ["call"] * 3, "contacted_at": times, "unknown": times}),
            folder / "a.parquet",
            use_deprecated_int96_timestamps=day_number % 2 == 0,
        )
    _, rows, _ = desk.load_both_ways(monkeypatch)
    assert len(rows) == 12


def run_out_of_memory_for_several_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one file at once fits into memory."""
    former = judging.read_files

    def hungry(connection: Any, reading: Any, files: dict, scratch: Any) -> Any:
        if len(files) > 1:
            raise duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate")
        return former(connection, reading, files, scratch)

    monkeypatch.setattr(judging, "read_files", hungry)


def test_a_delivery_that_is_too_much_at_once_is_read_file_by_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        desk.write(0, name, file_of(*good_records(3)))
    run_out_of_memory_for_several_files(monkeypatch)
    (load,), rows, _ = desk.load("together")
    assert (load.outcome, load.loaded_count, len(rows)) == ("loaded", 9, 9)


def test_faulty_records_of_a_large_file_are_numbered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger than what DuckDB reads at once."""
    dice = random.Random(1)
    records = [f"c{number},2025-11-01T10:00:00,call,w1,{'Анна ' * 9},1,{number}" for number in range(140_000)]
    faulty = sorted(dice.sample(range(len(records)), 40))
    for position in faulty:
        records[position] = f"x{position}"
    desk.write(0, "a.csv", file_of(*records))
    desk.write(1, "a.csv", file_of(*good_records(3)))
    _, _, rejected = desk.load_both_ways(monkeypatch)
    assert [(row[2], row[3]) for row in rejected] == [(position + 1, f"x{position}") for position in faulty]


@pytest.mark.parametrize("seed", range(3))
def test_random_files_are_the_same_alone_and_together(desk: Desk, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    dice = random.Random(seed)
    headers = (NAMES, NAMES, NAMES, (*NAMES[:-1], "another"), (*NAMES[:4], "value", "unknown", "client_name"))
    for day_number in range(20):
        for number in range(dice.choice((1, 1, 2))):
            records = good_records(dice.choice((0, 1, 3, 30)))
            for _ in range(dice.choice((0, 0, 1, 1, 3))):
                records.insert(dice.randrange(len(records) + 1), dice.choice(list(ODD.values())))
            content = file_of(*records, line_end=dice.choice(("\n", "\n", "\r\n")), names=dice.choice(headers)).encode()
            content = dice.choice((b"", b"", b"\n", b"\xef\xbb\xbf")) + content.removesuffix(dice.choice((b"", b"\n")))
            name = dice.choice(("a", "б [1]", "it's")) + f"-{number}.csv"
            if dice.random() < 0.2:
                name, content = f"{name}.gz", gzip.compress(content)
            desk.write(day_number, name, content)
    loads, _, rejected = desk.load_both_ways(monkeypatch)
    assert {load.outcome for load in loads} >= {"loaded"} and rejected


def test_files_of_every_format_are_read_together(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [dict(zip(NAMES, GOOD.format(number=number).split(","), strict=True)) for number in range(5)]
    with duckdb.connect() as connection:
        for day_number in range(4):
            desk.write(day_number, "a.csv", file_of(*good_records(5)))
            desk.write(day_number, "b.jsonl", "\n".join(map(json.dumps, rows)))
            file = desk.site.landing / "contacts" / str(FIRST_DAY + timedelta(days=day_number)) / "c.parquet"
            typed = "contacted_at::timestamp" if day_number == 3 else "contacted_at"
            connection.read_csv(str(file.with_name("a.csv")), all_varchar=True).query(
                "rows", f"select * replace ({typed} as contacted_at) from rows"
            ).to_parquet(str(file))
    loads, found, _ = desk.load_both_ways(monkeypatch)
    assert [(load.outcome, load.loaded_count) for load in loads] == [("loaded", 15)] * 4
    assert {row[6] for row in found} == {"2025-11-01T10:00:00", "2025-11-01T10:00:00.000000"}


def test_each_file_is_judged_by_its_own_day(desk: Desk) -> None:
    for day_number in range(4):
        desk.write(day_number, "a.csv", file_of(*good_records(3), GOOD.format(number=9).replace("11-01", "11-05")))
    loads, _, _ = desk.load("together")
    assert [load.rejected_by_reason for load in loads] == [{"impossible_contacted_at": 1}] * 3 + [{}]


def test_a_day_that_fails_leaves_the_others_of_its_batch(desk: Desk) -> None:
    for day_number in range(5):
        desk.write(day_number, "a.csv", file_of(*good_records(3)) if day_number != 2 else "a,b\n1,2\n")
    loads, rows, _ = desk.load("together")
    assert [load.outcome for load in loads] == ["loaded", "loaded", "failed", "loaded", "loaded"]
    assert [load.load_id for load in loads] == [1, 2, 3, 4, 5]
    assert len(rows) == 12


def test_what_is_too_much_at_once_is_loaded_day_by_day(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for day_number in range(3):
        desk.write(day_number, "a.csv", file_of(*good_records(3)))
    run_out_of_memory_for_several_files(monkeypatch)
    loads, rows, _ = desk.load("together")
    assert [(load.outcome, load.load_id) for load in loads] == [("loaded", 1), ("loaded", 2), ("loaded", 3)]
    assert len(rows) == 9


def test_batches_are_as_large_as_memory_and_disk_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"x" * 10**6)
    deliveries = [Delivery("contacts", FIRST_DAY + timedelta(days=number), (file,)) for number in range(10)]

    def sizes(memory_bytes: int, free_bytes: int = 10**12) -> list[int]:
        monkeypatch.setattr(capacity, "free_bytes", lambda _: free_bytes)
        return [len(batch) for batch in deliveries_at_once(deliveries, tmp_path, memory_bytes)]

    assert sizes(10**12) == [10]
    assert sizes(4 * capacity.MEMORY_FACTOR * 10**6) == [4, 4, 2]
    assert sizes(10**12, 3 * capacity.TEMPORARY_FACTOR * 10**6) == [3, 3, 3, 1]
    assert sizes(1) == [1] * 10
