"""One way of counting in a process of its own: runs statements on inputs in memory, and prints what each took as JSON.

`python -m benchmarks.measured_counting INPUTS OUT SECONDS`, with the statements by table on its input, as JSON.
"""

import json
import sys
from dataclasses import asdict
from threading import Timer

import duckdb

from benchmarks.measured_load import Phase, measured
from pipeline import sql
from pipeline.settings import Settings


def run(inputs: str, out: str, limit_seconds: float) -> None:
    statements: dict[str, str] = json.load(sys.stdin)
    phases: dict[str, Phase] = {}
    with duckdb.connect(config={"threads": Settings.read().threads}) as connection:
        # The models name their relations in full, as in the warehouse.
        connection.execute(f"attach ':memory:' as warehouse; attach {sql.literal(inputs)} as inputs (read_only)")
        connection.execute("copy from database inputs to warehouse; use warehouse; set TimeZone = 'UTC'")
        timer = Timer(limit_seconds, connection.interrupt)
        timer.start()
        try:
            for table, statement in statements.items():
                with measured(phases, table):
                    connection.execute(f"create table intermediate.{table} as ({statement})")
        except duckdb.InterruptException:
            print("null")
            return
        finally:
            timer.cancel()
        counts = f"select contact_id, touch_count, channel_count from intermediate.{list(statements)[-1]}"
        connection.execute(f"copy ({counts}) to {sql.literal(out)} (format parquet)")
    print(json.dumps({table: asdict(phase) for table, phase in phases.items()}))


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], float(sys.argv[3]))
