"""R11, steps 1 to 3, in plain Python: a second reading of the rule, which shares no code with the models.

Where `int_origins` splits and replaces, this goes through a URL from left to right; hosts go by the standard library.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from publicsuffixlist import PublicSuffixList

if TYPE_CHECKING:
    from reference import Referrer, Seeds

TAGS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
DIRECT, NOT_SET = ("(direct)", "(none)"), "(not set)"
KINDS = {
    "search": ("organic", "search_engine"),
    "social": ("social", "social_network"),
    "advertising": ("cpc", "advertising_host"),
}


def is_blank(character: str) -> bool:
    return (character.isspace() and character not in "\x1c\x1d\x1e\x1f") or unicodedata.category(character) == "Cf"


def stripped(text: str, others: str = "") -> str:
    start, end = 0, len(text)
    while start < end and (is_blank(text[start]) or text[start] in others):
        start += 1
    while end > start and (is_blank(text[end - 1]) or text[end - 1] in others):
        end -= 1
    return text[start:end]


def put_right(url: str) -> str:
    """The URL as it was before systems on its way rewrote it."""
    quotes = "\"'`«»“”„‘’‹›"
    url = stripped(url, quotes)
    if re.match(r"(?i)[a-z][a-z0-9.+-]*%3A(%2F|/)(%2F|/)", url):
        url = stripped(unquote_to_bytes(url).decode("utf-8", "replace"), quotes)
    url = url.replace("\\u0026", "&")
    while "&amp;" in url:
        url = url.replace("&amp;", "&")
    return url


def percent_decoded(text: str) -> str | None:
    """None where an escape is broken or its bytes are no text."""
    units = ""
    position = 0
    while position < len(text):
        if text[position] != "%":
            units += text[position]
            position += 1
        elif re.match(r"%u[0-9A-Fa-f]{4}", text[position:]):
            units += chr(int(text[position + 2 : position + 6], 16))
            position += 6
        else:
            run = re.match(r"(?:%[0-9A-Fa-f]{2})+", text[position:])
            if run is None:
                return None
            encoded = bytes.fromhex(run[0].replace("%", ""))
            for encoding in ("utf-8", "cp1251"):
                try:
                    units += encoded.decode(encoding)
                    break
                except UnicodeDecodeError:
                    continue
            else:
                return None
            position += run.end()
    try:
        return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return None


def is_template(text: str) -> bool:
    """Whether nothing is left to read once what should have been filled in is taken out."""
    rest = text
    for pattern in (r"\$?\{[^{}]*\}", r"%[\w.]+%", r"__[A-Z0-9]+(_[A-Z0-9]+)*__", r"(?s)<%.*?%>", r"(?s)\[%.*?%\]"):
        rest = re.sub(pattern, "", rest)
    return rest != text and not any(character.isalnum() for character in rest)


def value_of(text: str, plus_is_space: bool = True) -> str:
    """Empty: no value."""
    decoded = percent_decoded(text.replace("+", " ") if plus_is_space else text)
    value = stripped(unicodedata.normalize("NFC", text if decoded is None else decoded))
    return "" if is_template(value) else value


def parameters(url: str, known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and written value of all known parameters of the query, in order."""
    before_hash = put_right(url).split("#", 1)[0]
    query = before_hash.split("?", 1)[1] if "?" in before_hash else ""
    if query.endswith("/"):
        query = query[:-1]
    known = set(known)
    starts = [0] + [place + 1 for place, sign in enumerate(query) if sign in "&?;"]
    begun: tuple[str, int] | None = None
    for start in starts:
        name = known_name(query[start:], known)
        if name is None and start and query[start - 1] != "&":
            continue
        if begun:
            yield begun[0], query[begun[1] : start - 1]
        begun = (name, query.index("=", start) + 1) if name else None
    if begun:
        yield begun[0], query[begun[1] :]


def known_name(text: str, known: set[str]) -> str | None:
    written = re.match(r"[^&?;=]*=", text)
    if written is None:
        return None
    name = written[0][:-1].replace("+", " ")
    decoded = unquote_to_bytes(name).decode("utf-8", "replace")
    plain = stripped(decoded).lower()
    plain = plain[:-2] if plain.endswith("[]") else plain
    return plain if plain in known else None


# Hosts


@cache
def host_of(url: str) -> str | None:
    """The host in Unicode and lower case, if it is one of the Internet's."""
    url = put_right(url)
    with_scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):[/\\][/\\]", url)
    if with_scheme:
        scheme = with_scheme[1].lower()
        if scheme == "tg":
            return "t.me"
        if scheme not in ("http", "https", "android-app"):
            return None
        rest = url[with_scheme.end() :]
    elif re.match(r"//|\\\\", url):
        rest = url[2:]
    elif re.match(r"([\w-]+\.)+[^\W\d_][\w-]+\.?(:\d+)?([/?#]|$)", url):
        rest = url
    else:
        return None
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    try:
        host = urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return None
    if "%" in host:
        host = unquote_to_bytes(host).decode("utf-8", "replace")
    if re.search(r"[\s<>^|%]", host):
        return None
    host = unicodedata.normalize("NFC", host.strip(".").lower())
    host = ".".join(label_of(label) for label in host.split("."))
    return host if is_public(host) else None


def label_of(label: str) -> str:
    try:
        return label[4:].encode("ascii").decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label


def is_public(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        last = host.rsplit(".", 1)[-1]
        private = {"localhost", "local", "localdomain", "lan", "home", "corp", "internal", "intranet"}
        return "." in host and last not in private and not host.endswith(".home.arpa")
    return address.is_global


@cache
def suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@cache
def domain_of(host: str) -> str | None:
    return None if re.fullmatch(r"[\d.]+|.*:.*", host) else suffixes().privatesuffix(host)


def own_hosts(values: Mapping[str, str], seeds: Seeds) -> set[str]:
    widget = seeds.widgets.get(values["widget_id"])
    brand = widget.brand if widget else "default"
    hosts = [host for other in seeds.widgets.values() if other.brand == brand for host in other.site_host.split()]
    if widget is None or not widget.site_host.split():
        hosts.append(values.get("landing_page", ""))
    return {host for host in map(host_of, hosts) if host}


def is_own(host: str, values: Mapping[str, str], seeds: Seeds) -> bool:
    return any(
        host == own or (domain_of(host) and domain_of(host) == domain_of(own)) for own in own_hosts(values, seeds)
    )


def entry_of(host: str | None, seeds: Seeds) -> Referrer | None:
    """The longest entry of the seeds that stands for the host."""
    if host is None:
        return None
    fitting: list[tuple[int, bool, Referrer]] = []
    for start in [0] + [place + 1 for place, sign in enumerate(host) if sign == "."]:
        name, above = host[start:], host[:start]
        below = seeds.referrers.get(f"*.{name}")
        if below and above:
            fitting.append((len(name), True, below))
        entry = seeds.referrers.get(name)
        if entry and (entry.kind != "search" or above in ("", "www.", "m.")):
            fitting.append((len(name), False, entry))
    return max(fitting, key=lambda fit: fit[:2])[2] if fitting else None


def referrer_pair(values: Mapping[str, str], seeds: Seeds) -> tuple[str, str, str] | None:
    """Source, medium and what named them."""
    host = host_of(values.get("referrer", ""))
    entry = entry_of(host, seeds)
    if host and entry and entry.kind == "copy":
        parts = host.split(".", 1)[0].split("--")
        host = host_of("-".join(part.replace("-", ".") for part in parts))
        entry = entry_of(host, seeds)
    if host is None or is_own(host, values, seeds):
        return None
    if entry is None:
        return host, "referral", "referring_site"
    return (entry.name, *KINDS[entry.kind]) if entry.kind in KINDS else None


def click_ids_of(values: Mapping[str, str], seeds: Seeds) -> Sequence[tuple[str, str, bool]]:
    """Source, medium and whether it is of advertising, of each click id that the landing page has, in the seed's order."""
    names = [*TAGS, *(click_id.parameter for click_id in seeds.click_ids)]
    given = {name for name, text in parameters(values.get("landing_page", ""), names) if value_of(text)}
    return [
        (click_id.source, click_id.medium, click_id.is_advertising)
        for click_id in seeds.click_ids
        if click_id.parameter in given
    ]


def tags_of(values: Mapping[str, str], seeds: Seeds) -> dict[str, str | None]:
    names = [*TAGS, *(click_id.parameter for click_id in seeds.click_ids)]
    written = list(parameters(values.get("landing_page", ""), names))
    tags: dict[str, str | None] = {}
    for tag in TAGS:
        column = values.get(tag, "")
        is_encoded = re.search(r"%u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}", column) is not None
        candidates = [value_of(column, is_encoded), *(value_of(text) for name, text in written if name == tag)]
        tags[tag] = next(filter(None, candidates), None)
    return tags


def named_source_and_medium(values: Mapping[str, str], seeds: Seeds) -> tuple[str, str, str]:
    """Source and medium in lower case, and what named them."""
    tags, click_ids = tags_of(values, seeds), click_ids_of(values, seeds)
    source, medium = tags["utm_source"], tags["utm_medium"]
    if source or medium:
        for click_source, click_medium, _ in click_ids if not (source and medium) else ():
            if (source or "").lower() == click_source or (medium or "").lower() == click_medium:
                return click_source, click_medium, "tags"
        return (source or NOT_SET).lower(), (medium or NOT_SET).lower(), "tags"
    for wanted in (True, None, False):
        if wanted is None:
            pair = referrer_pair(values, seeds)
            if pair:
                return pair[0].lower(), pair[1].lower(), pair[2]
        for click_source, click_medium, is_advertising in click_ids:
            if is_advertising is wanted:
                return click_source, click_medium, "click_id"
    return (*DIRECT, "direct")
