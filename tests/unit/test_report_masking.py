"""How the report hides phones in any text, whom it answers, and how it cuts long texts."""

import itertools
import random
import re
from datetime import datetime, timedelta
from pathlib import Path

import phonenumbers
import pytest
from phones_everywhere import NUMBERS, spellings, traces

from pipeline.settings import THIS_MACHINE
from report import masking
from report.card import part_starts, part_with
from report.exports import LONGEST_CELL, excel_text
from report.masking import HIDDEN, Mask, Rate, has_digits, token_of, whole_phone, without_phones
from report.origins import is_own
from report.parts import LONGEST_LIST, LONGEST_TEXT, element, shortened, shortened_nodes
from report.words import Words

AROUND = (
    "{}",
    "Анна {} вечером",
    "https://okna.example/?phone={}&utm_source=x#{}",
    '["{}"]',
    "c-{}",
    "{}@mail.example",
    "phone {}",
    "a\n{}\tb",
)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_phone_is_hidden_however_it_is_written_and_wherever_it_stands(number: str) -> None:
    for spelling in spellings(number):
        assert list(traces(spelling)) == [number], spelling
        for around in AROUND:
            text = around.format(spelling, spelling)
            hidden = without_phones(text, "RU")
            assert list(traces(hidden)) == [], (text, hidden)
            assert HIDDEN + number[-4:] in hidden, (text, hidden)
            assert without_phones(hidden, "RU") == hidden
            # What stands around it stays.
            assert hidden[:2] in (text[:2], HIDDEN[:2]), (text, hidden)


@pytest.mark.parametrize("gap", [" ", "  ", "-", "_", ".", ", ", "/", ")"])
def test_each_of_several_phones_is_hidden_beside_other_numbers(gap: str) -> None:
    numbers = ["79161234567", "89161234567", "9161234567", "8 916 123-45-67", "1600000000", "1234", "7", "2026-11-28"]
    for several in itertools.product(numbers, repeat=3):
        text = gap.join(several)
        hidden = without_phones(text, "RU")
        assert "9161234567" not in "".join(filter(str.isdecimal, hidden)), (text, hidden)
        assert not re.search(r"\d{10}", hidden), (text, hidden)


@pytest.mark.parametrize(
    "text",
    [
        # Other digits have grown onto it.
        "№58916 123-45-67", "8 (916) 123-45-67100 руб.", "8 916 123 45 672026",
        # Escaped twice and thrice.
        "8&amp;nbsp;916&amp;nbsp;123&amp;nbsp;45&amp;nbsp;67", "8%26nbsp%3B916%26nbsp%3B1234567", "8%26amp%3Bnbsp%3B916 123 45 67",
        "8\\u0020916\\u00201234567",
    ],
)  # fmt: skip
def test_a_phone_is_hidden_that_is_hard_to_read(text: str) -> None:
    hidden = without_phones(text, "RU")
    assert HIDDEN in hidden and "916" not in hidden, hidden


def test_numbers_of_every_country_are_hidden() -> None:
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            significant = phonenumbers.national_significant_number(example)
            if len(significant) < masking.FEWEST_DIGITS:
                continue
            for style in (phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL):
                text = phonenumbers.format_number(example, style)
                hidden = without_phones(f"a {text} b", "RU")
                assert significant not in "".join(filter(str.isdecimal, hidden)), (region, text, hidden)
            # As it is dialled at home, where home is.
            national = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
            assert significant not in "".join(filter(str.isdecimal, without_phones(national, region))), (
                region,
                national,
            )


def test_numbers_that_are_no_phones_stay() -> None:
    chance = random.Random(26)
    texts = [
        "d41d8cd98f00b204e9800998ecf8427e", "12345678", "c-000123", "iPhone 15 Pro Max 256", "1920x1080 1366x768", "1 234 567 890 ₽",
        "https://okna.example/catalog/2026/11/28/12345?page=2&size=100", "Windows NT 10.0; Win64; x64 Chrome/120.0.6099.110",
        "2026-11-28T12:30:45.123456+03:00", "catalog-products-windows-plastic", "yandex / cpc", "8 (800)", "8 800 555",
    ]  # fmt: skip
    styles = (
        "%Y-%m-%d %H:%M:%S",
        "%d.%m.%Y, %H:%M",
        "%d.%m.%Y-%d.%m.%Y",
        "%Y%m%d",
        "/%Y/%m/%d/",
        "%H:%M:%S %d.%m.%Y",
        "%d.%m.%y %H:%M:%S",
    )
    for day in range(0, 13_000, 3):
        moment = datetime(2000, 1, 1) + timedelta(days=day, seconds=chance.randrange(86_400))
        texts.append(moment.strftime(chance.choice(styles)))
    for _ in range(3_000):
        amount = chance.randrange(10 ** chance.randrange(1, 10))
        texts += [f"{amount:,}", f"{amount:,}.50".replace(",", " "), f"{amount:,}".replace(",", "\u00a0")]
        texts.append(".".join(str(chance.randrange(256)) for _ in range(4)))
    assert [text for text in texts if without_phones(text, "RU") != text] == []


def test_long_texts_are_looked_through_in_proportion_to_their_length() -> None:
    """No text makes a page hang: each of these took minutes, or all memory, while the work grew with the square."""
    for text in (
        "1 " * 20_000,
        "8 9 1 6 1 2 3 4 5 6 7 " * 2_000,
        "%20" * 50_000,
        "я" * 1_000_000,
        "1" * 500_000,
        "QUFB" * 50_000,
    ):
        hidden = without_phones(text + " 89161234567", "RU")
        assert hidden.endswith("•••4567")


def mask(hides: bool = True, known: dict[str, str] | None = None) -> Mask:
    return Mask(hides, "RU", lambda: "key", lambda token: (known or {}).get(token))


def test_values_are_hidden_by_what_they_are() -> None:
    hiding, showing = mask(), mask(hides=False)
    for column, value, hidden in (
        ("phone", "112", "•••112"),
        ("phones", ["+79161234567", "12 34 56"], ["•••4567", "4 56"]),
        ("client_name", "Анна 89161234567", "Анна •••4567"),
        ("visited_pages", ["/a", "/89161234567"], ["/a", "/•••4567"]),
        ("files", [{"file_name": "89161234567.csv"}], [{"file_name": "•••4567.csv"}]),
        ("value", 89161234567, 89161234567),
        ("sort_value", "89161234567", "89161234567"),
        ("widget_id", "w1", "w1"),
        ("client_name", None, None),
    ):
        if column == "phones":
            hidden = ["•••4567", "•••4 56"]
        assert hiding.value(column, value) == hidden
        assert showing.value(column, value) == value


def test_an_id_that_holds_a_phone_is_a_token_that_finds_it() -> None:
    for value in ("c-89161234567", "x" * 2_000):
        hiding = mask()
        token = hiding.value("contact_id", value)
        assert (
            token == token_of(value, "key") != token_of(value, "other key")
            and not has_digits(token)
            and len(token) == 33
        )
        assert hiding.asked(token) == value and hiding.asked([token, "w1"]) == [value, "w1"]
        # After a restart it is looked for in the file.
        assert mask(known={token: value}).asked(token) == value
        assert mask().asked(token) == token
    # The phone itself finds nothing.
    assert mask().asked("c-89161234567") == "c-•••4567" and mask(hides=False).asked("c-89161234567") == "c-89161234567"


def test_so_many_phones_a_minute_are_looked_up_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(masking.time, "monotonic", lambda: now)
    rate = Rate(10)
    assert [rate.is_allowed() for _ in range(12)] == [True] * 10 + [False] * 2
    now += 59.9
    assert not rate.is_allowed()
    now += 0.1
    assert [rate.is_allowed() for _ in range(11)] == [True] * 10 + [False]
    assert masking.PHONE_SEARCHES.most == 10


def test_a_whole_phone_is_a_valid_one() -> None:
    for text in ("+79161234567", "8 (916) 123-45-67", "9161234567", "00375 29 123-45-67"[:0] + "+375 29 123-45-67"):
        assert whole_phone(text, "RU") in ("+79161234567", "+375291234567")
    for text in ("", "4567", "8 916 123-45-6", "8 800", "Анна 1"):
        assert whole_phone(text, "RU") is None


# Origins


@pytest.mark.parametrize(
    ("origin", "host", "names", "is_allowed"),
    [
        ("http://localhost:8501", "localhost:8501", THIS_MACHINE, True),
        ("http://[::1]:8501", "[::1]:8501", THIS_MACHINE, True),
        ("http://localhost:8502", "localhost:8501", THIS_MACHINE, False),
        ("http://localhost", "localhost:8501", THIS_MACHINE, False),
        ("http://127.0.0.1:8501", "localhost:8501", THIS_MACHINE, False),
        ("http://report.example:8501", "report.example:8501", THIS_MACHINE, False),
        ("http://evil.example", "localhost:8501", THIS_MACHINE, False),
        ("null", "localhost:8501", THIS_MACHINE, False),
        ("file://", "localhost:8501", THIS_MACHINE, False),
        ("http://localhost:nine", "localhost:8501", THIS_MACHINE, False),
        ("http://localhost:8501@evil.example", "localhost:8501", THIS_MACHINE, False),
        # Behind a server that passes requests on, with TLS.
        ("https://report.example", "report.example", ("report.example", *THIS_MACHINE), True),
        ("https://report.example:8443", "report.example:8443", ("report.example",), True),
        ("https://report.example:8443", "report.example", ("report.example",), False),
        ("https://a.report.example", "a.report.example", ("*.report.example",), True),
        ("https://report.example", "report.example", ("*.report.example",), False),
        ("https://evil.example", "report.example", ("report.example",), False),
        ("http://whatever.example:80", "whatever.example", (), True),
        ("http://whatever.example:81", "whatever.example", (), False),
    ],
)  # fmt: skip
def test_only_the_reports_own_origin_is_answered(
    origin: str, host: str, names: tuple[str, ...], is_allowed: bool
) -> None:
    assert is_own(origin, host, names) is is_allowed


# Long texts and lists


def test_long_texts_are_cut_and_their_length_is_shown() -> None:
    russian, english = Words("ru"), Words("en")
    assert shortened("я" * LONGEST_TEXT, russian) == "я" * LONGEST_TEXT
    cut = shortened("я" * 4_000_000, russian).replace("\u00a0", " ")
    assert cut == "я" * LONGEST_TEXT + "… (всего 4 000 000 знаков)"
    assert shortened("a" * (LONGEST_TEXT + 1), english) == "a" * LONGEST_TEXT + "… (301 characters in all)"
    long = "a" * 5_000
    node = element(
        "td",
        element("a", long, title=long, aria_label=long, href=f"card?contact={long}", event={"contact": long}),
        None,
    )
    tag, _, (_, attributes, text) = shortened_nodes([node], english)[0]
    assert tag == "td" and len(text) < 400 and len(attributes["title"]) < 400 and len(attributes["aria-label"]) < 400
    # What a click says stays whole.
    assert attributes["href"].endswith(long) and attributes["event"] == {"contact": long}
    lines = shortened_nodes(element("ul", [element("li", str(number)) for number in range(LONGEST_LIST + 1)]), english)
    assert len(lines) == 2 + LONGEST_LIST + 1 and lines[-1][2] == "… and 1 more line"
    assert len(shortened_nodes(element("ul", [element("li")] * LONGEST_LIST), english)) == 2 + LONGEST_LIST


def test_a_cell_of_excel_holds_as_much_as_it_can() -> None:
    for text, length in (
        ("я" * LONGEST_CELL, LONGEST_CELL),
        ("я" * 40_000, LONGEST_CELL),
        ("😀" * 20_000, LONGEST_CELL // 2),
        ("a\ud800", 2),
    ):
        assert len(excel_text(text)) == length and text[:1] == excel_text(text)[:1]


# Parts of a card


@pytest.mark.parametrize(
    ("count", "starts"), [(0, []), (1, [0]), (19, [0]), (20, [0]), (21, [0, 20]), (40, [0, 20]), (41, [0, 20, 40])]
)
def test_a_long_list_has_parts_of_twenty(count: int, starts: list[int]) -> None:
    assert part_starts(count, 20) == starts


@pytest.mark.parametrize(
    ("place", "start"), [(0, 0), (18, 0), (19, 0), (20, 20), (21, 20), (39, 20), (40, 40), (41, 40)]
)
def test_the_part_with_a_contact_is_shown(place: int, start: int) -> None:
    """The 20th contact is the last of the first part, the 21st the first of the second."""
    assert part_with([0, 20, 40], place) == start


def test_masking_knows_nothing_of_what_serves_pages() -> None:
    folder = Path(masking.__file__).parent
    assert not any(
        "streamlit" in (folder / name).read_text()
        for name in ("masking.py", "published.py", "queries.py", "origins.py")
    )
