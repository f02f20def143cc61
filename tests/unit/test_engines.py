"""Models and macros say what; only macros/engine says how an engine says it."""

import json
import re
from pathlib import Path

import pytest

from pipeline.dbt_runner import prepared_manifest
from pipeline.settings import PROJECT_DIR

ENGINES = ("duckdb", "spark")
ENGINE_FOLDER = PROJECT_DIR / "macros" / "engine"
DISPATCHED = ENGINE_FOLDER / "dispatch.sql"


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions that give the same on every engine, for what they are given here.
COMMON_FUNCTIONS = words("""
    abs cast chr coalesce concat concat_ws contains count decimal first_value greatest lag lead least length max median min nullif
    power rank round row_number split_part substr sum try_cast upper
""")
# What stands before a bracket without being a function of an engine.
SQL_WORDS = words("and as else exists from in join on or over select when where")
DBT_WORDS = words("config env_var fromjson is_incremental load_cached_relation ref replace return run_query source var")
# Ways of writing that only some engines know. Because of nulls, Spark compares each row with each for a `not in` of a query, or sends its
# rows to every worker.
ONE_ENGINE = re.compile(
    r"::[a-z]+| // |\)\[-?\d|\b(?:lambda|exclude|unnest|rowid|varchar|timestamptz|hugeint)\b|\bnot in \(\s*select\b"
)


def of_all_engines() -> list[Path]:
    """Every file whose SQL runs on every engine."""
    files = [
        *PROJECT_DIR.glob("models/**/*.sql"),
        *PROJECT_DIR.glob("macros/*.sql"),
        *PROJECT_DIR.glob("data_tests/**/*.sql"),
    ]
    assert len(files) > 60
    return sorted(files)


def statements_of(file: Path) -> str:
    """What a file says, without comments."""
    return re.sub(r"\{#.*?#\}|--[^\n]*", "", file.read_text("utf-8"), flags=re.DOTALL)


def macro_names() -> set[str]:
    files = [*PROJECT_DIR.glob("macros/**/*.sql"), *PROJECT_DIR.glob("data_tests/**/*.sql")]
    return {name for file in files for name in re.findall(r"\{%-? *(?:macro|test) +(\w+)", file.read_text("utf-8"))}


@pytest.mark.parametrize("file", of_all_engines(), ids=lambda file: file.name)
def test_models_and_macros_use_only_functions_of_every_engine(file: Path) -> None:
    called = set(re.findall(r"(?<![.\w\\])([a-z_][a-z0-9_]*)\s*\(", statements_of(file)))
    assert called - COMMON_FUNCTIONS - SQL_WORDS - DBT_WORDS - macro_names() == set()


@pytest.mark.parametrize("file", of_all_engines(), ids=lambda file: file.name)
def test_models_and_macros_are_written_as_every_engine_reads_them(file: Path) -> None:
    assert ONE_ENGINE.findall(statements_of(file)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_says_all_that_is_dispatched(engine: str) -> None:
    described = set(re.findall(r"\{% macro (\w+)", DISPATCHED.read_text("utf-8")))
    said = set(re.findall(rf"\{{% macro {engine}__(\w+)", (ENGINE_FOLDER / f"{engine}.sql").read_text("utf-8")))
    assert described == said


def test_the_documentation_counts_the_macros_that_an_engine_needs() -> None:
    described = re.findall(r"\{% macro (\w+)", DISPATCHED.read_text("utf-8"))
    text = " ".join((PROJECT_DIR / "CONTRIBUTING.md").read_text("utf-8").split())
    assert f"for each of the {len(described)} of `dispatch.sql`" in text


def test_readers_of_the_previous_build_run_before_its_tables_are_replaced() -> None:
    """With several threads, models run at the same time unless one depends on the other."""
    parents = json.loads(prepared_manifest().read_text("utf-8"))["parent_map"]

    def all_before(node: str) -> set[str]:
        found, open_nodes = set(), [node]
        while open_nodes:
            new = {*parents[open_nodes.pop()]} - found
            found |= new
            open_nodes += new
        return found

    readers = [
        (node, f"model.multichannel.{parent.rpartition('.')[2]}")
        for node in parents
        for parent in parents[node]
        if parent.startswith("source.multichannel.previous.")
    ]
    assert readers
    assert [pair for pair in readers if pair[0] not in all_before(pair[1]) | {pair[1]}] == []
