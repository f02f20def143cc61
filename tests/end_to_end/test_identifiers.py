"""Which identifiers are the same one, and which are none (R13 to R15): the worked cases, end to end, and many spellings."""

import csv
import html
import itertools
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import phonenumbers
import pytest
from places import Place
from reference import Seeds
from test_models import python_model

from pipeline.contracts import reading_macros
from pipeline.settings import PROJECT_DIR, Rules

DAY = date(2026, 3, 1)
KINDS = ("visitor_id", "yandex_client_id", "google_client_id", "crm_client_id")
FORMS_OF_NO_VALUE = (
    *("0", "0.0", "-1.0", "000-000", "00000000-0000-0000-0000-000000000000", "...", "{}", "[]", "####", '""', "\u200b"),
    *(
        "#N/A",
        "#N/D",
        "#Н/Д",
        "#ССЫЛКА!",
        "#REF!",
        "#VALUE!",
        "#ЗНАЧ!",
        "#ИМЯ?",
        "#ДЕЛ/0!",
        "#ЧИСЛО!",
        "#ПУСТО!",
        "#NULL!",
        "#DIV/0!",
    ),
    *(
        "{source}",
        "{{crm_id}}",
        "{{ user.id }}",
        "${x}",
        "#{x}",
        "@{x}",
        "%(x)s",
        "$(x)",
        "[%x%]",
        "[[x]]",
        "{%x%}",
        "<x>",
    ),
    *(
        "%client_id%",
        "%%x%%",
        "__x__",
        "##x##",
        "@x@",
        "|x|",
        "*|X|*",
        "$x",
        ":x",
        "%s",
        "<%= x %>",
        "{param1}",
        "{0}",
        "{1}",
    ),
    *("%7Bclient_id%7D", "%5BCLIENT_ID%5D", "&lt;x&gt;", '"+clientId+"', "[object HTMLElement]"),
    *("undefined.undefined", "GA1.1.undefined", "null.undefined", "None.None", "GA1.2.{x}", "(data not available)"),
)
WORDS_AROUND = ("{}", "{}.0", '"{}"', "'{}'", "«{}»", "{0}.{0}", "GA1.2.{}")


def test_the_worked_cases_give_as_many_clients_as_they_say(tmp_path: Path) -> None:
    """Two contacts of each case, with an identifier of only this case's; two rows that tie nothing are two clients."""
    with open(PROJECT_DIR / "tests/cases/identifiers.csv", encoding="utf-8", newline="") as file:
        cases = list(csv.DictReader(file))
    place = Place(tmp_path)
    rows = [
        {
            "contact_id": f"{number}-{which}",
            "widget_id": "dveri",
            "contacted_at": "2026-03-01T10:00:00Z",
            "contact_type": "call",
            case["kind"]: case[says],
        }
        for number, case in enumerate(cases)
        for which, says in enumerate(("one_contact_says", "another_says"))
    ]
    place.deliver("contacts", DAY, rows)
    place.update()
    clients = {row["contact_id"]: row["client_id"] for row in place.private("from marts.journal")}
    found = [len({clients[f"{number}-0"], clients[f"{number}-1"]}) for number in range(len(cases))]
    assert [(case, count) for case, count in zip(cases, found, strict=True) if str(count) != case["clients"]] == []


def tying(texts: list[str]) -> set[str]:
    """Those that tie, by the macro that models look at identifiers with, and the project's own seed."""
    connection = duckdb.connect()
    connection.execute("create table placeholders (placeholder varchar)")
    connection.executemany(
        "insert into placeholders values (?)", [[text] for text in Seeds.read(PROJECT_DIR / "seeds").placeholders]
    )
    connection.execute("create table texts (text varchar)")
    connection.executemany("insert into texts values (?)", [[text] for text in texts])
    words = "(select list(lower(placeholder)) from placeholders)"
    form = reading_macros(Rules.read()).placeholder_form("text", words)
    found = connection.execute(
        f"select text from texts where {form} not in (select lower(placeholder) from placeholders)"
    ).fetchall()
    return {text for (text,) in found}


def test_no_form_of_a_placeholder_ties() -> None:
    words = Seeds.read(PROJECT_DIR / "seeds").placeholders
    texts = [around.format(word) for word in words for around in WORDS_AROUND if "." not in word or around != "{0}.{0}"]
    texts += [change(form) for form in FORMS_OF_NO_VALUE for change in (str, str.upper, str.lower, '"{}"'.format)]
    assert tying(texts) == set()


def test_what_only_looks_like_no_value_ties() -> None:
    texts = [
        *(
            "1",
            "0012",
            "٤٢",
            "1.0",
            "1234567890.1600000000",
            "GS1.1.1700000000.1.0.17",
            "{AF2504E0-4F89-11D3-9A0C-0305E82C3301}",
        ),
        *(
            "@ivanov",
            "a.b",
            "anna.petrova",
            "#123",
            '"123"',
            "%D0%98%D0%B2%D0%B0%D0%BD",
            "Иван.Петров",
            "(12)",
            "{A1004}",
            "ключ",
        ),
        *("A1", "_ym_123", "__123456__", "00a", "nullable", "undefined1", "undefined.a", "не указано 5"),
    ]
    assert tying(texts) == set(texts)


# R14: the same number and address in many spellings

REGIONS = ("RU", "KZ", "BY", "UZ", "DE", "US", "GB", "FR", "TR", "CN", "VN", "GE")
SPELLINGS = (
    *(
        "{}",
        "tel:{}",
        "sip:{}@10.0.0.1:5060",
        "{} (Иван)",
        "Иван {}",
        "{} доб. 12",
        "{} вн.12",
        "{} ext 12",
        "{}, доб. 5",
    ),
    *("\u202a{}\u202c", "\u200b{}\ufeff", "{}, +7 916 200-00-05", "{}\n+79162000005", "{} / +79162000005", "{};{}"),
    *("12345, {}", "тел.: {}.", "<{}>"),
)


def spellings_of(number: phonenumbers.PhoneNumber) -> Iterator[str]:
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    international = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    fullwidth = e164.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)} | {ord("+"): "＋"})
    for written in (
        e164,
        international,
        international.replace(" ", "—"),
        international.replace(" ", "\u00a0"),
        fullwidth,
    ):
        yield from (spelling.replace("{}", written) for spelling in SPELLINGS)
    digits = e164[1:]
    yield from (
        html.escape(e164).replace("+", "&#43;"),
        f"8~10{digits}",
        f"8-10-{digits}",
        f"00{digits}",
        f"tel:%2B{digits}",
    )
    if len(digits) >= 11 and not (len(digits) == 11 and digits[0] == "8"):  # which the region has first
        yield from (digits, f"{digits}.0")


@pytest.mark.parametrize("region", REGIONS)
def test_a_valid_number_is_found_in_every_spelling(region: str) -> None:
    model = python_model("stg_phones")
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(region, kind)
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        read = {spelling: model.valid_number(spelling, "RU") for spelling in spellings_of(number)}
        assert {spelling: found for spelling, found in read.items() if found != e164} == {}


def test_a_usual_spelling_is_read_as_all_steps_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = python_model("stg_phones")
    dice = random.Random(14)

    def spelling() -> str:
        digits = dice.choice(("9", "93", "930", "9300"))
        digits += "".join(dice.choices("0123456789", k=10 - len(digits)))
        parts = (dice.choice(("+7", "7", "8", "")), digits[:3], digits[3:6], digits[6:8], digits[8:])
        return "".join("".join(dice.choices(" -()", k=dice.choice((0, 0, 1, 2)))) + part for part in parts)

    read = {written: model.valid_number(written, "RU") for written in (spelling() for _ in range(3_000))}
    assert sum(model.usual_number(written) is not None for written in read) > 300
    monkeypatch.setattr(model, "usual_number", lambda _: None)
    assert read == {written: model.valid_number(written, "RU") for written in read}


@pytest.mark.parametrize(
    ("spelling", "number"),
    [
        ("٧٩١٦١٠٠٠٠٠٥.٠", "+79161000005"),
        ("+7916\u200b100\u202c0005", "+79161000005"),
        ("8\ufe0f\u20e39161000005", "+79161000005"),
        # Without the space it is Vietnam's code.
        ("+8 495 123-45-67", "+74951234567"),
        ("+84951234567", "+84951234567"),
        ("+89161000016", "+79161000016"),
        ("+0079161000027", "+79161000027"),
        # Germany has numbers 5123 456712 and 5123 456768.
        ("(495) 123-45-67 (12)", "+74951234567"),
        ("(495) 123-45-67/68", "+74951234567"),
        ("375 29/100-00-26", "+375291000026"),
        ("8 916 100-00-05 8 916 200-00-05", "+79161000005"),
        ("8 916 100-00-05 12", "+79161000005"),
        ("12345 89161000005", "+79161000005"),
        # A digit too few or too many is no other number.
        ("+7 495 123 45 6", None),
        ("+7710123456", None),
        ("8 (900) 123-45-678", None),
        ("9991234", None),
        ("1234567890", None),
        ("6591234567", None),
        ("89161000005" + 1000 * " ", None),
    ],
)
def test_the_first_valid_number_is_read(spelling: str, number: str | None) -> None:
    assert python_model("stg_phones").valid_number(spelling, "RU") == number


@pytest.mark.parametrize(
    ("spelling", "number"),
    [
        ("495 123-45-67 916 100-00-01", "+74951234567"),
        ("495 1234567 495 7654321", "+74951234567"),
        ("998 90 123 45 67", "+998901234567"),
        ("звонить после 18:00 8 916 100-00-01", "+79161000001"),
        ("кв. 5 8 (916) 100 00 01", "+79161000001"),
        ("12345 89161000001", "+79161000001"),
        ("+7 999 12345 6789 9161000001", "+79161000001"),
        ("+1 9161000001", None),
        ("+1 916 100 00 01", None),
        ("+380 9161000001", None),
    ],
)
def test_of_what_stands_side_by_side_the_number_is_found(spelling: str, number: str | None) -> None:
    assert python_model("stg_phones").valid_number(spelling, "RU") == number


@pytest.mark.parametrize(
    "spelling", ["7,9161E+10", "7.9161E+10", "7,91610000E+10", "7.770123450e+10", "7Е+10", "101@89.161.100.100"]
)
def test_lost_digits_and_hosts_are_no_number(spelling: str) -> None:
    assert python_model("stg_phones").valid_number(spelling, "RU") is None


ADDRESSES = {
    "a@x.ru": "a@x.ru",
    "Anna@Mail.RU": "anna@mail.ru",
    "o'brien+shop@x.co.uk": "o'brien+shop@x.co.uk",
    "Анна@Почта.РФ": "анна@почта.рф",
    "a@xn--e1afmkfd.xn--p1ai": "a@пример.рф",
    "a@mail_x.ru": "a@mail_x.ru",
}
WRAPPERS = (
    *(
        "{}",
        "Иван Петров <{}>",
        "<{}>",
        "mailto:{}",
        "MAILTO:{}?subject=x",
        "{},",
        "{}.",
        "{};",
        "{}!",
        '"{}"',
        "«{}»",
        "({})",
    ),
    *(
        "\u200b{}\u200d",
        "\ufeff{}",
        "{}, b@x.ru",
        "{};b@x.ru",
        "{} b@x.ru",
        "{} и b@x.ru",
        "{} or b@x.ru",
        "{}\nb@x.ru",
        "{}/b@x.ru",
        "нет, {}",
        "@, {}",
    ),
    *("e-mail: {}", "&lt;{}&gt;", "{} (Иван)", "'{}'"),
)


@pytest.mark.parametrize(("wrapper", "address"), list(itertools.product(WRAPPERS, ADDRESSES)))
def test_a_valid_address_is_found_in_every_wrapper(wrapper: str, address: str) -> None:
    assert python_model("stg_emails").valid_address(wrapper.format(address)) == ADDRESSES[address]


@pytest.mark.parametrize(
    "spelling",
    [
        *(
            "@mail.ru",
            "anna@",
            "a@b@c",
            "anna.mail.ru",
            "an na@mail.ru",
            "anna@ma il.ru",
            "an\u00a0na@mail.ru",
            "",
            "нет",
        ),
        *("anna@mail\n.ru", "anna@mail\u0085.ru", "anna@mail\u000b.ru", "anna@mail,ru", "a@" + 1000 * "x"),
    ],
)
def test_what_is_no_address(spelling: str) -> None:
    assert python_model("stg_emails").valid_address(spelling) is None


def test_entities_and_escapes_of_an_address_are_characters() -> None:
    for spelling in ("a&#64;x.ru", "a&amp;#64;x.ru", "mailto:a%40x.ru", "a＠x.ru"):
        assert python_model("stg_emails").valid_address(spelling) == "a@x.ru"


def test_an_address_needs_no_point() -> None:
    assert python_model("stg_emails").valid_address("Root@Localhost") == "root@localhost"
