"""What users of any of these tools write in Python: phones by phonenumbers, clients by scipy, channels of distinct origins."""

import csv
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_plus

import numpy
import phonenumbers
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SEEDS = Path(__file__).resolve().parents[2] / "seeds"

ID_KINDS = ("visitor_id", "yandex_client_id", "google_client_id", "crm_client_id")
CONTACT_TYPES = ("call", "form", "callback", "email", "chat")
# A touch's query by this pattern, and its values away by the next: what is left is the same for many touches.
QUERY, VALUES = r"^[^?#]*\?([^#]*)", r"=[^&]+"
PAGE_TAG = r"(?i)^[^?#]*\?(?:[^#]*&)?{}=([^&#]*)"
HOST = r"(?i)^https?://([^/:?#]+)"
HISTORY_TOUCHES = 200


def seed(name: str) -> list[dict[str, str]]:
    with open(SEEDS / f"{name}.csv", encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))


def phone_number(spelling: str) -> str | None:
    """A phone in E.164, or None if it isn't a valid number."""
    try:
        number = phonenumbers.parse(spelling, "RU")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def clients_of(records: numpy.ndarray, identifiers: numpy.ndarray, record_count: int) -> numpy.ndarray:
    """The client of each record. A record and an identifier in the same place are tied; both are numbers from 0."""
    node_count = record_count + int(identifiers.max(initial=-1)) + 1
    edges = (numpy.ones(len(records), numpy.int8), (records, identifiers + record_count))
    _, components = connected_components(coo_matrix(edges, (node_count, node_count)), directed=False)
    return components[:record_count]


class Channels:
    """R11 as far as the demo needs it, for distinct origins."""

    def __init__(self) -> None:
        self.click_ids = seed("click_ids")
        self.rules = [
            rule for rule in seed("channel_rules") if rule["is_enabled"] == "true" and rule["match"] == "exact"
        ]
        self.hosts = {entry["host"]: entry for name in ("search_engines", "referrers") for entry in seed(name)}
        self.own_hosts: dict[str, list[str]] = {}
        for widget in seed("widgets"):
            self.own_hosts.setdefault(widget["brand_id"], []).extend(widget["site_host"].split())

    def channel(
        self, brand_id: str, tag_source: str | None, tag_medium: str | None,
        page_source: str | None, page_medium: str | None, parameters: str | None, host: str | None,
    ) -> str:  # fmt: skip
        """The channel of columns, tags of the landing page, the query without values, and the referrer's host."""
        source = (tag_source or "").strip() or unquote_plus(page_source or "").strip()
        medium = (tag_medium or "").strip() or unquote_plus(page_medium or "").strip()
        if source or medium:
            source, medium = source.lower() or "(not set)", medium.lower() or "(not set)"
        else:
            source, medium = self._untagged(brand_id, set(re.findall(r"([^&=]+)=.", (parameters or "").lower())), host)
        for rule in self.rules:
            if rule["source"] in ("", source) and rule["medium"] in ("", medium):
                return rule["channel"]
        return f"{source} / {medium}"

    def _untagged(self, brand_id: str, parameters: set[str], host: str | None) -> tuple[str, str]:
        clicks = [click_id for click_id in self.click_ids if click_id["parameter"] in parameters]
        advertising = [click_id for click_id in clicks if click_id["is_advertising"] == "true"]
        if advertising:
            return advertising[0]["source"], advertising[0]["medium"]
        referral = self._referral(host.lower(), brand_id) if host else None
        if referral:
            return referral
        return (clicks[0]["source"], clicks[0]["medium"]) if clicks else ("(direct)", "(none)")

    def _referral(self, host: str, brand_id: str) -> tuple[str, str] | None:
        if any(f".{host}".endswith(f".{own}") for own in self.own_hosts.get(brand_id, ())):
            return None
        known = self._known(host)
        if known is None:
            return host, "referral"
        medium = {"advertising": "cpc", "search": "organic", "social": "social"}.get(known["kind"])
        return (known["name"], medium) if medium else None

    def _known(self, host: str) -> dict[str, str] | None:
        """The longest entry that fits. Those of search engines stand for no other subdomains than www and m."""
        labels = host.split(".")
        for position in range(len(labels)):
            entry = self.hosts.get(".".join(labels[position:]))
            if entry and (entry["kind"] != "search" or labels[:position] in ([], ["www"], ["m"])):
                return entry
            entry = self.hosts.get(".".join(["*", *labels[position + 1 :]]))
            if entry:
                return entry
        return None


def run(write_journal: Callable[[Path, Path, int], None]) -> None:
    landing, out, threads = sys.argv[1:]
    Path(out).mkdir(parents=True)
    write_journal(Path(landing), Path(out), int(threads))
