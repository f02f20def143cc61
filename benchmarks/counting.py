"""Counting alone: the project's models, as dbt compiles them, beside a plain join of contacts and touches."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from pipeline import sql
from pipeline.dbt_runner import build_of, run_dbt
from pipeline.settings import PROJECT_DIR, Rules

# In the order of their refs. Together they make each contact's counts from typed touches of known clients.
MODELS = ("int_client_touches", "int_contact_touch_ranges", "int_contact_channels", "int_contact_verdicts")
OVERSIZED = {"oversized_touches": 20_000, "oversized_contacts": 1_000}
WAYS = ("the project's models", "pair join")

Phases = dict[str, dict[str, float]]


def statements() -> dict[str, dict[str, str]]:
    """By way of counting: the statements by the tables that they fill."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = build_of(run_dbt(Path(folder), ["compile", "--select", *MODELS], Rules.read()))
    if not compiled.is_passed:
        raise SystemExit(compiled.explain())
    by_model = {node.name: node.sql for node in compiled.nodes if node.sql}
    pairs = Path(__file__).with_name("counting_pairs.sql").read_text("utf-8")
    return {WAYS[0]: {model: by_model[model] for model in MODELS}, WAYS[1]: {"pairs": pairs}}


def prepared_inputs(folder: Path, touches: int, clients: int, oversized: int) -> Path:
    """Typed touches and contacts in a database of their own, made anew every time."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = folder / "inputs.duckdb"
    inputs.unlink(missing_ok=True)
    with duckdb.connect(str(inputs)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, value in {"touches": touches, "clients": clients, "oversized": oversized, **OVERSIZED}.items():
            connection.execute(f"set variable {name} = {value}::bigint")
        connection.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))
    return inputs


def counted_in_turn(inputs: Path, runs: int, limit_seconds: float) -> dict[str, list[Phases | None]]:
    """What each way took, one after the other; None where the limit was reached. Raises SystemExit where results differ."""
    taken: dict[str, list[Phases | None]] = {way: [] for way in WAYS}
    of_ways = statements()
    for _ in range(runs):
        outs = {way: inputs.with_name(f"{position}.parquet") for position, way in enumerate(WAYS)}
        for way, out in outs.items():
            out.unlink(missing_ok=True)
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.measured_counting", str(inputs), str(out), str(limit_seconds)],
                cwd=PROJECT_DIR, env=os.environ, input=json.dumps(of_ways[way]), stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            taken[way].append(json.loads(done.stdout))
        if all(out.exists() for out in outs.values()):
            _check_same(*outs.values())
    return taken


def _check_same(first: Path, second: Path) -> None:
    one, other = (f"from read_parquet({sql.literal(file)})" for file in (first, second))
    with duckdb.connect() as connection:
        different = sql.count(connection, f"(({one} except all {other}) union all ({other} except all {one}))")
    if different:
        raise SystemExit(f"The two ways of counting differ in {different:,} rows.")


def whole(phases: Phases, figure: str) -> float:
    return sum(phase[figure] for phase in phases.values())


def figures(of_way: list[Phases | None]) -> dict[str, Any] | None:
    """The run that took the middle of the CPU seconds; None if a run had no result."""
    finished = [phases for phases in of_way if phases is not None]
    if len(finished) < len(of_way):
        return None
    return sorted(finished, key=lambda phases: whole(phases, "cpu_seconds"))[len(finished) // 2]
