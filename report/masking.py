"""Phones that nobody is to see (MASK_PHONES): how they are found in any text, and what stands in their place.

`Generation.rows` sends every value of the published file through a `Mask`, so no page, file or chart can forget it.
"""

import base64
import hashlib
import html
import re
import sys
import threading
import time
import unicodedata
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import phonenumbers

HIDDEN = "•••"
SHOWN_DIGITS = 4
# A whole number has at least as many digits: fewer name nobody.
FEWEST_DIGITS, MOST_DIGITS = 7, 15
# So many digits in a row are a phone, whatever else they may be: numbers stand in longer ids, too.
LONG = 10
# Columns that hold nothing but a phone, in whatever way it was delivered.
PHONES = ("phone", "phones")
# The key of a page: the server keeps it, nobody is shown it, and `Showing.order` leaves no digits in it.
KEPT = ("sort_value",)
# Longer ids don't fit into an address.
LONGEST_ID = 1_000
REMEMBERED_IDS = 100_000
LONGEST_REMEMBERED_TEXT = 1_000

ENOUGH_DIGITS = re.compile(rf"(?:\d\D*){{{FEWEST_DIGITS}}}")
DIGITS = re.compile(r"\d+")
ALL_DIGITS = {
    code: str(unicodedata.decimal(chr(code)))
    for code in range(128, sys.maxunicode)
    if unicodedata.category(chr(code)) == "Nd"
}
# What may stand between two parts of a number: anything but letters, and the colon of a time.
GAP = re.compile(r"(?:[^\w:]|_){1,4}|(?:[^\w:]|_){0,3}(?:код|номер|тел|моб|code|area)[\W_]{0,3}", re.IGNORECASE)
BEFORE = re.compile(r"(?:\+[\s(]{0,2}|\()$")
# What a number may be written with.
WRITTEN = re.compile(r"[\d+()\s.-]{10,}")
DASH = "[-\u2010-\u2015\u2212]"
# Numbers that no country's plan proves, but that are written as phones only.
SHAPES = re.compile(
    rf"(?<!\d)(?:\d{{3}}{DASH}\d\d{DASH}\d\d|\d{{3}}[-.\u2010-\u2015]\d{{3}}[-.\u2010-\u2015]\d{{4}}"
    r"|\(\d{2,5}\)[\W_]{0,2}\d(?:[\W_]{0,2}\d){4,})(?!\d)"
)
# Not after a plus, as a plus begins phones.
DAY = re.compile(
    r"(?<![\d+])(?:(?:19|20)\d\d([-./])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[1-9]|[12]\d|3[01])([-./])(?:0[1-9]|1[0-2])\2(?:19|20)\d\d)(?!\d)"
)
# Thousands apart, up to ten digits; an address of a network.
AMOUNT = re.compile(r"\d{1,3}(?:([ \u00a0\u202f.,'])\d{3})?(?:\1\d{3}){0,2}(?:[.,]\d{1,2})?")
ADDRESS = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)")
ESCAPE = re.compile(
    r"%(?:25)*[0-7][0-9A-Fa-f]|(?:%(?:25)*[89A-Fa-f][0-9A-Fa-f])+|%u[0-9A-Fa-f]{4}|\\u[0-9A-Fa-f]{4}|&(?:#\d+|#[xX][0-9A-Fa-f]+|[A-Za-z]+);"
)
ESCAPES_WITHIN_ESCAPES = 3
BASE64 = [re.compile(f"[A-Za-z0-9{signs}]{{10,}}={{0,2}}") for signs in ("", "+/", "_-")]


class Mask:
    """Hides phones in what is read, and opens the tokens that stand for ids in what is asked.

    An id that holds a phone becomes a token, as pages ask by ids. A token is a keyed hash, so that it says nothing of the id, and
    is the same after a restart.
    """

    def __init__(
        self, hides_phones: bool, region: str, key: Callable[[], str], find: Callable[[str], str | None]
    ) -> None:
        """`find` looks for the id of a token in the published file; `key` gives a secret."""
        self.hides_phones = hides_phones
        self._region = region
        self._make_key = key
        self._find = find
        self._lock = threading.Lock()
        self._ids: OrderedDict[str, str | None] = OrderedDict()

    @cached_property
    def key(self) -> str:
        return self._make_key()

    def value(self, column: str, value: Any) -> Any:
        """A value of a column as it may be shown."""
        if isinstance(value, str):
            if column in KEPT:
                return value
            if column.endswith("_id"):
                return self._token(value) if self._is_hidden_id(value) else value
            if not self.hides_phones:
                return value
            return HIDDEN + value[-SHOWN_DIGITS:] if column in PHONES else self.text(value)
        if isinstance(value, list):
            return [self.value(column, each) for each in value]
        if isinstance(value, dict):
            return {name: self.value(column, each) for name, each in value.items()}
        return value

    def text(self, text: str) -> str:
        """A text without whole phones, if they are hidden."""
        return without_phones(text, self._region) if self.hides_phones else text

    def asked(self, value: Any) -> Any:
        """A parameter of a query: a token becomes its id. Nothing is found by a phone."""
        if isinstance(value, list | tuple):
            return [self.asked(each) for each in value]
        if not isinstance(value, str):
            return value
        if TOKEN.fullmatch(value):
            return self._id_of(value) or value
        return self.text(value)

    def _is_hidden_id(self, value: str) -> bool:
        return len(value) > LONGEST_ID or self.text(value) != value

    def _token(self, value: str) -> str:
        token = token_of(value, self.key)
        self._remember(token, value)
        return token

    def _id_of(self, token: str) -> str | None:
        with self._lock:
            if token in self._ids:
                return self._ids[token]
        found = self._find(token)
        self._remember(token, found)
        return found

    def _remember(self, token: str, value: str | None) -> None:
        with self._lock:
            self._ids[token] = value
            self._ids.move_to_end(token)
            if len(self._ids) > REMEMBERED_IDS:
                self._ids.popitem(last=False)


# Letters only: a token is never taken for a phone.
TOKEN = re.compile("~[a-p]{32}")
LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopabcdef")


def token_of(value: str, key: str) -> str:
    return "~" + hashlib.sha256((key + value).encode()).hexdigest()[:32].translate(LETTERS)


def tokens_in_sql(column: str) -> str:
    """The same in a query that has the parameter `key`."""
    return f"'~' || translate(sha256($key || {column})[:32], '0123456789abcdef', 'ghijklmnopabcdef')"


def without_phones(text: str, region: str) -> str:
    """The text with the last digits of each phone in place of the phone.

    Finds numbers however they are written: with any signs between their parts, percent-encoded, as entities, in Base64, in other
    scripts' digits; those of `region` as they are dialled within it, others with their country's code. Ten digits in a
    row are always hidden. Hides the same again and again.
    """
    if len(text) > LONGEST_REMEMBERED_TEXT:
        return _without_phones(text, region)
    return _remembered_without_phones(text, region)


def _without_phones(text: str, region: str) -> str:
    for tokens in BASE64:
        text = tokens.sub(lambda found: _decoded_base64(found[0], region), text)
    if not ENOUGH_DIGITS.search(text):
        return text
    plain, place = _unescaped(text)
    pieces, end = [], 0
    for first, last, digits in _phones(plain.translate(ALL_DIGITS), region):
        begin = max(place(first, True), end)
        pieces += [text[end:begin], HIDDEN, digits[-SHOWN_DIGITS:]]
        end = place(last, False)
    return "".join(pieces) + text[end:]


_remembered_without_phones = lru_cache(maxsize=50_000)(_without_phones)


def _decoded_base64(token: str, region: str) -> str:
    letters = token.rstrip("=").replace("-", "+").replace("_", "/")
    # Other letters may stand before it.
    for start in range(4):
        part = letters[start:]
        part = part[:-1] if len(part) % 4 == 1 else part
        decoded = base64.b64decode(part + "=" * (-len(part) % 4)).decode("latin-1")
        for written in WRITTEN.findall(decoded):
            if (hidden := without_phones(written, region)) != written:
                return hidden
    return token


def _unescaped(text: str) -> tuple[str, Callable[[int, bool], int]]:
    """The text with its escapes resolved, and where a place of it was before: the beginning, or the end, of what stood there."""
    places: list[Callable[[int, bool], int]] = []
    for _ in range(ESCAPES_WITHIN_ESCAPES):
        pieces: list[str] = []
        begins, spans = [], []
        length = end = 0
        for found in ESCAPE.finditer(text):
            said = _resolved(found[0])
            pieces += [text[end : found.start()], said]
            length += found.start() - end
            begins.append(length)
            spans.append((length + len(said), found.start(), found.end()))
            length += len(said)
            end = found.end()
        if not begins:
            break
        text = "".join(pieces) + text[end:]
        places.append(_place(begins, spans))

    def place(at: int, is_first: bool) -> int:
        for back in reversed(places):
            at = back(at, is_first)
        return at

    return text, place


def _place(begins: list[int], spans: list[tuple[int, int, int]]) -> Callable[[int, bool], int]:
    def place(at: int, is_first: bool) -> int:
        """For an end, the place behind the last character."""
        number = bisect_right(begins, at if is_first else at - 1) - 1
        if number < 0:
            return at
        end, first, last = spans[number]
        inside = at < end if is_first else at - 1 < end
        return (first if is_first else last) if inside else last + at - end

    return place


def _resolved(escape: str) -> str:
    if escape.startswith("&"):
        return html.unescape(escape)
    if escape[1] == "u":
        return chr(int(escape[2:], 16))
    said = unquote_to_bytes(re.sub("%(?:25)+", "%", escape))
    try:
        return said.decode()
    except UnicodeDecodeError:
        return said.decode("cp1251", "replace")


def _phones(text: str, region: str) -> Iterator[tuple[int, int, str]]:
    """Where phones begin and end, and their digits, in order."""
    spans: list[tuple[int, int]] = [found.span() for found in SHAPES.finditer(text)]
    for parts in _groups(text):
        for first, part in enumerate(parts):
            if part[1] - part[0] >= LONG:
                spans.append(part)
            digits = ""
            for begin, end in parts[first : first + MOST_DIGITS]:
                digits += text[begin:end]
                if len(digits) > MOST_DIGITS:
                    break
                if len(digits) >= FEWEST_DIGITS and _is_phone(text, part[0], end, digits, region):
                    spans.append((part[0], end))
        spans += _grown_together(text, parts, region)
    for begin, end in _joined(spans):
        before = BEFORE.search(text, max(begin - 3, 0), begin)
        yield before.start() if before else begin, end, "".join(DIGITS.findall(text, begin, end))


# A number of Russia or Kazakhstan, as it is dialled there.
DIALLED = re.compile(r"(?=([78][3489]\d{9}))")


def _grown_together(text: str, parts: list[tuple[int, int]], region: str) -> Iterator[tuple[int, int]]:
    """Numbers whose first or last digits stand in one part with other digits."""
    places = [place for begin, end in parts for place in range(begin, end)]
    if region in ("RU", "KZ") and len(places) > LONG:
        for found in DIALLED.finditer("".join(text[place] for place in places)):
            first, last = places[found.start(1)], places[found.end(1) - 1]
            span = (
                parts[bisect_right(parts, (first, len(text))) - 1][0],
                parts[bisect_right(parts, (last, len(text))) - 1][1],
            )
            if not _is_number(text, *span):
                yield span


def _groups(text: str) -> Iterator[list[tuple[int, int]]]:
    """Runs of digits that may be parts of one number. A day with its year is no part of any."""
    days = iter([found.span() for found in DAY.finditer(text)])
    day = next(days, None)
    parts: list[tuple[int, int]] = []
    for found in DIGITS.finditer(text):
        begin, end = found.span()
        while day and day[1] <= begin:
            day = next(days, None)
        is_of_day = day is not None and day[0] <= begin
        if parts and (is_of_day or not GAP.fullmatch(text, parts[-1][1], begin)):
            yield parts
            parts = []
        if not is_of_day:
            parts.append((begin, end))
    if parts:
        yield parts


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if joined and begin < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined


def _is_phone(text: str, begin: int, end: int, digits: str, region: str) -> bool:
    if "+" in text[max(begin - 3, 0) : begin]:
        return len(digits) > LONG or _is_valid("+" + digits, region)
    if len(digits) < LONG:
        # Only where a country's own numbers are as short.
        return _is_valid(digits, region)
    is_valid = _is_valid(digits, region) or _is_valid("+" + re.sub("^(?:00|810)", "", digits), region)
    return is_valid and not _is_number(text, begin, end)


def _is_number(text: str, begin: int, end: int) -> bool:
    return bool(AMOUNT.fullmatch(text, begin, end) or ADDRESS.fullmatch(text, begin, end))


@lru_cache(maxsize=50_000)
def _is_valid(number: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def has_digits(text: str) -> bool:
    """Whether a search could tell the digits of a phone one by one."""
    return any(character.isnumeric() for character in text)


def whole_phone(text: str, region: str) -> str | None:
    """The number in E.164, if the text is a whole valid one."""
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return (
        phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        if phonenumbers.is_valid_number(parsed)
        else None
    )


class Rate:
    """At most so many a minute, of all visitors together."""

    def __init__(self, most: int, seconds: float = 60) -> None:
        self.most = most
        self._seconds = seconds
        self._lock = threading.Lock()
        self._times: deque[float] = deque()

    def is_allowed(self) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._times and self._times[0] <= now - self._seconds:
                self._times.popleft()
            if len(self._times) >= self.most:
                return False
            self._times.append(now)
            return True


# A million numbers take ten weeks.
PHONE_SEARCHES = Rate(10)
