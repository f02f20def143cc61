"""What builds: DuckDB in the warehouse's own file, or Spark (`pipeline/spark`)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from pipeline.dbt_runner import Build, build_of, run_dbt
from pipeline.settings import Rules, Settings, SettingsError
from pipeline.warehouse import Warehouse


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


class DuckDB:
    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def run_dbt(self, rules: Rules, arguments: Sequence[str], facts: Mapping[str, str], is_full: bool) -> Build:
        return build_of(run_dbt(self.warehouse.folder, arguments, rules, {**facts, "BUILD_OF_OTHER_ENGINE": ""}))

    def reason_for_full_build(self) -> str | None:
        return None  # it is kept in the same file as the ledger

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


def engine_of(warehouse: Warehouse) -> Engine:
    """The engine that ENGINE names. Raises SettingsError if it isn't installed."""
    if Settings.read().engine == "duckdb":
        return DuckDB(warehouse)
    try:
        from pipeline.spark.builds import Spark
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("pyspark", "py4j", "dbt.adapters.spark")):
            raise
        raise SettingsError(
            f"ENGINE = spark: {error.name} isn't installed. `make install-spark` installs what Spark needs."
        ) from None
    return Spark(warehouse)
