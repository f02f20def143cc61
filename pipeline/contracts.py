"""The contracts of the raw tables' deliveries, from models/staging/_sources.yml."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import jinja2

from pipeline.settings import PROJECT_DIR, Rules
from pipeline.yaml_files import read_yaml

# More rows than any delivery has, so that record numbers follow the order of loads.
RECORDS_PER_LOAD = 2**32


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    is_required: bool
    words: tuple[str, ...]
    setting: str | None
    """The setting with the only accepted word, unless that is fixed."""

    def known_words(self, rules: Rules) -> tuple[str, ...]:
        """The column's accepted values; empty if all values are accepted."""
        return (getattr(rules, self.setting),) if self.setting else self.words


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    is_optional: bool
    """Whether the table may be left out entirely."""
    has_no_key: bool
    """Whether identical rows add up, as there is no id to detect duplicates."""

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def required_columns(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.is_required)


@cache
def _raw_source() -> dict[str, dict]:
    source = read_yaml(PROJECT_DIR / "models/staging/_sources.yml")
    return {table["name"]: table for table in source["sources"][0]["tables"]}


@cache
def delivered_tables() -> dict[str, Table]:
    """The tables that deliveries fill, by name."""
    described = {name: (table, table.get("config", {}).get("meta", {})) for name, table in _raw_source().items()}
    return {
        name: Table(
            name, tuple(_delivered_columns(table)), meta.get("is_optional", False), meta.get("has_no_key", False)
        )
        for name, (table, meta) in described.items()
        if meta.get("is_delivered")
    }


def _delivered_columns(table: dict) -> list[Column]:
    described = [(column["name"], column.get("config", {}).get("meta")) for column in table["columns"]]
    return [
        Column(name, meta["type"], meta.get("required", False), tuple(meta.get("words", ())), meta.get("setting"))
        for name, meta in described
        if meta is not None
    ]


@cache
def raw_columns() -> dict[str, dict[str, str]]:
    """Physical columns and types of every raw table, by table."""
    return {
        name: {column["name"]: column["data_type"] for column in table["columns"]}
        for name, table in _raw_source().items()
    }


@cache
def raw_descriptions() -> dict[tuple[str, str | None], str]:
    """Descriptions of raw tables and their columns, by table and column; the table's own without a column."""
    described: dict[tuple[str, str | None], str] = {}
    for name, table in _raw_source().items():
        described[name, None] = table["description"]
        described |= {(name, column["name"]): column["description"] for column in table["columns"]}
    return described


@cache
def raw_compressions() -> dict[tuple[str, str], str]:
    """Compressions that override DuckDB's own choice, by table and column."""
    return {
        (name, column["name"]): column["config"]["meta"]["compression"]
        for name, table in _raw_source().items()
        for column in table["columns"]
        if "compression" in column.get("config", {}).get("meta", {})
    }


class PlainMacros:
    """The macros of a file in macros/ that is plain Jinja, as Python functions that return DuckDB's SQL."""

    def __init__(self, file: str, variables: Mapping[str, Any]) -> None:
        environment = jinja2.Environment(extensions=["jinja2.ext.do"], undefined=jinja2.StrictUndefined)
        files = (file, "engine/dispatch.sql", "engine/duckdb.sql")
        template = environment.from_string(
            "".join((PROJECT_DIR / "macros" / name).read_text("utf-8") for name in files),
            globals={"var": variables.__getitem__, "adapter": self},
        )
        self._macros = template.module

    def __getattr__(self, name: str) -> jinja2.runtime.Macro:
        macro: jinja2.runtime.Macro = getattr(self._macros, name)
        return macro

    def dispatch(self, name: str, macro_namespace: str) -> jinja2.runtime.Macro:
        """What dbt's `adapter.dispatch` gives on DuckDB."""
        return getattr(self, f"duckdb__{name}")


class ReadingMacros(PlainMacros):
    """The macros of macros/reading.sql, so that text is read as in the models."""

    def __init__(self, rules: Rules) -> None:
        super().__init__("reading.sql", rules.as_vars())

    def read(self, column: Column) -> str:
        return str(getattr(self, column.type)(column.name))


@cache
def reading_macros(rules: Rules) -> ReadingMacros:
    return ReadingMacros(rules)
