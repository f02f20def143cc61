"""Bad input of every kind: what becomes of a delivery and of each of its rows, and what the user is told.

Real files are loaded into a real warehouse. `Desk.load` holds every load against the rules that hold for all of them
(R25, R26): nothing dropped, nothing kept of what failed, a message that can be acted on.
"""

import csv
import functools
import gzip
import io
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

from pipeline.contracts import ReadingMacros, delivered_tables
from pipeline.landing import Delivery, Landing, scan
from pipeline.ledger import known_signatures
from pipeline.loading import Load, doubled_files_warnings, load_deliveries, pending
from pipeline.notices import collected_warnings
from pipeline.reading.text_files import CHUNK_BYTES, LONGEST_LINE_BYTES, create_lines
from pipeline.settings import PROJECT_DIR, Rules, SettingsError
from pipeline.updating import load_days
from pipeline.warehouse import Warehouse

DAY = date(2025, 11, 20)
OTHER_DAY = date(2025, 11, 21)
WHITE_SPACE = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029"
    "\u202f\u205f\u3000"
)
TEXT_COLUMNS = {
    "touches": (
        *("visitor_id", "yandex_client_id", "google_client_id", "crm_client_id", "landing_page", "referrer"),
        *(
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "utm_term",
            "utm_content",
            "location",
            "device_type",
            "page_hash",
        ),
    ),
    "contacts": (
        *("visitor_id", "yandex_client_id", "google_client_id", "crm_client_id", "phone", "email", "client_name"),
        *("location", "final_group", "call_page"),
    ),
    "costs": ("source", "medium", "campaign"),
}

Row = dict[str, Any]
Content = bytes | str


def contact(number: object = 1, **columns: Any) -> Row:
    return {
        "contact_id": f"c{number}",
        "widget_id": "w1",
        "contacted_at": "2025-11-20T10:00:00Z",
        "contact_type": "call",
    } | columns


def touch(number: object = 1, **columns: Any) -> Row:
    return {"touch_id": f"t{number}", "widget_id": "w1", "touched_at": "2025-11-20T10:00:00Z"} | columns


def cost(number: object = 1, **columns: Any) -> Row:
    return {
        "cost_date": "2025-11-20",
        "source": "yandex",
        "medium": "cpc",
        "campaign": f"{number}",
        "amount": "1500.50",
        "currency": "RUB",
    } | columns


GOOD_ROW: dict[str, Callable[..., Row]] = {"touches": touch, "contacts": contact, "costs": cost}


def as_csv(rows: Iterable[Row], line_end: str = "\n") -> str:
    rows = list(rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator=line_end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json_lines(*rows: Row | str) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def as_parquet(rows: Iterable[Row] | pyarrow.Table, **options: Any) -> bytes:
    table = rows if isinstance(rows, pyarrow.Table) else pyarrow.Table.from_pylist(list(rows))
    content = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, content, **options)
    return bytes(content.getvalue().to_pybytes())


def typed_parquet(values: Row, row: Row | None = None) -> bytes:
    """A Parquet file whose columns are text, but for those given as arrays of their own types."""
    count = len(next(iter(values.values())))
    whole = {name: [text] * count for name, text in (row or contact()).items()} | values
    if "contact_id" in whole and "contact_id" not in values:
        whole["contact_id"] = [f"c{number}" for number in range(1, count + 1)]
    return as_parquet(pyarrow.table(whole))


# Hand-written CSV: a line per contact, its name last and written as given.
HEADER = "contact_id,widget_id,contacted_at,contact_type,client_name\n"


def line(number: int, name: str = "Анна") -> str:
    return f"c{number},w1,2025-11-20T10:00:00Z,call,{name}\n"


def named(number: int, name: str | None = "Анна") -> Row:
    return contact(number) | ({"client_name": name} if name is not None else {})


@functools.cache
def rules_with(**settings: Any) -> Rules:
    return Rules.read(settings)


@dataclass
class Loaded:
    """What a delivery came to: its load, the rows of it that were kept and those set aside."""

    load: Load
    rows: list[Row]
    set_aside: list[tuple[int, str, str]]
    connection: duckdb.DuckDBPyConnection = field(repr=False)
    rules: Rules = field(repr=False)

    def values(self, column: str) -> list[Any]:
        return [row.get(column) for row in self.rows]

    def read(self, column: str) -> list[Any]:
        """A column's values as the models read them."""
        contract = delivered_tables()[self.load.table]
        described = next(known for known in contract.columns if known.name == column)
        found = self.connection.execute(
            f"""
            select {ReadingMacros(self.rules).read(described)} from raw.{contract.name}
            where load_id = ? order by file_name, row_number
            """,
            [self.load.load_id],
        ).fetchall()
        return [value for (value,) in found]


@dataclass
class Desk:
    """A landing folder and a warehouse."""

    folder: Path
    connection: duckdb.DuckDBPyConnection
    landing: Path = field(init=False)

    def __post_init__(self) -> None:
        self.landing = self.folder / "landing"
        for table in delivered_tables():
            (self.landing / table).mkdir(parents=True)

    def day_folder(self, table: str = "contacts", day: date = DAY) -> Path:
        folder = self.landing / table / str(day)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write(self, files: Content | dict[str, Content], table: str = "contacts", day: date = DAY) -> Path:
        """Writes a delivery, in place of the one that lay there. A content alone is a CSV."""
        folder = self.day_folder(table, day)
        for former in folder.iterdir():
            shutil.rmtree(former) if former.is_dir() and not former.is_symlink() else former.unlink()
        for name, content in (files if isinstance(files, dict) else {"a.csv": files}).items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    def scan(self, **settings: Any) -> Landing:
        rules = rules_with(**settings)
        return scan(self.landing, list(delivered_tables()), rules.first_load_day, rules.yesterday())

    def delivery(self, table: str, day: date, **settings: Any) -> Delivery:
        (found,) = [each for each in self.scan(**settings).deliveries if (each.table, each.day) == (table, day)]
        return found

    def pending(self) -> set[tuple[str, date]]:
        waiting = pending(self.scan().deliveries, known_signatures(self.connection))
        return {(delivery.table, delivery.day) for delivery in waiting}

    def load(self, table: str = "contacts", day: date = DAY, reload: bool = False, **settings: Any) -> Loaded:
        rules = rules_with(**settings)
        delivery = self.delivery(table, day, **settings)
        (load,) = load_deliveries(self.connection, [delivery], rules, self.landing, reload, "run-1")
        loaded = Loaded(load, self._rows(load), self._set_aside(load), self.connection, rules)
        if load.outcome == "failed":
            self._check_failed(loaded)
        else:
            self._check_counts(loaded)
        return loaded

    def load_all(self) -> dict[tuple[str, date], Loaded]:
        return {(found.table, found.day): self.load(found.table, found.day) for found in self.scan().deliveries}

    def take(self, files: Content | dict[str, Content], table: str = "contacts", **settings: Any) -> Loaded:
        """Writes a delivery and loads it; it must not fail."""
        self.write(files, table)
        loaded = self.load(table, **settings)
        assert loaded.load.outcome == "loaded", loaded.load.message
        return loaded

    def live_rows(self, table: str = "contacts", day: date = DAY) -> list[Row]:
        found = self.connection.execute(
            "select load_id from raw.loads where table_name = ? and load_day = ? and outcome = 'loaded' "
            "and superseded_by is null",
            [table, day],
        ).fetchall()
        assert len(found) <= 1
        return self._rows(Load(table, day, "loaded", found[0][0])) if found else []

    def ledger(self, columns: str = "*") -> list[tuple]:
        return self.connection.execute(f"select {columns} from raw.loads order by load_id").fetchall()

    def refuse(
        self, files: Content | dict[str, Content], *phrases: str, table: str = "contacts", **settings: Any
    ) -> Loaded:
        """A delivery that fails its day: what was there stays, and another day loads in the same run (R26)."""
        good_row = GOOD_ROW[table]
        self.write(as_csv([good_row("before")]), table)
        self.load(table)
        self.write(files, table)
        return self.refused(*phrases, table=table, **settings)

    def refused(self, *phrases: str, table: str = "contacts", **settings: Any) -> Loaded:
        """As `refuse`, of files that lie there already."""
        before = self.live_rows(table)
        self.write(as_csv([GOOD_ROW[table](f"other-{len(self.ledger())}")]), table, OTHER_DAY)
        failed = self.load(table, **settings)
        other = self.load(table, OTHER_DAY, **settings)
        assert failed.load.outcome == "failed"
        for phrase in phrases:
            assert phrase in (failed.load.message or ""), failed.load.message
        assert self.live_rows(table) == before
        assert other.load.outcome == "loaded" and len(other.rows) == 1
        assert self.pending() == {(table, DAY)}
        return failed

    def _rows(self, load: Load) -> list[Row]:
        names = [*delivered_tables()[load.table].column_names, "attributes"]
        found = self.connection.execute(
            f"select {', '.join(names)} from raw.{load.table} where load_id = ? order by file_name, row_number",
            [load.load_id],
        ).fetchall()
        rows = [{name: value for name, value in zip(names, row, strict=True) if value is not None} for row in found]
        for row in rows:
            if "attributes" in row:
                row["attributes"] = json.loads(row["attributes"])
        return rows

    def _set_aside(self, load: Load) -> list[tuple[int, str, str]]:
        return self.connection.execute(
            "select row_number, reason, row_text from raw.rejected_rows where load_id = ? order by file_name, row_number",
            [load.load_id],
        ).fetchall()

    def _check_counts(self, loaded: Loaded) -> None:
        """Delivered = loaded + set aside, per file, and every record number is there once."""
        load = loaded.load
        for file in load.files:
            assert file.delivered_count == file.loaded_count + file.rejected_count
            kept, aside = (
                self.connection.execute(
                    f"select list(row_number order by row_number) from raw.{table} where load_id = ? and file_name = ?",
                    [load.load_id, file.file_name],
                ).fetchone()[0]  # type: ignore[index]
                or []
                for table in (load.table, "rejected_rows")
            )
            assert (len(kept), len(aside)) == (file.loaded_count, file.rejected_count)
            assert sorted([*kept, *aside]) == list(range(1, file.delivered_count + 1))
        if load.outcome == "loaded":
            written = self.connection.execute(
                "select outcome, message, delivered_count, loaded_count, rejected_count from raw.loads where load_id = ?",
                [load.load_id],
            ).fetchone()
            assert written == ("loaded", None, load.delivered_count, load.loaded_count, load.rejected_count)
            assert sum(load.rejected_by_reason.values()) == load.rejected_count

    def _check_failed(self, failed: Loaded) -> None:
        load = failed.load
        assert load.message is not None and load.message.startswith(f"{load.table}/{load.day}/")
        for unwanted in ("Traceback", 'File "', "LINE 1", "\udcff"):
            assert unwanted not in load.message
        assert failed.rows == [] and failed.set_aside == []
        written = self.connection.execute(
            "select outcome, message, delivered_count, run_id from raw.loads where load_id = ?", [load.load_id]
        ).fetchone()
        assert written == ("failed", load.message, 0, "run-1")


@pytest.fixture(scope="module")
def new_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a warehouse without rows: to copy one is quicker than to make one."""
    warehouse = Warehouse(tmp_path_factory.mktemp("new"))
    with warehouse.locked("test", wait_seconds=0), warehouse.connected():
        return warehouse.file


@pytest.fixture
def desk(tmp_path: Path, new_warehouse: Path) -> Iterator[Desk]:
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.folder.mkdir()
    shutil.copy(new_warehouse, warehouse.file)
    with warehouse.locked("test", wait_seconds=0), warehouse.connected() as connection:
        yield Desk(tmp_path, connection)


# Files of nothing


def test_empty_file_fails(desk: Desk) -> None:
    desk.refuse("", "contacts/2025-11-20/a.csv is empty (0 bytes)", "has at least a header")


@pytest.mark.parametrize("text", ["\n\n", "   ", "\ufeff", "\ufeff\n", "\r\n \r\n"])
def test_file_without_header_fails(desk: Desk, text: str) -> None:
    desk.refuse(text, "has no header: its first line must name its columns")


@pytest.mark.parametrize(
    "text", [HEADER, HEADER.strip(), "\ufeff" + HEADER, HEADER + "\n \n", HEADER.replace("\n", "\r\n")]
)
def test_header_only_is_a_delivery_without_rows(desk: Desk, text: str) -> None:
    loaded = desk.take(text)
    assert (loaded.rows, loaded.load.delivered_count) == ([], 0)


@pytest.mark.parametrize("content", ["\n", "\n\n  \n", "\r\n\t\r\n"])
def test_json_lines_of_blank_lines_are_a_delivery_without_rows(desk: Desk, content: str) -> None:
    assert desk.take({"a.jsonl": content}).load.delivered_count == 0


def test_parquet_without_rows_is_a_delivery(desk: Desk) -> None:
    empty = pyarrow.table({name: pyarrow.array([], pyarrow.string()) for name in contact()})
    assert desk.take({"a.parquet": as_parquet(empty)}).load.delivered_count == 0


# Bytes


def test_byte_order_mark_is_no_part_of_the_first_name(desk: Desk) -> None:
    assert desk.take("\ufeff" + HEADER + line(1)).rows == [named(1)]
    assert desk.take("\ufeff" + HEADER + line(1) + "c2,w1\n").rows == [named(1)]
    quoted = '\ufeff"contact_id"' + HEADER.removeprefix("contact_id") + line(1)
    assert desk.take(quoted).rows == [named(1)]
    assert desk.take({"a.jsonl": "\ufeff" + as_json_lines(contact())}).rows == [contact()]


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (
            (HEADER + line(1)).encode("cp1251"),
            "is not UTF-8 in line 2 (Windows-1251, perhaps?); write it again as UTF-8",
        ),
        ((HEADER + line(1)).encode("utf-16"), "is UTF-16; write it again as UTF-8"),
        ((HEADER + line(1)).encode("utf-16-le"), "has a NUL byte in line 1"),
        ((HEADER + line(1) + line(2, "a\0b")).encode(), "has a NUL byte in line 3"),
        ((HEADER + line(1)).encode()[:-2], "is not UTF-8 in line 2"),
        (b"PK\x03\x04\x14\0\x06\0rest of a workbook", "is an Excel or ZIP file, not text; save it as CSV in UTF-8"),
        (gzip.compress((HEADER + line(1)).encode()), "is packed by gzip; end its name in .gz"),
        (as_parquet([contact()]), "is a Parquet file; end its name in .parquet"),
    ],
    ids=["windows-1251", "utf-16", "utf-16 without mark", "nul", "cut letter", "workbook", "gzip", "parquet"],
)
def test_bytes_that_are_not_utf8_text_fail(desk: Desk, content: bytes, phrase: str) -> None:
    desk.refuse({"a.csv": content}, f"contacts/2025-11-20/a.csv {phrase}")


def test_json_lines_are_checked_like_csv(desk: Desk) -> None:
    desk.refuse(
        {"a.jsonl": as_json_lines(contact(client_name="Анна")).encode("cp1251")}, "a.jsonl is not UTF-8 in line 1"
    )
    desk.refuse({"a.jsonl": as_json_lines(contact()) + "{\0}\n"}, "a.jsonl has a NUL byte in line 2")


def test_letter_on_the_seam_of_two_chunks_is_whole(desk: Desk) -> None:
    text = as_csv([named(1, "x" * (CHUNK_BYTES // 3)), named(2, "y" * (CHUNK_BYTES // 3)), named(3, "z")])
    name = "z" * (CHUNK_BYTES - len(text) + 1) + "Ж"
    content = text.encode().removesuffix(b"z\n") + f"{name}\n".encode()
    assert content[CHUNK_BYTES - 1 : CHUNK_BYTES + 1] == "Ж".encode()
    for faulty in (b"", b"c9,w1\n"):
        loaded = desk.take({"a.csv": content + faulty})
        assert loaded.values("client_name")[2] == name
        assert [len(value) for value in loaded.values("client_name")[:2]] == [CHUNK_BYTES // 3] * 2


PACKED = gzip.compress((HEADER + "".join(map(line, range(500)))).encode(), mtime=0)


@pytest.mark.parametrize("kept", [2, 9, 10, 11, len(PACKED) // 2, len(PACKED) - 8, len(PACKED) - 4, len(PACKED) - 1])
def test_truncated_gzip_fails(desk: Desk, kept: int) -> None:
    desk.refuse({"a.csv.gz": PACKED[:kept]}, "a.csv.gz is a truncated or damaged gzip file; deliver it again")


@pytest.mark.parametrize("position", [len(PACKED) // 2, len(PACKED) - 6, len(PACKED) - 2])
def test_damaged_gzip_fails(desk: Desk, position: int) -> None:
    damaged = bytearray(PACKED)
    damaged[position] ^= 0xFF
    desk.refuse({"a.csv.gz": bytes(damaged)}, "a.csv.gz is a truncated or damaged gzip file; deliver it again")


def test_gzip_of_or_with_something_else(desk: Desk) -> None:
    desk.refuse({"a.csv.gz": PACKED + b"and more"}, "is a truncated or damaged gzip file; deliver it again")
    desk.refuse(
        {"a.csv.gz": gzip.compress(b"")}, "is empty once unpacked; a delivery without rows has at least a header"
    )
    desk.refuse({"a.jsonl.gz": HEADER + line(1)}, "is not packed by gzip; pack it, or take .gz off its name")
    desk.refuse({"a.csv.gz": b""}, "is empty (0 bytes)")


def test_gzip_in_several_parts_is_one_file(desk: Desk) -> None:
    loaded = desk.take({"a.csv.gz": gzip.compress((HEADER + line(1)).encode()) + gzip.compress(line(2).encode())})
    assert loaded.rows == [named(1), named(2)]


# Lines of CSV


@pytest.mark.parametrize("faulty", ["", "c9,w1\n"], ids=["clean", "faulty"])
@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\r\r\n"])
def test_line_ends_of_other_systems(desk: Desk, line_end: str, faulty: str) -> None:
    text = (HEADER + line(1) + line(2, '"б,в"') + faulty + line(3)).replace("\n", line_end)
    loaded = desk.take(text)
    assert loaded.rows == [named(1), named(2, "б,в"), named(3)]
    assert loaded.set_aside == ([(3, "unparsable_row", "c9,w1")] if faulty else [])


def test_mixed_line_ends(desk: Desk) -> None:
    text = HEADER.replace("\n", "\r\n") + line(1) + line(2).replace("\n", "\r\n") + line(3)
    assert desk.take(text).rows == [named(1), named(2), named(3)]
    assert desk.take(HEADER + line(1).replace("\n", "\r\n") + line(2)).rows == [named(1), named(2)]


def test_lone_carriage_return_among_line_feeds_ends_no_line(desk: Desk) -> None:
    loaded = desk.take(HEADER + line(1) + line(2).strip() + "\r" + line(3) + line(4, "А\rБ") + line(5))
    assert loaded.rows == [named(1), named(4, "А\rБ"), named(5)]
    assert loaded.set_aside == [(2, "unparsable_row", line(2).strip() + "\r" + line(3).strip())]


@pytest.mark.parametrize("rest", ["\n", "\r\n"])
def test_header_that_ends_in_a_lone_carriage_return_fails(desk: Desk, rest: str) -> None:
    # Else the first row would be lost with the header.
    text = HEADER.strip() + "\r" + (line(1) + line(2)).replace("\n", rest)
    desk.refuse(text, "has a carriage return inside its header; end lines with line feeds")


@pytest.mark.parametrize("faulty", ["", "c9,w1\n"], ids=["clean", "faulty"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_quoted_line_breaks_belong_to_the_value(desk: Desk, line_end: str, faulty: str) -> None:
    text = HEADER + line(1, '"А~Б"') + line(2, '"А~~Б, ""В"""') + line(3, '"А^Б"') + faulty + line(4)
    loaded = desk.take(text.replace("\n", line_end).replace("~", "\n").replace("^", "\r\n"))
    assert loaded.values("client_name") == ["А\nБ", 'А\n\nБ, "В"', "А\r\nБ", "Анна"]
    assert loaded.set_aside == ([(4, "unparsable_row", "c9,w1")] if faulty else [])


def test_quoted_lone_carriage_return_belongs_to_the_value(desk: Desk) -> None:
    assert desk.take(HEADER + line(1, '"А\rБ"') + line(2)).values("client_name") == ["А\rБ", "Анна"]


@pytest.mark.parametrize("faulty", ["", "c9,w1\n"], ids=["clean", "faulty"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_break_in_a_column_name_costs_no_row(desk: Desk, line_end: str, faulty: str) -> None:
    text = HEADER.replace("client_name", '"the~name"') + line(1) + line(2) + faulty
    loaded = desk.take(text.replace("\n", line_end).replace("~", line_end))
    attributes = {"attributes": {f"the{line_end}name": "Анна"}}
    assert loaded.rows == [contact(1) | attributes, contact(2) | attributes]


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize(
    "text",
    [
        "c9",
        "c9,w1,2025-11-20T10:00:00Z,call",
        line(9, "Анна,лишнее").strip(),
        line(9, "Анна,").strip(),
        line(9, 'Анна,,""').strip(),
        line(9, ",").strip(),
        line(9, "Анна, ").strip(),
    ],
    ids=[
        "one",
        "one too few",
        "one over",
        "an empty one over",
        "two empty ones over",
        "empty and empty",
        "a space over",
    ],
)
def test_wrong_number_of_fields_sets_the_row_aside(desk: Desk, text: str, position: int) -> None:
    lines = [line(1), line(2)]
    lines.insert(position, text + "\n")
    loaded = desk.take(HEADER + "".join(lines))
    assert loaded.rows == [named(1), named(2)]
    assert loaded.set_aside == [(position + 1, "unparsable_row", text)]
    assert loaded.load.rejected_by_reason == {"unparsable_row": 1}


def test_empty_fields_at_the_end_are_fields(desk: Desk) -> None:
    loaded = desk.take(
        HEADER.replace("client_name", "client_name,location,extra") + line(1, "Анна,,") + line(2, ',"a,b",""')
    )
    assert loaded.rows == [named(1), contact(2, location="a,b")]


def test_file_without_a_last_line_end_loses_nothing(desk: Desk) -> None:
    assert desk.take((HEADER + line(1) + line(2)).strip()).rows == [named(1), named(2)]
    loaded = desk.take(HEADER + line(1) + "c2,w1")
    assert (loaded.rows, loaded.set_aside) == ([named(1)], [(2, "unparsable_row", "c2,w1")])


@pytest.mark.parametrize("text", [line(1) + line(2, '"Анна'), line(1) + line(2, '"Анна') + line(3) + line(4)])
def test_unclosed_quote_fails(desk: Desk, text: str) -> None:
    desk.refuse(HEADER + text, "has a quote that is opened in row 2 and never closed; close or double it")


def test_quote_that_a_later_row_closes_sets_both_aside_together(desk: Desk) -> None:
    loaded = desk.take(HEADER + line(1) + line(2, '"Анна') + line(3, '"Б"') + line(4))
    assert loaded.rows == [named(1), named(4)]
    assert loaded.set_aside == [(2, "unparsable_row", (line(2, '"Анна') + line(3, '"Б"')).strip())]


def test_unclosed_quote_in_the_header_fails(desk: Desk) -> None:
    desk.refuse('contact_id,"widget_id\n' + line(1), "has a header that can't be read", "are its quotes right?")


@pytest.mark.parametrize("name", ['"Анна"?', '"Анна" "Б"', '""Анна""'])
def test_text_after_a_closing_quote_sets_the_row_aside(desk: Desk, name: str) -> None:
    loaded = desk.take(HEADER + line(1) + line(2, name) + line(3))
    assert loaded.rows == [named(1), named(3)]
    assert loaded.set_aside == [(2, "unparsable_row", line(2, name).strip())]


@pytest.mark.parametrize("faulty", ["", "c9,w1\n"], ids=["clean", "faulty"])
def test_quote_inside_an_unquoted_field_is_text(desk: Desk, faulty: str) -> None:
    loaded = desk.take(HEADER + line(1, 'ООО "Окна"') + line(2, 'a"') + line(3, '\u00a0"') + faulty + line(4))
    assert loaded.values("client_name") == ['ООО "Окна"', 'a"', '"', "Анна"]


@pytest.mark.parametrize("faulty", ["", "c9,w1\n"], ids=["clean", "faulty"])
def test_spaces_around_quotes_are_trimmed(desk: Desk, faulty: str) -> None:
    loaded = desk.take(HEADER + line(1, ' "а,б" ') + line(2, '""') + line(3, '" "') + line(4, '""""') + faulty)
    assert loaded.values("client_name") == ["а,б", None, None, '"']


@pytest.mark.parametrize("faulty", ["", "c9,w1\n"], ids=["clean", "faulty"])
def test_blank_lines_are_no_rows(desk: Desk, faulty: str) -> None:
    loaded = desk.take("\n \n" + HEADER + "\n" + line(1) + "\n   \n\t\n" + line(2) + "\u00a0\n" + faulty + "\r\n\n")
    assert loaded.rows == [named(1), named(2)]
    assert loaded.set_aside == ([(3, "unparsable_row", "c9,w1")] if faulty else [])
    assert loaded.load.delivered_count == 2 + bool(faulty)


def test_line_of_commas_is_a_row_without_values(desk: Desk) -> None:
    loaded = desk.take(HEADER + line(1) + ",,,,\n" + line(2))
    assert loaded.rows == [named(1), named(2)]
    assert loaded.set_aside == [(2, "missing_contact_id", "{}")]


@pytest.mark.parametrize("faulty", ["", "c9,w1\n"], ids=["clean", "faulty"])
def test_line_of_commas_before_the_header_is_nothing(desk: Desk, faulty: str) -> None:
    loaded = desk.take(",,,,\n" + HEADER + line(1) + line(2) + faulty)
    assert loaded.rows == [named(1), named(2)]
    assert loaded.set_aside == ([(3, "unparsable_row", "c9,w1")] if faulty else [])


# Columns


@pytest.mark.parametrize("missing", ["contact_id", "widget_id", "contacted_at", "contact_type"])
def test_missing_required_column_fails(desk: Desk, missing: str) -> None:
    rows = [{name: value for name, value in contact(client_name="Анна").items() if name != missing}]
    for files in ({"a.csv": as_csv(rows)}, {"a.parquet": as_parquet(rows)}):
        desk.refuse(files, f"has no column {missing}; its columns are ", "'client_name'", "(add or rename one)")


def test_all_missing_columns_are_reported_at_once(desk: Desk) -> None:
    desk.refuse(
        "a,b\n1,2\n", "has no column contact_id, widget_id, contacted_at, contact_type; its columns are 'a', 'b'"
    )
    desk.refuse({"a.parquet": as_parquet(pyarrow.table({}))}, "its columns are none")


def test_json_line_without_a_required_key_is_set_aside(desk: Desk) -> None:
    broken = {name: value for name, value in contact(2).items() if name != "widget_id"}
    loaded = desk.take({"a.jsonl": as_json_lines(contact(1), broken, "{}")})
    assert loaded.rows == [contact(1)]
    assert loaded.set_aside == [(2, "missing_widget_id", json.dumps(broken)), (3, "missing_contact_id", "{}")]


def test_optional_columns_may_be_absent_and_in_any_order(desk: Desk) -> None:
    reversed_columns = [dict(reversed(contact(1).items()))]
    for files in ({"a.csv": as_csv(reversed_columns)}, {"a.parquet": as_parquet(reversed_columns)}):
        assert desk.take(files).rows == [contact(1)]


STRANGE_NAMES = {
    **{'a"b': "1", "a.b": "2", "a/b": "3", "a b": "4", "колонка": "5", "": "6", "it's": "7", "$": "8", "~1": "9"},
    **{"Contact_ID": "10", "CONTACT_ID": "11", "contact id": "12", " widget_id": "13", "select": "14", "load_id": "15"},
    **{
        "row_number": "16",
        "field_0": "17",
        "line": "18",
        "attributes": "19",
        "{{ x }}": "20",
        "a,b": "21",
        "[0]": "22",
    },
    **{"*": "23", "#": "24", "\\": "25", "a;drop": "26", "😀": "27", "reason": "28", "record": "29", "name": "30"},
    **{"file_row_number": "31", "position": "32", "comma_count": "33", "contact_id_value": "34"},
}


@pytest.mark.parametrize("form", ["csv", "csv with a faulty row", "jsonl", "parquet"])
def test_unknown_columns_are_kept_whatever_their_names(desk: Desk, form: str) -> None:
    rows = [contact(1) | STRANGE_NAMES, contact(2) | dict.fromkeys(STRANGE_NAMES, None)]
    files: dict[str, dict[str, Content]] = {
        "csv": {"a.csv": as_csv(rows)},
        "csv with a faulty row": {"a.csv": as_csv(rows) + "c9,w1\n"},
        "jsonl": {"a.jsonl": as_json_lines(*rows)},
        "parquet": {"a.parquet": as_parquet(rows)},
    }
    loaded = desk.take(files[form])
    assert loaded.rows == [contact(1, attributes=STRANGE_NAMES), contact(2)]


@pytest.mark.parametrize("name", ["contact_id", "client_name", "x", "", "имя"])
def test_column_twice_fails(desk: Desk, name: str) -> None:
    names = [*contact(), *([name, name] if name not in contact() else [name])]
    values = [*contact().values(), "1", "2"][: len(names)]
    phrase = f"has more than one column called '{name}'; rename or drop one"
    desk.refuse(",".join(names) + "\n" + ",".join(values) + "\n", phrase)
    table = pyarrow.table([pyarrow.array([value]) for value in values], names=names)
    desk.refuse({"a.parquet": as_parquet(table)}, phrase)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_fail_with_a_hint(desk: Desk, separator: str) -> None:
    desk.refuse(
        (HEADER + line(1)).replace(",", separator),
        "has no column contact_id, widget_id, contacted_at, contact_type",
        "(its fields are not separated by commas: write it with commas)",
    )


@pytest.mark.parametrize("spelling", ["Contact_ID", "CONTACT_ID", "contact id", " contact_id", "contact_id "])
def test_known_name_spelled_otherwise_fails_with_a_hint(desk: Desk, spelling: str) -> None:
    phrases = "has no column contact_id", f"(rename '{spelling}': names are spelled exactly)"
    desk.refuse((HEADER + line(1)).replace("contact_id", spelling), *phrases)
    renamed = [{spelling if name == "contact_id" else name: value for name, value in contact(1).items()}]
    desk.refuse({"a.parquet": as_parquet(renamed)}, *phrases)


# JSON lines


@pytest.mark.parametrize(
    "text",
    [
        '{"contact_id": "c2"',
        "[1, 2]",
        '"text"',
        "5",
        "null",
        "true",
        "{'contact_id': 'c2'}",
        "// note",
        "contact_id,widget_id",
        json.dumps([contact(2)]),
        json.dumps(contact(2)) * 2,
        json.dumps(contact(2)) + ",",
        '{"contact_id": "a\tb"}',
        '{"contact_id": "a\\ud800b"}',
        '{"contact_id": "\\x"}',
        "{",
    ],
)
def test_line_that_is_no_json_object_is_set_aside(desk: Desk, text: str) -> None:
    loaded = desk.take({"a.jsonl": as_json_lines(contact(1), text, "  ", contact(3))})
    assert loaded.rows == [contact(1), contact(3)]
    assert loaded.set_aside == [(2, "unparsable_row", text)]


def test_key_twice_sets_the_line_aside(desk: Desk) -> None:
    doubled = ['{"contact_id": "c9", ' + json.dumps(contact(2))[1:], json.dumps(contact(3))[:-1] + ', "x": 1, "x": 2}']
    loaded = desk.take({"a.jsonl": as_json_lines(contact(1), *doubled, contact(4))})
    assert loaded.rows == [contact(1), contact(4)]
    assert loaded.set_aside == [(number + 2, "unparsable_row", text) for number, text in enumerate(doubled)]


def test_json_values_are_read_as_text(desk: Desk) -> None:
    columns = {
        "duration": 95,
        "value": 1500.5,
        "is_unique": True,
        "phone": 79001234567,
        "client_name": None,
        "location": 1,
    }
    loaded = desk.take({"a.jsonl": as_json_lines(contact(1, **columns), contact(2, contact_id=12345678901234567890))})
    texts = {"duration": "95", "value": "1500.5", "is_unique": "true", "phone": "79001234567", "location": "1"}
    assert loaded.rows == [contact(1, **texts), contact(2, contact_id="12345678901234567890")]
    assert loaded.load.unreadable_values == {}


NUMBERS = (
    *("1234567890.1600000001", "0.10", "-0.5", "1.0", "12345678901234567890.5", "0.1234567890123456789"),
    *("1e3", "1.5E+10", "-2.50e-3", "1e400", "123456789012345678901234567890", "17001234567890123456", "-7", "0"),
)


@pytest.mark.parametrize("gap", ["", " ", " \t "])
def test_json_numbers_are_read_as_they_are_written(desk: Desk, gap: str) -> None:
    lines = [
        json.dumps(contact(number))[:-1]
        + f',"google_client_id"{gap}:{gap}{written}{gap},"x":{gap}{written}{gap},"y":{{"a":[1,{gap}{written}{gap},"{written}"]}}}}'
        for number, written in enumerate(NUMBERS)
    ]
    loaded = desk.take({"a.jsonl": "\n".join(lines)})
    assert [row["google_client_id"] for row in loaded.rows] == list(NUMBERS)
    attributes = desk.connection.execute("select attributes from raw.contacts order by row_number").fetchall()
    assert [text for (text,) in attributes] == [
        f'{{"x":{written},"y":{{"a":[1,{written},"{written}"]}}}}' for written in NUMBERS
    ]


@pytest.mark.parametrize(
    "text",
    [
        *('say ": 1.50 or, 2.50', 'a\\": 1.50', "\\", '\\"', ", 1.50, [2.50]", "5.50", "\ufdd0", "\ufdd0a", "1e5"),
        *(
            ": 1.50",
            ":1.50 a",
            ": -2.5e3",
            "[1.50",
            'x": -1.50}',
            "a\n: 1.50,",
            "a\u2028, 1.50",
            "\ufdd001.50",
            "\ufdd01.50.1",
        ),
    ],
)
def test_what_looks_like_a_number_in_a_text_stays_as_it_is(desk: Desk, text: str) -> None:
    row = contact(1, client_name=text, a=text, location="x")
    for number in ({}, {"z": 1.5}, {"z": [2.5, text]}):
        loaded = desk.take({"a.jsonl": as_json_lines(row | number)})
        expected = {key: value for key, value in row.items() if key != "a"} | {"attributes": {"a": text} | number}
        assert loaded.rows == [expected]


def test_numbers_with_an_exponent_are_numbers(desk: Desk) -> None:
    """As Java writes ten million; what is no column of numbers keeps it as written."""
    line = json.dumps(contact(1))[:-1] + ',"value":1.05E7,"duration":6e1,"phone":7.9161E+10}'
    loaded = desk.take({"a.jsonl": line + "\n" + line.replace("c1", "c2").replace("1.05E7", "1e40")})
    assert [row["phone"] for row in loaded.rows] == ["7.9161E+10"] * 2
    assert loaded.read("duration") == [60, 60]
    assert loaded.read("value") == [Decimal("10500000.00"), None]
    assert loaded.load.unreadable_values == {"value": 1}


def test_not_a_number_is_no_value(desk: Desk) -> None:
    nan = float("nan")
    row = contact(1, visitor_id=nan, value=nan, extra=nan)
    assert desk.take({"a.jsonl": as_json_lines(row, contact(2, client_name="NaN"))}).rows == [
        contact(1),
        contact(2, client_name="NaN"),
    ]
    assert desk.take({"a.parquet": as_parquet([row])}).rows == [contact(1)]


def test_structure_where_a_value_belongs(desk: Desk) -> None:
    rows = [
        contact(1, client_name={"first": "Анна"}, location=["Казань"], duration={}),
        contact(2, widget_id={"id": "w1"}),
        contact(3, contacted_at=["2025-11-20T10:00:00Z"]),
        contact(4, contact_type=["call"], widget_id=None),
    ]
    loaded = desk.take({"a.jsonl": as_json_lines(*rows)})
    assert loaded.rows == [contact(1)]
    assert loaded.load.unreadable_values == {"client_name": 1, "location": 1, "duration": 1}
    reasons = ["unreadable_widget_id", "unreadable_contacted_at", "missing_widget_id"]
    assert loaded.set_aside == [
        (number, reason, json.dumps(row)) for number, reason, row in zip((2, 3, 4), reasons, rows[1:], strict=True)
    ]


def test_unknown_keys_of_json_are_kept_as_they_are(desk: Desk) -> None:
    unknown = {"a": {"b": [1, None, " x ", {"c": "д"}]}, "n": 1.5, "t": True, "list": [], "object": {}, "text": "x"}
    loaded = desk.take(
        {"a.jsonl": as_json_lines(contact(1) | unknown | {"blank": " ", "nothing": None, "trim": "\u00a0y "})}
    )
    assert loaded.rows == [contact(1, attributes=unknown | {"trim": "y"})]


def test_visited_pages_of_json(desk: Desk) -> None:
    pages = [["/", '/a "b", c'], [], '["/c"]', "[]", None, "/", {"a": 1}, '{"a": 1}', 5, "null"]
    rows = [touch(number, visited_pages=value) for number, value in enumerate(pages)]
    loaded = desk.take({"a.jsonl": as_json_lines(*rows)}, "touches")
    assert loaded.read("visited_pages") == [["/", '/a "b", c'], [], ["/c"], [], *[None] * 6]
    assert loaded.load.unreadable_values == {"visited_pages": 5}


# Parquet

PARQUET = as_parquet([contact(number, client_name=f"Имя {number}") for number in range(200)])


@pytest.mark.parametrize(
    "kept", [1, 4, 8, 100, len(PARQUET) // 2, len(PARQUET) - 8, len(PARQUET) - 4, len(PARQUET) - 1]
)
def test_torn_parquet_fails(desk: Desk, kept: int) -> None:
    desk.refuse(
        {"a.parquet": PARQUET[:kept]}, "a.parquet is not a whole Parquet file: truncated or damaged", "deliver it again"
    )


def test_what_is_no_parquet_fails(desk: Desk) -> None:
    phrases = "a.parquet is not a whole Parquet file", "deliver it again"
    desk.refuse({"a.parquet": HEADER + line(1)}, *phrases)
    desk.refuse({"a.parquet": PARQUET + b"more"}, *phrases)
    desk.refuse({"a.parquet": b"PAR1" + bytes(100) + b"PAR1"}, *phrases)
    desk.refuse({"a.parquet": b""}, "is empty (0 bytes)")


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_damaged_parquet_fails_or_keeps_its_rows(desk: Desk, compression: str) -> None:
    rows = [contact(number, client_name=f"Имя {number}", location="Казань") for number in range(300)]
    whole = as_parquet(rows, compression=compression)
    dice = random.Random(compression)
    outcomes = set()
    for number in range(25):
        damaged = bytearray(whole)
        # Both the data and what describes it, at the file's end.
        start = 0 if number % 2 else len(whole) - 1200
        damaged[dice.randrange(start, len(whole))] ^= 1 << dice.randrange(8)
        desk.write({"a.parquet": bytes(damaged)})
        loaded = desk.load()
        outcomes.add(loaded.load.outcome)
        if loaded.load.outcome == "failed":
            # Without checksums, damage may look like other values: then these are judged.
            message = loaded.load.message or ""
            assert (
                "is not a whole Parquet file: truncated or damaged" in message or "of its 300 rows rejected" in message
            )
        else:
            assert loaded.load.delivered_count == 300
    assert "failed" in outcomes
    assert desk.take(as_csv([contact(1)])).rows == [contact(1)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_parquet(desk: Desk, unit: str) -> None:
    moment = datetime(2025, 11, 20, 10, 0, 5)
    for zone, expected in ((None, 7), ("UTC", 10), ("Europe/Moscow", 10), ("+05:00", 10)):
        values = pyarrow.array(
            [moment if zone is None else moment.replace(tzinfo=UTC)], pyarrow.timestamp(unit, tz=zone)
        )
        loaded = desk.take({"a.parquet": typed_parquet({"contacted_at": values})})
        # Without a zone it is a local time, as in text.
        assert loaded.read("contacted_at") == [datetime(2025, 11, 20, expected, 0, 5, tzinfo=UTC)]


def test_fractions_of_parquet_timestamps_are_cut_not_rounded(desk: Desk) -> None:
    nanoseconds = 1763632805_999_999_999
    moment = datetime(2025, 11, 20, 10, 0, 5, 999_999, UTC)
    for zone, hours in (("UTC", 0), (None, 3)):
        values = pyarrow.array([nanoseconds, None], pyarrow.timestamp("ns", tz=zone))
        loaded = desk.take({"a.parquet": typed_parquet({"contacted_at": values})})
        assert loaded.read("contacted_at") == [moment - timedelta(hours=hours)]
        assert [reason for _, reason, _ in loaded.set_aside] == ["missing_contacted_at"]
    values = pyarrow.array([nanoseconds // 1000], pyarrow.timestamp("us", tz="UTC"))
    assert desk.take({"a.parquet": typed_parquet({"contacted_at": values})}).read("contacted_at") == [moment]


def test_old_timestamps_of_parquet(desk: Desk) -> None:
    values = pyarrow.array([datetime(2025, 11, 20, 10)], pyarrow.timestamp("ns"))
    table = pyarrow.table({name: [value] for name, value in contact(1).items()} | {"contacted_at": values})
    loaded = desk.take({"a.parquet": as_parquet(table, use_deprecated_int96_timestamps=True)})
    assert loaded.read("contacted_at") == [datetime(2025, 11, 20, 7, tzinfo=UTC)]


def test_numbers_of_parquet_are_read_as_a_csv_would_have_them(desk: Desk) -> None:
    content = typed_parquet(
        {
            "contact_id": pyarrow.array([1.0, 2.0, 9007199254740992.0, 3.5]),
            "widget_id": pyarrow.array([1, 2, 3, 2**64 - 1], pyarrow.uint64()),
            "duration": pyarrow.array([95.0, None, float("nan"), float("inf")]),
            "value": pyarrow.array(
                [Decimal("1500.50"), None, Decimal("-0.01"), Decimal("0")], pyarrow.decimal128(10, 2)
            ),
            "is_unique": pyarrow.array([True, False, None, True]),
            "phone": pyarrow.array([79001234567, None, -1, 0]),
            "extra": pyarrow.array([1.5, 2.0, None, 1e300]),
            "small": pyarrow.array([0.1, 1e9, None, None], pyarrow.float32()),
        }
    )
    loaded = desk.take({"a.parquet": content})
    assert loaded.values("contact_id") == ["1", "2", "9007199254740992", "3.5"]
    assert loaded.values("widget_id") == ["1", "2", "3", "18446744073709551615"]
    assert loaded.values("duration") == ["95", None, None, "inf"]
    assert loaded.values("value") == ["1500.50", None, "-0.01", "0.00"]
    assert loaded.values("is_unique") == ["true", "false", None, "true"]
    assert loaded.values("phone") == ["79001234567", None, "-1", "0"]
    assert loaded.values("attributes") == [
        {"extra": "1.5", "small": "0.1"},
        {"extra": "2", "small": "1000000000"},
        None,
        {"extra": "1e+300"},
    ]
    assert loaded.read("duration") == [95, None, None, None]
    assert loaded.load.unreadable_values == {"duration": 1}


def test_length_of_time_of_parquet_is_seconds(desk: Desk) -> None:
    for unit in ("s", "ms", "us", "ns"):
        values = pyarrow.array([timedelta(seconds=95), None, timedelta(0)], pyarrow.duration(unit))
        loaded = desk.take({"a.parquet": typed_parquet({"duration": values, "extra": values})})
        assert loaded.values("duration") == ["95", None, "0"]
        assert loaded.values("attributes") == [{"extra": "95"}, None, {"extra": "0"}]
    values = pyarrow.array([1500], pyarrow.duration("ms"))
    assert desk.take({"a.parquet": typed_parquet({"duration": values})}).load.unreadable_values == {"duration": 1}


def test_dates_and_times_of_parquet(desk: Desk) -> None:
    content = typed_parquet(
        {"contacted_at": pyarrow.array([date(2025, 11, 20)]), "extra": pyarrow.array([date(2025, 1, 2)])}
    )
    loaded = desk.take({"a.parquet": content})
    assert loaded.rows == []
    [(number, reason, text)] = loaded.set_aside
    assert (number, reason) == (1, "unreadable_contacted_at")
    assert json.loads(text) == contact(1, contacted_at="2025-11-20", extra="2025-01-02")


def test_dictionaries_and_other_text_of_parquet(desk: Desk) -> None:
    content = typed_parquet(
        {
            "contact_type": pyarrow.array(["call", "chat", "call"]).dictionary_encode(),
            "client_name": pyarrow.array(["Анна", None, " Б "], pyarrow.large_string()),
            "location": pyarrow.array(["Казань", None, "Уфа"], pyarrow.string_view()),
            "phone": pyarrow.array([None, None, None]),
            "crm_client_id": pyarrow.array([5, 6, None]).dictionary_encode(),
        }
    )
    loaded = desk.take({"a.parquet": content})
    assert loaded.rows == [
        contact(1, client_name="Анна", location="Казань", crm_client_id="5"),
        contact(2, contact_type="chat", crm_client_id="6"),
        contact(3, client_name="Б", location="Уфа"),
    ]


def test_bytes_of_parquet_are_utf8_or_unreadable(desk: Desk) -> None:
    content = typed_parquet(
        {
            "client_name": pyarrow.array(["Анна".encode(), b"\xff\xfe", None]),
            "widget_id": pyarrow.array([b"w1", b"w1", b"\xff"]),
        }
    )
    loaded = desk.take({"a.parquet": content})
    assert loaded.rows == [contact(1, client_name="Анна"), contact(2)]
    assert loaded.load.unreadable_values == {"client_name": 1}
    assert [(number, reason) for number, reason, _ in loaded.set_aside] == [(3, "unreadable_widget_id")]


def test_structures_of_parquet(desk: Desk) -> None:
    content = typed_parquet(
        {
            "widget_id": pyarrow.array([{"id": "w1"}, None]),
            "client_name": pyarrow.array([["Анна"], None]),
        }
    )
    loaded = desk.take({"a.parquet": content})
    assert [(number, reason) for number, reason, _ in loaded.set_aside] == [
        (1, "unreadable_widget_id"),
        (2, "missing_widget_id"),
    ]
    assert json.loads(loaded.set_aside[0][2]) == contact(1, widget_id={"id": "w1"}, client_name=["Анна"])
    content = typed_parquet(
        {
            "client_name": pyarrow.array([{"first": "Анна"}, None]),
            "extra": pyarrow.array([{"a": [1, 2]}, None]),
            "map": pyarrow.array([[("k", "v")], None], pyarrow.map_(pyarrow.string(), pyarrow.string())),
        }
    )
    loaded = desk.take({"a.parquet": content})
    assert loaded.rows == [contact(1, attributes={"extra": {"a": [1, 2]}, "map": {"k": "v"}}), contact(2)]
    assert loaded.load.unreadable_values == {"client_name": 1}


def test_visited_pages_of_parquet(desk: Desk) -> None:
    pages = pyarrow.array([["/", 'a "b"'], [], None, ["x"]])
    rows = {"touch_id": ["t1", "t2", "t3", "t4"], "visited_pages": pages}
    loaded = desk.take({"a.parquet": typed_parquet(rows, touch())}, "touches")
    assert loaded.read("visited_pages") == [["/", 'a "b"'], [], None, ["x"]]
    rows = {"touch_id": ["t1", "t2"], "visited_pages": pyarrow.array([{"page": "/"}, None])}
    loaded = desk.take({"a.parquet": typed_parquet(rows, touch())}, "touches")
    assert (loaded.read("visited_pages"), loaded.load.unreadable_values) == ([None, None], {"visited_pages": 1})


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_parquet_of_any_compression_and_many_groups(desk: Desk, compression: str) -> None:
    rows = [contact(number) for number in range(100)]
    assert desk.take({"a.parquet": as_parquet(rows, compression=compression, row_group_size=7)}).rows == rows


# The landing folder


def test_folders_that_are_no_deliveries_are_reported(desk: Desk) -> None:
    contacts = desk.landing / "contacts"
    strange = ("2025-2-30", "2025-02-30", "20251120", "2025-11-20T00", "latest", "2025-11-2", "٢٠٢٥-11-20")
    for name in strange:
        (contacts / name).mkdir()
        (contacts / name / "a.csv").write_text(HEADER)
    (contacts / "2025-11-19").write_text("a file")
    (contacts / "loose.csv").write_text(HEADER)
    landing = desk.scan()
    assert landing.deliveries == ()
    assert sorted(landing.warnings) == sorted(
        f"{contacts / name} is not read: deliveries belong in folders named by day, like 2026-01-31"
        for name in (*strange, "2025-11-19", "loose.csv")
    )


def test_what_lies_beside_the_tables_is_reported_once(desk: Desk) -> None:
    (desk.landing / "lost+found").mkdir()
    assert desk.scan().warnings == ()
    for name in ("визиты.csv", "contact", "b.csv", "c.csv", "_notes", ".hidden", "~$книга.xlsx"):
        (desk.landing / name).mkdir() if name == "contact" else (desk.landing / name).write_text(HEADER)
    (warning,) = desk.scan().warnings
    shown = ", ".join(str(desk.landing / name) for name in ("b.csv", "c.csv", "contact"))
    assert warning == (
        f"{shown} and 1 more are not read: deliveries belong in TABLE/DAY, where TABLE is one of touches, contacts, costs"
    )


def test_today_and_later_wait_without_a_word(desk: Desk) -> None:
    rules = Rules.read()
    for day in (rules.today(), rules.today() + timedelta(days=1), date(9999, 12, 31)):
        desk.write(as_csv([contact()]), day=day)
    desk.write(as_csv([contact()]), day=rules.yesterday())
    landing = desk.scan()
    assert [delivery.day for delivery in landing.deliveries] == [rules.yesterday()]
    assert landing.warnings == ()


def test_days_before_the_first_are_reported(desk: Desk) -> None:
    for day in (date(2014, 12, 31), date(2015, 1, 1)):
        desk.write(as_csv([contact()]), day=day)
    landing = desk.scan(first_load_day="2015-01-01")
    assert [delivery.day for delivery in landing.deliveries] == [date(2015, 1, 1)]
    folder = desk.landing / "contacts/2014-12-31"
    assert landing.warnings == (f"{folder} is not read: it is before first_load_day 2015-01-01",)


def test_missing_folder_of_a_table_is_reported(desk: Desk) -> None:
    (desk.landing / "touches").rmdir()
    assert desk.scan().warnings == (f"{desk.landing / 'touches'} does not exist: no touches are delivered",)
    (desk.landing / "touches").write_text("a file")
    assert desk.scan().warnings == (
        f"{desk.landing / 'touches'} can't be listed (Not a directory): no touches are read",
    )


def test_costs_are_missed_by_nobody(desk: Desk) -> None:
    (desk.landing / "costs").rmdir()
    assert desk.scan().warnings == ()
    (desk.landing / "costs").write_text("a file")
    assert desk.scan().warnings == (f"{desk.landing / 'costs'} can't be listed (Not a directory): no costs are read",)


def test_incomplete_files_are_ignored(desk: Desk) -> None:
    ignored = (".a.csv", "_a.csv", "a.csv.part", "a.csv.tmp", ".~lock.a.csv#", "_SUCCESS")
    desk.write(dict.fromkeys(ignored, "\0"))
    assert desk.scan() == Landing((), ())
    loaded = desk.take(dict.fromkeys(ignored, "\0") | {"a.csv": as_csv([contact()])})
    assert loaded.rows == [contact()]
    assert [file.file_name for file in loaded.load.files] == ["a.csv"]
    (desk.landing / "contacts/.old").mkdir()
    (desk.landing / "contacts/_2025").mkdir()
    assert desk.scan().warnings == ()


@pytest.mark.parametrize("name", ["a.txt", "a.xlsx", "a.json", "a.csv.zip", "a", "csv", "a.csv "])
def test_unknown_extension_fails_with_a_hint(desk: Desk, name: str) -> None:
    desk.refuse(
        {name: as_csv([contact()])},
        f"contacts/2025-11-20/{name} is in no format that is read (.csv, .csv.gz, .jsonl, .jsonl.gz, .parquet)",
        "convert it, or begin its name with _ to leave it out",
    )


def test_extensions_in_capitals_are_known(desk: Desk) -> None:
    loaded = desk.take(
        {
            "A.CSV": as_csv([contact(1)]),
            "B.CSV.GZ": gzip.compress(as_csv([contact(2)]).encode()),
            "C.JsonL": as_json_lines(contact(3)),
            "D.jsonl.Gz": gzip.compress(as_json_lines(contact(4)).encode()),
            "E.PARQUET": as_parquet([contact(5)]),
        }
    )
    assert loaded.rows == [contact(number) for number in range(1, 6)]


def test_folder_inside_a_delivery_is_reported(desk: Desk) -> None:
    folder = desk.write(as_csv([contact(1)]))
    (folder / "more").mkdir()
    (folder / "more/b.csv").write_text(as_csv([contact(2)]))
    assert desk.load().rows == [contact(1)]
    assert desk.scan().warnings == (f"{folder / 'more'} is a folder inside a delivery: it is not read",)


@pytest.fixture
def waiting(desk: Desk) -> Desk:
    """A desk with a day loaded, for a file to be put beside what it holds."""
    desk.take(as_csv([contact("before")]))
    return desk


def test_folder_called_like_a_file_fails(waiting: Desk) -> None:
    (waiting.day_folder() / "x.csv").mkdir()
    waiting.refused("contacts/2025-11-20/x.csv is not a regular file", "begin its name with _ to leave it out")


def test_link_out_of_the_landing_folder_fails(waiting: Desk) -> None:
    outside = waiting.folder / "secret.csv"
    outside.write_text(as_csv([contact("outside")]))
    for target in (outside, Path("../../../secret.csv"), Path("/dev/zero")):
        link = waiting.day_folder() / "x.csv"
        link.symlink_to(target)
        waiting.refused("x.csv is a link out of the landing folder; put the file itself there")
        link.unlink()


def test_link_in_place_of_a_day_out_of_the_landing_folder_fails(waiting: Desk) -> None:
    with tempfile.TemporaryDirectory() as elsewhere:
        (Path(elsewhere) / "secret.csv").write_text(as_csv([contact(2)]))
        folder = waiting.day_folder()
        shutil.rmtree(folder)
        folder.symlink_to(elsewhere)
        failed = waiting.refused(f"contacts/{DAY}/ is a link out of the landing folder; put the folder itself there")
        assert "secret" not in str(failed.load)


def test_link_in_place_of_a_table_out_of_the_landing_folder_is_said(desk: Desk) -> None:
    with tempfile.TemporaryDirectory() as elsewhere:
        (Path(elsewhere) / str(DAY)).mkdir()
        (Path(elsewhere) / str(DAY) / "secret.csv").write_text(as_csv([cost()]))
        (desk.landing / "costs").rmdir()
        (desk.landing / "costs").symlink_to(elsewhere)
        landing = desk.scan()
    assert not [each for each in landing.deliveries if each.table == "costs"]
    assert [warning for warning in landing.warnings if "costs" in warning] == [
        f"{desk.landing / 'costs'} is a link out of the landing folder: no costs are read; put the folder itself there"
    ]


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe"])
def test_lock_that_is_no_file_is_left_alone(tmp_path: Path, kind: str) -> None:
    precious = tmp_path / "precious.txt"
    if kind == "link":
        precious.write_text("all of it")
        precious.chmod(0o644)
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.folder.mkdir()
    if kind == "pipe":
        os.mkfifo(warehouse.lock_file)
    else:
        warehouse.lock_file.symlink_to(precious)
    with pytest.raises(SettingsError, match=f"{warehouse.lock_file} is .*: remove it"), warehouse.locked("test"):
        pass
    if kind == "link":
        assert precious.read_text() == "all of it" and precious.stat().st_mode & 0o777 == 0o644
    assert precious.exists() == (kind == "link")


def test_link_inside_the_landing_folder_is_fine(desk: Desk) -> None:
    desk.write(as_csv([contact(1)]))
    (desk.day_folder() / "b.csv").symlink_to("a.csv")
    (desk.landing / "shared.csv").write_text(as_csv([contact(2)]))
    (desk.day_folder() / "c.csv").symlink_to(desk.landing / "shared.csv")
    assert desk.load().rows == [contact(1), contact(1), contact(2)]
    (desk.folder / "elsewhere").symlink_to(desk.landing)
    desk.landing = desk.folder / "elsewhere"
    assert desk.load(reload=True).rows == [contact(1), contact(1), contact(2)]


@pytest.mark.parametrize("target", ["nothing.csv", "x.csv"])
def test_link_to_nothing_fails(waiting: Desk, target: str) -> None:
    (waiting.day_folder() / "x.csv").symlink_to(target)
    waiting.refused("x.csv is a link to ")


def test_pipe_fails_at_once(waiting: Desk) -> None:
    os.mkfifo(waiting.day_folder() / "x.csv")
    signal.alarm(30)
    try:
        waiting.refused("x.csv is not a regular file")
    finally:
        signal.alarm(0)


def test_file_that_vanishes_fails_the_day_only(waiting: Desk) -> None:
    file = waiting.day_folder() / "x.csv"
    file.write_text(as_csv([contact(2)]))
    found = waiting.delivery("contacts", DAY)
    file.unlink()
    (load,) = load_deliveries(waiting.connection, [found], Rules.read(), waiting.landing)
    assert load.outcome == "failed" and "x.csv" in (load.message or "") and "was removed" in (load.message or "")
    assert waiting.live_rows() == [contact("before")]
    assert (found.signature()[1], len(waiting.ledger())) == (("x.csv", 0, 0), 2)


UNREADABLE = """
    import os, sys
    from datetime import date
    from pathlib import Path
    from pipeline.landing import scan
    from pipeline.loading import load_deliveries
    from pipeline.settings import Rules
    from pipeline.warehouse import Warehouse

    folder = Path(sys.argv[1])
    rules = Rules.read()

    def load(warehouse, landing):
        with warehouse.locked("test"), warehouse.connected() as connection:
            found = scan(landing, ["contacts", "touches"], rules.first_load_day, rules.yesterday())
            return [load.message for each in found.deliveries for load in load_deliveries(connection, [each], rules, landing)], found.warnings

    # Once before, for what Python looks up when it is first needed, and may not be let read later.
    rehearsed = load(Warehouse(folder / "rehearsed"), folder / "rehearsal")
    assert rehearsed == ([None], ()), rehearsed
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    messages, warnings = load(Warehouse(folder / "warehouse"), folder / "landing")
    print(*messages, *warnings, sep=os.linesep)
"""


def test_file_that_may_not_be_read_fails() -> None:
    with tempfile.TemporaryDirectory() as name:
        desk = Desk(Path(name), None)  # type: ignore[arg-type]
        for number, day in enumerate((DAY, OTHER_DAY, DAY - timedelta(days=1), DAY - timedelta(days=2))):
            desk.write(as_csv([contact(number)]), day=day)
        rehearsal = Path(name) / "rehearsal/contacts" / str(DAY)
        rehearsal.mkdir(parents=True)
        (Path(name) / "rehearsal/touches").mkdir()
        (rehearsal / "a.csv").write_text(as_csv([contact()]) + "c9,w1\n")
        (desk.day_folder() / "a.csv").chmod(0)
        desk.day_folder(day=DAY - timedelta(days=1)).chmod(0)
        # A folder that may be listed, but nothing in it looked at.
        desk.day_folder(day=DAY - timedelta(days=2)).chmod(0o444)
        desk.day_folder("touches")
        (desk.landing / "touches").chmod(0o444)
        if os.getuid() == 0:
            for path in (desk.folder, *desk.folder.rglob("*")):
                os.chown(path, 65534, 65534)
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(UNREADABLE), name], cwd=PROJECT_DIR, capture_output=True, text=True
        )
        if "PermissionError" in run.stderr and "setuid" in run.stderr:
            pytest.skip("this user may not become another, and nothing is unreadable to it")
        assert run.returncode == 0, run.stderr
        assert run.stdout.splitlines() == [
            "contacts/2025-11-18/a.csv can't be opened (Permission denied); let this user read it",
            "contacts/2025-11-20/a.csv can't be opened (Permission denied); let this user read it",
            "None",
            f"{desk.landing / 'contacts/2025-11-19'} can't be listed (Permission denied): its delivery is not read",
            f"{desk.landing / 'touches/2025-11-20'} is not read: deliveries belong in folders named by day, like 2026-01-31",
        ]


# Times


def set_aside_by_time(desk: Desk, times: Iterable[str], **settings: Any) -> tuple[Loaded, dict[str, str]]:
    """Contacts at these times; the reasons of those set aside, by time."""
    rows = [contact(number, contacted_at=text) for number, text in enumerate(times)]
    loaded = desk.take(as_csv(rows), max_rejected_share=1, **settings)
    return loaded, {json.loads(text).get("contacted_at", ""): reason for _, reason, text in loaded.set_aside}


def test_times_that_are_read(desk: Desk) -> None:
    ten = datetime(2025, 11, 20, 10, tzinfo=UTC)
    times = {
        "2025-11-20T10:00:00Z": ten,
        "2025-11-20 10:00:00Z": ten,
        "2025-11-20T10:00Z": ten,
        "2025-11-20T13:00:00": ten,
        "2025-11-20 13:00": ten,
        "2025-11-20T13:00:00+03:00": ten,
        "2025-11-20T13:00:00+0300": ten,
        "2025-11-20T13:00:00+03": ten,
        "2025-11-20T04:30:00-05:30": ten,
        "2025-11-20T00:00:00+14:00": ten.replace(day=19),
        "\u00a02025-11-20T10:00:00Z ": ten,
        "2025-11-20T10:00:00.5Z": ten.replace(microsecond=500_000),
        "2025-11-20T10:00:00.123456Z": ten.replace(microsecond=123_456),
        "2025-11-20T10:00:00.1234567Z": ten.replace(microsecond=123_456),
        "2025-11-20T13:00:00.999999999": ten.replace(microsecond=999_999),
    }
    loaded, reasons = set_aside_by_time(desk, times)
    assert reasons == {}
    assert loaded.read("contacted_at") == list(times.values())
    assert loaded.values("contacted_at") == [text.strip(WHITE_SPACE) for text in times]


@pytest.mark.parametrize("digits", range(1, 10))
def test_fractions_of_one_to_nine_digits(desk: Desk, digits: int) -> None:
    fraction = "987654321"[:digits]
    loaded, _ = set_aside_by_time(desk, [f"2025-11-20T10:00:00.{fraction}Z"])
    microsecond = int(fraction.ljust(6, "0")[:6])
    assert loaded.read("contacted_at") == [datetime(2025, 11, 20, 10, 0, 0, microsecond, UTC)]


def test_times_that_can_not_be_read(desk: Desk) -> None:
    times = (
        *(
            "2025-11-20",
            "20.11.2025 10:00",
            "11/20/2025 10:00",
            "вчера",
            "10:00",
            "1763632800",
            "1763632800000",
            "0",
            "-",
        ),
        *(
            "2025-11-20T24:00:00Z",
            "2025-11-20T23:59:60Z",
            "2025-11-20T10:60:00Z",
            "2025-02-30T10:00:00Z",
            "2025-13-01T10:00Z",
        ),
        *("2025-11-20T10:00:00 Z", "2025-11-20T10:00:00 MSK", "2025-11-20T10:00:00+3", "2025-11-20T10:00:00+24:00"),
        *(
            "2025-11-20T10:00:00.",
            "2025-11-20T10:00:00,5",
            "2025-11-20T1:00:00",
            "2025-11-20t10:00:00z",
            "2025-11-20  10:00",
        ),
        *(
            "2025-11-20T10:00:00Z junk",
            "2025-11-20T10:00:00\n",
            "２０２５-11-20T10:00:00Z",
            "+2025-11-20T10:00:00Z",
            "infinity",
        ),
        *("2023-02-29T10:00:00Z", "2025-00-10T10:00:00Z", "2025-11-20T10", "2025-11-20T10:00:00Z'; drop table x; --"),
    )
    _, reasons = set_aside_by_time(desk, times)
    readable_once_trimmed = {"2025-11-20T10:00:00\n"}
    assert reasons == {text: "unreadable_contacted_at" for text in times if text not in readable_once_trimmed}


def test_times_that_can_not_be_true(desk: Desk) -> None:
    times = {
        "0001-01-01T00:00:00Z": True,
        "1970-01-01T00:00:00Z": True,
        "1999-12-31T23:59:59": True,
        "1999-12-31T23:59:59.999999": True,
        "2000-01-01T00:00:00": False,
        "1999-12-31T20:59:59.999999Z": True,
        "1999-12-31T21:00:00Z": False,
        "9999-12-31T23:59:59Z": True,
        "9999-12-31T23:59:59-03:00": True,
        # 24 hours after the end of the load day, 2025-11-21 00:00 in Moscow.
        "2025-11-22T00:00:00": False,
        "2025-11-22T00:00:00.000001": True,
        "2025-11-21T21:00:00Z": False,
        "2025-11-21T21:00:00.000001Z": True,
        "2025-11-21T21:00:00.000000999Z": False,
    }
    loaded, reasons = set_aside_by_time(desk, times)
    assert reasons == {text: "impossible_contacted_at" for text, is_impossible in times.items() if is_impossible}
    assert loaded.values("contacted_at") == [text for text, is_impossible in times.items() if not is_impossible]


def test_bound_is_24_hours_where_the_day_after_has_25(desk: Desk) -> None:
    # In Berlin the clocks go back on 2025-10-26, the day after the load day.
    rows = [
        contact(number, contacted_at=text)
        for number, text in enumerate(
            ("2025-10-26T23:00:00", "2025-10-26T23:00:00.000001", "2025-10-26T22:00:00.000001Z")
        )
    ]
    desk.write(as_csv(rows), day=date(2025, 10, 25))
    loaded = desk.load(day=date(2025, 10, 25), report_timezone="Europe/Berlin")
    assert loaded.values("contact_id") == ["c0"]
    assert [(number, reason) for number, reason, _ in loaded.set_aside] == [
        (2, "impossible_contacted_at"),
        (3, "impossible_contacted_at"),
    ]


def test_local_times_of_clock_changes(desk: Desk) -> None:
    times = {
        "2025-03-30T01:59:59": datetime(2025, 3, 30, 0, 59, 59, tzinfo=UTC),
        "2025-03-30T02:30:00": datetime(2025, 3, 30, 1, 30, tzinfo=UTC),  # no such time: as much later
        "2025-03-30T03:00:00": datetime(2025, 3, 30, 1, tzinfo=UTC),
        "2025-10-26T02:30:00": datetime(2025, 10, 26, 0, 30, tzinfo=UTC),  # twice: the first
        "2025-10-26T03:00:00": datetime(2025, 10, 26, 2, tzinfo=UTC),
    }
    loaded, reasons = set_aside_by_time(desk, times, report_timezone="Europe/Berlin")
    assert reasons == {}
    assert loaded.read("contacted_at") == list(times.values())
    assert times["2025-10-26T02:30:00"].astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M") == "02:30"


# Values


def read_each(desk: Desk, column: str, texts: dict[str, Any], table: str = "contacts") -> Loaded:
    """Loads a row per text of a column; what it is read as, and how many can't be."""
    rows = [GOOD_ROW[table](number, **{column: text}) for number, text in enumerate(texts)]
    loaded = desk.take(as_csv(rows), table)
    assert loaded.values(column) == [text.strip(WHITE_SPACE) or None for text in texts]
    assert loaded.read(column) == list(texts.values())
    unreadable = sum(value is None and text.strip(WHITE_SPACE) != "" for text, value in texts.items())
    assert loaded.load.unreadable_values == ({column: unreadable} if unreadable else {})
    written = loaded.connection.execute(
        "select unreadable_values from raw.loads where load_id = ?", [loaded.load.load_id]
    ).fetchone()
    assert written is not None and json.loads(written[0]) == loaded.load.unreadable_values
    return loaded


@pytest.mark.parametrize(("table", "column"), [("contacts", "duration"), ("costs", "impressions"), ("costs", "clicks")])
def test_whole_numbers(desk: Desk, table: str, column: str) -> None:
    good = {"0": 0, "95": 95, "95.0": 95, "95.000": 95, "007": 7, " 5 ": 5, "": None, str(2**63 - 1): 2**63 - 1}
    bad = (
        "-1",
        "+1",
        "95.5",
        "95.",
        "1e3",
        str(2**63),
        "9" * 30,
        "минута",
        "1:35",
        "1 000",
        "95,0",
        "NaN",
        "٣",
        "0x10",
        "null",
    )
    read_each(desk, column, good | dict.fromkeys(bad, None), table)


def test_booleans(desk: Desk) -> None:
    true = ("true", "TRUE", "True", "1", "yes", "Yes", "да", "ДА", "Да", "t", "T")
    false = ("false", "FALSE", "False", "0", "no", "NO", "нет", "Нет", "f", "F")
    bad = ("может быть", "2", "-1", "1.0", "on", "ja", "+", "null", "truee")
    read_each(desk, "is_unique", dict.fromkeys(true, True) | dict.fromkeys(false, False) | dict.fromkeys(bad, None))


def test_money(desk: Desk) -> None:
    good = {
        **{"0": Decimal("0"), "1500": Decimal("1500"), "1500.5": Decimal("1500.50"), "+7.10": Decimal("7.1")},
        **{"-10.50": Decimal("-10.5"), "1.005": Decimal("1.01"), "-1.005": Decimal("-1.01"), "1.004999": Decimal("1")},
        **{"9999999999999999.99": Decimal("9999999999999999.99"), "": None, " 12 ": Decimal("12")},
    }
    bad = (
        "1500,50",
        "1 500",
        "1\u00a0500",
        "NaN",
        "inf",
        "1e3",
        "10000000000000000",
        "9" * 40,
        "₽100",
        "1.2.3",
        ".5",
        "5.",
        "-",
        "--1",
    )
    read_each(desk, "value", good | dict.fromkeys(bad, None))


def test_dates(desk: Desk) -> None:
    good = {
        "2025-11-20": date(2025, 11, 20),
        " 2025-11-19\u00a0": date(2025, 11, 19),
        "2024-02-29": date(2024, 2, 29),
        "2000-01-01": date(2000, 1, 1),
        "2025-11-21": date(2025, 11, 21),  # the day after the load day
    }
    unreadable = (
        *("20.11.2025", "20251120", "2025-11-20T00:00:00", "2025-11-20 10:00", "2025-1-20", "25-11-20", "вчера", "-"),
        *("2025-02-29", "2025-13-01", "2025-11-00", "0", "45981", "２０２５-11-20", "+2025-11-20", "infinity", "epoch"),
    )
    impossible = ("1999-12-31", "2025-11-22", "0001-01-01", "0000-01-01", "9999-12-31")
    texts = (*good, *unreadable, *impossible)
    loaded = desk.take(
        as_csv([cost(number, cost_date=text) for number, text in enumerate(texts)]), "costs", max_rejected_share=1
    )
    assert loaded.read("cost_date") == list(good.values())
    reasons = {json.loads(text)["cost_date"]: reason for _, reason, text in loaded.set_aside}
    assert reasons == dict.fromkeys(unreadable, "unreadable_cost_date") | dict.fromkeys(
        impossible, "impossible_cost_date"
    )


def test_dates_of_parquet(desk: Desk) -> None:
    dates = pyarrow.array([date(2025, 11, 20), date(2025, 11, 22)])
    loaded = desk.take({"a.parquet": typed_parquet({"cost_date": dates}, cost())}, "costs")
    assert loaded.read("cost_date") == [date(2025, 11, 20)]
    assert loaded.load.rejected_by_reason == {"impossible_cost_date": 1}
    midnight = pyarrow.array([datetime(2025, 11, 20)])
    loaded = desk.take({"a.parquet": typed_parquet({"cost_date": midnight}, cost())}, "costs")
    assert loaded.load.rejected_by_reason == {"unreadable_cost_date": 1}


def test_amounts_are_required(desk: Desk) -> None:
    texts = ("0", "-10.5", "1.005", "9999999999999999.99", "1 500", "10000000000000000", "NaN", "")
    loaded = desk.take(as_csv([cost(number, amount=text) for number, text in enumerate(texts)]), "costs")
    assert loaded.read("amount") == [*map(Decimal, ("0", "-10.5", "1.01", "9999999999999999.99"))]
    assert [reason for _, reason, _ in loaded.set_aside] == ["unreadable_amount"] * 3 + ["missing_amount"]


def test_currencies(desk: Desk) -> None:
    reasons = {
        **dict.fromkeys(("RUB", "rub", "Rub", " rub "), None),
        **dict.fromkeys(("USD", "eur", "RUR"), "unknown_currency"),
        **dict.fromkeys(("РУБ", "₽", "RU", "RUBL", "643", "R B", "-"), "unreadable_currency"),
    }
    rows = [cost(number, currency=text) for number, text in enumerate(reasons)]
    loaded = desk.take(as_csv(rows), "costs")
    assert loaded.values("currency") == ["RUB", "rub", "Rub", "rub"]
    assert loaded.read("currency") == ["RUB"] * 4
    assert [reason for _, reason, _ in loaded.set_aside] == [reason for reason in reasons.values() if reason]
    # The setting says which is known, and what was judged is not judged again.
    elsewhere = desk.load("costs", reload=True, report_currency="USD")
    assert elsewhere.values("currency") == ["USD"]
    assert elsewhere.load.rejected_by_reason == {"unknown_currency": 6, "unreadable_currency": 7}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_first_fault_of_a_cost_is_the_reason(desk: Desk, form: str) -> None:
    row = cost(1) | dict.fromkeys(("cost_date", "source", "medium", "amount", "currency"), "")
    faults = {
        "missing_cost_date": {"cost_date": "2025-11-20T00:00:00"},
        "missing_source": {"source": "yandex"},
        "missing_medium": {"medium": "cpc"},
        "missing_amount": {"amount": "1,5"},
        "missing_currency": {"currency": "₽"},
        "unreadable_cost_date": {"cost_date": "2025-11-22"},
        "unreadable_amount": {"amount": "1.5"},
        "unreadable_currency": {"currency": "usd"},
        "impossible_cost_date": {"cost_date": "2025-11-21"},
        "unknown_currency": {"currency": "rub"},
    }
    rows = [row := row | mended for mended in ({}, *faults.values())]
    contents: dict[str, Content] = {"csv": as_csv(rows), "jsonl": as_json_lines(*rows), "parquet": as_parquet(rows)}
    loaded = desk.take({f"a.{form}": contents[form]}, "costs")
    assert [reason for _, reason, _ in loaded.set_aside] == list(faults)
    assert loaded.rows == [rows[-1]]


def test_visited_pages(desk: Desk) -> None:
    good = {'["/", "/цены"]': ["/", "/цены"], "[]": [], '["a\\n\\"b\\""]': ['a\n"b"'], " [ ] ": [], "": None}
    bad = ("/", "{}", '{"a": 1}', "[", '["a"', "null", '"text"', "5", "a,b")
    read_each(desk, "visited_pages", good | dict.fromkeys(bad, None), "touches")


def test_unreadable_values_of_rows_set_aside_are_not_counted(desk: Desk) -> None:
    rows = [contact(1, duration="x"), contact(2, duration="y", widget_id=""), contact(3, duration="5")]
    assert desk.take(as_csv(rows)).load.unreadable_values == {"duration": 1}


def test_contact_types(desk: Desk) -> None:
    good = ("call", "CALL", "Form", "callBack", "email", "Chat", " call ")
    bad = ("visit", "звонок", "calls", "0", "-", "call,form")
    rows = [contact(number, contact_type=text) for number, text in enumerate((*good, *bad))]
    loaded = desk.take(as_csv(rows))
    assert loaded.values("contact_type") == [text.strip() for text in good]
    assert loaded.read("contact_type") == [text.strip().lower() for text in good]
    assert [reason for _, reason, _ in loaded.set_aside] == ["unknown_contact_type"] * len(bad)
    assert json.loads(loaded.set_aside[0][2]) == rows[len(good)]


def test_action_types_are_never_a_fault(desk: Desk) -> None:
    texts = ["click", "Visit", "scroll", "", "звонок"]
    loaded = desk.take(as_csv([touch(number, action_type=text) for number, text in enumerate(texts)]), "touches")
    assert loaded.values("action_type") == ["click", "Visit", "scroll", None, "звонок"]
    assert loaded.load.unreadable_values == {}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_first_fault_is_the_reason(desk: Desk, form: str) -> None:
    rows = [
        contact(1) | dict.fromkeys(contact(), ""),
        contact(2, contact_type="", contacted_at="x", widget_id=""),
        contact(3, contact_type="", contacted_at="x"),
        contact(4, contact_type="visit", contacted_at="x"),
        contact(5, contact_type="visit", contacted_at="1970-01-01T00:00:00Z"),
        contact(6, contact_type="visit"),
        contact(7),
    ]
    contents: dict[str, Content] = {"csv": as_csv(rows), "jsonl": as_json_lines(*rows), "parquet": as_parquet(rows)}
    loaded = desk.take({f"a.{form}": contents[form]})
    assert loaded.rows == [contact(7)]
    reasons = ["missing_contact_id", "missing_widget_id", "missing_contact_type", "unreadable_contacted_at"]
    assert [reason for _, reason, _ in loaded.set_aside] == [
        *reasons,
        "impossible_contacted_at",
        "unknown_contact_type",
    ]
    for (_, _, text), row in zip(loaded.set_aside, rows, strict=False):
        expected = row if form == "jsonl" else {name: value for name, value in row.items() if value}
        assert json.loads(text) == expected


def test_text_of_a_row_set_aside_has_its_unknown_columns(desk: Desk) -> None:
    loaded = desk.take(as_csv([contact(1, widget_id="", note='a "b", в')]))
    expected = contact(1, note='a "b", в')
    del expected["widget_id"]
    assert json.loads(loaded.set_aside[0][2]) == expected


def test_phones_and_emails_arrive_as_delivered(desk: Desk) -> None:
    phones = [
        "+7 900 123-45-67",
        "8(900)1234567",
        "9001234567",
        "+7 900 123 45 67 доб. 5",
        "tel:+79001234567",
        "12345",
        "-",
    ]
    phones += ["'+79001234567", "+7９００1234567", "7.9001234567E+10"]
    emails = [
        "a@b.c",
        "A @ b.c",
        "нет",
        "a@b@c",
        '"a b"@c.d',
        "Анна <a@b.c>",
        "a@b.c, d@e.f",
        "mailto:a@b.c",
        "@",
        "a@",
    ]
    rows = [
        contact(number, phone=phone, email=email)
        for number, (phone, email) in enumerate(zip(phones, emails, strict=True))
    ]
    assert desk.take(as_csv(rows)).rows == rows
    assert desk.take({"a.jsonl": as_json_lines(*rows)}).rows == rows


@pytest.mark.parametrize("form", ["csv", "faulty csv", "jsonl", "parquet"])
def test_unicode_white_space_is_trimmed(desk: Desk, form: str) -> None:
    rows = []
    for number, space in enumerate(WHITE_SPACE):
        rows.append(contact(number, client_name=f"{space}А{space}Б{space}", location=space, extra=f"{space}в{space}"))
    rows.append(
        contact("all", client_name=f"{WHITE_SPACE}А\u200bБ{WHITE_SPACE}", location=WHITE_SPACE, extra=WHITE_SPACE)
    )
    rows.append(contact("kept", client_name="\u200b\ufeff", location="\u200b", extra="\x1f"))
    contents: dict[str, Content] = {"csv": as_csv(rows), "jsonl": as_json_lines(*rows), "parquet": as_parquet(rows)}
    contents["faulty csv"] = as_csv(rows) + "c9,w1\n"
    loaded = desk.take({f"a.{form.split()[-1]}": contents[form]})
    expected = [
        contact(number, client_name=f"А{space}Б", attributes={"extra": "в"}) for number, space in enumerate(WHITE_SPACE)
    ]
    expected.append(contact("all", client_name="А\u200bБ"))
    expected.append(contact("kept", client_name="\u200b\ufeff", location="\u200b", attributes={"extra": "\x1f"}))
    assert loaded.rows == expected


def test_white_space_only_is_missing(desk: Desk) -> None:
    loaded = desk.take(as_csv([contact(1, widget_id=WHITE_SPACE), contact(2, contact_id="\u2009"), contact(3)]))
    assert [(number, reason) for number, reason, _ in loaded.set_aside] == [
        (1, "missing_widget_id"),
        (2, "missing_contact_id"),
    ]


# Long values


@pytest.mark.parametrize("faulty", ["", "c9,w1\n"], ids=["clean", "faulty"])
def test_megabyte_arrives_whole_from_csv(desk: Desk, faulty: str) -> None:
    name = "Анна, " * 90_000 + '"\n'
    loaded = desk.take(as_csv([named(1, name), named(2)]) + faulty)
    assert loaded.values("client_name") == [name.strip(), "Анна"]
    assert len(name.encode()) > 2**19


def test_megabyte_arrives_whole_from_json(desk: Desk) -> None:
    name = "Ж" * 2**20
    assert desk.take({"a.jsonl": as_json_lines(named(1, name), named(2))}).rows == [named(1, name), named(2)]


def test_line_over_the_limit_fails(desk: Desk) -> None:
    name = "x" * LONGEST_LINE_BYTES
    phrase = f"has a line longer than {LONGEST_LINE_BYTES:,} bytes, line 3; write each row on a line of its own"
    desk.refuse(as_csv([named(1), named(2, name), named(3)]), phrase)
    desk.refuse({"a.jsonl": "\n" + as_json_lines(named(1), named(2, name))}, phrase)
    quoted = as_csv([named(1), named(2, name[::2] + "\n" + name[::2])])
    desk.refuse(quoted, f"has a row longer than {LONGEST_LINE_BYTES:,} bytes; is a quote missing?")
    desk.refuse("x" * 200_000 + "," + HEADER + line(1), "has a header that can't be read")


def test_header_over_the_limit_fails(desk: Desk) -> None:
    phrase = f"has a header longer than {LONGEST_LINE_BYTES:,} bytes; does it have line ends?"
    desk.refuse({"a.csv.gz": gzip.compress(b"x" * (LONGEST_LINE_BYTES + 1))}, phrase)


# More than there may be


def wide_rows(columns: int, count: int = 3) -> list[Row]:
    more = {f"column_{number}": f"value {number}" for number in range(columns - len(contact()))}
    return [contact(number) | more for number in range(1, count + 1)]


def in_all_forms(rows: list[Row]) -> dict[str, dict[str, Content]]:
    return {
        "csv": {"a.csv": as_csv(rows)},
        "csv with a faulty row": {"a.csv": as_csv(rows) + "c9,w1\n"},
        "jsonl": {"a.jsonl": as_json_lines(*rows)},
        "parquet": {"a.parquet": as_parquet(rows)},
    }


@pytest.mark.parametrize("form", ["csv", "csv with a faulty row", "jsonl", "parquet"])
@pytest.mark.parametrize("most", [10, 57])
def test_as_many_columns_as_there_may_be(desk: Desk, form: str, most: int) -> None:
    loaded = desk.take(in_all_forms(wide_rows(most))[form], max_columns=most)
    assert [row["attributes"] for row in loaded.rows] == [
        {f"column_{number}": f"value {number}" for number in range(most - len(contact()))}
    ] * 3
    counted = f"has {most + 1} keys in line 1" if form == "jsonl" else f"has {most + 1} columns"
    desk.refuse(
        in_all_forms(wide_rows(most + 1))[form],
        f"{counted}, more than max_columns {most}; leave out those that nobody needs, or raise the setting",
        max_columns=most,
    )


@pytest.mark.parametrize("form", ["csv", "csv with a faulty row", "jsonl", "parquet"])
def test_very_many_columns_take_little_memory(desk: Desk, form: str) -> None:
    """An expression for each column, or a look through the whole line for each key, took gigabytes."""
    desk.connection.execute("set memory_limit = '500MB'")
    loaded = desk.take(in_all_forms(wide_rows(1_500))[form], max_columns=1_500)
    assert len(loaded.rows) == 3 and len(loaded.rows[2]["attributes"]) == 1_500 - len(contact())


def test_key_twice_among_very_many_sets_the_line_aside(desk: Desk) -> None:
    (row,) = wide_rows(900, count=1)
    text = json.dumps(row)[:-1] + ', "column_7": "again"}'
    loaded = desk.take({"a.jsonl": as_json_lines(contact(1), text)})
    assert loaded.set_aside == [(2, "unparsable_row", text)]


@pytest.mark.parametrize("form", ["csv.gz", "jsonl.gz", "parquet", "nested parquet"])
def test_file_that_unpacks_to_more_than_it_may_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    rows = [named(number, "x" * 1_000) for number in range(1, 2_001)]
    arrays = {name: pyarrow.array([row[name] for row in rows]).dictionary_encode() for name in rows[0]}
    if form == "nested parquet":
        arrays["client_name"] = pyarrow.array([["x" * 1_000]] * len(rows))
    content: Content = {
        "csv.gz": gzip.compress(as_csv(rows).encode()),
        "jsonl.gz": gzip.compress(as_json_lines(*rows).encode()),
    }.get(form) or as_parquet(pyarrow.table(arrays))
    assert len(content) < 100_000
    monkeypatch.setenv("UNPACKED_LIMIT", "2MB")
    phrase = "unpacks to more than UNPACKED_LIMIT, 2,000,000 bytes: deliver it in smaller files, or raise the setting"
    desk.refuse({f"a.{form.split()[-1]}": content}, f"a.{form.split()[-1]} {phrase}")
    monkeypatch.setenv("UNPACKED_LIMIT", "3MB")
    assert desk.load().load.delivered_count == 2_000


@pytest.mark.parametrize("form", ["csv", "csv with a faulty row", "jsonl.gz", "parquet"])
def test_file_that_takes_more_than_there_is_fails(desk: Desk, form: str) -> None:
    rows = [named(number, f"{number}" * 600) for number in range(10_001, 25_001)]
    files: dict[str, dict[str, Content]] = {
        "jsonl.gz": {"a.jsonl.gz": gzip.compress(as_json_lines(*rows).encode(), 1)},
    }
    folder = desk.connection.execute("select current_setting('temp_directory')").fetchone()
    assert folder is not None
    desk.connection.execute("set memory_limit = '80MB'")
    desk.connection.execute("set max_temp_directory_size = '5MB'")
    name = next(iter(files.get(form) or in_all_forms(rows[:1])[form]))
    desk.refuse(
        files.get(form) or in_all_forms(rows)[form],
        f"contacts/{DAY}/{name} needs more disk space than there is: make room for {folder[0]}",
    )
    assert desk.connection.execute("select count(*) from duckdb_tables() where temporary").fetchone() == (0,)
    assert list(Path(folder[0]).glob("delivery-*")) == []


# Files of many parts


@pytest.mark.parametrize("form", ["csv with a faulty row", "jsonl"])
def test_rows_of_a_file_of_many_chunks_keep_their_order(desk: Desk, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Of an id that is there twice the later row wins (R3): beyond the tenth chunk, and the hundredth, too."""
    monkeypatch.setattr("pipeline.reading.text_files.CHUNK_BYTES", 64)
    rows = [named(number % 7, f"Анна\n{number}\nконец" if number % 5 else f"{number}") for number in range(150)]
    loaded = desk.take(in_all_forms(rows)[form])
    assert loaded.rows == rows
    numbers = desk.connection.execute("select record_number from raw.contacts order by row_number").fetchall()
    first = numbers[0][0]
    assert numbers == [(first + number,) for number in range(150)]


def test_lines_of_a_file_of_many_chunks_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.reading.text_files.CHUNK_BYTES", 64)
    lines = ["Анна" * (number % 9) for number in range(150)]
    (tmp_path / "file.txt").write_text("\n".join(lines), "utf-8")
    connection = duckdb.connect()
    create_lines(connection, tmp_path / "file.txt", tmp_path)
    assert connection.execute("from lines order by line_number").fetchall() == list(enumerate(lines, start=1))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("count", [2, 12])
def test_record_numbers_go_on_over_rejected_rows_and_files(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, form: str, count: int
) -> None:
    """The later row of the later file wins (R3), whatever was rejected before it: numbers rise and none is there twice."""
    monkeypatch.setattr("pipeline.reading.text_files.CHUNK_BYTES", 100)
    write: dict[str, Callable[[list[Row]], Content]] = {
        "csv": as_csv,
        "jsonl": lambda rows: as_json_lines(*rows),
        "parquet": as_parquet,
    }
    files = {
        f"{file:02}.{form}": write[form](
            [named(row, f"{file} {row}") | ({"widget_id": ""} if (file + row) % 3 == 0 else {}) for row in range(9)]
        )
        for file in range(count)
    }
    loaded = desk.take(files)
    numbers = desk.connection.execute(
        "select file_name, row_number, record_number % 4294967296 from raw.contacts order by record_number"
    ).fetchall()
    assert numbers == [
        (f"{file:02}.{form}", row + 1, file * 9 + row + 1)
        for file in range(count)
        for row in range(9)
        if (file + row) % 3 != 0
    ]
    assert loaded.load.rejected_count == 3 * count


def test_a_file_without_a_good_row_is_said(desk: Desk) -> None:
    rows = [contact(number, contact_type="чат") for number in range(3)]
    loaded = desk.take({"a.csv": as_csv(rows), "b.csv": as_csv([contact(9)]), "c.csv": HEADER})
    assert loaded.load.warnings == (
        f"contacts/{DAY}/a.csv has no good row, so it loads none: all 3 were rejected (unknown_contact_type 3). "
        "`rejected` shows them; mend the file and load the day again",
    )


# The same rows twice

SPENT = [cost(1), cost(2), cost(2), cost(3, impressions="7", place="top")]


@pytest.mark.parametrize("second", ["csv", "jsonl", "parquet"])
def test_files_of_the_same_costs_are_said(desk: Desk, second: str) -> None:
    again = list(reversed(SPENT))
    other: dict[str, Content] = {
        "csv": as_csv(again, "\r\n"),
        "jsonl": as_json_lines(*again),
        "parquet": as_parquet(again),
    }
    loaded = desk.take({"a.csv": as_csv(SPENT), f"b.{second}": other[second], "c.csv": as_csv([cost(4)])}, "costs")
    assert len(loaded.rows) == 9
    assert doubled_files_warnings([loaded.load], desk.landing) == [
        f"{desk.landing}/costs/{DAY}: a.csv and b.{second} hold the same 4 rows, and each counts: if that isn't meant, take "
        "one away and load the day again",
    ]


@pytest.mark.parametrize(
    "second",
    [
        [*SPENT[:3], cost(3)],
        [*SPENT[:3], cost(3, impressions="7", place="bottom")],
        [cost(1), cost(1), *SPENT[2:]],
        [SPENT[0], cost(4), cost(4), SPENT[3]],
        SPENT[:3],
        [*SPENT, cost(2)],
        [row | {"medium": row["source"], "source": row["medium"]} for row in SPENT],
    ],
)
def test_files_of_other_costs_are_not_said(desk: Desk, second: list[Row]) -> None:
    files: dict[str, Content] = {"a.csv": as_csv(SPENT), "b.jsonl": as_json_lines(*second)}
    assert desk.take(files, "costs").load.doubled_files == ()


def test_same_rows_with_ids_and_files_without_rows_are_not_said(desk: Desk) -> None:
    assert desk.take({"a.csv": as_csv([contact()]), "b.csv": as_csv([contact()])}).load.doubled_files == ()
    nothing = as_csv([cost()]).split("\n")[0] + "\n"
    assert desk.take({"a.csv": nothing, "b.csv": nothing}, "costs").load.doubled_files == ()


# Hostile text

HOSTILE = (
    *(
        "'",
        '"',
        "''",
        '""',
        ";",
        "';--",
        "'; drop table raw.contacts; --",
        '"; drop schema raw cascade; --"',
        "$$",
        "`id`",
    ),
    *(
        "{{ 1 / 0 }}",
        "{% raw %}",
        "{# #}",
        "${HOME}",
        "%s %(x)s {0} {}",
        "\\",
        "\\n",
        "\\'",
        "a\\",
        "%00",
        "?",
        ":1",
        "$1",
    ),
    *("=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1", "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "*.csv"),
    *(
        "<script>alert(1)</script>",
        "&amp;",
        "<!--",
        "]]>",
        "null",
        "NULL",
        "None",
        "NaN",
        "true",
        "[]",
        "{}",
        '{"a": 1}',
    ),
    *(
        "😀👩‍👩‍👧",
        "\u202eдавс",
        "\u200f",
        "e\u0301",
        "İı",
        "ß",
        "\ufffd",
        "\ufffe",
        "\U0010ffff",
        "\x01\x1f\x7f",
        "a\u2028b",
    ),
    *("a\tb", "a\nb", "a\r\nb", "a\rb", "a,b", 'a","b', '",', ',"', '"\n"', "#", "--", "/*", "*/", "x" * 5000),
)


@pytest.mark.parametrize("table", delivered_tables())
@pytest.mark.parametrize("form", ["csv", "faulty csv", "csv.gz", "jsonl", "parquet"])
def test_hostile_text_arrives_exactly(desk: Desk, form: str, table: str) -> None:
    key = {"touches": "touch_id", "contacts": "contact_id", "costs": "source"}[table]
    rows = []
    for number, text in enumerate(HOSTILE):
        row = GOOD_ROW[table](number, **dict.fromkeys((*TEXT_COLUMNS[table], "widget_id", "extra"), text))
        rows.append(row | {key: f"{text}-{number}"})
    contents: dict[str, Content] = {"csv": as_csv(rows), "jsonl": as_json_lines(*rows), "parquet": as_parquet(rows)}
    contents["faulty csv"] = as_csv(rows) + "9,9\n"
    contents["csv.gz"] = gzip.compress(as_csv(rows).encode())
    loaded = desk.take({f"a.{form.split()[-1]}": contents[form]}, table)
    assert loaded.set_aside == ([(len(rows) + 1, "unparsable_row", "9,9")] if form == "faulty csv" else [])
    assert loaded.rows == [
        {name: value for name, value in row.items() if name != "extra"} | {"attributes": {"extra": row["extra"]}}
        for row in rows
    ]


def test_hostile_text_is_set_aside_exactly(desk: Desk) -> None:
    rows = [contact(number, client_name=text, contacted_at=text) for number, text in enumerate(HOSTILE)]
    loaded = desk.take({"a.csv": as_csv(rows), "b.jsonl": as_json_lines(*rows)}, max_rejected_share=1)
    assert [json.loads(text) for _, _, text in loaded.set_aside] == rows * 2
    assert loaded.load.rejected_by_reason == {"unreadable_contacted_at": 2 * len(rows)}


def test_nul_escapes_of_json_arrive(desk: Desk) -> None:
    row = contact(1, client_name="a\0b", extra="c\0d")
    assert desk.take({"a.jsonl": as_json_lines(row)}).rows == [
        contact(1, client_name="a\0b", attributes={"extra": "c\0d"})
    ]


def test_surrogates_of_json(desk: Desk) -> None:
    pair = json.dumps(contact(1))[:-1] + ', "client_name": "\\ud83d\\ude00"}'
    half = json.dumps(contact(2))[:-1] + ', "client_name": "\\ud83d"}'
    loaded = desk.take({"a.jsonl": as_json_lines(pair, half, contact(3))})
    assert loaded.rows == [contact(1, client_name="😀"), contact(3)]
    assert loaded.set_aside == [(2, "unparsable_row", half)]


FILE_NAMES = (
    *(
        "it's",
        'a"b',
        "part [1]",
        "*",
        "a?",
        "100%",
        "%20",
        "a\nb",
        "-rf",
        "Ж" * 120,
        "x" * 247,
        "{{ x }}",
        "{% x %}",
        ";drop",
    ),
    *(
        "a b ",
        "😀",
        "$(id)",
        "`id`",
        "a\\b",
        "~",
        "=cmd",
        "a,b",
        "\u202ea",
        "#",
        "day=1",
        "<b>",
        "a.parquet",
        "..a",
        "e\u0301",
    ),
)


def test_hostile_file_names(desk: Desk) -> None:
    names = [f"{name}.csv" for name in FILE_NAMES if not name.startswith(".")]
    loaded = desk.take({name: as_csv([contact(name)]) for name in names})
    found = desk.connection.execute("select file_name, contact_id from raw.contacts").fetchall()
    assert sorted(found) == sorted((name, f"c{name}") for name in names)
    assert [file.file_name for file in loaded.load.files] == sorted(names)
    assert desk.pending() == set()


@pytest.mark.parametrize("name", FILE_NAMES[:12])
def test_hostile_file_names_in_messages(desk: Desk, name: str) -> None:
    desk.refuse({f"{name[:200]}.csv": ""}, f"contacts/2025-11-20/{name[:200]}.csv is empty")


@pytest.mark.parametrize("ending", ["csv.gz", "jsonl", "parquet"])
def test_hostile_file_names_of_other_formats(desk: Desk, ending: str) -> None:
    contents: dict[str, Content] = {
        "csv.gz": gzip.compress(as_csv([contact()]).encode()),
        "jsonl": as_json_lines(contact()),
        "parquet": as_parquet([contact()]),
    }
    names = ("it's [1] *?", "{{ x }}", "a\nb")
    assert desk.take({f"{name}.{ending}": contents[ending] for name in names}).rows == [contact()] * 3


def test_file_name_that_is_not_utf8(desk: Desk) -> None:
    path = os.path.join(os.fsencode(desk.day_folder()), b"\xff.csv")
    try:
        with open(path, "wb") as file:
            file.write(as_csv([contact(1)]).encode())
    except OSError as error:
        pytest.skip(f"this file system has no such names: {error}")
    assert desk.load().rows == [contact(1)]
    assert desk.connection.execute("select file_name from raw.contacts").fetchall() == [("\\xff.csv",)]
    assert desk.pending() == set()
    with open(path, "wb") as file:
        file.write(b"")
    assert "contacts/2025-11-20/\\xff.csv is empty" in (desk.load().load.message or "")


# R26


def mixed(good: int, bad: int, first: int = 0) -> list[Row]:
    rows = [contact(first + number) for number in range(good)]
    return rows + [contact(first + good + number, contact_type="visit") for number in range(bad)]


@pytest.mark.parametrize(
    ("good", "bad", "share"),
    [
        (10, 10, 0.5),
        (0, 19, 0.5),
        (0, 19, 0),
        (20, 0, 0),
        (0, 20, 1),
        (0, 1, 0),
        (15, 5, 0.25),
        (1000, 1000, 0.5),
        (14, 6, 0.3),
    ],
)
def test_share_that_is_not_too_large(desk: Desk, good: int, bad: int, share: float) -> None:
    loaded = desk.take(as_csv(mixed(good, bad)), max_rejected_share=share)
    assert (loaded.load.loaded_count, loaded.load.rejected_count) == (good, bad)
    assert loaded.load.rejected_by_reason == ({"unknown_contact_type": bad} if bad else {})


@pytest.mark.parametrize(
    ("good", "bad", "share"), [(9, 11, 0.5), (0, 20, 0.5), (19, 1, 0), (14, 6, 0.25), (999, 1001, 0.5), (0, 20, 0.99)]
)
def test_share_that_is_too_large_fails(desk: Desk, good: int, bad: int, share: float) -> None:
    desk.refuse(
        as_csv(mixed(good, bad)),
        f"contacts/2025-11-20/a.csv would have {bad:,} of its {good + bad:,} rows rejected (unknown_contact_type {bad:,})",
        f"a larger share than max_rejected_share {share}",
        "mend the file, or raise the setting",
        max_rejected_share=share,
    )


def test_share_is_of_each_file(desk: Desk) -> None:
    loaded = desk.take({"a.csv": as_csv(mixed(100, 0)), "b.csv": as_csv(mixed(0, 19, 100))})
    assert [(file.delivered_count, file.rejected_count) for file in loaded.load.files] == [(100, 0), (19, 19)]
    desk.refuse(
        {"a.csv": as_csv(mixed(100, 0)), "b.csv": as_csv(mixed(9, 11, 100))}, "2025-11-20/b.csv would have 11 of its 20"
    )


def test_a_file_of_costs_fails_as_any_other(desk: Desk) -> None:
    rows = [cost(number, currency="USD" if number < 11 else "RUB") for number in range(20)]
    desk.refuse(as_csv(rows), "a.csv would have 11 of its 20 rows rejected (unknown_currency 11)", table="costs")
    desk.refuse("cost_date,source,medium,amount\n", "a.csv has no column currency;", table="costs")


def test_unparsable_rows_count_too(desk: Desk) -> None:
    text = HEADER + "".join(line(number) for number in range(9)) + "c,w\n" * 6 + "x,y,z,call,\n" * 5
    desk.refuse(text, "11 of its 20 rows rejected (unparsable_row 6, unreadable_contacted_at 5)")
    desk.refuse({"a.jsonl": json.dumps([contact()] * 30, indent=1)}, "rejected (unparsable_row ")


def test_one_unreadable_file_fails_the_day_of_its_table_only(desk: Desk) -> None:
    desk.write({"a.csv": as_csv([contact(1)]), "b.csv": "", "c.csv": as_csv([contact(2)])})
    desk.write(as_csv([touch(1)]), "touches")
    desk.write(as_csv([contact(3)]), day=OTHER_DAY)
    loads = desk.load_all()
    assert {key: loaded.load.outcome for key, loaded in loads.items()} == {
        ("contacts", DAY): "failed",
        ("touches", DAY): "loaded",
        ("contacts", OTHER_DAY): "loaded",
    }
    assert (loads["contacts", DAY].load.message or "").startswith("contacts/2025-11-20/b.csv is empty")
    assert desk.connection.execute("select contact_id from raw.contacts").fetchall() == [("c3",)]
    assert desk.live_rows("touches") == [touch(1)]


# Deliveries again


def test_redelivery_with_fewer_rows_replaces_the_day(desk: Desk) -> None:
    first = desk.take(
        {"a.csv": as_csv([contact(1), contact(2)]), "b.csv": as_csv([contact(3), contact("bad", widget_id="")])}
    )
    second = desk.take({"a.csv": as_csv([contact(2, client_name="Анна")])})
    assert desk.live_rows() == [contact(2, client_name="Анна")]
    assert desk.ledger("load_id, outcome, superseded_by, loaded_count") == [
        (first.load.load_id, "loaded", second.load.load_id, 3),
        (second.load.load_id, "loaded", None, 1),
    ]


def test_same_bytes_again_are_unchanged(desk: Desk) -> None:
    files: dict[str, Content] = {"a.csv": as_csv([contact(1)]), "b.csv": as_csv([contact(2)])}
    first = desk.take(files)
    time.sleep(0.01)
    desk.write(files)
    assert desk.pending() == {("contacts", DAY)}
    again = desk.load()
    assert (again.load.outcome, again.load.load_id) == ("unchanged", first.load.load_id)
    assert len(desk.ledger()) == 1
    assert desk.pending() == set()
    assert desk.live_rows() == [contact(1), contact(2)]


def test_load_ids_are_never_used_again(desk: Desk) -> None:
    good = as_csv([contact(1)])
    first = desk.take(good)
    desk.write("contact_id\0")
    assert desk.load().load.outcome == "failed"
    desk.write(good)
    again = desk.load().load
    assert (again.outcome, again.load_id, again.loaded_count) == ("unchanged", first.load.load_id, 1)
    assert desk.pending() == set(), "the failure has nothing more to say"
    assert desk.take(as_csv([contact(2)])).load.load_id == 3
    assert desk.ledger("load_id, superseded_by") == [(1, 3), (2, 1), (3, None)]


def test_touched_file_is_pending_once(desk: Desk) -> None:
    desk.take(as_csv([contact(1)]))
    assert desk.pending() == set()
    os.utime(desk.day_folder() / "a.csv", ns=(1, 1))
    assert desk.pending() == {("contacts", DAY)}
    assert desk.load().load.outcome == "unchanged"
    assert desk.pending() == set()


def test_renamed_file_is_another_delivery(desk: Desk) -> None:
    desk.take({"a.csv": as_csv([contact(1)])})
    assert desk.take({"b.csv": as_csv([contact(1)])}).load.load_id == 2


def test_reload_loads_the_same_bytes_again(desk: Desk) -> None:
    desk.take(as_csv([contact(1)]))
    assert desk.load(reload=True).load.load_id == 2
    assert desk.live_rows() == [contact(1)]
    assert desk.ledger("load_id, superseded_by") == [(1, 2), (2, None)]


def test_header_only_redelivery_empties_the_day(desk: Desk) -> None:
    desk.take(as_csv([contact(1)]))
    desk.take(HEADER)
    assert desk.live_rows() == []
    assert desk.ledger("superseded_by, loaded_count") == [(2, 1), (None, 0)]


@pytest.mark.parametrize("way", ["folder gone", "no file", "only ignored files"])
def test_delivery_that_disappears_changes_nothing(desk: Desk, way: str) -> None:
    desk.take(as_csv([contact(1)]))
    folder = desk.write({"_a.csv": HEADER} if way == "only ignored files" else {})
    if way == "folder gone":
        folder.rmdir()
    assert desk.scan() == Landing((), ())
    assert desk.pending() == set()
    assert desk.live_rows() == [contact(1)]


def test_failed_redelivery_is_pending_until_mended(desk: Desk) -> None:
    good = as_csv([contact(1)])
    desk.take(good)
    desk.write("")
    assert desk.load().load.outcome == "failed"
    assert desk.live_rows() == [contact(1)]
    assert desk.pending() == {("contacts", DAY)}
    assert desk.load().load.outcome == "failed"
    assert desk.ledger("load_id, outcome, superseded_by") == [
        (1, "loaded", None),
        (2, "failed", None),
        (3, "failed", None),
    ]
    # The bytes that are loaded already: nothing is left to do, and the failures have nothing more to say.
    desk.write(good)
    assert desk.load().load.outcome == "unchanged"
    assert desk.pending() == set()
    desk.write("")
    assert desk.load().load.outcome == "failed"
    assert desk.take(as_csv([contact(2)])).rows == [contact(2)]
    assert desk.pending() == set()


def test_file_that_changes_while_it_is_read_fails(waiting: Desk) -> None:
    file = waiting.day_folder() / "a.csv"
    file.write_text(HEADER + line(1))
    is_over = threading.Event()

    def append() -> None:
        with open(file, "a", encoding="utf-8") as content:
            while not is_over.is_set():
                content.write(line(2))
                content.flush()
                time.sleep(0.001)

    writer = threading.Thread(target=append)
    writer.start()
    try:
        waiting.refused("contacts/2025-11-20/a.csv changed while it was read; it is read again by the next load")
    finally:
        is_over.set()
        writer.join()
    loaded = waiting.load()
    assert loaded.rows == [named(1)] + [named(2)] * (loaded.load.delivered_count - 1)


def test_load_ids_rise(desk: Desk) -> None:
    for day in (OTHER_DAY, DAY):
        desk.write(as_csv([contact(str(day))]), day=day)
        desk.write(as_csv([touch(str(day))]), "touches", day)
    loads = desk.load_all()
    assert sorted(loaded.load.load_id or 0 for loaded in loads.values()) == [1, 2, 3, 4]
    assert [load_id for (load_id,) in desk.ledger("load_id")] == [1, 2, 3, 4]


# Both ways of reading CSV

FRAGMENTS = (
    "a",
    "Я",
    '"',
    '""',
    ",",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\t",
    "\u00a0",
    "'",
    "\\",
    ";",
    "x y",
    '","',
    "\n\n",
    "😀",
)


def random_rows(dice: random.Random, fragments: tuple[str, ...]) -> list[Row]:
    columns = ["client_name", "location", "email", "extra", "Ещё, одна"]
    dice.shuffle(columns)
    columns = columns[: dice.randint(1, 5)]
    rows = []
    for number in range(dice.randint(1, 20)):
        values = {column: "".join(dice.choices(fragments, k=dice.randint(0, 6))) for column in columns}
        row = list((contact(number) | values).items())
        rows.append(dict(row))
    order = list(rows[0])
    dice.shuffle(order)
    return [{name: row[name] for name in order} for row in rows]


def as_loaded(row: Row) -> Row:
    trimmed = {name: value for name, text in row.items() if (value := text.strip(WHITE_SPACE))}
    known = {name: value for name, value in trimmed.items() if name in delivered_tables()["contacts"].column_names}
    unknown = {name: value for name, value in trimmed.items() if name not in known}
    return known | ({"attributes": unknown} if unknown else {})


@pytest.mark.parametrize("seed", range(5))
def test_random_csv_arrives_value_for_value_both_ways(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    clean: dict[str, Content] = {}
    faulty: dict[str, Content] = {}
    expected: list[Row] = []
    for number in range(20):
        # Lone carriage returns make DuckDB's reader unsure, so half of the files go without.
        fragments = FRAGMENTS if number % 2 else tuple(text for text in FRAGMENTS if text != "\r")
        rows = random_rows(dice, fragments)
        line_end = dice.choice(("\n", "\r\n"))
        name = f"{number:03}.csv"
        clean[name] = dice.choice(("", "\ufeff")) + as_csv(rows, line_end)
        faulty[name] = str(clean[name]) + dice.choice(("x,y", '"x"y,z', "x" + "," * 50)) + dice.choice(("", line_end))
        expected += map(as_loaded, rows)
    loaded = desk.take(clean)
    assert loaded.set_aside == []
    assert loaded.rows == expected
    loaded = desk.take(faulty)
    assert [reason for _, reason, _ in loaded.set_aside] == ["unparsable_row"] * 20
    assert loaded.rows == expected


def test_days_with_files_of_the_same_costs_are_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if a run ends early, as no other run loads these days again."""
    monkeypatch.setattr("pipeline.landing.PROJECT_DIR", tmp_path)
    monkeypatch.setenv("LANDING_DIR", str(tmp_path / "data" / "landing"))
    days = [DAY + timedelta(days=number) for number in range(13)]
    for number, day in enumerate(days):
        folder = tmp_path / "data" / "landing" / "costs" / str(day)
        folder.mkdir(parents=True)
        content = as_csv([cost(line) for line in range(number + 1)])
        for name in ("direct-rows.csv", "vk-rows.csv" if number == 12 else "yandex_direct-rows.csv"):
            (folder / name).write_text(content, "utf-8")
    said = []
    for ending in (3, 13):
        warehouse = Warehouse(tmp_path / str(ending))
        with collected_warnings() as warnings, warehouse.locked("test"):
            loading = load_days(warehouse, "costs", days, rules_with())
            assert len(list(itertools.islice(loading, ending))) == ending
            assert warnings == []
            loading.close()
        said.append(warnings)

    both, advice = (
        "direct-rows.csv and yandex_direct-rows.csv hold the same rows",
        "and each counts: if that isn't meant,",
    )
    shown = [str(day) for day in days]
    assert said == [
        [
            f"data/landing/costs: {both} on {', '.join(shown[:3])}, {advice} take one away from each of these days and load "
            "them again"
        ],
        [
            f"data/landing/costs: {both} on {', '.join(shown[:5])}, … {shown[11]} (12 days), {advice} take one away from each "
            "of these days and load them again",
            f"data/landing/costs/{days[12]}: direct-rows.csv and vk-rows.csv hold the same 13 rows, {advice} take one away "
            "and load the day again",
        ],
    ]
