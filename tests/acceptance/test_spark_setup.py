"""What Spark needs on a machine: each thing that is missing or wrong is reported in one line."""

import hashlib
import http.server
import importlib.util
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.settings import Settings, SettingsError
from pipeline.spark.jars import Jar, checked_jars
from pipeline.spark.settings import SparkSettings, find_java

JAR = Jar("org.example", "library", "1.0", hashlib.sha256(b"right").hexdigest())
POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>org.example</groupId><artifactId>library</artifactId><version>1.0</version></project>"""
needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="needs Java and `make install-spark`",
)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A Maven repository with one library, and the library's file."""
    file = tmp_path / "repository" / "org" / "example" / "library" / "1.0" / JAR.file_name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"right")
    file.with_suffix(".pom").write_text(POM)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "repository"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", file
        server.shutdown()


def test_a_library_of_other_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / JAR.file_name).write_bytes(b"wrong")
    with pytest.raises(SettingsError) as error:
        checked_jars("java", tmp_path, None, [JAR])
    assert str(error.value).startswith(
        f"{tmp_path / JAR.file_name} isn't the library that the project was tested with: its SHA-256 is "
    )
    assert "\n" not in str(error.value)


@needs_spark
def test_a_missing_library_comes_from_the_mirror_that_is_set(tmp_path: Path, repository: tuple[str, Path]) -> None:
    address, _ = repository
    [file] = checked_jars(find_java(), tmp_path / "jars", address, [JAR])
    assert file.read_bytes() == b"right"
    assert [path.name for path in file.parent.iterdir()] == [JAR.file_name]


@needs_spark
def test_a_mirror_with_other_bytes_is_no_help(tmp_path: Path, repository: tuple[str, Path]) -> None:
    address, file = repository
    file.write_bytes(b"wrong")
    with pytest.raises(
        SettingsError, match=f"The {JAR.file_name} of {address} isn't the library that the project was tested"
    ):
        checked_jars(find_java(), tmp_path / "jars", address, [JAR])
    assert list((tmp_path / "jars").iterdir()) == []


@needs_spark
def test_a_library_that_cannot_be_had_is_reported_with_what_to_do(tmp_path: Path, repository: tuple[str, Path]) -> None:
    address, _ = repository
    with pytest.raises(SettingsError) as error:
        checked_jars(find_java(), tmp_path, address, [replace(JAR, version="2.0")])
    message = str(error.value)
    assert message.startswith("org.example:library:2.0 can't be fetched (")
    assert f"Set MAVEN_REPOSITORY to a mirror, or put library-2.0.jar into {tmp_path}" in message
    assert "\n" not in message


@needs_spark
def test_a_mirror_that_cannot_be_reached_is_the_reason(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(SettingsError, match=r"can't be fetched \(.*Connection refused"):
            checked_jars(find_java(), tmp_path, address, [JAR])


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ('openjdk version "11.0.20" 2023-07-18', "is Java 11: install a Java runtime, version 17 or later"),
        ('java version "1.8.0_292"', "is Java 8: "),
        ("no such thing", "is Java of no known version: "),
    ],
)
def test_a_java_that_is_too_old_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, message: str
) -> None:
    command = tmp_path / "bin" / "java"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\necho '{output}' >&2\n")
    command.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SettingsError) as error:
        find_java()
    assert message in str(error.value)


def test_no_java_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="there is no Java: install a Java runtime, version 17 or later"):
        find_java()


def test_an_object_store_needs_a_catalog_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LAKE", "s3a://bucket/lake")
    with pytest.raises(SettingsError, match="the catalog can't be a file there; set SPARK_CATALOG_URI"):
        SparkSettings.read()


def test_verify_uses_a_separate_lake_that_workers_can_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CATALOG_URI", "https://host/catalog")
    monkeypatch.setenv("SPARK_MASTER", "spark://host:7077")
    with pytest.raises(SettingsError, match="verify: set SPARK_LAKE to a folder that all workers see"):
        SparkSettings.read().for_verification(tmp_path)
    monkeypatch.setenv("SPARK_LAKE", "s3a://bucket/lake/")
    second, another = (SparkSettings.read().for_verification(tmp_path / name) for name in ("a", "b"))
    assert second.lake and second.lake.startswith("s3a://bucket/lake/verification-")
    assert second.lake != another.lake
    assert second.catalog_uri == f"jdbc:sqlite:{tmp_path}/a/catalog.db"


def test_an_engine_that_there_is_not_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "sparc")
    with pytest.raises(SettingsError, match="ENGINE = 'sparc': write duckdb or spark"):
        Settings.read()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SPARK_REMOTE", "sc://host", "SPARK_REMOTE: builds need a session of their own process, not Spark Connect"),
        ("SPARK_LARGEST_GRAPH", "many", "SPARK_LARGEST_GRAPH = 'many' is no whole number"),
        ("SPARK_LAKE", "file:/mnt/lake", "SPARK_LAKE = 'file:/mnt/lake': write an address as scheme://…, or a path"),
        (
            "SPARK_CATALOG_URI",
            "jdbc:sqlite:lake.db",
            "SPARK_CATALOG_URI = 'jdbc:sqlite:lake.db': write the file's whole path",
        ),
        ("SPARK_CATALOG_URI", "jdbc:postgresql://host/lake?user=a&password=b", "SPARK_CATALOG_URI has a password"),
        ("SPARK_CATALOG_URI", "https://a:b@host/catalog", "SPARK_CATALOG_URI has a password"),
    ],
)
def test_settings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        SparkSettings.read()
