"""A build on Spark: sends new raw rows, runs dbt, and copies the marts into the warehouse's own file."""

import logging
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

from pipeline import sql
from pipeline.capacity import ResourcesError
from pipeline.contracts import delivered_tables
from pipeline.dbt_runner import Build, Model, build_of, models, run_dbt
from pipeline.ledger import begin_build, end_build, last_build
from pipeline.marts import PUBLISHED_AS
from pipeline.settings import Rules, SettingsError
from pipeline.spark.copies import AFFECTED, copy_tables
from pipeline.spark.python_models import submit_here
from pipeline.spark.session import close_session, death_of_java, lake_of, open_session
from pipeline.spark.settings import SparkSettings
from pipeline.spark.tables import (
    drop_raw,
    drop_strays,
    expire_snapshots,
    matches_ledger,
    newest_build,
    remove_folder,
    send_ledger,
    send_raw,
    send_seeds,
)
from pipeline.warehouse import VERIFICATION, Warehouse, first_line, transaction

log = logging.getLogger("multichannel")

TARGET = "spark"
# DuckDB's own views of the marts. They read tables that are copied, and seeds.
MART_VIEWS = (
    *("build", "--full-refresh", "--select", "resource_type:seed", "path:models/marts,config.materialized:view"),
    *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
)
# What publication reads beside the marts.
COPIED = (*PUBLISHED_AS, AFFECTED, "int_contact_changes", "stg_data_through")


# Raised by calls to Spark; ConnectionError if Java has died.
SPARK_ERRORS = (PySparkException, Py4JError, ConnectionError)


@contextmanager
def translate_spark_errors() -> Iterator[None]:
    """Reports Spark's errors in one line each. Raises ResourcesError."""
    try:
        yield
    except SPARK_ERRORS as error:
        raise ResourcesError(f"Spark: {_first_line_of(error)}. Readers keep what is published.") from error


def _first_line_of(error: Exception) -> str:
    """The first line; for Java's errors Java's own, as Python's only names the method that was called."""
    if death := death_of_java():
        return death
    if isinstance(error, Py4JJavaError):
        with suppress(Py4JError, ConnectionError):  # Java has died since
            return str(error.java_exception.toString()).splitlines()[0]
    return first_line(error)


class Spark:
    """Builds on Spark; what is published is copied into the warehouse's own file. The ledger of builds stays there."""

    @translate_spark_errors()
    def __init__(self, warehouse: Warehouse, live: Warehouse | None = None) -> None:
        self.warehouse = warehouse
        self.live = live
        with self._source.connected() as connection:
            row_count = sum(sql.count(connection, f"raw.{table}") for table in delivered_tables())
        settings = SparkSettings.read()
        second_lake = None
        if live is not None:
            settings = settings.for_verification(warehouse.folder)
            second_lake = lake_of(warehouse, settings)
        elif settings.lake:
            second_lake = settings.for_verification(warehouse.folder / VERIFICATION).lake
        self.lake = lake_of(warehouse, settings)
        self.session = open_session(warehouse, row_count, settings)
        submit_here()
        if second_lake:
            try:
                remove_folder(self.session, second_lake)  # of a verification that was killed
            except SPARK_ERRORS:
                close_session()
                raise

    @property
    def _source(self) -> Warehouse:
        """Where the raw rows and the ledger of loads come from."""
        return self.live or self.warehouse

    @translate_spark_errors()
    def reason_for_full_build(self) -> str | None:
        with self.warehouse.connected() as connection:
            if matches_ledger(self.session, connection):
                return None
        return "Spark's tables don't match this warehouse's last build"

    @translate_spark_errors()
    def run_dbt(self, rules: Rules, arguments: Sequence[str], facts: Mapping[str, str], is_full: bool) -> Build:
        """If the process dies, the ledger's entry stays open and the next build repeats the work."""
        build_id = str(uuid.uuid4())
        facts = {**facts, "BUILD_OF_OTHER_ENGINE": build_id, "BUILD_PARTS": "[]"}
        with self.warehouse.connected() as connection:
            if not matches_ledger(self.session, connection):
                drop_raw(self.session)
            last = last_build(connection)
            begin_build(connection, build_id, is_full, facts)
            # Before any other table: the ledger marks the catalog as this warehouse's, even if the build dies.
            send_ledger(self.session, connection, "builds")
        with self._source.connected() as connection:
            send_raw(self.session, connection)
        if is_full:
            send_seeds(self.session)
        # Spark's page then names models and tests.
        describe = self.session.sparkContext.setJobDescription
        outcome = build_of(run_dbt(self.warehouse.folder, arguments, rules, facts, TARGET, describe))
        if not outcome.is_passed and (death := death_of_java()):
            raise ConnectionError(death)  # rather than a line for every model and test
        if outcome.is_passed:
            if newest_build(self.session) != build_id:
                raise SettingsError(
                    "Another warehouse was built in the same catalog meanwhile: give every warehouse its own."
                )
            self._copy_marts(rules, is_full)
            if is_full:
                views = build_of(run_dbt(self.warehouse.folder, MART_VIEWS, rules, facts))
                outcome = outcome if views.is_passed else views
        is_whole = "--select" not in arguments
        with self.warehouse.connected() as connection, transaction(connection):
            end_build(connection, build_id, ("passed" if is_whole else "partial") if outcome.is_passed else "failed")
            if outcome.is_passed:
                # Before the commit: if only this ledger had the pass, Spark's tables would look like an old copy.
                send_ledger(self.session, connection, "builds")
        if outcome.is_passed:
            try:
                expire_snapshots(self.session)
                if last and (is_full or last["outcome"] in ("running", "failed")):
                    drop_strays(self.session)
            except SPARK_ERRORS as error:
                log.warning("old files are kept: %s", _first_line_of(error))
        return outcome

    def _copy_marts(self, rules: Rules, is_full: bool) -> None:
        with self.warehouse.connected() as connection:
            copy_tables(self.session, connection, copied_models(models(rules, TARGET)), is_full)

    @translate_spark_errors()
    def rows(self, query: str) -> Sequence[Any]:
        return [tuple(row) for row in self.session.sql(query).collect()]

    @translate_spark_errors()
    def drop_all_but(self, made: Collection[tuple[str, str]]) -> None:
        for schema in ("staging", "intermediate", "marts"):
            for kind, column in (("table", "tableName"), ("view", "viewName")):
                for row in self.session.sql(f"show {kind}s in {schema}").collect():
                    if (schema, row[column]) not in made:
                        self.session.sql(f"drop {kind} {schema}.{row[column]}{' purge' if kind == 'table' else ''}")

    def discard(self) -> None:
        if self.live is None:
            raise ValueError("only a second warehouse may be discarded")
        try:
            remove_folder(self.session, self.lake)
        except SPARK_ERRORS as error:
            log.warning("remove %s, which holds personal data: %s", self.lake, _first_line_of(error))
        close_session()


def copied_models(described: Mapping[str, Model]) -> list[Model]:
    """The tables that the warehouse's file needs: the marts, what DuckDB's views of them read, and `COPIED`."""
    marts = [model for model in described.values() if model.schema == "marts"]
    views = {model.name for model in marts if model.is_view}
    read = {parent for model in marts if model.is_view for parent in model.parents}
    names = ({model.name for model in marts} | read | set(COPIED)) - views
    return [described[name] for name in sorted(names)]
