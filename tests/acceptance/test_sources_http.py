"""MANGO OFFICE, Calltouch and Metrica, asked through servers that misbehave: what is delivered, and what the user is told."""

import base64
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
import vendor_records
from fetches import DAY, MORNING, TOKEN_VARIABLE, Fetches, messages, source_for
from misbehaving_servers import (
    FOREVER,
    Answer,
    Asked,
    Eavesdropper,
    Fault,
    Handler,
    StandIn,
    cut_off,
    empty_body,
    gzipped,
    hour_twice,
    html,
    not_json,
    page_repeats,
    page_vanishes,
    redirect,
    reset,
    server_error,
    slow,
    too_many_requests,
    wrong_total,
)
from pydantic import ValidationError
from stand_ins import CalltouchStandIn, LogRequest, MangoStandIn, MetricaStandIn
from vendor_records import ENTRY, calltouch_call, calltouch_form, calltouch_visit, mango_call, metrica_visit

from pipeline.settings import Rules
from sources.delivering import explained_problems
from sources.http_client import HttpClient
from sources.source import FetchContext, Source, SourceError

A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)
NEXT_DAY = DAY + A_DAY


@dataclass
class Vendor:
    """A stand-in with some records of a day, and how it is asked for them."""

    stand_in: StandIn
    settings: dict[str, Any]
    data_path: str
    json_path: str
    records: list[list[dict[str, Any]]]
    datasets: tuple[str, ...]
    next_path: str = field(default="")

    def source(self, **changed: Any) -> Source:
        return source_for(self.stand_in, **self.settings | changed)

    def asked(self, path: str) -> list[Asked]:
        return [asked for asked in self.stand_in.asked if path in asked.target]


def mango_vendor(authorization: str = "header") -> Vendor:
    stand_in = MangoStandIn()
    stand_in.authorization = {"header": "bearer", "parameter": "access_token"}[authorization]
    # Of the same minute, so that the vendor's order is nobody's.
    stand_in.calls = [mango_call(number, MORNING) for number in range(1, 4)]
    settings = {"authorization": authorization}
    return Vendor(
        stand_in, settings, "/calls", "/calls", [stand_in.calls], ("calls", "call_visits"), "dateStart=2026-04-08T"
    )


def calltouch_vendor() -> Vendor:
    stand_in = CalltouchStandIn()
    stand_in.calls = [calltouch_call(number, MORNING + number * AN_HOUR) for number in range(1, 6)]
    stand_in.forms = [calltouch_form(number, MORNING + number * AN_HOUR) for number in range(3, 8)]
    records = [stand_in.calls, stand_in.forms]
    paths = ("calls-diary", "calls-diary", records, ("calls", "forms", "visits"), "dateFrom=11%2F03")
    return Vendor(stand_in, {"page_size": 2}, *paths)


def metrica_vendor() -> Vendor:
    stand_in = MetricaStandIn()
    stand_in.today, stand_in.part_count = date(2026, 5, 1), 2
    stand_in.visits = [metrica_visit(number, MORNING + number * AN_HOUR) for number in range(1, 6)]
    return Vendor(stand_in, {}, "/download", "/evaluate", [stand_in.visits], ("visits",), "date1=2026-03-11")


VENDORS = {
    "mango, header": mango_vendor,
    "mango, parameter": lambda: mango_vendor("parameter"),
    "calltouch": calltouch_vendor,
    "metrica": metrica_vendor,
}

ONE_EACH = ("mango, header", "calltouch", "metrica")


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> Iterator[Vendor]:
    found = VENDORS[request.param]()
    with found.stand_in:
        yield found


@pytest.fixture
def mango() -> Iterator[MangoStandIn]:
    with MangoStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def calltouch() -> Iterator[CalltouchStandIn]:
    with CalltouchStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def metrica() -> Iterator[MetricaStandIn]:
    with MetricaStandIn() as stand_in:
        stand_in.today = date(2026, 5, 1)
        yield stand_in


@pytest.fixture
def fetches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetches:
    monkeypatch.setenv(TOKEN_VARIABLE, StandIn.token)
    return Fetches(tmp_path)


def ranges(asked: list[Asked]) -> list[str | None]:
    return [each.headers.get("Range") for each in asked]


def fault_of(body: bytes, status: int = 200, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(instead=lambda asked: Answer(body, status, named))


@pytest.mark.parametrize("vendor", ONE_EACH, indirect=True)
def test_what_passes_by_itself_is_waited_out(vendor: Vendor, fetches: Fetches) -> None:
    assert fetches.outcomes(vendor.source(), DAY) == {"delivered"}
    assert all(fetches.rows(dataset) for dataset in vendor.datasets)
    before, stand_in = fetches.files(), vendor.stand_in
    cuts = [
        (cut_off(100), 1, vendor.data_path),
        (cut_off(50, "chunked"), 2, vendor.data_path),
        (cut_off(-1, resets=True), 1, vendor.data_path),
        (cut_off(10**6, "chunked"), 1, vendor.data_path),  # where all was said but that it was all
    ]
    for troubles, supports_ranges in (
        (
            [
                (too_many_requests(), 2, vendor.data_path),
                (server_error(500), 2, vendor.data_path),
                (server_error(503), 3, None),
                (reset(), 2, None),
                (slow(before=0.4), 1, vendor.data_path),
                (gzipped(), 1, vendor.data_path),
            ],
            True,
        ),
        (cuts, True),
        (cuts, False),
        (
            [
                (html(), 1, vendor.json_path),
                (not_json(), 1, vendor.json_path),
                (empty_body(), 2, vendor.json_path),
                (empty_body(202), 1, vendor.json_path),
            ],
            True,
        ),
    ):
        stand_in.supports_ranges = supports_ranges
        for fault, times, path in troubles:
            stand_in.misbehave(fault, times, path)
        assert fetches.outcomes(vendor.source(timeout_seconds=0.2, attempts=20, wait_seconds=0.001), DAY) == {
            "unchanged"
        }, troubles
        assert stand_in.waiting == []
    # In another order, the same bytes: nothing is written, so nothing is loaded.
    for records in vendor.records:
        records.reverse()
    assert fetches.outcomes(vendor.source(), DAY) == {"unchanged"}
    assert fetches.files() == before


@pytest.mark.parametrize("vendor", ONE_EACH, indirect=True)
def test_what_goes_on_fails_the_day_and_leaves_what_was_there(vendor: Vendor, fetches: Fetches) -> None:
    fetches.fetch(vendor.source(), DAY)
    before, stand_in = fetches.files(), vendor.stand_in
    for fault, told in (
        (too_many_requests(), "answered 429"),
        (server_error(503), "answered 503"),
        (reset(), "broke off"),
        (slow(before=0.4), "did not answer in time"),
        (html(), "answered HTML, where JSON is expected: '<html>"),
        (not_json(), "where JSON is expected"),
        (empty_body(), "answered nothing, where JSON is expected"),
    ):
        asked = len(vendor.asked(vendor.json_path))
        stand_in.misbehave(fault, 2, vendor.json_path)
        results = fetches.fetch(vendor.source(attempts=2, timeout_seconds=0.2), DAY)
        assert {fetched.outcome for fetched in results.values()} == {"failed"}, told
        (message,) = messages(results.values())
        assert told in str(message) and "(2 attempts)" in str(message)
        assert len(vendor.asked(vendor.json_path)) == asked + 2
        assert fetches.files() == before
    with stand_in.refusing():
        (message,) = messages(fetches.fetch(vendor.source(attempts=2), DAY).values())
    assert "can't be reached" in str(message)
    assert fetches.files() == before
    assert fetches.outcomes(vendor.source(), DAY) == {"unchanged"}


def test_a_wait_that_is_asked_for_is_kept(
    mango: MangoStandIn, fetches: Fetches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waited_for(retry_after: float | datetime | str | None) -> float:
        mango.misbehave(too_many_requests(retry_after))
        assert fetches.outcomes(source_for(mango), DAY) <= {"delivered", "unchanged"}
        return mango.asked[-1].when - mango.asked[-2].when

    assert 1 <= waited_for(1) < 5
    assert 0.5 <= waited_for(datetime.now(UTC) + timedelta(seconds=2)) < 5  # the date has no fractions
    assert waited_for(datetime.now(UTC) - AN_HOUR) < 0.9
    for meaningless in ("soon", "0.5", "-5", ""):
        assert waited_for(meaningless) < 0.9

    # Nobody waits longer than a while.
    monkeypatch.setattr("sources.http_client.LONGEST_WAIT_SECONDS", 2)
    mango.misbehave(too_many_requests(3))
    asked = len(mango.asked)
    (message,) = messages(fetches.fetch(source_for(mango), DAY).values())
    assert message is not None and "asks to wait for 3 seconds (429): fetch again then" in message
    assert len(mango.asked) == asked + 1


@pytest.mark.parametrize("vendor", ONE_EACH, indirect=True)
def test_what_broke_off_goes_on_where_it_ended(vendor: Vendor, fetches: Fetches) -> None:
    vendor.stand_in.misbehave(cut_off(150), path=vendor.data_path)
    vendor.stand_in.misbehave(cut_off(70, resets=True), path=vendor.data_path)
    assert fetches.outcomes(vendor.source(), DAY) == {"delivered"}
    assert ranges(vendor.asked(vendor.data_path))[:3] == [None, "bytes=150-", "bytes=220-"]
    assert vendor.asked(vendor.data_path)[1].headers["If-Range"]
    clean = Fetches(fetches.folder / "clean")
    clean.fetch(vendor.source(), DAY)
    assert clean.contents() == fetches.contents()


def test_what_has_changed_or_is_another_part_is_asked_for_anew(metrica: MetricaStandIn, fetches: Fetches) -> None:
    metrica.visits = [metrica_visit(number, MORNING) for number in range(1, 4)]
    metrica.misbehave(cut_off(100), path="/download")
    other = Fault(
        as_asked=lambda asked: (
            metrica.log_requests[1].parts.__setitem__(0, metrica.log_requests[1].parts[0][:-1] + b" \n"),
            asked,
        )[1]
    )
    metrica.misbehave(other, path="/download")
    assert fetches.outcomes(source_for(metrica), DAY) == {"delivered"}
    assert ranges(metrica.asked)[-3:] == [None, "bytes=100-", None]
    assert len(fetches.rows("visits")) == 3

    metrica.asked.clear()
    metrica.misbehave(cut_off(100), path="/download")

    def other_part(asked: Asked) -> Answer:
        size = len(metrica.log_requests[2].parts[0])
        return Answer(b"x" * (size - 99), 206, {"Content-Range": f"bytes 99-{size - 1}/{size}"})

    metrica.misbehave(Fault(instead=other_part), path="/download")
    fetches.fetch(source_for(metrica), DAY)
    assert ranges(metrica.asked)[-4:] == [None, "bytes=100-", None, None]

    # Nothing tells what is the same thing, but that a part never changes; and of that only where its size is told.
    metrica.supports_ranges = False
    for framing, expected in (("length", "bytes=100-"), ("chunked", None)):
        metrica.asked.clear()
        metrica.framing = framing
        metrica.misbehave(cut_off(100, framing), path="/download")
        assert fetches.outcomes(source_for(metrica), DAY) == {"unchanged"}
        assert ranges(metrica.asked)[-3:] == [None, expected, None]


def test_a_token_that_expires_on_the_way_keeps_what_came_before(vendor: Vendor, fetches: Fetches) -> None:
    days = [DAY + number * A_DAY for number in range(35 if vendor.next_path.endswith("T") else 3)]
    settings = {"days_per_request": 1} if vendor.datasets == ("visits",) else {}

    def expire(asked: Asked) -> Asked:
        vendor.stand_in.expire()
        return asked

    vendor.stand_in.misbehave(Fault(as_asked=expire), path=vendor.next_path)
    results = fetches.fetch(vendor.source(**settings), *days)

    whole = 30 if len(days) == 35 else 1
    assert {day for (_, day), fetched in results.items() if fetched.outcome == "delivered"} == set(days[:whole])
    assert {day for (_, day), fetched in results.items() if fetched.outcome == "failed"} == set(days[whole:])
    (told,) = explained_problems(results.values())
    assert TOKEN_VARIABLE in told and "refuses the credential" in told and "make a new one" in told
    assert str(days[whole]) in told and str(days[-1]) in told and str(DAY) not in told
    assert StandIn.token not in told
    (asked,) = vendor.asked(vendor.next_path)
    assert asked is vendor.stand_in.asked[-1]  # nothing is asked again


def test_a_redirect_gets_no_credential(vendor: Vendor, fetches: Fetches) -> None:
    with Eavesdropper() as other:
        for fault in (redirect(other.url), redirect(other.url, 307, with_query=True), redirect(other.url, 301)):
            vendor.stand_in.misbehave(fault)
            (told,) = messages(fetches.fetch(vendor.source(), DAY).values())
            assert told is not None and "sends to 127.0.0.1: the credential isn't sent there" in told
        assert other.asked == []
    assert not fetches.landing.exists()


def answer_in_no_way_that_is_http(handler: Handler, answer: Answer) -> None:
    handler.wfile.write(f"{StandIn.token} is what you said\r\n\r\n".encode())
    handler.close_connection = True


def test_no_message_or_log_tells_a_credential(
    mango: MangoStandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However the answer says it, in the middle of what is shown of it or where that is cut off."""
    token = StandIn.token
    spellings = [token, quote(token), quote(token, safe=""), quote(token, safe="").lower(), token.replace("/", "\\/")]
    spellings.append(base64.b64encode(token.encode()).decode())
    told = []
    client = HttpClient(
        mango.url, credential=token, credential_of="T", timeout_seconds=1, attempts=2, wait_seconds=0.001
    )
    with client, caplog.at_level(logging.DEBUG):
        for spelling in spellings:
            for status in (200, 400, 401, 500):
                for before in (10, 190, 197):
                    mango.misbehave(fault_of(f"{'x' * before} {spelling} you said".encode(), status), 2)
                    with pytest.raises(SourceError) as raised:
                        client.json_file("/calls", {}, tmp_path / "answer", [list])
                    told.append(str(raised.value))
                    mango._expected.clear()
        mango.misbehave(Fault(deliver=answer_in_no_way_that_is_http), 2)
        with pytest.raises(SourceError, match="illegal status line"):
            client.json("/calls")
    everything = "\n".join([*told, caplog.text])
    assert "xxxx ***" in everything and "attempt 1 of 2" in caplog.text
    for spelling in spellings:
        for beginning in (spelling, spelling[:9]):
            assert beginning not in everything


def test_no_vendors_message_shows_the_credential(
    vendor: Vendor, fetches: Fetches, caplog: pytest.LogCaptureFixture
) -> None:
    """What is said besides what was asked for, such as an order's state."""
    token, told = StandIn.token, []
    with caplog.at_level(logging.DEBUG):
        for path in {vendor.json_path, vendor.data_path, "logrequests?date", "/logrequest/"}:
            for body in (json.dumps({"x" * 180: token}).encode(), json.dumps([token]).encode(), token.encode()):
                vendor.stand_in.misbehave(fault_of(body), 2, path)
                told += messages(fetches.fetch(vendor.source(attempts=2), DAY).values())
                vendor.stand_in._expected.clear()
    everything = "\n".join([*map(str, told), caplog.text])
    assert "***" in everything or vendor.datasets[0] == "calls"
    assert token[:9] not in everything


@pytest.mark.parametrize("vendor", ONE_EACH, indirect=True)
def test_a_credential_that_is_none_is_reported_and_not_shown(
    vendor: Vendor, fetches: Fetches, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "first-line\nsecond-line")
    (told,) = messages(fetches.fetch(vendor.source(), DAY).values())
    assert told == f"{TOKEN_VARIABLE} holds characters that no credential has; set it again"
    monkeypatch.setenv(TOKEN_VARIABLE, " ")
    (told,) = messages(fetches.fetch(vendor.source(), DAY).values())
    assert told is not None and f"{TOKEN_VARIABLE} isn't set" in told and "token_variable" in told
    assert vendor.stand_in.asked == []
    assert "line" not in caplog.text


@pytest.mark.parametrize("proxy", ("socks5://me:word@127.0.0.1:9", "ftp://me:word@127.0.0.1:9", "http://me:word@[::"))
def test_a_proxy_that_cannot_be_used_is_reported_without_its_password(
    mango: MangoStandIn, fetches: Fetches, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    (told,) = messages(fetches.fetch(source_for(mango), DAY).values())
    assert (
        told is not None and told.startswith("the proxy in HTTP_PROXY, HTTPS_PROXY, ALL_PROXY") and "word" not in told
    )


def test_certificates_that_cannot_be_read_are_reported(
    mango: MangoStandIn, fetches: Fetches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    (told,) = messages(fetches.fetch(source_for(mango), DAY).values())
    assert told is not None and told.startswith("the certificates that SSL_CERT_FILE or SSL_CERT_DIR")


def test_of_days_that_are_delivered_nothing_is_held(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither in memory nor on disk: many days may be asked for at once."""
    monkeypatch.setenv(TOKEN_VARIABLE, StandIn.token)
    source = source_for(vendor.stand_in, **vendor.settings)
    with duckdb.connect() as connection:
        context = FetchContext(tmp_path, connection, Rules.read())
        assert {extract.dataset for extract in source.read((DAY, NEXT_DAY), context)} == set(source.delivered_datasets)
        assert connection.execute("select table_name from duckdb_tables()").fetchall() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ("http://api.example", "ftp://127.0.0.1", "http://127.0.0.1.example", "http://localhost@api.example", "https://",
     "https://name:hush@api.example", "https://api.example/?key=hush", "127.0.0.1", "http://[127"),
)  # fmt: skip
def test_credentials_go_only_where_nobody_listens(mango: MangoStandIn, url: str) -> None:
    with pytest.raises(ValidationError) as raised:
        source_for(mango, url=url)
    assert "hush" not in str(raised.value)
    for right in ("https://api.example/base", "http://127.0.0.1:8000", "http://localhost:8000"):
        source_for(mango, url=right)


@pytest.mark.parametrize("vendor", ONE_EACH, indirect=True)
def test_a_day_without_data_is_an_empty_delivery(vendor: Vendor, fetches: Fetches) -> None:
    results = fetches.fetch(vendor.source(), NEXT_DAY)
    assert {fetched.outcome for fetched in results.values()} == {"delivered"}
    for dataset in vendor.datasets:
        assert fetches.rows(dataset, NEXT_DAY) == []
    assert fetches.outcomes(vendor.source(), NEXT_DAY) == {"unchanged"}


@pytest.mark.parametrize("vendor", ONE_EACH, indirect=True)
def test_an_hour_that_comes_twice_is_delivered_once(vendor: Vendor, fetches: Fetches) -> None:
    fetches.fetch(vendor.source(), DAY)
    before = fetches.files()
    vendor.stand_in.misbehave(hour_twice(), 10, vendor.data_path)
    results = fetches.fetch(vendor.source(), DAY)
    assert {fetched.outcome for fetched in results.values()} == {"unchanged"}
    assert results[vendor.datasets[0], DAY].counts["delivered twice"] > 0
    assert fetches.files() == before


def test_of_a_record_that_comes_in_two_versions_the_same_one_is_chosen(mango: MangoStandIn, fetches: Fetches) -> None:
    mango.calls = [mango_call(1, MORNING, duration=20), mango_call(1, MORNING, duration=134)]
    fetches.fetch(source_for(mango), DAY)
    mango.calls.reverse()
    assert fetches.outcomes(source_for(mango), DAY) == {"unchanged"}
    assert len(fetches.rows("calls")) == 1


def test_a_day_that_cannot_be_had_keeps_no_other_from_coming(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    days = [DAY + number * A_DAY for number in range(4)]
    calltouch.calls = [calltouch_call(number, MORNING + number * A_DAY) for number in range(4)]
    calltouch.misbehave(server_error(), 4, "dateFrom=11%2F03")
    results = fetches.fetch(source_for(calltouch), *days)
    failed = {day for (_, day), fetched in results.items() if fetched.outcome == "failed"}
    assert failed == {NEXT_DAY}
    assert [len(fetches.rows("calls", day)) for day in (days[0], days[2], days[3])] == [1, 1, 1]

    # Nor do more of them keep off the latest days: they are due for good.
    calltouch.misbehave(server_error(), 3 * 2)
    results = fetches.fetch(source_for(calltouch, attempts=2), *days)
    assert [results["calls", day].outcome for day in days] == ["failed", "failed", "failed", "unchanged"]
    # But one that answers nothing at all is left alone.
    calltouch.asked.clear()
    calltouch.misbehave(server_error(), FOREVER)
    source = source_for(calltouch, attempts=2, reload_days=5)
    results = fetches.fetch(source, *[DAY + number * A_DAY for number in range(9)])
    assert {fetched.outcome for fetched in results.values()} == {"failed"}
    assert [asked.query["dateFrom"][:2] for asked in calltouch.asked[::2]] == ["10", "11", "12", "14", "15", "16"]
    calltouch._expected.clear()
    # Or nothing about one of its datasets.
    calltouch.asked.clear()
    calltouch.misbehave(server_error(), 4 * 2, "requests")
    results = fetches.fetch(source_for(calltouch, attempts=2), *days)
    outcomes = [(results["calls", day].outcome, results["forms", day].outcome) for day in days]
    assert outcomes == [
        ("unchanged", "failed"),
        ("delivered", "failed"),
        ("unchanged", "failed"),
        ("unchanged", "failed"),
    ]


def test_an_answer_of_another_kind_is_no_data(
    mango: MangoStandIn, calltouch: CalltouchStandIn, fetches: Fetches
) -> None:
    for body, told in ((b'{"message": "later"}', "an object"), (b"null", "null"), (b"7", "a single value")):
        for stand_in, path in ((mango, None), (calltouch, "requests")):
            stand_in.misbehave(fault_of(body), 2, path)
            results = fetches.fetch(source_for(stand_in, attempts=2), DAY)
            message = results["forms" if path else "calls", DAY].message
            assert message is not None and f"answered {told}, where a list is expected" in message


# MANGO OFFICE


def test_mango_tells_calls_and_the_visits_of_their_tags(mango: MangoStandIn, fetches: Fetches) -> None:
    mango.calls = [
        mango_call(1, MORNING, isDuplicate=True),
        mango_call(2, MORNING, **dict.fromkeys(vendor_records.TAGS, ""), firstUrl="https://okna.example/?yclid=77#top"),
        mango_call(3, MORNING, **dict.fromkeys(vendor_records.TAGS, ""), firstUrl="https://okna.example/"),
    ]
    results = fetches.fetch(source_for(mango, account="moscow", site="okna-msk"), DAY)
    first = fetches.rows("calls")[0]
    kept = {name: str(value) for name, value in mango.calls[0].items()}
    kept |= {"isDuplicate": "true", "isNew": "true", "isQuality": "true"}
    for told in ("callId", "duration", "uid", "gaCid", "yaCid", "city", "url", "customParam"):
        del kept[told]
    delivered_by = {"delivered_by": "mango:moscow"} if "delivered_by" in first else {}
    assert first == kept | delivered_by | {
        "contact_id": "mango:moscow:MToxMDA1",
        "widget_id": "okna-msk",
        "contacted_at": "2026-03-10T07:05:00Z",
        "contact_type": "call",
        "visitor_id": "mango:moscow:mango-visitor-1",
        "yandex_client_id": "1700000000123456790",
        "google_client_id": "1234567890.1700000001",
        "phone": "79160000001",
        "location": "Москва",
        "is_unique": "false",
        "call_page": "https://okna.example/kontakty",
        "duration": "134",
    }
    assert fetches.values("calls", "is_unique") == ["false", "true", "true"]
    visits = fetches.rows("call_visits")
    assert [visit["touch_id"] for visit in visits] == ["mango:moscow:call:MToxMDA1", "mango:moscow:call:MToxMDA2"]
    assert {visit["touched_at"] for visit in visits} == {"2026-03-10T07:04:59Z"}
    assert visits[0]["utm_campaign"] == "moskva" and "utm_campaign" not in visits[1]
    assert visits[1]["landing_page"] == "https://okna.example/?yclid=77#top"
    assert results["call_visits", DAY].counts == {"of another kind": 1}


def test_a_tag_of_the_entry_page_alone_tells_of_a_visit_too(mango: MangoStandIn, fetches: Fetches) -> None:
    pages = ("https://okna.example/?a=1&utm_medium=cpc", "https://okna.example/?utm_source=&utm_sourc=x", "")
    mango.calls = [
        mango_call(number, MORNING, **dict.fromkeys(vendor_records.TAGS, ""), firstUrl=page)
        for number, page in enumerate(pages)
    ]
    fetches.fetch(source_for(mango), DAY)
    assert fetches.values("call_visits", "landing_page") == [pages[0]]


def test_what_means_that_there_is_no_cookie_is_no_cookie_of_the_account(mango: MangoStandIn, fetches: Fetches) -> None:
    cookies = ("0", "Undefined", "<не указано>", "12")
    mango.calls = [mango_call(number, MORNING, uid=cookie) for number, cookie in enumerate(cookies)]
    fetches.fetch(source_for(mango), DAY)
    for dataset in ("calls", "call_visits"):
        assert fetches.values(dataset, "visitor_id") == [None, None, None, "mango:777:12"]


def test_mango_may_write_the_day_first(mango: MangoStandIn, fetches: Fetches) -> None:
    mango.calls = [mango_call(1, dateStart="10-03-2026T07:05Z"), mango_call(2, dateStart="2026-03-10T07:05:40Z")]
    fetches.fetch(source_for(mango), DAY)
    assert fetches.values("calls", "contacted_at") == ["2026-03-10T07:05:00Z", "2026-03-10T07:05:40Z"]
    assert fetches.values("call_visits", "touched_at") == ["2026-03-10T07:04:59Z", "2026-03-10T07:05:39Z"]


@pytest.mark.parametrize("includes_end", (True, False))
def test_a_call_at_midnight_is_of_the_day_that_begins(
    mango: MangoStandIn, fetches: Fetches, includes_end: bool
) -> None:
    """Around the end of a month and, in Berlin, the night in which clocks are set back."""
    mango.includes_end = includes_end
    midnight = datetime(2026, 2, 28, 21, 0, tzinfo=UTC)  # in Moscow, March begins
    minutes = [-1441, -1440, -1, 0, 1, 1439, 1440]
    mango.calls = [mango_call(number, midnight + timedelta(minutes=at)) for number, at in enumerate(minutes)]
    days = [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)]
    expected = [[0], [1, 2], [3, 4, 5], [6]]
    fetches.fetch(source_for(mango), *days)
    found = [fetches.values("calls", "contact_id", day) for day in days]
    assert found == [[f"mango:777:MToxMDA{number}" for number in numbers] for numbers in expected]
    alone = Fetches(fetches.folder / "alone")
    for day in days:
        alone.fetch(source_for(mango), day)
    assert [alone.values("calls", "contact_id", day) for day in days] == found

    berlin = Fetches(fetches.folder / "berlin", Rules.read({"report_timezone": "Europe/Berlin"}))
    moments = {
        "2026-10-24T21:59Z": "2026-10-24",
        "2026-10-24T22:00Z": "2026-10-25",
        "2026-10-25T22:59Z": "2026-10-25",
        "2026-10-25T23:00Z": "2026-10-26",
    }
    mango.calls = [mango_call(number, dateStart=moment) for number, moment in enumerate(moments)]
    october = [date(2026, 10, 1) + number * A_DAY for number in range(31)]
    results = berlin.fetch(source_for(mango), *october)
    assert {fetched.outcome for fetched in results.values()} == {"delivered"}  # none asks for more than 31 days
    for day in ("2026-10-24", "2026-10-25", "2026-10-26"):
        numbers = [number for number, at in enumerate(moments.values()) if at == day]
        assert berlin.values("calls", "contact_id", date.fromisoformat(day)) == [
            f"mango:777:MToxMDA{n}" for n in numbers
        ]


def test_mango_may_answer_anything(mango: MangoStandIn, fetches: Fetches) -> None:
    odd = mango_call(1, MORNING)
    odd["callerNumer"] = odd.pop("callerNumber")
    odd |= {
        "Новое": {"a": [1, None]},
        "": "nameless",
        "*": "star",
        'a"b\\c': "quoted",
        "customParam": "half \ud83d, nul \0",
    }
    mango.calls = [
        odd,
        mango_call(2, MORNING, callId=12345, yaCid=1700000000123456789, duration="две минуты", city=["Москва"]),
        mango_call(3, MORNING, callId=None),
        mango_call(4, MORNING, callerNumber={"number": "79160000004"}, isDuplicate="1"),
        mango_call(5, dateStart="вчера"),
    ]
    bare: list[Any] = ["a text", None, 7]
    mango.answer = lambda asked: Answer(
        json.dumps(mango.calls + bare).encode(), 200, {"Content-Type": "application/json"}
    )  # type: ignore[method-assign]
    results = fetches.fetch(source_for(mango), DAY)
    assert results["calls", DAY].row_count == 8
    rows = fetches.rows("calls")
    by_id = {row.get("contact_id"): row for row in rows}
    first = by_id["mango:777:MToxMDA1"]
    assert first["phone"] == "79160000001" and "callerNumber" not in first
    told = {name: first[name] for name in ("Новое", "unnamed", "*", 'a"b\\c', "customParam")}
    half = "\N{REPLACEMENT CHARACTER}"
    assert told == {
        "Новое": '{"a":[1,null]}', "unnamed": "nameless", "*": "star", 'a"b\\c': "quoted", "customParam": f"half {half}, nul {half}"
    }  # fmt: skip
    second = by_id["mango:777:12345"]
    assert (second["yandex_client_id"], second["duration"]) == ("1700000000123456789", "две минуты")
    assert second["location"] == '["Москва"]'
    assert by_id["mango:777:MToxMDA4"]["phone"] == '{"number":"79160000004"}'
    assert by_id["mango:777:MToxMDA4"]["is_unique"] == "false"
    assert by_id["mango:777:MToxMDA5"]["contacted_at"] == "вчера"
    # Without an id or as no object they are delivered all the same: the loader sets them aside and counts them.
    assert sorted(row["record"] for row in rows if "record" in row) == ['"a text"', "7", "null"]
    assert sum("contact_id" not in row for row in rows) == 4


# Calltouch


def test_calltouch_pages_that_go_on_being_wrong_deliver_nothing_of_the_day(
    calltouch: CalltouchStandIn, fetches: Fetches
) -> None:
    calltouch.calls = [calltouch_call(number, MORNING + number * AN_HOUR) for number in range(1, 6)]
    calltouch.forms = [calltouch_form(9, MORNING)]
    source = source_for(calltouch, page_size=2)
    fetches.fetch(source, DAY)
    assert [asked.query.get("page") for asked in calltouch.asked] == ["1", "2", "3", None]
    before = fetches.files()
    # A page that comes twice, as calls came in between, is no loss: pages are read until all is there.
    for times in (1, 9):
        calltouch.misbehave(page_repeats(), times)
        assert {fetched.problem for fetched in fetches.fetch(source, DAY).values()} == {None}
        assert fetches.files() == before
        calltouch._expected.clear()
    # What came, what it says there is, and what of it is delivered where a difference may be.
    for fault, came, total, delivered in (
        (page_vanishes(), 0, 5, 0),
        (wrong_total(1), 5, 6, 5),
        (wrong_total(-1), 5, 4, 5),
    ):
        calltouch.misbehave(fault, 1)
        assert {fetched.problem for fetched in fetches.fetch(source, DAY).values()} == {None}
        assert fetches.files() == before
        calltouch.misbehave(fault, FOREVER)
        results = fetches.fetch(source, DAY)
        calls, visits, forms = (results[dataset, DAY] for dataset in ("calls", "visits", "forms"))
        assert (calls.outcome, visits.outcome, forms.outcome) == ("failed", "failed", "unchanged")
        assert not calls.totals_agree and calls.totals == f"{came} of {total} records"
        assert f"{came} records came of the {total} that it says there are" in str(calls.message)
        assert "deliver_despite_difference" in str(calls.message)
        assert fetches.files() == before
        calltouch._expected.clear()

        calltouch.misbehave(fault, FOREVER)
        despite = Fetches(fetches.folder / f"despite-{came}-{total}")
        results = despite.fetch(source_for(calltouch, page_size=2, deliver_despite_difference=True), DAY)
        assert {fetched.outcome for fetched in results.values()} == {"delivered"}
        assert results["calls", DAY].problem == f"is delivered, but {came} of {total} records came"
        assert len(despite.rows("calls")) == delivered
        calltouch._expected.clear()


def test_calltouch_may_tell_neither_total_nor_pages(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    calltouch.calls = [calltouch_call(number, MORNING + number * AN_HOUR) for number in range(1, 6)]

    def without(*names: str) -> Fault:
        def changed(answer: Answer, asked: Asked) -> Answer:
            page = json.loads(answer.body)
            return Answer.of_json({name: value for name, value in page.items() if name not in names})

        return Fault(changed=changed, applies_to=lambda asked: "page" in asked.query)

    for names in (("pageTotal",), ("recordsTotal",), ("pageTotal", "recordsTotal", "page")):
        calltouch.misbehave(without(*names), 99)
        results = fetches.fetch(source_for(calltouch, page_size=2), DAY)
        assert results["calls", DAY].problem is None
        assert len(fetches.rows("calls")) == 5
        calltouch._expected.clear()
    before = fetches.files()
    # An answer that isn't a page is no day without calls.
    for body in ({}, {"error": "no such site"}, {"records": {"callId": 1}, "recordsTotal": 0, "pageTotal": 1}):
        calltouch.misbehave(fault_of(json.dumps(body).encode()))
        results = fetches.fetch(source_for(calltouch, page_size=2), DAY)
        assert "something else than a page of calls" in str(results["calls", DAY].message)
        assert fetches.files() == before


def test_calltouch_tells_forms_of_this_site_with_their_visits(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    calltouch.forms = [
        calltouch_form(1, MORNING, siteId=123),
        calltouch_form(2, MORNING, siteId=999),
        calltouch_form(3, MORNING),
    ]
    calltouch.misbehave(
        Fault(
            as_asked=lambda asked: asked.__class__(
                **vars(asked) | {"query": {k: v for k, v in asked.query.items() if k != "siteId"}}
            )
        ),
        1,
        "requests",
    )
    fetches.fetch(source_for(calltouch), DAY)
    forms = fetches.rows("forms")
    assert [form["contact_id"] for form in forms] == ["calltouch:123:form:800001", "calltouch:123:form:800003"]
    assert forms[0]["contacted_at"] == "2026-03-10T07:05:20Z"
    assert {name: forms[1][name] for name in ("phone", "email", "client_name", "visitor_id")} == {
        "phone": "79160000003", "email": "client3@example.com", "client_name": "Мария Ёлкина", "visitor_id": "calltouch:123:900003"
    }  # fmt: skip
    assert forms[1]["google_client_id"] == "1234567890.1700000003"
    assert fetches.values("visits", "touch_id") == ["calltouch:123:500001", "calltouch:123:500003"]
    assert calltouch.asked[-1].query["dateFrom"] == "03/10/2026"


def test_a_form_is_of_the_day_that_calltouch_says_it_is_of(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    """As where the site's days are Moscow's, and nobody said so: it would be of neither day."""
    calltouch.forms = [calltouch_form(1, datetime(2026, 3, 10, 20, 30, tzinfo=UTC))]
    results = fetches.fetch(source_for(calltouch, time_zone="Asia/Yekaterinburg"), DAY, NEXT_DAY)
    assert [results["forms", day].row_count for day in (DAY, NEXT_DAY)] == [1, 0]
    assert [results["visits", day].row_count for day in (DAY, NEXT_DAY)] == [1, 0]
    assert fetches.values("forms", "contacted_at") == ["2026-03-10T20:30:00Z"]


def test_what_calltouch_calls_direct_is_no_tag(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    untagged = {"utmSource": None, "utmMedium": None}
    visits = [
        calltouch_visit(1, MORNING - AN_HOUR, source="(direct)", medium="<не указано>", **untagged),
        calltouch_visit(2, MORNING - AN_HOUR, source="(direct)", medium="(none)", **untagged),
        calltouch_visit(3, MORNING - AN_HOUR, source="yandex", medium="organic", **untagged),
    ]
    calltouch.calls = [calltouch_call(1, MORNING, mapVisits=visits)]
    fetches.fetch(source_for(calltouch), DAY)
    tags = [(row.get("utm_source") or None, row.get("utm_medium") or None) for row in fetches.rows("visits")]
    assert tags == [(None, None), (None, None), ("yandex", "organic")]


def test_calltouch_may_answer_anything(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    visit = calltouch_visit(1, MORNING - AN_HOUR, utmSource="<не указано>", utmMedium=None, ctClientId=None)
    calltouch.calls = [
        calltouch_call(
            1, MORNING, city="<не указано>", yaClientId="<не указано>", mapVisits=[visit, None, "a visit", {}]
        ),
        calltouch_call(2, MORNING, callId=None, mapVisits="none"),
        calltouch_call(
            3, MORNING, callId=5, callerNumber={"a": 1}, duration="минута", новое=[1, {"b": 2}], mapVisits=None
        ),
    ]
    calltouch.forms = [
        calltouch_form(1, MORNING, client="a text", session=None, mapVisits={"0": visit}),
        calltouch_form(2, MORNING, requestId=None, requestNumber=None, mapVisits=[]),
        calltouch_form(3, MORNING, clientId="GA1.2.1234567890.1700000003"),
    ]
    results = fetches.fetch(source_for(calltouch), DAY)
    assert {fetched.problem for fetched in results.values()} == {None}
    calls = {row.get("contact_id"): row for row in fetches.rows("calls")}
    assert set(calls) == {"calltouch:123:700001", None, "calltouch:123:5"}
    first, third = calls["calltouch:123:700001"], calls["calltouch:123:5"]
    assert "location" not in first and "yandex_client_id" not in first and "keyword" not in first
    assert "mapVisits" not in first
    assert (third["phone"], third["duration"], third["новое"]) == ('{"a":1}', "минута", '[1,{"b":2}]')
    visits = {row.get("touch_id"): row for row in fetches.rows("visits")}
    told = visits["calltouch:123:500001"]
    # The visit has no cookie of its own, so it is whose the call is; and no tags but Calltouch's own.
    assert (told["visitor_id"], told["utm_source"], told["utm_medium"]) == ("calltouch:123:900001", "yandex", "cpc")
    assert told["touched_at"] == "2026-03-10T06:05:20Z" and told["landing_page"] == ENTRY
    assert sorted(row.get("record", "") for row in fetches.rows("visits")) == ["", "", "", '"a visit"', "null"]
    forms = {row["contact_id"]: row for row in fetches.rows("forms")}
    assert (
        forms["calltouch:123:form:800001"]["client"] == "a text" and "phone" not in forms["calltouch:123:form:800001"]
    )
    assert "calltouch:123:form:1773126320000|Мария Ёлкина|79160000002||" in forms
    assert forms["calltouch:123:form:800003"]["google_client_id"] == "1234567890.1700000003"


# Metrica


def test_metrica_orders_as_many_days_as_it_may(metrica: MetricaStandIn, fetches: Fetches) -> None:
    days = [date(2026, 2, 26) + number * A_DAY for number in range(5)]
    metrica.visits = [metrica_visit(number, MORNING - timedelta(days=12 - number)) for number in range(5)]

    def ordered() -> list[tuple[str, str]]:
        found = [
            (asked.query["date1"], asked.query["date2"])
            for asked in metrica.asked
            if asked.method == "POST" and asked.query
        ]
        metrica.asked.clear()
        return found

    clean = fetches.fetch(source_for(metrica), *days)
    assert [clean["visits", day].row_count for day in days] == [1] * 5
    assert ordered() == [("2026-02-26", "2026-03-02")]
    for quantity, windows in (
        (2, [("2026-02-26", "2026-02-27"), ("2026-02-28", "2026-03-01"), ("2026-03-02", "2026-03-02")]),
        (-1, [("2026-02-26", "2026-03-02")]),
        (0, [("2026-02-26", "2026-03-02")]),
    ):
        metrica.max_possible_day_quantity = quantity
        assert fetches.outcomes(source_for(metrica), *days) == {"unchanged"}
        assert ordered() == windows
    assert fetches.outcomes(source_for(metrica, days_per_request=3), *days) == {"unchanged"}
    assert ordered() == [("2026-02-26", "2026-02-28"), ("2026-03-01", "2026-03-02")]
    # Every order is cleaned, so that the quota is free again.
    assert {request.told["status"] for request in metrica.log_requests.values()} == {"cleaned_by_user"}


def test_metrica_orders_that_come_to_nothing_fail_their_days(metrica: MetricaStandIn, fetches: Fetches) -> None:
    metrica.visits = [metrica_visit(1, MORNING)]
    metrica.final_status = "processing_failed"
    (told,) = messages(fetches.fetch(source_for(metrica), DAY).values())
    assert told == "Metrica did not prepare the visits: its order is 'processing_failed'; fetch again"
    metrica.final_status = "created"
    (told,) = messages(fetches.fetch(source_for(metrica, longest_preparation_seconds=0.05), DAY).values())
    assert told is not None and "has not prepared the visits within 0 seconds" in told
    metrica.final_status, metrica.possible = "processed", False
    (told,) = messages(fetches.fetch(source_for(metrica), DAY).values())
    assert told is not None and "answered 400" in told and "The quota of logs is used up" in told
    metrica.possible = True
    for body in (
        {},
        {"log_request": "taken"},
        {"log_request": {"request_id": "x/../1"}},
        {"log_request": {"request_id": None}},
    ):
        metrica.misbehave(fault_of(json.dumps(body).encode()), path=re.compile("logrequests\\?"))
        metrica.misbehave(fault_of(json.dumps(body).encode()), path=re.compile("logrequests\\?"))
        assert fetches.outcomes(source_for(metrica), DAY) == {"failed"}
        metrica._expected.clear()
    for parts in ("two", ["x"], [{"part_number": "../1"}], [{"part_number": -1}]):
        answer = json.dumps({"log_request": {"status": "processed", "parts": parts}}).encode()
        metrica.misbehave(fault_of(answer), path=re.compile(r"logrequest/\d+$"))
        assert fetches.outcomes(source_for(metrica), DAY) == {"failed"}
    assert not fetches.landing.exists()
    assert fetches.outcomes(source_for(metrica), DAY) == {"delivered"}


def test_a_day_that_metrica_cannot_prepare_keeps_no_other_from_coming(
    metrica: MetricaStandIn, fetches: Fetches, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [DAY + number * A_DAY for number in range(8)]
    metrica.visits = [metrica_visit(number, MORNING + number * A_DAY) for number in range(8)]
    poll = metrica._poll

    def fail(request: LogRequest) -> None:
        poll(request)
        if request.told["date1"] <= str(days[5]) <= request.told["date2"]:
            request.told["status"] = "processing_failed"

    monkeypatch.setattr(metrica, "_poll", fail)
    results = fetches.fetch(source_for(metrica), *days)
    assert [day for day in days if results["visits", day].outcome == "failed"] == [days[5]]
    assert [results["visits", day].row_count for day in days] == [1] * 5 + [0] + [1] * 2


def test_every_part_of_metricas_is_looked_at(metrica: MetricaStandIn, fetches: Fetches) -> None:
    metrica.visits = [metrica_visit(number, MORNING + number * AN_HOUR) for number in range(1, 8)]
    fetches.fetch(source_for(metrica), DAY)
    before = fetches.files()
    metrica.part_count = 3
    results = fetches.fetch(source_for(metrica), DAY)
    assert results["visits", DAY].outcome == "unchanged" and results["visits", DAY].totals.startswith("all ")
    asked = [asked.path[-len("part/0/download") :] for asked in metrica.asked if "/download" in asked.path]
    assert asked == ["part/0/download"] + [f"part/{number}/download" for number in range(3)]
    first = metrica.log_requests[2].parts[0].split(b"\n")
    in_another_order = b"\n".join([b"\t".join(reversed(line.split(b"\t"))) for line in first])
    for fault in (html(), empty_body(), fault_of(b"ym:s:other\n5\n"), fault_of(in_another_order)):
        for part in (0, 2):
            metrica.misbehave(fault, path=f"part/{part}/download")
            (told,) = messages(fetches.fetch(source_for(metrica), DAY).values())
            assert told is not None and "a part doesn't begin with the names of its fields" in told
            assert fetches.files() == before
    # Half a part, sent as if it were all of it: told, but whether sizes are those of what is sent isn't sure.
    metrica.misbehave(not_json(), path="part/1/download")
    result = fetches.fetch(source_for(metrica), DAY)["visits", DAY]
    assert (result.outcome, result.totals_agree) == ("delivered", False)
    assert result.has_become_less and "bytes came" in str(result.problem)
    assert fetches.outcomes(source_for(metrica), DAY) == {"delivered"}
    assert fetches.contents() == {name: content for name, (content, _) in before.items()}


def test_metrica_writes_texts_its_own_way(metrica: MetricaStandIn, fetches: Fetches) -> None:
    hostile = "tab\tline\nreturn\rquotes'\"backslash\\t\\\\n\\"
    metrica.visits = [
        metrica_visit(
            1, MORNING, startURL=f"{ENTRY}#{hostile}", UTMTerm="'", deviceCategory="2", mobilePhoneModel="X\\'"
        ),
        metrica_visit(
            2, MORNING, startURL="https://okna.example/\x01", referer="", deviceCategory="9", mobilePhoneModel=""
        ),
        metrica_visit(3, MORNING, visitID="", mobilePhoneModel=""),
        metrica_visit(4, dateTime="вчера", mobilePhoneModel=""),
    ]
    metrica.raw_lines = {0: ["two\tfields", "", "a line \\", "7" + "\t" * 40 + "7"], 1: ["\0\x01"]}
    metrica.part_count = 2
    broken = Fault(changed=lambda answer, asked: Answer(answer.body + b"\xff\xfe\n", 200, answer.headers))
    metrica.misbehave(broken, path="part/1/download")
    results = fetches.fetch(source_for(metrica, more_fields=["ym:s:mobilePhoneModel"]), DAY)
    assert results["visits", DAY].row_count == 9
    rows = fetches.rows("visits")
    by_id = {row["touch_id"]: row for row in rows if "touch_id" in row}
    first = by_id["metrica:42:2026-7000000000000000001"]
    assert first["landing_page"] == f"{ENTRY}#{hostile}"
    assert (first["lastUTMTerm"], first["device_type"], first["mobilePhoneModel"]) == ("'", "mobile", "X\\'")
    assert (first["goalsID"], first["pageViews"], first["touched_at"]) == ("[101,102]", "3", "2026-03-10T07:05:20Z")
    second = by_id["metrica:42:2026-7000000000000000002"]
    assert second["landing_page"] == "https://okna.example/\N{REPLACEMENT CHARACTER}"
    assert second["device_type"] == "9" and "referrer" not in second
    lines = [row["unparsable_line"] for row in rows if "unparsable_line" in row]
    wrong = "\N{REPLACEMENT CHARACTER}" * 2
    assert sorted(lines) == sorted(["two\tfields", "a line \\", "7" + "\t" * 40 + "7", wrong, wrong])
    # What has no number has no id, rather than the year alone.
    assert sum("touch_id" not in row for row in rows) == len(lines) + 1
    assert any(row.get("touched_at") == "вчера" for row in rows)


def test_an_answer_that_never_ends_is_given_up(mango: MangoStandIn, fetches: Fetches) -> None:
    """However often a byte comes: an attempt takes twenty times as long as nothing may come, at most."""
    mango.misbehave(slow(between=0.01), 2)
    mango.calls = [mango_call(number, MORNING) for number in range(3)]
    (told,) = messages(fetches.fetch(source_for(mango, timeout_seconds=0.02, attempts=1), DAY).values())
    assert told is not None and "took longer than 0 seconds to answer (1 attempts)" in told


def test_an_answer_beyond_all_measure_is_not_read(
    mango: MangoStandIn, fetches: Fetches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.http_client.MOST_BYTES_IN_MEMORY", 10)
    mango.calls = [mango_call(1, MORNING)]
    (told,) = messages(fetches.fetch(source_for(mango), DAY).values())
    assert told is not None and "answered more than 10 bytes, unpacked" in told
    assert len(mango.asked) == 1
