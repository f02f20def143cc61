"""What builds: DuckDB in the warehouse's own file, or Spark (`pipeline/spark`)."""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import duckdb

from pipeline import sql
from pipeline.contracts import raw_columns
from pipeline.dbt_runner import Build, build_of, run_dbt
from pipeline.settings import Rules, Settings, SettingsError
from pipeline.warehouse import SCHEMAS, Warehouse


class Engine(Protocol):
    """Runs dbt, and answers queries about what it built. Needs the lock."""

    def run_dbt(self, rules: Rules, arguments: Sequence[str], facts: Mapping[str, str], is_full: bool) -> Build:
        """Runs a dbt command; `facts` are for the hooks that keep the ledger of builds."""

    def reason_for_full_build(self) -> str | None:
        """Why this engine can't build incrementally, whatever the ledger of builds says; None if it can."""

    def rows(self, query: str) -> Sequence[Any]:
        """The rows of a query, each in the order of its columns."""

    def drop_all_but(self, made: Collection[tuple[str, str]]) -> None:
        """Drops tables and views of models' schemas that a full build hasn't made: those of earlier versions."""

    def discard(self) -> None:
        """Deletes what a second warehouse keeps outside its folder."""


class DuckDB:
    def __init__(self, warehouse: Warehouse, live: Warehouse | None = None) -> None:
        self.warehouse = warehouse
        self.live = live
        if live is not None:
            _share_raw(warehouse, live)

    def run_dbt(self, rules: Rules, arguments: Sequence[str], facts: Mapping[str, str], is_full: bool) -> Build:
        facts = {**facts, "BUILD_OF_OTHER_ENGINE": ""}
        if self.live is None:
            return build_of(run_dbt(self.warehouse.folder, arguments, rules, facts))
        facts["LIVE_WAREHOUSE_DIR"] = str(self.live.folder)
        return build_of(run_dbt(self.warehouse.folder, arguments, rules, facts, "verification"))

    def reason_for_full_build(self) -> str | None:
        return None  # tables and ledger are in one file

    def rows(self, query: str) -> Sequence[Any]:
        with self.warehouse.connected() as connection:
            return connection.execute(query).fetchall()

    def drop_all_but(self, made: Collection[tuple[str, str]]) -> None:
        with self.warehouse.connected() as connection:
            for kind in ("view", "table"):
                existing = connection.execute(
                    f"select schema_name, {kind}_name from duckdb_{kind}s() "
                    "where database_name = current_database() and schema_name in ('staging', 'intermediate', 'marts')"
                ).fetchall()
                for schema, name in existing:
                    if (schema, name) not in made:
                        connection.execute(f'drop {kind} "{schema}"."{name}"')

    def discard(self) -> None:
        pass  # there is nothing but the folder


def _share_raw(warehouse: Warehouse, live: Warehouse) -> None:
    """Gives a warehouse the other's raw tables instead of its own rows; only the ledger of builds is separate."""
    with duckdb.connect(str(warehouse.file), config=warehouse.resources()) as connection:
        os.chmod(warehouse.file, 0o600)
        sql.attach(connection, live.file, "live")
        for schema in SCHEMAS:
            connection.execute(f"create schema if not exists {schema}")
        for table in raw_columns():
            if table == "builds":
                connection.execute("create table raw.builds as select * from live.raw.builds where false")
            else:
                connection.execute(f"create view raw.{table} as select * from live.raw.{table}")


def engine_of(warehouse: Warehouse, *, name: str | None = None, live: Warehouse | None = None) -> Engine:
    """The engine called `name`, by default the one that ENGINE names. With `live`, it builds a second warehouse from that one's raw rows.

    Raises SettingsError if it isn't installed.
    """
    if (name or Settings.read().engine) == "duckdb":
        return DuckDB(warehouse, live)
    try:
        from pipeline.spark.builds import Spark
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("pyspark", "py4j", "dbt.adapters.spark")):
            raise
        raise SettingsError(
            f"Spark: {error.name} isn't installed. `make install-spark` installs what Spark needs."
        ) from None
    return Spark(warehouse, live)
