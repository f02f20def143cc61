"""One row per distinct spelling of an e-mail address, with the address in one form, null where it isn't valid (R14).

A spelling is judged once, when it first arrives. `valid_address` takes the steps.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

import idna
import pyarrow

MOST_CHARACTERS = 1000
BETWEEN_ADDRESSES = re.compile(r'[,;:|<>()\[\]{}"“”„«»]')
CONJUNCTIONS = ("и", "или", "and", "or")
BEFORE_AN_ADDRESS = "'‘’‚‹›`.!?*•·…"


def valid_address(spelling: str) -> str | None:
    """The first valid address that a spelling holds."""
    if len(spelling) > MOST_CHARACTERS:
        return None
    text = decoded(spelling)
    # Of anna@mail,ru nobody knows the domain.
    needs_point = bool(re.search(r"[,;|]\s*\w", text))
    for word in words(text):
        name, _, domain = word.partition("@")
        if name and domain and "@" not in domain and ("." in domain or not needs_point):
            return f"{name.lower()}@{domain_form(domain)}"
    return None


def decoded(spelling: str) -> str:
    """HTML entities and percent escapes are characters, full-width ones are plain, invisible ones are dropped."""
    text = html.unescape(html.unescape(spelling))
    text = unicodedata.normalize("NFKC", text if "@" in text else unquote(text))
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    # Where a URL goes on behind an address.
    return re.sub(r"(@[^@\s/?&=#]+)[/?&=#]", r"\1,", text)


def words(text: str) -> Iterator[str]:
    """What stands between brackets, quotes, commas and colons, without the punctuation at its ends.

    An address has no white space: beside a word that is no address, another one may be half of one (`an na@mail.ru`).
    """
    for part in BETWEEN_ADDRESSES.split(text):
        found = [without_punctuation(word) for word in re.split(r"[\s\x85]+", part)]
        found = [word for word in found if word and word.lower() not in CONJUNCTIONS]
        if all("@" in word for word in found):
            yield from found


def without_punctuation(word: str) -> str:
    word = word.lstrip(BEFORE_AN_ADDRESS)
    while word and unicodedata.category(word[-1])[0] in "PS":
        word = word[:-1]
    return word


def domain_form(domain: str) -> str:
    """The domain in lower case and in Unicode, label by label: what IDNA doesn't know stays as it is."""
    return ".".join(map(label_form, re.split("[.。]", domain.lower())))


def label_form(label: str) -> str:
    if label.isascii() and not label.startswith("xn--"):
        return label
    try:
        return idna.decode(label, uts46=True)
    except idna.IDNAError:
        return label


def model(dbt, session):
    dbt.config(materialized="incremental", incremental_strategy="append")
    contacts = dbt.source("raw", "contacts").filter("email is not null")
    changed_loads = dbt.ref("stg_changed_loads")
    ignored = dbt.ref("ignored_identifiers")
    if dbt.is_incremental:
        contacts = contacts.join(changed_loads, "load_id", how="semi")
    spellings = (
        contacts.project("email")
        .union(ignored.filter("identifier_kind = 'email' or identifier_kind is null").project("identifier"))
        .distinct()
    )
    if dbt.is_incremental:
        # First looked for: not to be among all of them is to compare with them all.
        known = session.table(str(dbt.this)).join(spellings, "email", how="semi")
        spellings = spellings.join(known, "email", how="anti")
    spellings = spellings.order("email").to_arrow_table().column("email")
    addresses = [valid_address(spelling) for spelling in spellings.to_pylist()]
    return pyarrow.table({"email": spellings, "address": pyarrow.array(addresses, pyarrow.string())})
