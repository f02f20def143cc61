"""`multichannel load` without Dagster around it, phase by phase; prints what each took as JSON.

A process of its own for every load, so that peaks of memory and warm caches are its own.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from pipeline.building import build
from pipeline.contracts import delivered_tables
from pipeline.engines import engine_of
from pipeline.landing import scan
from pipeline.ledger import known_signatures
from pipeline.loading import pending
from pipeline.publishing import Publications
from pipeline.settings import Rules, Settings
from pipeline.updating import load_days
from pipeline.warehouse import Warehouse


@dataclass(frozen=True)
class Phase:
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


@contextmanager
def measured(phases: dict[str, Phase], name: str) -> Iterator[None]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    cpu, wall = _cpu_seconds(), time.monotonic()
    yield
    phases[name] = Phase(time.monotonic() - wall, _cpu_seconds() - cpu, _peak_bytes())


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def run() -> None:
    rules = Rules.read()
    settings = Settings.read()
    warehouse = Warehouse(settings.warehouse_dir)
    phases: dict[str, Phase] = {}
    with warehouse.locked("benchmark"):
        with measured(phases, "load"):
            _load(warehouse, rules, settings)
        with measured(phases, "build"):
            outcome = build(warehouse, rules)
        if not outcome.is_passed:
            sys.exit(f"the build failed:\n{outcome.explain()}")
        with measured(phases, "publish"):
            Publications(warehouse).publish(rules)
        history_rows = engine_of(warehouse).rows("select count(*) from intermediate.int_contact_touches")[0][0]
    report = {
        "phases": {name: asdict(phase) for name, phase in phases.items()},
        "peak_bytes": max(phase.peak_bytes for phase in phases.values()),
        "affected_clients": outcome.affected_clients,
        "history_rows": history_rows,
    }
    print(json.dumps(report))


def _load(warehouse: Warehouse, rules: Rules, settings: Settings) -> None:
    # As the command does: what is waiting, then table by table.
    landing = scan(settings.landing_dir, list(delivered_tables()), rules.first_load_day, rules.yesterday())
    with warehouse.connected() as connection:
        waiting = [delivery.day for delivery in pending(landing.deliveries, known_signatures(connection))]
    if not waiting:
        sys.exit("there is nothing to load")
    days = [min(waiting) + timedelta(days=number) for number in range((max(waiting) - min(waiting)).days + 1)]
    for table in delivered_tables():
        for load in load_days(warehouse, table, days, rules):
            if load.outcome == "failed":
                sys.exit(f"{load.table} of {load.day} is {load.outcome}: {load.message}")


if __name__ == "__main__":
    run()
