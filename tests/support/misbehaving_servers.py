"""Local servers that remember what they were asked, and misbehave when a test asks them to."""

import gzip
import hashlib
import json
import math
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import Message
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

HOST = "127.0.0.1"
FOREVER = math.inf


@dataclass(frozen=True)
class Asked:
    """A request as it came; headers are found in any case, and `when` is a time of the monotonic clock."""

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    when: float
    target: str


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: Any, status: int = 200) -> "Answer":
        return cls(json.dumps(value, ensure_ascii=False).encode(), status, {"Content-Type": "application/json"})


class Refusal(Exception):
    """What the vendor answers a request with that it doesn't take."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


# Faults


def deliver_as_it_is(handler: "Handler", answer: Answer) -> None:
    handler.deliver(answer)


@dataclass(frozen=True)
class Fault:
    """One way to misbehave; what a fault leaves alone goes on as usual.

    `instead` of looking at the request, which then has no effect, an answer may be given; or the request is taken for
    another (`as_asked`), has its effect, and its answer is `changed`. `deliver` sends what came of it.
    """

    instead: Callable[[Asked], Answer] | None = None
    as_asked: Callable[[Asked], Asked] = lambda asked: asked
    changed: Callable[[Answer, Asked], Answer] = lambda answer, asked: answer
    deliver: Callable[["Handler", Answer], None] = deliver_as_it_is
    applies_to: Callable[[Asked], bool] = lambda asked: True


def too_many_requests(retry_after: float | datetime | str | None = None) -> Fault:
    """`retry_after` in seconds, or a moment, or any text."""
    if isinstance(retry_after, datetime):
        retry_after = format_datetime(retry_after.astimezone(UTC), usegmt=True)
    answer = Answer.of_json({"message": "Too many requests"}, 429)
    wait = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault(instead=lambda asked: replace(answer, headers=answer.headers | wait))


def server_error(status: int = 503) -> Fault:
    return Fault(
        instead=lambda asked: Answer(b"<html><body>nginx</body></html>", status, {"Content-Type": "text/html"})
    )


def cut_off(after_bytes: int, framing: str = "length", resets: bool = False) -> Fault:
    """The connection ends within the body, in good order or with a reset; below zero, bytes count from its end.

    Framed by "length" or in "chunked" form a client can tell; where the end of the connection is the end of the body
    ("end"), it can't.
    """

    def deliver(handler: Handler, answer: Answer) -> None:
        handler.deliver(answer, framing=framing, until=after_bytes)
        if resets:
            handler.reset()

    return Fault(deliver=deliver)


def slow(before: float = 0, between: float = 0, piece_bytes: int = 1) -> Fault:
    """Seconds before the first byte, headers included, and between pieces of the body."""

    def deliver(handler: Handler, answer: Answer) -> None:
        handler.stand_in.closing.wait(before)
        handler.deliver(answer, pause=between, piece_bytes=piece_bytes)

    return Fault(deliver=deliver)


def html() -> Fault:
    """A page for people where data is due, as sign-in pages and proxies send it."""
    page = "<html><body><h1>Технические работы</h1></body></html>"
    return Fault(instead=lambda asked: Answer(page.encode(), 200, {"Content-Type": "text/html; charset=utf-8"}))


def not_json() -> Fault:
    """Half of the body, sent as if it were all of it."""
    return Fault(changed=lambda answer, asked: replace(answer, body=answer.body[: len(answer.body) // 2]))


def empty_body(status: int = 200) -> Fault:
    return Fault(changed=lambda answer, asked: replace(answer, body=b"", status=status))


def gzipped() -> Fault:
    """Compressed, whether the client said that it can read this or not."""
    encoding = {"Content-Encoding": "gzip"}
    return Fault(changed=lambda answer, asked: Answer(gzip.compress(answer.body), 200, answer.headers | encoding))


def reset() -> Fault:
    """No answer and no effect: the connection is reset once the request is read."""
    return Fault(instead=lambda asked: Answer(b""), deliver=lambda handler, answer: handler.reset())


def redirect(to: str, status: int = 302, with_query: bool = False) -> Fault:
    """To the same path of another server, with what was asked, credentials too, if `with_query`."""

    def instead(asked: Asked) -> Answer:
        return Answer(b"", status, {"Location": to + (asked.target if with_query else asked.path)})

    return Fault(instead=instead)


def page_repeats() -> Fault:
    """The page before the one that was asked for, under the number of the latter; it waits for a second page."""

    def number(asked: Asked) -> int:
        page = asked.query.get("page", "")
        return int(page) if page.isdigit() else 0

    return Fault(
        applies_to=lambda asked: number(asked) > 1,
        as_asked=lambda asked: replace(asked, query=asked.query | {"page": str(number(asked) - 1)}),
        changed=lambda answer, asked: Answer.of_json(json.loads(answer.body) | {"page": number(asked)}),
    )


def page_vanishes() -> Fault:
    """A page without records, which the totals count nevertheless."""
    return Fault(
        applies_to=lambda asked: "page" in asked.query,
        changed=lambda answer, asked: Answer.of_json(json.loads(answer.body) | {"records": []}),
    )


def wrong_total(difference: int) -> Fault:
    def changed(answer: Answer, asked: Asked) -> Answer:
        page = json.loads(answer.body)
        return Answer.of_json(page | {"recordsTotal": page["recordsTotal"] + difference})

    return Fault(applies_to=lambda asked: "page" in asked.query, changed=changed)


def hour_twice() -> Fault:
    """All records of the first record's hour are delivered twice within the answer."""

    def hour(time: int | str) -> int | str:
        return time // 3_600_000 if isinstance(time, int) else time[: len("2026-11-20T07")]

    def doubled(records: list, time_of: Callable[[Any], int | str]) -> list:
        return records + [record for record in records if hour(time_of(record)) == hour(time_of(records[0]))]

    def changed(answer: Answer, asked: Asked) -> Answer:
        if answer.headers["Content-Type"] != "application/json":
            header, *lines, rest = answer.body.decode().split("\n")
            column = header.split("\t").index("ym:s:dateTime")
            lines = doubled(lines, lambda line: line.split("\t")[column])
            return replace(answer, body="\n".join([header, *lines, rest]).encode())
        page = json.loads(answer.body)
        records = page if isinstance(page, list) else page["records"]
        records = doubled(records, lambda record: record.get("dateStart", record.get("date")))
        return Answer.of_json(records if isinstance(page, list) else page | {"records": records})

    return Fault(changed=changed)


@dataclass
class Expected:
    """A fault that waits for requests."""

    fault: Fault
    times: float
    path: str | re.Pattern[str] | None

    def applies_to(self, asked: Asked) -> bool:
        if isinstance(self.path, re.Pattern):
            fits = self.path.search(asked.target) is not None
        else:
            fits = self.path is None or self.path in asked.target
        return fits and self.times > 0 and self.fault.applies_to(asked)


# Servers


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    @property
    def stand_in(self) -> "StandIn":
        return self.server.stand_in

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def handle_request(self) -> None:
        # Read even if nobody looks at it, or it would be taken for the next request of the connection.
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        asked = Asked(self.command, parts.path, query, self.headers, time.monotonic(), self.path)
        fault, answer = self.stand_in.take(asked)
        fault.deliver(self, answer)

    do_GET = do_POST = handle_request

    def deliver(
        self,
        answer: Answer,
        framing: str | None = None,
        until: int | None = None,
        pause: float = 0,
        piece_bytes: int = 65536,
    ) -> None:
        """Send an answer; `until` stops after so many bytes of the body and ends the connection."""
        framing = framing or self.stand_in.framing
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if framing == "length":
            self.send_header("Content-Length", str(len(answer.body)))
        elif framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        body = answer.body[:until]
        for start in range(0, len(body), piece_bytes):
            if start:
                self.stand_in.closing.wait(pause)
            piece = body[start : start + piece_bytes]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        if until is not None:
            self.close_connection = True
        elif framing == "chunked":
            self.wfile.write(b"0\r\n\r\n")

    def reset(self) -> None:
        # Without lingering, closing is a reset; and the socket is open for as long as its file is.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Tests read `asked`, and not what would be printed."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, stand_in: "StandIn", port: int) -> None:
        self.stand_in = stand_in
        self.connections: set[socket.socket] = set()
        super().__init__((HOST, port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients may go away in the middle of an answer; everything else is a mistake in here.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class StandIn:
    """A server on a thread of its own, from `with` to its end, and what all of them have in common.

    `framing` says how clients know where a body ends: "length", "chunked" or "end" (of the connection).
    """

    refusal_status = 401
    # Which is another one where it is written into a query, or into a header as it is.
    token = "secret+token/with=signs"
    supports_ranges = True
    framing = "length"

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._expired = False
        self._expected: list[Expected] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._open(0)
        return self

    def __exit__(self, *raised: object) -> None:
        self.closing.set()
        self._close()

    def _open(self, port: int) -> None:
        self._server = Server(self, port)
        self.url = f"http://{HOST}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        # Connections that clients keep for later would be served on.
        for connection in list(self._server.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # gone by itself

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Connections are refused, until the same address is served again."""
        port = self._server.server_port
        self._close()
        # Who holds the port without listening keeps others from taking it meanwhile.
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((HOST, port))
            yield
        self._open(port)

    def expire(self) -> None:
        """From now on the token is no longer accepted."""
        self._expired = True

    def misbehave(self, fault: Fault, times: float = 1, path: str | re.Pattern[str] | None = None) -> None:
        """The next requests whose path and query hold `path` meet a fault; earlier ones are used up first."""
        with self._lock:
            self._expected.append(Expected(fault, times, path))

    @property
    def waiting(self) -> list[Fault]:
        """Faults that no request has met yet."""
        return [expected.fault for expected in self._expected if 0 < expected.times < FOREVER]

    def take(self, asked: Asked) -> tuple[Fault, Answer]:
        with self._lock:
            self.asked.append(asked)
            expected = next((each for each in self._expected if each.applies_to(asked)), Expected(Fault(), 1, None))
            expected.times -= 1
            fault = expected.fault
            if fault.instead is not None:
                return fault, fault.instead(asked)
            answer = self._answer(fault.as_asked(asked))
            # What is refused has no records to falsify.
            answer = fault.changed(answer, asked) if answer.status == 200 else answer
            return fault, self._ranged(answer, asked) if self.supports_ranges else answer

    def _answer(self, asked: Asked) -> Answer:
        try:
            if self._expired or self.credential(asked) != self.token:
                raise Refusal(self.refusal_status, "Invalid token")
            return self.answer(asked)
        except Refusal as refusal:
            return Answer.of_json(self.error_body(refusal), refusal.status)

    def _ranged(self, answer: Answer, asked: Asked) -> Answer:
        if asked.method != "GET" or answer.status != 200 or "Content-Encoding" in answer.headers:
            return answer
        total = len(answer.body)
        tag = f'"{hashlib.sha256(answer.body).hexdigest()[:16]}"'
        headers = answer.headers | {"ETag": tag, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("Range", ""))
        if not wanted or asked.headers.get("If-Range", tag) != tag:
            return replace(answer, headers=headers)
        first, last = int(wanted[1]), min(int(wanted[2] or total), total - 1)
        if first > last:
            return Answer(b"", 416, headers | {"Content-Range": f"bytes */{total}"})
        headers |= {"Content-Range": f"bytes {first}-{last}/{total}"}
        return Answer(answer.body[first : last + 1], 206, headers)

    def credential(self, asked: Asked) -> str | None:
        raise NotImplementedError

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def error_body(self, refusal: Refusal) -> dict[str, Any]:
        return {"code": refusal.status, "message": refusal.message}


class Eavesdropper(StandIn):
    """Another's server, which answers everybody and hears what it is told."""

    def credential(self, asked: Asked) -> str:
        return self.token

    def answer(self, asked: Asked) -> Answer:
        return Answer.of_json([])

    def heard(self, secret: str) -> bool:
        """Whether a request gave it away."""
        told = [part for each in self.asked for part in (each.target, *each.query.values(), *each.headers.values())]
        return any(secret in part for part in told)
