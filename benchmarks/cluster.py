"""What the workers of a cluster do in a build, from the log of events that Spark writes."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from pipeline.settings import PROJECT_DIR
from pipeline.spark.settings import CLUSTER, is_cluster_running

COMMAND = [sys.executable, "-m", "pipeline.spark.cluster"]
# Of each stage, its longest task beside its median one. Tasks of less than a second say nothing.
FIGURES = """
    with events as (
        from read_json(
            $events, format = 'newline_delimited', maximum_object_size = 100000000,
            columns = {
                'Event': 'varchar', 'Stage ID': 'bigint', 'Stage IDs': 'bigint[]', 'Properties': 'json', 'Task Info': 'json',
                'Task Metrics': 'json'
            }
        )
    ),
    tasks as (
        select
            "Stage ID" as stage,
            cast("Task Info" ->> 'Finish Time' as bigint) - cast("Task Info" ->> 'Launch Time' as bigint) as milliseconds,
            cast("Task Metrics" ->> 'Executor Run Time' as bigint) as run_milliseconds,
            cast("Task Metrics" ->> 'Executor CPU Time' as bigint) as cpu_nanoseconds,
            cast("Task Metrics" ->> 'Peak Execution Memory' as bigint) as execution_bytes,
            cast("Task Metrics" ->> 'Disk Bytes Spilled' as bigint) as spilled_bytes,
            cast("Task Metrics" -> 'Shuffle Write Metrics' ->> 'Shuffle Bytes Written' as bigint) as shuffled_bytes
        from events
        where Event = 'SparkListenerTaskEnd' and "Task Metrics" is not null
    ),
    nodes as (
        select unnest("Stage IDs") as stage, any_value(Properties ->> '$."spark.job.description"') as node
        from events
        where Event = 'SparkListenerJobStart'
        group by stage
    ),
    stages as (
        select stage, any_value(node) as node, count(*) as task_count, max(milliseconds) as longest, median(milliseconds) as middle
        from tasks
        left join nodes using (stage)
        group by stage
    ),
    uneven as (
        select longest / greatest(middle, 1) as ratio, longest, node
        from stages
        where task_count > 1 and longest >= 1000
        order by ratio desc
        limit 1
    )
    select
        sum(run_milliseconds) / 1e3 as executor_seconds,
        sum(cpu_nanoseconds) / 1e9 as executor_cpu_seconds,
        sum(shuffled_bytes) as shuffled_bytes,
        sum(spilled_bytes) as spilled_bytes,
        max(execution_bytes) as largest_execution_bytes,
        (select max(longest) / 1e3 from stages) as longest_task_seconds,
        (select ratio from uneven) as longest_to_median,
        (select longest / 1e3 from uneven) as uneven_task_seconds,
        (select node from uneven) as uneven_node
    from tasks
"""


@contextmanager
def workers(count: int, folder: Path) -> Iterator[dict[str, str]]:
    """Runs a cluster of so many workers with a core each. Gives the environment of builds on it, which log into the folder."""
    if is_cluster_running():
        raise SystemExit("A cluster runs already, which would be measured instead: make cluster-stop")
    logs = folder / "events"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    (folder / "spark-defaults.conf").write_text(
        f"spark.eventLog.enabled true\nspark.eventLog.dir {logs.as_uri()}\n"
        "spark.eventLog.compress false\nspark.eventLog.rolling.enabled false\n"
    )
    subprocess.run([*COMMAND, "start", str(count)], cwd=PROJECT_DIR, check=True, stdout=subprocess.DEVNULL)
    try:
        yield {
            "ENGINE": "spark",
            "SPARK_CONF_DIR": str(folder),
            "SPARK_MASTER": CLUSTER,
            "SPARK_LAKE": "",
            "SPARK_CATALOG_URI": "",
        }
    finally:
        subprocess.run([*COMMAND, "stop"], cwd=PROJECT_DIR, check=True)


def figures_of(folder: Path) -> dict[str, Any]:
    """The figures of the only build that was logged since the last call."""
    (log,) = (folder / "events").glob("app-*")
    with duckdb.connect() as connection:
        cursor = connection.execute(FIGURES, {"events": str(log)})
        names = [column[0] for column in cursor.description or ()]
        figures = dict(zip(names, cursor.fetchone() or (), strict=True))
    log.unlink()
    return figures
