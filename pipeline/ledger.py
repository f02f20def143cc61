"""Reads the ledgers of loads and builds, and updates them at publication."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import duckdb

from pipeline.contracts import PlainMacros, delivered_tables
from pipeline.landing import Signature


def known_signatures(
    connection: duckdb.DuckDBPyConnection,
    loads: str = "raw.loads",
    first_day: date = date.min,
    last_day: date = date.max,
) -> dict[tuple[str, date], tuple[str, Signature]]:
    """The latest attempt's outcome and files, by table and day, for the days from `first_day` to `last_day`, both included."""
    rows = connection.execute(
        f"""
        select table_name, load_day, outcome, list_transform(files, lambda file: (file.file_name, file.size_bytes, file.modified_ns))
        from {loads}
        where superseded_by is null and load_day between ? and ?
        qualify row_number() over (partition by table_name, load_day order by load_id desc) = 1
        """,
        [first_day, last_day],
    ).fetchall()
    return {(table, day): (outcome, tuple(tuple(file) for file in files)) for table, day, outcome, files in rows}


def failures_before_any_load(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The failures of all deliveries, if none has ever been loaded; else nothing."""
    rows = connection.execute(
        """
        select message, outcome from raw.loads
        where superseded_by is null
        qualify row_number() over (partition by table_name, load_day, outcome order by load_id desc) = 1
        order by load_day, table_name
        """
    ).fetchall()
    return [] if any(outcome == "loaded" for _, outcome in rows) else [message for message, _ in rows]


def last_build(connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    row = connection.execute(
        """
        select build_id, outcome, last_load_id, settings, fingerprint, started_at
        from raw.builds order by started_at desc limit 1
        """
    ).fetchone()
    names = ("build_id", "outcome", "last_load_id", "settings", "fingerprint", "started_at")
    return dict(zip(names, row, strict=True)) if row else None


def begin_build(connection: duckdb.DuckDBPyConnection, build_id: str, is_full: bool, facts: Mapping[str, str]) -> None:
    """Opens the entry of a build that dbt doesn't run in this file; there, hooks of dbt do (`macros/engine/duckdb_builds.sql`)."""
    connection.execute(
        f"""
        insert into raw.builds (build_id, started_at, outcome, last_load_id, data_through, is_full, reason, settings, fingerprint)
        select
            ?,
            greatest(get_current_timestamp(), (select max(started_at) + to_microseconds(1) from raw.builds)),
            'running',
            (select max(load_id) from raw.loads),
            (
                select {PlainMacros("builds.sql", {}).last_loaded_day()} from raw.loads
                where outcome = 'loaded' and superseded_by is null
            ),
            ?,
            nullif(?, ''),
            cast(nullif(?, '') as json),
            nullif(?, '')
        """,
        [build_id, is_full, facts["BUILD_REASON"], facts["BUILD_SETTINGS"], facts["BUILD_FINGERPRINT"]],
    )


def end_build(connection: duckdb.DuckDBPyConnection, build_id: str, outcome: str) -> None:
    """Closes the entry of such a build as `passed`, `failed` or `partial`."""
    connection.execute(
        "update raw.builds set finished_at = greatest(get_current_timestamp(), started_at), outcome = ? where build_id = ?",
        [outcome, build_id],
    )


def live_loads(connection: duckdb.DuckDBPyConnection) -> list[int]:
    row = connection.execute(
        """
        select coalesce(list(load_id order by load_id), []) from raw.loads
        where outcome = 'loaded' and superseded_by is null
        """
    ).fetchone()
    return list(row[0]) if row else []


def last_settings(connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """The settings of the last build that recorded them; None before the first."""
    row = connection.execute(
        "select settings from raw.builds where settings is not null order by started_at desc limit 1"
    ).fetchone()
    return json.loads(row[0]) if row else None


def acknowledge(connection: duckdb.DuckDBPyConnection, generation: dict[str, Any]) -> None:
    """Marks a build as published: loads up to it need no more work, and later builds start from it."""
    connection.execute(
        """
        update raw.builds set published_at = get_current_timestamp(), generation = ?, changes = ?
        where build_id = ? and published_at is null
        """,
        [generation["generation"], generation["changes"], generation["build_id"]],
    )


def drop_superseded(connection: duckdb.DuckDBPyConnection) -> None:
    """Drops replaced rows, once a build that includes their replacement is published."""
    superseded = "select load_id from raw.loads where superseded_by is not null"
    for table in (*delivered_tables(), "rejected_rows"):
        connection.execute(f"delete from raw.{table} where load_id in ({superseded})")


def failed_loads(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[tuple[str, date, str]]:
    """Table, day and message of a run's failed loads."""
    return connection.execute(
        """
        select table_name, load_day, message from raw.loads
        where run_id = ? and outcome = 'failed' order by load_day, table_name
        """,
        [run_id],
    ).fetchall()
