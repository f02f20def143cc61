"""One row per distinct spelling of an email address, with the address in the form it is compared in; null if it isn't valid (R14).

A spelling is read once, when it first arrives. `valid_address` takes the steps.
"""

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

import idna
import pyarrow

MOST_CHARACTERS = 1000
BETWEEN_ADDRESSES = re.compile(r'[,;:|<>()\[\]{}"“”„«»]')
CONJUNCTIONS = ("и", "или", "and", "or")
BEFORE_AN_ADDRESS = "'‘’‚‹›`.!?*•·…"


def valid_address(spelling: str) -> str | None:
    """The first valid address in a spelling."""
    if len(spelling) > MOST_CHARACTERS:
        return None
    text = decoded(spelling)
    # The domain of anna@mail,ru is unclear.
    needs_point = bool(re.search(r"[,;|]\s*\w", text))
    for word in words(text):
        name, _, domain = word.partition("@")
        if name and domain and "@" not in domain and ("." in domain or not needs_point):
            return f"{name.lower()}@{domain_form(domain)}"
    return None


def decoded(spelling: str) -> str:
    """Decodes HTML entities and percent escapes, makes full-width characters plain, and drops invisible ones."""
    text = html.unescape(html.unescape(spelling))
    text = unicodedata.normalize("NFKC", text if "@" in text else unquote(text))
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    # Ends an address where a URL goes on after it.
    return re.sub(r"(@[^@\s/?&=#]+)[/?&=#]", r"\1,", text)


def words(text: str) -> Iterator[str]:
    """The words between brackets, quotes, commas and colons, without punctuation at their ends.

    An address has no white space, so an address next to another word may be half of one (`an na@mail.ru`). Such words are dropped.
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
    """The domain in lower case and in Unicode, label by label. A label that IDNA rejects stays as it is."""
    return ".".join(map(label_form, re.split("[.。]", domain.lower())))


def label_form(label: str) -> str:
    if label.isascii() and not label.startswith("xn--"):
        return label
    try:
        return idna.decode(label, uts46=True)
    except idna.IDNAError:
        return label


def texts(values: Sequence[str | None]) -> pyarrow.Array:
    """An Arrow array of texts. `pyarrow.array` would import pandas, which takes longer than this model in a small build."""
    builder = pyarrow.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def addresses(rows: pyarrow.Table) -> pyarrow.Table:
    spellings = rows.column("email")
    return pyarrow.table({"email": spellings, "address": texts([valid_address(spelling) for spelling in spellings.to_pylist()])})


def model(dbt, session):
    dbt.config(materialized="incremental", incremental_strategy="append")
    contacts = dbt.source("raw", "contacts").filter("email is not null")
    changed_loads = dbt.ref("stg_changed_loads")
    ignored = dbt.ref("ignored_identifiers")
    if dbt.is_incremental:
        contacts = contacts.join(changed_loads, "load_id", how="semi")
    spellings = (
        contacts.select("email")
        .union(ignored.filter("identifier_kind = 'email' or identifier_kind is null").select("identifier"))
        .distinct()
    )
    if dbt.is_incremental:
        # Look the known ones up first: an anti join with the whole table would compare with every row.
        known = session.table(str(dbt.this)).join(spellings, "email", how="semi")
        spellings = spellings.join(known, "email", how="anti")
    return {"rows": spellings.sort("email"), "some_at_once": addresses}
