"""What the report asks of the published file: pages by key, searches, ratios, masks, a locked connection; and its words."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from phones_everywhere import COPIES, traces, with_phones_everywhere
from processes import Site, made_once

from pipeline.settings import PROJECT_DIR, ReportSettings, SettingsError
from report import masking, queries
from report.choices import period
from report.published import Generation, NothingPublishedError, Published
from report.reporting import Report
from report.words import NATIVE_NAMES, Words, all_words

SHOWING = queries.Showing("Europe/Moscow", "RU")
MASKING = replace(SHOWING, mask_phones=True, key="0abc")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A few days of the demo, up to yesterday."""

    def make(folder: Path) -> None:
        site = Site(folder)
        site.run("demo", "--out", str(site.landing), "--days", "6", "--touches", "6000")
        site.load()

    return Site(made_once(tmp_path_factory, "demo_for_the_report", make))


@pytest.fixture(scope="module")
def generation(site: Site) -> Generation:
    return Published(site.publications.link, threads=2, memory_limit="500MB").current()


@pytest.fixture(scope="module")
def asked(generation: Generation) -> queries.Asked:
    days = generation.remembered(queries.DAYS)[0]
    return queries.Asked((), days["first_day"], days["last_day"])


def test_pages_of_a_journal_are_the_journal_in_order_whatever_it_is_sorted_by(
    generation: Generation, asked: queries.Asked
) -> None:
    everything = {row["contact_id"] for row in generation.rows("select contact_id from journal")}
    assert len(everything) > 300
    for sort in queries.SORTS:
        for is_descending in (True, False):
            page = queries.JournalPage(asked, sort, is_descending, None, 97)
            found: list[dict[str, Any]] = []
            while rows := generation.rows(*page.query(SHOWING)):
                found += rows
                page = replace(page, after=queries.key_of(rows[-1]))
            keys = [queries.key_of(row) for row in found]
            assert keys == sorted(keys, reverse=is_descending), sort
            assert len(found) == len(everything) and {row["contact_id"] for row in found} == everything, sort


def test_a_journal_is_asked_for_by_site_days_type_and_icon(generation: Generation, asked: queries.Asked) -> None:
    widgets = [row["widget_id"] for row in generation.rows(queries.widgets(SHOWING))]
    assert len(widgets) > 2
    some = replace(
        asked,
        widgets=tuple(widgets[:2]),
        types=("call", "form"),
        first_day=asked.last_day - timedelta(days=2),
        is_multichannel=True,
    )
    found = generation.rows(*queries.JournalPage(some, size=10_000).query(SHOWING))
    expected = generation.rows(
        f"""
        select contact_id from journal
        where widget_id in ('{widgets[0]}', '{widgets[1]}') and contact_type in ('call', 'form') and icon = 'multichannel'
            and contact_date > date '{asked.last_day}' - 3
        """
    )
    assert {row["contact_id"] for row in found} == {row["contact_id"] for row in expected} != set()
    counts = generation.rows(*queries.journal_counts(some))[0]
    assert counts["multichannel"] == len(found)
    assert counts["all"] > counts["multichannel"]


def test_times_are_local_ones(generation: Generation, asked: queries.Asked) -> None:
    page = queries.JournalPage(asked, size=50)
    for row in generation.rows(*page.query(replace(SHOWING, time_zone="Asia/Vladivostok"))):
        assert row["contacted_at"] - row["sort_time"].replace(tzinfo=None) == timedelta(hours=10)


def test_a_phone_is_found_however_it_is_written(generation: Generation, asked: queries.Asked) -> None:
    phone = generation.rows("select min(phone) as phone from journal where phone like '+79%'")[0]["phone"]

    def found(search: str, showing: queries.Showing = SHOWING) -> set[str]:
        rows = generation.rows(*queries.JournalPage(replace(asked, search=search), size=10_000).query(showing))
        return {row["phone"] for row in rows}

    digits = phone[2:]
    for written in (
        phone,
        f"8{digits}",
        f"8 ({digits[:3]}) {digits[3:6]}-{digits[6:8]}-{digits[8:]}",
        digits,
        f"7{digits}",
    ):
        assert found(written) == {phone}, written
    assert phone in found(digits[2:7])
    for beginning in (digits[:6], f"8{digits[:6]}", f"8 ({digits[:3]}) {digits[3:6]}", f"+7 {digits[:6]}"):
        assert phone in found(beginning), beginning
    # What is no phone is found as it was delivered, too.
    odd = generation.rows("select max(phone) as phone from journal where phone not like '+7%' and phone ~ '.*[0-9].*'")[
        0
    ]["phone"]
    assert odd in found(odd) and odd in found("".join(filter(str.isdecimal, odd)))
    # Where phones are hidden, no contact is found by digits.
    for search in (phone, digits[2:7], phone[-4:], "Анна 9", "９", "²"):
        assert found(search, MASKING) == set(), search


@pytest.fixture(scope="module")
def hidden(generation: Generation, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Generation:
    """The same with a phone in every text, all of them hidden."""
    file = with_phones_everywhere(site.publications.file(1), tmp_path_factory.mktemp("phones") / "marts.duckdb")
    return Published(file, threads=2, memory_limit="500MB", mask_phones=True).current()


PHONES = ("+78005550101", "+78005550102", "+78432005501", "+79168800123", "+380501234567", "8 800")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Generation:
    """A journal of a few contacts, a day apart from 2025-12-31 on, of one client."""
    file = tmp_path_factory.mktemp("few") / "marts.duckdb"
    with duckdb.connect(str(file)) as connection:
        statements = """
            create table _meta as select 1 as generation, '{"default_phone_region": "RU", "report_timezone": "UTC"}' as settings;
            create table _loads as select 1 as load_id, 'run' as run_id, now() as loaded_at;
            create table contact_counts as
            select 'w' as widget_id, 'call' as contact_type, day::date as contact_date, 2 as contact_count, 1 as multichannel_contact_count
            from range(date '2024-01-31', date '2027-01-31', interval 1 day) as days(day);
            create table journal as
            select 'c' || n as contact_id, 'client-c1' as client_id, 'call' as contact_type, timestamptz '2025-12-31 12:00Z' + to_days(n) as contacted_at,
                contacted_at::date as contact_date, n as contact_number, $phones[n] as phone, 'w' as widget_id, 'w' || (10 - n) as widget_name,
                'Анна' as client_name, 'Москва' as location, 0 as touch_count, 'no_touches' as icon, null as touch_chain, null as duration,
                null as final_group, null as value, n % 2 = 1 as is_multichannel
            from range(1, $count + 1) as numbers(n);
            create table client_history as from journal;
            create table channel_participation as
            select 'channel' as grain, 'w' as widget_id, 'call' as contact_type, date '2026-01-01' as contact_date, channel, 1 as contact_count,
                multichannel_contact_count, 1 as opened_count, 0 as assisted_count, 1 as closed_count, 1 as alone_count,
                0 as multichannel_opened_count, 0 as multichannel_assisted_count, 0 as multichannel_closed_count
            from (values ('a', 0), ('b', 1)) as channels(channel, multichannel_contact_count)
        """
        for statement in statements.split(";"):
            values = {"phones": list(PHONES), "count": len(PHONES)}
            connection.execute(statement, values if "$" in statement else None)
    return Published(file, threads=1, memory_limit="500MB").current()


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("8 800", {"+78005550101", "+78005550102", "+79168800123", "8 800"}),
        ("8 (800) 555", {"+78005550101", "+78005550102"}),
        ("+7 800", {"+78005550101", "+78005550102"}),
        ("800", {"+78005550101", "+78005550102", "+79168800123", "8 800"}),
        ("8 843", {"+78432005501"}),
        ("88", {"+78005550101", "+78005550102", "+78432005501", "+79168800123", "8 800"}),
        ("8 380", set()),
        ("380 50", {"+380501234567"}),
        ("8 800 555-01-02", {"+78005550102"}),
        ("0102", {"+78005550102"}),
    ],
)  # fmt: skip
def test_a_part_of_a_phone_finds_it_as_it_is_dialled_and_as_it_is_kept(
    few: Generation, search: str, found: set[str]
) -> None:
    """8 800 begins a number as it is dialled within the country, +7 800, and stands within others: but it loses one 8 only."""
    asked = queries.Asked((), date(2026, 1, 1), date(2026, 1, 31), search=search)
    rows = few.rows(*queries.JournalPage(asked).query(SHOWING))
    assert {row["phone"] for row in rows} == found


@pytest.mark.parametrize(
    ("first_day", "last_day", "points"),
    [
        ("2026-01-01", "2026-01-03", [("2026-01-01", 2), ("2026-01-02", 2), ("2026-01-03", 2)]),
        # The last days with days; a week begins on Monday, but not before the period.
        ("2026-01-01", "2026-04-03", [("2026-01-01", 2), ("2026-01-02", 2)]),
        ("2026-01-01", "2026-04-04", [("2026-01-01", 8), ("2026-01-05", 14), ("2026-01-12", 14)]),
        ("2026-01-05", "2026-04-12", [("2026-01-05", 14), ("2026-01-12", 14)]),
        ("2024-03-08", "2026-03-08", [("2024-03-08", 6), ("2024-03-11", 14)]),
        # And so does a month.
        ("2024-03-08", "2026-03-09", [("2024-03-08", 48), ("2024-04-01", 60)]),
        ("2024-02-01", "2026-03-09", [("2024-02-01", 58), ("2024-03-01", 62)]),
    ],
)
def test_the_first_point_of_a_period_is_its_first_day(
    few: Generation, first_day: str, last_day: str, points: list[tuple[str, int]]
) -> None:
    asked = queries.Asked((), date.fromisoformat(first_day), date.fromisoformat(last_day))
    rows = few.rows(*queries.multichannel_share(asked))
    assert [(str(row["day"]), row["contacts"]) for row in rows[: len(points)]] == points
    assert sum(row["contacts"] for row in rows) == 2 * ((asked.last_day - asked.first_day).days + 1)
    assert {row["share"] for row in rows} == {0.5}


def test_a_part_of_a_clients_contacts_begins_where_the_one_before_ended(hidden: Generation) -> None:
    """60 contacts in parts of 20: the 20th is the last of the first part, the 21st the first of the second."""
    contact = hidden.rows("select client_id from journal group by all having count(*) = 60")[0]
    first = hidden.rows(*queries.client(contact["client_id"], MASKING))[0]
    span = first["first_at"], first["last_at"]
    assert first["contact_count"] == 60
    numbers: list[int] = []
    for begin in (0, 20, 40):
        for is_multichannel in (True, False):
            rows = hidden.rows(
                *queries.client_contacts(contact["client_id"], span, MASKING, begin, 20, is_multichannel)
            )
            assert [row["contact_number"] for row in rows] == list(range(begin + 1, begin + 21))
        numbers += [row["contact_number"] for row in rows]
    assert numbers == list(range(1, 61))
    for number in (1, 20, 21, 60):
        assert hidden.rows(*queries.multichannel_before(contact["client_id"], number))[0]["contacts"] == number - 1


def test_contacts_that_are_not_multichannel_dont_count_for_the_part_of_the_tree(few: Generation) -> None:
    assert [few.rows(*queries.multichannel_before("client-c1", number))[0]["contacts"] for number in (1, 2, 3, 4)] == [
        0,
        1,
        1,
        2,
    ]
    assert few.rows(*queries.multichannel_before("client-c2", 4))[0]["contacts"] == 0


def test_the_tree_has_multichannel_contacts_only(generation: Generation) -> None:
    client = generation.rows(
        "select client_id, count(*) as contacts, count_if(is_multichannel) as multichannel from journal group by client_id "
        "having multichannel between 1 and contacts - 1 order by all limit 1"
    )[0]
    card = generation.rows(*queries.client(client["client_id"], SHOWING))[0]
    span = card["first_at"], card["last_at"]
    for is_multichannel, count in ((True, client["multichannel"]), (False, client["contacts"])):
        rows = generation.rows(*queries.client_contacts(client["client_id"], span, SHOWING, 0, 100, is_multichannel))
        assert len(rows) == count and all(row["is_multichannel"] for row in rows) is is_multichannel


def test_lists_have_what_was_asked_for_the_most_first(generation: Generation, asked: queries.Asked) -> None:
    """Chains, steps, channels and the touches of a contact, against the marts themselves."""
    for is_multichannel in (True, False):
        chains = generation.rows(*queries.chains(asked, is_multichannel, SHOWING))
        steps = generation.rows(*queries.steps(asked, is_multichannel, SHOWING))
        channels = generation.rows(*queries.participation(asked, is_multichannel, SHOWING))
        for rows, count in ((chains, "contacts"), (steps, "steps"), (channels, "took_part")):
            counts = [row[count] for row in rows]
            assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1] > 0, count
        if is_multichannel:
            assert all(row["multichannel"] == row["contacts"] for row in chains)
    assert any(row["multichannel"] == 0 for row in chains)
    contact = generation.rows("select contact_id from journal where is_multichannel order by touch_count desc limit 1")[
        0
    ]
    ranks = [row["touch_rank"] for row in generation.rows(*queries.touches([contact["contact_id"]], SHOWING))]
    assert ranks == list(range(1, len(ranks) + 1)) and len(ranks) > 2


def test_several_touches_of_one_channel_are_not_multichannel(few: Generation) -> None:
    asked = queries.Asked((), date(2026, 1, 1), date(2026, 1, 31), is_multichannel=True)
    rows = few.rows(*queries.JournalPage(asked, is_descending=False).query(SHOWING))
    assert [row["contact_id"] for row in rows] == ["c1", "c3", "c5"]


def test_channels_that_took_no_part_are_left_out(few: Generation) -> None:
    asked = queries.Asked((), date(2026, 1, 1), date(2026, 1, 31))
    for is_multichannel, channels in ((True, ["b"]), (False, ["a", "b"])):
        rows = few.rows(*queries.participation(asked, is_multichannel, SHOWING))
        assert [row["channel"] for row in rows] == channels


def test_a_site_is_named_as_it_was_last(few: Generation) -> None:
    assert few.rows(queries.widgets(SHOWING)) == [{"widget_id": "w", "widget_name": "w4"}]


def test_no_question_gives_a_hidden_phone(hidden: Generation) -> None:
    """Every question, over a file with a phone in every text; and every column of every table, whoever asks for it next."""
    days = hidden.remembered(queries.DAYS)[0]
    asked = queries.Asked((), days["first_day"], days["last_day"])
    models = [row["model"] for row in hidden.rows(queries.MODELS)]
    rows = hidden.rows(*queries.JournalPage(asked, size=10_000).query(MASKING))
    assert len(rows) > 300
    for contact in rows[::40]:
        found = hidden.rows(*queries.contact(contact["contact_id"], MASKING))[0]
        card = hidden.rows(*queries.client(found["client_id"], MASKING))
        span = card[0]["first_at"], card[0]["last_at"]
        contacts = hidden.rows(*queries.client_contacts(found["client_id"], span, MASKING, 0, 10))
        touches = hidden.rows(*queries.touches([each["contact_id"] for each in contacts], MASKING))
        assert contact["contact_id"] in {each["contact_id"] for each in contacts} or len(contacts) == 10
        assert list(traces(repr((found, card, contacts, touches)))) == []
    for question in (
        *(queries.participation(asked, of, MASKING) for of in (True, False)), queries.attribution(asked, models, MASKING),
        queries.performance(asked, "linear", MASKING), queries.chains(asked, True, MASKING), queries.steps(asked, False, MASKING),
        (queries.widgets(MASKING), {}), (queries.FAILED_LOADS, {}), (queries.REJECTED, {}), (queries.unmapped(MASKING), {}),
        (queries.large_clients(MASKING), {}), (queries.BUILDS, {"zone": "UTC"}),
    ):  # fmt: skip
        found = hidden.rows(*question)
        assert found and list(traces(repr(found))) == [], question[0]
    tables = [
        row["table_name"] for row in hidden.rows("select table_name from duckdb_tables() where table_name <> '_meta'")
    ]
    assert len(tables) > 20
    for table in tables:
        assert list(traces(repr(hidden.rows(f"from {table} limit 200")))) == [], table
        showing = hidden._fetched(f"from {table} limit 200")
        assert (
            not showing
            or table in ("metric_days", "_builds", "_changes", "_same_events", "_path_credits")
            or list(traces(repr(showing)))
        ), table


def test_hidden_phones_decide_no_order(hidden: Generation) -> None:
    """Sorted by what may hold a phone, or where all else is alike, contacts stand as if they held none."""
    days = hidden.remembered(queries.DAYS)[0]
    asked = queries.Asked((), days["first_day"], days["last_day"])
    for sort in queries.SORTS:
        page = queries.JournalPage(asked, sort, False, None, 97)
        found: list[dict[str, Any]] = []
        while rows := hidden.rows(*page.query(MASKING)):
            found += rows
            page = replace(page, after=queries.key_of(rows[-1]))
        assert len(found) == len({row["contact_id"] for row in found}) == hidden.row_counts["journal"] + COPIES, sort
        if sort in queries.TEXT_SORTS:
            assert not any(masking.has_digits(row["sort_value"]) for row in found), sort
            assert [row["sort_value"] for row in found] == sorted(row["sort_value"] for row in found), sort
    # What is alike stands in another order with another key, and lists do.
    orders = set()
    for key in ("1", "2", "3", "4"):
        showing = replace(MASKING, key=key)
        chains = hidden.rows(*queries.chains(asked, False, showing))
        card = hidden._fetched(
            *queries.client(hidden._fetched("select client_id from client_card limit 1")[0]["client_id"], showing)
        )
        orders.add((repr(chains), repr(card)))
    assert len(orders) > 1


def test_a_card_is_found_by_a_token_after_a_restart_and_by_no_phone(hidden: Generation) -> None:
    contact = hidden._fetched("select contact_id, widget_id from journal order by contact_id limit 1")[0]
    token = hidden.rows("select contact_id from journal order by contact_id limit 1")[0]["contact_id"]
    assert token.startswith("~") and token != contact["contact_id"]
    link = Path(hidden._fetched("select path from duckdb_databases() where database_name = 'marts'")[0]["path"])
    again = Published(link, threads=1, memory_limit="500MB", mask_phones=True).current()
    assert [row["contact_id"] for row in again.rows(*queries.contact(token, MASKING))] == [token]
    assert again.rows(*queries.contact(contact["contact_id"], MASKING)) == []
    assert again.rows(*queries.contact("~" + "a" * 32, MASKING)) == []
    shown = Published(link, threads=1, memory_limit="500MB").current()
    assert shown.rows(*queries.contact(contact["contact_id"], SHOWING))[0]["contact_id"] == contact["contact_id"]
    assert shown.rows(*queries.contact(token, SHOWING))[0]["contact_id"] == contact["contact_id"]


def test_a_hidden_phone_shows_only_whether_it_is_there(hidden: Generation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report.reporting.PHONE_SEARCHES", masking.Rate(3))
    settings = replace(ReportSettings.read(), mask_phones=True)
    phone = hidden._fetched("select min(phone) as phone from journal where phone like '+7%'")[0]["phone"]
    for typed, answer in (
        ("4567", "phone_not_whole"), (phone[:-1], "phone_not_whole"), (phone, "phone_found"), (f"8 {phone[2:]}", "phone_found"),
        ("+79990000001", "phone_not_found"), (phone, "phone_searches_used_up"), ("4567", "phone_not_whole"),
    ):  # fmt: skip
        # Another visitor each time.
        assert Report(hidden, Words("ru"), settings, 1).look_up(typed) == answer
        assert Words("ru")(answer)


def test_a_name_is_found_by_a_part_of_it(generation: Generation, asked: queries.Asked) -> None:
    name = generation.rows("select max(client_name) as name from journal where client_name like '% %'")[0]["name"]
    for search in (name, name.upper(), name.lower(), name[1:-1]):
        rows = generation.rows(*queries.JournalPage(replace(asked, search=search), size=10_000).query(SHOWING))
        assert rows and all(search.lower() in row["client_name"].lower() for row in rows)


def test_sums_and_ratios_are_the_marts_own(generation: Generation, asked: queries.Asked) -> None:
    """Ratios over several days are those of the sums, as the mart's are by day; sums are the mart's totals."""
    models = [row["model"] for row in generation.rows(queries.MODELS)]
    assert set(models) == {row["model"] for row in generation.rows("select distinct model from channel_performance")}
    by_channel: dict[str, list[dict[str, Any]]] = {}
    for row in generation.rows("from channel_performance where model = 'linear'"):
        by_channel.setdefault(row["channel"], []).append(row)
    told = {row["channel"]: row for row in generation.rows(*queries.performance(asked, "linear", SHOWING))}
    assert set(told) == set(by_channel)
    for channel, rows in by_channel.items():
        sums = {name: sum(row[name] for row in rows) for name in ("spend", "credited_contacts", "credited_value")}
        assert {name: told[channel][name] for name in sums} == sums
        is_paid = sums["spend"] > 0
        cost = float(sums["spend"] / sums["credited_contacts"]) if is_paid and sums["credited_contacts"] else None
        assert told[channel]["cost_per_contact"] == (cost and pytest.approx(cost))
        assert told[channel]["return_on_spend"] == (
            pytest.approx(float(sums["credited_value"] / sums["spend"])) if is_paid else None
        )
    assert {bool(row["spend"]) for row in told.values()} == {True, False}
    contacts = generation.row_counts["journal"]
    for model in models:
        assert (
            sum(row["credited_contacts"] for row in generation.rows(*queries.performance(asked, model, SHOWING)))
            == contacts
        )
    shares = generation.rows(*queries.attribution(asked, models, SHOWING))
    for number in range(len(models)):
        assert sum(row[f"model_{number}"] for row in shares) == contacts
    months = generation.rows(
        *queries.multichannel_share(replace(asked, first_day=asked.last_day - timedelta(days=2_000)))
    )
    assert sum(row["contacts"] for row in months) == contacts
    touched = generation.rows("select count(*) as contacts from journal where touch_count > 0")[0]["contacts"]
    assert sum(row["contacts"] for row in generation.rows(*queries.chains(asked, False, SHOWING))) == touched
    steps = generation.rows(*queries.steps(asked, False, SHOWING))
    assert sum(row["steps"] for row in steps if row["next_channel"] is None) == touched


def test_nobody_can_change_or_leave_the_published_file(generation: Generation, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for query in (
        f"from read_csv('{tmp_path}/secret.csv')",
        f"from '{tmp_path}/secret.csv'",
        "select * from glob('/*')",
        f"attach '{tmp_path}/other.duckdb'",
        f"copy journal to '{tmp_path}/out.csv'",
        f"export database '{tmp_path}/out'",
        "create table more as select 1",
        "delete from journal",
        "update journal set phone = ''",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set threads = 1",
        "set memory_limit = '100GB'",
        "set temp_directory = '/tmp'",
    ):
        with pytest.raises(duckdb.Error):
            generation.rows(query)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.csv"]
    assert generation.rows("select current_setting('TimeZone') as zone")[0]["zone"] == "UTC"


def test_every_value_reaches_the_file_as_a_parameter() -> None:
    """No text that somebody typed, or that stands in an address, is a part of a query."""
    marked = "mark'ed"
    asked = queries.Asked((marked,), date(2026, 1, 1), date(2026, 1, 2), (marked,), True, marked)
    zone = replace(SHOWING, time_zone=marked)
    page = queries.JournalPage(asked, after=(marked, marked, marked))
    questions = [
        page.query(zone), queries.journal_counts(asked), queries.contact(marked, zone), queries.client(marked, zone),
        queries.client_contacts(marked, (marked, marked), zone, 0, 10, True), queries.multichannel_before(marked, 1),  # type: ignore[arg-type]
        queries.touches([marked], zone), queries.participation(asked, True, zone), queries.attribution(asked, [marked, marked], zone),
        queries.performance(asked, marked, zone), queries.multichannel_share(asked), queries.chains(asked, True, zone),
        queries.steps(asked, True, zone),
    ]  # fmt: skip
    for query, values in questions:
        assert marked not in query
        assert set(re.findall(r"\$(\w+)", query)) == set(values)


def test_several_ask_at_once_and_what_was_opened_stays_readable(site: Site, tmp_path: Path) -> None:
    place = site.copy_to(tmp_path / "site")
    published = Published(place.publications.link, threads=2, memory_limit="500MB")
    before = published.current()
    assert published.current() is before
    place.load("--full-refresh")
    after = published.current()
    assert (before.number, after.number) == (1, 2)
    place.publications.file(1).unlink()
    counts: list[int] = []

    def ask(generation: Generation) -> None:
        counts.append(len(generation.rows("from journal")))

    threads = [threading.Thread(target=ask, args=(generation,)) for generation in (before, after) * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [len(after.rows("from journal"))] * 10


def test_a_file_of_the_same_name_is_another_file(site: Site, tmp_path: Path) -> None:
    """A warehouse that was made anew while the report runs begins with generation 1 again."""
    place = site.copy_to(tmp_path / "site")
    published = Published(place.publications.link, threads=2, memory_limit="500MB")
    before = published.current()
    file = place.publications.file(1)
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute(f"attach '{file}' as former (read_only)")
        connection.execute(
            "create table _meta as select * replace (date '2001-01-01' as data_through) from former._meta"
        )
    other.replace(file)
    after = published.current()
    assert after is not before and after.data_through == date(2001, 1, 1)
    assert len(before.rows("from journal")) > 0


def test_sites_of_the_same_name_are_told_apart(generation: Generation) -> None:
    report = Report(generation, Words("ru"), ReportSettings.read(), 1)
    generation._remembered[queries.widgets(report.showing)] = [
        {"widget_id": "w1", "widget_name": "Окна"}, {"widget_id": "w2", "widget_name": "Окна"}, {"widget_id": "w3", "widget_name": "Двери"},
    ]  # fmt: skip
    try:
        assert report.widgets == {"w1": "Окна (w1)", "w2": "Окна (w2)", "w3": "Двери"}
    finally:
        del generation._remembered[queries.widgets(report.showing)]


@pytest.mark.parametrize(
    ("texts", "chosen"),
    [
        (["2026-03-02", "2026-03-04"], ("2026-03-02", "2026-03-04")),
        (["2026-03-02"], ("2026-03-02",)),
        (["2020-01-01", "2026-03-02"], ("2026-03-01", "2026-03-02")),
        (["2026-03-05", "2099-01-01"], ("2026-03-05", "2026-03-09")),
        *((texts, ("2026-03-03", "2026-03-09")) for texts in (
            ["2020-01-01", "2020-01-02"], ["2099-01-01", "2099-01-02"], ["2026-03-04", "2026-03-02"], ["2026-02-30", "2026-03-01"],
            ["2026-03-01"] * 3, [""], ["yesterday"],
        )),
    ],
)  # fmt: skip
def test_a_period_of_an_address_is_one_that_the_data_has_or_the_usual_one(
    texts: list[str], chosen: tuple[str, ...]
) -> None:
    first, last, usual = date(2026, 3, 1), date(2026, 3, 9), (date(2026, 3, 3), date(2026, 3, 9))
    choice = period(first, last, usual)
    value = choice.read(texts)
    allowed = usual if value is None else choice.allowed(value)
    assert tuple(map(str, allowed)) == chosen
    assert choice.read(choice.write(allowed)) == allowed


def test_without_a_published_file_there_is_a_word_for_it(tmp_path: Path) -> None:
    with pytest.raises(NothingPublishedError):
        Published(tmp_path / "marts.duckdb", threads=1, memory_limit="500MB").current()


# Words


@pytest.fixture(scope="module")
def sources() -> Iterator[str]:
    yield "\n".join(path.read_text("utf-8") for path in (PROJECT_DIR / "report").glob("*.py"))


def test_every_word_is_there_in_both_languages_and_is_said_somewhere(sources: str, generation: Generation) -> None:
    of_marts = {
        "contact_type": queries.CONTACT_TYPES,
        "icon": ("multichannel", "single_channel", "no_touches"),
        "icon_label": ("multichannel", "single_channel", "no_touches"),
        "reason": ("no_touches", "one_touch", "one_channel"),
        "action": ("click", "visit"),
        "model": [row["model"] for row in generation.rows(queries.MODELS)],
        "axis": ("day", "week", "month"),
        "outcome": ("passed", "published", "failed", "started", "interrupted"),
        "kind": ("site", "referring_site", "tags"),
        "told_by": (
            "tags",
            "click_id",
            "advertising_host",
            "search_engine",
            "social_network",
            "referring_site",
            "direct",
        ),
        # Of the report's own.
        "page": ("journal", "card", "channels", "chains", "data"),
        "column": ("took_part", "opened", "assisted", "closed", "alone"),
        "touch": ("utm_source", "utm_medium", "utm_campaign", "utm_term", "landing_page"),
    }
    composed = {f"{kind}_{word}" for kind, words in of_marts.items() for word in words} | {
        "failed_update",
        "interrupted_update",
    }
    assert composed <= set(all_words())
    for name, languages in all_words().items():
        assert set(languages) == set(NATIVE_NAMES) and all(languages.values()), name
        placeholders = {
            frozenset(re.findall(r"\{(\w+)\}", text))
            for said in languages.values()
            for text in (said.values() if isinstance(said, dict) else [said])
        }
        assert len(placeholders) == 1, name
        assert re.search(rf"[\"']{name}[\"']", sources) or name in composed, name
    # The other way round: no word is asked for that isn't there.
    asked = set(re.findall(r'words(?:[.]count)?\(\s*"(\w+)"', sources))
    assert len(asked) > 50 and asked <= set(all_words()), asked - set(all_words())


def test_numbers_days_and_counts_are_written_as_each_language_does() -> None:
    russian, english = Words("ru"), Words("en")
    assert russian.number(1_234_567).replace("\u00a0", " ") == "1 234 567" and english.number(1_234_567) == "1,234,567"
    assert russian.fixed(1.25, 1) == "1,2" and english.fixed(1.25, 1) == "1.2"
    assert russian.percent(0.125).replace("\u00a0", " ") == "12,5 %" and english.percent(0.125) == "12.5%"
    assert russian.money(1234.5, "RUB").replace("\u00a0", " ") == "1 234,50 ₽"
    assert russian.day(date(2026, 3, 1)) == "01.03.2026" and english.day(date(2026, 3, 1)) == "Mar 1, 2026"
    touches = [russian.count("touch_count", number) for number in (1, 2, 5, 11, 21, 104)]
    assert touches == ["1 касание", "2 касания", "5 касаний", "11 касаний", "21 касание", "104 касания"]
    assert [english.count("touch_count", number) for number in (1, 2)] == ["1 touch", "2 touches"]
    assert russian.duration(3_725) == "1:02:05" and russian.duration(59) == "0:59"


# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REPORT_PORT", "http"), ("REPORT_PORT", "0"), ("REPORT_PORT", "65536"), ("REPORT_LANGUAGE", "de"), ("REPORT_MEMORY_LIMIT", "much"),
        ("REPORT_MEMORY_LIMIT", "1MB"), ("MASK_PHONES", "maybe"), ("REPORT_NAMES", "https://report.example"),
    ],
)  # fmt: skip
def test_a_setting_that_means_nothing_is_reported_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name} = '{value}': "):
        ReportSettings.read()


def test_settings_are_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "REPORT_HOST": "",
        "REPORT_PORT": "",
        "REPORT_NAMES": "",
        "REPORT_LANGUAGE": "",
        "REPORT_MEMORY_LIMIT": "",
        "MASK_PHONES": "",
    }
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    usual = ReportSettings("127.0.0.1", 8501, ("127.0.0.1", "localhost", "::1"), "ru", "1GB", False)
    assert ReportSettings.read() == usual
    monkeypatch.setenv("REPORT_HOST", "0.0.0.0")
    assert ReportSettings.read() == replace(usual, host="0.0.0.0", names=())
    for name, value in {
        "REPORT_NAMES": "Report.example, *.b.example",
        "MASK_PHONES": "True",
        "REPORT_MEMORY_LIMIT": "20%",
    }.items():
        monkeypatch.setenv(name, value)
    names = ("report.example", "*.b.example", *usual.names)
    assert ReportSettings.read() == replace(usual, host="0.0.0.0", names=names, mask_phones=True, memory_limit="20%")


def test_a_report_that_cannot_begin_says_so_in_a_line() -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "report", "--port", "99999"], cwd=PROJECT_DIR, capture_output=True, text=True
    )
    assert outcome.returncode == 1
    assert outcome.stderr == "REPORT_PORT = '99999': write a whole number from 1 to 65535, like 8501.\n"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "0.0.0.0"),
        pytest.param("::", marks=pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")),
    ],
)
def test_a_taken_port_is_said_before_anything_else(tmp_path: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = subprocess.run(
            [sys.executable, "-m", "report"],
            cwd=PROJECT_DIR,
            env=os.environ | {"WAREHOUSE_DIR": str(tmp_path), "REPORT_HOST": host, "REPORT_PORT": str(port)},
            capture_output=True,
            text=True,
        )
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        f"Port {port} is taken, perhaps by another report: choose one with REPORT_PORT={port + 1}\n"
    )
