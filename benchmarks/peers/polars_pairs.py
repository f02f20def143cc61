"""The journal by hand in Polars. It takes its threads from POLARS_MAX_THREADS."""

from pathlib import Path

import polars

from benchmarks.peers.shared import (
    CONTACT_TYPES,
    HISTORY_TOUCHES,
    HOST,
    ID_KINDS,
    PAGE_TAG,
    QUERY,
    VALUES,
    Channels,
    clients_of,
    phone_number,
    run,
    seed,
)

ORIGIN = ("brand_id", "utm_source", "utm_medium", "page_source", "page_medium", "parameters", "host")


def delivered(landing: Path, table: str, instant: str, key: str) -> polars.LazyFrame:
    """The newest version of each good record."""
    widgets = polars.LazyFrame(seed("widgets")).select("widget_id", "brand_id")
    load_day = (
        polars.col("file")
        .str.extract(r"(\d{4}-\d\d-\d\d)/[^/]*$")
        .str.to_datetime("%Y-%m-%d", time_zone="Europe/Moscow")
    )
    return (
        polars.scan_csv(landing / table / "*/*.csv", infer_schema=False, include_file_paths="file")
        .with_columns(
            polars.col(instant).str.to_datetime("%Y-%m-%dT%H:%M:%S%#z", strict=False, time_zone="Europe/Moscow")
        )
        .filter(
            polars.col(key).is_not_null(),
            polars.col("widget_id").is_not_null(),
            polars.col(instant) >= polars.datetime(2000, 1, 1, time_zone="Europe/Moscow"),
            polars.col(instant) < load_day.dt.offset_by("2d"),
        )
        .sort("file", maintain_order=True)
        .unique(key, keep="last")
        .join(widgets, on="widget_id", how="left")
        .with_columns(polars.col("brand_id").fill_null("default"))
    )


def read_touches(landing: Path) -> polars.DataFrame:
    return (
        delivered(landing, "touches", "touched_at", "touch_id")
        .select("touch_id", "touched_at", "brand_id", *ID_KINDS, "utm_source", "utm_medium", "landing_page", "referrer")
        .collect()
        .with_row_index("record")
    )


def read_contacts(landing: Path, first_record: int) -> polars.DataFrame:
    contacts = (
        delivered(landing, "contacts", "contacted_at", "contact_id")
        .filter(polars.col("contact_type").str.to_lowercase().is_in(CONTACT_TYPES))
        .select(
            *("contact_id", "contacted_at", "brand_id", *ID_KINDS, "phone"),
            email=polars.col("email").str.to_lowercase().str.strip_chars().str.extract("^([^@]+@[^@]+)$"),
        )
        .collect()
    )
    spellings = contacts["phone"].drop_nulls().unique().to_list()
    numbers = {spelling: phone_number(spelling) for spelling in spellings}
    return contacts.with_columns(
        polars.col("phone").replace_strict(numbers, return_dtype=polars.String)
    ).with_row_index("record", first_record)


def with_clients(touches: polars.DataFrame, contacts: polars.DataFrame) -> tuple[polars.DataFrame, polars.DataFrame]:
    placeholders = [row["placeholder"] for row in seed("placeholders")]
    ignored = seed("ignored_identifiers")
    of_kinds = polars.DataFrame([row for row in ignored if row["identifier_kind"]]).select(
        "identifier_kind", "identifier"
    )
    of_all = [row["identifier"] for row in ignored if not row["identifier_kind"]]
    tied = (
        polars.concat(
            records.unpivot(
                kinds, index=["record", "brand_id"], variable_name="identifier_kind", value_name="identifier"
            )
            for records, kinds in ((touches, ID_KINDS), (contacts, (*ID_KINDS, "phone", "email")))
        )
        .drop_nulls("identifier")
        .filter(
            ~polars.col("identifier").str.to_lowercase().is_in(placeholders), ~polars.col("identifier").is_in(of_all)
        )
        .join(of_kinds, on=["identifier_kind", "identifier"], how="anti")
        .select(
            "record",
            identifier=polars.concat_str("brand_id", "identifier_kind", "identifier", separator=" ")
            .cast(polars.Categorical)
            .to_physical(),
        )
    )
    client = clients_of(
        tied["record"].to_numpy().astype(int), tied["identifier"].to_numpy().astype(int), len(touches) + len(contacts)
    )
    return (
        touches.with_columns(client=polars.Series(client[: len(touches)])),
        contacts.with_columns(client=polars.Series(client[len(touches) :])),
    )


def with_channels(touches: polars.DataFrame) -> polars.DataFrame:
    page = polars.col("landing_page").str
    touches = touches.with_columns(
        page_source=page.extract(PAGE_TAG.format("utm_source")),
        page_medium=page.extract(PAGE_TAG.format("utm_medium")),
        parameters=page.extract(QUERY).str.replace_all(VALUES, "=x"),
        host=polars.col("referrer").str.extract(HOST),
    )
    channels = Channels()
    origins = touches.select(ORIGIN).unique()
    named = origins.with_columns(channel=polars.Series([channels.channel(*origin) for origin in origins.rows()]))
    return touches.join(named, on=ORIGIN, nulls_equal=True)


def write_journal(landing: Path, out: Path, threads: int) -> None:
    touches = read_touches(landing)
    contacts = read_contacts(landing, len(touches))
    touches, contacts = with_clients(touches, contacts)
    touches = with_channels(touches.filter(polars.col("client").is_in(contacts["client"].unique().to_list())))
    counts = (
        contacts.select("contact_id", "contacted_at", "client")
        .join(touches.select("client", "touch_id", "touched_at", "channel"), on="client")
        .filter(polars.col("touched_at") < polars.col("contacted_at"))
        .sort("touched_at", "touch_id")
        .group_by("contact_id")
        .agg(
            touch_count=polars.len(),
            channel_count=polars.col("channel").n_unique(),
            touch_chain=polars.col("channel").tail(HISTORY_TOUCHES).str.join(" > "),
        )
    )
    (
        contacts.sort("contacted_at", "contact_id")
        .with_columns(client_id="client-" + polars.col("contact_id").first().over("client"))
        .join(counts, on="contact_id", how="left")
        .select(
            "contact_id",
            "client_id",
            polars.col("touch_count", "channel_count").fill_null(0),
            is_multichannel=polars.col("channel_count").fill_null(0) >= 2,
            touch_chain=polars.when(polars.col("touch_count") > HISTORY_TOUCHES)
            .then("… > " + polars.col("touch_chain"))
            .otherwise("touch_chain"),
        )
        .write_parquet(out / "journal.parquet")
    )


if __name__ == "__main__":
    run(write_journal)
