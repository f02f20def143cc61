"""Hashes that show whether a build or a parsed project matches the current project."""

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.settings import PROJECT_DIR, Rules, Settings, SettingsError

# What builds depend on beside the data: all that dbt reads, and the packages that affect values.
BUILT_FROM = ("dbt_project.yml", "models", "macros", "seeds", "data_tests")
DECIDING_PACKAGES = ("ada-url", "dbt-duckdb", "duckdb", "idna", "numpy", "phonenumbers", "publicsuffixlist", "scipy")
SPARK_PACKAGES = ("dbt-spark", "pyspark")
PARSING_PACKAGES = ("dbt-core", "dbt-adapters", "dbt-common")
# Settings that dbt reads when parsing; it reads all others when building.
PARSED_SETTINGS = ("default_phone_region",)


def fingerprint(rules: Rules) -> str:
    """Changes whenever the same raw rows could result in other marts."""
    digest = _digest_of_project()
    digest.update(json.dumps(rules.as_vars(), sort_keys=True).encode())
    # Another engine has none of what the one before has kept.
    if Settings.read().engine == "spark":
        _add_packages(digest, SPARK_PACKAGES)
    return digest.hexdigest()[:16]


def parsing_fingerprint(rules: Rules, target: str = "warehouse") -> str:
    """Changes whenever dbt could parse the project differently."""
    digest = _digest_of_project()
    others = (*sorted((PROJECT_DIR / "data_tests").rglob("*.sql")), *sorted((PROJECT_DIR / "metrics").rglob("*.yml")))
    for file in (PROJECT_DIR / "profiles.yml", *others):
        digest.update(file.relative_to(PROJECT_DIR).as_posix().encode() + b"\0" + file.read_bytes())
    _add_packages(digest, PARSING_PACKAGES)
    if target == "spark":
        _add_packages(digest, SPARK_PACKAGES)
    digest.update(json.dumps([rules.as_vars()[name] for name in PARSED_SETTINGS]).encode())
    return digest.hexdigest()[:16]


def parsed_folder(rules: Rules, target: str = "warehouse") -> Path:
    """The folder with the current project as dbt parsed it for a target; missing until dbt has parsed it."""
    return PROJECT_DIR / "target" / "parsed" / parsing_fingerprint(rules, target)


def _digest_of_project() -> "hashlib._Hash":
    digest = hashlib.sha256()
    for place in BUILT_FROM:
        root = PROJECT_DIR / place
        files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        for file in files:
            if file.suffix in (".sql", ".py", ".yml", ".csv"):
                digest.update(file.relative_to(PROJECT_DIR).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    _add_packages(digest, DECIDING_PACKAGES)
    return digest


def _add_packages(digest: "hashlib._Hash", packages: Sequence[str]) -> None:
    for package in packages:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            raise SettingsError(
                f"{package} isn't installed. `make install` installs what the project needs, `make install-spark` what Spark needs."
            ) from None
        digest.update(f"{package} {version}\0".encode())
