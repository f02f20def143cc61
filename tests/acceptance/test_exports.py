"""Exports as spreadsheets, services and databases write them: times, numbers, headers, escapes and Excel files."""

import csv
import io
import itertools
import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
import xlsxwriter
from exports_desk import DAY, NEXT_DAY, Desk
from fetches import TOKEN_VARIABLE, Fetches, source_for
from processes import Site
from stand_ins import CalltouchStandIn
from vendor_records import calltouch_call

from pipeline.contracts import delivered_tables
from pipeline.reading import UnreadableFileError
from pipeline.settings import SettingsError
from sources.export_text import DELIMITERS, Escapes, HeaderFinder, write_plain
from sources.fetching import due_days_of_run, held_days
from sources.mapping import FileFormat, Mapping, _divided, _strptime, is_utc, no_value_of, placeholders
from sources.source import SourceError

CASES = Path(__file__).resolve().parents[1] / "cases/files"
CASE_DAYS = (date(2026, 11, 19), date(2026, 11, 20))
COSTS = {
    "table": "costs",
    "columns": {
        "cost_date": {"from": "Дата", "format": ["%d.%m.%Y", "%d.%m.%y"]},
        "source": {"constant": "vk"},
        "medium": {"constant": "cpc"},
        "campaign": "Кампания",
        "amount": {"from": "Расход", "decimal": ","},
        "currency": {"constant": "RUB"},
        "clicks": "Клики",
    },
}
CALLS = {
    "table": "contacts",
    "columns": {"contact_id": "id", "contacted_at": "ts", "contact_type": {"constant": "call"}, "phone": "phone"},
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def with_columns(mapping: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return mapping | {"columns": mapping["columns"] | columns}


def put(desk: Desk, case: str, name: str | None = None) -> str:
    file = CASES / case
    shutil.copy(file, desk.exports / (name or file.name))
    return name or file.name


# The handed cases


def test_short_years_dont_replace_what_is_there(desk: Desk) -> None:
    source = desk.source("yandex_direct_costs.yml", put(desk, "two-digit-years/direct.csv"))
    assert [row["amount"] for row in desk.delivered(source, *CASE_DAYS)] == ["100.00", "200.00"]

    put(desk, "two-digit-years/direct_short.csv", "direct.csv")
    results = desk.fetch(source, *CASE_DAYS)

    assert {fetched.outcome for fetched in results} == {"failed"}
    assert [row["amount"] for day in CASE_DAYS for row in desk.rows(source, day)] == ["100.00", "200.00"]
    (message,) = {fetched.message for fetched in results}
    for part in ("direct.csv", "«Дата»", "'19.11.26'", "%d.%m.%Y", "yandex_direct_costs.yml", "nothing is delivered"):
        assert part in (message or ""), message


def test_short_years_of_calls_fail_with_what_is_expected(desk: Desk) -> None:
    source = desk.source("mango_calls_export.yml", put(desk, "two-digit-years/mango.csv"))
    message = desk.failure(source, *CASE_DAYS)
    for part in ("mango.csv", "«Дата» + «Время»", "'20.11.26 10:00:00'", "%d.%m.%Y %H:%M:%S", "mango_calls_export.yml"):
        assert part in message, message


def test_a_format_that_ends_in_the_word_utc_is_utc(desk: Desk) -> None:
    put(desk, "utc-word-in-format/months.csv")
    mapping = with_columns(CALLS, contacted_at={"from": "ts", "format": "%Y-%m-%d %H:%M:%S UTC"})
    (row,) = desk.delivered(desk.source(desk.mapping(mapping)), CASE_DAYS[1])
    assert row["contacted_at"] == "2026-11-20T07:00:00Z"


def test_micros_are_warned_of_and_divided(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    path = put(desk, "micros/direct_api.tsv")
    mapping = (CASES / "micros/mapping.txt").read_text("utf-8")
    with caplog.at_level("WARNING", "multichannel"):
        desk.delivered(desk.source(desk.mapping(mapping), path), CASE_DAYS[1])
    assert "look like millionths" in caplog.text and "`divide_by: 1000000`" in caplog.text
    caplog.clear()

    divided = mapping.replace('{from: Cost, decimal: "."}', "{from: Cost, divide_by: 1000000}")
    for chosen in (desk.mapping(divided), "yandex_direct_api_costs.yml"):
        rows = desk.delivered(desk.source(chosen, path), CASE_DAYS[1])
        assert [row.get("amount") for row in rows] == ["345.67", None]
        assert rows[1]["unparsable_line"] == "Total rows: 1"
        # What it was before is kept, as `amount` says it in another way.
        assert rows[0]["Cost"] == "345670000"
    assert "look like millionths" not in caplog.text
    assert "1 row says no day that can be read, in row 2 of direct_api.tsv: delivered, to be rejected" in caplog.text


def test_backslash_escapes_are_undone(desk: Desk) -> None:
    named = with_columns(CALLS, client_name="name")
    mapping = desk.mapping(named | {"file": {"escape": "\\"}})
    php = desk.delivered(desk.source(mapping, put(desk, "backslash-escapes/php.csv")), CASE_DAYS[1])
    assert [(row["contact_id"], row["client_name"]) for row in php] == [
        ("files:exports:1", 'ООО "Ромашка", Москва'),
        ("files:exports:2", "ok"),
    ]
    for quote in ("", '"'):
        file = {"escape": "\\", "delimiter": "\t", "quote": quote}
        mapping = desk.mapping(with_columns(named, crm_client_id="crm") | {"file": file})
        (mysql,) = desk.delivered(desk.source(mapping, put(desk, "backslash-escapes/mysql.tsv")), CASE_DAYS[1])
        assert mysql["client_name"] == 'ООО "Ромашка"' and "crm_client_id" not in mysql


@pytest.mark.parametrize("skip_lines", [None, 0, 2, 3, 50])
def test_the_header_is_found_below_any_title(desk: Desk, skip_lines: int | None) -> None:
    for name in ("a.csv", "b.csv"):
        put(desk, f"title-lines-that-vary/{name}")
    columns = {"cost_date": "Day", "campaign": "Campaign", "currency": "Currency", "amount": "Cost", "clicks": []}
    mapping = with_columns(COSTS, **{name: column for name, column in columns.items() if column})
    del mapping["columns"]["clicks"]
    file = {} if skip_lines is None else {"file": {"skip_lines": skip_lines}}
    rows = desk.delivered(desk.source(desk.mapping(mapping | file)), *CASE_DAYS)
    assert [(row["campaign"], row["amount"], row["export_row"]) for row in rows] == [
        ("a", "5.00", "1"),
        ("b", "7.00", "1"),
    ]


def test_what_a_file_is_instead_is_said(desk: Desk) -> None:
    vk = desk.failure(desk.source("vk_ads_costs.yml", put(desk, "messages/vk.csv")))
    assert (
        "separated by semicolons, not by commas: copy sources/mappings/vk_ads_costs.yml to mappings/vk_ads_costs.yml, "
        'write `delimiter: ";"` under `file` in the copy, and set `mapping: mappings/vk_ads_costs.yml` in sources.yml'
    ) in vk
    bitrix = desk.failure(desk.source("vk_ads_costs.yml", put(desk, "messages/bitrix.xls")))
    assert "bitrix.xls is an HTML table, not CSV" in bitrix and "save it as CSV or .xlsx" in bitrix
    assert "\n" not in vk + bitrix


def test_what_calltouch_doesnt_know_is_no_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, CalltouchStandIn.token)
    visit = json.loads((CASES / "calltouch-not-filled/visit.json").read_text("utf-8"))
    with CalltouchStandIn() as calltouch:
        calltouch.calls = [calltouch_call(1, datetime(2026, 11, 20, 7, tzinfo=UTC), mapVisits=[visit])]
        fetches = Fetches(tmp_path)
        results = fetches.fetch(source_for(calltouch), CASE_DAYS[1])
    assert {fetched.message for fetched in results.values()} == {None}
    (row,) = fetches.rows("visits", CASE_DAYS[1])
    assert (row["utm_source"], row["utm_medium"]) == ("yandex", "organic")
    assert not {"utm_campaign", "utm_content", "utm_term"} & set(row)


# Times


SEPARATORS = (".", "/", "-", " ", "")
ORDERS = (("%d", "%m", "%Y"), ("%m", "%d", "%Y"), ("%Y", "%m", "%d"), ("%Y", "%d", "%m"))
CLOCKS = (
    ("", ""),
    (" %H:%M", " 10:05"),
    ("T%H:%M:%SZ", "T10:05:20Z"),
    (" %H:%M %z", " 10:05 +03:00"),
    (" UTC", " UTC"),
)


def test_no_format_takes_a_year_of_other_than_four_digits(connection: duckdb.DuckDBPyConnection) -> None:
    """Every order, separator and time of day; one query."""
    years = {"2026": True, "26": False, "6": False, "026": False, "202": False, "20261": False, "0026": False}
    wrong = []
    for order, separator, (clock, clocked), (year, is_read) in itertools.product(
        ORDERS, SEPARATORS, CLOCKS, years.items()
    ):
        if not separator and not is_read:
            continue
        written = separator.join({"%d": "20", "%m": "11", "%Y": year}[part] for part in order) + clocked
        wanted = separator.join(order) + clock
        row = connection.execute(
            f"select year({_strptime('written', wanted)}) from (select ? as written)", [written]
        ).fetchone()
        if row != (2026 if is_read else None,):
            wrong.append((wanted, written, row))
    assert not wrong


@pytest.mark.parametrize("short_first", [True, False])
def test_a_later_format_may_take_short_years(desk: Desk, short_first: bool) -> None:
    desk.write(
        "a.csv", "Дата,Кампания,Расход,Клики\n20.11.25,a,1,1\n20.11.2025,b,2,1\n21.11.2025,c,3,1\n21.11.25,d,4,1\n"
    )
    formats = ["%d.%m.%Y", "%d.%m.%y"]
    mapping = with_columns(COSTS, cost_date={"from": "Дата", "format": formats[::-1] if short_first else formats})
    rows = desk.delivered(desk.source(desk.mapping(mapping)), DAY, NEXT_DAY)
    assert {(row["campaign"], row["cost_date"]) for row in rows} == {
        *(("a", str(DAY)), ("b", str(DAY))),
        *(("c", str(NEXT_DAY)), ("d", str(NEXT_DAY))),
    }


@pytest.mark.parametrize(
    ("written", "is_one"),
    [
        *(
            (f"%Y-%m-%d %H:%M:%S{ending}", True)
            for ending in ("Z", " UTC", "UTC", " utc", " (UTC)", " GMT", "+00:00", " +0000")
        ),
        *((f"%Y-%m-%d %H:%M:%S{ending}", False) for ending in ("", " BUTC", " UTCX", " +03:00", " MSK", "%Z")),
        ("UTC %Y-%m-%d %H:%M", False),
    ],
)
def test_formats_that_are_utc(written: str, is_one: bool) -> None:
    assert is_utc(written) == is_one


def test_a_time_without_a_year_is_no_format() -> None:
    with pytest.raises(ValueError, match="says no year"):
        Mapping.model_validate(with_columns(CALLS, contacted_at={"from": "ts", "format": "%d.%m %H:%M"}))


def test_rows_whose_day_cant_be_read_are_rejected_with_a_day_that_is_asked_for(desk: Desk) -> None:
    """Whatever stands before them: they would be counted as of other days, and be gone."""
    lines = ["19.11.2025,x", "20.11,u1", "20.11.2025,a", "25-11-20,u2", '"b"c,u3', "21.11.2025,y", "?,u4"]
    desk.write("a.csv", "Дата,Кампания,Расход,Клики\n" + "".join(f"{line},1,1\n" for line in lines))
    source = desk.source(desk.mapping(COSTS))
    (fetched,) = desk.fetch(source)
    assert sorted(row["export_row"] or "" for row in desk.rows(source)) == ["2", "3", "4", "5", "7"]
    assert fetched.counts == {"of other days": 2}


def test_a_day_of_which_nothing_can_be_read_keeps_what_it_held(desk: Desk) -> None:
    head = "Дата,Кампания,Расход,Клики\n"
    desk.write("a.csv", head + "20.11.2025,a,1,1\n21.11.2025,b,2,1\n")
    source = desk.source(desk.mapping(COSTS))
    desk.delivered(source, DAY, NEXT_DAY)

    desk.write("a.csv", head + "20.11.2025,a,3,1\n21.11.,b,2,1\n")
    first, second = desk.fetch(source, DAY, NEXT_DAY)

    assert (first.outcome, second.outcome) == ("delivered", "failed")
    assert [row.get("amount") for row in desk.rows(source, NEXT_DAY)] == ["2"]
    assert len(desk.rows(source)) == 2
    assert "like '21.11.', in row 2 of a.csv: what was delivered before stays" in (second.message or "")

    # Without what can't be read, the file says that there was nothing.
    desk.write("a.csv", head + "20.11.2025,a,3,1\n")
    assert [(fetched.outcome, fetched.row_count) for fetched in desk.fetch(source, DAY, NEXT_DAY)][1] == (
        "delivered",
        0,
    )


@pytest.mark.parametrize(
    ("column", "spoilt", "shown"),
    [
        ("cost_date", "20.11.", ("«Дата»", "'20.11.'", "%d.%m.%Y, or %d.%m.%y, or iso (2026-11-20)")),
        ("amount", "1.5.0", ("«Расход»", "'1.5.0'", "a number like 1 234,50")),
        ("currency", "рубли", ("«Валюта»", "'рубли'", "three letters")),
        ("source", "-", ("«Откуда»", "no value of source in any row")),
    ],
)
def test_a_file_without_a_readable_value_of_a_required_column_fails(
    desk: Desk, column: str, spoilt: str, shown: tuple[str, ...]
) -> None:
    good = {"cost_date": "20.11.2025", "amount": "1,5", "currency": "rub", "source": "vk"}
    mapping = desk.mapping(with_columns(COSTS, currency="Валюта", source="Откуда"))
    head = "Дата;Расход;Валюта;Откуда;Кампания;Клики\n"
    spoilt_line = ";".join((good | {column: spoilt}).values()) + ";a;1\n"
    text = yaml_with_delimiter(mapping)
    desk.write("a.csv", head + ";".join(good.values()) + ";a;1\n" + spoilt_line)
    desk.delivered(desk.source(text))
    # Another file is no help: it isn't known what the spoilt one replaces.
    desk.write("b.csv", head + spoilt_line + spoilt_line)
    results = desk.fetch(desk.source(text))
    message = results[0].message or ""
    assert results[0].outcome == "failed" and all(part in message for part in ("b.csv", "mapping.yml", *shown)), message


def yaml_with_delimiter(mapping: str) -> str:
    file = Path(mapping)
    file.write_text(file.read_text("utf-8") + 'file: {delimiter: ";"}\n', "utf-8")
    return mapping


@pytest.mark.parametrize(
    ("settings", "is_failure"),
    [
        ({"only": {"Кампания": "b"}}, True),
        ({"leave_out": {"Кампания": "a"}}, True),
        ({"only_with": ["Пусто"]}, True),
        ({}, False),
    ],
)
def test_a_fetch_that_maps_nothing_fails(desk: Desk, settings: dict[str, Any], is_failure: bool) -> None:
    desk.write("a.csv", "Дата,Кампания,Расход,Клики,Пусто\n20.11.2025,a,1,1,\n")
    results = desk.fetch(desk.source(desk.mapping(COSTS | settings)))
    assert (results[0].outcome == "failed") == is_failure
    assert not is_failure or f"takes nothing of 1 row: `{next(iter(settings))}` leaves all out" in (
        results[0].message or ""
    )


def test_a_day_may_have_nothing_but_a_total(desk: Desk) -> None:
    desk.write("2025-11-20.csv", "Дата,Кампания,Расход,Клики\nИтого,,0,0\n")
    mapping = desk.mapping(COSTS | {"leave_out": {"Дата": "Итого"}})
    assert desk.delivered(desk.source(mapping, "{day}.csv")) == []


# Days


def test_without_days_a_fetch_takes_those_that_the_files_hold(desk: Desk) -> None:
    source = desk.source(desk.mapping(COSTS))
    head = "Дата,Кампания,Расход,Клики\n"
    desk.write("a.csv", head + "20.11.2025,a,1,1\n03.02.2024,a,1,1\n?,a,1,1\n")
    desk.write("b.csv", head + "19.11.2025,a,1,1\n20.11.2025,a,1,1\n31.12.2099,a,1,1\n31.12.2001,a,1,1\n")
    warehouse = desk.warehouse
    expected = (date(2024, 2, 3), date(2025, 11, 19), DAY)
    assert held_days(source, desk.rules, warehouse) == expected
    # A run by days takes what is due or was never delivered.
    desk.fetch(source, DAY)
    assert due_days_of_run(source, desk.rules, desk.landing, warehouse) == expected[:2]

    for name in ("2025-11-20/x.csv", "2025-11-22/x.csv", "2025-13-01/x.csv", "2025-11-23/x.csv.part"):
        desk.write(name, head + "20.11.2025,a,1,1\n")
    by_day = desk.source(desk.mapping(COSTS), "{day}/*.csv*")
    assert held_days(by_day, desk.rules, warehouse) == (DAY, date(2025, 11, 22))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "no row says a day"),
        ("20.11.,a,1,1\n", "a.csv has no row whose cost_date"),
        ("20.11.1999,a,1,1\n", "`first_load_day`"),
    ],
)
def test_files_without_a_day_are_no_success(desk: Desk, rows: str, said: str) -> None:
    desk.write("a.csv", "Дата,Кампания,Расход,Клики\n" + rows)
    with pytest.raises(SourceError, match=said):
        held_days(desk.source(desk.mapping(COSTS)), desk.rules, desk.warehouse)


def test_fetch_without_days_by_the_command(tmp_path: Path) -> None:
    site = Site(tmp_path)
    export = tmp_path / "direct.csv"
    shutil.copy(CASES / "two-digit-years/direct.csv", export)
    sources = tmp_path / "sources.yml"
    sources.write_text(f"direct: {{kind: files, path: {export}, mapping: yandex_direct_costs.yml}}\n", "utf-8")
    fetched = site.run("fetch", SOURCES_FILE=str(sources), COLUMNS="300")
    assert fetched.exit_code == 0 and fetched.said.count("delivered") == 2, fetched.said
    shutil.copy(CASES / "two-digit-years/direct_short.csv", export)
    failed = site.run("fetch", SOURCES_FILE=str(sources), COLUMNS="300")
    assert failed.exit_code == 1 and "has no row whose cost_date can be read" in " ".join(failed.progress.split())


# Numbers


def test_numbers_are_divided_exactly(connection: duckdb.DuckDBPyConnection) -> None:
    chance = random.Random(1)
    numbers = ["0", "-0", "+5", "1", "999999", "1000000", "345670000", "12.5", "9" * 40]
    numbers += [str(chance.randint(-(10**18), 10**18)) for _ in range(200)]
    for places in (1, 2, 6, 12):
        found = connection.execute(
            f"select n, {_divided('n', places)} from (select unnest(?) as n)", [numbers]
        ).fetchall()
        for number, divided in found:
            assert Decimal(divided) == Decimal(f"{number}E-{places}"), (number, divided)
            assert "." not in divided or not divided.endswith("0")
    assert connection.execute(
        f"select {_divided('n', 6)} from (values ('1 000'), ('x'), (null)) as t (n)"
    ).fetchall() == [
        ("1 000",),
        ("x",),
        (None,),
    ]


@pytest.mark.parametrize("divisor", [0, 1, -10, 3, 1001, 20])
def test_only_powers_of_ten_divide_without_loss(divisor: int) -> None:
    with pytest.raises(ValueError, match="must be 10, 100, 1000"):
        Mapping.model_validate(with_columns(COSTS, amount={"from": "Расход", "divide_by": divisor}))
    with pytest.raises(ValueError, match="campaign is no number"):
        Mapping.model_validate(with_columns(COSTS, campaign={"from": "Кампания", "divide_by": 10}))


@pytest.mark.parametrize(
    ("rows", "is_warned"),
    [
        (("345670000;12", "1230000;1"), True),
        (("5010000;", "12340000;"), True),  # no clicks are known
        (("345,67;12", "1,23;1"), False),
        (("250000;12", "90000;3"), False),  # dear, and in roubles
        (("1500000;", "12345;"), False),
        (("50000;", "20000;"), False),
        (("1500000;1", "12345;100"), False),
        (("0;0",), False),
        (("500000,5;1",), False),  # millionths are whole
    ],
)
def test_costs_that_look_like_micros_are_warned_of(
    desk: Desk, caplog: pytest.LogCaptureFixture, rows: tuple[str, ...], is_warned: bool
) -> None:
    desk.write("a.csv", "Дата;Кампания;Расход;Клики\n" + "".join(f"20.11.2025;a;{row}\n" for row in rows))
    with caplog.at_level("WARNING", "multichannel"):
        desk.delivered(desk.source(yaml_with_delimiter(desk.mapping(COSTS))))
    assert ("look like millionths" in caplog.text) == is_warned, caplog.text


# Headers


NAMES = ("Дата", "Кампания", "Расход", "Клики")


def written(rows: list[list[str]], delimiter: str, quoting: Any, line_end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end).writerows(rows)
    return text.getvalue()


def finder(delimiter: str, **file: Any) -> HeaderFinder:
    return HeaderFinder(Mapping.model_validate(COSTS | {"file": {"delimiter": delimiter} | file}))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("delimiter", list(DELIMITERS))
def test_a_header_is_found_or_its_delimiter_is_said(delimiter: str, quoting: Any, line_end: str) -> None:
    """Each delimiter where each is expected, below titles of every number of lines, with odd quotes in them."""
    titles = ["Отчёт за ноябрь", 'Клиент: "Окна', "Дата;1", "Дата,Кампания", "", "Расход\t1"]
    table = written([list(NAMES), ["20.11.2025", "a", "1", "1"]], delimiter, quoting, line_end)
    for count in range(len(titles) + 1):
        text = "".join(title + line_end for title in titles[:count]) + table
        for expected in DELIMITERS:
            for skip_lines in (0, count, 99):
                found = finder(expected, skip_lines=skip_lines)
                offset = found.offset(text, line_end[-1])
                if expected == delimiter:
                    assert text[offset:] == table and found.hint is None
                else:
                    shown = "\\t" if delimiter == "\t" else delimiter
                    assert found.hint and f'write `delimiter: "{shown}"` under `file` in' in found.hint
                    assert f"by {DELIMITERS[delimiter]}, not by {DELIMITERS[expected]}" in found.hint


def test_a_header_in_quotes_where_none_are_expected_is_said() -> None:
    found = finder(";", quote="")
    found.offset(written([list(NAMES)], ";", csv.QUOTE_ALL), "\n")
    assert found.hint == "Its names stand in quotes: write `quote: '\"'` under `file` in the mapping"


def test_a_header_over_several_lines_is_found() -> None:
    mapping = with_columns(COSTS, amount={"from": "Расход с НДС", "decimal": ","})
    text = 'Отчёт\n"Дата","Кампания","Расход\nс НДС",Клики\n'
    assert HeaderFinder(Mapping.model_validate(mapping)).offset(text, "\n") == len("Отчёт\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<html><body><table>", "an HTML table"),
        ("\ufeff\r\n <!DOCTYPE html>", "an HTML table"),
        ("<TABLE border=1><tr><td>Дата", "an HTML table"),
        (
            '<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n<Workbook xmlns="urn:',
            "an XML spreadsheet",
        ),
        ("MIME-Version: 1.0\nContent-Type: multipart/related", "a saved web page"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_pages_are_no_csv(tmp_path: Path, content: str, said: str, encoding: str) -> None:
    file = tmp_path / "a.xls"
    file.write_bytes(content.encode(encoding))
    with pytest.raises(UnreadableFileError, match=f"is {said}, not CSV"):
        write_plain(file, tmp_path / "plain", finder(","))
    file.write_bytes("<не указано>;Дата;Кампания;Расход\n".encode())
    write_plain(file, tmp_path / "plain", finder(";"))


# Escapes


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_whatever_is_escaped_arrives(desk: Desk, delimiter: str, quote: str) -> None:
    """As MySQL writes it, where a quote, a delimiter, a line end and the escape itself stand in a text."""
    chance = random.Random(f"{delimiter}{quote}")
    pieces = ["a", "ё", '"', "\\", delimiter, "\n", "N", "n", "'", " ", "\\\\", '""']
    values = ["".join(chance.choices(pieces, k=chance.randint(1, 6))) for _ in range(200)]
    values = [f"x{value}x" for value in values]

    def field(value: str) -> str:
        for character in ("\\", '"', delimiter, "\n"):
            value = value.replace(character, f"\\{character}")
        return quote + value + quote

    lines = [delimiter.join([str(place), "2025-11-20 10:00", "1", field(value)]) for place, value in enumerate(values)]
    lines.append(delimiter.join(["200", "2025-11-20 10:00", "1", "\\N"]))
    desk.write("a.csv", delimiter.join(["id", "ts", "phone", "name"]) + "\n" + "\n".join(lines) + "\n")
    file = {"escape": "\\", "delimiter": delimiter, "quote": quote}
    rows = desk.delivered(
        desk.source(desk.mapping(with_columns(CALLS, client_name="name") | {"file": file}), keep_ids=True)
    )
    assert {row["contact_id"]: row.get("client_name") for row in rows} == {
        **{str(place): value for place, value in enumerate(values)},
        "200": None,
    }


def test_an_escape_may_be_cut_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.export_text.CHUNK_BYTES", 1)
    file, plain = tmp_path / "a.csv", tmp_path / "plain"
    file.write_text('a\\"b\\\\"c\\', "utf-8")
    found = HeaderFinder(Mapping.model_validate(CALLS | {"file": {"escape": "\\"}}))
    write_plain(file, plain, found)
    assert Escapes(found.how).shown(plain.read_text("utf-8")) == 'a"b\\"c\\'


@pytest.mark.parametrize(("quote", "meant"), [("", "C:\new\tab \\d"), ('"', "C:\\new\\tab \\d")])
def test_letters_are_escaped_only_where_nothing_is_quoted(quote: str, meant: str) -> None:
    escapes = Escapes(FileFormat(escape="\\", quote=quote))
    assert escapes.shown(escapes.hide(r"C:\new\tab \d")) == meant


@pytest.mark.parametrize("escape", ["x", "7", ",", '"', " ", "\n"])
def test_what_is_no_escape_is_refused(escape: str) -> None:
    with pytest.raises(ValueError, match="`escape` is a character"):
        FileFormat(escape=escape)


# Words for no value


def test_texts_have_the_words_for_no_value_that_identifiers_have(desk: Desk) -> None:
    """Every text column and word; numbers, booleans and money keep theirs."""
    contacts = {column.name: column for column in delivered_tables()["contacts"].columns}
    texts = [
        name
        for name, column in contacts.items()
        if column.type == "text" and name not in ("contact_id", "delivered_by")
    ]
    names = ["id", "ts", *texts, "n", "w", "u"]
    words = sorted(placeholders())
    rows = [
        [f"x{place}", "2025-11-20 10:00", *([word.upper()] * len(texts)), "0", "0", "нет"]
        for place, word in enumerate(words)
    ]
    desk.write("a.csv", written([names, *rows], ",", csv.QUOTE_ALL))
    columns = {name: name for name in texts} | {"duration": "n", "value": "w", "is_unique": "u"}
    mapping = with_columns(CALLS, **columns)
    delivered = desk.delivered(desk.source(desk.mapping(mapping)))
    assert len(delivered) == len(words)
    for row in delivered:
        assert {name: row[name] for name in texts if name in row} == {"widget_id": "exports"}
        assert (row["duration"], row["value"], row["is_unique"]) == ("0", "0", "нет")


def test_words_that_are_tags_stay_tags() -> None:
    touches = {column.name: column for column in delivered_tables()["touches"].columns}
    assert "(none)" in placeholders() and not {"(none)", "email"} & no_value_of(touches["utm_medium"])
    assert "(none)" in no_value_of(touches["yandex_client_id"]) and "<не указано>" in no_value_of(touches["utm_medium"])
    assert "0" not in no_value_of(touches["touch_id"]) and "-" in no_value_of(touches["touch_id"])


def test_a_field_without_a_value_gives_way_to_the_next_one(desk: Desk) -> None:
    desk.write("a.csv", "id,ts,phone,one,two\n1,2025-11-20 10:00,1,(не указано),Москва\n2,2025-11-20 10:00,1,нет,нет\n")
    mapping = with_columns(CALLS, location=["one", "two"], final_group={"from": "one", "words": {"нет": "никакая"}})
    rows = desk.delivered(desk.source(desk.mapping(mapping)))
    assert [(row.get("location"), row.get("final_group")) for row in rows] == [("Москва", None), (None, "никакая")]


# Excel files


HEADER = ["id", "ts", "phone", "Имя", "Сумма", "Длительность", "Повтор"]
SHEET = with_columns(
    CALLS,
    contacted_at={"from": "ts", "format": "%d.%m.%Y %H:%M:%S"},
    client_name="Имя",
    value={"from": "Сумма", "decimal": ","},
    duration={"from": "Длительность", "format": "duration"},
    is_unique="Повтор",
)


def openpyxl_file(file: Path, sheets: dict[str, list[list[Any]]], merged: str | None = None) -> None:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for title, rows in sheets.items():
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
        if merged:
            sheet.merge_cells(merged)
    workbook.save(file)


def xlsxwriter_file(file: Path, sheets: dict[str, list[list[Any]]], merged: str | None = None) -> None:
    with xlsxwriter.Workbook(str(file), {"default_date_format": "dd.mm.yyyy hh:mm:ss"}) as workbook:
        length = workbook.add_format({"num_format": "[h]:mm:ss"})
        for title, rows in sheets.items():
            sheet = workbook.add_worksheet(title)
            for place, row in enumerate(rows):
                for number, cell in enumerate(row):
                    sheet.write(place, number, cell, length if isinstance(cell, timedelta) else None)


WRITERS = pytest.mark.parametrize("write", [openpyxl_file, xlsxwriter_file])


@WRITERS
def test_a_sheet_delivers_what_a_csv_of_the_same_rows_does(tmp_path: Path, write: Any) -> None:
    chance = random.Random(7)
    cells, lines = [], []
    for number in range(120):
        moment = datetime(2025, 11, 20) + timedelta(seconds=chance.choice([0, chance.randrange(86400)]))
        phone = chance.choice([79160000000 + number, f"8 916 {number}"])
        name = chance.choice([None, "Ёлкина", " a;b ", "нет", 'ООО "Р"'])
        amount = chance.choice([None, chance.randrange(10**7) / 1000, chance.randrange(10**6), 1.234, "1 234,5"])
        length = chance.choice([None, timedelta(seconds=chance.randrange(200_000))])
        flag = chance.choice([True, False, None])
        cells.append([number, moment, phone, name, amount, length, flag])
        seconds = int(length.total_seconds()) if length is not None else 0
        shown = "" if length is None else f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        money = (
            amount
            if isinstance(amount, str)
            else ""
            if amount is None
            else f"{amount:.10f}".rstrip("0").rstrip(".").replace(".", ",")
        )
        lines.append(
            [
                str(number),
                f"{moment:%d.%m.%Y %H:%M:%S}",
                str(phone),
                name or "",
                money,
                shown,
                "" if flag is None else str(flag).lower(),
            ]
        )
    deliveries = {}
    for kind in ("csv", "xlsx"):
        desk = Desk(tmp_path / kind)
        if kind == "csv":
            desk.write("a.csv", written([HEADER, *lines], ";", csv.QUOTE_MINIMAL))
        else:
            write(
                desk.exports / "a.xlsx",
                {"Отчёт": [["За ноябрь"], [], HEADER, *cells[:60], [], [None, " "], *cells[60:]]},
                "A1:G1",
            )
        mapping = desk.mapping(SHEET | {"file": {"delimiter": ";"}})
        rows = desk.delivered(desk.source(mapping, "a.*"))
        deliveries[kind] = [
            {name: row.get(name) and str(row[name]) for name in (*SHEET["columns"], "export_row")} for row in rows
        ]
    for row in (row for rows in deliveries.values() for row in rows if row["value"]):
        row["value"] = str(Decimal(row["value"]).normalize())
    assert deliveries["csv"] == deliveries["xlsx"]


@WRITERS
def test_days_and_times_of_day_are_joined(desk: Desk, write: Any) -> None:
    """As a table has them: a day in one column, a time of day in another."""
    rows = [
        ["Дата", "Время", "id"],
        [date(2025, 11, 20), time(10, 0, 5), 1],
        [date(2025, 11, 20), time(0), 2],
        ["20.11.2025", "11:00:00", 3],
    ]
    write(desk.exports / "a.xlsx", {"L": rows})
    columns = {
        "touch_id": "id",
        "touched_at": {"join": ["Дата", "Время"], "separator": " ", "format": "%d.%m.%Y %H:%M:%S"},
    }
    found = desk.delivered(desk.source(desk.mapping({"table": "touches", "columns": columns}), "a.xlsx"))
    assert [row["touched_at"] for row in found] == [
        "2025-11-20T07:00:05Z",
        "2025-11-19T21:00:00Z",
        "2025-11-20T08:00:00Z",
    ]


def test_the_sheet_is_found_or_asked_for(desk: Desk) -> None:
    rows = [HEADER[:3], ["1", "20.11.2025 10:00:00", "79160000001"]]
    mapping = CALLS | {"columns": CALLS["columns"] | {"contacted_at": {"from": "ts", "format": "%d.%m.%Y %H:%M:%S"}}}
    openpyxl_file(desk.exports / "a.xlsx", {"Обложка": [["Отчёт"], ["x"]], "Пусто": [], "Данные": rows})
    assert len(desk.delivered(desk.source(desk.mapping(mapping), "a.xlsx"))) == 1
    openpyxl_file(desk.exports / "b.xlsx", {"Октябрь": rows, "Ноябрь": [*rows, ["2", "20.11.2025 10:00:00", "1"]]})
    results = desk.fetch(desk.source(desk.mapping(mapping), "b.xlsx"))
    assert "2 sheets, «Октябрь», «Ноябрь»: write in the mapping's `file` which `sheet` is meant" in (
        results[0].message or ""
    )
    named = desk.mapping(mapping | {"file": {"sheet": "Ноябрь"}})
    assert len(desk.delivered(desk.source(named, "b.xlsx"))) == 2
    results = desk.fetch(desk.source(desk.mapping(mapping | {"file": {"sheet": "Май"}}), "b.xlsx"))
    assert "has no sheet «Май», but «Октябрь», «Ноябрь»" in (results[0].message or "")
    openpyxl_file(desk.exports / "c.xlsx", {"L": [["id", "when"], ["1", "2"]]})
    results = desk.fetch(desk.source(desk.mapping(mapping), "c.xlsx"))
    assert "has no column «ts»; its columns are «id», «when»" in (results[0].message or "")


def test_identifiers_that_lost_digits_are_refused(desk: Desk) -> None:
    mapping = desk.mapping(with_columns(CALLS, google_client_id="ga"))
    for cell, is_good in (
        ("12345678901234567890", True),
        (9007199254740992, True),
        (17001234567890123456, False),
        (1234567890.1600000001, False),
    ):
        openpyxl_file(
            desk.exports / "a.xlsx", {"L": [["id", "ts", "phone", "ga"], [1, datetime(2025, 11, 20, 10), 2, cell]]}
        )
        (fetched,) = desk.fetch(desk.source(mapping, "a.xlsx"))
        assert (fetched.outcome != "failed") == is_good, (cell, fetched)
        assert is_good or "«ga» with more digits than a spreadsheet keeps" in (fetched.message or "")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (None, "is an Excel or ZIP file, and damaged"),
        (["a.csv"], "no .xlsx: unpack it"),
        (["xl/workbook.xml"], "and damaged"),
    ],
)
def test_what_only_looks_like_a_workbook_is_said(desk: Desk, members: list[str] | None, said: str) -> None:
    import zipfile

    file = desk.exports / "a.xlsx"
    if members is None:
        file.write_bytes(b"PK\x03\x04" + b"x" * 100)
    else:
        with zipfile.ZipFile(file, "w") as packed:
            for member in members:
                packed.writestr(member, "<x>")
    assert said in desk.failure(desk.source(desk.mapping(CALLS), "a.xlsx"))


def test_a_workbook_that_unpacks_to_too_much_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.excel.MOST_UNPACKED_BYTES", 1000)
    openpyxl_file(desk.exports / "a.xlsx", {"L": [["id", "ts", "phone"]]})
    assert "GiB once it is unpacked" in desk.failure(desk.source(desk.mapping(CALLS), "a.xlsx"))


def test_a_mapping_says_only_what_it_may(tmp_path: Path) -> None:
    file = tmp_path / "m.yml"
    file.write_text("table: costs\ncolumns: {}\nfile: {sheet: ''}\n", "utf-8")
    with pytest.raises(SettingsError, match=r"file\.sheet: must not be empty"):
        Mapping.read(file)
