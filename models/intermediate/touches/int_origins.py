"""One row per distinct origin of touches, with its tags, source and medium, and the step that named them (R11, steps 1 to 3).

An origin is what a touch says about where it came from: its widget, landing page, referrer and tags, as JSON (`origin` in
macros/urls.sql). Very many touches share few origins. Each origin is worked out once, when its first touch is read.
"""

import ipaddress
import json
import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

import ada_url
import idna
import publicsuffixlist
import pyarrow

TAGS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
ORIGIN = ("widget_id", "landing_page", "referrer", *TAGS)
COLUMNS = ("origin", *TAGS, "source", "medium", "channel_told_by")
NOT_SET = "(not set)"
DIRECT = ("(direct)", "(none)", "direct")
# The medium and the `channel_told_by` of each kind of entry in the seed `referrers`; the source is the entry's name.
KINDS = {
    "search": ("organic", "search_engine"),
    "social": ("social", "social_network"),
    "advertising": ("cpc", "advertising_host"),
}
# How many origins are taken out of Arrow at once, so that memory doesn't grow with their number.
ORIGINS_AT_ONCE = 50_000

INVISIBLE = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff"
WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
QUOTES = "\"'`«»“”„‘’‹›"
ESCAPED_WHOLE = re.compile(r"[a-z][a-z0-9+.-]*%3a(%2f|/){2}", re.IGNORECASE)
ESCAPE = re.compile(r"%u([0-9a-f]{4})|((?:%[0-9a-f]{2})+)", re.IGNORECASE)
BROKEN_ESCAPE = re.compile(r"%(?!u[0-9a-f]{4}|[0-9a-f]{2})", re.IGNORECASE)
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):[\\/]{2}", re.IGNORECASE)
SCHEMES_WITH_HOSTS = ("http", "https", "android-app", "tg")
BARE_HOST = re.compile(r"(?:[\w-]+\.)+[^\W\d_][\w-]+\.?(?::\d+)?(?:[/?#].*)?", re.DOTALL)
# A host that is written as `host_of` writes it; nearly all of the seeds are, and there are thousands.
PLAIN_HOST = re.compile(r"(?:\*\.)?(?:(?!xn--)[a-z0-9-]+\.)+[a-z]{2,}")
# {source}, also in double braces, ${x}, %campaign%, __CID__, <%= x %>, [%x%]: a template that an advertising system should have filled in.
TEMPLATE = re.compile(r"\$?\{[^{}]*\}|%[\w.]+%|__[A-Z0-9]+(?:_[A-Z0-9]+)*__|<%.*?%>|\[%.*?%\]", re.DOTALL)
SIGN_OF_TEMPLATE = re.compile(r"[%{<\[]|__")
PRIVATE_DOMAINS = ("localhost", "local", "localdomain", "lan", "home", "corp", "internal", "intranet", "home.arpa")


class ClickId(NamedTuple):
    parameter: str
    source: str
    medium: str
    is_advertising: bool


class Referrer(NamedTuple):
    kind: str
    name: str | None


class Site(NamedTuple):
    widget_id: str
    brand_id: str
    site_host: str | None


class Origin(NamedTuple):
    """What a touch says about where it came from; None where it says nothing."""

    widget_id: str | None = None
    landing_page: str | None = None
    referrer: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None


class Named(NamedTuple):
    """A touch's tags, None where it has none; its source and medium; and the step that named these."""

    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    source: str
    medium: str
    channel_told_by: str


class Seeds:
    """What the seeds `widgets`, `click_ids`, `referrers` and `search_engines` say, ready for look-ups."""

    def __init__(self, sites: list[Site], click_ids: list[ClickId], referrers: dict[str, Referrer]) -> None:
        """Takes click ids in their order, and referrers by host; an asterisk in front of a host stands for all subdomains."""
        self.click_ids = click_ids
        self.referrers = {
            host
            if PLAIN_HOST.fullmatch(host)
            else "*." * host.startswith("*.") + (host_of(host.removeprefix("*.")) or host): referrer
            for host, referrer in referrers.items()
        }
        self.known_parameters = frozenset((*TAGS, *(click_id.parameter for click_id in click_ids)))
        self.brands = {site.widget_id: site.brand_id for site in sites}
        self.hosts: dict[str, set[str]] = {}
        for site in sites:
            hosts = {host_of(host) for host in (site.site_host or "").split()}
            self.hosts.setdefault(site.brand_id, set()).update(host for host in hosts if host)
        self.widgets_with_site = {site.widget_id for site in sites if (site.site_host or "").split()}


def name_channel(origin: Origin, seeds: Seeds) -> Named:
    """The tags, source and medium of a touch. The steps of R11 stand here in their order, and nowhere else."""
    landing_page = cleaned_url(origin.landing_page or "")
    parameters = parameters_of(landing_page, seeds.known_parameters)
    tags = [tag_of(getattr(origin, tag), parameters.get(tag, ())) for tag in TAGS]
    source, medium = tags[:2]
    click_ids = [
        click_id
        for click_id in seeds.click_ids
        if click_id.parameter in parameters and any(map(value_of, parameters[click_id.parameter]))
    ]
    if source and medium:
        named = (source, medium, "tags")
    elif source or medium:
        named = complete_half(source, medium, click_ids)
    else:
        named = (
            next(((each.source, each.medium, "click_id") for each in click_ids if each.is_advertising), None)
            or name_by_referrer(origin, landing_page, seeds)
            or next(((each.source, each.medium, "click_id") for each in click_ids), DIRECT)
        )
    return Named(*tags, *named)


# Step 1: tags


@lru_cache(maxsize=100_000)
def cleaned_url(url: str) -> str:
    """The URL as it was before systems on its way wrapped it or rewrote it."""
    around = WHITE_SPACE + INVISIBLE + QUOTES
    url = url.strip(around)
    if ESCAPED_WHOLE.match(url):
        url = unquote(url).strip(around)
    return re.sub(r"&(?:amp;)+", "&", url.replace("\\u0026", "&"))


def parameters_of(url: str, known: frozenset[str]) -> dict[str, list[str]]:
    """The values, as written, of the known parameters in a URL's query, by name in lower case.

    A known parameter also begins after a second `?` or a `;`; other such signs belong to a value. A slash at the very end of
    the query belongs to no value.
    """
    _, _, query = url.partition("#")[0].partition("?")
    pieces = re.split(r"([&?;])", "&" + query.removesuffix("/"))
    found: dict[str, list[str]] = {}
    values: list[str] = []  # of the current parameter
    for sign, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        written_name, equals, value = piece.partition("=")
        name = parameter_name(written_name)
        if equals and name in known:
            values = found.setdefault(name, [])
            values.append(value)
        elif sign == "&":
            values = []
        elif values:
            values[-1] += sign + piece
    return found


@lru_cache(maxsize=10_000)
def parameter_name(text: str) -> str:
    """A parameter's name: decoded, trimmed, in lower case, without `[]` at its end."""
    return trimmed(unquote(text.replace("+", " "))).lower().removesuffix("[]")


@lru_cache(maxsize=100_000)
def value_of(text: str) -> str | None:
    """A parameter's value: decoded, trimmed, in one Unicode form; None if nothing is left, or only templates."""
    return meaning_of(decoded(text, plus=" "))


@lru_cache(maxsize=100_000)
def value_of_column(text: str) -> str | None:
    """The same for a column. Its plus signs are spaces only if it is percent-encoded."""
    return meaning_of(decoded(text, plus=" ") if ESCAPE.search(text) else text)


def tag_of(column: str | None, parameters: list[str] | tuple[()]) -> str | None:
    """The row's own tag, else the first parameter that has a value."""
    own = value_of_column(column) if column else None
    return own or next(filter(None, map(value_of, parameters)), None)


def decoded(text: str, plus: str) -> str:
    """The text percent-decoded as UTF-8, else as Windows-1251; as written if it is neither or an escape is broken."""
    if "%" not in text:
        return text.replace("+", plus)
    if BROKEN_ESCAPE.search(text):
        return text
    try:
        characters = ESCAPE.sub(decoded_escape, text.replace("+", plus))
        return characters.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return text


def decoded_escape(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    encoded = unquote_to_bytes(escape[2])
    try:
        return encoded.decode("utf-8")
    except UnicodeDecodeError:
        return encoded.decode("windows-1251")


def meaning_of(text: str) -> str | None:
    """The text in one Unicode form; None if it is empty, or has no letter or digit beside its templates."""
    text = trimmed(unicodedata.normalize("NFC", text))
    if not SIGN_OF_TEMPLATE.search(text):
        return text or None
    beside_templates = TEMPLATE.sub("", text)
    is_template = beside_templates != text and not re.search(r"[^\W_]", beside_templates)
    return None if is_template else text or None


def trimmed(text: str) -> str:
    return text.strip(WHITE_SPACE + INVISIBLE)


# Step 2: one tag of the two


def complete_half(source: str | None, medium: str | None, click_ids: list[ClickId]) -> tuple[str, str, str]:
    """The pair of the first click id that agrees with the tag that is there; without one, the other half is `(not set)`."""
    tagged = (source or medium or "").lower()
    for click_id in click_ids:
        if tagged == (click_id.source if source else click_id.medium).lower():
            return click_id.source, click_id.medium, "tags"
    return source or NOT_SET, medium or NOT_SET, "tags"


# Step 3: neither tagged


def name_by_referrer(origin: Origin, landing_page: str, seeds: Seeds) -> tuple[str, str, str] | None:
    """What the referring host stands for; None if there is no host, or it is the company's own site or ignored."""
    host = host_of(origin.referrer) if origin.referrer else None
    referrer = known_referrer(host, seeds)
    if host and referrer and referrer.kind == "copy":
        host = original_of_copy(host)
        referrer = known_referrer(host, seeds)
    if host is None or is_own(host, origin.widget_id, landing_page, seeds) or (referrer and referrer.kind not in KINDS):
        return None
    return (referrer.name, *KINDS[referrer.kind]) if referrer else (host, "referral", "referring_site")


@lru_cache(maxsize=100_000)
def host_of(url: str) -> str | None:
    """The host of a URL, in Unicode and lower case; None if it has none that is on the Internet.

    Links of Telegram's own scheme, `tg:`, have the host t.me.
    """
    url = cleaned_url(url)
    scheme = SCHEME.match(url)
    if scheme:
        if scheme[1].lower() not in SCHEMES_WITH_HOSTS:
            return None
        if scheme[1].lower() == "tg":
            return "t.me"
        url = "https://" + url[scheme.end() :]
    elif url.startswith(("//", "\\\\")):
        url = "https://" + url[2:]
    elif BARE_HOST.fullmatch(url):
        url = "https://" + url
    else:
        return None
    try:
        host = ada_url.URL(url).hostname.strip(".").lower()
    except ValueError:
        return None
    return readable_host(host) if is_public(host) else None


def is_public(host: str) -> bool:
    """Whether the host is on the Internet: no private address, and no name of a local network."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        return "." in host and not host.endswith(tuple(f".{domain}" for domain in PRIVATE_DOMAINS))


def readable_host(host: str) -> str:
    """The host with its labels in Unicode. A label that isn't IDNA stays as it is."""
    return ".".join(readable_label(label) if label.startswith("xn--") else label for label in host.split("."))


def readable_label(label: str) -> str:
    try:
        return idna.decode(label)
    except idna.IDNAError:
        return label


def known_referrer(host: str | None, seeds: Seeds) -> Referrer | None:
    """The longest entry that stands for the host.

    An entry stands for its host and all subdomains; a search engine's for that host only, with or without `www.` or `m.`.
    """
    labels = host.split(".") if host else []
    for start in range(max(len(labels) - 20, 0), len(labels)):
        name = ".".join(labels[start:])
        below = labels[:start]
        referrer = seeds.referrers.get(name)
        if below and f"*.{name}" in seeds.referrers:
            return seeds.referrers[f"*.{name}"]
        if referrer and (referrer.kind != "search" or below in ([], ["www"], ["m"])):
            return referrer
    return None


def original_of_copy(host: str) -> str | None:
    """The host of the page that a translator or cache copied: the first label of the copy's host, with dots written as hyphens."""
    label = host.partition(".")[0]
    return host_of(label.replace("--", "\0").replace("-", ".").replace("\0", "-"))


def is_own(host: str, widget_id: str | None, landing_page: str, seeds: Seeds) -> bool:
    """Whether the host is one of the brand's own sites, or under the registrable domain of one.

    Where the widget's site isn't known, the landing page's host is an own site too.
    """
    own = seeds.hosts.get(seeds.brands.get(widget_id or "", "default"), set())
    if widget_id not in seeds.widgets_with_site:
        own = own | {host_of(landing_page)} - {None}
    domain = registrable_domain(host)
    return host in own or (domain is not None and domain in map(registrable_domain, own))


@lru_cache(maxsize=100_000)
def registrable_domain(host: str) -> str | None:
    """The part of a host that somebody registered: one label more than its public suffix. None for an address."""
    is_address = ":" in host or host.rpartition(".")[2].isdigit()
    return None if is_address else public_suffixes().privatesuffix(host)


@cache
def public_suffixes() -> publicsuffixlist.PublicSuffixList:
    return publicsuffixlist.PublicSuffixList()


# The model


def named_origins(rows: pyarrow.Table, *seeds: pyarrow.Table) -> pyarrow.Table:
    """One row per origin, which is given as JSON."""
    origins = rows.column("origin")
    known = read_seeds(*seeds) if len(origins) else None
    slices = [origins.slice(start, ORIGINS_AT_ONCE) for start in range(0, len(origins), ORIGINS_AT_ONCE)]
    nothing = pyarrow.table({column: texts(()) for column in COLUMNS})
    return pyarrow.concat_tables([nothing, *(named(some, known) for some in slices)])


def named(origins: pyarrow.ChunkedArray, seeds: Seeds) -> pyarrow.Table:
    names = [name_channel(Origin(*json.loads(origin)), seeds) for origin in origins.to_pylist()]
    columns = [origins, *map(texts, zip(*names, strict=True))]
    return pyarrow.table(dict(zip(COLUMNS, columns, strict=True)))


def texts(values: Sequence[str | None]) -> pyarrow.Array:
    """An Arrow array of texts. `pyarrow.array` would import pandas, which takes longer than this model in a small build."""
    builder = pyarrow.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def read_seeds(widgets, click_ids, search_engines, referrers) -> Seeds:
    """Takes the seeds as Arrow tables."""
    sites = widgets.select(Site._fields).to_pylist()
    parameters = click_ids.sort_by("click_id_order").select(ClickId._fields).to_pylist()
    return Seeds(
        [Site(**site) for site in sites],
        [ClickId(**click_id | {"parameter": click_id["parameter"].lower()}) for click_id in parameters],
        {
            host["host"]: Referrer(host["kind"], host["name"])
            for hosts in (search_engines, referrers)  # of a host in both, `referrers` says what it is
            for host in hosts.to_pylist()
        },
    )


def model(dbt, session):
    dbt.config(materialized="incremental", incremental_strategy="append")
    seeds = [dbt.ref("widgets"), dbt.ref("click_ids"), dbt.ref("search_engines"), dbt.ref("referrers")]
    origins = dbt.ref("int_touch_values").select("origin").distinct()
    if dbt.is_incremental:
        # Look the known ones up first: an anti join with the whole table would compare with every row.
        known = session.table(str(dbt.this)).join(origins, "origin", how="semi")
        origins = origins.join(known, "origin", how="anti")
    return {"rows": origins, "some_at_once": named_origins, "with": seeds}
