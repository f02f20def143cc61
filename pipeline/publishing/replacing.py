"""Brings a copy of the generation before up to date, writing only rows of contacts and days that changed."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from pipeline import sql
from pipeline.marts import CONTACT_COLUMNS, DAY_COLUMNS, ORDERS, PUBLISHED_AS
from pipeline.publishing.errors import PublicationError

# What the journal says of a contact that no mart by day counts. It changes for earlier contacts when their client comes again.
COUNTED_BY_NO_DAY = ("client_id", "contact_number", "later_touch_count")
# Replaced rows lie out of order, and leave gaps: a file whose rows take so many times as much as in order is written anew.
LARGEST_GROWTH = 1.25
# To write a smaller file anew costs no more.
SMALLEST_COPY = 16 * 2**20


def ordered_bytes(connection: duckdb.DuckDBPyConnection, build: dict[str, Any], previous: Path) -> int | None:
    """The bytes that the rows took when they were last written in order, if a build's file can be made of a copy of `previous`; else
    None.

    The build must have gone on from what `previous` holds, by the same rules.
    """
    if previous.stat().st_size < SMALLEST_COPY:
        return None
    with duckdb.connect(str(previous), read_only=True) as published:
        cursor = published.execute("from _meta")
        names = [column[0] for column in cursor.description or ()]
        meta = dict(zip(names, cursor.fetchone() or (), strict=True))
        # Without free blocks, which the next rows take.
        used = int(sql.value(published, "select used_blocks * block_size from pragma_database_size()"))
    if meta["fingerprint"] != build["fingerprint"]:
        return None
    is_next = sql.value(
        connection,
        """
        with published as (
            select arg_max(build_id, started_at) as build_id, max(started_at) as started_at
            from raw.builds
            where published_at is not null and build_id <> $build
        )
        select published.build_id = $previous and not bool_or(builds.is_full)
        from published
        inner join raw.builds as builds on published.started_at < builds.started_at
        group by published.build_id
        """,
        {"previous": meta["build_id"], "build": build["build_id"]},
    )
    ordered = meta["ordered_bytes"] or used
    return ordered if is_next and used <= LARGEST_GROWTH * ordered else None


def find_changed_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates temporary tables: for each table of `CONTACT_COLUMNS`, the affected contacts' rows as they were and as they are, and which differ.

    Row ids, found by a narrow column, keep DuckDB from reading wide columns of all other rows.
    """
    connection.execute(
        "create or replace temp table affected as select contact_id from intermediate.int_affected_contacts"
    )
    for table, contact in CONTACT_COLUMNS.items():
        for which, place in {"former": f"published.{published_name(table)}", "present": private_name(table)}.items():
            connection.execute(
                f"""
                create or replace temp table {which}_{table} as
                select rowid as place, * from {place}
                where rowid in (select rowid from {place} where {contact} in (from affected))
                """
            )
        changed = _differing(
            f"(select * exclude (place) from former_{table})",
            f"(select * exclude (place) from present_{table})",
            contact,
        )
        connection.execute(f"create or replace temp table changed_{table} as {changed}")


def _differing(former: str, present: str, column: str) -> str:
    """A query of the values of a column in rows that two tables don't have equally often."""
    # A row that is there as often as it was cancels itself out.
    return f"""
        select distinct {column} from (
            select * exclude (change), sum(change) as difference
            from (select *, -1 as change from {former} union all select *, 1 as change from {present})
            group by all
            having difference <> 0
        )
    """


def replace_changed_rows(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Replaces the rows that `find_changed_rows` found in one of the tables of `CONTACT_COLUMNS`.

    Raises PublicationError if there are not as many rows then as in the private file.
    """
    published, changed = (
        f"published.{published_name(table)}",
        f"where {CONTACT_COLUMNS[table]} in (from changed_{table})",
    )
    order = f"order by {ORDERS[table]}" if table in ORDERS else ""
    connection.execute(f"delete from {published} where rowid in (select place from former_{table} {changed})")
    connection.execute(
        f"insert into {published} by name select * exclude (place) from present_{table} {changed} {order}"
    )
    counts = [sql.count(connection, name) for name in (published, private_name(table))]
    if counts[0] != counts[1]:
        raise PublicationError(f"{published} has {counts[0]:,} rows where {private_name(table)} has {counts[1]:,}")


def changed_contacts(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The contacts of which a row changed in any of the tables of `CONTACT_COLUMNS`."""
    changed = " union ".join(f"from changed_{table}" for table in CONTACT_COLUMNS)
    return [contact for (contact,) in connection.execute(changed).fetchall()]


def changed_days(connection: duckdb.DuckDBPyConnection, history_touch_limit: int) -> list[date]:
    """The days of costs that changed, and of contacts of which a row of the journal or a touch's credit did.

    What a contact owes to touches beyond the limit shows in no row, so its day counts as changed.
    """
    left_out = ", ".join(("place", *COUNTED_BY_NO_DAY))
    former_journal, journal = (f"(select * exclude ({left_out}) from {each}_journal)" for each in ("former", "present"))
    former, present = (f"(select * exclude (place) from {each}_int_touch_credits)" for each in ("former", "present"))
    days = connection.execute(
        f"""
        {_differing(former_journal, journal, "contact_date")}
        union
        {_differing(former, present, "contact_date")}
        union
        {_differing("published.channel_costs", "marts.channel_costs", "cost_date")}
        union
        select contact_date from (from former_journal union all from present_journal)
        where touch_count > {history_touch_limit}
        """
    ).fetchall()
    return sorted(day for (day,) in days)


def replace_days(connection: duckdb.DuckDBPyConnection, mart: str, query: str, days: list[date]) -> None:
    """Replaces all rows of days."""
    if days:
        among = _among(DAY_COLUMNS[mart], (f"date {sql.literal(day)}" for day in days))
        connection.execute(f"delete from published.{mart} where {among}")
        connection.execute(f"insert into published.{mart} from ({query}) where {among}")


def replace_models(connection: duckdb.DuckDBPyConnection, mart: str, query: str, days: list[date]) -> None:
    """Replaces all rows of days, and those of data-driven models of any day.

    The latter lie together, so that what they lay in is free for others then.
    """
    changed = _among(DAY_COLUMNS[mart], (f"date {sql.literal(day)}" for day in days))
    data_driven = is_data_driven(connection)
    connection.execute(f"delete from published.{mart} where {changed} or {data_driven}")
    connection.execute(f"insert into published.{mart} from ({query}) where {changed} and not ({data_driven})")
    connection.execute(f"insert into published.{mart} from ({query}) where {data_driven}")


def is_data_driven(connection: duckdb.DuckDBPyConnection) -> str:
    """The condition on `model` of models whose credits change with every build."""
    columns = connection.execute("describe published._path_credits").fetchall()
    return _among("model", (sql.literal(name) for name, data_type, *_ in columns if data_type == "DECIMAL(18,12)"))


def _among(column: str, values: Iterable[str]) -> str:
    listed = ", ".join(values)
    return f"{column} in ({listed})" if listed else "false"


def published_name(table: str) -> str:
    return PUBLISHED_AS.get(table, table)


def private_name(table: str) -> str:
    return f"{'intermediate' if table.startswith('int_') else 'marts'}.{table}"
