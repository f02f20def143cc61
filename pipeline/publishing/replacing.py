"""Brings a copy of the previous generation up to date, writing only rows of contacts and days that changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from pipeline import sql
from pipeline.marts import CONTACT_COLUMNS, DAY_COLUMNS, ORDERS, PUBLISHED_AS
from pipeline.publishing.errors import PublicationError
from pipeline.publishing.models import attribution_models

# What the journal says of a contact that no mart by day counts. It changes for earlier contacts when their client comes again.
COUNTED_BY_NO_DAY = ("client_id", "contact_number", "later_touch_count")
# Replaced rows lie out of order, and leave gaps: a file whose rows take so many times as much as in order is written as a whole.
LARGEST_GROWTH = 1.25
# Writing a smaller file as a whole costs no more.
SMALLEST_COPY = 16 * 2**20


@dataclass(frozen=True)
class Copy:
    """A generation's file to be copied, and how many bytes its rows took when last written in order."""

    file: Path
    ordered_bytes: int


def copyable(
    connection: duckdb.DuckDBPyConnection, build: dict[str, Any], file: Path, meta: dict[str, Any], used_bytes: int
) -> Copy | None:
    """The copy of a generation's file that can be brought up to date with a build; None if the file is written as a whole.

    The build must have gone on from what the generation holds, by the same rules.
    """
    if file.stat().st_size < SMALLEST_COPY:
        return None
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
    ordered_bytes = meta["ordered_bytes"] or used_bytes
    return Copy(file, ordered_bytes) if is_next and used_bytes <= LARGEST_GROWTH * ordered_bytes else None


def find_changed_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Finds the affected contacts' rows of each table of `CONTACT_COLUMNS`, in temporary tables.

    These are `previous_…` with the published rows, `current_…` with the private ones, and `changed_…` with the contacts whose rows
    differ. Row ids, found by a narrow column, keep DuckDB from reading wide columns of all other rows.
    """
    connection.execute(
        "create or replace temp table affected as select contact_id from intermediate.int_affected_contacts"
    )
    for table, contact in CONTACT_COLUMNS.items():
        relations = {"previous": f"published.{published_name(table)}", "current": private_name(table)}
        for which, relation in relations.items():
            connection.execute(
                f"""
                create or replace temp table {which}_{table} as
                select rowid as row_id, * from {relation}
                where rowid in (select rowid from {relation} where {contact} in (from affected))
                """
            )
        changed = _differing(_rows("previous", table), _rows("current", table), contact)
        connection.execute(f"create or replace temp table changed_{table} as {changed}")


def _rows(which: str, table: str, left_out: Iterable[str] = ()) -> str:
    """A query of the `previous` or `current` rows that `find_changed_rows` found, without some columns."""
    return f"(select * exclude ({', '.join(('row_id', *left_out))}) from {which}_{table})"


def _differing(previous: str, current: str, column: str) -> str:
    """A query of the values of a column in rows that two tables don't have equally often."""
    # A row that is there as often as it was cancels itself out.
    return f"""
        select distinct {column} from (
            select * exclude (change), sum(change) as difference
            from (select *, -1 as change from {previous} union all select *, 1 as change from {current})
            group by all
            having difference <> 0
        )
    """


def replace_changed_rows(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Replaces the rows that `find_changed_rows` found in one of the tables of `CONTACT_COLUMNS`.

    Raises PublicationError if the table then has another number of rows than the private one.
    """
    published = f"published.{published_name(table)}"
    changed = f"where {CONTACT_COLUMNS[table]} in (from changed_{table})"
    order = f"order by {ORDERS[table]}" if table in ORDERS else ""
    connection.execute(f"delete from {published} where rowid in (select row_id from previous_{table} {changed})")
    connection.execute(
        f"insert into {published} by name select * exclude (row_id) from current_{table} {changed} {order}"
    )
    counts = [sql.count(connection, name) for name in (published, private_name(table))]
    if counts[0] != counts[1]:
        raise PublicationError(f"{published} has {counts[0]:,} rows where {private_name(table)} has {counts[1]:,}")


def changed_contacts(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The contacts with a changed row in any of the tables of `CONTACT_COLUMNS`."""
    changed = " union ".join(f"from changed_{table}" for table in CONTACT_COLUMNS)
    return [contact for (contact,) in connection.execute(changed).fetchall()]


def changed_days(connection: duckdb.DuckDBPyConnection, history_touch_limit: int) -> list[date]:
    """The days with changed costs, journal rows or credits of touches.

    Touches beyond the limit show in no row, so the days of contacts that have such touches count as changed.
    """
    previous_journal, journal = (_rows(which, "journal", COUNTED_BY_NO_DAY) for which in ("previous", "current"))
    previous_credits, credits = (_rows(which, "int_touch_credits") for which in ("previous", "current"))
    days = connection.execute(
        f"""
        {_differing(previous_journal, journal, "contact_date")}
        union
        {_differing(previous_credits, credits, "contact_date")}
        union
        {_differing("published.channel_costs", "marts.channel_costs", "cost_date")}
        union
        select contact_date from (from previous_journal union all from current_journal)
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

    Rows of data-driven models are stored together, so deleting them frees whole blocks.
    """
    changed = _among(DAY_COLUMNS[mart], (f"date {sql.literal(day)}" for day in days))
    data_driven = data_driven_condition(connection)
    connection.execute(f"delete from published.{mart} where {changed} or {data_driven}")
    connection.execute(f"insert into published.{mart} from ({query}) where {changed} and not ({data_driven})")
    connection.execute(f"insert into published.{mart} from ({query}) where {data_driven}")


def data_driven_condition(connection: duckdb.DuckDBPyConnection) -> str:
    """The SQL condition that a row's `model` is data-driven."""
    return _among("model", map(sql.literal, attribution_models(connection, "published._path_credits")))


def _among(column: str, values: Iterable[str]) -> str:
    listed = ", ".join(values)
    return f"{column} in ({listed})" if listed else "false"


def published_name(table: str) -> str:
    return PUBLISHED_AS.get(table, table)


def private_name(table: str) -> str:
    return f"{'intermediate' if table.startswith('int_') else 'marts'}.{table}"
