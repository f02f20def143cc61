"""What the report asks of the published file: pages by key, searches, ratios, masks, a locked connection; and its words."""

import re
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
from processes import Site, made_once

from orchestration.settings import PROJECT_DIR, ReportSettings, SettingsError
from report import queries
from report.choices import period
from report.published import Generation, NothingPublishedError, Published
from report.reporting import Report
from report.words import NATIVE_NAMES, Words, all_words

SHOWING = queries.Showing("Europe/Moscow", "RU", mask_phones=False)
MASKING = replace(SHOWING, mask_phones=True)


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
    widgets = [row["widget_id"] for row in generation.rows(queries.WIDGETS)]
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
    # Nobody finds out a masked number piece by piece.
    assert found(phone, MASKING) == {f"•••{phone[-4:]}"} == found(phone[-4:], MASKING)
    assert found(digits[2:7], MASKING) == found(phone[-5:], MASKING) == found(phone[-3:], MASKING) == set()


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
    told = {row["channel"]: row for row in generation.rows(*queries.performance(asked, "linear"))}
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
        assert sum(row["credited_contacts"] for row in generation.rows(*queries.performance(asked, model))) == contacts
    shares = generation.rows(*queries.attribution(asked, models))
    for number in range(len(models)):
        assert sum(row[f"model_{number}"] for row in shares) == contacts
    months = generation.rows(
        *queries.multichannel_share(replace(asked, first_day=asked.last_day - timedelta(days=2_000)))
    )
    assert sum(row["contacts"] for row in months) == contacts
    touched = generation.rows("select count(*) as contacts from journal where touch_count > 0")[0]["contacts"]
    assert sum(row["contacts"] for row in generation.rows(*queries.chains(asked, False))) == touched
    steps = generation.rows(*queries.steps(asked, False))
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
        queries.touches([marked], zone), queries.participation(asked, True), queries.attribution(asked, [marked, marked]),
        queries.performance(asked, marked), queries.multichannel_share(asked), queries.chains(asked, True), queries.steps(asked, True),
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
    generation._remembered[queries.WIDGETS] = [
        {"widget_id": "w1", "widget_name": "Окна"}, {"widget_id": "w2", "widget_name": "Окна"}, {"widget_id": "w3", "widget_name": "Двери"},
    ]  # fmt: skip
    try:
        assert report.widgets == {"w1": "Окна (w1)", "w2": "Окна (w2)", "w3": "Двери"}
    finally:
        del generation._remembered[queries.WIDGETS]


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
def test_a_setting_that_means_nothing_is_told_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
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
