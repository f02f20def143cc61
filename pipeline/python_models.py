"""How dbt's Python models are computed.

A model returns which rows it reads (`rows`: a relation of the engine), the function that makes its own rows of them, Arrow in and
Arrow out, and what else that function takes (`with`: relations, which it gets as Arrow, or values). Under `some_at_once` the function
takes any part of the rows, so that an engine may divide them among its workers; under `all_at_once` it takes all. With `is_of_graph`, the
rows are a graph's pairs of connected nodes, `node` and `first_node`, and the function gives each node's `component`: an engine may find
the same in another way if they are too many for one process. So models know nothing of engines.
"""

from collections.abc import Callable
from typing import Any, TypedDict

import duckdb
import pyarrow

Compute = Callable[..., pyarrow.Table]
GivenByModel = TypedDict(
    "GivenByModel",
    {"rows": Any, "some_at_once": Compute, "all_at_once": Compute, "is_of_graph": bool, "with": list[Any]},
    total=False,
)


def computed_by_duckdb(given: GivenByModel) -> pyarrow.Table:
    """The model's rows."""
    compute = given.get("some_at_once") or given["all_at_once"]
    more = [
        value.to_arrow_table() if isinstance(value, duckdb.DuckDBPyRelation) else value
        for value in given.get("with", ())
    ]
    return compute(given["rows"].to_arrow_table(), *more)
