"""The attribution models of what is published."""

import duckdb

CREDIT_TYPE = "DECIMAL(18,12)"


def attribution_models(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """The columns with credits, one per attribution model."""
    columns = connection.execute(f"describe {table}").fetchall()
    return [name for name, data_type, *_ in columns if data_type == CREDIT_TYPE]
