"""Settings of Spark, beside those that Spark reads itself (`spark-defaults.conf` in SPARK_CONF_DIR)."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pipeline.settings import PROJECT_DIR, SettingsError, load_environment

# The cluster that `make cluster` starts on this machine.
CLUSTER_DIR = PROJECT_DIR / "data" / "spark" / "cluster"
CLUSTER_HOST, CLUSTER_PORT = "127.0.0.1", 7077
CLUSTER = f"spark://{CLUSTER_HOST}:{CLUSTER_PORT}"
WORKER_MEMORY = "2g"
LOCAL = "local[*]"
SQLITE = "jdbc:sqlite:"

# The driver holds 16 bytes of each pair, several times over.
LARGEST_GRAPH = 10_000_000
LEAST_JAVA = 17
GET_JAVA = f"install a Java runtime, version {LEAST_JAVA} or later (Debian: apt-get install openjdk-{LEAST_JAVA}-jre-headless), or set JAVA_HOME."


@dataclass(frozen=True)
class SparkSettings:
    master: str
    catalog_uri: str | None  # of a database with the catalog, or of a REST server; None: a file of the warehouse's own
    lake: str | None  # the address of the folder with the tables' files; None: a folder of the warehouse's own
    jars_dir: Path
    repository: str | None  # of Maven; None: its own
    largest_graph: int  # how many pairs of connected identifiers the driver takes at most

    @property
    def is_on_this_machine(self) -> bool:
        return self.master.startswith("local") or self.master == CLUSTER

    @property
    def has_rest_catalog(self) -> bool:
        return (self.catalog_uri or "").lower().startswith(("http://", "https://"))

    @property
    def is_shared(self) -> bool:
        """Whether the tables are in a place that other warehouses may be given, too."""
        return bool(self.lake or self.catalog_uri)

    def for_verification(self, folder: Path) -> Self:
        """For a second lake, inside SPARK_LAKE if that is set. Its catalog is a file in `folder`."""
        # Workers on other machines don't see the default folder.
        if self.has_rest_catalog and not self.lake and not self.is_on_this_machine:
            raise SettingsError("verify: set SPARK_LAKE to a folder that all workers see, for the second lake.")
        # Several warehouses may share SPARK_LAKE for this.
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
        lake = f"{self.lake.rstrip('/')}/verification-{name}" if self.lake else None
        # Always a SQLite catalog: in the live database or server, the rebuild would overwrite the live tables.
        return replace(self, lake=lake, catalog_uri=f"{SQLITE}{folder}/catalog.db")

    @classmethod
    def read(cls) -> Self:
        """From the environment, then `.env` of the project. Raises SettingsError."""
        load_environment()
        if os.environ.get("SPARK_REMOTE"):
            raise SettingsError(
                "SPARK_REMOTE: builds need a session of their own process, not Spark Connect: set SPARK_MASTER."
            )
        lake, catalog_uri = os.environ.get("SPARK_LAKE"), os.environ.get("SPARK_CATALOG_URI")
        if lake and re.match(r"[a-z][a-z0-9+.-]*:(?!//)", lake, re.IGNORECASE):
            raise SettingsError(f"SPARK_LAKE = {lake!r}: write an address as scheme://…, or a path.")
        if lake and "://" not in lake:
            lake = str(PROJECT_DIR / lake)
        elif lake and not catalog_uri:
            raise SettingsError(
                f"SPARK_LAKE = {lake!r}: the catalog can't be a file there; set SPARK_CATALOG_URI to a database "
                "or a REST server, like jdbc:postgresql://host/lake or https://host/catalog."
            )
        if catalog_uri and re.search(r"[?&;]password=|//[^/@]*:[^/@]*@", catalog_uri, re.IGNORECASE):
            raise SettingsError(
                "SPARK_CATALOG_URI has a password, which every user of the machine could read from Java's command line. "
                "Put user and password into spark-defaults.conf (docs/cluster.md)."
            )
        if catalog_uri and re.match(f"{SQLITE}(?!/)", catalog_uri, re.IGNORECASE):
            raise SettingsError(f"SPARK_CATALOG_URI = {catalog_uri!r}: write the file's whole path.")
        largest_graph = os.environ.get("SPARK_LARGEST_GRAPH") or str(LARGEST_GRAPH)
        if not largest_graph.isdecimal():
            raise SettingsError(f"SPARK_LARGEST_GRAPH = {largest_graph!r} is no whole number.")
        return cls(
            master=os.environ.get("SPARK_MASTER") or (CLUSTER if is_cluster_running() else LOCAL),
            catalog_uri=catalog_uri or None,
            lake=lake or None,
            jars_dir=PROJECT_DIR / (os.environ.get("SPARK_JARS_DIR") or "data/spark/jars"),
            repository=os.environ.get("MAVEN_REPOSITORY") or None,
            largest_graph=int(largest_graph),
        )


def is_cluster_running() -> bool:
    """Whether the master that `make cluster` started answers."""
    if not (CLUSTER_DIR / "master.pid").exists():
        return False
    try:
        socket.create_connection((CLUSTER_HOST, CLUSTER_PORT), timeout=1).close()
    except OSError:
        return False
    return True


def find_java() -> str:
    """The Java runtime. Raises SettingsError if there is none that Spark can use."""
    home = os.environ.get("JAVA_HOME")
    command = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if command is None:
        raise SettingsError(f"Spark: there is no Java{f' in JAVA_HOME = {home}' if home else ''}: {GET_JAVA}")
    output = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', output)
    if found is None or int(found[1]) < LEAST_JAVA:
        raise SettingsError(f"Spark: {command} is Java {found[1] if found else 'of no known version'}: {GET_JAVA}")
    return command
