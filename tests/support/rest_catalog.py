"""Runs the REST catalog of Iceberg's own tests as a process: `rest_catalog.py PORT LAKE CLASS_PATH`."""

import glob
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
from postgres_server import free_port
from py4j.java_gateway import JavaGateway

from pipeline.settings import PROJECT_DIR
from pipeline.spark.jars import RESOLVE_SECONDS, repository_settings
from pipeline.spark.settings import SparkSettings, find_java

# The newest version whose test classes are on Maven.
VERSION = "1.11.0"
READY = "the catalog is ready"
START_SECONDS = 60
IVY = f"""
<ivy-module version="2.0" xmlns:m="urn:maven">
  <info organisation="tests" module="rest-catalog"/>
  <configurations><conf name="default"/></configurations>
  <dependencies>
    <dependency org="org.apache.iceberg" name="iceberg-core" rev="{VERSION}" conf="default->compile,master,runtime">
      <artifact name="iceberg-core" type="jar" ext="jar"/>
      <artifact name="iceberg-core" type="test-jar" ext="jar" m:classifier="tests"/>
    </dependency>
    <dependency org="org.xerial" name="sqlite-jdbc" rev="3.46.1.3" conf="default->master"/>
  </dependencies>
</ivy-module>
"""


def serve(port: int, lake: str, class_path: str) -> None:
    """Serves until the standard input ends."""
    gateway = JavaGateway.launch_gateway(
        classpath=class_path, die_on_exit=True, redirect_stdout=sys.stdout, redirect_stderr=sys.stderr
    )
    java = gateway.jvm
    catalog = java.org.apache.iceberg.jdbc.JdbcCatalog()
    catalog.setConf(java.org.apache.hadoop.conf.Configuration())
    options = java.java.util.HashMap()
    options["uri"] = f"jdbc:sqlite:{lake}/rest.db"
    options["jdbc.schema-version"] = "V1"
    options["jdbc.busy_timeout"] = "60000"
    options["warehouse"] = lake
    options["io-impl"] = "org.apache.iceberg.hadoop.HadoopFileIO"
    catalog.initialize("rest", options)
    servlet = java.org.apache.iceberg.rest.RESTCatalogServlet(java.org.apache.iceberg.rest.RESTCatalogAdapter(catalog))
    jetty = java.org.sparkproject.jetty
    handler = jetty.servlet.ServletContextHandler(0)
    handler.addServlet(jetty.servlet.ServletHolder(servlet), "/*")
    server = jetty.server.Server(port)
    server.setHandler(handler)
    server.start()
    print(READY, flush=True)
    sys.stdin.read()


def _libraries(folder: Path) -> str:
    """The class path of the server, fetched from Maven. Spark brings Jetty."""
    of_spark = f"{Path(pyspark.__file__).parent}/jars/*"
    description, settings = folder / "ivy.xml", folder / "settings.xml"
    description.write_text(IVY, "utf-8")
    command = [
        *(find_java(), "-cp", of_spark, "org.apache.ivy.Main", "-m2compatible"),
        *("-ivy", str(description), "-cache", str(folder / "cache")),
        *("-retrieve", f"{folder}/[artifact]-[revision](-[classifier]).[ext]"),
    ]
    if repository := SparkSettings.read().repository:
        settings.write_text(repository_settings(repository), "utf-8")
        command += ["-settings", str(settings)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RESOLVE_SECONDS)
    fetched = [file for file in glob.glob(f"{folder}/*.jar") if "sources" not in file]
    assert any("tests" in file for file in fetched), run.stdout + run.stderr
    return ":".join([*fetched, of_spark])


@contextmanager
def a_rest_catalog(folder: Path) -> Iterator[tuple[str, Path]]:
    """Its address, and the folder in which it puts tables."""
    lake = folder / "of-the-server"
    for each in (lake, folder / "libraries"):
        each.mkdir(parents=True)
    port = free_port()
    libraries = _libraries(folder / "libraries")
    log = folder / "server.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, __file__, str(port), str(lake), libraries],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT_DIR), str(Path(__file__).parent)])},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while READY not in log.read_text("utf-8"):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text("utf-8")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", lake
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder / "libraries")


if __name__ == "__main__":
    serve(int(sys.argv[1]), *sys.argv[2:])
