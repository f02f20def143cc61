"""What it costs to fetch touches from PostgreSQL, beside what the server's bare COPY of the same rows costs."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.deliveries import Volume, write_deliveries
from pipeline.contracts import delivered_tables
from pipeline.settings import PROJECT_DIR, Rules

# The same server as the tests have.
sys.path.append(str(PROJECT_DIR / "tests"))
from postgres_server import PostgresServer, a_postgres

TYPES = {
    "touched_at": "timestamptz",
    "visited_pages": "jsonb",
    "time_on_site": "int",
    "visit_duration": "int",
}
COLUMNS = ", ".join(delivered_tables()["touches"].column_names)
OF_A_DAY = f"select {COLUMNS} from touch where touched_at >= {{day_start}} and touched_at < {{day_end}}"
VARIABLE = "BENCHMARK_ADDRESS"
FETCH, COPY, COPY_TO_FILE = "fetch into the landing folder", "COPY into nothing", "COPY into a file"


def measured_fetches(
    folder: Path, volume: Volume, days: Sequence[date], repeats: int
) -> dict[str, list[dict[str, Any]]]:
    """Seconds, CPU seconds and peak memory of each way, one after the other, as often as said."""
    write_deliveries(folder / "deliveries", days, volume)
    taken: dict[str, list[dict[str, Any]]] = {way: [] for way in (FETCH, COPY, COPY_TO_FILE)}
    measured = folder / "measured"
    with ExitStack() as stack:
        server = stack.enter_context(a_postgres())
        stack.callback(shutil.rmtree, measured, ignore_errors=True)
        shutil.rmtree(measured, ignore_errors=True)
        measured.mkdir()
        _fill(server, folder / "deliveries", days)
        # Times of deliveries may lie before their days.
        first, last = (
            f"timestamptz '{day} 00:00 {Rules.read().report_timezone}'"
            for day in (days[0], days[-1] + timedelta(days=1))
        )
        query = OF_A_DAY.replace("{day_start}", first).replace("{day_end}", last)
        copied = f"copy ({query}) to stdout"
        ways = {
            FETCH: lambda: _fetch(server, measured, days),
            COPY: lambda: _copy(server, copied, Path(os.devnull)),
            COPY_TO_FILE: lambda: _copy(server, copied, measured / "copied.tsv"),
        }
        # What has come once is in memory for all of them.
        ways[COPY]()
        for number in range(repeats):
            for way in reversed(ways) if number % 2 else ways:
                os.sync()
                taken[way].append(ways[way]())
    return taken


def _fill(server: PostgresServer, deliveries: Path, days: Sequence[date]) -> None:
    columns = ", ".join(f"{name} {TYPES.get(name, 'text')}" for name in delivered_tables()["touches"].column_names)
    server.give(f"create table touch ({columns})")
    for day in days:
        file = deliveries / "touches" / day.isoformat() / "part-1.csv"
        header = file.open(encoding="utf-8").readline().strip()
        subprocess.run(
            server.psql("--quiet", "--command", f"\\copy touch ({header}) from '{file}' (format csv, header)"),
            check=True,
        )
    server.give("create index on touch (touched_at)")
    server.sql("vacuum analyze touch")


def _fetch(server: PostgresServer, folder: Path, days: Sequence[date]) -> dict[str, Any]:
    """In a process of its own, into an empty folder."""
    shutil.rmtree(folder / "landing", ignore_errors=True)
    places = {"LANDING_DIR": str(folder / "landing"), "WAREHOUSE_DIR": str(folder / "warehouse"), "DAGSTER_HOME": ""}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measured_fetch", OF_A_DAY, str(days[0]), str(days[-1])],
        cwd=PROJECT_DIR, env=os.environ | places | {VARIABLE: server.address()}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit("A measured fetch failed")
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def _copy(server: PostgresServer, statement: str, file: Path) -> dict[str, Any]:
    began = time.monotonic()
    with open(file, "wb") as written:
        subprocess.run(server.psql("--command", statement), stdout=written, check=True)
    return {"wall_seconds": time.monotonic() - began}
