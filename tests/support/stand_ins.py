"""Local servers that answer as the vendors' APIs are known to; how they misbehave is in `misbehaving_servers`.

What they hold is set by tests, as the vendor would write it: `vendor_records` has examples. Records whose time can't be
read are in every answer.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from metrica_fields import ATTRIBUTIONS, attribution_and_field
from misbehaving_servers import Answer, Asked, Refusal, StandIn
from vendor_records import MOSCOW, Record

TSV_ESCAPES = {ord(character): f"\\{letter}" for character, letter in zip("\\\t\n\r\b\f\0'", "\\tnrbf0'", strict=True)}


class MangoStandIn(StandIn):
    """Calls of MANGO OFFICE call tracking.

    `authorization` is what it takes: "bearer" (the header), "access_token" (the parameter) or "either".
    `includes_end` says whether calls of the minute that a request ends with are in its answer, which nobody documents.
    """

    authorization = "either"
    includes_end = True

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Record] = []

    def credential(self, asked: Asked) -> str | None:
        scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
        if self.authorization != "access_token" and scheme == "Bearer":
            return token
        return asked.query.get("access_token") if self.authorization != "bearer" else None

    def answer(self, asked: Asked) -> Answer:
        matched(r"GET /v1/calltracking/[^/]+/calls(?:\.json)?", asked)
        start, end = period(asked, "dateStart", "dateEnd", r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", "%Y-%m-%dT%H:%MZ")
        if end - start > timedelta(days=31):
            raise Refusal(400, "The period is 31 days at most")
        last = end if self.includes_end else end - timedelta(minutes=1)

        def started(call: Record) -> datetime | None:
            # In one public client's words the day comes first.
            return moment_of(call.get("dateStart"), "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ", "%d-%m-%YT%H:%MZ")

        def is_asked(call: Record) -> bool:
            moment = started(call)
            return (
                (moment is None or start <= moment.replace(second=0) <= last)
                and asked.query.get("callType", "0") in ("0", str(call.get("callType")))
                and all(call.get(flag) or asked.query.get(flag, "0") == "0" for flag in ("isNew", "isQuality"))
                and all(call.get(name) == value for name, value in asked.query.items() if name.startswith("utm"))
            )

        calls = filter(is_asked, self.calls)
        return Answer.of_json(sorted(calls, key=lambda call: started(call) or datetime.min, reverse=True))


class CalltouchStandIn(StandIn):
    """Calls and forms of Calltouch; days are Moscow's, and a record may say whose it is by `siteId`.

    `most_per_page` is how many calls a page has, whatever is asked for; `tells_totals` says whether pages tell how many calls
    and pages there are; `takes_pages` whether it looks at the page's number.
    """

    most_per_page = 1000
    tells_totals = True
    takes_pages = True

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Record] = []
        self.forms: list[Record] = []

    def credential(self, asked: Asked) -> str | None:
        return asked.query.get("clientApiId")

    def answer(self, asked: Asked) -> Answer:
        path = r"GET /calls-service/RestAPI/(?:([^/]+)/calls-diary/calls|(?:([^/]+)/)?requests)/?"
        calls_site, forms_site = matched(path, asked).groups()
        if calls_site is None:
            forms = self._records(self.forms, asked, "%m/%d/%Y", forms_site or asked.query.get("siteId"))
            return Answer.of_json(forms)
        calls = self._records(self.calls, asked, "%d/%m/%Y", calls_site)
        if not asked.query.keys() & {"page", "limit"}:
            if asked.query["dateFrom"] != asked.query["dateTo"]:
                raise Refusal(400, "More than a day is read in pages")
            return Answer.of_json(calls)
        page, limit = asked.query.get("page", "1"), asked.query.get("limit", "1000")
        if not all(re.fullmatch(r"[1-9]\d{0,5}", number, re.ASCII) for number in (page, limit)) or int(limit) > 1000:
            raise Refusal(400, "Wrong page or limit")
        size = min(int(limit), self.most_per_page)
        end = (int(page) if self.takes_pages else 1) * size
        counts = {"page": int(page), "pageTotal": math.ceil(len(calls) / size), "recordsTotal": len(calls)}
        return Answer.of_json({**(counts if self.tells_totals else {}), "records": calls[end - size : end]})

    def _records(self, records: list[Record], asked: Asked, form: str, site: str | None) -> list[Record]:
        first, last = (moment.date() for moment in period(asked, "dateFrom", "dateTo", r"\d\d/\d\d/\d{4}", form))
        left_out = () if asked.query.get("withMapVisits") == "true" else ("mapVisits",)

        def is_asked(record: Record) -> bool:
            written = record.get("date")
            moment = moment_of(written, "%d/%m/%Y %H:%M:%S")
            if isinstance(written, int):
                moment = datetime.fromtimestamp(written / 1000, MOSCOW)
            is_of_site = site is None or str(record.get("siteId", site)) == site
            return is_of_site and (moment is None or first <= moment.date() <= last)

        return [
            {name: value for name, value in record.items() if name not in left_out}
            for record in filter(is_asked, records)
        ]


@dataclass
class LogRequest:
    """A request for logs, which are cut into parts when it is made; `told` is what is said of it."""

    told: Record
    parts: list[bytes]
    polls: int = 0


class MetricaStandIn(StandIn):
    """Visits from Yandex Metrica's Logs API.

    A request is `created` for `polls_until_processed` polls, and gets `final_status` then. Its rows are cut into
    `part_count` parts; `raw_lines` are added to a part, by its number, as they are. What a visit itself holds, such as its
    tags, is what it tells by the attribution `last`; by others it tells what an earlier visit of the client holds.
    `today` is the real day in Moscow unless it is set.
    """

    refusal_status = 403
    polls_until_processed = 1
    final_status = "processed"
    part_count = 1
    today: date | None = None
    quota_bytes = 10 * 1024**3
    possible = True
    max_possible_day_quantity = 365

    def __init__(self) -> None:
        super().__init__()
        self.visits: list[Record] = []
        self.raw_lines: dict[int, list[str]] = {}
        self.log_requests: dict[int, LogRequest] = {}

    def credential(self, asked: Asked) -> str | None:
        scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
        return token if scheme == "OAuth" else None

    def error_body(self, refusal: Refusal) -> Record:
        kind = {403: "invalid_token", 404: "not_found"}.get(refusal.status, "invalid_parameter")
        error = {"error_type": kind, "message": refusal.message}
        return {"errors": [error], "code": refusal.status, "message": refusal.message}

    def answer(self, asked: Asked) -> Answer:
        counter, action = matched(r"\w+ /management/v1/counter/(\d+)/(.+)", asked).groups()
        match asked.method, action:
            case "GET", "logrequests":
                told = [each.told for each in self.log_requests.values() if each.told["counter_id"] == int(counter)]
                return Answer.of_json({"requests": told})
            case "GET", "logrequests/evaluate":
                self._days_and_fields(asked)
                evaluation = {"possible": self.possible, "max_possible_day_quantity": self.max_possible_day_quantity}
                return Answer.of_json({"log_request_evaluation": evaluation})
            case "POST", "logrequests":
                self._check_quota()
                return Answer.of_json({"log_request": self._create(int(counter), asked).told})
        step = r"(GET) .+/logrequest/(\d+)|(GET) .+/logrequest/(\d+)/part/(\d+)/download|(POST) .+/logrequest/(\d+)/(clean|cancel)"
        _, polled, _, downloaded, part, _, ended, how = matched(step, asked).groups()
        request = self.log_requests.get(int(polled or downloaded or ended))
        if request is None or request.told["counter_id"] != int(counter):
            raise Refusal(404, "No such log request")
        if polled:
            self._poll(request)
        elif how == "cancel" and request.told["status"] == "created":
            request.told["status"] = "canceled"
        elif how == "cancel" or request.told["status"] != "processed":
            raise Refusal(400, f"The log request is {request.told['status']}")
        elif how == "clean":
            request.told["status"] = "cleaned_by_user"
            del request.told["parts"]
        elif int(part) >= len(request.parts):
            raise Refusal(404, "No such part")
        else:
            return Answer(request.parts[int(part)], 200, {"Content-Type": "text/tab-separated-values"})
        return Answer.of_json({"log_request": request.told})

    def _days_and_fields(self, asked: Asked) -> tuple[date, date, list[str]]:
        first, last = (moment.date() for moment in period(asked, "date1", "date2", r"\d{4}-\d\d-\d\d", "%Y-%m-%d"))
        if asked.query.get("source") != "visits":
            raise Refusal(400, "Only visits are there")
        if last >= (self.today or datetime.now(MOSCOW).date()):
            raise Refusal(400, "The current day can't be asked for")
        if (last - first).days >= 366:
            raise Refusal(400, "The period is a year at most")
        if len(asked.query.get("fields", "")) > 3000:
            raise Refusal(400, "Fields are 3,000 characters at most")
        fields = asked.query.get("fields", "").split(",")
        if unknown := [name for name in fields if attribution_and_field(name) is None]:
            raise Refusal(400, f"Unknown fields: {', '.join(unknown)}")
        if asked.query.get("attribution", "last").lower() not in ATTRIBUTIONS:
            raise Refusal(400, "Unknown attribution")
        return first, last, fields

    def _value(self, visit: Record, name: str, default_attribution: str) -> Any:
        attribution, field = attribution_and_field(name) or (None, "")
        if attribution == "<attribution>":
            attribution = default_attribution
        if attribution is None or attribution in ("last", "cross_device_last"):
            return visit.get(f"ym:s:{field}", "")
        # The client's visits up to this one; all but the first and the last sources are the last of those that say something.
        earlier = [
            other
            for other in self.visits
            if other.get("ym:s:clientID") == visit.get("ym:s:clientID")
            and str(other.get("ym:s:dateTime")) <= str(visit.get("ym:s:dateTime"))
        ]
        earlier.sort(key=lambda other: str(other.get("ym:s:dateTime")))
        if "first" in attribution:
            return earlier[0].get(f"ym:s:{field}", "")
        significant = [other for other in earlier if other.get("ym:s:UTMSource")]
        return (significant[-1] if significant else visit).get(f"ym:s:{field}", "")

    @property
    def used_bytes(self) -> int:
        """How much of the quota is taken."""
        kept = [each for each in self.log_requests.values() if each.told["status"] in ("created", "processed")]
        return sum(len(part) for each in kept for part in each.parts)

    def _check_quota(self) -> None:
        if not self.possible or self.used_bytes >= self.quota_bytes:
            raise Refusal(400, "The quota of logs is used up")

    def _create(self, counter: int, asked: Asked) -> LogRequest:
        first, last, fields = self._days_and_fields(asked)
        attribution = asked.query.get("attribution", "lastsign").lower()

        def is_asked(visit: Record) -> bool:
            moment = moment_of(visit.get("ym:s:dateTime"), "%Y-%m-%d %H:%M:%S")
            return moment is None or first <= moment.date() <= last

        rows = [
            tab_separated(self._value(visit, name, attribution) for name in fields)
            for visit in filter(is_asked, self.visits)
        ]
        ends = [len(rows) * number // self.part_count for number in range(self.part_count + 1)]
        parts = [
            [tab_separated(fields), *rows[start:end], *self.raw_lines.get(number, [])]
            for number, (start, end) in enumerate(pairwise(ends))
        ]
        told: Record = {
            "request_id": len(self.log_requests) + 1,
            "counter_id": counter,
            "source": "visits",
            "date1": str(first),
            "date2": str(last),
            "fields": fields,
            "status": "created",
            "size": 0,
        }
        request = LogRequest(told, ["".join(f"{line}\n" for line in lines).encode() for lines in parts])
        self.log_requests[told["request_id"]] = request
        return request

    def _poll(self, request: LogRequest) -> None:
        request.polls += 1
        if request.told["status"] == "created" and request.polls > self.polls_until_processed:
            request.told["status"] = self.final_status
        if request.told["status"] == "processed":
            sizes = [{"part_number": number, "size": len(body)} for number, body in enumerate(request.parts)]
            request.told |= {"size": sum(map(len, request.parts)), "parts": sizes}


def matched(pattern: str, asked: Asked) -> re.Match[str]:
    match = re.fullmatch(pattern, f"{asked.method} {asked.path}")
    if match is None:
        raise Refusal(404, "Not found")
    return match


def period(asked: Asked, first_name: str, last_name: str, pattern: str, form: str) -> tuple[datetime, datetime]:
    """Two parameters of this very form; `strptime` alone takes single digits too."""
    moments = []
    for name in (first_name, last_name):
        text = asked.query.get(name, "")
        moment = moment_of(text, form) if re.fullmatch(pattern, text, re.ASCII) else None
        if moment is None:
            raise Refusal(400, f"{name} isn't of the form {form}")
        moments.append(moment)
    first, last = moments
    if first > last:
        raise Refusal(400, f"{first_name} is later than {last_name}")
    return first, last


def moment_of(text: Any, *forms: str) -> datetime | None:
    for form in forms:
        try:
            return datetime.strptime(text, form)
        except (TypeError, ValueError):
            continue
    return None


def tab_separated(values: Iterable[Any]) -> str:
    """A line as ClickHouse writes it, in which apostrophes are escaped too, even those around texts of a list.

    What holds a double quote comes in such, its own doubled.
    """

    def written(value: Any) -> str:
        if isinstance(value, list):
            value = "[" + ",".join(f"'{each}'" if isinstance(each, str) else str(each) for each in value) + "]"
        escaped = str(value).translate(TSV_ESCAPES)
        return '"' + escaped.replace('"', '""') + '"' if '"' in escaped else escaped

    return "\t".join(map(written, values))
