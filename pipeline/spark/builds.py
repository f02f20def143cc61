"""A build on Spark: sends it what was loaded, runs dbt there, and brings what is published into the warehouse's own file."""

import logging
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from pipeline import sql
from pipeline.capacity import ResourcesError
from pipeline.contracts import delivered_tables
from pipeline.dbt_runner import Build, Model, build_of, models, run_dbt
from pipeline.ledger import begin_build, end_build, last_build
from pipeline.marts import PUBLISHED_AS
from pipeline.settings import Rules
from pipeline.spark.copies import AFFECTED, copy_tables
from pipeline.spark.python_models import submit_here
from pipeline.spark.session import open_session
from pipeline.spark.tables import drop_raw, drop_strays, expire_snapshots, matches_ledger, send_raw, send_seeds
from pipeline.warehouse import Warehouse, first_line

log = logging.getLogger("multichannel")

TARGET = "spark"
# DuckDB's own views of the marts. They read tables that are copied, and seeds.
MART_VIEWS = (
    *("build", "--full-refresh", "--select", "resource_type:seed", "path:models/marts,config.materialized:view"),
    *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
)
# What publication reads beside the marts.
COPIED = (*PUBLISHED_AS, AFFECTED, "int_contact_changes", "stg_data_through")


@contextmanager
def translated() -> Iterator[None]:
    """Reports Spark's errors in one line each. Raises ResourcesError."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise ResourcesError(f"Spark: {first_line(error)}. Readers keep what is published.") from error


class Spark:
    """Builds on Spark; what is published is copied into the warehouse's own file. The ledger of builds stays there."""

    @translated()
    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        with warehouse.connected() as connection:
            row_count = sum(sql.count(connection, f"raw.{table}") for table in delivered_tables())
        self.session = open_session(warehouse, row_count)
        submit_here()

    @translated()
    def reason_for_full_build(self) -> str | None:
        with self.warehouse.connected() as connection:
            if matches_ledger(self.session, connection):
                return None
        return "Spark's tables don't match this warehouse's last build"

    @translated()
    def run_dbt(self, rules: Rules, arguments: Sequence[str], facts: Mapping[str, str], is_full: bool) -> Build:
        """If the process dies, the ledger's entry stays open and the next build repeats the work."""
        build_id = str(uuid.uuid4())
        facts = {**facts, "BUILD_OF_OTHER_ENGINE": build_id, "BUILD_PARTS": "[]"}
        with self.warehouse.connected() as connection:
            if not matches_ledger(self.session, connection):
                drop_raw(self.session)
            last = last_build(connection)
            begin_build(connection, build_id, is_full, facts)
            send_raw(self.session, connection)
        if is_full:
            send_seeds(self.session)
        outcome = build_of(run_dbt(self.warehouse.folder, arguments, rules, facts, TARGET))
        if outcome.is_passed:
            self._copy_marts(rules, is_full)
            if is_full:
                views = build_of(run_dbt(self.warehouse.folder, MART_VIEWS, rules, facts))
                outcome = outcome if views.is_passed else views
        is_whole = "--select" not in arguments
        with self.warehouse.connected() as connection:
            end_build(connection, build_id, ("passed" if is_whole else "partial") if outcome.is_passed else "failed")
        if outcome.is_passed:
            try:
                expire_snapshots(self.session)
                if last and last["outcome"] in ("running", "failed"):
                    drop_strays(self.session)
            except (PySparkException, Py4JError) as error:
                log.warning("old files are kept: %s", first_line(error))
        return outcome

    def _copy_marts(self, rules: Rules, is_full: bool) -> None:
        with self.warehouse.connected() as connection:
            copy_tables(self.session, connection, copied_models(models(rules, TARGET)), is_full)

    @translated()
    def rows(self, query: str) -> Sequence[Any]:
        return [tuple(row) for row in self.session.sql(query).collect()]

    @translated()
    def drop_all_but(self, made: Collection[tuple[str, str]]) -> None:
        for schema in ("staging", "intermediate", "marts"):
            for kind, column in (("table", "tableName"), ("view", "viewName")):
                for row in self.session.sql(f"show {kind}s in {schema}").collect():
                    if (schema, row[column]) not in made:
                        self.session.sql(f"drop {kind} {schema}.{row[column]}{' purge' if kind == 'table' else ''}")


def copied_models(described: Mapping[str, Model]) -> list[Model]:
    """The tables that the warehouse's file needs: the marts, what DuckDB's views of them read, and `COPIED`."""
    marts = [model for model in described.values() if model.schema == "marts"]
    views = {model.name for model in marts if model.is_view}
    read = {parent for model in marts if model.is_view for parent in model.parents}
    names = ({model.name for model in marts} | read | set(COPIED)) - views
    return [described[name] for name in sorted(names)]
