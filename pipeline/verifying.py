"""Compares the incrementally updated warehouse with a full rebuild from the same raw rows."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.building import build_verification
from pipeline.capacity import check_verification
from pipeline.engines import engine_of
from pipeline.fingerprints import fingerprint
from pipeline.marts import MARTS
from pipeline.publishing import PublicationError, Publications
from pipeline.settings import Rules, Settings
from pipeline.warehouse import VERIFICATION, Warehouse

SHOWN_DIFFERENCES = 5
# State that later builds rely on, as far as it is comparable: only rows of live loads where tables grow with every load.
LIVE = "from {} where load_id in (select load_id from rebuilt.staging.stg_loads)"
KEPT = {
    "staging.stg_touch_keys": LIVE,
    "staging.stg_contact_keys": LIVE,
    "intermediate.int_repeated_versions": "from {}",
    "intermediate.int_identifier_clusters": "from {}",
    "intermediate.int_oversized_clients": "from {}",
    "intermediate.int_left_out_events": "from {}",
    "intermediate.int_chains": "from {}",
    "intermediate.int_chain_steps": "from {}",
    "intermediate.int_channel_sets": "from {}",
    "intermediate.int_participation": "from {}",
}


class VerificationError(PublicationError):
    """Nothing could be compared. The message says why and what to do."""


@dataclass(frozen=True)
class Difference:
    """A table that differs from the full rebuild."""

    table: str
    missing_count: int
    unexpected_count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        counts = f"{self.table}: {self.missing_count:,} rows of a full rebuild are missing, {self.unexpected_count:,} are not in it"
        return "\n".join([counts, *(f"  {example}" for example in self.examples)])


def verify(warehouse: Warehouse, rules: Rules, engine_name: str | None = None) -> list[Difference]:
    """Rebuilds and tests everything beside the warehouse, and compares it with the private and the published marts.

    Rebuilds with the engine that ENGINE names, or with another. Changes nothing. Needs the lock, and room for a second
    warehouse. Raises VerificationError, ResourcesError and SettingsError.
    """
    publications = Publications(warehouse)
    if not publications.is_up_to_date(fingerprint(rules)):
        raise VerificationError(
            "Not everything that is loaded is built and published as it would be now: run `load` first."
        )
    check_verification(warehouse)
    rebuilt = Warehouse(warehouse.folder / VERIFICATION)
    shutil.rmtree(rebuilt.folder, ignore_errors=True)
    rebuilt.folder.mkdir()
    try:
        engine = engine_of(rebuilt, name=engine_name, live=warehouse)
        try:
            with rebuilt.locked("verify"):
                outcome = build_verification(engine, warehouse, rules)
        finally:
            engine.discard()
        if not outcome.is_passed:
            raise VerificationError(
                f"The full rebuild failed, so there is nothing to compare with:\n{outcome.explain()}"
            )
        # Only DuckDB keeps its state in the warehouse's file.
        live_engine = Settings.read().engine
        kept = KEPT if live_engine == (engine_name or live_engine) == "duckdb" else {}
        return _compare(rebuilt, warehouse, publications.file(publications.numbers()[-1]), kept)
    finally:
        shutil.rmtree(rebuilt.folder, ignore_errors=True)


def _compare(rebuilt: Warehouse, warehouse: Warehouse, published: Path, kept: Mapping[str, str]) -> list[Difference]:
    differences = []
    with duckdb.connect(config=warehouse.resources()) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, file in {"rebuilt": rebuilt.file, "live": warehouse.file, "published": published}.items():
            sql.attach(connection, file, name)
        for table, comparable in kept.items():
            differences.append(_difference(connection, f"rebuilt.{table}", f"live.{table}", table, comparable))
        for mart in MARTS:
            differences.append(_difference(connection, f"rebuilt.marts.{mart}", f"live.marts.{mart}", f"marts.{mart}"))
            differences.append(
                _difference(connection, f"rebuilt.marts.{mart}", f"published.{mart}", f"the published {mart}")
            )
    return [difference for difference in differences if difference.missing_count or difference.unexpected_count]


def _difference(
    connection: duckdb.DuckDBPyConnection, expected: str, given: str, name: str, comparable: str = "from {}"
) -> Difference:
    rows = {}
    for which, this, other in (("missing", expected, given), ("unexpected", given, expected)):
        of_this, of_other = comparable.format(this), comparable.format(other)
        connection.execute(
            f"""
            create or replace temporary table {which} as
            from ({of_this}) except all (select {_columns(connection, of_this)} from ({of_other}))
            """
        )
        rows[which] = sql.count(connection, which)
    examples = connection.execute(
        f"""
        select difference, cast(to_json(columns_) as varchar) from (
            select 'missing' as difference, missing as columns_ from missing
            union all by name
            select 'not expected' as difference, unexpected as columns_ from unexpected
        ) order by 2 limit {SHOWN_DIFFERENCES}
        """
    ).fetchall()
    return Difference(
        name,
        rows["missing"],
        rows["unexpected"],
        tuple(f"{difference}: {_shortened(row)}" for difference, row in examples),
    )


def _columns(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    return ", ".join(f'"{column[0]}"' for column in connection.execute(f"describe {query}").fetchall())


def _shortened(row: str) -> str:
    values = {name: value for name, value in json.loads(row).items() if value is not None}
    text = json.dumps(values, ensure_ascii=False)
    return text if len(text) <= 600 else f"{text[:600]} …"
