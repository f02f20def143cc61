"""What users of any of these tools take from the same libraries: phones by phonenumbers, clients by scipy."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import phonenumbers
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SEEDS = Path(__file__).resolve().parents[2] / "seeds"


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
    """The client of each record. A pair of a record and an identifier says that the record carries it; both are numbers from 0."""
    node_count = record_count + int(identifiers.max(initial=-1)) + 1
    edges = (numpy.ones(len(records), numpy.int8), (records, identifiers + record_count))
    _, components = connected_components(coo_matrix(edges, (node_count, node_count)), directed=False)
    return components[:record_count]


def run(write_journal: Callable[[Path, Path, int], None]) -> None:
    landing, out, threads = sys.argv[1:]
    Path(out).mkdir(parents=True)
    write_journal(Path(landing), Path(out), int(threads))
