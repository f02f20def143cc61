"""Peers beside the project: which there are, what one costs, and whether it finds the same journal."""

import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import duckdb

from benchmarks.costs import Cost, cost_of
from benchmarks.peers import JOURNAL_COLUMNS
from pipeline import sql
from pipeline.settings import PROJECT_DIR, Settings
from pipeline.wording import counted

# By what the results call them: the module, and the package that it needs and whose version they name.
PEERS = {
    "by hand: DuckDB SQL": ("duckdb_pairs", "duckdb"),
    "by hand: Polars": ("polars_pairs", "polars"),
    "by hand: ClickHouse SQL (chDB)": ("chdb_pairs", "chdb"),
    "by hand: PySpark": ("pyspark_pairs", "pyspark"),
    "by shape: touches ranked per contact": ("duckdb_ranked", "duckdb"),
    "by shape: path strings": ("duckdb_paths", "duckdb"),
}
NEEDS_JAVA = "pyspark"
PYTHON = PROJECT_DIR / ".venv-benchmarks/bin/python"


@dataclass
class PeerRuns:
    """The peers that this machine can run, the notes for the results, and the peers whose journal differs."""

    notes: list[str] = field(default_factory=list)
    rejected: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not PYTHON.exists():
            raise SystemExit(
                "Peers need an environment of their own: `make bench` sets it up. Or leave them out: --no-peers."
            )
        self.modules = {what: module for what, (module, package) in PEERS.items() if self._can_run(what, package)}

    def _can_run(self, what: str, package: str) -> bool:
        has_java = package != NEEDS_JAVA or shutil.which("java") is not None
        if not has_java:
            self.notes.append(f"Left out: {what}, as this machine has no Java.")
        return has_java

    @cached_property
    def versions(self) -> dict[str, str]:
        packages = sorted({package for _, package in PEERS.values()})
        code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
        printed = subprocess.run([PYTHON, "-c", code, *packages], check=True, capture_output=True, text=True).stdout
        return dict(zip(packages, printed.split(), strict=True))

    def run(self, what: str, landing: Path, out: Path, warehouse: Path) -> Cost:
        """One run, whose journal is then compared with the one that the project has published."""
        shutil.rmtree(out, ignore_errors=True)
        threads = str(Settings.read().threads)
        command = [str(PYTHON), "-m", f"benchmarks.peers.{self.modules[what]}", str(landing), str(out), threads]
        cost = cost_of(command, POLARS_MAX_THREADS=threads)
        count = differing_rows(warehouse / "marts.duckdb", out)
        if count and what not in self.rejected:
            self.rejected.add(what)
            self.notes.append(
                f"No figures for {what}: its journal differs from the project's in {counted(count, 'row')}."
            )
        return cost


def differing_rows(marts: Path, out: Path) -> int:
    """How many contacts a peer lacks, adds, or judges otherwise."""
    columns = ", ".join(JOURNAL_COLUMNS)
    with duckdb.connect() as connection:
        sql.attach(connection, marts, "published")
        found = f"select {columns} from read_parquet({sql.literal(out / '*.parquet')})"
        expected = f"select {columns} from published.journal"
        differing = (
            f"(from ({found}) except all from ({expected})) union all (from ({expected}) except all from ({found}))"
        )
        return int(sql.value(connection, f"select count(distinct contact_id) from ({differing})"))
