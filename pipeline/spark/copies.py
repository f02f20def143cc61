"""Copies what a build on Spark made into the warehouse's own file, from which generations are published."""

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow
from pyspark.sql import DataFrame, SparkSession

from pipeline import sql
from pipeline.dbt_runner import Model
from pipeline.marts import CONTACT_COLUMNS
from pipeline.warehouse import transaction

# Keys are numbers of 128 bits there, and hexadecimal digits on Spark.
KEY = "uhugeint"
AFFECTED = "int_affected_contacts"
# Copied tables whose rows a build of changes replaces by contact, and the column with the contact.
REPLACED_BY_CONTACT = CONTACT_COLUMNS | {
    "int_participation": "contact_id",
    "int_left_out_events": "first_contact_id",
    "int_oversized_clients": "first_contact_id",
}
# What the driver fetches at once.
ROWS_AT_ONCE = 250_000
# Below so many affected contacts, their rows are fetched without being counted.
FEW_CONTACTS = 5_000


def copy_tables(
    session: SparkSession, connection: duckdb.DuckDBPyConnection, models: Sequence[Model], is_full: bool
) -> None:
    """Replaces the rows of affected contacts, or all rows of a table, with Spark's, in one transaction."""
    with transaction(connection):
        # The affected contacts come first, as they say which rows of other tables to replace.
        for model in sorted(models, key=lambda model: model.name != AFFECTED):
            name = f"{model.schema}.{model.name}"
            session.sparkContext.setJobDescription(f"copy {name}")
            contact = None if is_full else REPLACED_BY_CONTACT.get(model.name)
            rows = session.table(name)
            if contact is None:
                _create(connection, model)
                is_large = not model.is_view
            else:
                among_affected = f"{contact} in (select contact_id from intermediate.{AFFECTED})"
                connection.execute(f"delete from {name} where {among_affected}")
                rows = session.sql(f"select * from {name} where {among_affected}")
                is_large = sql.count(connection, f"intermediate.{AFFECTED}") > FEW_CONTACTS
            listed = ", ".join(
                f"cast('0x' || {sql.identifier(column)} as {kind}) as {sql.identifier(column)}"
                if kind == KEY
                else sql.identifier(column)
                for column, kind in model.columns.items()
            )
            for part in _parts(rows, is_large):
                connection.register("rows_of_spark", part)
                connection.execute(f"insert into {name} by name select {listed} from rows_of_spark")
                connection.unregister("rows_of_spark")


def _create(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Creates a table, empty, with the types of its contract."""
    # A view of a build by DuckDB can't be replaced by a table.
    view = "select 1 from duckdb_views() where database_name = current_database() and schema_name = ? and view_name = ?"
    if connection.execute(view, [model.schema, model.name]).fetchall():
        connection.execute(f"drop view {model.schema}.{model.name}")
    definitions = ", ".join(f"{sql.identifier(column)} {kind}" for column, kind in model.columns.items())
    connection.execute(f"create or replace table {model.schema}.{model.name} ({definitions})")


def _parts(rows: DataFrame, is_large: bool) -> Iterator[pyarrow.Table]:
    """The rows in as many parts as the driver's memory needs. Those of a view or of few contacts are one part."""
    count = 1 + (rows.count() - 1) // ROWS_AT_ONCE if is_large else 1
    if count <= 1:
        yield rows.toArrow()
        return
    for part in range(count):
        yield rows.where(f"pmod(xxhash64(*), {count}) = {part}").toArrow()
