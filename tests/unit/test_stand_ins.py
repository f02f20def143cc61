"""The stand-ins answer as the vendors are known to, and every way to misbehave does what it says on the wire."""

import gzip
import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from misbehaving_servers import (
    FOREVER,
    Eavesdropper,
    Fault,
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
from stand_ins import CalltouchStandIn, MangoStandIn, MetricaStandIn
from vendor_records import MORNING, calltouch_call, calltouch_form, calltouch_visit, mango_call, metrica_visit

MANGO_CALLS = "/v1/calltracking/777/calls"
CALLTOUCH = "/calls-service/RestAPI"
METRICA = "/management/v1/counter/42"
MANGO_DAY = {"dateStart": "2026-11-20T00:00Z", "dateEnd": "2026-11-21T00:00Z"}
CALLTOUCH_DAY = {"dateFrom": "20/11/2026", "dateTo": "20/11/2026"}
METRICA_DAY = {"date1": "2026-11-20", "date2": "2026-11-20", "source": "visits", "fields": "ym:s:visitID,ym:s:dateTime"}


class Got:
    """An answer, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self) -> Any:
        return json.loads(self.body)


def ask(server: StandIn, path: str, query: dict[str, Any] | None = None, method: str = "GET", **headers: str) -> Got:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    try:
        target = path + ("?" + urlencode(query) if query else "")
        connection.request(method, target, headers={name.replace("_", "-"): text for name, text in headers.items()})
        return Got(connection.getresponse())
    finally:
        connection.close()


def raw_answer(server: StandIn, target: str) -> bytes:
    """All bytes that come, until the connection ends in good order."""
    with socket.create_connection((urlsplit(server.url).hostname, urlsplit(server.url).port), timeout=5) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def calls_of(mango: MangoStandIn, **query: str) -> Got:
    return ask(mango, MANGO_CALLS, MANGO_DAY | query, Authorization=f"Bearer {mango.token}")


def calltouch_calls(calltouch: CalltouchStandIn, **query: Any) -> Got:
    path = f"{CALLTOUCH}/123/calls-diary/calls"
    return ask(calltouch, path, {"clientApiId": calltouch.token} | CALLTOUCH_DAY | query)


def calltouch_forms(calltouch: CalltouchStandIn, **query: Any) -> Got:
    day = {"dateFrom": "11/20/2026", "dateTo": "11/20/2026"}
    return ask(calltouch, f"{CALLTOUCH}/requests/", {"clientApiId": calltouch.token} | day | query)


def metrica_asked(metrica: MetricaStandIn, action: str, method: str = "GET", **query: str) -> Got:
    parameters = METRICA_DAY | query if action.startswith("logrequests") else None
    return ask(metrica, f"{METRICA}/{action}", parameters, method, Authorization=f"OAuth {metrica.token}")


@pytest.fixture
def mango() -> Iterator[MangoStandIn]:
    with MangoStandIn() as server:
        server.calls = [mango_call(number, MORNING + timedelta(minutes=number)) for number in (1, 2, 3)]
        yield server


@pytest.fixture
def calltouch() -> Iterator[CalltouchStandIn]:
    with CalltouchStandIn() as server:
        server.calls = [calltouch_call(number, MORNING + timedelta(hours=number)) for number in range(5)]
        server.forms = [calltouch_form()]
        yield server


@pytest.fixture
def metrica() -> Iterator[MetricaStandIn]:
    with MetricaStandIn() as server:
        server.today = date(2026, 11, 21)
        server.visits = [metrica_visit(number) for number in range(3)]
        yield server


# As documented


def test_mango_answers_newest_first_within_the_minutes_that_are_asked_for(mango: MangoStandIn) -> None:
    assert [call["callerNumber"] for call in calls_of(mango).json()] == [79160000003, 79160000002, 79160000001]
    assert calls_of(mango).json()[0] == mango.calls[2]

    minute = {"dateStart": "2026-11-20T07:07Z", "dateEnd": "2026-11-20T07:08Z"}
    assert len(calls_of(mango, **minute).json()) == 2
    mango.includes_end = False
    assert [call["dateStart"] for call in calls_of(mango, **minute).json()] == ["2026-11-20T07:07Z"]


def test_mango_filters_by_what_is_documented(mango: MangoStandIn) -> None:
    mango.calls.append(mango_call(4, isNew=False, callType=2, utmSource="vk"))
    mango.calls.append(mango_call(5, dateStart="позавчера"))
    assert len(calls_of(mango, callType="2").json()) == 1
    assert len(calls_of(mango, isNew="1").json()) == 4
    assert len(calls_of(mango, utmSource="vk").json()) == 1
    assert calls_of(mango).json()[-1]["dateStart"] == "позавчера"


@pytest.mark.parametrize(
    "period",
    [
        {"dateStart": "2026-11-20"},
        {"dateStart": "2026-11-20T07:05:00Z"},
        {"dateStart": "2026-11-20T10:05+03:00"},
        {"dateStart": "2026-10-20T23:59Z"},
        {"dateStart": "2026-11-22T00:00Z"},
    ],
)
def test_mango_refuses_other_periods(mango: MangoStandIn, period: dict[str, str]) -> None:
    assert calls_of(mango, **period).status == 400


def test_mango_takes_the_credential_that_it_is_set_to(mango: MangoStandIn) -> None:
    def statuses() -> list[int]:
        parameter = ask(mango, MANGO_CALLS, MANGO_DAY | {"access_token": mango.token})
        return [calls_of(mango).status, parameter.status, ask(mango, MANGO_CALLS, MANGO_DAY).status]

    assert statuses() == [200, 200, 401]
    mango.authorization = "bearer"
    assert statuses() == [200, 401, 401]
    mango.authorization = "access_token"
    assert statuses() == [401, 200, 401]
    mango.expire()
    assert statuses() == [401, 401, 401]
    assert calls_of(mango).json()["code"] == 401


def test_requests_are_remembered(mango: MangoStandIn) -> None:
    before = time.monotonic()
    calls_of(mango, utmTerm="пластиковые окна")
    (asked,) = mango.asked
    assert (asked.method, asked.path) == ("GET", MANGO_CALLS)
    assert asked.query == MANGO_DAY | {"utmTerm": "пластиковые окна"}
    assert asked.headers["authorization"] == f"Bearer {mango.token}"
    assert before <= asked.when <= time.monotonic()


def test_calltouch_answers_pages(calltouch: CalltouchStandIn) -> None:
    page = calltouch_calls(calltouch, page=2, limit=2).json()
    assert {name: page[name] for name in ("page", "pageTotal", "recordsTotal")} == {
        "page": 2,
        "pageTotal": 3,
        "recordsTotal": 5,
    }
    assert [record["callId"] for record in page["records"]] == ["700002", "700003"]
    assert calltouch_calls(calltouch, page=4, limit=2).json()["records"] == []
    assert isinstance(calltouch_calls(calltouch).json(), list)
    for refused in ({"page": 0}, {"limit": 1001}, {"dateFrom": "19/11/2026"}):
        assert calltouch_calls(calltouch, **refused).status == 400


def test_calltouch_answers_the_chain_of_visits_if_asked(calltouch: CalltouchStandIn) -> None:
    assert "mapVisits" not in calltouch_calls(calltouch, page=1).json()["records"][0]
    (visit,) = calltouch_calls(calltouch, page=1, withMapVisits="true").json()["records"][0]["mapVisits"]
    assert visit == calltouch_visit(0, MORNING - timedelta(minutes=20))


def test_calltouch_reads_days_in_two_orders(calltouch: CalltouchStandIn) -> None:
    for wrong in ("11/20/2026", "2026-11-20", "1/2/2026", ""):
        assert calltouch_calls(calltouch, page=1, dateFrom=wrong).status == 400
    assert calltouch_forms(calltouch, dateFrom="20/11/2026").status == 400
    (form,) = calltouch_forms(calltouch).json()
    assert datetime.fromtimestamp(form["date"] / 1000, UTC) == MORNING
    assert calltouch_forms(calltouch, clientApiId="wrong").status == 401

    # Half past midnight in Moscow is the evening before elsewhere.
    calltouch.forms = [calltouch_form(2, datetime(2026, 11, 19, 21, 30, tzinfo=UTC))]
    calltouch.calls = [calltouch_call(2, datetime(2026, 11, 19, 21, 30, tzinfo=UTC))]
    assert len(calltouch_forms(calltouch).json()) == len(calltouch_calls(calltouch).json()) == 1


def test_calltouch_tells_sites_apart(calltouch: CalltouchStandIn) -> None:
    calltouch.forms = [calltouch_form(1, siteId=123), calltouch_form(2, siteId=124)]
    assert len(calltouch_forms(calltouch).json()) == 2
    assert [form["siteId"] for form in calltouch_forms(calltouch, siteId=124).json()] == [124]


def test_metrica_goes_from_evaluation_to_cleaning(metrica: MetricaStandIn) -> None:
    metrica.part_count = 2
    metrica.polls_until_processed = 2
    evaluation = metrica_asked(metrica, "logrequests/evaluate").json()["log_request_evaluation"]
    assert evaluation == {"possible": True, "max_possible_day_quantity": 365}

    created = metrica_asked(metrica, "logrequests", "POST").json()["log_request"]
    assert (created["status"], created["counter_id"], "parts" in created) == ("created", 42, False)
    request = f"logrequest/{created['request_id']}"
    assert metrica_asked(metrica, f"{request}/part/0/download").status == 400
    polled = [metrica_asked(metrica, request).json()["log_request"] for _ in range(3)]
    assert [each["status"] for each in polled] == ["created", "created", "processed"]

    bodies = [metrica_asked(metrica, f"{request}/part/{number}/download").body for number in (0, 1)]
    assert [each["size"] for each in polled[2]["parts"]] == [len(body) for body in bodies]
    assert [each["part_number"] for each in polled[2]["parts"]] == [0, 1]
    assert [body.count(b"\n") for body in bodies] == [2, 3]
    assert bodies[0].decode() == "ym:s:visitID\tym:s:dateTime\n7000000000000000000\t2026-11-20 10:05:20\n"
    assert metrica_asked(metrica, f"{request}/part/2/download").status == 404

    assert metrica_asked(metrica, f"{request}/clean", "POST").json()["log_request"]["status"] == "cleaned_by_user"
    assert metrica_asked(metrica, f"{request}/part/0/download").status == 400
    assert [each["status"] for each in metrica_asked(metrica, "logrequests").json()["requests"]] == ["cleaned_by_user"]


def downloaded(metrica: MetricaStandIn, fields: str) -> list[str]:
    number = metrica_asked(metrica, "logrequests", "POST", fields=fields).json()["log_request"]["request_id"]
    for _ in range(2):
        metrica_asked(metrica, f"logrequest/{number}")
    return metrica_asked(metrica, f"logrequest/{number}/part/0/download").body.decode().split("\n")


def test_metrica_escapes_what_would_break_a_row(metrica: MetricaStandIn) -> None:
    metrica.visits = [metrica_visit(UTMTerm="окна\tи\nдвери\\'", goalsID=[1, 2], watchIDs=["a"])]
    metrica.raw_lines = {0: ["one\ttwo\tthree\tfour\tfive"]}
    _, row, raw, end = downloaded(metrica, "ym:s:UTMTerm,ym:s:goalsID,ym:s:watchIDs")
    assert row == "окна\\tи\\nдвери\\\\\\'\t[1,2]\t[\\'a\\']"
    assert (raw, end) == ("one\ttwo\tthree\tfour\tfive", "")


@pytest.mark.parametrize(
    "refused",
    [
        {"date2": "2026-11-21"},
        {"date1": "2025-11-19"},
        {"date1": "20.11.2026"},
        {"date1": "2026-11-21"},
        {"source": "hits"},
        {"fields": ",".join(["ym:s:visitID"] * 240)},
        {"fields": "ym:s:visitId"},
    ],
)
def test_metrica_refuses_what_it_is_known_to_refuse(metrica: MetricaStandIn, refused: dict[str, str]) -> None:
    for method, action in (("GET", "logrequests/evaluate"), ("POST", "logrequests")):
        got = metrica_asked(metrica, action, method, **refused)
        assert (got.status, got.json()["code"]) == (400, 400)
    assert metrica.log_requests == {}


def test_metrica_may_be_unable_or_full_or_forget(metrica: MetricaStandIn) -> None:
    metrica.max_possible_day_quantity = -3
    evaluated = metrica_asked(metrica, "logrequests/evaluate").json()
    assert evaluated["log_request_evaluation"]["max_possible_day_quantity"] == -3
    metrica.final_status = "processing_failed"
    metrica.polls_until_processed = 0
    metrica.quota_bytes = 1
    assert metrica_asked(metrica, "logrequests", "POST").status == 200
    assert metrica_asked(metrica, "logrequests", "POST").status == 400
    assert metrica_asked(metrica, "logrequest/1").json()["log_request"]["status"] == "processing_failed"
    unknown = metrica_asked(metrica, "logrequest/2")
    assert (unknown.status, unknown.json()["errors"][0]["error_type"]) == (404, "not_found")
    metrica.expire()
    refused = metrica_asked(metrica, "logrequest/1")
    assert (refused.status, refused.json()["code"], refused.json()["message"]) == (403, 403, "Invalid token")


def test_parts_of_a_body_can_be_asked_for(mango: MangoStandIn) -> None:
    def ranged(**headers: str) -> Got:
        return ask(mango, MANGO_CALLS, MANGO_DAY, Authorization=f"Bearer {mango.token}", **headers)

    whole = ranged()
    total, tag = len(whole.body), whole.headers["ETag"]
    rest = ranged(Range="bytes=100-", If_Range=tag)
    assert (rest.status, rest.headers["Content-Range"]) == (206, f"bytes 100-{total - 1}/{total}")
    assert rest.body == whole.body[100:]
    assert ranged(Range="bytes=5-9").body == whole.body[5:10]
    assert ranged(Range=f"bytes={total}-").headers["Content-Range"] == f"bytes */{total}"

    mango.calls.pop()
    changed = ranged(Range="bytes=100-", If_Range=tag)
    assert changed.status == 200 and len(changed.body) < total
    mango.supports_ranges = False
    unsupported = ranged(Range="bytes=100-")
    assert (unsupported.status, unsupported.body, unsupported.headers["ETag"]) == (200, changed.body, None)


# Misbehaviour


def test_faults_meet_the_requests_that_they_wait_for(calltouch: CalltouchStandIn) -> None:
    calltouch.misbehave(server_error(502), times=2, path="/requests")
    calltouch.misbehave(server_error(500), path=re.compile(r"[?&]page=2\b"))
    calltouch.misbehave(server_error(503))
    assert [calltouch_calls(calltouch, page=page).status for page in (1, 2, 2)] == [503, 500, 200]
    assert len(calltouch.waiting) == 1
    assert [calltouch_forms(calltouch).status for _ in range(3)] == [502, 502, 200]
    assert calltouch.waiting == []
    calltouch.misbehave(html(), times=FOREVER)
    assert calltouch_forms(calltouch).headers["Content-Type"].startswith("text/html")


def test_a_fault_instead_of_an_answer_has_no_effect(metrica: MetricaStandIn) -> None:
    metrica.misbehave(server_error())
    metrica.misbehave(cut_off(10))
    assert metrica_asked(metrica, "logrequests", "POST").status == 503
    assert metrica.log_requests == {}
    with pytest.raises(http.client.IncompleteRead):
        metrica_asked(metrica, "logrequests", "POST")
    assert len(metrica.log_requests) == 1


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [
        (None, None),
        (3, "3"),
        ("soon", "soon"),
        (datetime(2026, 11, 21, 10, 0, 5, tzinfo=UTC), "Sat, 21 Nov 2026 10:00:05 GMT"),
    ],
)
def test_too_many_requests(mango: MangoStandIn, retry_after: Any, header: str | None) -> None:
    mango.misbehave(too_many_requests(retry_after))
    got = calls_of(mango)
    assert (got.status, got.headers["Retry-After"]) == (429, header)


@pytest.mark.parametrize(
    ("fault", "headers"),
    [
        (cut_off(50), [b"Content-Length: "]),
        (cut_off(50, "chunked"), [b"Transfer-Encoding: chunked"]),
        (cut_off(50, "end"), [b"Connection: close"]),
    ],
)
def test_cut_off_within_the_body(mango: MangoStandIn, fault: Fault, headers: list[bytes]) -> None:
    whole = calls_of(mango).body
    mango.misbehave(fault)
    query = urlencode(MANGO_DAY | {"access_token": mango.token})
    head, body = raw_answer(mango, f"{MANGO_CALLS}?{query}").split(b"\r\n\r\n", 1)
    assert all(header in head for header in headers)
    assert body.removeprefix(b"32\r\n").removesuffix(b"\r\n") == whole[:50]


def test_cut_off_with_a_reset(mango: MangoStandIn) -> None:
    mango.misbehave(cut_off(50, resets=True))
    with pytest.raises(ConnectionResetError):
        calls_of(mango)
    mango.misbehave(reset())
    with pytest.raises(ConnectionResetError):
        calls_of(mango)
    assert len(mango.asked) == 2
    assert calls_of(mango).status == 200


def test_connections_are_refused_for_a_while(mango: MangoStandIn) -> None:
    kept = http.client.HTTPConnection(urlsplit(mango.url).netloc, timeout=5)
    kept.request("GET", MANGO_CALLS)
    assert kept.getresponse().read()
    with mango.refusing():
        with pytest.raises(ConnectionRefusedError):
            calls_of(mango)
        kept.auto_open = 0
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            kept.request("GET", MANGO_CALLS)
            kept.getresponse()
    kept.close()
    assert calls_of(mango).status == 200
    assert len(mango.asked) == 2


def test_slow_before_and_within_the_answer(mango: MangoStandIn) -> None:
    mango.calls = []
    mango.misbehave(slow(before=0.2))
    mango.misbehave(slow(between=0.2))
    for _ in range(2):
        start = time.monotonic()
        assert calls_of(mango).json() == []
        assert time.monotonic() - start >= 0.2

    # Who waits for no longer than a moment gets nothing, and the server ends nevertheless.
    mango.misbehave(slow(before=60))
    connection = http.client.HTTPConnection(urlsplit(mango.url).netloc, timeout=0.1)
    connection.request("GET", MANGO_CALLS)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_what_isnt_json(mango: MangoStandIn) -> None:
    whole = calls_of(mango)
    for fault in (html(), not_json(), empty_body()):
        mango.misbehave(fault)
        got = calls_of(mango)
        assert got.status == 200
        assert int(got.headers["Content-Length"]) == len(got.body)
        with pytest.raises(json.JSONDecodeError):
            got.json()
    mango.misbehave(empty_body(204))
    assert calls_of(mango).status == 204
    mango.misbehave(gzipped())
    packed = calls_of(mango)
    assert (packed.headers["Content-Encoding"], gzip.decompress(packed.body)) == ("gzip", whole.body)


def test_bodies_are_framed_in_other_ways(mango: MangoStandIn) -> None:
    whole = calls_of(mango).body
    for framing in ("chunked", "end"):
        mango.framing = framing
        got = calls_of(mango)
        assert (got.headers["Content-Length"], got.body) == (None, whole)


def test_pages_repeat_and_vanish(calltouch: CalltouchStandIn) -> None:
    for fault in (page_repeats(), page_vanishes(), wrong_total(-2), hour_twice()):
        calltouch.misbehave(fault, path="page=2")
    first = calltouch_calls(calltouch, page=1, limit=2).json()
    second = calltouch_calls(calltouch, page=2, limit=2).json()
    assert (second["page"], second["records"]) == (2, first["records"])
    vanished = calltouch_calls(calltouch, page=2, limit=2).json()
    assert (vanished["recordsTotal"], vanished["records"]) == (5, [])
    assert calltouch_calls(calltouch, page=2, limit=2).json()["recordsTotal"] == 3
    doubled = calltouch_calls(calltouch, page=2, limit=2).json()["records"]
    assert [record["callId"] for record in doubled] == ["700002", "700003", "700002"]


def test_an_hour_is_delivered_twice(mango: MangoStandIn, metrica: MetricaStandIn, calltouch: CalltouchStandIn) -> None:
    mango.calls.append(mango_call(9, MORNING - timedelta(hours=2)))
    for server in (mango, metrica, calltouch):
        server.misbehave(hour_twice(), path="download" if server is metrica else None)
    assert len(calls_of(mango).json()) == 7
    assert len(calltouch_forms(calltouch).json()) == 2
    metrica.visits.append(metrica_visit(9, MORNING + timedelta(hours=3)))
    lines = downloaded(metrica, "ym:s:dateTime,ym:s:visitID")
    assert (len(lines), lines[-1]) == (9, "")


def test_elsewhere_somebody_listens(mango: MangoStandIn) -> None:
    with Eavesdropper() as elsewhere:
        mango.misbehave(redirect(elsewhere.url, 307))
        got = calls_of(mango)
        assert (got.status, got.headers["Location"]) == (307, elsewhere.url + MANGO_CALLS)
        mango.misbehave(redirect(elsewhere.url, with_query=True))
        assert calls_of(mango).headers["Location"] == f"{elsewhere.url}{MANGO_CALLS}?{urlencode(MANGO_DAY)}"

        assert ask(elsewhere, MANGO_CALLS).json() == []
        assert not elsewhere.heard(mango.token)
        ask(elsewhere, MANGO_CALLS, {"access_token": mango.token})
        assert elsewhere.heard(mango.token)
        elsewhere.asked.clear()
        ask(elsewhere, MANGO_CALLS, Authorization=f"Bearer {mango.token}")
        assert elsewhere.heard(mango.token)
