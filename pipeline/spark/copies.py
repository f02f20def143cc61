"""Copies what a build on Spark made into the warehouse's own file, from which generations are published."""

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow
from pyspark.sql import SparkSession

from pipeline import sql
from pipeline.dbt_runner import Model
from pipeline.marts import CONTACT_COLUMNS

# Keys are numbers of 128 bits there, and hexadecimal digits on Spark.
KEY = "uhugeint"
AFFECTED = "int_affected_contacts"
# Tables whose rows a build of changes replaces by contact, and the column with the contact.
COLUMNS_OF_CONTACTS = CONTACT_COLUMNS | {
    "int_participation": "contact_id",
    "int_left_out_events": "first_contact_id",
    "int_oversized_clients": "first_contact_id",
}
# Rows that come from Spark at once, as Arrow in memory.
ROWS_AT_ONCE = 500_000


def copy_tables(
    session: SparkSession, connection: duckdb.DuckDBPyConnection, models: Sequence[Model], is_full: bool
) -> None:
    """Replaces the rows of affected contacts, or all rows of a table, with Spark's. One transaction: a build is there as a whole."""
    connection.begin()
    # The others' rows are found by it.
    for model in sorted(models, key=lambda model: model.name != AFFECTED):
        name = f"{model.schema}.{model.name}"
        contact = COLUMNS_OF_CONTACTS.get(model.name)
        if contact is None or is_full:
            among = "true"
            _create(connection, model)
        else:
            among = f"{contact} in (select contact_id from intermediate.{AFFECTED})"
            connection.execute(f"delete from {name} where {among}")
        listed = ", ".join(
            f"cast('0x' || {sql.identifier(column)} as {kind}) as {sql.identifier(column)}"
            if kind == KEY
            else sql.identifier(column)
            for column, kind in model.columns.items()
        )
        for rows in _rows(session, name, among):
            connection.register("rows_of_spark", rows)
            connection.execute(f"insert into {name} by name select {listed} from rows_of_spark")
            connection.unregister("rows_of_spark")
    connection.commit()


def _create(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Creates a table, empty, with the types of its contract."""
    # A view of a build by DuckDB can't be replaced by a table.
    view = "select 1 from duckdb_views() where database_name = current_database() and schema_name = ? and view_name = ?"
    if connection.execute(view, [model.schema, model.name]).fetchall():
        connection.execute(f"drop view {model.schema}.{model.name}")
    definitions = ", ".join(f"{sql.identifier(column)} {kind}" for column, kind in model.columns.items())
    connection.execute(f"create or replace table {model.schema}.{model.name} ({definitions})")


def _rows(session: SparkSession, table: str, condition: str) -> Iterator[pyarrow.Table]:
    """A table's rows that meet a condition, in as many parts as memory needs."""
    found = session.sql(f"select * from {table} where {condition}")
    # Iceberg knows the number without reading.
    parts = 1 + (session.table(table).count() - 1) // ROWS_AT_ONCE if condition == "true" else 1
    for part in range(parts):
        yield (found if parts == 1 else found.where(f"pmod(xxhash64(*), {parts}) = {part}")).toArrow()
