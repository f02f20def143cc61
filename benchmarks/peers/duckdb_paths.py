"""The journal in DuckDB's SQL, counted in the way of tools that take path strings: joined per contact, then split again."""

from pathlib import Path

from benchmarks.peers import duckdb_pairs
from benchmarks.peers.shared import run


def write_journal(landing: Path, out: Path, threads: int) -> None:
    duckdb_pairs.write_journal(landing, out, threads, "paths.sql")


if __name__ == "__main__":
    run(write_journal)
