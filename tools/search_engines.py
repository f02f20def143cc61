"""Writes seeds/search_engines.csv from the facts in tools/search_engines.yml: run it after changing them.

    python tools/search_engines.py

One row per host: `host`, `kind`, `name`, as in the seed `referrers`, whose rows go before these.
"""

import csv
import sys
from pathlib import Path
from typing import TextIO

import yaml

PROJECT_DIR = Path(__file__).resolve().parent.parent
FACTS = PROJECT_DIR / "tools" / "search_engines.yml"
SEED = PROJECT_DIR / "seeds" / "search_engines.csv"


def rows() -> list[tuple[str, str, str]]:
    """Host, kind and name of all hosts, engine by engine and domain by domain."""
    return [
        (f"{label}.{domain}" if label else domain, kind, name)
        for engine, facts in yaml.safe_load(FACTS.read_text("utf-8")).items()
        for domain in facts["domains"].split()
        for kind, name, labels in (
            ("search", engine, ["", *facts["search"]]),
            *(("search", service, labels) for service, labels in facts["services"].items()),
            ("advertising", engine, facts["advertising"]),
            ("ignored", "", facts["ignored"]),
        )
        for label in labels
    ]


def write(file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("host", "kind", "name"))
    writer.writerows(rows())


if __name__ == "__main__":
    with open(sys.argv[1] if len(sys.argv) > 1 else SEED, "w", encoding="utf-8", newline="") as seed:
        write(seed)
