"""The HTTP sources by the commands and jobs that people run: from servers that misbehave to the published journal."""

import base64
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_plus
from zoneinfo import ZoneInfo

import pytest
import yaml
from fetches import DAY, MORNING, TOKEN_VARIABLE, Fetches, settings_for, source_for
from forks import for_commands
from misbehaving_servers import (
    FOREVER,
    Answer,
    Eavesdropper,
    Fault,
    StandIn,
    cut_off,
    hour_twice,
    html,
    page_repeats,
    redirect,
    reset,
    server_error,
    slow,
    too_many_requests,
    wrong_total,
)
from places import Place, build_marts, built_marts, load_landing
from processes import PATIENCE_SECONDS, Finished, Site, finished, python
from stand_ins import CalltouchStandIn, MangoStandIn, MetricaStandIn
from vendor_records import calltouch_call, calltouch_form, calltouch_visit, mango_call, metrica_visit

from pipeline.landing import scan
from pipeline.settings import Rules
from sources.fetching import due_days
from sources.source import Source

A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)
NEXT_DAY = DAY + A_DAY
YANDEX_ID = "1700000000999999999"


# As a vendor might make them: each is written in another way in addresses, and in base64.
TOKENS = {
    f"{name.upper()}_TOKEN": f"{name}+hush/{number}aZ=="
    for number, name in enumerate(("mango", "calltouch", "metrica"), start=71)
}
DATABASE_VARIABLE, DATABASE_WORD = "DATABASE_ADDRESS", "database+hush/74"
DATABASE_ADDRESS = f"postgresql://reader:{quote(DATABASE_WORD, safe='')}@127.0.0.1:1/crm"


@dataclass(frozen=True)
class SourcesSite(Site):
    """A site with a sources.yml of its own, whose runs Dagster remembers."""

    def environment(self) -> dict[str, str]:
        return super().environment() | self.own_environment()

    def own_environment(self) -> dict[str, str]:
        own = {"SOURCES_FILE": str(self.folder / "sources.yml"), "DAGSTER_HOME": str(self.folder / "dagster")}
        folders = {"LANDING_DIR": str(self.landing), "WAREHOUSE_DIR": str(self.warehouse.folder)}
        return own | folders | TOKENS | {DATABASE_VARIABLE: DATABASE_ADDRESS}

    def name_sources(self, **sources: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sources.yml").write_text(yaml.safe_dump(sources, allow_unicode=True), "utf-8")

    def rows(self, query: str) -> list[dict[str, Any]]:
        names = [row[0] for row in self.published(f"describe {query}")]
        return [dict(zip(names, row, strict=True)) for row in self.published(query)]


def named(stand_in: StandIn, **changed: Any) -> dict[str, Any]:
    """Its settings, with a token of its own."""
    settings = settings_for(stand_in, **changed)
    variable = f"{settings['kind'].upper()}_TOKEN"
    stand_in.token = TOKENS[variable]
    return settings | {"token_variable": variable}


@dataclass(frozen=True)
class Told:
    """What the commands said on the way from three servers to a journal."""

    site: SourcesSite
    fetched: Finished
    loaded: Finished


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    site = SourcesSite(tmp_path_factory.mktemp("told"))
    with MangoStandIn() as mango, CalltouchStandIn() as calltouch, MetricaStandIn() as metrica:
        site.name_sources(
            mango=named(mango, site="okna-msk"),
            calltouch=named(calltouch, page_size=2, site="okna-msk"),
            metrica=named(metrica, site="okna-msk"),
        )
        tell_mango(mango)
        tell_calltouch(calltouch)
        tell_metrica(metrica)
        days = ("--from", str(DAY), "--to", str(NEXT_DAY))
        yield Told(site, site.run("fetch", *days), site.load("-v"))


def mango_calls() -> list[dict[str, Any]]:
    misspelt = mango_call(1, MORNING, newField={"scores": [1, 2]}, yaCid=None, gaCid="GA1.2.55.66")
    misspelt["callerNumer"] = misspelt.pop("callerNumber")
    return [
        misspelt,
        mango_call(
            2, datetime(2026, 3, 10, 21, 0, tzinfo=UTC), duration="две минуты", city={"name": "Москва"}, gaCid=""
        ),
        mango_call(3, MORNING + A_DAY, yaCid=YANDEX_ID, gaCid="GA1.2.77.88", isDuplicate=True),
        mango_call(4, MORNING, callId=None),
        mango_call(5, dateStart="вчера"),
    ]


def tell_mango(mango: MangoStandIn) -> None:
    mango.calls = mango_calls()
    mango.misbehave(too_many_requests())
    mango.misbehave(cut_off(500))
    mango.misbehave(html())
    mango.misbehave(hour_twice())


UNKNOWN = "<не указано>"


def calltouch_calls() -> list[dict[str, Any]]:
    return [
        calltouch_call(
            1, MORNING + 3 * AN_HOUR, clientId="55.66", callerNumber="79169999999", city=UNKNOWN, mapVisits=[]
        ),
        calltouch_call(2, MORNING + 2 * AN_HOUR, uniqueCall="false"),
        calltouch_call(3, MORNING + 4 * AN_HOUR, callerNumber=None, duration=None, mapVisits=None),
        calltouch_call(4, MORNING + 5 * AN_HOUR, callId=None),
    ]


def calltouch_forms() -> list[dict[str, Any]]:
    person = {"yaClientId": YANDEX_ID, "guaClientId": "77.88", "ctClientId": 42}
    visit = calltouch_visit(
        7, MORNING + 6 * AN_HOUR, **person, utmSource="google", utmMedium="cpc", utmCampaign=UNKNOWN
    )
    return [
        calltouch_form(7, MORNING + 7 * AN_HOUR, **person, session=visit, mapVisits=[visit]),
        calltouch_form(8, MORNING, siteId=999),
    ]


def tell_calltouch(calltouch: CalltouchStandIn) -> None:
    calltouch.calls, calltouch.forms = calltouch_calls(), calltouch_forms()
    calltouch.misbehave(server_error(500), 2)
    calltouch.misbehave(page_repeats())
    calltouch.misbehave(reset(), path="requests")


def tell_metrica(metrica: MetricaStandIn) -> None:
    metrica.part_count, metrica.max_possible_day_quantity = 2, -3
    metrica.visits = [
        metrica_visit(
            1,
            MORNING,
            clientID=YANDEX_ID,
            startURL="https://okna.example/?utm_source=vk&utm_medium=social&a=1\tb\n'",
            UTMMedium="social",
        ),
        metrica_visit(2, MORNING - 6 * AN_HOUR),
        metrica_visit(3, MORNING, visitID=""),
    ]
    metrica.raw_lines = {1: ["not\tenough"]}
    metrica.misbehave(server_error(503), path="evaluate")
    metrica.misbehave(cut_off(200), path="part/0/download")


MSK = {"widget_id": "okna-msk", "widget_name": "Окна Столица — Москва", "brand_id": "okna"}
YANDEX = "yandex / cpc"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{text}+00:00")


def journal_row(
    contact_id: str, client: str, contacted_at: str, *touches: tuple[str, str], **told: Any
) -> dict[str, Any]:
    """A contact as the journal has it, with the touches that count: when and by which channel."""
    channels = [channel for _, channel in touches]
    distinct = sorted(set(channels))
    chain, is_multichannel = " > ".join(channels) or None, len(distinct) > 1
    collapsed = " > ".join(dict.fromkeys(channels)) or None
    times = [moment(when) for when, _ in touches]
    reason = "no_touches" if not touches else "one_touch" if len(touches) == 1 else "one_channel"
    at = moment(contacted_at)
    return MSK | {
        "contact_id": contact_id,
        "client_id": f"client-{client}",
        "contact_type": "call",
        "contacted_at": at,
        "contact_date": (at + 3 * AN_HOUR).date(),
        "contact_number": 1,
        "client_name": "неизвестно",
        "phone": None,
        "location": "Москва",
        "is_multichannel": is_multichannel,
        "icon": "multichannel" if is_multichannel else "single_channel" if touches else "no_touches",
        "touch_count": len(touches),
        "channel_count": len(distinct),
        "channels": distinct or None,
        "touch_chain": chain,
        "first_touch_at": min(times, default=None),
        "last_touch_at": max(times, default=None),
        "final_group": None,
        "is_unique": True,
        "call_page": "https://okna.example/kontakty",
        "duration": 134,
        "value": None,
        "not_multichannel_reason": None if is_multichannel else reason,
        "collapsed_chain": collapsed,
        "unique_chain": collapsed,
        "later_touch_count": 0,
        "earlier_touch_count": 0,
        "left_out_direct_count": 0,
    } | told  # fmt: skip


def attributes(record: dict[str, Any], *told: str) -> dict[str, str]:
    """What a journal keeps of a vendor's record beside what its columns tell."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for name, value in record.items()
        if name not in told and value not in ("", None)
    }


def assert_journal(site: SourcesSite, prefix: str, expected: list[dict[str, Any]]) -> None:
    rows = site.rows(f"from journal where contact_id like '{prefix}%' order by contacted_at")
    for row in rows:
        row["attributes"] = json.loads(row["attributes"])
    assert rows == expected


def test_from_mangos_server_to_the_journal(told: Told) -> None:
    own = ("callId", "duration", "uid", "gaCid", "yaCid", "city", "url")
    first, second, third = mango_calls()[:3]
    assert_journal(
        told.site,
        "mango:",
        [
            journal_row(
                "mango:777:MToxMDA1", "mango:777:MToxMDA1", "10 07:05", ("10 07:04:59", YANDEX),
                phone="+79160000001", attributes=attributes(first, *own),
            ),
            # A length of time in words is none; a structure is told as it is. Midnight is of the day that begins.
            journal_row(
                "mango:777:MToxMDA2", "calltouch:123:700002", "10 21:00",
                ("10 01:05:20", YANDEX), ("10 08:45:20", YANDEX), ("10 20:59:59", YANDEX),
                contact_number=2, phone="+79160000002", location='{"name":"Москва"}', duration=None,
                attributes=attributes(second, *own),
            ),
            journal_row(
                "mango:777:MToxMDA3", "calltouch:123:form:800007", "11 07:05",
                ("10 07:05:20", "vk / social"), ("10 13:05:20", "google / cpc"), ("11 07:04:59", YANDEX),
                contact_number=2, phone="+79160000003", is_unique=False, attributes=attributes(third, *own),
            ),
        ],
    )  # fmt: skip
    assert "newField" in attributes(first) and "callerNumer" in attributes(first)
    for said in ("answered 429", "broke off", "answered HTML, where JSON is expected"):
        assert said in told.fetched.progress
    assert "mango, calls: not delivered: 1 delivered twice" in told.fetched.progress
    assert told.fetched.table_row("mango") == ["mango", "calls", str(DAY), "delivered", "3", "", "not given"]


def test_from_calltouchs_server_to_the_journal(told: Told) -> None:
    own = (
        "callId",
        "duration",
        "callerNumber",
        "uniqueCall",
        "city",
        "clientId",
        "yaClientId",
        "ctClientId",
        "mapVisits",
    )
    first, second, third = calltouch_calls()[:3]
    form, _ = calltouch_forms()
    first_kept, second_kept, third_kept = (attributes(call, *own, "keyword") for call in (first, second, third))
    assert_journal(
        told.site,
        "calltouch:",
        [
            journal_row(
                "calltouch:123:700002", "calltouch:123:700002", "10 09:05:20", ("10 01:05:20", YANDEX), ("10 08:45:20", YANDEX),
                phone="+79160000002", location="Санкт-Петербург", is_unique=False, later_touch_count=1, attributes=second_kept,
            ),
            # Google's id alone tells that it is who called by MANGO.
            journal_row(
                "calltouch:123:700001", "mango:777:MToxMDA1", "10 10:05:20", ("10 07:04:59", YANDEX),
                contact_number=2, phone="+79169999999", location="(undefined)", attributes=first_kept,
            ),
            journal_row(
                "calltouch:123:700003", "calltouch:123:700003", "10 11:05:20",
                location="Санкт-Петербург", duration=None, attributes=third_kept,
            ),
            journal_row(
                "calltouch:123:form:800007", "calltouch:123:form:800007", "10 14:05:20",
                ("10 07:05:20", "vk / social"), ("10 13:05:20", "google / cpc"),
                contact_type="form", client_name="Мария Ёлкина", phone="+79160000007", location="Санкт-Петербург",
                is_unique=None, call_page=form["session"]["url"], duration=None, later_touch_count=1,
                attributes=attributes(form, "mapVisits"),
            ),
        ],
    )  # fmt: skip
    assert told.fetched.table_row("calltouch") == [
        *("calltouch", "calls", str(DAY), "delivered", "4", "", "all 4 records")
    ]


def test_from_metricas_server_to_the_journal(told: Told) -> None:
    """Visits are no contacts: they are in what led to one."""
    assert [
        {name: row[name] for name in ("contact_id", "touch_rank", "touched_at", "landing_page", "utm_source", "visit_duration", "device_type")}
        for row in told.site.rows("from interaction_history where touch_id like 'metrica:%' order by contact_id")
    ] == [
        {
            "contact_id": contact,
            "touch_rank": 1,
            "touched_at": moment("10 07:05:20"),
            "landing_page": "https://okna.example/?utm_source=vk&utm_medium=social&a=1\tb\n'",
            "utm_source": "vk",
            "visit_duration": 95,
            "device_type": "desktop",
        }
        for contact in ("calltouch:123:form:800007", "mango:777:MToxMDA3")
    ]  # fmt: skip
    # Every row that can't be read is set aside, counted, and can be looked at.
    rejected = told.site.private(
        """
        select table_name, split_part(file_name, '/', -1), reason, count(*)
        from raw.rejected_rows inner join raw.loads using (load_id) group by all order by all
        """
    )
    assert rejected == [
        ("contacts", "calltouch-calls.parquet", "missing_contact_id", 1),
        ("contacts", "mango-calls.parquet", "missing_contact_id", 1),
        ("contacts", "mango-calls.parquet", "unreadable_contacted_at", 1),
        ("touches", "mango-call_visits.parquet", "missing_touch_id", 1),
        ("touches", "mango-call_visits.parquet", "unreadable_touched_at", 1),
        ("touches", "metrica-visits.parquet", "missing_touch_id", 2),
    ]
    assert "rejected: touches, missing_touch_id: 3" in told.loaded.said
    # A day without visits counts as loaded (R9).
    assert told.site.published("select data_through from _meta") == [(NEXT_DAY,)]


def test_one_person_over_three_sources_is_one_client(told: Told) -> None:
    (card,) = told.site.rows("from client_card where client_id = 'client-calltouch:123:form:800007'")
    assert (card["contact_count"], card["multichannel_contact_count"], card["phone"]) == (2, 2, "+79160000003")
    assert card["phones"] == ["+79160000003", "+79160000007"]
    chains = told.site.published(
        f"select contact_id, touch_chain, touch_count from journal where client_id = '{card['client_id']}' order by contacted_at"
    )
    assert chains == [
        ("calltouch:123:form:800007", "vk / social > google / cpc", 2),
        ("mango:777:MToxMDA3", "vk / social > google / cpc > yandex / cpc", 3),
    ]
    assert told.site.published("select count(*) from client_card") == [(4,)]


# Days that are fetched while they go on, and again


class Nights:
    """A warehouse that is updated night by night, in a process that takes another day for today."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, sources: list[Source]) -> None:
        self.place, self.fetches, self.sources, self.monkeypatch = Place(folder), Fetches(folder), sources, monkeypatch

    def fetch(self, today: date, *days: date) -> None:
        """What is due, or what is asked for."""
        self.monkeypatch.setattr(Rules, "today", lambda rules: today)
        rules = Rules.read()
        for source in self.sources:
            asked = days or due_days(source, rules, self.fetches.landing)
            latest = today - timedelta(days=source.latest_day_offset)
            results = self.fetches.fetch(source, *(day for day in asked if day <= latest))
            assert {fetched.problem for fetched in results.values()} <= {None}

    def load(self) -> set[date]:
        loads = load_landing(self.place.warehouse, self.fetches.landing, Rules.read())
        build_marts(self.place.warehouse, Rules.read())
        return {load.day for load in loads}

    def marts(self) -> dict[str, list[str]]:
        return {mart: sorted(map(repr, rows)) for mart, rows in built_marts(self.place.warehouse).items()}


def test_days_that_are_fetched_while_they_go_on_end_as_if_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, token in TOKENS.items():
        monkeypatch.setenv(variable, token)
    first, second, third = DAY, DAY + A_DAY, DAY + 2 * A_DAY
    with MangoStandIn() as mango, CalltouchStandIn() as calltouch, MetricaStandIn() as metrica:
        metrica.today = third + 9 * A_DAY
        stand_ins = (mango, calltouch, metrica)
        sources = [source_for(stand_in, **named(stand_in), reload_days=3) for stand_in in stand_ins]
        nights = Nights(tmp_path / "nights", monkeypatch, sources)

        # In the first day, while it goes on; load waits for the day.
        mango.calls = [mango_call(1, MORNING)]
        calltouch.calls = [calltouch_call(2, MORNING)]
        metrica.visits = [metrica_visit(1, MORNING - AN_HOUR, pageViews=1, visitDuration=5)]
        nights.fetch(first, first)
        assert load_landing(nights.place.warehouse, nights.fetches.landing, Rules.read()) == []

        # The night after: a call came late in the day, another goes on into the second day.
        mango.calls += [mango_call(3, MORNING + 13 * AN_HOUR, duration=1), mango_call(4, MORNING + 16 * AN_HOUR)]
        calltouch.forms = [calltouch_form(5, MORNING + 2 * AN_HOUR)]
        nights.fetch(second)
        assert nights.load() == {first - 2 * A_DAY, first - A_DAY, first}
        assert len(built_marts(nights.place.warehouse)["journal"]) == 4

        # Then calls are corrected, one is told of late, and visits have grown.
        mango.calls[1] = mango_call(3, MORNING + 13 * AN_HOUR, duration=600, isDuplicate=True)
        mango.calls.append(mango_call(6, MORNING + AN_HOUR))
        calltouch.calls[0] = calltouch_call(2, MORNING, duration="7", mapVisits=[])
        calltouch.calls.append(calltouch_call(2, MORNING + A_DAY, callId="700012"))
        metrica.visits[0] = metrica_visit(
            1, MORNING - AN_HOUR, pageViews=9, visitDuration=900, endURL="https://okna.example/9"
        )
        metrica.visits.append(metrica_visit(3, MORNING + A_DAY))
        nights.fetch(third)
        nights.fetch(third + A_DAY)
        assert nights.load() == {first, second, third}

        once = Nights(tmp_path / "once", monkeypatch, sources)
        once.fetch(third + A_DAY, first - 2 * A_DAY, first - A_DAY, first, second, third)
        once.load()
    assert once.fetches.contents() == nights.fetches.contents()
    assert once.marts() == nights.marts()
    journal = {row["contact_id"]: row for row in built_marts(once.place.warehouse)["journal"]}
    assert journal["mango:777:MToxMDA3"]["duration"] == 600
    assert len(journal) == 7


def test_a_day_that_was_fetched_while_it_went_on_is_due_however_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, StandIn.token)
    rules, fetches = Rules.read(), Fetches(tmp_path)
    today = rules.today()
    with MangoStandIn() as mango:
        source = source_for(mango, reload_days=1)
        days = [today - number * A_DAY for number in (6, 4, 0)]
        fetches.fetch(source, *days)
        before = fetches.files()
        assert fetches.outcomes(source, *days) == {"unchanged"}
        assert fetches.files() == before
        assert due_days(source, rules, fetches.landing) == tuple(today - number * A_DAY for number in (5, 3, 2, 1))

        monkeypatch.setattr(Rules, "today", lambda rules: today + 4 * A_DAY)
        assert today in due_days(source, rules, fetches.landing)
        # As if it had come after its day: the clock of files can't be set ahead, so they are taken for older.
        early = (today - 6 * A_DAY) - A_DAY
        for file in fetches.landing.glob(f"*/{days[0]}/*"):
            os.utime(file, (time.time() - 6.5 * 86400,) * 2)
        assert days[0] in due_days(source, rules, fetches.landing)
        assert fetches.outcomes(source, days[0]) == {"unchanged"}
        assert days[0] not in due_days(source, rules, fetches.landing)
        assert early not in due_days(source, rules, fetches.landing)


@pytest.mark.parametrize(
    "now, due",
    (
        # In Vladivostok it is the 12th, in Moscow the 11th goes on.
        (datetime(2026, 3, 11, 18, 0, tzinfo=UTC), (8, 9, 10)),
        (datetime(2026, 3, 11, 21, 0, tzinfo=UTC), (9, 10, 11)),
    ),
)
def test_a_counter_in_another_zone_is_asked_for_the_days_that_are_over_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, now: datetime, due: tuple[int, ...]
) -> None:
    monkeypatch.setattr(Rules, "today", lambda rules: now.astimezone(ZoneInfo(rules.report_timezone)).date())
    rules = Rules.read({"report_timezone": "Asia/Vladivostok"})
    with MetricaStandIn() as metrica:
        source = source_for(metrica, time_zone="Europe/Moscow")
    assert due_days(source, rules, tmp_path) == tuple(date(2026, 3, day) for day in due)


@pytest.mark.parametrize("zone", ("Asia/Vladivostok", "America/New_York"))
def test_a_day_is_whole_when_it_is_over_in_its_sources_zone_and_the_reports(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, zone: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, StandIn.token)
    fetches, day = Fetches(tmp_path), Rules.read().yesterday() - 5 * A_DAY
    with CalltouchStandIn() as calltouch:
        source = source_for(calltouch, time_zone=zone)
        fetches.fetch(source, day)
    ends = [datetime.combine(day + A_DAY, time_of_day(), ZoneInfo(name)) for name in (zone, "Europe/Moscow")]
    for late, is_due in ((-1, True), (0, False)):
        for file in fetches.landing.glob(f"*/{day}/*"):
            os.utime(file, (max(ends).timestamp() + late,) * 2)
        assert (day in due_days(source, fetches.rules, fetches.landing)) == is_due


def test_days_of_which_only_a_part_came_are_due_from_the_first_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, StandIn.token)
    fetches, last = Fetches(tmp_path), Rules.read().yesterday()
    days = [last - number * A_DAY for number in (5, 4, 3)]
    with CalltouchStandIn() as calltouch:
        source = source_for(calltouch, attempts=1, reload_days=1)
        calltouch.misbehave(server_error(), 1, "requests")
        fetches.fetch(source, *days)
    assert due_days(source, fetches.rules, fetches.landing) == (days[0], last - 2 * A_DAY, last - A_DAY, last)
    # No day before `first_load_day` can be loaded.
    rules = Rules.read({"first_load_day": str(days[1])})
    assert due_days(source, rules, fetches.landing) == (last - 2 * A_DAY, last - A_DAY, last)


# Complete or absent


def fetch_and_die(environment: dict[str, str], step: int) -> None:
    """Killed at a step of writing files: before a copy is on disk, before it has its name, or before the folder knows."""
    from sources import delivering

    done = 0

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal done
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)

        return call

    delivering.sync = deadly(delivering.sync)
    delivering.os = SimpleNamespace(replace=deadly(os.replace))  # type: ignore[assignment]
    fetch_a_month(environment)


def fetch_a_month(environment: dict[str, str]) -> None:
    from cli import app as cli

    os.environ.clear()
    os.environ |= environment
    sys.argv = ["multichannel", "fetch", "--from", "2026-03-10", "--to", "2026-03-13"]
    cli.main()


def test_a_fetch_that_is_killed_leaves_whole_files_or_none(tmp_path: Path) -> None:
    site, whole = SourcesSite(tmp_path / "killed"), SourcesSite(tmp_path / "whole")
    with CalltouchStandIn() as calltouch:
        calltouch.calls = [calltouch_call(number, MORNING + number * 8 * AN_HOUR) for number in range(12)]
        for each in (site, whole):
            each.name_sources(calltouch=named(calltouch))
        assert whole.run("fetch", "--from", "2026-03-10", "--to", "2026-03-13").exit_code == 0
        expected = files_of(whole)
        assert len(expected) == 12
        leftovers, counts = 0, []
        calltouch.misbehave(slow(before=0.05), FOREVER, "calls-diary")
        for kill_after in (0.1, 0.3, 0.45, 0.6):
            outcome = for_commands().ask(fetch_a_month, site.environment(), kill_after=kill_after)
            assert outcome.is_killed or outcome.exit_code == 0
            counts.append(assert_whole(site, expected))
            shutil.rmtree(site.landing, ignore_errors=True)
        for step in (1, 2, 3, 7, 11):
            outcome = for_commands().ask(fetch_and_die, site.environment(), step)
            assert outcome.is_killed, outcome.said
            counts.append(assert_whole(site, expected))
            leftovers += sum(file.name.endswith(".part") for file in site.landing.rglob(".*"))
            # What is left is no delivery, and the next fetch does without.
            deliveries = scan(site.landing, ["touches", "contacts"], DAY, DAY + 9 * A_DAY).deliveries
            assert all(not file.name.startswith(".") for delivery in deliveries for file in delivery.files)
        assert leftovers and len(set(counts)) > 2
        assert site.run("fetch", "--from", "2026-03-10", "--to", "2026-03-13").exit_code == 0
        assert files_of(site) == expected
        assert [file for file in site.landing.rglob(".*")] == []


def files_of(site: Site) -> dict[str, bytes]:
    return {
        str(file.relative_to(site.landing)): file.read_bytes()
        for file in site.landing.rglob("*")
        if file.is_file() and not file.name.startswith(".")
    }


def assert_whole(site: Site, expected: dict[str, bytes]) -> int:
    found = files_of(site)
    for name, content in found.items():
        assert content == expected[name], name
    return len(found)


# Dagster


def dagster_side(folder: str, narrow: dict[str, Any]) -> dict[str, Any]:
    """What the definitions of a process whose sources.yml names sources say and do; in that process."""
    import dagster as dg

    from orchestration.definitions import defs
    from orchestration.jobs import RANGE_END, RANGE_START
    from orchestration.schedules import daily_schedule
    from pipeline.settings import Settings

    graph = defs.resolve_asset_graph()
    job = defs.resolve_job_def("fetch_and_load")

    def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
        return {
            "success": result.success,
            "failures": {
                event.step_key: event.step_failure_data.user_failure_data.description
                for event in result.all_events
                if event.is_step_failure
            },
            "checks": {
                f"{check.asset_key.path[-1]}: {check.check_name}": [check.passed, check.severity.name, check.metadata["days"].value]
                for check in result.get_asset_check_evaluations()
                if check.asset_key.path[0] == "sources"
            },
            "days": {
                name: sorted(
                    str(event.partition)
                    for event in result.get_asset_materialization_events()
                    if event.asset_key.path == ["sources", name]
                )
                for name in ("mango", "calltouch", "short", "metrica")
            },
        }  # fmt: skip

    with dg.DagsterInstance.get() as instance:
        # Of all that is said, nothing may hold a credential.
        ranged = job.execute_in_process(
            tags={RANGE_START: str(DAY), RANGE_END: str(DAY + 2 * A_DAY)}, instance=instance, raise_on_error=False
        )
        again = job.execute_in_process(
            tags={RANGE_START: str(DAY), RANGE_END: str(DAY)},
            asset_selection=[dg.AssetKey(["sources", "mango"])],
            instance=instance,
            raise_on_error=False,
        )
        os.environ["LANDING_DIR"] = narrow["landing"]
        tick = daily_schedule()(dg.build_schedule_context(instance=instance))
        due = job.execute_in_process(
            tags={RANGE_START: narrow["first"], RANGE_END: narrow["last"]},
            asset_selection=[dg.AssetKey(["sources", "metrica"])],
            run_config={"ops": {"fetch_metrica": {"config": {"only_due": True}}}},
            instance=instance,
            raise_on_error=False,
        )
    return {
        "parents": {
            table: sorted(key.path[-1] for key in graph.get(dg.AssetKey(["raw", table])).parent_keys)
            for table in ("touches", "contacts", "costs")
        },
        "sources": sorted(key.path[-1] for key in graph.get_all_asset_keys() if key.path[0] == "sources"),
        "schedule": {
            "job": defs.get_schedule_def("daily_at_four").job_name if hasattr(defs, "get_schedule_def") else "",
            "tags": {name: tick.tags[name] for name in (RANGE_START, RANGE_END)},
            "config": tick.run_config,
            "landing": str(Settings.read().landing_dir),
        },
        "ranged": told(ranged),
        "again": told(again),
        "due": told(due),
    }


@dataclass(frozen=True)
class Daily:
    site: SourcesSite
    did: dict[str, Any]
    said: str
    asked_when_due: list[tuple[str, str]]


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daily]:
    """Three days by the job of the night, of which one source fails one day, and another is told of more than it gets."""
    site = SourcesSite(tmp_path_factory.mktemp("daily"))
    (site.folder / "dagster").mkdir()
    yesterday = Rules.read().yesterday()
    with (
        MangoStandIn() as mango,
        CalltouchStandIn() as calltouch,
        CalltouchStandIn() as short,
        MetricaStandIn() as metrica,
    ):
        site.name_sources(
            mango=named(mango, site="okna-msk"),
            calltouch=named(calltouch, site="okna-msk", attempts=2),
            short=named(short, site_id="7"),
            metrica=named(metrica, site="okna-msk"),
        )
        mango.calls = [mango_call(30 + number, MORNING + number * A_DAY) for number in range(3)]
        calltouch.calls = [calltouch_call(number, MORNING + number * A_DAY) for number in range(3)]
        short.calls = [calltouch_call(20 + number, MORNING + number * A_DAY) for number in range(3)]
        metrica.visits = [metrica_visit(number, MORNING + number * A_DAY) for number in range(3)]
        calltouch.misbehave(echo(calltouch), 2, "dateFrom=11%2F03")
        # Each of three readings asks for a second page, as the first one isn't all that the total says.
        short.misbehave(wrong_total(1), 6, "dateFrom=12%2F03")
        # The second time, a call is gone.
        mango.misbehave(Fault())
        mango.misbehave(Fault(changed=lambda answer, asked: Answer.of_json([])))
        # Of the last week two days lie there; of the others, one that the service tells of no more is asked for, too.
        narrow = site.folder / "narrow"
        for day in (6, 4, 3):
            file = narrow / f"touches/{yesterday - day * A_DAY}/metrica-visits.parquet"
            file.parent.mkdir(parents=True)
            file.write_bytes(b"")
        days = {"first": str(yesterday - 6 * A_DAY), "last": str(yesterday), "landing": str(narrow)}
        code = f"import json, test_sources_journal as t; print('DID', json.dumps(t.dagster_side({str(site.folder)!r}, {days!r})))"
        process = python(code, **site.own_environment())
        said, progress = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, progress[-3000:]
        orders = [asked for asked in metrica.asked if asked.method == "POST" and asked.query]
        asked_when_due = [(asked.query["date1"], asked.query["date2"]) for asked in orders[1:]]
        did = json.loads(said.rpartition("DID ")[2])
        yield Daily(site, did, said + progress, asked_when_due)


def echo(stand_in: StandIn) -> Fault:
    """An error that says what it was told, credentials too, in the middle and at the end of what is shown."""
    token = stand_in.token
    words = " ".join((token, quote(token, safe=""), base64.b64encode(token.encode()).decode(), "x" * 40, token))
    return Fault(instead=lambda asked: Answer(words.encode(), 500))


def test_sources_are_assets_before_the_raw_tables(daily: Daily) -> None:
    assert daily.did["sources"] == ["calltouch", "mango", "metrica", "short"]
    assert daily.did["parents"] == {
        "touches": ["calltouch", "mango", "metrica", "short"],
        "contacts": ["calltouch", "mango", "short"],
        "costs": [],
    }


def test_a_range_with_a_source_that_fails_publishes_the_rest_and_fails_naming_it(daily: Daily) -> None:
    ranged, (first, second, third) = daily.did["ranged"], [str(DAY + number * A_DAY) for number in range(3)]
    assert not ranged["success"]
    ((step, message),) = ranged["failures"].items()
    assert step == "published__all_days_loaded"
    assert "Not all was fetched. All else is published." in message
    assert f"calltouch, calls, visits, forms of {second}: http://127.0.0.1:" in message
    for dataset, unit in (("calls", "records"), ("visits", "calls")):
        assert f"short, {dataset} of {third}: 1 {unit} came of the 2 that it says there are" in message
    assert "mango" not in message and "metrica" not in message
    assert ranged["days"] == {
        "mango": [first, second, third],
        "calltouch": [first, third],
        "short": [first, second],
        "metrica": [first, second, third],
    }
    failed = {name: days for name, (passed, _, days) in ranged["checks"].items() if not passed}
    assert failed == {
        "calltouch: days_are_fetched": [second],
        "short: days_are_fetched": [third],
        "short: totals_agree": [third],
    }
    assert len(ranged["checks"]) == 4 * 3
    contacts = daily.site.published("select contact_id from journal order by contact_id")
    numbers = {"calltouch:123:": (700000, 700002), "calltouch:7:": (700020, 700021)}
    assert contacts == [
        *((f"{prefix}{number}",) for prefix, found in numbers.items() for number in found),
        *((f"mango:777:MToxMDA3{number}",) for number in range(3)),
    ]
    assert daily.site.published("select data_through from _meta") == [(date(2026, 3, 12),)]


def test_a_day_that_has_become_less_is_reported(daily: Daily) -> None:
    again = daily.did["again"]
    assert again["success"]
    assert again["checks"]["mango: nothing_is_gone"] == [False, "WARN", [str(DAY)]]
    assert again["checks"]["mango: days_are_fetched"][0]


def test_the_night_asks_only_for_what_is_due(daily: Daily) -> None:
    yesterday = Rules.read().yesterday()
    due = daily.did["due"]
    # What is missing since the first delivery, and the three days in which visits may still grow.
    days = [str(yesterday - number * A_DAY) for number in (5, 2, 1, 0)]
    assert due["success"] and due["days"]["metrica"] == days
    assert daily.asked_when_due == [(days[0], days[0]), (days[1], days[3])]
    schedule = daily.did["schedule"]
    assert schedule["tags"] == {
        "dagster/asset_partition_range_start": days[0],
        "dagster/asset_partition_range_end": str(yesterday),
    }
    assert schedule["config"]["ops"] == {
        f"fetch_{name}": {"config": {"only_due": True}} for name in ("mango", "calltouch", "short", "metrica")
    }


# Credentials


def spellings(word: str) -> set[bytes]:
    """How a word may be written where it shouldn't be; in base64, wherever it begins."""
    found = {
        word,
        quote(word),
        quote(word, safe=""),
        quote_plus(word),
        json.dumps(word)[1:-1],
        word.replace("/", "\\/"),
    }
    encoded = set()
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + word.encode()).decode()
        encoded.add(text[4 if shift else 0 : -4])
    return {spelling.encode() for spelling in found | {each.lower() for each in found} | encoded}


def assert_untold(site: SourcesSite, *said: str) -> None:
    """No credential is in any file of a site but the one in which it was planted, nor in what was said."""
    looked_at = {"what was said": "\n".join(said).encode()}
    for file in site.folder.rglob("*"):
        if file.is_file() and file != site.folder / "sources.yml":
            looked_at[str(file)] = file.read_bytes()
    for word in (*TOKENS.values(), DATABASE_WORD):
        for spelling in spellings(word):
            assert [place for place, content in looked_at.items() if spelling in content] == [], spelling


def test_loads_and_runs_of_dagster_keep_credentials_to_themselves(told: Told, daily: Daily) -> None:
    assert_untold(told.site, *(f"{each.said}{each.progress}" for each in (told.fetched, told.loaded)))
    assert_untold(daily.site, daily.said, json.dumps(daily.did))
    # It was looked at where they might be: a run's log says what went wrong.
    logs = [file.read_bytes() for file in (daily.site.folder / "dagster").rglob("*") if file.is_file()]
    assert any(b"*** ***" in content for content in logs)
    assert b"hush" in (daily.site.folder / "sources.yml").read_bytes() or "hush" in str(TOKENS)


def test_whatever_fails_the_credential_is_not_shown(tmp_path: Path) -> None:
    site = SourcesSite(tmp_path)
    with MangoStandIn() as mango, CalltouchStandIn() as calltouch, MetricaStandIn() as metrica, Eavesdropper() as other:
        expired = MangoStandIn()
        with expired:
            expired.expire()
            in_address = {"authorization": "parameter", "attempts": 2}
            site.name_sources(
                expired=named(expired, **in_address),
                elsewhere=named(mango, **in_address) | {"url": f"{mango.url}/v0"},
                failing=named(calltouch, attempts=3),
                redirected=named(metrica, attempts=2),
                nowhere=named(mango, **in_address) | {"url": "http://127.0.0.1:1"},
                unset=named(mango) | {"token_variable": "NOBODYS_TOKEN"},
                database={
                    "kind": "postgres",
                    "connection_variable": DATABASE_VARIABLE,
                    "tables": {"contacts": {"query": "select 1 where {day} is not null"}},
                },
            )
            for fault in (cut_off(9), html()):
                calltouch.misbehave(fault, 1)
            calltouch.misbehave(echo(calltouch), 99)
            metrica.misbehave(redirect(other.url, with_query=True), 99)
            fetched = site.run("fetch", "--from", str(DAY), "--to", str(DAY))
            calltouch.misbehave(html(), 99)
            updated = site.run("update")
            loaded = site.run("load")
            assert other.asked == []
    said = [f"{each.said}{each.progress}" for each in (fetched, updated, loaded)]
    assert_untold(site, *said)
    assert [each.exit_code for each in (fetched, updated, loaded)] == [1, 1, 1]
    for source, told in {
        "expired": "refuses the credential in MANGO_TOKEN (401",
        "elsewhere": "answered 404",
        "failing": "answered 500: '*** *** ***",
        "redirected": "the credential isn't sent there",
        "nowhere": "can't be reached",
        "unset": "NOBODYS_TOKEN isn't set in the environment",
        "database": "127.0.0.1",
    }.items():
        (line,) = [line for line in fetched.failure.splitlines() if f"{source}," in line[:40]]
        assert told in line and str(DAY) in line
    # What wasn't fetched is told though there is nothing to load.
    assert "refuses the credential in MANGO_TOKEN" in updated.failure and "There is no folder" in updated.failure


@pytest.mark.parametrize("place", ("variable", "setting", "key", "kind", "name", "source", "alias", "tag", "quote"))
def test_a_credential_that_is_put_into_sources_yml_is_not_shown(tmp_path: Path, place: str) -> None:
    site, token = SourcesSite(tmp_path), TOKENS["MANGO_TOKEN"]
    right = {"kind": "mango", "widget_id": "777", "token_variable": "MANGO_TOKEN"}
    texts = {
        "variable": {"mango": right | {"token_variable": token}},
        "setting": {"mango": right | {"token": token}},
        "key": {"mango": right | {token: ""}},
        "kind": {"mango": right | {"kind": token}},
        "name": {token: right},
        "source": {token: None},
        "alias": f"mango: {{token_variable: *{token.replace('+', '')}}}",
        "tag": f"mango: {{token_variable: !{token}}}",
        "quote": f"mango: {{token_variable: '{token}",
    }
    text = texts[place]
    site.folder.mkdir(exist_ok=True)
    (site.folder / "sources.yml").write_text(text if isinstance(text, str) else yaml.safe_dump(text), "utf-8")
    outcomes = [site.run(command) for command in ("fetch", "update", "status")]
    assert [outcome.exit_code for outcome in outcomes] == [1, 1, 1]
    assert "sources.yml" in outcomes[0].failure
    assert_untold(site, *(f"{each.said}{each.progress}" for each in outcomes))
    assert "hush" not in "".join(each.said + each.progress for each in outcomes)


def test_metrica_is_never_asked_for_today(tmp_path: Path) -> None:
    site, today = SourcesSite(tmp_path), Rules.read().today()
    with MetricaStandIn() as metrica:
        site.name_sources(metrica=named(metrica))
        until_today = site.run("fetch", "--from", str(today - A_DAY), "--to", str(today))
        only_today = site.run("fetch", "metrica", "--from", str(today), "--to", str(today))
        assert {asked.query["date2"] for asked in metrica.asked if asked.query} == {str(today - A_DAY)}
    assert until_today.exit_code == 0
    assert "later ones aren't there yet" in until_today.progress
    assert only_today.exit_code == 1
    assert f"metrica: there is no day to fetch from {today} to {today - A_DAY}" in only_today.failure


def test_what_is_wrong_with_sources_yml_keeps_nothing_from_being_loaded(tmp_path: Path) -> None:
    site = SourcesSite(tmp_path)
    site.name_sources(mango={"kind": "mongo"})
    folder = site.landing / "contacts" / str(DAY)
    folder.mkdir(parents=True)
    (folder / "crm.csv").write_text(
        f"contact_id,widget_id,contacted_at,contact_type\nc1,w1,{DAY} 10:00,call\n", "utf-8"
    )
    # In a process of its own, as the jobs are made of sources.yml when they are imported.
    outcome = finished(site.start("update"))
    said = "mango: `kind` is one of"
    assert outcome.exit_code == 1 and said in outcome.failure
    assert "loaded all the same" in outcome.progress
    assert site.published("select contact_id from journal") == [("c1",)]
    status = site.run("status")
    assert status.exit_code == 1 and said in status.failure and "Generation 1" in status.said
