"""What Spark reads of the warehouse: raw rows, the ledgers of loads and builds, and the seeds, as Iceberg tables."""

import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import duckdb
import pyarrow
from pyspark.sql import SparkSession

from pipeline import sql
from pipeline.contracts import delivered_tables, raw_columns
from pipeline.seeds import contracts
from pipeline.settings import PROJECT_DIR, SettingsError
from pipeline.spark.python_models import to_spark
from pipeline.spark.session import CATALOG
from pipeline.spark.settings import SparkSettings
from pipeline.warehouse import SCHEMAS

# What goes to Spark at once, as Arrow: Java holds it two or three times.
BYTES_AT_ONCE = 100_000_000
ROWS_OF_BATCH = 25_000
# A commit takes whole loads until it has this many rows.
ROWS_OF_COMMIT = 500_000
# Table property: the last load whose superseded rows are deleted from the table.
DROPPED = "multichannel.dropped-up-to"
# How long a query of another tool may read what a build has replaced.
KEPT_HOURS = 24


def matches_ledger(session: SparkSession, connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether Spark's tables are what the ledger's last build has left: not if either was lost, or is an older copy.

    Raises SettingsError if they are another warehouse's.
    """
    known = {build_id for (build_id,) in connection.execute("select build_id from raw.builds").fetchall()}
    is_shared = SparkSettings.read().is_shared
    if not session.catalog.tableExists("raw.builds"):
        if is_shared and (others := _names(session) + _names(session, "view")):
            raise SettingsError(
                f"The catalog in SPARK_CATALOG_URI or SPARK_LAKE contains {others[0]}, which this project didn't write; a build "
                "would drop it. Use a catalog that holds nothing else."
            )
        return not known
    builds = session.sql("select build_id, outcome from raw.builds order by started_at desc").collect()
    if not builds:
        return False  # `drop_raw` has begun
    if is_shared and not any(build["build_id"] in known for build in builds):
        raise SettingsError(
            "SPARK_LAKE and SPARK_CATALOG_URI lead to tables of another warehouse, or of this one before it was removed: "
            "set others, or drop these tables."
        )
    # A build that died early may be only in the warehouse's ledger. If the warehouse says `passed` and Spark doesn't, Spark's
    # tables were copied during that build.
    query = """
        select count(*) > 0 from raw.builds as last_build
        where build_id = ? and outcome in ('running', 'failed', ?) and not exists (
            select 1 from raw.builds where outcome = 'passed' and started_at > last_build.started_at
        )
    """
    return connection.execute(query, [builds[0]["build_id"], builds[0]["outcome"]]).fetchall() == [(True,)]


def newest_build(session: SparkSession) -> str:
    return str(session.sql("select max_by(build_id, started_at) from raw.builds").first()[0])


def drop_raw(session: SparkSession) -> None:
    """Drops all raw tables but the ledger of builds, which it empties: the ledger marks the catalog as a warehouse's."""
    for row in session.sql("show tables in raw").collect():
        if row["tableName"] == "builds":
            session.sql("delete from raw.builds")
        else:
            session.sql(f"drop table raw.{row['tableName']} purge")


def send_raw(session: SparkSession, connection: duckdb.DuckDBPyConnection) -> None:
    """Appends rows of new loads, deletes what the warehouse has dropped, and replaces the ledger of loads.

    A load arrives whole or not at all.
    """
    for table in delivered_tables():
        name = f"raw.{table}"
        session.sparkContext.setJobDescription(f"send {name}")
        empty = to_spark(session, connection.sql(f"{_columns(table)} from {name} limit 0").to_arrow_table())
        # A later version of the project may have more columns: then all rows are sent again.
        if not session.catalog.tableExists(name) or session.table(name).columns != empty.columns:
            empty.writeTo(name).using("iceberg").createOrReplace()
        _drop_loads(session, connection, table)
        last = session.sql(f"select coalesce(max(load_id), 0) from {name}").first()[0]
        for loads in _load_ranges(connection, table, last):
            _append(session, name, _parts_of_loads(connection, table, *loads))
    send_ledger(session, connection, "loads")


def send_ledger(session: SparkSession, connection: duckdb.DuckDBPyConnection, table: str) -> None:
    rows = connection.sql(f"{_columns(table)} from raw.{table}").to_arrow_table()
    to_spark(session, rows).writeTo(f"raw.{table}").using("iceberg").createOrReplace()


def _columns(table: str) -> str:
    """The beginning of a query of a raw table. Spark has no type for JSON."""
    columns = raw_columns()[table].items()
    listed = ", ".join(
        f"cast({sql.identifier(name)} as varchar) as {sql.identifier(name)}" if kind == "json" else sql.identifier(name)
        for name, kind in columns
    )
    return f"select {listed}"


def _drop_loads(session: SparkSession, connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Drops replaced rows that the warehouse has dropped, once their replacement was published."""
    properties = {row["key"]: row["value"] for row in session.sql(f"show tblproperties raw.{table}").collect()}
    # A publication drops all that was replaced before it. Loads without rows say nothing of what was dropped.
    query = f"""
        select load_id, superseded_by from raw.loads
        where table_name = ? and superseded_by > ? and outcome = 'loaded' and loaded_count > 0
            and load_id not in (select load_id from raw.{table})
    """
    gone = connection.execute(query, [table, int(properties.get(DROPPED, 0))]).fetchall()
    if gone:
        session.sql(f"delete from raw.{table} where load_id in ({', '.join(str(load_id) for load_id, _ in gone)})")
        last = max(superseded_by for _, superseded_by in gone)
        session.sql(f"alter table raw.{table} set tblproperties ('{DROPPED}' = '{last}')")


def _load_ranges(connection: duckdb.DuckDBPyConnection, table: str, last: int) -> Iterator[tuple[int, int]]:
    """Yields ranges of later loads (first, last), each of at least ROWS_OF_COMMIT rows while there are so many."""
    loads = connection.execute(
        f"select load_id, count(*) from raw.{table} where load_id > ? group by load_id order by load_id", [last]
    ).fetchall()
    first, count = None, 0
    for position, (load_id, load_count) in enumerate(loads):
        first = load_id if first is None else first
        count += load_count
        if count >= ROWS_OF_COMMIT or position == len(loads) - 1:
            yield first, load_id
            first, count = None, 0


def _parts_of_loads(
    connection: duckdb.DuckDBPyConnection, table: str, first: int, last: int
) -> Iterator[pyarrow.Table]:
    """Yields the rows of these loads in parts that fit the memory of Spark's driver."""
    batches: list[pyarrow.RecordBatch] = []
    query = f"{_columns(table)} from raw.{table} where load_id between {first} and {last}"
    for batch in connection.sql(query).to_arrow_reader(ROWS_OF_BATCH):
        if batches and sum(held.nbytes for held in batches) + batch.nbytes > BYTES_AT_ONCE:
            yield pyarrow.Table.from_batches(batches)
            batches = []
        batches.append(batch)
    if batches:
        yield pyarrow.Table.from_batches(batches)


def _append(session: SparkSession, name: str, parts: Iterator[pyarrow.Table]) -> None:
    """Appends rows in one visible commit; several parts on a branch, as models do (`macros/engine/spark_builds.sql`)."""
    first, second = next(parts), next(parts, None)
    if second is None:
        to_spark(session, first).writeTo(name).append()
        return
    session.sql(f"alter table {name} create or replace branch changes")
    for part in chain((first, second), parts):
        to_spark(session, part).writeTo(f"{name}.branch_changes").append()
    session.sql(f"call system.fast_forward('{name}', 'main', 'changes')")
    session.sql(f"alter table {name} drop branch changes")


def send_seeds(session: SparkSession) -> None:
    """Writes the seeds, read in the dialect in which they were checked."""
    with duckdb.connect() as connection:
        for name, contract in contracts().items():
            session.sparkContext.setJobDescription(f"send {name}")
            file = PROJECT_DIR / "seeds" / f"{name}.csv"
            columns = ", ".join(
                f"{sql.literal(column)}: {sql.literal(kind)}" for column, kind in contract.types.items()
            )
            rows = connection.sql(
                f"""
                from read_csv({sql.literal(file)}, header = true, auto_detect = false, delim = ',', quote = '"',
                    escape = '"', columns = {{{columns}}})
                """
            ).to_arrow_table()
            to_spark(session, rows).writeTo(f"staging.{name}").using("iceberg").createOrReplace()


def expire_snapshots(session: SparkSession) -> None:
    """Expires all but the current snapshots after KEPT_HOURS, and deletes the files that only they need."""
    before = _milliseconds(time.time() - KEPT_HOURS * 3600)
    for table in _tables(session):
        table.expireSnapshots().expireOlderThan(before).retainLast(1).cleanExpiredFiles(True).commit()


def drop_strays(session: SparkSession) -> None:
    """Drops files of no snapshot, which a build left that died. Needs the lock: nothing else may be writing."""
    actions = session._jvm.org.apache.iceberg.spark.actions.SparkActions.get()
    for table in _tables(session):
        actions.deleteOrphanFiles(table).olderThan(_milliseconds(time.time())).execute()


def remove_folder(session: SparkSession, address: str) -> None:
    """Removes a folder of the lake, if it is there."""
    path = session._jvm.org.apache.hadoop.fs.Path(address)
    path.getFileSystem(session.sparkContext._jsc.hadoopConfiguration()).delete(path, True)


def _tables(session: SparkSession) -> Iterator[Any]:
    """Iceberg's own objects of the tables, which can do more than Spark's SQL."""
    load = session._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable
    for name in _names(session):
        yield load(session._jsparkSession, f"{CATALOG}.{name}")


def _names(session: SparkSession, kind: str = "table") -> list[str]:
    """Names of all tables, or of all views, with their schemas."""
    return [
        f"{schema}.{row[f'{kind}Name']}"
        for schema in SCHEMAS
        for row in session.sql(f"show {kind}s in {schema}").collect()
    ]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
