"""The same models on Spark: what they make is what DuckDB makes."""

import importlib.util
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import golden_marts
import pyarrow
import pytest
from places import Place, build_marts, built_marts, load_landing
from postgres_server import BASE, PASSWORD, USER, a_postgres
from processes import Site, finished
from random_deliveries import read_deliveries, write_delivery
from reference import Delivery, Row

from pipeline.settings import PROJECT_DIR, Rules, SettingsError
from pipeline.spark.jars import Jar, checked_jars
from pipeline.spark.settings import CLUSTER, SparkSettings, find_java, is_cluster_running
from pipeline.verifying import verify
from pipeline.warehouse import Warehouse

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="needs Java and `make install-spark`",
)

# Users with a catalog in PostgreSQL add this driver themselves.
POSTGRESQL_DRIVER = Jar(
    "org.postgresql", "postgresql", "42.7.14", "73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c"
)
LOSES_JAVA = """
import sys
from pathlib import Path
from pyspark import SparkContext
from pipeline.capacity import ResourcesError
from pipeline.spark.builds import translate_spark_errors
from pipeline.spark.session import close_session, open_session
from pipeline.warehouse import Warehouse

session = open_session(Warehouse(Path(sys.argv[1])))
session.sql("select nfc(cast(id as string)) from range(1)").collect()
SparkContext._gateway.proc.kill()
try:
    with translate_spark_errors():
        session.sql("select 1").collect()
except ResourcesError as error:
    print(error)
close_session()
"""
Marts = Mapping[str, Sequence[Mapping[str, Any]]]


def marts_of(place: Place, rules: Rules) -> list[Marts]:
    """What the worked cases' marts are after a full build of the first day, and after a build of what the others changed."""
    deliveries = read_deliveries(golden_marts.LANDING)
    days = sorted({delivery.load_day for delivery in deliveries})
    first_day = days[0]
    seen: list[Marts] = []
    # The second day's corrects the first's.
    costs = [
        Delivery("costs", day, {"part-1.csv": [cost(days[0], "10" if day == days[0] else "12.5"), cost(day, "3")]})
        for day in days
    ]
    for chosen in (lambda day: day == first_day, lambda day: day != first_day):
        for delivery in (*deliveries, *costs):
            if chosen(delivery.load_day):
                write_delivery(delivery, place.landing, "csv")
        assert [
            load.message for load in load_landing(place.warehouse, place.landing, rules) if load.outcome != "loaded"
        ] == []
        build_marts(place.warehouse, rules)
        with place.warehouse.locked("test"):
            place.publications.publish(rules)
        assert place.last_build()["is_full"] is (not seen)
        seen.append(built_marts(place.warehouse))
    return seen


def cost(day: date, amount: str) -> Row:
    campaign = "весна" if amount == "3" else "лето"
    return {
        "cost_date": str(day), "source": "vk", "medium": "cpc", "campaign": campaign, "term": f"двери {amount}", "amount": amount,
        "currency": "RUB",
    }  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a master with two workers, ended afterwards unless it ran before."""
    command = [sys.executable, "-m", "pipeline.spark.cluster"]
    was_running = is_cluster_running()
    subprocess.run([*command, "start"], cwd=PROJECT_DIR, check=True, timeout=120)
    try:
        yield CLUSTER
    finally:
        if not was_running:
            subprocess.run([*command, "stop"], cwd=PROJECT_DIR, check=True, timeout=120)
            assert not is_cluster_running()


@pytest.fixture
def rest_catalog(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    from rest_catalog import a_rest_catalog  # imports pyspark

    with a_rest_catalog(tmp_path / "rest") as address_and_lake:
        yield address_and_lake


def build_on_both_engines(folder: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> Place:
    """Builds the worked cases with DuckDB, then on Spark; asserts that the marts are equal. Returns Spark's place."""
    rules = Rules.read(golden_marts.CHANGED_SETTINGS[setting])
    monkeypatch.setenv("ENGINE", "duckdb")
    expected = marts_of(Place(folder / "duckdb"), rules)
    monkeypatch.setenv("ENGINE", "spark")
    place = Place(folder / "spark")
    given = marts_of(place, rules)
    for step in range(2):
        assert expected[step]["journal"] and expected[step]["channel_costs"]
        for mart, rows in expected[step].items():
            assert in_order(given[step][mart]) == in_order(rows), f"{mart} after build {step + 1}"
    return place


def test_the_worked_cases_are_the_same_on_both_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then `verify` rebuilds on Spark, and reports only the row that was changed by hand."""
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    place = build_on_both_engines(tmp_path, monkeypatch, "expected")
    changed = place.private("select min(contact_id) as contact_id from marts.journal")[0]["contact_id"]
    place.private(f"update marts.journal set call_page = 'elsewhere' where contact_id = '{changed}'")
    with place.warehouse.locked("test"):
        [difference] = verify(place.warehouse, Rules.read(golden_marts.CHANGED_SETTINGS["expected"]))
    assert (difference.table, difference.missing_count, difference.unexpected_count) == ("marts.journal", 1, 1)
    assert changed in difference.examples[0]
    assert not (place.warehouse.folder / "verification").exists()


def test_the_worked_cases_are_the_same_on_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: str
) -> None:
    monkeypatch.setenv("SPARK_MASTER", cluster)
    # What large data would take.
    monkeypatch.setattr("pipeline.spark.tables.ROWS_OF_BATCH", 200)
    monkeypatch.setattr("pipeline.spark.tables.BYTES_AT_ONCE", 1)
    monkeypatch.setattr("pipeline.spark.copies.ROWS_AT_ONCE", 50)
    monkeypatch.setattr("pipeline.spark.copies.FEW_CONTACTS", 0)
    monkeypatch.setenv("SPARK_LARGEST_GRAPH", "0")
    build_on_both_engines(tmp_path, monkeypatch, "expected_lookback_1_day")


def test_the_worked_cases_are_the_same_with_a_rest_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest_catalog: tuple[str, Path]
) -> None:
    address, lake = rest_catalog
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.setenv("SPARK_CATALOG_URI", address)
    place = build_on_both_engines(tmp_path, monkeypatch, "expected_since_previous_contact")
    assert list(lake.glob("marts/journal/metadata/*.json"))
    assert not (place.warehouse.folder / "lake").exists()


def test_the_catalog_may_be_in_postgresql(tmp_path: Path) -> None:
    """And the tables in a folder of their own, as on a cluster. In processes of their own: Java takes drivers when it starts."""
    expected, site = (Site(tmp_path / engine) for engine in ("duckdb", "spark"))
    (driver,) = checked_jars(find_java(), tmp_path / "jars", SparkSettings.read().repository, [POSTGRESQL_DRIVER])
    with a_postgres() as server:
        (tmp_path / "spark-defaults.conf").write_text(
            f"spark.driver.extraClassPath {driver}\n"
            f"spark.sql.catalog.lake.jdbc.user {USER}\n"
            f"spark.sql.catalog.lake.jdbc.password {PASSWORD}\n"
        )
        environment = {
            "ENGINE": "spark",
            "SPARK_MASTER": "local[2]",
            "SPARK_CONF_DIR": str(tmp_path),
            "SPARK_CATALOG_URI": f"jdbc:postgresql://127.0.0.1:{server.port}/{BASE}",
            "SPARK_LAKE": str(tmp_path / "lake"),
        }
        for last_day in ("2026-03-01", "2026-03-03"):
            for each in (expected, site):
                write_days(each.landing, last_day)
            for each, settings in ((expected, {"ENGINE": "duckdb"}), (site, environment)):
                outcome = finished(each.start("load", **settings))
                assert outcome.exit_code == 0, outcome.progress
            given, wanted = (
                {mart: sorted(map(repr, rows)) for mart, rows in each.marts().items()} for each in (site, expected)
            )
            assert wanted["journal"] and given == wanted
        assert int(server.sql("select count(*) from iceberg_tables")) > 50
    assert not list(tmp_path.rglob("catalog.db"))


def test_rows_that_builds_replace_by_contact_are_copied_by_contact() -> None:
    from pipeline.spark.copies import REPLACED_BY_CONTACT

    hook = re.compile(r"drop_affected_contacts\(this, '(\w+)'")
    files = sorted((PROJECT_DIR / "models").rglob("*.sql"))
    hooks = {file.stem: columns for file in files if (columns := hook.findall(file.read_text("utf-8")))}
    assert hooks == {model: [column] for model, column in REPLACED_BY_CONTACT.items()}


def write_days(landing: Path, last_day: str) -> None:
    """The worked cases' deliveries up to a day."""
    for folder in golden_marts.LANDING.glob("*/*"):
        if folder.name <= last_day:
            shutil.copytree(folder, landing / folder.relative_to(golden_marts.LANDING), dirs_exist_ok=True)


@pytest.mark.parametrize("graph", ["many small components", "a long chain", "a hub", "single nodes"])
def test_the_workers_find_the_components_that_the_driver_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: str
) -> None:
    from pipeline.spark.components import components_by_joins, drop_rounds
    from pipeline.spark.python_models import to_spark
    from pipeline.spark.session import open_session

    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    dice = random.Random(graph)
    pairs = {
        "many small components": [(dice.randrange(400), dice.randrange(400)) for _ in range(250)],
        # In random order: a chain of ascending nodes takes few rounds.
        "a long chain": list(pairwise(dice.sample(range(1000), 300))),
        "a hub": [(7, node) for node in range(500)] + [(7, 1000), (1000, 1001)],
        "single nodes": [(node, node) for node in range(5)],
    }[graph]
    edges = pyarrow.table({"node": [node for node, _ in pairs], "first_node": [first for _, first in pairs]})
    # In `int_identity_ties`, nodes are paired with themselves, too.
    nodes = sorted({*sum(pairs, ())})
    edges = pyarrow.concat_tables([edges, pyarrow.table({"node": nodes, "first_node": nodes})])
    session = open_session(Warehouse(tmp_path))
    try:
        found = components_by_joins(session, to_spark(session, edges)).toArrow()
    finally:
        drop_rounds(session)
    source = (PROJECT_DIR / "models/intermediate/identity/int_identity_components.py").read_text("utf-8")
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    assert partition_of(found) == partition_of(namespace["components"](edges))
    assert found.num_rows == len(nodes)
    assert session.sql("show tables in intermediate").collect() == []


def test_replaced_rows_are_dropped_on_spark_once_the_warehouse_has_dropped_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.spark.session import open_session
    from pipeline.spark.tables import send_raw

    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    warehouse = Warehouse(tmp_path)
    session = open_session(warehouse)
    # Load 2 failed, 3 replaced both; then 4 replaced 3.
    steps = [
        ("insert into raw.loads by name select unnest([1, 2, 3]) as load_id, unnest(['loaded', 'failed', 'loaded']) as outcome, "
         "unnest([1, 0, 1]) as loaded_count, unnest([3, 3, null]) as superseded_by, 'touches' as table_name; "
         "insert into raw.touches by name select unnest([1, 3]) as load_id", [1, 3]),
        ("delete from raw.touches where load_id = 1", [3]),
        ("update raw.loads set superseded_by = 4 where load_id = 3; "
         "insert into raw.loads by name select 4 as load_id, 'loaded' as outcome, 1 as loaded_count, 'touches' as table_name; "
         "insert into raw.touches by name select 4 as load_id", [3, 4]),
        ("delete from raw.touches where load_id = 3", [4]),
    ]  # fmt: skip
    with warehouse.locked("test"), warehouse.connected() as connection:
        for statement, load_ids in steps:
            connection.execute(statement)
            send_raw(session, connection)
            rows = session.sql("select load_id from raw.touches order by load_id").collect()
            assert [row["load_id"] for row in rows] == load_ids


def test_a_catalog_with_tables_of_others_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.spark import tables
    from pipeline.spark.session import open_session

    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.setenv("SPARK_LAKE", str(tmp_path / "shared"))
    warehouse = Warehouse(tmp_path / "warehouse")
    session = open_session(warehouse)
    ledger = "insert into raw.builds by name select 'a' as build_id, now() as started_at, 'passed' as outcome"
    with warehouse.locked("test"), warehouse.connected() as connection:
        assert tables.matches_ledger(session, connection), "a new warehouse, and no tables"
        session.range(3).writeTo("marts.of_others").using("iceberg").create()
        with pytest.raises(SettingsError, match=r"contains marts\.of_others, which this project didn't write"):
            tables.matches_ledger(session, connection)
        assert session.table("marts.of_others").count() == 3
        session.sql("drop table marts.of_others purge")
        connection.execute(ledger)
        assert not tables.matches_ledger(session, connection), "a warehouse whose tables are lost"
        connection.execute("update raw.builds set outcome = 'running'")
        tables.send_ledger(session, connection, "builds")
        assert tables.matches_ledger(session, connection), "a build that died: the next one repeats it"
        connection.execute("update raw.builds set outcome = 'passed'")
        assert not tables.matches_ledger(session, connection), "a copy from the middle of a build that has passed since"
        tables.send_ledger(session, connection, "builds")
        assert tables.matches_ledger(session, connection)
        tables.send_raw(session, connection)
        tables.drop_raw(session)
        assert [row["tableName"] for row in session.sql("show tables in raw").collect()] == ["builds"]
        assert not tables.matches_ledger(session, connection), "killed before the raw rows were sent again"
        connection.execute("delete from raw.builds")
        assert not tables.matches_ledger(session, connection), "the same, in a warehouse that has never built"


def test_a_lake_is_of_one_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.spark.session import close_session, open_session

    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.setenv("SPARK_LAKE", str(tmp_path / "shared"))
    first, second = (Warehouse(tmp_path / name) for name in ("first", "second"))
    for catalog in ("first.db", "first.db", ""):
        monkeypatch.setenv("SPARK_CATALOG_URI", catalog and f"jdbc:sqlite:{tmp_path}/{catalog}")
        if catalog:
            open_session(first)
        else:
            with pytest.raises(
                SettingsError, match=r"of another catalog, jdbc:sqlite:.*/first\.db: give every warehouse"
            ):
                open_session(second)
        close_session()
    (tmp_path / "shared" / "catalog.txt").write_text("")
    open_session(second)
    close_session()
    assert (tmp_path / "shared" / "catalog.txt").read_text() == "catalog.db"


def test_a_lake_that_was_copied_or_is_damaged_is_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.spark.session import close_session, open_session

    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    original, copy = (Warehouse(tmp_path / name) for name in ("original", "copy"))

    def tables_of(warehouse: Warehouse) -> list[str]:
        session = open_session(warehouse)
        return [row["tableName"] for row in session.sql("show tables in marts").collect()]

    assert tables_of(original) == []
    open_session(original).range(3).writeTo("marts.ids").using("iceberg").create()
    close_session()
    assert tables_of(original) == ["ids"]
    files = files_below(original.folder / "lake")
    shutil.copytree(original.folder, copy.folder)
    assert tables_of(copy) == []
    assert files_below(original.folder / "lake") == files
    # Emptied, as by a loss of power.
    next((original.folder / "lake/marts/ids/metadata").glob("*.metadata.json")).write_bytes(b"")
    assert tables_of(original) == []
    close_session()
    (original.folder / "lake/catalog.db").write_bytes(b"no database")
    assert tables_of(original) == []


def test_tables_take_no_more_space_however_often_they_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.spark import tables
    from pipeline.spark.session import open_session

    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.setattr(tables, "KEPT_HOURS", 0)
    warehouse = Warehouse(tmp_path)
    session = open_session(warehouse)
    lake = tmp_path / "lake"
    # What a build does with a table that it replaces, and with one that accumulates (`macros/engine/spark_builds.sql`).
    build = [
        "create or replace table marts.replaced using iceberg as select * from range(1000)",
        "create table if not exists marts.accumulating using iceberg as select * from range(1000)",
        "alter table marts.accumulating create or replace branch changes",
        "delete from marts.accumulating.branch_changes where id < 500",
        "insert into marts.accumulating.branch_changes select * from range(500)",
        "call system.fast_forward('marts.accumulating', 'main', 'changes')",
        "alter table marts.accumulating drop branch changes",
    ]
    counts = []
    with warehouse.locked("test"), warehouse.connected() as connection:
        for _ in range(12):
            for statement in build:
                session.sql(statement)
            tables.send_ledger(session, connection, "builds")
            tables.expire_snapshots(session)
            counts.append(len(files_below(lake)))
        # After some builds, there are as many old files of metadata as are kept.
        assert counts[6:] == counts[6:7] * 6
        stray = next(lake.glob("marts/replaced/data")) / "of-a-build-that-died.parquet"
        stray.write_bytes(b"rows")
        before = files_below(lake)
        tables.drop_strays(session)
    assert before - files_below(lake) == {stray}
    assert session.table("marts.accumulating").count() == session.table("marts.replaced").count() == 1000


def test_a_death_of_java_is_reported_in_one_line(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", LOSES_JAVA, str(tmp_path)], capture_output=True, cwd=PROJECT_DIR, text=True, timeout=120
    )
    assert outcome.stdout == (
        "Spark: its Java was killed, as the system does when memory runs out. Readers keep what is published.\n"
    )
    assert outcome.returncode == 0 and "Traceback" not in outcome.stderr, outcome.stderr


def files_below(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if file.is_file()}


def partition_of(components: pyarrow.Table) -> set[frozenset[int]]:
    """The nodes of each component: numbers of components mean nothing."""
    parts: dict[int, set[int]] = {}
    for row in components.to_pylist():
        parts.setdefault(row["component"], set()).add(row["node"])
    return {frozenset(part) for part in parts.values()}


def in_order(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows)
