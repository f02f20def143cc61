"""How the journal differs from the previous generation's, and why."""

from pathlib import Path

import duckdb

from pipeline import sql

OTHER_CONTACT = "another contact of the client was delivered, corrected or removed"
QUERY = Path(__file__).with_name("sql") / "_changes.sql"


def write_changes(connection: duckdb.DuckDBPyConnection, previous: Path | None) -> str:
    """Creates the table `published._changes`, a row per contact, and returns its counts as JSON.

    Without a previous generation's file it stays empty.
    """
    connection.execute(
        """
        create table published._changes (
            contact_id varchar,
            change varchar,
            reason varchar,
            former_icon varchar,
            icon varchar,
            former_touch_count bigint,
            touch_count bigint,
            former_client_id varchar,
            client_id varchar
        )
        """
    )
    if previous is None:
        return "{}"
    is_full = _is_any_full(connection)
    affected = sql.Fragment(
        "true" if is_full else "contact_id in (select contact_id from intermediate.int_affected_contacts)"
    )
    sql.attach(connection, previous, "previous")
    try:
        query = sql.statement(QUERY, affected=affected, is_full=is_full, other_contact=OTHER_CONTACT)
        connection.execute(f"insert into published._changes {query}")
    finally:
        connection.execute("detach previous")
    counts = sql.value(
        connection,
        """
        select coalesce(cast(json_group_object(change, reasons) as varchar), '{}') from (
            select change, json_group_object(reason, contacts) as reasons
            from (select change, reason, count(*) as contacts from published._changes group by all order by all)
            group by change
        )
        """,
    )
    return str(counts)


def _is_any_full(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether any build since the previous generation was full, published or not."""
    return bool(
        sql.value(
            connection,
            """
            select coalesce(bool_or(is_full), true) from raw.builds
            where started_at > (
                select max(started_at) from raw.builds where published_at is not null and build_id <> (
                    select arg_max(build_id, started_at) from raw.builds
                )
            )
            """,
        )
    )
