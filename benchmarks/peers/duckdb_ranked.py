"""The journal in DuckDB's SQL, counted in the way of dbt's attribution packages: all touches ranked per contact."""

from pathlib import Path

from benchmarks.peers import duckdb_pairs
from benchmarks.peers.shared import run


def write_journal(landing: Path, out: Path, threads: int) -> None:
    duckdb_pairs.write_journal(landing, out, threads, "ranked.sql")


if __name__ == "__main__":
    run(write_journal)
