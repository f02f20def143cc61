"""One row per distinct spelling of a phone, with its number in E.164; null if it isn't valid (R14).

A spelling is read once, when it first arrives. `valid_number` takes the steps; libphonenumber decides whether what they find is valid.
"""

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

import phonenumbers
import pyarrow

MOST_CHARACTERS = 1000
MOST_DIGITS = 20  # of a number with every prefix that is dialled before it
MOST_DIGITS_WITH_COUNTRY = 15
LEAST_DIGITS_WITHOUT_REGION = 11

# What may stand between the digits of one number. Anything else ends it: a letter, a comma, another plus.
BETWEEN_DIGITS = r" .()\[\]/\\~'’·•_-"
PLAIN = re.compile(r"\+?[0-9]+")
RUN_OF_DIGITS = re.compile(rf"\+?[{BETWEEN_DIGITS}]*\d[\d{BETWEEN_DIGITS}]*")

# A mobile number of Russia, alone and as nearly everybody writes it.
USUAL = re.compile(
    r"(?:\+7|[78])?[ (-]{0,3}(9[0-9]{2})[) -]{0,3}([0-9]{3})[ -]{0,3}([0-9]{2})[ -]{0,3}([0-9]{2})"
)
# libphonenumber's own pattern.
MOBILE = re.compile(phonenumbers.PhoneMetadata.metadata_for_region("RU").mobile.national_number_pattern)


def valid_number(spelling: str, region: str) -> str | None:
    """The first valid number in a spelling."""
    if region == "RU" and (usual := usual_number(spelling)):
        return usual
    if len(spelling) > MOST_CHARACTERS:
        return None
    # Nothing is to be changed in plain spellings.
    text = spelling if PLAIN.fullmatch(spelling) else without_what_is_no_number(in_plain_characters(decoded(spelling)))
    for run in RUN_OF_DIGITS.findall(text):
        for number in numbers_of(run, region):
            if number is not None:
                return number
    return None


def usual_number(spelling: str) -> str | None:
    """The number of a mobile phone of Russia in a usual spelling; None for any other.

    Gives what `valid_number`'s other steps give, in a tenth of the time.
    """
    parts = USUAL.fullmatch(spelling)
    number = "".join(parts.groups()) if parts else ""
    return f"+7{number}" if MOBILE.fullmatch(number) else None


def decoded(spelling: str) -> str:
    """Decodes HTML entities, doubled ones too, and percent escapes in an address such as `tel:%2B7…`."""
    text = html.unescape(html.unescape(spelling))
    return unquote(text) if re.match(r"\W*(?:[a-z]+:|%2b)", text, re.IGNORECASE) else text


def in_plain_characters(text: str) -> str:
    """Makes digits of any script ASCII digits, any dash `-` and any blank a space; drops invisible characters."""
    return "".join(map(plain, unicodedata.normalize("NFKC", text)))


def plain(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Cf" or category.startswith("M"):  # bidi marks, zero-width characters, variation selectors
        return ""
    if category == "Pd" or character in "−⁃ー":
        return "-"
    return " " if category == "Zs" or character == "\t" else character


def without_what_is_no_number(text: str) -> str:
    """Drops digits that belong to no number, and a plus that doesn't belong there."""
    # A spreadsheet's 7,9161E+10 has lost digits.
    text = re.sub(r"(?<!\d)\d(?:[.,]\d+)?[eе][+-]?\d{1,2}(?!\d)", "\n", text, flags=re.IGNORECASE)
    # 79161000001.0: a number that some system read as a decimal.
    text = re.sub(r"(\d{7})[.,]0+(?![\d.,])", r"\1", text)
    # sip:79161000008@10.0.0.1: the host of an address.
    text = re.sub(r"@\S*", "\n", text)
    # No country has the code 8 or 0: in +8 916 the 8 is the prefix that is dialled within the country.
    text = re.sub(r"\+ *([08])(?=\D)", r" \1", text)
    # A bracket after a complete number begins something else, such as an extension.
    return re.sub(r"((?:\d[^\d\n+]{0,3}){10,})(?=\()", "\\1\n", text)


def numbers_of(run: str, region: str) -> Iterator[str | None]:
    """The ways to read a run of digits, the likeliest first; None where a way gives no valid number.

    The region comes before other countries, and the whole run before its parts. So `495 123-45-67/68` is read as two numbers of
    the region before it is read as one of another country.
    """
    parts = re.split(r"[/\\]", run)
    yield number_in_region(run, region)
    if len(parts) > 1:
        for part in parts:
            yield number_in_region(part, region)
    yield first_of_two_numbers(run, region)
    yield number_of_any_country(run)
    for part in parts:
        for shorter in (*beginnings(part), *long_words(part)):
            yield number_in_region(shorter, region)
            yield number_of_any_country(shorter)
        for end in ends(part):
            yield number_in_region(end, region)


def first_of_two_numbers(run: str, region: str) -> str | None:
    """The first of two numbers of the region: `495 123-45-67 916 …` also begins like a number of Germany."""
    for begin in beginnings(run):
        number = number_in_region(begin, region)
        if number is not None and number_in_region(run[len(begin) :].strip(), region) is not None:
            return number
    return None


def number_in_region(run: str, region: str) -> str | None:
    """The number as it is dialled in the region; with a plus, as it is dialled from anywhere."""
    digits = digits_of(run)
    if not run.startswith("+"):
        return judged(digits, region)
    number = judged(f"+{digits}", region)
    # +89161000016: a plus before the prefix that is dialled within the country.
    if number is None and digits.startswith(("8", "0")) and len(digits) >= LEAST_DIGITS_WITHOUT_REGION:
        return judged(digits, region)
    return number


def number_of_any_country(run: str) -> str | None:
    """The number with its country's code, with or without the prefix dialled before that: `375…`, `00375…`, `8~10375…`."""
    digits = digits_of(run)
    if len(digits) < LEAST_DIGITS_WITHOUT_REGION:
        return None
    return judged("+" + re.sub(r"^(?:00|810)", "", digits), None)


def beginnings(run: str) -> list[str]:
    """The beginnings of a run up to a space, the longest first: another number or an extension may follow."""
    ends = [space.start() for space in re.finditer(" +", run)]
    return [run[:end] for end in reversed(ends) if len(digits_of(run[:end])) <= MOST_DIGITS]


def long_words(run: str) -> list[str]:
    """Words long enough to be a number, after one that isn't valid. `+1 9161000001` is meant as one number, so it has none."""
    if is_one_number(run):
        return []
    return [word for word in run.split() if 10 <= len(digits_of(word)) <= MOST_DIGITS]


def ends(run: str) -> list[str]:
    """The ends of a run after a space, the longest first: a time or a flat may come before, as in `кв. 5 8 916 …`."""
    if is_one_number(run):
        return []
    found = [run[space.end() :] for space in re.finditer(" +", run)]
    return [end for end in found if LEAST_DIGITS_WITHOUT_REGION <= len(digits_of(end)) <= MOST_DIGITS]


def is_one_number(run: str) -> bool:
    """Whether a run begins with a plus and is no longer than a number with its country's code may be."""
    return run.startswith("+") and len(digits_of(run)) <= MOST_DIGITS_WITH_COUNTRY


def digits_of(run: str) -> str:
    return re.sub(r"\D", "", run)


def judged(number: str, region: str | None) -> str | None:
    """The number in E.164 if libphonenumber calls it valid, else None."""
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def texts(values: Sequence[str | None]) -> pyarrow.Array:
    """An Arrow array of texts. `pyarrow.array` would import pandas, which takes longer than this model in a small build."""
    builder = pyarrow.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def numbers(rows: pyarrow.Table, region: str) -> pyarrow.Table:
    spellings = rows.column("phone")
    found = [valid_number(spelling, region) for spelling in spellings.to_pylist()]
    return pyarrow.table({"phone": spellings, "number": texts(found)})


def model(dbt, session):
    dbt.config(materialized="incremental", incremental_strategy="append")
    contacts = dbt.source("raw", "contacts").filter("phone is not null")
    changed_loads = dbt.ref("stg_changed_loads")
    ignored = dbt.ref("ignored_identifiers")
    if dbt.is_incremental:
        contacts = contacts.join(changed_loads, "load_id", how="semi")
    spellings = (
        contacts.select("phone")
        .union(ignored.filter("identifier_kind = 'phone' or identifier_kind is null").select("identifier"))
        .distinct()
    )
    if dbt.is_incremental:
        # Look the known ones up first: an anti join with the whole table would compare with every row.
        known = session.table(str(dbt.this)).join(spellings, "phone", how="semi")
        spellings = spellings.join(known, "phone", how="anti")
    return {"rows": spellings.sort("phone"), "some_at_once": numbers, "with": [dbt.config.meta_get("default_phone_region")]}
