"""Where an answer ends: the last page, the last byte of what is packed, the last order; and what Metrica's fields say."""

import gzip
import json
import os
import random
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise, product
from pathlib import Path

import duckdb
import pytest
from fetches import DAY, MORNING, TOKEN_VARIABLE, Fetches, messages, source_for
from misbehaving_servers import FOREVER, Answer, Asked, Fault, StandIn, cut_off, not_json, server_error
from processes import TEST_MODULES
from stand_ins import CalltouchStandIn, MangoStandIn, MetricaStandIn, tab_separated
from vendor_records import ENTRY, calltouch_call, calltouch_form, mango_call, metrica_visit

from pipeline.settings import PROJECT_DIR, Rules
from sources.delivering import explained_problems
from sources.http_client import MOST_ENCODINGS, HttpClient, _AgainError, _unpacked
from sources.metrica import FIELDS, read_tab_separated
from sources.paging import MOST_PAGES, Page, read_pages
from sources.source import FetchContext, SourceError, TooLargeError

A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)
CASES = PROJECT_DIR / "tests/cases/files"
PLACEHOLDERS = (PROJECT_DIR / "seeds/placeholders.csv").read_text("utf-8").splitlines()[1:]


@pytest.fixture
def mango() -> Iterator[MangoStandIn]:
    with MangoStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def calltouch() -> Iterator[CalltouchStandIn]:
    with CalltouchStandIn() as stand_in:
        stand_in.calls = [calltouch_call(number, MORNING + number * AN_HOUR) for number in range(5)]
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


# Pages


def reading_of(
    pages: list[list[int]], page_size: int = 1000, after: list[int] | None = None, **says: int
) -> tuple[int, bool, int]:
    """How many records came, whether they are all, and how many pages were asked for."""
    asked = []

    def page_of(number: int) -> Page:
        asked.append(number)
        records = pages[number - 1] if number <= len(pages) else after or []
        return Page(frozenset(records), len(records), **says)

    reading = read_pages(page_of, page_size)
    assert asked == list(range(1, len(asked) + 1))
    return reading.received, reading.is_whole, len(asked)


@pytest.mark.parametrize(
    ("pages", "says", "expected"),
    [
        # Nothing is told: the page after the last one is empty, however short pages are.
        ([[1, 2], [3, 4], [5]], {}, (5, True, 4)),
        ([[1, 2], [3, 4]], {}, (4, True, 3)),
        ([], {}, (0, True, 1)),
        # How many pages there are.
        ([[1, 2], [3, 4], [5]], {"page_count": 3}, (5, True, 3)),
        ([[1, 2]], {"page_count": 1}, (2, True, 1)),
        ([], {"page_count": 0}, (0, True, 1)),
        ([], {"page_count": 1}, (0, True, 1)),
        ([[1, 2], [], [5]], {"page_count": 3}, (2, False, 2)),
        ([[1, 2], [3, 4], []], {"page_count": 3}, (4, False, 3)),
        ([[1, 2], [3, 4], []], {"page_count": 3, "total": 4}, (4, True, 3)),
        ([[1, 2], [1, 2], [1, 2]], {"page_count": 9}, (2, False, 3)),
        # How many records.
        ([[1, 2], [3, 4], [5]], {"total": 5}, (5, True, 4)),
        ([[1, 2], [3, 4], [5]], {"total": 4}, (5, False, 4)),
        ([[1, 2], [3, 4], [5]], {"total": 6}, (5, False, 4)),
        ([], {"total": 0}, (0, True, 1)),
        ([], {"total": 2}, (0, False, 1)),
        # Both, and they may differ: as where pages are counted by the size that was asked for.
        ([[1, 2], [3, 4], [5]], {"total": 5, "page_count": 3}, (5, True, 3)),
        ([[1, 2], [3, 4], [5]], {"total": 5, "page_count": 1}, (5, True, 3)),
        ([[1, 2], [3, 4], [5]], {"total": 5, "page_count": 9}, (5, True, 4)),
        ([[1, 2], [3, 4], [5]], {"total": 4, "page_count": 3}, (5, False, 3)),
        # One page comes twice, as records came in between.
        ([[1, 2], [1, 2], [3, 4], [5]], {"total": 5, "page_count": 3}, (5, True, 4)),
        ([[1, 2], [2, 3], [4, 5]], {}, (5, True, 4)),
        ([[1, 2], [1, 2], [3, 4], [3, 4], [5]], {"total": 5, "page_count": 3}, (5, True, 5)),
    ],
)  # fmt: skip
def test_pages_end_where_nothing_more_comes_or_the_service_says_so(
    pages: list[list[int]], says: dict[str, int], expected: tuple[int, bool, int]
) -> None:
    assert reading_of(pages, **says) == expected
    assert reading_of(pages, page_size=2, **says) == expected


def test_a_page_that_comes_for_ever_is_asked_for_a_few_times() -> None:
    assert reading_of([[1, 2]], after=[1, 2], page_size=3) == (2, True, 2)
    # Full, it may be the first of many.
    assert reading_of([[1, 2]], after=[1, 2], page_size=2) == (2, False, 2)
    # Beyond the end some answer the last page again.
    assert reading_of([[1, 2], [3, 4]], after=[3, 4], page_size=2) == (4, True, 3)
    assert reading_of([[1, 2]], after=[1, 2], total=5) == (2, False, 3)
    assert reading_of([[1, 2]], after=[1, 2], total=2) == (2, True, 3)
    assert reading_of([[1, 2]], after=[1, 2], page_count=MOST_PAGES) == (2, False, 3)
    with pytest.raises(SourceError, match="10,000 pages"):
        read_pages(lambda number: Page(frozenset([number]), 1), 1)


def test_whatever_a_server_caps_and_says_all_comes() -> None:
    for records, asked_size, most_per_page, says_total, counts_pages_by in product(
        (0, 1, 2, 5, 6, 7, 24), (1, 2, 3, 7, 1000), (1, 2, 3, 5, 1000), (True, False), (None, "asked", "given")
    ):
        size = min(asked_size, most_per_page)
        pages = [list(range(start, min(start + size, records))) for start in range(0, records, size)]
        says = {"total": records} if says_total else {}
        if counts_pages_by == "given":
            says["page_count"] = len(pages)
        elif counts_pages_by == "asked" and says_total:
            says["page_count"] = -(-records // asked_size)
        received, is_whole, asked = reading_of(pages, asked_size, **says)
        assert (received, is_whole) == (records, True), (records, asked_size, most_per_page, says)
        assert asked <= len(pages) + 1


def test_a_short_page_is_not_the_last_one(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    calltouch.most_per_page = 2
    for calltouch.tells_totals in (False, True):
        assert {fetched.problem for fetched in fetches.fetch(source_for(calltouch), DAY).values()} == {None}
        assert len(fetches.rows("calls")) == 5
    # One page more than there are, where nothing tells that there is none.
    pages = [asked.query["page"] for asked in calltouch.asked if "page" in asked.query]
    assert pages == ["1", "2", "3", "4", "1", "2", "3"]


@pytest.mark.parametrize("tells_totals", (True, False))
def test_a_server_that_takes_no_page_numbers_is_found_out(
    calltouch: CalltouchStandIn, fetches: Fetches, tells_totals: bool
) -> None:
    calltouch.takes_pages, calltouch.tells_totals = False, tells_totals
    # All of it is in each page.
    assert {fetched.problem for fetched in fetches.fetch(source_for(calltouch), DAY).values()} == {None}
    before = fetches.files()
    calltouch.asked.clear()
    results = fetches.fetch(source_for(calltouch, page_size=2), DAY)
    assert [results[dataset, DAY].outcome for dataset in ("calls", "visits", "forms")] == [
        "failed",
        "failed",
        "unchanged",
    ]
    told = "2 records came of the 5" if tells_totals else "its second page is its first one again"
    assert told in str(results["calls", DAY].message) and "deliver_despite_difference" in str(
        results["calls", DAY].message
    )
    assert fetches.files() == before
    assert len([asked for asked in calltouch.asked if "page" in asked.query]) <= 9

    results = fetches.fetch(source_for(calltouch, page_size=2, deliver_despite_difference=True), DAY)
    assert "is delivered, but" in str(results["calls", DAY].problem) and len(fetches.rows("calls")) == 2


def test_calls_without_an_id_are_told_apart_by_all_that_they_say(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    for call in calltouch.calls:
        del call["callId"]
    calltouch.tells_totals, calltouch.most_per_page = False, 2
    assert fetches.outcomes(source_for(calltouch), DAY) == {"delivered"}
    assert len(fetches.rows("calls")) == 5


def test_pages_that_are_too_large_are_asked_for_with_fewer_calls_each(
    calltouch: CalltouchStandIn, fetches: Fetches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.http_client.MOST_BYTES_IN_MEMORY", 4000)  # two calls
    assert fetches.outcomes(source_for(calltouch), DAY) == {"delivered"}
    assert len(fetches.rows("calls")) == 5
    sizes = [asked.query["limit"] for asked in calltouch.asked if "limit" in asked.query]
    assert list(dict.fromkeys(sizes)) == ["1000", "125", "15", "1"]
    monkeypatch.setattr("sources.http_client.MOST_BYTES_IN_MEMORY", 400)
    (told,) = messages(fetches.fetch(source_for(calltouch), DAY).values())
    assert told is not None and "calls-diary/calls answered more than 400 bytes" in told


def test_days_that_are_too_large_together_are_asked_for_by_halves(
    mango: MangoStandIn, metrica: MetricaStandIn, fetches: Fetches, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [DAY + number * A_DAY for number in range(4)]
    mango.calls = [mango_call(number, MORNING + number * A_DAY) for number in range(4)]
    metrica.visits = [metrica_visit(number, MORNING + number * A_DAY) for number in range(4)]
    monkeypatch.setattr("sources.http_client.MOST_BYTES_IN_MEMORY", 2500)  # two calls
    monkeypatch.setattr("sources.metrica.MOST_BYTES_IN_MEMORY", 1500)  # two visits
    monkeypatch.setattr("sources.metrica.MOST_PACKED", 0)
    for stand_in, dataset in ((mango, "calls"), (metrica, "visits")):
        assert fetches.outcomes(source_for(stand_in), *days) == {"delivered"}
        assert len(fetches.rows(dataset, *days)) == 4
    asked = [each.query["dateStart"][:10] for each in mango.asked]
    assert asked == ["2026-03-09", "2026-03-09", "2026-03-11"]
    assert metrica.used_bytes == 0


def test_a_part_may_be_larger_than_memory_if_metrica_says_so(
    metrica: MetricaStandIn, fetches: Fetches, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrica.visits = [metrica_visit(number, MORNING) for number in range(20)]
    monkeypatch.setattr("sources.metrica.MOST_BYTES_IN_MEMORY", 100)
    assert fetches.outcomes(source_for(metrica), DAY) == {"delivered"}
    metrica.misbehave(Fault(changed=lambda answer, asked: replace(answer, body=answer.body * 50)), FOREVER, "/download")
    (told,) = explained_problems(fetches.fetch(source_for(metrica), DAY).values())
    assert re.match(r"metrica, visits of 2026-03-10: http.*/part/0/download answered more than [\d,]+ bytes", told)


def test_one_dataset_that_always_fails_is_asked_for_a_few_times(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    """Though another one of the source comes each time."""
    days = [DAY + number * A_DAY for number in range(100)]
    calltouch.misbehave(server_error(), FOREVER, "requests")
    results = fetches.fetch(source_for(calltouch, attempts=1, reload_days=2), *days)
    forms = [asked.query["dateFrom"] for asked in calltouch.asked if "requests" in asked.path]
    assert forms == ["03/10/2026", "03/11/2026", "03/12/2026", "06/16/2026", "06/17/2026"]
    outcomes = [fetched.outcome for fetched in results.values()]
    assert (outcomes.count("delivered"), outcomes.count("failed")) == (5, 295)


# What is packed


def packed_as(encoding: str, content: bytes) -> bytes:
    """In the order of the names; `bare` is deflate without a header."""
    for name in encoding.split(", "):
        if name == "bare":
            packer = zlib.compressobj(wbits=-15)
            content = packer.compress(content) + packer.flush()
        else:
            content = zlib.compress(content) if name == "deflate" else gzip.compress(content)
    return content


def test_what_is_packed_comes_out_whole_or_not_at_all() -> None:
    """However its pieces are cut, one after another, with zeros behind; what lacks its end isn't taken for all."""
    chance = random.Random(9)
    for encoding in ("gzip", "deflate", "bare") * 300:
        content = b"".join(chance.choices([b"a", b"ab" * 50, chance.randbytes(9)], k=chance.randrange(6)))
        members, whole = chance.randint(1, 3), packed_as(encoding, content)
        packed = whole * members
        name = encoding.replace("bare", "deflate")
        ends = sorted(chance.randint(0, len(packed)) for _ in range(chance.randrange(20)))
        pieces = [packed[start:end] for start, end in pairwise([0, *ends, len(packed)])]
        assert b"".join(_unpacked(pieces, name)) == content * members
        if encoding == "gzip":
            assert b"".join(_unpacked([*pieces, b"\0" * 8], name)) == content * members
        with pytest.raises(_AgainError):
            list(_unpacked([whole[: chance.randint(1, len(whole) - 1)]], name))


def test_what_is_packed_is_unpacked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.http_client.PIECE_BYTES", 1000)
    content = random.Random(7).randbytes(500) * 2000
    for encoding in ("gzip", "deflate", "bare"):
        pieces = list(_unpacked([packed_as(encoding, content)], encoding.replace("bare", "deflate")))
        assert b"".join(pieces) == content and max(map(len, pieces)) == 1000


def bomb(megabytes: int, window_bits: int) -> bytes:
    """A megabyte of blanks, as packed, again and again: made in an instant, and without an end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    begun = packer.compress(b"[") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    return begun + block * megabytes


PEAKS = """
import json, sys
from pathlib import Path
from sources.http_client import MOST_BYTES_IN_MEMORY, HttpClient
from sources.source import SourceError

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024

url, target = sys.argv[1], Path(sys.argv[2])
client = HttpClient(url, credential="T", credential_of="T", timeout_seconds=30, attempts=1, wait_seconds=0.01)
asks = {
    "json": lambda path: client.json(path),
    "json_file": lambda path: client.json_file(path, {}, target, [list]),
    "file": lambda path: client.file(path, target, MOST_BYTES_IN_MEMORY),
}
before, found = peak(), []
for path in sys.argv[3:]:
    try:
        asks[path.split("/")[1]](path)
        message = "was read"
    except SourceError as error:
        message = str(error)
    found.append([path, peak() - before, message, sorted(file.name for file in target.parent.iterdir())])
print(json.dumps(found))
"""


def test_no_answer_takes_more_memory_than_it_may(mango: MangoStandIn, tmp_path: Path) -> None:
    """A gigabyte and a half, packed to a megabyte and a half: asked for whole or in parts, or as a refusal, and packed again."""
    megabytes = 1500
    once = {"gzip": bomb(megabytes, 31), "deflate": bomb(megabytes, 15), "bare": bomb(megabytes, -15)}
    bodies = once | {"gzip,gzip": gzip.compress(once["gzip"]), "gzip,deflate": zlib.compress(once["gzip"])}
    asks = [
        f"/{kind}/{status}/{name}" for kind in ("json", "json_file", "file") for status in (200, 500) for name in bodies
    ]

    def instead(asked: Asked) -> Answer:
        _, _, status, name = asked.path.split("/")
        return Answer(bodies[name], int(status), {"Content-Encoding": name.replace("bare", "deflate")})

    mango.misbehave(Fault(instead=instead), FOREVER)
    folder = tmp_path / "fetched"
    folder.mkdir()
    run = subprocess.run(
        [sys.executable, "-c", PEAKS, mango.url, str(folder / "answer"), *asks],
        capture_output=True, text=True, check=True, cwd=PROJECT_DIR, env=os.environ | TEST_MODULES,
    )  # fmt: skip
    found = json.loads(run.stdout)
    assert [path for path, *_ in found] == asks
    for path, megabytes_more, message, files in found:
        assert megabytes_more < 64, (path, megabytes_more)
        size = "8 MB" if path.startswith("/json/") else "128 MB"
        told = f"answered more than {size}, unpacked" if "/200/" in path else "answered 500: '['"
        assert told in message and "\n" not in message, (path, message)
        assert files == [], path


def test_an_encoding_that_nobody_asked_for_is_said(mango: MangoStandIn, fetches: Fetches) -> None:
    for encoding in ("br", "zstd", "gzip, br", ", ".join(["gzip"] * (MOST_ENCODINGS + 1))):
        answer = Answer(b"[]", 200, {"Content-Encoding": encoding})
        mango.misbehave(Fault(instead=lambda asked, answer=answer: answer))
        (told,) = messages(fetches.fetch(source_for(mango), DAY).values())
        assert told is not None and f"answered packed as '{encoding}', which nobody asked for" in told
    assert {asked.headers["Accept-Encoding"] for asked in mango.asked} == {"gzip, deflate"}


@pytest.mark.parametrize(
    "encoding", ("gzip", "x-gzip", "deflate", "bare", "gzip, deflate", "gzip, identity", "identity")
)
def test_what_is_packed_in_any_known_way_is_read(mango: MangoStandIn, fetches: Fetches, encoding: str) -> None:
    mango.calls = [mango_call(number, MORNING) for number in range(3)]
    packings = encoding.replace("x-", "").replace(", identity", "").replace("identity", "").split(", ")

    def changed(answer: Answer, asked: Asked) -> Answer:
        body = packed_as(", ".join(filter(None, packings)), answer.body) if any(packings) else answer.body
        return Answer(body, 200, answer.headers | {"Content-Encoding": encoding.replace("bare", "deflate")})

    mango.misbehave(Fault(changed=changed))
    assert fetches.outcomes(source_for(mango, attempts=1), DAY) == {"delivered"}
    assert len(fetches.rows("calls")) == 3


def test_what_is_packed_and_breaks_off_is_not_all(metrica: MetricaStandIn, fetches: Fetches) -> None:
    """A proxy may have cut it, and called it whole."""
    metrica.visits = [metrica_visit(number, MORNING) for number in range(200)]

    def changed(answer: Answer, asked: Asked) -> Answer:
        return Answer(gzip.compress(answer.body)[:-100], 200, answer.headers | {"Content-Encoding": "gzip"})

    metrica.misbehave(Fault(changed=changed), 1, "/download")
    assert fetches.outcomes(source_for(metrica), DAY) == {"delivered"}
    assert len(fetches.rows("visits")) == 200
    metrica.misbehave(Fault(changed=changed), 4, "/download")
    (told,) = messages(fetches.fetch(source_for(metrica), DAY).values())
    assert told is not None and "broke off within what is packed as gzip" in told


# Metrica


def meanings(tmp_path: Path, lines: list[str], names: list[str]) -> list[tuple[str | None, ...]]:
    """What fields say, in the order of their names, and lines that can't be read."""
    file = tmp_path / "part.tsv"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    with duckdb.connect() as connection:
        records = read_tab_separated(FetchContext(tmp_path, connection, Rules.read()), [file], names)
        shown = ", ".join(records.fields[name] for name in records.fields if name != "visitYear")
        return connection.execute(f"select {shown} from {records.relation} order by position").fetchall()


def test_fields_with_quotes_come_without_them(tmp_path: Path) -> None:
    lines = (CASES / "metrica-quoted-tsv/part.tsv").read_text("utf-8").splitlines()
    ((source, term, page, unparsable),) = meanings(tmp_path, lines, [])
    assert (source, term, page) == ("yandex", 'окна 1/2"', 'https://okna.example/?utm_term=окна 1/2"')
    assert unparsable is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ""), ('""', ""), ('"', '"'), ('"окна', '"окна'), ('окна"', 'окна"'), ('a""b', 'a""b'), ('"a"b"', '"a"b"'),
        ('"a""b"', 'a"b'), ('"""a"" b"', '"a" b'), ('"""a"" и ""b"""', '"a" и "b"'), ('"a"', "a"), ('""""', '"'),
        ('""""""', ""), ('"it\\\'s ""x"""', "it's \"x\""), ('"a\\tb"', "a\tb"), ('"\\\\"', "\\"), ('"\\\\""\\n"', '\\"\n'),
        ("\\\\t", "\\t"), ("\\\\\\t", "\\\t"), ("a\\", "a\\"), ("\\x", "\\x"), ("\\b\\f\\0", "\b\f\N{REPLACEMENT CHARACTER}"),
    ],
)  # fmt: skip
def test_a_field_says_what_was_meant(tmp_path: Path, written: str, meant: str) -> None:
    assert meanings(tmp_path, ["ym:s:from\tym:s:visitID", f"{written}\t1"], []) == [(meant, "1", None)]


def test_fields_of_any_content_come_out_as_they_were(tmp_path: Path) -> None:
    """Two thousand lines of what is likely to be written otherwise, some in quotes although nothing asks for it."""
    chance = random.Random(26)
    pieces = [
        '"',
        '""',
        "'",
        "\\",
        "\\\\",
        "\t",
        "\n",
        "\r",
        "\b",
        "\f",
        "\\t",
        "\\n",
        "",
        " ",
        "окна",
        "ё",
        "a",
        "1/2",
        ",",
        "%22",
        "🙂",
    ]
    rows = [["".join(chance.choices(pieces, k=chance.randrange(6))) for _ in range(3)] for _ in range(2000)]
    names = ["ym:s:from", "ym:s:referer", "ym:s:endURL"]
    lines = ["\t".join(names)]
    for row in rows:
        cells = tab_separated(row).split("\t")
        lines.append("\t".join(f'"{cell}"' if '"' not in cell and chance.random() < 0.2 else cell for cell in cells))
    # Quotes round all of a value are nobody's.
    expected = [tuple(re.sub(r'\A"([^"]*)"\Z', r"\1", value) for value in row) for row in rows]
    found = meanings(tmp_path, lines, [])
    assert [row[:3] for row in found] == expected and {row[3] for row in found} == {None}


def test_names_of_fields_may_be_in_quotes_too(metrica: MetricaStandIn, fetches: Fetches) -> None:
    metrica.visits = [metrica_visit(1, MORNING)]

    def changed(answer: Answer, asked: Asked) -> Answer:
        header, rest = answer.body.split(b"\n", 1)
        quoted = b"\t".join(b'"' + name + b'"' for name in header.split(b"\t"))
        return replace(answer, body=quoted + b"\n" + rest)

    metrica.misbehave(Fault(changed=changed), 1, "/download")
    fetches.fetch(source_for(metrica), DAY)
    assert fetches.values("visits", "touch_id") == ["metrica:42:2026-7000000000000000001"]


def test_tags_are_the_visits_own(metrica: MetricaStandIn, fetches: Fetches) -> None:
    """A visitor who comes back without tags brings none: Metrica, asked without an attribution, would tell those of before."""
    none = dict.fromkeys(("UTMSource", "UTMMedium", "UTMCampaign", "UTMContent", "UTMTerm"), "")
    metrica.visits = [
        metrica_visit(1, MORNING, clientID=5),
        metrica_visit(2, MORNING + AN_HOUR, clientID=5, startURL="https://okna.example/", referer="", **none),
    ]
    results = fetches.fetch(source_for(metrica, more_fields=["UTMSource"]), DAY)
    first, second = fetches.rows("visits")
    assert not any(name.startswith("utm_") for name in (*first, *second))
    assert (first["landing_page"], second["landing_page"]) == (ENTRY, "https://okna.example/")
    own = [first[f"lastUTM{tag}"] for tag in ("Source", "Medium", "Campaign", "Content", "Term")]
    assert own == ["yandex", "cpc", "moskva", "123", "пластиковые окна"]
    assert not any(name.startswith("last") for name in second)
    # What the account's own attribution says is another visit's; who asks for it keeps it.
    assert (first["UTMSource"], second["UTMSource"]) == ("yandex", "yandex")
    assert results["visits", DAY].notes == {}
    assert "ym:s:lastUTMSource" in metrica.asked[0].query["fields"].split(",")


@pytest.mark.parametrize(
    ("start", "tags", "differ"),
    [
        ("?utm_source=yandex&utm_medium=cpc", {"UTMSource": "yandex", "UTMMedium": "cpc"}, 0),
        ("?UTM_Source=Yandex&utm_term=%D0%BE%D0%BA%D0%BD%D0%B0+1", {"UTMSource": "yandex", "UTMTerm": "окна 1"}, 0),
        ("?a=1;utm_source=%22yandex%22#utm_medium=x", {"UTMSource": "yandex"}, 0),
        ("?utm_term=%D0", {"UTMTerm": "%D0"}, 0),
        ("", {}, 0),
        ("#?utm_source=yandex", {"UTMSource": "yandex"}, 1),
        ("", {"UTMSource": "yandex"}, 1),
        ("?utm_source=yandex", {}, 1),
        ("?xutm_source=yandex", {"UTMSource": "yandex"}, 1),
        *((f"?utm_{tag.lower()}=x", {f"UTM{tag}": "y"}, 1) for tag in ("Source", "Medium", "Campaign", "Content", "Term")),
    ],
)  # fmt: skip
def test_where_metrica_says_other_tags_is_counted(
    metrica: MetricaStandIn, fetches: Fetches, start: str, tags: dict[str, str], differ: int
) -> None:
    none = dict.fromkeys(("UTMSource", "UTMMedium", "UTMCampaign", "UTMContent", "UTMTerm"), "")
    visit = metrica_visit(1, MORNING, startURL=f"https://okna.example/{start}", **none | tags)
    metrica.visits = [visit, metrica_visit(2, MORNING)]
    notes = fetches.fetch(source_for(metrica), DAY)["visits", DAY].notes
    assert list(notes.values()) == [1] * differ
    assert all("landing page has other tags" in name for name in notes)


def test_fields_stay_within_what_metrica_takes(metrica: MetricaStandIn, fetches: Fetches) -> None:
    source = source_for(metrica)
    room = 3000 - len(source.fields) - len(",ym:s:")  # type: ignore[attr-defined]
    assert room > 2000 and len(FIELDS) == len(set(FIELDS))
    with pytest.raises(AssertionError):  # the stand-in knows no such field, but takes the length
        assert fetches.outcomes(source_for(metrica, more_fields=["x" * room]), DAY) == {"delivered"}
    assert len(metrica.asked) == 1
    (told,) = messages(fetches.fetch(source_for(metrica, more_fields=["x" * (room + 1)]), DAY).values())
    assert told is not None and "more_fields are too many" in told
    assert len(metrica.asked) == 1


ORDERED = """
import os, sys
from pathlib import Path
from fetches import DAY, Fetches
from sources.kinds import KINDS
source = KINDS["metrica"].model_validate({
    "name": "metrica", "kind": "metrica", "counter_id": "42", "url": sys.argv[1], "token_variable": "STAND_IN_TOKEN",
    "poll_seconds": 60,
})
Fetches(Path(sys.argv[2])).fetch(source, DAY)
"""


def test_an_order_whose_fetch_was_killed_is_given_back(metrica: MetricaStandIn, fetches: Fetches) -> None:
    metrica.visits = [metrica_visit(1, MORNING)]
    metrica.polls_until_processed = 10**6
    process = subprocess.Popen(
        [sys.executable, "-c", ORDERED, metrica.url, str(fetches.folder)],
        cwd=PROJECT_DIR, env=os.environ | TEST_MODULES,
    )  # fmt: skip
    while 1 not in metrica.log_requests or not metrica.log_requests[1].polls:
        assert process.poll() is None
        metrica.closing.wait(0.01)
    process.kill()
    process.wait()
    assert metrica.log_requests[1].told["status"] == "created"
    # An order that has become ready, and another program's, which isn't ours to take.
    metrica.polls_until_processed = 0
    for number in (2, 3):
        metrica._create(42, metrica.asked[1])
        metrica._poll(metrica.log_requests[number])
    notes = fetches.folder / "warehouse/sources"
    (notes / "metrica-42-order-2").touch()
    # While they can't be given back, they aren't forgotten.
    for status in (503, 403):
        metrica.misbehave(server_error(status), 2, re.compile("/clean|/cancel"))
        metrica.misbehave(server_error(), 1, "evaluate")
        assert fetches.outcomes(source_for(metrica, attempts=1), DAY) == {"failed"}
        metrica._expected.clear()
        assert sorted(note.name for note in notes.iterdir()) == ["metrica-42-order-1", "metrica-42-order-2"]
    assert fetches.outcomes(source_for(metrica), DAY) == {"delivered"}
    statuses = [request.told["status"] for request in metrica.log_requests.values()]
    assert statuses == ["canceled", "cleaned_by_user", "processed", "cleaned_by_user"]
    assert list(notes.iterdir()) == []
    # What Metrica has forgotten by itself is forgotten here too.
    (notes / "metrica-42-order-99").touch()
    assert fetches.outcomes(source_for(metrica), DAY) == {"unchanged"}
    assert list(notes.iterdir()) == []


def test_an_order_is_given_back_before_its_halves_are_ordered(metrica: MetricaStandIn, fetches: Fetches) -> None:
    """The quota may not hold both."""
    days = [DAY, DAY + A_DAY]
    metrica.visits = [metrica_visit(number, MORNING + number * A_DAY) for number in range(2)]
    metrica.quota_bytes = 1
    metrica.final_status = "processing_failed"
    create: Callable[..., object] = metrica._create

    def heal(counter: int, asked: Asked) -> object:
        if asked.query["date1"] == asked.query["date2"]:
            metrica.final_status = "processed"
        return create(counter, asked)

    metrica._create = heal  # type: ignore[assignment, method-assign]
    assert fetches.outcomes(source_for(metrica), *days) == {"delivered"}
    assert metrica.used_bytes == 0


def test_an_order_that_is_not_prepared_in_time_is_cancelled(metrica: MetricaStandIn, fetches: Fetches) -> None:
    metrica.visits = [metrica_visit(1, MORNING)]
    metrica.polls_until_processed = 10**6
    assert fetches.outcomes(source_for(metrica, longest_preparation_seconds=0.05), DAY) == {"failed"}
    assert metrica.log_requests[1].told["status"] == "canceled"


def test_a_part_that_says_nothing_of_its_size_is_read(metrica: MetricaStandIn, fetches: Fetches) -> None:
    metrica.visits = [metrica_visit(1, MORNING)]

    def changed(answer: Answer, asked: Asked) -> Answer:
        told = json.loads(answer.body)
        for part in told["log_request"].get("parts", ()):
            del part["size"]
        return Answer.of_json(told)

    metrica.misbehave(Fault(changed=changed), FOREVER, re.compile(r"logrequest/\d+$"))
    result = fetches.fetch(source_for(metrica), DAY)["visits", DAY]
    assert (result.outcome, result.totals) == ("delivered", "not given")


def test_a_short_answer_is_read_to_its_end(metrica: MetricaStandIn, tmp_path: Path) -> None:
    """And only what is short."""
    with HttpClient(
        metrica.url, credential="T", credential_of="T", timeout_seconds=1, attempts=1, wait_seconds=0.01
    ) as client:
        for size, fits in ((8 * 2**20, True), (8 * 2**20 + 1, False)):
            body = b"[" + b" " * (size - 2) + b"]"
            metrica.misbehave(Fault(instead=lambda asked, body=body: Answer(body)))
            if fits:
                assert client.json("/x") == []
            else:
                with pytest.raises(TooLargeError):
                    client.json("/x")


def test_the_rest_of_a_download_counts_with_what_came_before(metrica: MetricaStandIn, tmp_path: Path) -> None:
    body = b"x" * 1000

    def answer(asked: Asked) -> Answer:
        if "Range" not in asked.headers:
            return Answer(body, headers={"ETag": '"1"'})
        return Answer(body[600:], 206, {"Content-Range": "bytes 600-999/1000"})

    with HttpClient(
        metrica.url, credential="T", credential_of="T", timeout_seconds=1, attempts=2, wait_seconds=0.01
    ) as client:
        for most_bytes in (1000, 999):
            metrica.asked.clear()
            metrica.misbehave(Fault(instead=answer, deliver=cut_off(600).deliver))
            metrica.misbehave(Fault(instead=answer))
            if most_bytes == len(body):
                client.file("/x", tmp_path / "whole", most_bytes)
                assert (tmp_path / "whole").read_bytes() == body
            else:
                with pytest.raises(TooLargeError):
                    client.file("/x", tmp_path / "too-large", most_bytes)
            assert [asked.headers.get("Range") for asked in metrica.asked] == [None, "bytes=600-"]


# Calltouch


def test_what_is_not_filled_in_is_no_tag(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    """By any of the words in brackets that identify nobody (R15), in any letter case."""
    visit = json.loads((CASES / "calltouch-not-filled/visit.json").read_text("utf-8"))
    visit["sessionDate"] = "10/03/2026 09:45:20"
    words = [word for word in PLACEHOLDERS if word.startswith("<")]
    assert {"<не заполнено>", "<не указано>"} <= set(words)
    visits = [visit]
    for number, word in enumerate([*words, *(word.upper() for word in words)], 1):
        visits.append(
            {name: word if value == "<не заполнено>" else value for name, value in visit.items()}
            | {"sessionId": number}
        )
    calltouch.calls = [calltouch_call(1, MORNING, mapVisits=visits)]
    fetches.fetch(source_for(calltouch), DAY)
    rows = fetches.rows("visits")
    assert len(rows) == len(visits)
    assert {(row["utm_source"], row["utm_medium"]) for row in rows} == {("yandex", "organic")}
    assert not any("utm_campaign" in row or "utm_term" in row or "utm_content" in row for row in rows)


def test_forms_are_asked_for_once_a_day(calltouch: CalltouchStandIn, fetches: Fetches) -> None:
    calltouch.forms = [calltouch_form(number, MORNING) for number in range(3)]
    calltouch.misbehave(not_json(), 1, "requests")
    assert fetches.outcomes(source_for(calltouch), DAY) == {"delivered"}
    assert len([asked for asked in calltouch.asked if "requests" in asked.path]) == 2
