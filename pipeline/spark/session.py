"""The session with Spark: one a process, with a catalog of its own name."""

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import unicodedata
from contextlib import closing, suppress
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.sql import SparkSession

from pipeline.settings import Settings, SettingsError
from pipeline.spark.jars import checked_jars
from pipeline.spark.settings import CLUSTER, CLUSTER_HOST, SQLITE, WORKER_MEMORY, SparkSettings, find_java
from pipeline.warehouse import SCHEMAS, Warehouse

# Never Spark's own catalog: `spark_catalog` returned stale rows of replaced tables.
CATALOG = "lake"
CATALOG_FILE = "catalog.db"
# In a lake that SPARK_LAKE names: which catalog its tables are in.
CLAIM = "catalog.txt"
LAKE_FOLDER = "lake"  # in the warehouse's folder, unless SPARK_LAKE names another
# Up to this many delivered rows (an estimate), compiling a build's statements takes longer than running them. So Spark doesn't
# compile them, and Java compiles its own code only once.
FEW_ROWS = 200_000
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
# Java never compiles a longer method, and most of our statements would become one: their parts are compiled instead.
LONGEST_METHOD = {"spark.sql.codegen.hugeMethodLimit": "8000"}
COMPILED_ONCE = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
# The driver's heap if everything runs on this machine.
DRIVER_MEMORY = "2g"
# So many fit the memory of a small worker. Spark joins tasks that turn out small.
ROWS_OF_A_TASK = 250_000
HADOOP = "org.apache.iceberg.hadoop.HadoopFileIO"
log = logging.getLogger("multichannel")
LOGGING = Path(__file__).with_name("log4j2.properties")

# The session of this process, and the folder of its warehouse.
_opened: tuple[Path, SparkSession] | None = None
_option_names: list[str] = []


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
        _stop(session)


def _stop(session: SparkSession) -> None:
    with suppress(Py4JError, ConnectionError):  # Java has died
        system = session._jvm.java.lang.System
        session.stop()
        # Java keeps the first session's options as properties, with which the next one would begin.
        for name in _option_names:
            system.clearProperty(name)


def death_of_java() -> str | None:
    """How Java, in which Spark runs, ended; None if it runs, or never did."""
    gateway = SparkContext._gateway
    if gateway is None or gateway.proc is None:  # or another process has started it
        return None
    try:
        # Its connections end shortly before it does.
        exit_code = gateway.proc.wait(1)
    except subprocess.TimeoutExpired:
        return None
    if exit_code == -signal.SIGKILL:
        return "its Java was killed, as the system does when memory runs out"
    return f"its Java ended with exit code {exit_code}"


def _open(warehouse: Warehouse, row_count: int, settings: SparkSettings) -> SparkSession:
    if not settings.is_shared:
        _drop_unusable(Path(lake_of(warehouse, settings)))
    jars = checked_jars(find_java(), settings.jars_dir, settings.repository)
    # Workers compute Python models, with the same Python.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if settings.is_on_this_machine:
        # Or Spark's page could be read from other machines.
        os.environ.setdefault("SPARK_LOCAL_IP", CLUSTER_HOST)
        # Java takes no more than it needs. A setting of `spark-defaults.conf` takes precedence.
        os.environ.setdefault("SPARK_DRIVER_MEMORY", DRIVER_MEMORY)
    builder = SparkSession.builder
    options = _options(warehouse, settings, jars, row_count)
    _option_names[:] = options
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        _prepare(session, warehouse, settings)
    except BaseException:
        _stop(session)  # or the next one would have its catalog
        raise
    return session


def _prepare(session: SparkSession, warehouse: Warehouse, settings: SparkSettings) -> None:
    session.sparkContext.setLogLevel("ERROR")
    if settings.is_on_this_machine and not settings.has_rest_catalog and "://" not in lake_of(warehouse, settings):
        _drop_defaults_of_hadoop(session)
    _silence_python(session)
    if settings.lake and not settings.has_rest_catalog:
        _claim_lake(session, settings.lake, settings.catalog_uri or CATALOG_FILE)
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
        # These change results, so `spark-defaults.conf` must not override them.
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
    options |= INTERPRETED if is_small else LONGEST_METHOD
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
        try:
            Path(lake).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"The folder {lake} can't be made ({error.strerror}): set SPARK_LAKE to one that this user may write to."
            ) from None
    uri = settings.catalog_uri or f"{SQLITE}{lake}/{CATALOG_FILE}"
    # Of dbt's threads, one at a time can commit to SQLite; the others wait so many milliseconds.
    of_sqlite = {"jdbc.busy_timeout": "60000", "io-impl": HADOOP} if uri.startswith(SQLITE) else {}
    # Views need the schema's version.
    return {"type": "jdbc", "uri": uri, "warehouse": lake, "jdbc.schema-version": "V1", **of_sqlite}


def lake_of(warehouse: Warehouse, settings: SparkSettings) -> str:
    """The lake's folder: a path or an address. A REST server chooses its own."""
    return settings.lake or str(warehouse.folder / LAKE_FOLDER)


def _drop_unusable(lake: Path) -> None:
    """Removes a warehouse's own lake if not all of its tables are there, as after a copy, a move or a loss.

    The next build then builds everything.
    """
    if (lake / CATALOG_FILE).exists() and (fault := _fault_of(lake)):
        log.warning("removing %s, to rebuild it: %s", lake, fault)
        shutil.rmtree(lake)


def _fault_of(lake: Path) -> str | None:
    catalog = lake / CATALOG_FILE
    try:
        with closing(sqlite3.connect(catalog)) as connection:
            tables = [Path(file) for (file,) in connection.execute("select metadata_location from iceberg_tables")]
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None  # killed before the catalog's tables were created
        raise SettingsError(f"{catalog} can't be read: {error}.") from None
    except sqlite3.DatabaseError as error:
        return f"{catalog.name}: {error}"
    lost = (
        table
        for table in tables
        if not table.resolve().is_relative_to(lake.resolve()) or not table.is_file() or not table.stat().st_size
    )
    return next((f"{table} is missing, empty or outside this folder" for table in lost), None)


def _drop_defaults_of_hadoop(session: SparkSession) -> None:
    """A local folder needs none of them, and each reading of a table would send the workers all thousand."""
    context = session.sparkContext
    hadoop = context._jsc.hadoopConfiguration()
    hadoop.clear()
    for name, value in context.getConf().getAll():
        if name.startswith("spark.hadoop."):
            hadoop.set(name.removeprefix("spark.hadoop."), value)


def _claim_lake(session: SparkSession, lake: str, catalog: str) -> None:
    """Leaves the catalog's address in a lake: tables of two catalogs would be in the same folders, and drop each other's files.

    Raises SettingsError if the lake is another catalog's.
    """
    path = session._jvm.org.apache.hadoop.fs.Path(f"{lake.rstrip('/')}/{CLAIM}")
    files = path.getFileSystem(session.sparkContext._jsc.hadoopConfiguration())
    claimed = ""
    if files.exists(path):
        with closing(files.open(path)) as stream:
            claimed = session._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
    if not claimed:  # or killed while it was written
        with closing(files.create(path, True)) as stream:
            stream.write(catalog.encode())
    elif claimed != catalog:
        raise SettingsError(
            f"SPARK_LAKE = {lake!r} holds tables of another catalog, {claimed}: give every warehouse its own. If the catalog "
            f"only has a new address, remove {CLAIM} there."
        )


def _silence_python(session: SparkSession) -> None:
    """Spark's Python writes tracebacks of errors that are reported anyway."""
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_not_of_py4j)
    session.sparkContext._accumulatorServer.handle_error = lambda request, client_address: None


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    return record.module != "java_gateway"


def _register_functions(session: SparkSession) -> None:
    """Functions that Spark lacks. Views can't use them."""

    # Not one of the module's, which workers on other machines don't have.
    def nfc(text: str | None) -> str | None:
        return None if text is None else unicodedata.normalize("NFC", text)

    session.udf.register("nfc", nfc, "string")
