"""Exports by mapping files: from bytes that spreadsheets and services write to deliveries and to the marts."""

import csv
import io
import os
import random
from collections import Counter
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml
from exports_desk import CLICKS, CRM, DAY, DIRECT, MANGO, NEXT_DAY, VK, Desk, Row, mapping_file
from processes import Site, python
from test_bad_input import WHITE_SPACE

from pipeline.settings import SettingsError
from sources.export_text import write_plain
from sources.files import Files
from sources.mapping import SHIPPED, Mapping

TOUCHES = {"table": "touches", "columns": {"touch_id": "id", "touched_at": "at"}}
COSTS = {
    "table": "costs",
    "columns": {
        "cost_date": "day",
        "source": {"constant": "vk"},
        "medium": {"constant": "cpc"},
        "campaign": "campaign",
        "amount": {"from": "amount", "decimal": ","},
        "currency": {"constant": "RUB"},
    },
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def by(column: str, rows: list[Row], *names: str) -> dict[str | None, tuple[str | None, ...]]:
    return {row.get(column): tuple(row.get(name) for name in names) for row in rows}


# Whole exports


def test_exports_of_every_shape_are_published(tmp_path: Path) -> None:
    """By the commands alone, from files to marts."""
    desk, site = Desk(tmp_path), Site(tmp_path)
    desk.write("mango.csv", MANGO, "windows-1251")
    desk.write("2025-11-20/direct.csv", DIRECT)
    desk.write("vk.csv", VK)
    desk.write("crm.txt", CRM, "utf-16")
    desk.write("clicks.csv", CLICKS)
    sources = tmp_path / "sources.yml"
    sources.write_text(
        f"""
        mango: {{kind: files, path: {desk.exports}/mango.csv, mapping: mango_calls_export.yml, site: okna, source: mango, account: 12345}}
        crm: {{kind: files, path: {desk.exports}/*.txt, mapping: {tmp_path}/crm_leads.yml, site: okna}}
        clicks: {{kind: files, path: {desk.exports}/clicks.csv, mapping: {tmp_path}/clicks.yml, site: okna}}
        direct: {{kind: files, path: "{desk.exports}/*/direct.csv", mapping: yandex_direct_costs.yml}}
        vk: {{kind: files, path: {desk.exports}/vk.csv, mapping: vk_ads_costs.yml}}
        """,
        "utf-8",
    )
    environment = {"SOURCES_FILE": str(sources), "COLUMNS": "300"}
    days = ("--from", str(DAY), "--to", str(NEXT_DAY))

    fetched = site.run("fetch", *days, **environment)
    assert fetched.exit_code == 0, fetched.progress
    assert fetched.table_row("crm")[:5] == ["crm", "rows", "2025-11-20", "delivered", "4"]
    assert "crm, rows: not delivered: 1 of another kind" in " ".join(fetched.progress.split())
    again = site.run("fetch", *days, **environment)
    assert " delivered " not in again.said and again.said.count(" unchanged ") == 10
    loaded = site.load("-v", *days)

    assert "rejected: contacts, unknown_contact_type: 1" in loaded.said
    assert site.published(
        """
        select contact_id, strftime(contacted_at, '%d %H:%M:%S'), contact_type, phone, value::varchar, duration, touch_chain
        from journal order by all
        """
    ) == [
        ("files:crm:lead-10", "20 09:00:00", "callback", None, "12.50", None, None),
        ("files:crm:lead-7", "20 06:30:00", "form", None, "1234.56", None, None),
        ("files:crm:lead-8", "20 08:00:00", "call", "+79161234567", "10.50", None, "yandex / cpc"),
        ("mango:12345:1001", "20 07:00:05", "call", "+79161234567", None, 83, "yandex / cpc"),
        ("mango:12345:1002", "20 07:30:00", "callback", "+79161234568", None, None, None),
        ("mango:12345:1003", "20 08:00:00", "form", None, None, None, None),
        (
            "mango:12345:21.11.2025|09:00|9161234567|ЗВОНОК",
            "21 06:00:00",
            "call",
            "+79161234567",
            None,
            75,
            "yandex / cpc",
        ),
    ]
    assert site.published(
        "select strftime(cost_date, '%d'), source, campaign, amount::varchar, impressions, clicks from channel_costs order by all"
    ) == [
        ("20", "vk", "двери", "5.00", 10, 1),
        ("20", "vk", "окна", "150.25", 1500, 3),
        ("20", "yandex", "dveri", "0.00", 17, None),
        ("20", "yandex", "okna", "1234.50", 1234, 56),
        ("21", "yandex", "okna", "12345.60", 1000234, 7),
    ]
    assert site.published("select sum(spend)::varchar from channel_performance where model = 'linear'") == [
        ("13735.35",)
    ]
    # Where the export says it, and what it says there.
    rejected = site.run("rejected", "--out", str(tmp_path / "rejected.csv"), **environment)
    assert rejected.exit_code == 0
    with open(tmp_path / "rejected.csv", encoding="utf-8", newline="") as content:
        found = {(row["reason"], row["text"]) for row in csv.DictReader(content)}
    for reason, *shown in (
        ("missing_contact_id", "mango.csv", '"export_row":"7"', "8916"),
        ("unreadable_contacted_at", "mango.csv", '"export_row":"6"', "99.11.2025"),
        ("unreadable_contacted_at", "crm.txt", '"export_row":"5"', "вчера"),
        ("unreadable_touched_at", "clicks.csv", '"export_row":"5"', "999999999999999"),
    ):
        assert any(reason == told and all(part in text for part in shown) for told, text in found), (reason, found)
    assert len(found) == 5


def test_a_list_of_contacts_in_windows_1251(desk: Desk) -> None:
    desk.write("a.csv", MANGO, "windows-1251")
    source = desk.source("mango_calls_export.yml", site="okna")
    rows = desk.delivered(source, DAY, NEXT_DAY)

    assert rows[1] == {
        "contact_id": "files:exports:1002",
        "contacted_at": "2025-11-20T07:30:00Z",
        "contact_type": "callback",
        "phone": "+7 916 1234568",
        "client_name": "Ёлкина Мария",
        "is_unique": "false",
        "widget_id": "okna",
        "delivered_by": "files:exports",
        "export_file": "a.csv",
        "export_row": "2",
        "ID обращения": "1002",
        "Дата": "20.11.2025",
        "Время": "10:30:00",
        "Тип обращения": "Заказ обратного звонка",
        "Номер клиента": "+7 916 1234568",
        "Повторное": "Да",
        "Комментарий": "В две\r\nстроки",
    }
    assert rows[0]["Комментарий"] == 'Спросил "Ромашку"; перезвонить'
    assert Counter(row.get("contact_type") for row in rows) == Counter(
        {"call": 3, "callback": 1, "form": 1, "Факс": 1, None: 1}
    )
    # What doesn't parse, or has no time, is of the day of the row before it.
    assert [row["export_row"] for row in desk.rows(source, NEXT_DAY)] == ["6", "5", "7"]
    assert rows[-1] == {
        "widget_id": "okna",
        "delivered_by": "files:exports",
        "export_file": "a.csv",
        "export_row": "7",
        "unparsable_line": '1007;21.11.2025;09:10:00;звонок;"8916"1234573;;;;;;;',
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1251", "utf-16", "utf-16-be"])
def test_every_encoding_and_line_end_means_the_same(desk: Desk, encoding: str, end: str) -> None:
    text = "Отчёт\nИмя\u00a0  клиента;at;id\nЁлкина;2025-11-20 10:00;1\n\nПётр;2025-11-20 10:00;2".replace("\n", end)
    desk.write("a.csv", text, encoding)
    said = "utf-8" if encoding == "utf-8-sig" else encoding
    source = desk.source(
        desk.mapping(
            {
                "table": "touches",
                "file": {"encoding": said, "delimiter": ";", "skip_lines": "1"},
                "columns": {"touch_id": "id", "touched_at": "at", "page_hash": "Имя клиента"},
            }
        )
    )

    assert by("touch_id", desk.delivered(source), "page_hash", "export_row") == {
        "files:exports:1": ("Ёлкина", "1"),
        "files:exports:2": ("Пётр", "2"),
    }


PIECES = ("а", "Ё", "слово", "x", "7", " ", "  ", "\u00a0", '"', "'", ",", ";", "\t", "|", "\n", "\r\n")
MORE_PIECES = ("\\", "#", "--", "''", '""', "é", '" "', 'a"b')


@pytest.mark.parametrize("seed", range(int(os.environ.get("RANDOM_EXPORTS", "25"))))
def test_every_row_of_a_random_export_arrives_exactly_or_is_set_aside(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)
    delimiter, quote = chance.choice(",;\t|^ "), chance.choice(['"', '"', '"', "'", ""])
    encoding = chance.choice(["utf-8", "utf-8-sig", "windows-1251", "utf-16", "utf-16-le"])
    end = chance.choice(["\n", "\r\n", "\r"])
    pieces = [
        piece
        for piece in PIECES + MORE_PIECES
        if not (encoding == "windows-1251" and piece == "é")
        and not ("\n" in piece and (end == "\r" or not quote))
        and not (delimiter in piece and not quote)
    ]
    names = ["id", "at", *(f'п"{number}' for number in range(chance.randint(1, 6)))]
    rows = [
        [str(number), "2025-11-20T10:00:00"]
        + ["".join(chance.choices(pieces, k=chance.choice([0, 0, 1, 1, 2, 3, 6]))) for _ in names[2:]]
        for number in range(chance.choice([0, 1, 5, 30]))
    ]
    text = io.StringIO()
    how = chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])

    def write(fields: list[str]) -> None:
        if quote:
            csv.writer(text, delimiter=delimiter, quotechar=quote, lineterminator=end, quoting=how).writerow(fields)
        else:
            text.write(delimiter.join(fields) + end)

    titles = chance.choice([0, 0, 2])
    text.write(f"Отчёт{end}" * titles)
    write(names)
    expected, broken_count = [], 0
    for row in rows:
        kind = chance.random()
        if kind < 0.06:
            write([*row, "лишнее"] if kind < 0.03 else row[:-1])
            broken_count += 1
            continue
        write([*row, ""] if kind < 0.09 else row)
        text.write(end * (kind > 0.95))
        values = dict(zip(names[2:], (field.strip(WHITE_SPACE) for field in row[2:]), strict=True))
        expected.append({"touch_id": row[0]} | {name: value for name, value in values.items() if value})
    desk.write("a.csv", text.getvalue(), encoding)
    file = {
        "encoding": encoding.removesuffix("-sig"),
        "delimiter": delimiter,
        "quote": quote,
        "skip_lines": str(titles),
    }
    source = desk.source(desk.mapping(TOUCHES | {"file": file}), keep_ids=True)

    delivered = desk.delivered(source)

    told = ("touched_at", "widget_id", "delivered_by", "export_file", "export_row")
    arrived = [
        {name: value for name, value in row.items() if name not in told} for row in delivered if "touch_id" in row
    ]
    assert sorted(arrived, key=repr) == sorted(expected, key=repr)
    set_aside = [row for row in delivered if "touch_id" not in row]
    assert len(set_aside) == broken_count
    assert all(row["unparsable_line"] and row["export_row"] for row in set_aside)


def test_what_is_no_csv_is_set_aside_and_nothing_beside_it(desk: Desk) -> None:
    lines = (
        *(
            '1;2025-11-20 10:00;"a" "b"',
            '2;2025-11-20 10:00;a"b',
            '3;2025-11-20 10:00;"a"x',
            '4;2025-11-20 10:00; "a;b" ',
        ),
        *(
            "5;2025-11-20 10:00;a\rb",
            "6;2025-11-20 10:00;a;",
            "7;2025-11-20 10:00;a;b",
            "8;2025-11-20 10:00",
            ";;",
            "10;;",
        ),
    )
    desk.write("a.csv", "id;at;text\n" + "\n".join(lines))
    source = desk.source(desk.mapping(TOUCHES | {"file": {"delimiter": ";"}}))
    rows = desk.delivered(source)

    assert by("export_row", rows, "text", "unparsable_line") == {
        "1": (None, lines[0]),
        "2": ('a"b', None),
        "3": (None, lines[2]),
        "4": ("a;b", None),
        "5": ("a\rb", None),
        "6": ("a", None),
        "7": (None, lines[6]),
        "8": (None, lines[7]),
        "10": (None, None),
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('1;2025-11-20 10:00;"a" "b"', ("unparsable_line", '1;2025-11-20 10:00;"a" "b"')),
        ("1;2025-11-20 10:00;a\rb", ("text", "a\rb")),
        ("1;2025-11-20 10:00;a;", ("text", "a")),
    ],
)
def test_what_a_reader_would_guess_at_is_not_guessed(desk: Desk, line: str, told: tuple[str, str]) -> None:
    """One such line among good ones, which DuckDB's own reader takes without a word."""
    desk.write("a.csv", f"id;at;text\n{line}\n2;2025-11-20 10:00;x\n")
    rows = desk.delivered(desk.source(desk.mapping(TOUCHES | {"file": {"delimiter": ";"}})))

    assert {row["export_row"]: row.get(told[0]) for row in rows}["1"] == told[1] and len(rows) == 2


# What a mapping says


def test_every_way_of_telling_a_value(desk: Desk) -> None:
    desk.write(
        "a.csv",
        "id,at,kind,one,two,three,url,n,drop,yes_no\n"
        "1,2025-11-20 10:00,Да,,b,c,/x?id=77&y,1,x,yes\n"
        "2,2025-11-20 10:00,НЕТ,a,,,/x,007,x,true\n"
        "3,2025-11-20 10:00,other,--,,c,,1.0,x,no\n"
        "4,2025-11-20 10:00,,,,,,null,x,\n",
    )
    mapping = """
        table: touches
        missing: [--, n/a]
        told_elsewhere: [drop]
        columns:
          touch_id: {from: id, prefix: "t-"}
          touched_at: at
          action_type: {constant: click}
          visitor_id: {from: id, prefix: "v-"}
          yandex_client_id: [one, two, three]
          crm_client_id: {from: [one, [two, three]], separator: "+"}
          utm_source: {from: kind, words: {да: ja, Нет: nein}}
          utm_medium: {from: kind, words: {да: ja, нет: nein}, otherwise: weiß nicht}
          utm_campaign: {from: url, pattern: 'id=(\\d+)'}
          utm_term: {from: n, words: {1: one, 007: bond, 1.0: point, null: nothing}}
          utm_content: {from: yes_no, words: {yes: on, true: off, no: "no!"}}
          device_type: {join: [one, two, three], separator: " "}
          location: {from: one, otherwise: nowhere}
          page_hash: {join: [one, two]}
        """
    rows = desk.delivered(desk.source(desk.mapping(mapping)))

    told = by(
        "id", [{"id": str(place), **row} for place, row in enumerate(rows, 1)], "yandex_client_id", "crm_client_id"
    )
    assert told == {"1": ("b", "b+c"), "2": ("a", "a"), "3": ("c", "+c"), "4": (None, None)}
    assert [row.get("utm_source") for row in rows] == ["ja", "nein", "other", None]
    assert [row.get("utm_medium") for row in rows] == ["ja", "nein", "weiß nicht", "weiß nicht"]
    assert [row.get("utm_campaign") for row in rows] == ["77", None, None, None]
    assert [row.get("utm_term") for row in rows] == ["one", "bond", "point", "nothing"]
    assert [row.get("utm_content") for row in rows] == ["on", "off", "no!", None]
    assert [row.get("device_type") for row in rows] == ["b c", "a", "c", None]
    assert [row.get("location") for row in rows] == ["nowhere", "a", "nowhere", "nowhere"]
    assert [row.get("page_hash") for row in rows] == ["|b", "a|", None, None]
    assert [row["touch_id"] for row in rows] == [f"files:exports:t-{number}" for number in range(1, 5)]
    assert rows[0]["visitor_id"] == "files:exports:v-1" and rows[0]["action_type"] == "click"
    # What a column tells in another way is kept; what it tells as it is, or another delivery holds, isn't.
    assert rows[0]["url"] == "/x?id=77&y" and "drop" not in rows[0]


@pytest.mark.parametrize(
    ("written", "mapped", "zone", "told"),
    [
        ("20.11.2025 10:00:05", '{from: at, format: "%d.%m.%Y %H:%M:%S"}', None, "2025-11-20T07:00:05Z"),
        ("2025-11-20 10:00", "at", None, "2025-11-20T07:00:00Z"),
        ("2025-11-20 10:00", "at", "Asia/Vladivostok", "2025-11-20T00:00:00Z"),
        ("2025-11-20 10:00", "{from: at, time_zone: UTC}", "Asia/Vladivostok", "2025-11-20T10:00:00Z"),
        ("2025-11-20T10:00:00.25+05:00", "{from: at, time_zone: UTC}", None, "2025-11-20T05:00:00.250000Z"),
        ("20.11.2025 10:00 +0200", '{from: at, format: "%d.%m.%Y %H:%M %z"}', None, "2025-11-20T08:00:00Z"),
        (
            "20.11.2025 10:00 Europe/Samara",
            '{from: at, format: "%d.%m.%Y %H:%M %Z"}',
            "Asia/Vladivostok",
            "2025-11-20T06:00:00Z",
        ),
        ("20.11.2025 10:00Z", '{from: at, format: "%d.%m.%Y %H:%MZ"}', None, "2025-11-20T10:00:00Z"),
        ("1763625600", '{from: at, format: ["%d.%m.%Y", unix_seconds]}', None, "2025-11-20T08:00:00Z"),
        ("1763625600123", "{from: at, format: unix_milliseconds}", None, "2025-11-20T08:00:00.123000Z"),
        ("1763625600", "{from: at, format: unix_seconds, shift_seconds: -1}", None, "2025-11-20T07:59:59Z"),
        ("1763625600", '{from: at, format: "%d.%m.%Y"}', None, None),
        ("999999999999999", "{from: at, format: unix_seconds}", None, None),
        ("2025-11-20", '{from: at, format: [iso, "%d.%m.%Y %H:%M"]}', None, None),
        # Of an hour that comes twice the first (R10); one that never comes is as much later.
        ("2025-10-26 02:30", "at", "Europe/Berlin", "2025-10-26T00:30:00Z"),
        ("26.10.2025 02:30", '{from: at, format: "%d.%m.%Y %H:%M"}', "Europe/Berlin", "2025-10-26T00:30:00Z"),
        ("30.03.2025 02:30", '{from: at, format: "%d.%m.%Y %H:%M"}', "Europe/Berlin", "2025-03-30T01:30:00Z"),
    ],
)
def test_every_way_of_writing_a_time(desk: Desk, written: str, mapped: str, zone: str | None, told: str | None) -> None:
    """What can't be read stays as it is, to be rejected."""
    desk.write("2025-11-20.csv", f"id,at\n1,{written}\n2,2025-11-20 10:00\n")
    mapping = desk.mapping(f"table: touches\ncolumns: {{touch_id: id, touched_at: {mapped}}}\n")

    # With {day} in the path all is of the day, whenever it was.
    assert desk.delivered(desk.source(mapping, "{day}.csv", time_zone=zone))[0]["touched_at"] == (told or written)


@pytest.mark.parametrize(
    ("written", "decimal", "told"),
    [
        ("1234,5", ",", "1234.5"),
        ("1\u00a0234\u202f567,89 ₽", ",", "1234567.89"),
        ("1.234.567,89", ",", "1234567.89"),
        ("1234.5", ",", "1234.5"),
        ("−5", ",", "-5"),
        ("+1 2 3", ",", "+123"),
        ("1,234.5", ".", "1234.5"),
        ("12,50", ".", "12,50"),
        ("пять", ",", "пять"),
    ],
)
def test_every_way_of_writing_an_amount(desk: Desk, written: str, decimal: str, told: str) -> None:
    desk.write("a.csv", f'day,campaign,amount\n2025-11-20,a,"{written}"\n2025-11-20,b,1\n')
    columns = COSTS["columns"] | {"amount": {"from": "amount", "decimal": decimal}}  # type: ignore[operator]
    rows = desk.delivered(desk.source(desk.mapping(COSTS | {"columns": columns})))

    assert by("campaign", rows, "amount")["a"] == (told,)


def test_lengths_of_time(desk: Desk) -> None:
    written = {
        "00:01:23": "83",
        "1:02:03": "3723",
        "62:03": "3723",
        "75": "75",
        "1:2:3": "1:2:3",
        "9" * 30 + ":00": None,
    }
    lines = "".join(f"{place},2025-11-20 10:00,{length}\n" for place, length in enumerate(written))
    desk.write("a.csv", f"id,at,length\n{lines}")
    columns = TOUCHES["columns"] | {"visit_duration": {"from": "length", "format": "duration"}}  # type: ignore[operator]
    rows = desk.delivered(desk.source(desk.mapping(TOUCHES | {"columns": columns})))

    assert [row["visit_duration"] for row in rows] == [told or length for length, told in written.items()]
    assert [row["length"] for row in rows] == list(written)


def test_rows_of_another_kind_are_left_out_and_counted(desk: Desk) -> None:
    desk.write(
        "a.csv",
        "id,at,kind,bot,src\n1,2025-11-20 10:00,Клик,,a\n2,2025-11-20 10:00,показ,,a\n3,2025-11-20 10:00,КЛИК,Yes,a\n"
        "4,2025-11-20 10:00,клик,no,\n5,2025-11-19 10:00,клик,,a\n6,2025-11-20 10:00,,no,a\n7,клик\n",
    )
    mapping = TOUCHES | {"only": {"kind": "клик"}, "leave_out": {"bot": ["YES", "1"]}, "only_with": ["src", "utm_term"]}
    source = desk.source(desk.mapping(mapping))
    (fetched,) = desk.fetch(source)

    # What doesn't parse may be of any kind.
    assert [row["export_row"] for row in desk.rows(source)] == ["1", "7"]
    assert fetched.counts == {"of another kind": 4, "of other days": 1}


def test_a_day_may_come_from_another_column(desk: Desk) -> None:
    desk.write("a.csv", "id,at,closed\n1,2025-11-01 10:00,20.11.2025 10:00\n2,2025-11-20 10:00,21.11.2025 10:00\n")
    mapping = TOUCHES | {"day": {"from": "closed", "format": "%d.%m.%Y %H:%M"}}

    assert [row["touch_id"] for row in desk.delivered(desk.source(desk.mapping(mapping)))] == ["files:exports:1"]


# Headers


def test_odd_names_of_columns_are_kept(desk: Desk) -> None:
    names = (
        *("id", "at", "position", "widget_id", "attributes", "Имя", "имя", "is_wanted", "record_day", "export_file"),
        *("unparsable_line", "", "quote'\"", "field_0", "", "twice", "twice", "row_number", "more_fields"),
    )
    text = io.StringIO()
    csv.writer(text).writerows([names, ["1", "2025-11-20 10:00", *(f"v{place}" for place in range(2, len(names)))]])
    desk.write("a.csv", text.getvalue())
    (row,) = desk.delivered(desk.source(desk.mapping(TOUCHES)))

    told = {name: value for name, value in row.items() if value.startswith("v")}
    assert list(told.values()) == [f"v{place}" for place in range(2, len(names))]
    assert list(told) == [
        *("position", "source_widget_id", "source_attributes", "Имя", "source_имя", "source_is_wanted"),
        *("source_record_day", "export_file 2", "unparsable_line 2", "column 12", "quote'\"", "field_0", "column 15"),
        *("twice", "twice 2", "row_number", "source_more_fields"),
    ]
    assert (row["export_file"], row["export_row"]) == ("a.csv", "1")


def test_columns_without_end_arrive(desk: Desk) -> None:
    names = ["id", "at", *(f"c{number}" for number in range(520))]
    desk.write("a.csv", ",".join(names) + "\n1,2025-11-20 10:00," + ",".join(map(str, range(520))) + "\n")
    (row,) = desk.delivered(desk.source(desk.mapping(TOUCHES)))
    with duckdb.connect() as connection:
        query = "select unnest(json_keys(?)), unnest(json_extract_string(?, '$.*'))"
        more = dict(connection.execute(query, [row["more_fields"]] * 2).fetchall())

    assert {**row, **more}.items() >= {f"c{number}": str(number) for number in range(520)}.items()


def test_names_are_found_whatever_white_space_is_in_them(desk: Desk) -> None:
    desk.write(
        "a.csv",
        '"id\r\n обращения ";"at\u00a0(МСК)";\r\n1;2025-11-20 10:00;\r\n2;2025-11-20 10:00\r\n3;2025-11-20 10:00;;\r\n',
    )
    mapping = """
        table: touches
        file: {delimiter: ;}
        columns: {touch_id: "id  обращения", touched_at: at (МСК)}
        """
    rows = desk.delivered(desk.source(desk.mapping(mapping)))

    assert [(row["touch_id"][-1], row["touched_at"]) for row in rows if row["touch_id"]] == [
        (number, "2025-11-20T07:00:00Z") for number in "123"
    ]


def test_a_header_alone_is_an_empty_delivery(desk: Desk) -> None:
    desk.write("a.csv", "id,at\n,\n \n")
    source = desk.source(desk.mapping(TOUCHES))
    results = desk.fetch(source, DAY, NEXT_DAY)

    assert [(fetched.outcome, fetched.row_count) for fetched in results] == [("delivered", 0)] * 2
    assert desk.rows(source) == []


def test_columns_that_no_file_has_are_reported_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.write("a.csv", "id,at\n1,2025-11-20 10:00\n")
    columns = TOUCHES["columns"] | {"location": ["Город", "Регион"], "utm_source": {"constant": "x"}}  # type: ignore[operator]
    with caplog.at_level("WARNING", "multichannel"):
        desk.delivered(desk.source(desk.mapping(TOUCHES | {"columns": columns})))

    assert caplog.messages == ["exports: no file has a column for location («Город», «Регион»): these stay empty"]


def test_words_that_nobody_knows_and_columns_that_no_row_can_be_read_by_are_reported(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    mapping = desk.mapping(
        {
            "table": "contacts",
            "columns": {
                "contact_id": "id",
                "contacted_at": "at",
                "contact_type": {"from": "type", "words": {"Чат": "чат", "звонок": "call"}},
                "value": "sum",
                "duration": "seconds",
                "is_unique": "new",
            },
        }
    )
    rows = (
        '1,2025-11-20 10:00,звонок,"1 202,50",7,да',
        '2,2025-11-20 11:00,Чат,"3,5",x,нет',
        "3,2025-11-20 12:00,звонок,,,",
    )
    desk.write("a.csv", "\n".join(("id,at,type,sum,seconds,new", *rows)))
    with caplog.at_level("WARNING", "multichannel"):
        desk.delivered(desk.source(mapping))

    words, value = sorted(caplog.messages)
    assert words.startswith("exports: a.csv has 1 row whose contact_type can't be read, as 'чат' in row 2; ")
    assert words.endswith(" expects one of call, form, callback, email, chat: add it to `words`")
    assert value.startswith("exports: a.csv has 2 rows whose value can't be read, as '1 202,50' in row 1; ")
    assert value.endswith(" expects a number like 1234.50")


# Several files


def test_the_later_file_and_row_say_what_is_new(desk: Desk) -> None:
    blank = ",,-\n" * 7
    desk.write("1.csv", f"id,at,v\n1,2025-11-20 10:00,old\n{blank}2,2025-11-20 10:00,x\n2,2025-11-20 10:00,new\n")
    desk.write("2.csv", "v,at,id,more\nnew,2025-11-20 11:00,1,m\n")
    desk.write("3.csv.part", "id,at,v\n1,2025-11-20 12:00,unfinished\n")
    desk.write("_4.csv", "id,at,v\n1,2025-11-20 12:00,left out\n")
    desk.write("~$5.csv", "what Excel leaves beside an open file")
    source = desk.source(desk.mapping(TOUCHES), "*")
    (fetched,) = desk.fetch(source)

    assert by("touch_id", desk.rows(source), "v", "more", "export_file") == {
        "files:exports:1": ("new", "m", "2.csv"),
        "files:exports:2": ("new", None, "1.csv"),
        None: ("-", None, "1.csv"),
    }
    assert fetched.counts == {"delivered twice": 2}


def test_of_costs_the_latest_file_that_tells_of_a_day_says_all(desk: Desk) -> None:
    desk.write("1.csv", "day,campaign,amount\n2025-11-20,a,1\n2025-11-20,b,2\n2025-11-21,a,3\n")
    # A row without a readable day tells of none, though it is set aside with the day before.
    desk.write("2.csv", "day,campaign,amount\n2025-11-20,a,10\n2025-11-20,a,5\nвчера,a,7\n")
    desk.write("3.csv", "day,campaign,amount\nпозавчера,a,8\n2025-11-22,a,9\n")
    source = desk.source(desk.mapping(COSTS))
    results = desk.fetch(source, DAY, NEXT_DAY)

    assert sorted(row["amount"] or "" for row in desk.rows(source)) == ["10", "5", "7", "8"]
    assert [row["amount"] for row in desk.rows(source, NEXT_DAY)] == ["3"]
    assert results[0].counts == {"of older files": 2, "of other days": 1}


def test_files_of_a_day_may_tell_of_the_costs_of_others(desk: Desk) -> None:
    desk.write("2025-11-20/1.csv", "day,campaign,amount\n2025-11-19,a,1\n2025-11-20,a,2\n")
    desk.write("2025-11-20/2.csv", "day,campaign,amount\n2025-11-20,a,3\n2025-11-18,a,4\n")

    assert sorted(
        (row["cost_date"], row["amount"]) for row in desk.delivered(desk.source(desk.mapping(COSTS), "{day}/*.csv"))
    ) == [("2025-11-18", "4"), ("2025-11-19", "1"), ("2025-11-20", "3")]


def test_a_file_of_a_day_is_all_of_it(desk: Desk) -> None:
    desk.write("x/2025-11-20/b.csv", "id,at\n2,2025-11-20 23:59\n3,2025-11-21 00:01\n4,?\n")
    desk.write("x/2025-11-20/deep/a.csv", "id,at\n1,2025-11-19 10:00\n")
    desk.write("x/2025-11-22/b.csv", "id,at\n5,2025-11-22 10:00\n")
    desk.write("x/2025-11-23/b.csv", "id\n6\n")
    source = desk.source(desk.mapping(TOUCHES), "*/{day}/**/*.csv")
    results = desk.fetch(source, *(date(2025, 11, day) for day in (20, 21, 22, 23)))

    assert [fetched.outcome for fetched in results] == ["delivered", "delivered", "failed", "failed"]
    assert [row["touch_id"][-1:] for row in desk.rows(source) if row["touch_id"]] == ["1", "2", "3", "4"]
    assert [row["touch_id"] for row in desk.rows(source, date(2025, 11, 22))] == ["files:exports:5"]
    assert "there is no file" in (results[2].message or "") and "has no column «at»" in (results[2].message or "")


def test_days_are_the_reports_whatever_zone_the_file_is_in(desk: Desk) -> None:
    desk.write("a.csv", "id,at\n1,2025-11-20 23:30\n2,2025-11-20 20:30\n")
    source = desk.source(desk.mapping(TOUCHES), time_zone="UTC")

    assert [row["touch_id"] for row in desk.delivered(source)] == ["files:exports:2"]


def test_only_what_changed_is_written_again(desk: Desk) -> None:
    lines = [f"{number},2025-11-{20 + number % 2} 10:00" for number in range(50)]
    desk.write("a.csv", "id,at\n" + "\n".join(lines))
    source = desk.source(desk.mapping(TOUCHES))
    desk.fetch(source, DAY, NEXT_DAY)
    before = desk.version(source)
    assert [fetched.outcome for fetched in desk.fetch(source, DAY, NEXT_DAY)] == ["unchanged"] * 2

    desk.write("b.csv", "id,at\n51,2025-11-21 10:00\n")
    results = desk.fetch(source, DAY, NEXT_DAY)

    assert [fetched.outcome for fetched in results] == ["unchanged", "delivered"]
    assert desk.version(source) == before
    assert (results[1].previous_row_count, results[1].row_count) == (25, 26)
    assert not list(desk.landing.rglob("*.part"))


def test_paths_may_hold_anything(desk: Desk) -> None:
    desk.write("a [1]'s;,.csv", "id,at\n1,2025-11-20 10:00\n")

    assert desk.delivered(desk.source(desk.mapping(TOUCHES), "a [1]'s;,.csv"))[0]["export_file"] == "a [1]'s;,.csv"


def test_files_that_two_sources_read_are_said(tmp_path: Path) -> None:
    """Whichever of the two is fetched, but only where rows count twice."""
    desk, site = Desk(tmp_path), Site(tmp_path)
    for name in ("vizity-okna.csv", "vizity-implant-noyabr.csv"):
        desk.write(name, "id,at,site\n1,2025-11-20 10:00,okna\n")
    touches, again, of_okna, contacts = (
        mapping_file(tmp_path, name, yaml.safe_dump(content))
        for name, content in {
            "touches": TOUCHES,
            "again": TOUCHES,
            "of_okna": TOUCHES | {"only": {"site": ["okna"]}},
            "contacts": {
                "table": "contacts",
                "columns": {"contact_id": "id", "contacted_at": "at", "contact_type": {"constant": "call"}},
            },
        }.items()
    )
    sources = tmp_path / "sources.yml"

    def said(settings: str, *names: str) -> list[str]:
        sources.write_text(settings, "utf-8")
        outcome = site.run("fetch", *names, SOURCES_FILE=str(sources))
        assert outcome.exit_code == 0, outcome.progress
        return [line.partition("Warning: ")[2] for line in outcome.progress.splitlines() if "two sources" in line]

    def sources_of(mapping: Path, path: str = "vizity-implant-*.csv", account: str = "implant") -> str:
        return f"""
        okna_visits: {{kind: files, path: "{desk.exports}/vizity-*.csv", mapping: {touches}, site: okna, account: okna}}
        implant_visits: {{kind: files, path: "{desk.exports}/{path}", mapping: {mapping}, site: implant, account: {account}}}
        """

    twice = (
        "vizity-implant-noyabr.csv is read by two sources, okna_visits and implant_visits, and its rows count for each: "
        "choose paths or file names that do not overlap"
    )
    assert said(sources_of(touches)) == [twice]
    fetch_in_dagster = python(
        "import dagster as dg; from orchestration.definitions import defs; "
        "defs.resolve_job_def('fetch_and_load').execute_in_process("
        "partition_key='2025-11-20', asset_selection=[dg.AssetKey(['sources', 'implant_visits'])])",
        **site.environment() | {"SOURCES_FILE": str(sources)},
    )
    assert twice in fetch_in_dagster.communicate()[1]
    assert fetch_in_dagster.returncode == 0
    assert said(sources_of(again), "implant_visits") == said(sources_of(again), "okna_visits") == [twice]
    (both,) = said(sources_of(touches, "*.csv"), "okna_visits")
    assert both.startswith("vizity-implant-noyabr.csv and vizity-okna.csv are read by two sources")
    (once,) = said(sources_of(touches, account="okna"), "okna_visits")
    assert "its rows have the same ids in both, so they count for one only: choose" in once
    for mapping in (of_okna, contacts):
        assert said(sources_of(mapping)) == []
    other = f'other: {{kind: files, path: "{desk.exports}/vizity-okna.csv", mapping: {touches}, account: other}}'
    (desk.exports / "vizity-implant-noyabr.csv").rename(desk.exports / "implant.csv")
    assert said(sources_of(touches, "implant.csv") + other, "implant_visits") == []


def test_a_long_quoted_text_arrives(desk: Desk) -> None:
    """Longer than what is read at once."""
    text = ('строка "в кавычках", и ещё\n' * 40_000).strip()
    doubled = text.replace('"', '""')
    desk.write("a.csv", f'id,at,text\n1,2025-11-20 10:00,"{doubled}"\n2,2025-11-20 10:00,x\n')
    rows = desk.delivered(desk.source(desk.mapping(TOUCHES)))

    assert [row["text"] for row in rows] == [text, "x"]


# What is wrong with a file


GOOD = "id;at;Имя\n1;2025-11-20 10:00;Ёлкина\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            GOOD.encode("windows-1251"),
            ("is not utf-8 in line 1: if it is in windows-1251, write `encoding: windows-1251` under `file` in ",),
        ),
        (b"id;at;x\n1;2025-11-20 10:00;a\n2;;\xff\n", ("is not utf-8 in line 3",)),
        (
            GOOD.encode("utf-16"),
            ("by its first bytes that it is utf-16, not utf-8", "write `encoding: utf-16` under `file` in "),
        ),
        (GOOD.encode("utf-16-le"), ("has a NUL byte in line 1", "utf-16")),
        (b"id;at;x\n1;2025-11-20 10:00;a\0\n", ("has a NUL byte in line 2", "damaged")),
        (b"PK\x03\x04....", ("is an Excel or ZIP file", "save it as CSV")),
        (b"\xd0\xcf\x11\xe0....", ("is an Excel file", "save it as CSV")),
        (b"\x1f\x8b....", ("is packed by gzip", "unpack")),
        (b"", ("is empty (0 bytes)",)),
        (b"\n \n", ("has no header",)),
        (b"id;when\n1;2\n", ("has no column «at»", "its columns are «id», «when»", "mapping.yml")),
        (b"id,at\n1,2\n", ("has no column «id», «at»", "«id,at»", 'delimiter: ","')),
        (b"id\tat\n1\t2\n", ('delimiter: "\\t"',)),
        (b"id;at;id\n1;2;3\n", ("has more than one column «id»", "Rename or drop one")),
        (b'id;at\n1;2025-11-20 10:00\n"2;x\n3;y\n', ("quote that is opened in row 2 and never closed",)),
        (b'id;"at\n1;2\n', ("header that can't be read", "quotes")),
        (b"id;at\n1;" + b"x" * (9 * 2**20) + b"\n", ("line longer than 8,388,608 bytes, line 2",)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_wrong_with_a_file_is_said(desk: Desk, content: bytes, said: tuple[str, ...]) -> None:
    file = desk.write("a.csv", content)
    message = desk.failure(desk.source(desk.mapping(TOUCHES | {"file": {"delimiter": ";"}})))

    assert message.startswith(str(file))
    assert all(part in message for part in said), message


def test_a_mark_of_utf_8_is_no_letter_of_windows_1251(desk: Desk) -> None:
    desk.write("a.csv", GOOD, "utf-8-sig")
    mapping = desk.mapping(TOUCHES | {"file": {"delimiter": ";", "encoding": "windows-1251"}})

    assert "by its first bytes that it is utf-8, not windows-1251" in desk.failure(desk.source(mapping))


@pytest.mark.parametrize("content", [GOOD.replace("Ёлкина", "Иванова"), GOOD.replace("Имя", "name")])
def test_utf_8_is_not_taken_for_windows_1251(desk: Desk, content: str) -> None:
    """With or without a letter that Windows-1251 doesn't have, and with or without a header that tells."""
    desk.write("a.csv", content)
    mapping = desk.mapping(TOUCHES | {"file": {"delimiter": ";", "encoding": "windows-1251"}})

    message = desk.failure(desk.source(mapping))

    assert f"a.csv is in utf-8, not windows-1251: write `encoding: utf-8` under `file` in {mapping}" in message


def test_windows_1251_is_not_taken_for_utf_8(desk: Desk) -> None:
    """A pair of its letters may be valid UTF-8 by chance."""
    desk.write("a.csv", "id;at;name\n1;2025-11-20 10:00;С№\n2;2025-11-20 10:00;Т№\n", "windows-1251")
    mapping = desk.mapping(TOUCHES | {"file": {"delimiter": ";", "encoding": "windows-1251"}})

    assert [row["name"] for row in desk.delivered(desk.source(mapping))] == ["С№", "Т№"]


@pytest.mark.parametrize(
    ("name", "encoding", "said"),
    [
        ("yandex_direct_costs.yml", "windows-1251", "is not utf-8 in line 1: if it is in windows-1251, "),
        ("mango_calls_export.yml", "utf-8", "is in utf-8, not windows-1251: "),
    ],
)
def test_a_ready_made_mapping_is_copied_for_another_encoding(desk: Desk, name: str, encoding: str, said: str) -> None:
    desk.write("a.csv", "Дата;Кампания;Расход\n20.11.2025;a;1\n", encoding)

    assert desk.failure(desk.source(name)).endswith(
        f"a.csv {said}copy sources/mappings/{name} to mappings/{name}, write `encoding: {encoding}` under `file` in the copy, "
        f"and set `mapping: mappings/{name}` in sources.yml"
    )


def test_files_that_cant_be_read_are_reported(desk: Desk) -> None:
    mapping = desk.mapping(TOUCHES)
    (desk.exports / "memory.csv").symlink_to("/proc/self/mem")
    (desk.exports / "nothing.csv").symlink_to(desk.exports / "gone.csv")
    desk.write("b.csv.part", "id,at\n")

    columns = {"touch_id": {"join": ["id", "number"]}, "touched_at": "at"}
    desk.write("d.csv", "id,at\n1,2025-11-20 10:00\n")
    joined = desk.source(desk.mapping(TOUCHES | {"columns": columns}), "d.csv")
    assert "has no column «id» + «number»" in desk.failure(joined)
    mapping = desk.mapping(TOUCHES)
    assert "memory.csv can't be read (Input/output error)" in desk.failure(desk.source(mapping, "memory.csv"))
    assert "there is no file" in desk.failure(desk.source(mapping, "nothing.csv"))
    assert "but b.csv.part, which isn't complete" in desk.failure(desk.source(mapping, "b*"))
    assert "is a folder: say in `path` which files" in desk.failure(desk.source(mapping, ""))
    assert "`path` can't be looked for" in desk.failure(desk.source(mapping, "**x/a"))
    for name in ("kind", "src"):
        desk.write("c.csv", "id,at\n1,2025-11-20 10:00\n")
        wanted = {"only": {"kind": "a"}} if name == "kind" else {"only_with": ["src"]}
        assert f"has no column «{name}»" in desk.failure(desk.source(desk.mapping(TOUCHES | wanted), "c.csv"))
    desk.write("e.csv", "id,when\n1,2025-11-20 10:00\n")
    totals = TOUCHES | {"leave_out": {"at": ["Total"]}}
    assert "has no column «at»; its columns" in desk.failure(desk.source(desk.mapping(totals), "e.csv"))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("costs.csv", "/costs.csv, but there are Costs.CSV, costs.xlsx and cost.csv: put the export there, or correct `path`"),
        ("cost.CSV", "/cost.CSV, but there are cost.csv, Costs.CSV and costs.xlsx: put"),
        ("*.xls", "/*.xls, but there are Costs.CSV, cost.csv and costs.xlsx: put"),
        ("calls.csv", "/calls.csv: put the export there"),
        ("old/*.csv", "/old/*.csv, as there is no folder {exports}/old: put"),
        ("old/{day}/*.csv", "/old/{day}/*.csv, as there is no folder {exports}/old: put"),
        ("{day}/*.csv", "/{day}/*.csv, as there is no folder {exports}/{day}: put"),
        ("none/*.csv", "/none/*.csv, as there are no files in {exports}/none: put"),
        ("cost-{day}.csv", "/cost-{day}.csv: put"),
        ("days/{day}.csv", "/days/{day}.csv: put"),
        ("days/{day}.xlsx", "/days/{day}.xlsx, but there is 2025-11-01.csv: put"),
        ("n*/**/*.csv", "/n*/**/*.csv, as there are no files in {exports}/n*/**: put"),
    ],
)  # fmt: skip
def test_a_path_without_a_file_names_what_is_there_instead(desk: Desk, path: str, said: str) -> None:
    for name in ("Costs.CSV", "costs.xlsx", "cost.csv", "unlike.txt", ".costs.csv", "days/2025-11-01.csv"):
        desk.write(name, "")
    (desk.exports / "none" / "deep").mkdir(parents=True)

    message = desk.failure(desk.source(desk.mapping(TOUCHES), path))

    assert message.startswith(f"there is no file {desk.exports}{said.replace('{exports}', str(desk.exports))}"), message


def test_too_little_memory_is_reported_with_what_to_do(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks_memory(*_: object) -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block")

    desk.write("a.csv", "id,at\n")
    monkeypatch.setattr("sources.files.clean_csv_records", lacks_memory)

    assert desk.failure(desk.source(desk.mapping(TOUCHES)), DAY, NEXT_DAY).startswith("MEMORY_LIMIT = ")


def test_a_file_that_is_wrong_is_read_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    copy = write_plain
    monkeypatch.setattr("sources.files.write_plain", lambda file, *rest: (read.append(file), copy(file, *rest)))
    desk.write("a.csv", "id\n")
    for path in ("*.csv", "{day}/../a.csv"):
        (desk.exports / "2025-11-20").mkdir(exist_ok=True)
        desk.failure(desk.source(desk.mapping(TOUCHES), path), DAY, NEXT_DAY)

    assert len(read) == 2


# What is wrong with a mapping


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("table: calls\ncolumns: {}", "there is no table 'calls'; it is one of touches, contacts, costs"),
        ("table: touches\ncolumns: {touch_id: a, touched_at: b, phone: c}", "touches have no column phone; they have"),
        ("table: touches\ncolumns: {touch_id: a}", "say where touched_at comes from"),
        ("table: touches\ncolums: {}", "columns: is missing; colums: there is no such setting"),
        ("- a", "it: must be settings"),
        ("", "it: must be settings"),
        ("table: [touches\n", "line 1, column 8: the bracket opened here"),
        ("table: touches\ncolumns:\n  touch_id: a\n  touch_id: b\n", "line 4, column 3: a name is there twice"),
        ("table: touches\n\tcolumns: {}", "is not YAML: line 2"),
        (b"table: \xff", "line 1 is not UTF-8"),
        (b"table: \x01", "line 1 has a character"),
        ("FORM: x", "columns.touched_at.FORM: there is no such setting"),
        ("from: b, join: [a]", "columns.touched_at: give one of `from`, `join` and `constant`"),
        ("words: {}", "columns.touched_at: give one of"),
        ("from: b, pattern: '[a-z]+'", "columns.touched_at.pattern: it needs one group"),
        ("from: b, pattern: '(a)(b)'", "it needs one group"),
        ("from: b, pattern: '(a'", "it is no regular expression"),
        (
            "from: b, pattern: '(?=a)(b)'",
            "it is no regular expression: Invalid regular expression: invalid perl operator",
        ),
        ("from: b, format: '%d.%q'", "columns.touched_at.format.0: '%d.%q' is no format"),
        ("from: b, format: DD.MM.YYYY", "is no format: write one like %d.%m.%Y"),
        ("from: b, format: duration", "touched_at holds no length of time"),
        ("from: b, time_zone: Moskau", "columns.touched_at.time_zone: no time zone is called so"),
        ("from: b, shift_seconds: x", "columns.touched_at.shift_seconds: must be a whole number"),
        ("from: b, decimal: ';'", "columns.touched_at.decimal: Input should be '.' or ','"),
        ("from: {a: b}", "columns.touched_at.from: must be a list"),
        ("b}, utm_term: {from: c, format: iso", "utm_term holds no time: it has no `format`"),
        ("b}, visit_duration: {from: c, format: iso", "visit_duration holds no time: it has no `format` but duration"),
        ("b}, utm_term: {from: c, time_zone: UTC", "utm_term is no time"),
        ("b}}\nfile: {encoding: klingon", "file.encoding: no encoding is called so"),
        ("b}}\nfile: {delimiter: ;;", "file.delimiter: must be one character"),
        ('b}}\nfile: {delimiter: "\'", quote: "\'"', "`delimiter` and `quote` must differ"),
        ('b}}\nfile: {delimiter: "\\n"', "`delimiter` is a character like"),
        ("b}}\nfile: {quote: «", "`quote` is"),
        ("b}}\nfile: {skip_lines: -1", "file.skip_lines:"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said(tmp_path: Path, content: str | bytes, said: str) -> None:
    if isinstance(content, str) and not content.startswith(("table", "-")) and content:
        text = (
            "table: touches\ncolumns: {touch_id: a, touched_at: {"
            + ("from: " if content.startswith("b}") else "")
            + content
        )
        content = text + "}" + "}" * (text.count("{") - text.count("}") - 1)
    file = mapping_file(tmp_path, "m", "")
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(SettingsError) as caught:
        Mapping.read(file)
    assert str(file) in str(caught.value) and said in str(caught.value), str(caught.value)


def test_mappings_that_come_along_can_be_read() -> None:
    for file in SHIPPED.glob("*.yml"):
        assert Mapping.read(file).columns, file


def test_all_that_a_source_says_of_itself(desk: Desk) -> None:
    desk.write("a.csv", "id,at\n1,2025-11-20 10:00\n")
    mapping = desk.mapping(TOUCHES)

    assert desk.delivered(desk.source(mapping, keep_ids=True))[0]["touch_id"] == "1"
    row = desk.delivered(desk.source(mapping, source="mango", account="7", site="okna"))[0]
    assert (row["touch_id"], row["widget_id"]) == ("mango:7:1", "okna")
    assert isinstance(desk.source(mapping), Files)
