"""One fetch of days from PostgreSQL in a process of its own; prints what it took as JSON."""

import json
import sys
from dataclasses import asdict
from datetime import date

from benchmarks.measured_load import Phase, measured
from pipeline.settings import Rules, Settings
from pipeline.warehouse import Warehouse
from sources.fetching import days_between, fetch
from sources.postgres import Postgres


def run(query: str, first: str, last: str) -> None:
    settings, rules = Settings.read(), Rules.read()
    warehouse = Warehouse(settings.warehouse_dir)
    tables = {"touches": {"query": query}}
    source = Postgres.model_validate(
        {"kind": "postgres", "name": "benchmark", "connection_variable": "BENCHMARK_ADDRESS", "tables": tables}
    )
    days = days_between(date.fromisoformat(first), date.fromisoformat(last))
    phases: dict[str, Phase] = {}
    with warehouse.locked("benchmark"), measured(phases, "fetch"):
        results = list(fetch(source, days, rules, settings, warehouse))
    for fetched in results:
        if fetched.outcome != "delivered":
            sys.exit(f"{fetched.day} is {fetched.outcome}: {fetched.problem}")
    print(json.dumps(asdict(phases["fetch"]) | {"rows": sum(fetched.row_count for fetched in results)}))


if __name__ == "__main__":
    run(*sys.argv[1:])
