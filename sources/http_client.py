"""Asks a vendor by HTTP: with patience, in parts, without ever telling a credential."""

import email.utils
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

import httpx
import stamina

from sources.source import SourceError

CHUNK_BYTES = 2**20
LONGEST_WAIT_SECONDS = 900.0
LONGEST_BACKOFF_SECONDS = 60.0
# However slowly it drips: what came by then is kept, and the rest is asked for anew.
TIMEOUTS_PER_ATTEMPT = 20
SHOWN_CHARACTERS = 200
# How much of an answer that is asked for as a whole is read.
MOST_BYTES_IN_MEMORY = 256 * 2**20

# They say each address they ask for, with all its parameters; an address may hold a credential.
for name in ("httpx", "httpcore"):
    logging.getLogger(name).setLevel(logging.CRITICAL)

T = TypeVar("T")


class _AgainError(Exception):
    """An answer that may be another one a little later."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class HttpClient:
    """One vendor's API for one account.

    `credential_header` and `credential_parameters` go along with each request; `credential_of` says in messages where
    the user has set it.
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
            self._client = httpx.Client(
                headers={"User-Agent": "multichannel", **(headers or {})},
                timeout=timeout_seconds,
                follow_redirects=False,
                trust_env=True,
            )
        except UnicodeEncodeError:
            raise SourceError(f"{credential_of} holds characters that no credential has; set it again") from None

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> "HttpClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hidden(self, message: object) -> str:
        """A text without the credential, however it is written."""
        shown = str(message)
        for spelling in {self.credential, quote(self.credential, safe=""), quote_plus(self.credential)}:
            shown = shown.replace(spelling, "***")
        return shown

    def json(self, path: str, parameters: Mapping[str, str] | None = None, method: str = "GET") -> Any:
        """A short answer. Raises SourceError."""

        def ask() -> Any:
            with self._answer(method, path, parameters) as answer:
                answer.read()
                return self._parsed(answer.content)

        return self._patiently(ask, path)

    def json_file(self, path: str, parameters: Mapping[str, str], target: Path, kinds: Sequence[type]) -> Any:
        """Writes an answer that is JSON to a file, and returns it. `kinds` are what it may be. Raises SourceError."""

        def ask() -> Any:
            self._download(path, parameters, target, never_changes=False)
            if target.stat().st_size > MOST_BYTES_IN_MEMORY:
                raise SourceError(
                    f"{path} answered more than {MOST_BYTES_IN_MEMORY:,} bytes; ask for fewer days at once"
                )
            content = target.read_bytes()
            parsed = self._parsed(content)
            if json.detect_encoding(content) != "utf-8":
                target.write_text(content.decode(json.detect_encoding(content)), "utf-8")
            if not isinstance(parsed, tuple(kinds)):
                raise _AgainError(
                    f"answered {_kind(parsed)}, where {' or '.join(map(_name, kinds))} is expected: {_beginning(content)}"
                )
            return parsed

        return self._patiently(ask, path)

    def file(self, path: str, target: Path) -> None:
        """Writes an answer that is always the same to a file; what broke off goes on where it ended. Raises SourceError."""
        self._patiently(lambda: self._download(path, {}, target, never_changes=True), path)

    def _patiently(self, ask: Callable[[], T], path: str) -> T:
        def again(error: Exception) -> bool | float:
            if isinstance(error, _AgainError):
                return True if error.wait_seconds is None else error.wait_seconds
            return isinstance(error, httpx.TransportError)

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
                    return ask()
        except _AgainError as error:
            raise SourceError(self.hidden(f"{self.url}{path} {error} ({self.attempts} attempts)")) from None
        except httpx.TransportError as error:
            raise SourceError(
                self.hidden(
                    f"{self.url}{path} {_trouble(error)} ({self.attempts} attempts); is it reachable from here?"
                )
            ) from None
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
            raise SourceError(
                f"{self.url}{path} sends to {host}: the credential isn't sent there; if that is right, set `url` in sources.yml"
            )
        answer.read()
        said = self.hidden(_beginning(answer.content))
        if answer.status_code in (401, 403):
            raise SourceError(
                f"{self.url}{path} refuses the credential in {self.credential_of} ({answer.status_code}: {said}): "
                "it has expired, or may not see this; make a new one, and set it"
            )
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            wait = _retry_after(answer.headers.get("retry-after"))
            if wait is not None and wait > LONGEST_WAIT_SECONDS:
                raise SourceError(
                    f"{self.url}{path} asks to wait for {wait:,.0f} seconds ({answer.status_code}): fetch again then"
                )
            raise _AgainError(f"answered {answer.status_code}: {said}", wait)
        raise SourceError(self.hidden(f"{self.url}{path} answered {answer.status_code}: {said}"))

    def _parsed(self, content: bytes) -> Any:
        try:
            return json.loads(content, parse_constant=_no_number)
        except (ValueError, RecursionError):
            what = "HTML" if content.lstrip()[:1] == b"<" else "nothing" if not content.strip() else "something else"
            raise _AgainError(f"answered {what}, where JSON is expected: {_beginning(content)}") from None

    def _download(self, path: str, parameters: Mapping[str, str], target: Path, never_changes: bool) -> None:
        """One attempt. What an attempt before has left is continued, if the vendor can and it is the same thing."""
        part, facts_file = target.with_name(target.name + ".part"), target.with_name(target.name + ".facts")
        tag, size = json.loads(facts_file.read_text()) if facts_file.exists() and part.exists() else ("", None)
        begun = part.stat().st_size if tag or (never_changes and size) else 0
        headers = {"Range": f"bytes={begun}-", "Accept-Encoding": "identity"} if begun else {}
        if begun and tag:
            headers["If-Range"] = tag
        deadline = time.monotonic() + TIMEOUTS_PER_ATTEMPT * self.timeout_seconds
        with self._answer("GET", path, parameters, headers) as answer:
            continues = answer.status_code == 206
            if continues:
                if not _is_rest(answer.headers.get("content-range", ""), begun, size):
                    part.unlink(missing_ok=True)
                    raise _AgainError("answered another part than it was asked for")
            else:
                facts_file.write_text(json.dumps(_facts(answer)))
            with open(part, "ab" if continues else "wb") as content:
                for chunk in answer.iter_bytes(CHUNK_BYTES):
                    content.write(chunk)
                    if time.monotonic() > deadline:
                        raise _AgainError(
                            f"took longer than {TIMEOUTS_PER_ATTEMPT * self.timeout_seconds:,.0f} seconds to answer"
                        )
        part.replace(target)
        facts_file.unlink(missing_ok=True)


def _facts(answer: httpx.Response) -> tuple[str, int | None]:
    """By what the rest of an answer can be asked for: its tag and its size. Packed, a part is no part of what comes unpacked."""
    if "content-encoding" in answer.headers:
        return "", None
    tag, size = answer.headers.get("etag", ""), answer.headers.get("content-length", "")
    return "" if tag.startswith("W/") else tag, int(size) if size.isdigit() else None


def _is_rest(content_range: str, begun: int, size: int | None) -> bool:
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)
    return bool(found and int(found[1]) == begun and (size is None or found[2] in ("*", str(size))))


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _beginning(content: bytes) -> str:
    shown = " ".join(content[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace").split())
    return f"{shown[:SHOWN_CHARACTERS]!r}" if shown else "(nothing)"


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
    """Seconds to wait, from either form of the header; none if it says nothing that can be understood."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
