"""The journal by hand in PySpark, on this machine."""

import os
import sys
from pathlib import Path

import numpy
import pyarrow
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as f

from benchmarks.peers.shared import (
    CONTACT_TYPES,
    HISTORY_TOUCHES,
    HOST,
    ID_KINDS,
    PAGE_TAG,
    QUERY,
    SEEDS,
    VALUES,
    Channels,
    clients_of,
    phone_number,
    run,
)

ORIGIN = ("brand_id", "utm_source", "utm_medium", "page_source", "page_medium", "parameters", "host")


def seed(spark: SparkSession, name: str) -> DataFrame:
    return f.broadcast(spark.read.csv(str(SEEDS / f"{name}.csv"), header=True))


def delivered(spark: SparkSession, landing: Path, table: str, instant: str, key: str) -> DataFrame:
    """The newest version of each good record."""
    rows = spark.read.csv(str(landing / table / "*"), header=True, quote='"', escape='"').withColumn(
        "load_day", f.regexp_extract("_metadata.file_path", r"(\d{4}-\d\d-\d\d)/[^/]*$", 1)
    )
    good_rows = rows.withColumn(instant, f.try_to_timestamp(instant)).where(
        f.col(key).isNotNull()
        & f.col("widget_id").isNotNull()
        & (f.col(instant) >= "2000-01-01")
        & (f.col(instant) < f.date_add(f.to_date("load_day"), 2).cast("timestamp"))
    )
    newest_first = Window.partitionBy(key).orderBy(f.desc("load_day"))
    widgets = seed(spark, "widgets").select("widget_id", "brand_id")
    return (
        good_rows.withColumn("version", f.row_number().over(newest_first))
        .where("version = 1")
        .join(widgets, "widget_id", "left")
        .fillna("default", "brand_id")
    )


def tied_by(records: DataFrame, key: str, kinds: tuple[str, ...]) -> DataFrame:
    """One row per record and identifier."""
    pairs = f.array(
        *(f.struct(f.lit(kind).alias("identifier_kind"), f.col(kind).alias("identifier")) for kind in kinds)
    )
    return records.select(f.col(key).alias("record_id"), "brand_id", f.inline(pairs)).where("identifier is not null")


def clients(spark: SparkSession, touches: DataFrame, contacts: DataFrame) -> DataFrame:
    """The client of each record of somebody who made contact. The graph goes to scipy, as in the driver it takes one pass."""
    ignored = seed(spark, "ignored_identifiers")
    of_kinds, of_all = ignored.where("identifier_kind is not null"), ignored.where("identifier_kind is null")
    tied = (
        tied_by(touches, "touch_id", ID_KINDS)
        .union(tied_by(contacts, "contact_id", (*ID_KINDS, "phone", "email")))
        .join(seed(spark, "placeholders"), f.expr("lower(identifier) = placeholder"), "left_anti")
        .join(of_kinds, ["identifier_kind", "identifier"], "left_anti")
        .join(of_all, "identifier", "left_anti")
        .select("record_id", f.concat_ws(" ", "brand_id", "identifier_kind", "identifier").alias("identifier"))
        .toArrow()
    )
    contact_ids = contacts.select("contact_id").toArrow()["contact_id"]
    records = (
        pyarrow.chunked_array([*contact_ids.chunks, *tied["record_id"].chunks]).combine_chunks().dictionary_encode()
    )
    identifiers = tied["identifier"].combine_chunks().dictionary_encode()
    numbers = records.indices.to_numpy()
    client = clients_of(numbers[len(contact_ids) :], identifiers.indices.to_numpy(), len(records.dictionary))
    found = pyarrow.table({"record_id": records.dictionary, "client": client})
    return spark.createDataFrame(found.filter(numpy.isin(client, client[: len(contact_ids)])))


def with_channels(spark: SparkSession, touches: DataFrame) -> DataFrame:
    def text(column: Column) -> Column:
        return f.coalesce(column, f.lit(""))

    origins = touches.select(
        *("client", "touch_id", "touched_at", "brand_id"),
        text(f.col("utm_source")).alias("utm_source"),
        text(f.col("utm_medium")).alias("utm_medium"),
        text(f.regexp_extract("landing_page", PAGE_TAG.format("utm_source"), 1)).alias("page_source"),
        text(f.regexp_extract("landing_page", PAGE_TAG.format("utm_medium"), 1)).alias("page_medium"),
        text(f.regexp_replace(f.regexp_extract("landing_page", QUERY, 1), VALUES, "=x")).alias("parameters"),
        text(f.regexp_extract("referrer", HOST, 1)).alias("host"),
    ).cache()
    channels = Channels()
    distinct = [tuple(row) for row in origins.select(*ORIGIN).distinct().collect()]
    named = spark.createDataFrame([(*origin, channels.channel(*origin)) for origin in distinct], [*ORIGIN, "channel"])
    return origins.join(f.broadcast(named), list(ORIGIN))


def write_journal(landing: Path, out: Path, threads: int) -> None:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.session.timeZone", "Europe/Moscow")
        .config("spark.sql.shuffle.partitions", threads)
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    touches = (
        delivered(spark, landing, "touches", "touched_at", "touch_id")
        .select(
            *("touch_id", "touched_at", "brand_id", *ID_KINDS, "utm_source", "utm_medium", "landing_page", "referrer")
        )
        .cache()
    )
    contacts = delivered(spark, landing, "contacts", "contacted_at", "contact_id").where(
        f.lower("contact_type").isin(*CONTACT_TYPES)
    )
    email = f.when(f.col("email").rlike("^[^@]+@[^@]+$"), f.trim(f.lower("email")))
    contacts = contacts.select(
        *("contact_id", "contacted_at", "brand_id", *ID_KINDS),
        f.udf(phone_number)("phone").alias("phone"),
        email.alias("email"),
    ).cache()
    of_clients = clients(spark, touches, contacts).cache()
    contacts = contacts.join(of_clients, f.col("contact_id") == f.col("record_id")).select(
        "contact_id", "contacted_at", "client"
    )
    touches = with_channels(spark, touches.join(of_clients, f.col("touch_id") == f.col("record_id")))
    steps = f.sort_array(f.collect_list(f.struct("touched_at", "touch_id", "channel")))
    counts = (
        contacts.join(touches, "client")
        .where("touched_at < contacted_at")
        .groupBy("contact_id")
        .agg(f.count("*").alias("touch_count"), f.countDistinct("channel").alias("channel_count"), steps.alias("steps"))
    )
    kept = f.expr(f"slice(steps, greatest(touch_count - {HISTORY_TOUCHES}, 0) + 1, {HISTORY_TOUCHES}).channel")
    first_contact = f.first("contact_id").over(Window.partitionBy("client").orderBy("contacted_at", "contact_id"))
    (
        contacts.withColumn("client_id", f.concat(f.lit("client-"), first_contact))
        .join(counts, "contact_id", "left")
        .select(
            "contact_id",
            "client_id",
            f.coalesce("touch_count", f.lit(0)).alias("touch_count"),
            f.coalesce("channel_count", f.lit(0)).alias("channel_count"),
            (f.coalesce("channel_count", f.lit(0)) >= 2).alias("is_multichannel"),
            f.concat(
                f.when(f.col("touch_count") > HISTORY_TOUCHES, "… > ").otherwise(""), f.array_join(kept, " > ")
            ).alias("touch_chain"),
        )
        .coalesce(1)
        .write.parquet(str(out), mode="append")
    )
    # Waited for, so that what Java took counts as this process's.
    java = spark.sparkContext._gateway.proc
    spark.stop()
    java.stdin.close()
    java.wait()


if __name__ == "__main__":
    run(write_journal)
