"""dbt's `adapter`, as far as sqlfluff needs it to read the models: on DuckDB."""

from typing import Any

import jinja2


@jinja2.pass_context
def dispatch(context: jinja2.runtime.Context, name: str, macro_namespace: str) -> Any:
    return context.resolve(f"duckdb__{name}")
