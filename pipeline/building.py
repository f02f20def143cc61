"""Builds and tests what changed in raw, or everything, and records how it was built."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import duckdb

from pipeline import sql
from pipeline.capacity import explanation, is_full_disk, is_out_of_memory
from pipeline.dbt_runner import Build
from pipeline.engines import Engine, engine_of
from pipeline.fingerprints import fingerprint
from pipeline.last_update import record_update, recorded_failure
from pipeline.publishing import Publications
from pipeline.seeds import check_seeds
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse, repair
from pipeline.wording import counted

log = logging.getLogger("multichannel")

# dbt would report these as built, although saved queries run on published marts and exposures aren't ours.
NOT_BUILT = ("unit_test", "saved_query", "exposure")
BUILD = ("build", *(word for kind in NOT_BUILT for word in ("--exclude-resource-type", kind)))
# Changed seeds cause a full build; unchanged ones are loaded and tested already, as are static views. Tests of all rows are left
# to full builds. Indirect selection is off, or the tests of what is excluded would be excluded too.
OF_CHANGES = ("--indirect-selection", "empty", "--exclude", "path:seeds", "tag:static_view", "tag:full_build")
# The reason for a full build after an incremental one with failed tests only.
MENDED = "what changed did not pass its tests"
# The memory of an incremental build. It reads most of the warehouse's keys only once, so caching them costs more than it
# gains: the first use of each page costs the operating system time. For the same reason it keeps allocated memory.
MEMORY_PER_THREAD = 100 * 10**6
MEMORY_PER_CHANGED_ROW = 5_000
# With less, a full build makes some tables in parts, as DuckDB keeps the lists of all groups in memory.
MEMORY_PER_ROW = 200
AFTER_ALL_LOADS = 2**62


def build(warehouse: Warehouse, rules: Rules, select: Sequence[str] = (), full_refresh: bool = False) -> Build:
    """Builds and tests what changed since the last publication, or everything if it must or `full_refresh` is set.

    With `select`, only these models, seeds and tests; the next build is then a full one. Needs the lock.
    """
    if select:
        return _build_due(warehouse, rules, select, full_refresh)
    record_update(warehouse.folder, "started", "build")
    with recorded_failure(warehouse, "build"):
        outcome = _build_due(warehouse, rules, select, full_refresh)
    if not outcome.is_passed:
        message = outcome.explain()
        record_update(warehouse.folder, "failed", "build", explanation(message, warehouse) or message)
    return outcome


def _build_due(warehouse: Warehouse, rules: Rules, select: Sequence[str], full_refresh: bool) -> Build:
    current = fingerprint(rules)
    if full_refresh:
        check_seeds()
        repair(warehouse)
    else:
        Publications(warehouse).check()
    Publications(warehouse).acknowledge()
    with warehouse.connected() as connection:
        reason = "asked for" if full_refresh else reason_for_full_build(connection, rules, current)
    reason = reason or engine_of(warehouse).reason_for_full_build()
    with warehouse.connected() as connection:
        memory = None if reason else _memory_for_changes(connection)
    if select and reason:
        return Build(False, (), error=f"Build everything first, not a selection: {reason}.")
    if reason and not full_refresh:
        # Other builds use the seeds of the last full build: changed ones are a reason for a full build.
        check_seeds()
    outcome = _build(warehouse, rules, current, select, reason, memory)
    if memory and is_out_of_memory(outcome.explain()):
        log.info("the changes need more memory than usual: building again with all of MEMORY_LIMIT")
        outcome = _build(warehouse, rules, current, select, reason)
    if not select and not reason and _is_only_tests(outcome):
        log.error("%s\nRebuilding everything.", outcome.explain())
        failed = ", ".join(node.name for node in outcome.failed_nodes())
        outcome = _build(warehouse, rules, current, select, f"{MENDED}: {failed}")
    return outcome


def build_verification(engine: Engine, live: Warehouse, rules: Rules) -> Build:
    """Builds and tests everything in a second warehouse, from the raw rows of the live one. Needs the live warehouse's lock."""
    with live.connected() as connection:
        facts = _facts(rules, "", "verification") | {"BUILD_PARTS": json.dumps(parts(connection))}
    return engine.run_dbt(rules, [*BUILD, "--full-refresh"], facts, is_full=True)


def _is_only_tests(outcome: Build) -> bool:
    failed, message = outcome.failed_nodes(), outcome.explain()
    return (
        bool(failed)
        # A test that could not be run says nothing about the tables.
        and all((node.resource_type == "test" and node.failures) or node.is_skipped for node in failed)
        and not is_out_of_memory(message)
        and not is_full_disk(message)
    )


def _memory_for_changes(connection: duckdb.DuckDBPyConnection) -> int | None:
    """The bytes that usually suffice for the changes; None if there aren't that many."""
    row = connection.execute(
        """
        select
            current_setting('threads') as threads,
            (
                select coalesce(sum(loaded_count), 0) from raw.loads
                where greatest(load_id, superseded_by) > (
                    select coalesce(max(last_load_id), 0) from raw.builds where published_at is not null
                )
            ) as changed_rows,
            -- Whoever has very many rows is likely to come again, and is then worked out whole.
            (
                select coalesce(sum(contact_count + touch_count), 0) from intermediate.int_oversized_clients
            ) as large_clients_rows,
            parse_formatted_bytes(current_setting('memory_limit')) as most
        """
    ).fetchone()
    assert row is not None
    threads, changed_rows, large_clients_rows, most = row
    enough = MEMORY_PER_THREAD * int(threads) + MEMORY_PER_CHANGED_ROW * int(changed_rows + large_clients_rows)
    return enough if enough < most else None


def parts(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    """The parts in which a full build makes its largest tables: of each the first load, and the first load after it."""
    count = -(-_row_count(connection) * MEMORY_PER_ROW // _memory_limit(connection))
    if count <= 1:
        return []
    query = f"""
        select min(load_id) from (
            select load_id, ntile({count}) over (order by load_id) as part
            from raw.loads where table_name = 'touches' and outcome = 'loaded' and superseded_by is null
        )
        group by part order by part
    """
    firsts = [0, *(int(load_id) for (load_id,) in connection.execute(query).fetchall()[1:])]
    # People are in as many parts, even if there are fewer loads.
    bounds = [*firsts, *[AFTER_ALL_LOADS] * (count + 1 - len(firsts))]
    return list(pairwise(bounds))


def _row_count(connection: duckdb.DuckDBPyConnection) -> int:
    query = "select coalesce(sum(loaded_count), 0) from raw.loads where outcome = 'loaded' and superseded_by is null"
    return int(sql.value(connection, query))


def _memory_limit(connection: duckdb.DuckDBPyConnection) -> int:
    return int(sql.value(connection, "select parse_formatted_bytes(current_setting('memory_limit'))"))


def _build(
    warehouse: Warehouse,
    rules: Rules,
    current: str,
    select: Sequence[str],
    reason: str | None,
    memory: int | None = None,
) -> Build:
    if reason:
        log.info("rebuilding everything: %s", reason)
    arguments = [*BUILD, *(["--full-refresh"] if reason else ["--select", *select] if select else OF_CHANGES)]
    # A partial build may leave inconsistent tables, so the next one is a full build.
    facts = _facts(rules, "" if select else current, reason or "")
    if memory:
        facts["BUILD_MEMORY"] = f"{memory}B"
    if reason:
        with warehouse.connected() as connection:
            facts["BUILD_PARTS"] = json.dumps(parts(connection))
    engine = engine_of(warehouse)
    outcome = engine.run_dbt(rules, arguments, facts, is_full=bool(reason))
    if not outcome.is_passed:
        return _with_broken_rules(engine, outcome)
    if select:
        return outcome
    if reason:
        engine.drop_all_but({(node.schema, node.name) for node in outcome.nodes})
    return replace(outcome, affected_clients=_note_affected(warehouse, engine, outcome))


def _facts(rules: Rules, build_fingerprint: str, reason: str) -> dict[str, str]:
    """What the hooks write into raw.builds, as environment variables."""
    return {
        "BUILD_FINGERPRINT": build_fingerprint,
        "BUILD_SETTINGS": json.dumps(rules.as_vars()),
        "BUILD_REASON": reason,
    }


def _with_broken_rules(engine: Engine, outcome: Build) -> Build:
    """Says which rules are broken: dbt only counts a test's rows."""
    nodes = [
        replace(node, message=rows[0][0])
        if node.broken_rules_query and (rows := engine.rows(node.broken_rules_query))
        else node
        for node in outcome.nodes
    ]
    return replace(outcome, nodes=tuple(nodes))


# What a build read and computed again, in SQL that every engine runs.
AFFECTED = """
    select
        (select count(*) from intermediate.int_changed_records where record_kind = 'touch') as touches,
        (select count(*) from intermediate.int_changed_records where record_kind = 'contact') as contacts,
        (select count(*) from intermediate.int_contact_clients where contact_number = 1) as clients,
        (select count(*) from intermediate.int_affected_contacts) as affected_contacts
"""


def _note_affected(warehouse: Warehouse, engine: Engine, outcome: Build) -> int:
    """Records in the ledger what the last build read and recomputed."""
    [(touches, contacts, clients, affected_contacts)] = engine.rows(AFFECTED)
    load_ids = [load_id for (load_id,) in engine.rows("select load_id from staging.stg_changed_loads order by load_id")]
    with warehouse.connected() as connection:
        is_full = sql.value(
            connection,
            """
            update raw.builds
            set load_ids = ?, changed_touch_count = ?, changed_contact_count = ?, affected_client_count = ?,
                affected_contact_count = ?
            where started_at = (select max(started_at) from raw.builds)
            returning is_full
            """,
            [load_ids or None, touches, contacts, clients, affected_contacts],
        )
    models, tests = (sum(node.resource_type == kind for node in outcome.nodes) for kind in ("model", "test"))
    computed = f"{counted(clients, 'client')} computed"
    if not is_full:
        computed += f" again for {counted(touches, 'changed touch')} and {counted(contacts, 'changed contact')}"
    log.info("%s built, %s passed, %s", counted(models, "model"), counted(tests, "test"), computed)
    return int(clients)


def reason_for_full_build(connection: duckdb.DuckDBPyConnection, rules: Rules, current: str) -> str | None:
    """Why an incremental build won't do; None if it will."""
    published = connection.execute(
        """
        select started_at, fingerprint, cast(settings as varchar) from raw.builds
        where published_at is not null order by started_at desc limit 1
        """
    ).fetchone()
    if published is None:
        return "nothing is published yet"
    started_at, previous, settings = published
    if previous != current:
        before, now = json.loads(settings), rules.as_vars()
        changed = [
            f"{name} was {before.get(name)!r} and is {now[name]!r}" for name in now if before.get(name) != now[name]
        ]
        if changed:
            return f"settings have changed ({'; '.join(changed)})"
        return "models, macros, seeds, ENGINE or the packages that decide values have changed"
    since = connection.execute(
        """
        select
            count(*) filter (where fingerprint is distinct from ?),
            -- Whatever it was begun for still stands.
            arg_max(outcome, started_at) filter (where is_full)
        from raw.builds where started_at > ?
        """,
        [current, started_at],
    ).fetchone()
    assert since is not None
    others, last_full_outcome = since
    if others:
        return "since the last publication something was built otherwise, in part or by hand"
    return "a full build was begun and did not pass" if last_full_outcome not in (None, "passed") else None
