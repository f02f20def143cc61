"""One way of counting in a process of its own: runs statements on inputs in memory, and prints what each took as JSON.

`python -m benchmarks.measured_counting INPUTS FOLDER SECONDS`, with a task on its input, as JSON: `statements` by the tables that they
create, queries of the `outputs` to leave in the folder as 0.parquet, 1.parquet and so on, and the `history_touch_limit`. Prints null
when the seconds have passed.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from threading import Timer

import duckdb

from benchmarks.measured_load import Phase, measured
from pipeline import sql
from pipeline.settings import Settings


def run(inputs: str, folder: Path, limit_seconds: float) -> None:
    task = json.load(sys.stdin)
    phases: dict[str, Phase] = {}
    with duckdb.connect(config={"threads": Settings.read().threads}) as connection:
        # The models name their relations in full, as in the warehouse.
        connection.execute(f"attach ':memory:' as warehouse; attach {sql.literal(inputs)} as inputs (read_only)")
        connection.execute("copy from database inputs to warehouse; use warehouse; set TimeZone = 'UTC'")
        connection.execute(f"set variable history_touch_limit = {int(task['history_touch_limit'])}")
        timer = Timer(limit_seconds, connection.interrupt)
        timer.start()
        try:
            for table, statement in task["statements"].items():
                with measured(phases, table):
                    connection.execute(statement)
        except duckdb.InterruptException:
            print("null")
            return
        finally:
            timer.cancel()
        for number, output in enumerate(task["outputs"]):
            connection.execute(f"copy ({output}) to {sql.literal(folder / f'{number}.parquet')} (format parquet)")
    print(json.dumps({table: asdict(phase) for table, phase in phases.items()}))


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
