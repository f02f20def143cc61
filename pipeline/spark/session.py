"""The session with Spark: one a process, with a catalog of its own name."""

import logging
import os
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from pipeline.settings import Settings
from pipeline.spark.jars import checked_jars
from pipeline.spark.settings import CLUSTER, CLUSTER_HOST, SQLITE, WORKER_MEMORY, SparkSettings, find_java
from pipeline.warehouse import SCHEMAS, Warehouse

# Never Spark's own catalog: `spark_catalog` returned stale rows of replaced tables.
CATALOG = "lake"
LAKE_FOLDER = "lake"  # in the warehouse's folder, unless SPARK_LAKE names another
# Up to so many delivered rows, compiling a build's statements takes longer (estimated) than running them: Spark doesn't compile them,
# and Java compiles its own code only once.
FEW_ROWS = 200_000
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
COMPILED_ONCE = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
# So many fit the memory of a small worker. Spark joins tasks that turn out small.
ROWS_OF_A_TASK = 250_000
HADOOP = "org.apache.iceberg.hadoop.HadoopFileIO"
LOGGING = Path(__file__).with_name("log4j2.properties")

# The session of this process, and the folder of its warehouse.
_opened: tuple[Path, SparkSession] | None = None


def open_session(warehouse: Warehouse, row_count: int = 0, settings: SparkSettings | None = None) -> SparkSession:
    """Opens this process's session once, for a build of so many delivered rows. Raises SettingsError."""
    global _opened
    if _opened is not None:
        folder, session = _opened
        if folder == warehouse.folder:
            return session
        close_session()  # its catalog is another warehouse's
    session = _open(warehouse, row_count, settings or SparkSettings.read())
    _opened = warehouse.folder, session
    return session


def close_session() -> None:
    global _opened
    if _opened is not None:
        _, session = _opened
        _opened = None
        with suppress(Py4JError, ConnectionError):  # Java has died
            session.stop()


def _open(warehouse: Warehouse, row_count: int, settings: SparkSettings) -> SparkSession:
    jars = checked_jars(find_java(), settings.jars_dir, settings.repository)
    # Workers compute Python models, with the same Python.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if settings.is_on_this_machine:
        # Or Spark's page could be read from other machines.
        os.environ.setdefault("SPARK_LOCAL_IP", CLUSTER_HOST)
    builder = SparkSession.builder
    for name, value in _options(warehouse, settings, jars, row_count).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        _prepare(session, warehouse, settings)
    except BaseException:
        session.stop()  # or the next one would have its catalog
        raise
    return session


def _prepare(session: SparkSession, warehouse: Warehouse, settings: SparkSettings) -> None:
    session.sparkContext.setLogLevel("ERROR")
    if settings.is_on_this_machine and not settings.has_rest_catalog and "://" not in lake_of(warehouse, settings):
        _drop_defaults_of_hadoop(session)
    # It adds hundreds of lines to errors that are reported anyway.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    _register_functions(session)
    for schema in SCHEMAS:
        session.sql(f"create namespace if not exists {schema}")


def _options(warehouse: Warehouse, settings: SparkSettings, jars: list[Path], row_count: int) -> dict[str, str]:
    is_small = row_count <= FEW_ROWS
    java_options = "-Duser.timezone=UTC" + (f" {COMPILED_ONCE}" if is_small else "")
    catalog = f"spark.sql.catalog.{CATALOG}"
    options = {
        "spark.app.name": "multichannel",
        "spark.master": settings.master,
        # As addresses, in which a comma is no comma.
        "spark.jars": ",".join(jar.as_uri() for jar in jars),
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.table-default.write.metadata.delete-after-commit.enabled": "true",
        f"{catalog}.table-default.write.metadata.previous-versions-max": "3",
        "spark.sql.defaultCatalog": CATALOG,
        "spark.sql.warehouse.dir": str(warehouse.temporary_dir / "spark-warehouse"),
        # What decides values, whatever `spark-defaults.conf` says.
        "spark.sql.ansi.enabled": "true",
        "spark.sql.timestampType": "TIMESTAMP_LTZ",
        "spark.sql.parser.escapedStringLiterals": "false",
        "spark.sql.decimalOperations.allowPrecisionLoss": "true",
        # R10: instants are shown in no other zone, whatever the machine's is.
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.extraJavaOptions": f"{java_options} -Dlog4j2.configurationFile={LOGGING.as_uri()}",
        "spark.executor.extraJavaOptions": java_options,
        "spark.ui.showConsoleProgress": "false",
    }
    options |= {f"{catalog}.{name}": value for name, value in _catalog_options(warehouse, settings).items()}
    if is_small:
        options |= INTERPRETED
    if settings.is_on_this_machine:
        # Spark's default is for many machines: hundreds of tasks, however few the rows are.
        options["spark.sql.shuffle.partitions"] = str(max(2, Settings.read().threads, row_count // ROWS_OF_A_TASK))
    if settings.master == CLUSTER:
        # Spark's default would leave half of it to others.
        options["spark.executor.memory"] = WORKER_MEMORY
    return options


def _catalog_options(warehouse: Warehouse, settings: SparkSettings) -> dict[str, str]:
    if settings.catalog_uri and settings.has_rest_catalog:
        return {"type": "rest", "uri": settings.catalog_uri}  # its server says where the tables' files are
    lake = lake_of(warehouse, settings)
    if "://" not in lake:
        Path(lake).mkdir(parents=True, exist_ok=True)
    uri = settings.catalog_uri or f"{SQLITE}{lake}/catalog.db"
    # Of dbt's threads, one at a time can commit to SQLite; the others wait so many milliseconds.
    of_sqlite = {"jdbc.busy_timeout": "60000", "io-impl": HADOOP} if uri.startswith(SQLITE) else {}
    # Views need the schema's version.
    return {"type": "jdbc", "uri": uri, "warehouse": lake, "jdbc.schema-version": "V1", **of_sqlite}


def lake_of(warehouse: Warehouse, settings: SparkSettings) -> str:
    """The lake's folder: a path or an address. A REST server chooses its own."""
    return settings.lake or str(warehouse.folder / LAKE_FOLDER)


def _drop_defaults_of_hadoop(session: SparkSession) -> None:
    """A local folder needs none of them, and each reading of a table would send the workers all thousand."""
    context = session.sparkContext
    hadoop = context._jsc.hadoopConfiguration()
    hadoop.clear()
    for name, value in context.getConf().getAll():
        if name.startswith("spark.hadoop."):
            hadoop.set(name.removeprefix("spark.hadoop."), value)


def _register_functions(session: SparkSession) -> None:
    """Functions that Spark lacks. Views can't use them."""

    # Not one of the module's, which workers on other machines don't have.
    def nfc(text: str | None) -> str | None:
        return None if text is None else unicodedata.normalize("NFC", text)

    session.udf.register("nfc", nfc, "string")
