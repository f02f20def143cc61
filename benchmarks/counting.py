"""Counting alone: the project's models, as dbt compiles them, beside a plain join of contacts and touches."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.dbt_runner import build_of, run_dbt
from pipeline.settings import PROJECT_DIR, Rules

# In the order of their refs. Together they make each contact's counts, history and channels from typed touches of known clients.
MODELS = ("int_client_touches", "int_contact_touch_ranges", "int_contact_touches", "int_contact_channels")
# The same by pairs, as SQL files of a folder, in order.
PAIR_JOINS = ("pairs", "counts", "histories", "channels")
OWN, PEER = "the project's models", "pair join"
# What both give: its columns, and the table that holds it.
OUTPUTS = {
    "contact_id, touch_count, later_touch_count": {OWN: "int_contact_touch_ranges", PEER: "counts"},
    "contact_id, touch_rank, touch_id, channel": {OWN: "int_contact_touches", PEER: "histories"},
    "contact_id, channel, is_opening, is_assisting, is_closing": {OWN: "int_contact_channels", PEER: "channels"},
}
OVERSIZED = {"oversized_touches": 20_000, "oversized_contacts": 1_000}

Phases = dict[str, dict[str, float]]


def statements() -> dict[str, dict[str, str]]:
    """By way of counting: the statements by the tables or views that they create."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = build_of(run_dbt(Path(folder), ["compile", "--select", *MODELS], Rules.read()))
    if not compiled.is_passed:
        raise SystemExit(compiled.explain())
    queries = {node.name: node.sql for node in compiled.nodes if node.sql}
    pair_joins = Path(__file__).with_name("pair_joins")
    return {
        OWN: {model: f"create table intermediate.{model} as ({queries[model]})" for model in MODELS},
        PEER: {name: (pair_joins / f"{name}.sql").read_text("utf-8") for name in PAIR_JOINS},
    }


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
    """What each way took, one after the other; None where the limit was reached. Raises SystemExit where outputs differ."""
    phases_by_way: dict[str, list[Phases | None]] = {OWN: [], PEER: []}
    statements_by_way = statements()
    for _ in range(runs):
        folders = {way: inputs.with_name(str(position)) for position, way in enumerate(phases_by_way)}
        for way, folder in folders.items():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            task = {
                "statements": statements_by_way[way],
                "outputs": [f"select {columns} from intermediate.{tables[way]}" for columns, tables in OUTPUTS.items()],
                "history_touch_limit": Rules.read().history_touch_limit,
            }
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.measured_counting", str(inputs), str(folder), str(limit_seconds)],
                cwd=PROJECT_DIR, env=os.environ, input=json.dumps(task), stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            phases_by_way[way].append(json.loads(done.stdout))
        if all(phases[-1] for phases in phases_by_way.values()):
            _check_same(folders[OWN], folders[PEER])
    return phases_by_way


def _check_same(own: Path, peer: Path) -> None:
    with duckdb.connect() as connection:
        for file in sorted(own.iterdir()):
            one, other = (f"from read_parquet({sql.literal(folder / file.name)})" for folder in (own, peer))
            different = sql.count(connection, f"(({one} except all {other}) union all ({other} except all {one}))")
            if different:
                columns = list(OUTPUTS)[int(file.stem)]
                raise SystemExit(f"The two ways of counting differ in {different:,} rows of {columns}.")


def total_of(phases: Phases, figure: str) -> float:
    return sum(phase[figure] for phase in phases.values())


def median_run(runs: list[Phases | None]) -> Phases | None:
    """The run that took the middle of the CPU seconds; None if a run had no result."""
    finished = [phases for phases in runs if phases is not None]
    if len(finished) < len(runs):
        return None
    return sorted(finished, key=lambda phases: total_of(phases, "cpu_seconds"))[len(finished) // 2]
