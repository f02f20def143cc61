"""An HTTP client for vendors' APIs: retries, resumes downloads, and never shows a credential."""

import base64
import email.utils
import json
import logging
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

import httpx
import stamina

from sources.source import RefusedError, SourceError, TooLargeError, UnreachableError

LONGEST_WAIT_SECONDS = 900.0
LONGEST_BACKOFF_SECONDS = 60.0
# Limits an attempt however slowly data comes; the next one requests only the rest where possible.
TIMEOUTS_PER_ATTEMPT = 20
SHOWN_CHARACTERS = 200
# How much of an answer is read to show its beginning: more than is shown, as white space is dropped.
LOOKED_AT_BYTES = 2**16
# The largest unpacked answer read as a whole. Parsed, it takes several times as much.
MOST_BYTES_IN_MEMORY = 128 * 2**20
# The largest answer that only directs the next step.
MOST_BYTES_OF_A_SHORT_ANSWER = 8 * 2**20
# The most of an unpacked piece that is in memory at once.
PIECE_BYTES = 2**18
# The encodings that we can unpack, with their `wbits` for zlib; we request no others.
WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
BARE_DEFLATE = -15
MOST_ENCODINGS = 3

# They log each address with its parameters, which may hold a credential.
for name in ("httpx", "httpcore"):
    logging.getLogger(name).setLevel(logging.CRITICAL)
# Its log shows whole errors, which may hold a credential.
stamina.instrumentation.set_on_retry_hooks(())

log = logging.getLogger("multichannel")

T = TypeVar("T")
SUSPICIOUS_ESCAPE = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
# JSON can escape lone surrogates and NUL, which no text may hold. Matches surrogate pairs, and the bad escapes as a group.
ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2}|u0000)|.)",
    re.DOTALL,
)


class _AgainError(Exception):
    """A failure that a retry may overcome."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class _OtherPartError(_AgainError):
    """A download can't be resumed: start again."""


class HttpClient:
    """One vendor's API for one account.

    `headers` and `parameters` go along with each request. Messages name `credential_of`, the variable of the credential.
    """

    def __init__(
        self,
        url: str,
        *,
        credential: str,
        credential_of: str,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        timeout_seconds: float,
        attempts: int,
        wait_seconds: float,
    ) -> None:
        self.url, self.credential, self.credential_of = url.rstrip("/"), credential, credential_of
        self.parameters = dict(parameters or {})
        self.timeout_seconds, self.attempts, self.wait_seconds = timeout_seconds, attempts, wait_seconds
        try:
            if not credential.isprintable():  # which a message about it would spell in a way of its own
                raise UnicodeEncodeError("ascii", credential, 0, 1, "not printable")
            self._client = httpx.Client(
                headers={"User-Agent": "multichannel", "Accept-Encoding": "gzip, deflate", **(headers or {})},
                timeout=timeout_seconds,
                follow_redirects=False,
                trust_env=True,
            )
        except UnicodeEncodeError:
            raise RefusedError(f"{credential_of} holds characters that no credential has; set it again") from None
        except (ImportError, ValueError, httpx.InvalidURL):
            # Their messages may show the proxy's password.
            raise RefusedError(
                "the proxy in HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or NO_PROXY can't be used: write "
                "one like http://host:3128 (SOCKS isn't understood), or unset it"
            ) from None
        except OSError as error:
            raise RefusedError(
                f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR of the environment names can't be used ({error.strerror})"
            ) from None

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> "HttpClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hidden(self, message: object) -> str:
        """Masks the credential in every spelling. Call it before cutting or quoting the text."""
        shown = str(message)
        plain = self.credential
        spellings = {plain, quote(plain), quote(plain, safe=""), quote_plus(plain), plain.replace("/", "\\/")}
        spellings |= {spelling.lower() for spelling in spellings if "%" in spelling}
        spellings.add(base64.b64encode(plain.encode()).decode())
        for spelling in sorted(spellings, key=len, reverse=True):
            shown = shown.replace(spelling, "***")
        return shown

    def beginning(self, content: bytes) -> str:
        """The beginning of an answer, for a message."""
        shown = " ".join(self.hidden(content[:LOOKED_AT_BYTES].decode("utf-8", "replace")).split())
        return f"{shown[:SHOWN_CHARACTERS]!r}" if shown else "(nothing)"

    def json(self, path: str, parameters: Mapping[str, str] | None = None, method: str = "GET") -> Any:
        """Requests a short answer. Raises SourceError."""
        most_bytes = min(MOST_BYTES_OF_A_SHORT_ANSWER, MOST_BYTES_IN_MEMORY)

        def ask() -> Any:
            with self._answer(method, path, parameters) as answer:
                return self._parsed(b"".join(self._pieces(answer, path, most_bytes)))

        return self._patiently(ask, path)

    def json_file(self, path: str, parameters: Mapping[str, str], target: Path, kinds: Sequence[type]) -> Any:
        """Writes a JSON answer of one of the `kinds` to a file, and returns it parsed. Raises SourceError."""

        def ask() -> Any:
            self._download(path, parameters, target, MOST_BYTES_IN_MEMORY, never_changes=False)
            content = target.read_bytes()
            parsed = self._parsed(content)
            if json.detect_encoding(content) != "utf-8":
                target.write_text(content.decode(json.detect_encoding(content)), "utf-8")
                content = target.read_bytes()
            if SUSPICIOUS_ESCAPE.search(content):
                target.write_bytes(ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], content))
            if not isinstance(parsed, tuple(kinds)):
                raise _AgainError(
                    f"answered {_kind(parsed)}, where {' or '.join(map(_name, kinds))} is expected: {self.beginning(content)}"
                )
            return parsed

        return self._patiently(ask, path)

    def file(self, path: str, target: Path, most_bytes: int) -> None:
        """Writes an answer that never changes to a file, and resumes broken downloads. Raises SourceError."""
        self._patiently(lambda: self._download(path, {}, target, most_bytes, never_changes=True), path)

    def _patiently(self, ask: Callable[[], T], path: str) -> T:
        def again(error: Exception) -> bool | float:
            if isinstance(error, _AgainError):
                return True if error.wait_seconds is None else error.wait_seconds
            return False

        try:
            for attempt in stamina.retry_context(
                on=again,
                attempts=self.attempts,
                timeout=None,
                wait_initial=self.wait_seconds,
                wait_max=LONGEST_BACKOFF_SECONDS,
                wait_jitter=self.wait_seconds,
            ):
                with attempt:
                    try:
                        return ask()
                    except (httpx.TransportError, _AgainError) as error:
                        problem = error if isinstance(error, _AgainError) else _AgainError(self.hidden(_trouble(error)))
                        log.info("%s%s %s (attempt %s of %s)", self.url, path, problem, attempt.num, self.attempts)
                        raise problem from None
        except _AgainError as error:
            raise UnreachableError(self.hidden(f"{self.url}{path} {error} ({self.attempts} attempts)")) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise SourceError(self.hidden(f"{self.url}{path} can't be asked: {error}")) from None
        raise AssertionError("an attempt either returns or raises")

    @contextmanager
    def _answer(
        self, method: str, path: str, parameters: Mapping[str, str] | None, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        request = self._client.build_request(
            method, self.url + path, params={**self.parameters, **(parameters or {})}, headers=headers
        )
        answer = self._client.send(request, stream=True)
        try:
            self._check(answer, path)
            yield answer
        finally:
            answer.close()

    def _check(self, answer: httpx.Response, path: str) -> None:
        if answer.status_code in (200, 201, 202, 206):
            return
        if answer.is_redirect:
            host = httpx.URL(answer.headers.get("location", "")).host or "elsewhere"
            raise RefusedError(
                f"{self.url}{path} sends to {self.hidden(host)}: the credential isn't sent there; if that is right, set `url` in sources.yml"
            )
        beginning = self._beginning_of(answer, path)
        if answer.status_code in (401, 403):
            raise RefusedError(
                f"{self.url}{path} refuses the credential in {self.credential_of} ({answer.status_code}: {beginning}): "
                "it has expired, or may not see this; make a new one, and set it"
            )
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            wait = _retry_after(answer.headers.get("retry-after"))
            if wait is not None and wait > LONGEST_WAIT_SECONDS:
                raise SourceError(
                    f"{self.url}{path} asks to wait for {wait:,.0f} seconds ({answer.status_code}): fetch again then"
                )
            raise _AgainError(f"answered {answer.status_code}: {beginning}", wait)
        if answer.status_code == 416:
            raise _OtherPartError("has no rest of what it began to answer")
        raise SourceError(self.hidden(f"{self.url}{path} answered {answer.status_code}: {beginning}"))

    def _beginning_of(self, answer: httpx.Response, path: str) -> str:
        """The beginning of a refusal. An unreadable body must not hide the refusal itself."""
        content = b""
        try:
            for piece in self._pieces(answer, path, MOST_BYTES_IN_MEMORY):
                content += piece
                if len(content) >= LOOKED_AT_BYTES:
                    break
        except (SourceError, _AgainError, httpx.TransportError):
            pass
        return self.beginning(content)

    def _pieces(self, answer: httpx.Response, path: str, most_bytes: int, begun: int = 0) -> Iterator[bytes]:
        """Streams an answer's unpacked body. Limits the size at each step of unpacking, and the time."""
        deadline = time.monotonic() + TIMEOUTS_PER_ATTEMPT * self.timeout_seconds

        def limited(pieces: Iterable[bytes]) -> Iterator[bytes]:
            received = begun
            for piece in pieces:
                received += len(piece)
                if received > most_bytes:
                    raise TooLargeError(
                        self.hidden(
                            f"{self.url}{path} answered more than {_size(most_bytes)}, unpacked, and was not read to its end: "
                            "fetch again, and if it goes on, ask who runs the service why"
                        )
                    )
                yield piece
                if time.monotonic() > deadline:
                    raise _AgainError(
                        f"took longer than {TIMEOUTS_PER_ATTEMPT * self.timeout_seconds:,.0f} seconds to answer"
                    )

        pieces = limited(answer.iter_raw())
        for encoding in reversed(self._encodings(answer, path)):
            pieces = limited(_unpacked(pieces, encoding))
        return pieces

    def _encodings(self, answer: httpx.Response, path: str) -> list[str]:
        """The encodings of an answer, in the order applied: usually one."""
        named = [name.strip().lower() for name in answer.headers.get_list("content-encoding", split_commas=True)]
        encodings = [name for name in named if name not in ("", "identity")]
        if len(encodings) > MOST_ENCODINGS or set(encodings) - set(WINDOW_BITS):
            shown = self.hidden(", ".join(encodings))[:SHOWN_CHARACTERS]
            raise SourceError(
                f"{self.url}{path} answered packed as {shown!r}, which nobody asked for and can't be read: if a proxy does it, "
                "let it pass on gzip or what isn't packed"
            )
        return encodings

    def _parsed(self, content: bytes) -> Any:
        try:
            return json.loads(content, parse_constant=_no_number)
        except (ValueError, RecursionError):
            what = "HTML" if content.lstrip()[:1] == b"<" else "nothing" if not content.strip() else "something else"
            raise _AgainError(f"answered {what}, where JSON is expected: {self.beginning(content)}") from None

    def _download(
        self, path: str, parameters: Mapping[str, str], target: Path, most_bytes: int, never_changes: bool
    ) -> None:
        """One attempt. Resumes the previous one if the vendor can and the content is the same."""
        part, facts_file = target.with_name(target.name + ".part"), target.with_name(target.name + ".facts")
        try:
            self._continue(path, parameters, part, facts_file, most_bytes, never_changes)
        except (_OtherPartError, TooLargeError):
            part.unlink(missing_ok=True)
            facts_file.unlink(missing_ok=True)
            raise
        part.replace(target)
        facts_file.unlink(missing_ok=True)

    def _continue(
        self,
        path: str,
        parameters: Mapping[str, str],
        part: Path,
        facts_file: Path,
        most_bytes: int,
        never_changes: bool,
    ) -> None:
        tag, size = json.loads(facts_file.read_text()) if facts_file.exists() and part.exists() else ("", None)
        begun = part.stat().st_size if tag or (never_changes and size) else 0
        headers = {"Range": f"bytes={begun}-", "Accept-Encoding": "identity"} if begun else {}
        if begun and tag:
            headers["If-Range"] = tag
        with self._answer("GET", path, parameters, headers) as answer:
            continues = answer.status_code == 206
            if continues:
                if not _is_rest(answer.headers.get("content-range", ""), begun, size):
                    raise _OtherPartError("answered another part than it was asked for")
            else:
                facts_file.write_text(json.dumps(_facts(answer)))
            with open(part, "ab" if continues else "wb") as content:
                # Written as it comes: a buffered rest would be lost with the connection.
                for piece in self._pieces(answer, path, most_bytes, begun if continues else 0):
                    content.write(piece)


def _unpacked(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Unpacks a stream into pieces of bounded size: a byte may expand a thousandfold."""
    unpacker, packed, has_ended = None, b"", False
    try:
        for piece in pieces:
            packed += piece
            while True:
                if has_ended and unpacker is None and encoding != "deflate":
                    packed = packed.lstrip(b"\0")  # padding of a block
                # Two bytes show whether "deflate" has a zlib header or is bare.
                if len(packed) < (1 if unpacker else 2):
                    break
                unpacker = unpacker or zlib.decompressobj(_window_bits(encoding, packed))
                unpacked = unpacker.decompress(packed, PIECE_BYTES)
                packed = unpacker.unconsumed_tail
                yield unpacked
                while len(unpacked) == PIECE_BYTES and not packed and not unpacker.eof:
                    unpacked = unpacker.decompress(b"", PIECE_BYTES)
                    yield unpacked
                if unpacker.eof:
                    # Another member may follow.
                    packed, unpacker, has_ended = unpacker.unused_data, None, True
    except zlib.error:
        raise _AgainError(f"answered {encoding} that can't be unpacked") from None
    if unpacker or packed:
        raise _AgainError(f"broke off within what is packed as {encoding}")


def _window_bits(encoding: str, packed: bytes) -> int:
    has_header = packed[0] & 15 == 8 and int.from_bytes(packed[:2]) % 31 == 0
    return BARE_DEFLATE if encoding == "deflate" and not has_header else WINDOW_BITS[encoding]


def _size(count: int) -> str:
    return f"{count // 2**20:,} MB" if count >= 2**20 else f"{count:,} bytes"


def _facts(answer: httpx.Response) -> tuple[str, int | None]:
    """The tag and size needed to resume a download. A packed answer can't be resumed, as we keep it unpacked."""
    if "content-encoding" in answer.headers:
        return "", None
    tag, size = answer.headers.get("etag", ""), answer.headers.get("content-length", "")
    return "" if tag.startswith("W/") else tag, int(size) if size.isdigit() else None


def _is_rest(content_range: str, begun: int, size: int | None) -> bool:
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)
    return bool(found and int(found[1]) == begun and (size is None or found[2] in ("*", str(size))))


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _name(kind: type) -> str:
    names: dict[type, str] = {list: "a list", dict: "an object"}
    return names.get(kind, kind.__name__)


def _kind(parsed: object) -> str:
    names: dict[type, str] = {list: "a list", dict: "an object", str: "a text", type(None): "null"}
    return names.get(type(parsed), "a single value")


def _trouble(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "did not answer in time"
    if isinstance(error, httpx.ConnectError):
        return f"can't be reached ({error})"
    return f"broke off ({error or type(error).__name__})"


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from either form of the header; None if it can't be understood."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
