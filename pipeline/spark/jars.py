"""The Java libraries that Spark needs beside its own, each compared with a checksum: Spark itself checks none."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from pipeline.settings import SettingsError

RESOLVE_SECONDS = 300


@dataclass(frozen=True)
class Jar:
    """A library by its Maven coordinates."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


# The first must fit the Spark and the Scala that its name says.
JARS = (
    Jar(
        "org.apache.iceberg",
        "iceberg-spark-runtime-4.1_2.13",
        "1.12.0",
        "3123c3798af642dd537230923548e013ef41cc28b6626e5225808cf5670a0f82",
    ),
    Jar(
        "org.xerial",
        "sqlite-jdbc",
        "3.46.1.3",
        "4a4832720a65eaf7f4d6fd7ede52087b994dc5633c076f9e994dc0c8b4b0b4fa",
    ),
)


def checked_jars(java: str, folder: Path, repository: str | None, jars: Sequence[Jar] = JARS) -> list[Path]:
    """The jars' files in a folder. Missing ones are fetched: from Maven's own repository, or from the one given.

    Raises SettingsError if one can't be fetched, or isn't the one that the project was tested with.
    """
    for jar in jars:
        file = folder / jar.file_name
        if not file.exists():
            _fetch(jar, java, folder, repository)
        elif (found := _checksum(file)) != jar.sha256:
            raise SettingsError(
                f"{_wrong(file, found, jar)} Remove the file to fetch it again, or put the right one there."
            )
    return [folder / jar.file_name for jar in jars]


def _wrong(file: Path | str, found: str, jar: Jar) -> str:
    return f"{file} isn't the library that the project was tested with: its SHA-256 is {found}, and not {jar.sha256}."


def _fetch(jar: Jar, java: str, folder: Path, repository: str | None) -> None:
    import pyspark  # only where jars are missing

    libraries = Path(pyspark.__file__).parent / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as temporary:
        command = [
            *(java, "-cp", f"{libraries}/*", "org.apache.ivy.Main"),
            *("-m2compatible", "-notransitive", "-confs", "default", "-warn", "-cache", f"{temporary}/cache"),
            *("-dependency", jar.group, jar.artifact, jar.version),
            *("-retrieve", f"{temporary}/[artifact]-[revision].[ext]"),
        ]
        if repository:
            settings = Path(temporary) / "settings.xml"
            settings.write_text(repository_settings(repository), "utf-8")
            command += ["-settings", str(settings)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=RESOLVE_SECONDS, check=False)
            output = run.stdout + run.stderr
        except subprocess.TimeoutExpired:
            output = f"no answer in {RESOLVE_SECONDS} seconds"
        fetched = Path(temporary) / jar.file_name
        if not fetched.exists():
            raise SettingsError(
                f"{jar.group}:{jar.artifact}:{jar.version} can't be fetched ({_reason(output)}). Set MAVEN_REPOSITORY to a "
                f"mirror, or put {jar.file_name} into {folder}; SPARK_JARS_DIR names another folder."
            )
        if (found := _checksum(fetched)) != jar.sha256:
            offered = f"The {jar.file_name} of {repository or 'Maven'}"
            raise SettingsError(
                f"{_wrong(offered, found, jar)} Set MAVEN_REPOSITORY to a "
                f"repository with the right one, or put it into {folder}."
            )
        os.replace(fetched, folder / jar.file_name)


def repository_settings(repository: str) -> str:
    """Ivy's settings for one repository only."""
    root = quoteattr(repository.rstrip("/") + "/")
    return (
        '<ivysettings><settings defaultResolver="repository"/><resolvers>'
        f'<ibiblio name="repository" m2compatible="true" root={root}/>'
        "</resolvers></ivysettings>"
    )


def _reason(output: str) -> str:
    """The line of Ivy's output that says most of what went wrong."""
    lines = [line.strip(" \t:") for line in output.splitlines() if line.strip(" \t:")]
    if "ERRORS" in lines[:-1]:
        return lines[lines.index("ERRORS") + 1]  # what can't be reached; before, what therefore isn't found
    error_lines = [line for line in lines if "Exception" in line or "error" in line.lower() or "not found" in line]
    return (error_lines or lines or ["no output"])[0]


def _checksum(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
