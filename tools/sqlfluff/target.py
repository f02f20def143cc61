"""dbt's `target`, as far as sqlfluff needs it to read the models."""

type = "duckdb"
