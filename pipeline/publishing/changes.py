"""How the journal differs from the previous generation's, and why."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipeline import sql

OTHER_CONTACT = "another contact of the client was delivered, corrected or removed"
QUERY = Path(__file__).with_name("sql") / "_changes.sql"


@contextmanager
def journals(connection: duckdb.DuckDBPyConnection, previous: Path | None) -> Iterator[tuple[str, str, bool]]:
    """Queries of the journal's affected rows in a previous generation's file and now, and whether everything was built anew.

    Without a file, both are empty.
    """
    if previous is None:
        yield "(from marts.journal limit 0)", "(from marts.journal limit 0)", False
        return
    is_full = _is_any_full(connection)
    affected = "" if is_full else "where contact_id in (select contact_id from intermediate.int_affected_contacts)"
    sql.attach(connection, previous, "previous")
    try:
        yield f"(from previous.journal {affected})", f"(from marts.journal {affected})", is_full
    finally:
        connection.execute("detach previous")


def changes_query(previous_journal: str, current_journal: str, is_full: bool) -> str:
    """The query of the table `_changes`, a row per contact, from the previous journal and the current one."""
    return sql.statement(
        QUERY,
        previous_journal=sql.Fragment(previous_journal),
        current_journal=sql.Fragment(current_journal),
        is_full=is_full,
        other_contact=OTHER_CONTACT,
    )


def count_changes(connection: duckdb.DuckDBPyConnection) -> str:
    """The rows of `published._changes`, counted by change and reason, as JSON."""
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
