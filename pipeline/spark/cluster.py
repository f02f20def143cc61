"""A small cluster on this machine, to try things out: a standalone master and workers, as processes of their own.

`python -m pipeline.spark.cluster start [WORKERS]` and `stop`, or `make cluster` and `make cluster-stop`. This doesn't manage real clusters.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pyspark

from pipeline.settings import SettingsError
from pipeline.spark.jars import checked_jars
from pipeline.spark.settings import (
    CLUSTER,
    CLUSTER_DIR,
    CLUSTER_HOST,
    CLUSTER_PORT,
    WORKER_MEMORY,
    SparkSettings,
    find_java,
    is_cluster_running,
)
from pipeline.wording import counted

PAGE_PORT = 8081
WORKERS = 2
START_SECONDS = 60
PROCESS = b"org.apache.spark.deploy"  # in the command line of each


def start(workers: int = WORKERS) -> None:
    """Raises SettingsError if Java or a library is missing, or the processes don't come up."""
    settings = SparkSettings.read()
    checked_jars(find_java(), settings.jars_dir, settings.repository)
    if is_cluster_running():
        print(f"The cluster is running already: {page_url()}")
        return
    stop()  # what outlived its master
    CLUSTER_DIR.mkdir(parents=True, exist_ok=True)
    _launch(
        "master",
        *(
            "org.apache.spark.deploy.master.Master",
            "--host",
            CLUSTER_HOST,
            "--port",
            str(CLUSTER_PORT),
            "--webui-port",
            str(PAGE_PORT),
        ),
    )
    for number in range(1, workers + 1):
        _launch(
            f"worker-{number}",
            *(
                "org.apache.spark.deploy.worker.Worker",
                "--host",
                CLUSTER_HOST,
                "--cores",
                "1",
                "--memory",
                WORKER_MEMORY,
            ),
            *("--webui-port", str(PAGE_PORT + number), "--work-dir", str(CLUSTER_DIR / "work"), CLUSTER),
        )
    _wait_for_workers(workers)
    print(f"A master and {counted(workers, 'worker')} of one core and {WORKER_MEMORY} are running: {page_url()}")
    print("make run ENGINE=spark builds on them; make cluster-stop ends them")


def stop() -> None:
    for file in sorted(CLUSTER_DIR.glob("*.pid"), reverse=True):  # workers first
        process = int(file.read_text() or 0)
        with suppress(OSError):  # it has ended
            # After a restart of the machine, another process may have the number.
            if PROCESS in Path(f"/proc/{process}/cmdline").read_bytes():
                os.killpg(process, signal.SIGTERM)
        file.unlink()


def page_url() -> str:
    return f"http://{CLUSTER_HOST}:{PAGE_PORT}"


def _launch(name: str, *arguments: str) -> None:
    home = str(Path(pyspark.__file__).parent)
    with open(CLUSTER_DIR / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            [f"{home}/bin/spark-class", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ
            | {
                "SPARK_HOME": home,
                "SPARK_LOCAL_IP": CLUSTER_HOST,
                "SPARK_DAEMON_MEMORY": "256m",
                # Or logs and libraries of every build stay.
                "SPARK_WORKER_OPTS": "-Dspark.worker.cleanup.enabled=true",
                "PYSPARK_PYTHON": sys.executable,
            },
        )
    (CLUSTER_DIR / f"{name}.pid").write_text(str(process.pid))


def _wait_for_workers(workers: int) -> None:
    directly = build_opener(ProxyHandler({}))
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        with suppress(OSError), directly.open(f"{page_url()}/json/", timeout=2) as answer:
            if answer.read().count(b'"ALIVE"') > workers:  # the master is, too
                return
        time.sleep(0.5)
    stop()
    raise SettingsError(f"The cluster did not come up in {START_SECONDS} seconds: see {CLUSTER_DIR}/master.log.")


def main() -> None:
    try:
        match sys.argv[1:]:
            case ["start"]:
                start()
            case ["start", workers] if workers.isdecimal() and int(workers):
                start(int(workers))
            case ["stop"]:
                was_running = is_cluster_running()
                stop()
                print("The cluster is stopped." if was_running else "No cluster was running.")
            case _:
                raise SystemExit("Write start, start with a number of workers, or stop.")
    except SettingsError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
