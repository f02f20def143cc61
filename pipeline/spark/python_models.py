"""How Spark computes dbt's Python models (see `pipeline/python_models.py`)."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow
from dbt.adapters.base.impl import PythonJobHelper
from dbt.adapters.spark.impl import SparkAdapter
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline.python_models import GivenByModel
from pipeline.spark.components import components_by_joins, drop_rounds
from pipeline.spark.settings import SparkSettings

# What the materialization writes after a model's own source (`macros/engine/spark_builds.sql`).
END_OF_SOURCE = "\ndbt = dbtObj("


class SubmittedHere(PythonJobHelper):
    """Runs a model in the process of the build, which has the session. dbt knows only clusters that take scripts."""

    def __init__(self, parsed_model: dict[str, Any], credentials: Any) -> None:
        pass

    def submit(self, compiled_code: str) -> str:
        # The process has one session; dbt's threads have none of their own.
        session = SparkSession.builder.getOrCreate()
        source = compiled_code.partition(END_OF_SOURCE)[0]

        def write_rows(given: GivenByModel, table: str, is_appended: bool) -> None:
            try:
                writer = compute_rows(session, given, source).writeTo(table)
                writer.append() if is_appended else writer.using("iceberg").createOrReplace()
            finally:
                if given.get("is_of_graph"):
                    drop_rounds(session)

        exec(compile(compiled_code, "model", "exec"), {"__name__": "model", "spark": session, "write_rows": write_rows})
        return "ok"


def submit_here() -> None:
    """Makes dbt's adapter submit models here."""
    SparkAdapter.python_submission_helpers = property(lambda self: {"here": SubmittedHere})
    SparkAdapter.default_python_submission_method = property(lambda self: "here")


def compute_rows(session: SparkSession, given: GivenByModel, source: str) -> DataFrame:
    """A model's rows: computed by the workers where any part of the rows will do, else by the driver."""
    rows = given["rows"]
    more = [value.toArrow() if isinstance(value, DataFrame) else value for value in given.get("with", ())]
    if given.get("is_of_graph") and rows.count() > SparkSettings.read().largest_graph:
        return components_by_joins(session, rows)
    if "some_at_once" not in given:
        return to_spark(session, given["all_at_once"](rows.toArrow(), *more))
    compute = given["some_at_once"]
    schema = compute(rows.limit(0).toArrow(), *more).schema
    return rows.mapInArrow(_batch_by_batch(source, compute.__name__, more), from_arrow_schema(schema))


def _batch_by_batch(source: str, function: str, more: list[Any]) -> Callable[[Iterator[pyarrow.RecordBatch]], Any]:
    """A function for the workers, which have no module of the model: they get its source."""

    def each(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        namespace: dict[str, Any] = {"__name__": "model"}
        exec(compile(source, "model", "exec"), namespace)
        for batch in batches:
            yield from namespace[function](pyarrow.Table.from_batches([batch]), *more).to_batches()

    return each


def to_spark(session: SparkSession, rows: pyarrow.Table) -> DataFrame:
    """Arrow's rows as Spark's."""
    schema = from_arrow_schema(rows.schema)
    # Spark refuses an Arrow table without batches.
    return session.createDataFrame(rows if len(rows) else [], schema=schema)
