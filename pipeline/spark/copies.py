"""Copies what a build on Spark made into the warehouse's own file, from which generations are published."""

import duckdb
from pyspark.sql import SparkSession

from pipeline import sql
from pipeline.dbt_runner import Model

# Keys are numbers of 128 bits there, and hexadecimal digits on Spark.
KEY = "uhugeint"


def copy(session: SparkSession, connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Replaces a table's rows with Spark's, in the types of its contract."""
    name = f"{model.schema}.{model.name}"
    rows = session.table(name).toArrow()
    definitions = ", ".join(f"{sql.identifier(column)} {kind}" for column, kind in model.columns.items())
    listed = ", ".join(
        f"cast('0x' || {sql.identifier(column)} as {kind}) as {sql.identifier(column)}"
        if kind == KEY
        else sql.identifier(column)
        for column, kind in model.columns.items()
    )
    # A view of a build by DuckDB can't be replaced by a table.
    view = "select 1 from duckdb_views() where database_name = current_database() and schema_name = ? and view_name = ?"
    if connection.execute(view, [model.schema, model.name]).fetchall():
        connection.execute(f"drop view {name}")
    connection.register("rows_of_spark", rows)
    connection.execute(f"create or replace table {name} ({definitions})")
    connection.execute(f"insert into {name} by name select {listed} from rows_of_spark")
    connection.unregister("rows_of_spark")
