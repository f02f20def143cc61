"""Compares the incrementally updated warehouse with a full rebuild from the same raw rows."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.building import build_verification
from pipeline.capacity import check_verification
from pipeline.contracts import raw_columns
from pipeline.dbt_runner import Build
from pipeline.fingerprints import fingerprint
from pipeline.marts import MARTS
from pipeline.publishing import PublicationError, Publications
from pipeline.settings import Rules, Settings
from pipeline.warehouse import SCHEMAS, Warehouse

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


def verify(warehouse: Warehouse, rules: Rules) -> list[Difference]:
    """Rebuilds and tests everything beside the warehouse, and compares it with the private and the published marts.

    Changes nothing. Needs the lock, and room for a second warehouse. Raises VerificationError and ResourcesError.
    """
    publications = Publications(warehouse)
    if not publications.is_up_to_date(fingerprint(rules)):
        raise VerificationError(
            "Not everything that is loaded is built and published as it would be now: run `load` first."
        )
    check_verification(warehouse)
    rebuilt = Warehouse(warehouse.folder / "verification")
    shutil.rmtree(rebuilt.folder, ignore_errors=True)
    rebuilt.folder.mkdir()
    try:
        _share_raw(rebuilt, warehouse)
        outcome = build_verification(rebuilt, warehouse, rules)
        return _compare(rebuilt, warehouse, publications.file(publications.numbers()[-1]), outcome)
    finally:
        shutil.rmtree(rebuilt.folder, ignore_errors=True)


def _share_raw(rebuilt: Warehouse, warehouse: Warehouse) -> None:
    """Gives a warehouse the other's raw tables instead of its own rows; only the ledger of builds is separate."""
    with duckdb.connect(str(rebuilt.file), config=rebuilt.resources()) as connection:
        os.chmod(rebuilt.file, 0o600)
        sql.attach(connection, warehouse.file, "live")
        for schema in SCHEMAS:
            connection.execute(f"create schema if not exists {schema}")
        for table in raw_columns():
            if table == "builds":
                connection.execute("create table raw.builds as select * from live.raw.builds where false")
            else:
                connection.execute(f"create view raw.{table} as select * from live.raw.{table}")


def _compare(rebuilt: Warehouse, warehouse: Warehouse, published: Path, outcome: Build) -> list[Difference]:
    if not outcome.is_passed:
        raise VerificationError(f"The full rebuild failed, so there is nothing to compare with:\n{outcome.explain()}")
    differences = []
    with duckdb.connect(config=warehouse.resources()) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, file in {"rebuilt": rebuilt.file, "live": warehouse.file, "published": published}.items():
            sql.attach(connection, file, name)
        # Another engine keeps its state elsewhere.
        for table, comparable in KEPT.items() if Settings.read().engine == "duckdb" else ():
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
