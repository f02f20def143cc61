"""Builds and tests what changed in raw, or everything, by dbt in this process, and says with what it was built."""

import fcntl
import gc
import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.schemas.run import RunResult
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from dbt.parser import manifest as parser
from dbt_common.events.base_types import EventMsg

from orchestration.notices import details
from orchestration.publishing import Publications, record_update, recorded_failure
from orchestration.seeds import check_seeds
from orchestration.settings import PROJECT_DIR, Rules, SettingsError
from orchestration.space import explanation, is_full_disk, is_out_of_memory
from orchestration.warehouse import Warehouse, repair, sync
from orchestration.wording import counted

log = logging.getLogger("orchestration")

# What a build depends on besides the data: all that dbt reads, and the packages that decide values.
BUILT_FROM = ("dbt_project.yml", "models", "macros", "seeds", "data_tests")
# Saved queries are asked of what is published; dbt would count them among what it built.
BUILD = ("build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "saved_query")
# Seeds that have changed are a reason to build everything; those that haven't are there, and tested. So are views that say the
# same in every build. Tests are chosen by themselves, or those of what is left out would be left out too.
WITHOUT_STATIC_VIEWS = ("--indirect-selection", "empty", "--exclude", "path:seeds", "tag:static_view")
# Why a full build follows an incremental one of which only tests failed.
MENDED = "what changed did not pass its tests"
# What an incremental build may take of the memory. It reads most of the warehouse's keys once, and to have them in memory
# afterwards costs more than it gives: every page taken for the first time costs the operating system's work. So it keeps
# what it has taken, too.
MEMORY_PER_THREAD = 100 * 10**6
MEMORY_PER_CHANGED_ROW = 2_000
DECIDING_PACKAGES = ("ada-url", "dbt-duckdb", "duckdb", "idna", "phonenumbers", "publicsuffixlist", "scipy")
# What dbt leaves of a project that it has parsed, for others and for itself, and for how many states of it that is kept.
MANIFEST = "manifest.json"
PARSED = "partial_parse.msgpack"
PARSED_KEPT = 20
PARSING_PACKAGES = ("dbt-core", "dbt-adapters", "dbt-common")
# Settings that dbt reads as it parses; all others it reads as it builds.
PARSED_SETTINGS = ("default_phone_region",)


@dataclass(frozen=True)
class NodeResult:
    """One dbt model, seed or test and how it went."""

    unique_id: str
    resource_type: str
    schema: str
    name: str
    is_passed: bool
    is_skipped: bool
    message: str
    failures: int
    execution_seconds: float


@dataclass(frozen=True)
class Build:
    is_passed: bool
    nodes: tuple[NodeResult, ...]
    error: str | None = None
    affected_clients: int | None = None

    def failed_nodes(self) -> list[NodeResult]:
        return [node for node in self.nodes if not node.is_passed]

    def explain(self) -> str:
        """What failed, a line each; not what was skipped because of it."""
        nodes = self.failed_nodes()
        failed = [node for node in nodes if not node.is_skipped] or nodes
        lines = [f"{node.resource_type} {node.name}: {node.message}" for node in failed]
        return "\n".join(([self.error] if self.error else []) + lines)


def fingerprint(rules: Rules) -> str:
    """Changes whenever the same raw rows could give other marts."""
    digest = _digest_of_project()
    digest.update(json.dumps(rules.as_vars(), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _digest_of_project() -> "hashlib._Hash":
    digest = hashlib.sha256()
    for place in BUILT_FROM:
        root = PROJECT_DIR / place
        files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        for file in files:
            if file.suffix in (".sql", ".py", ".yml", ".csv"):
                digest.update(file.relative_to(PROJECT_DIR).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    for package in DECIDING_PACKAGES:
        digest.update(f"{package} {importlib.metadata.version(package)}\0".encode())
    return digest


def run_dbt(
    warehouse_dir: Path, arguments: Sequence[str], rules: Rules, facts: Mapping[str, str] | None = None
) -> dbtRunnerResult:
    """One dbt command on the private file, which is let go of afterwards; `facts` go into its environment. Needs the lock."""
    is_parsing = arguments[0] == "parse"
    manifest = None if is_parsing else _manifest(rules)
    with _environment(Warehouse(warehouse_dir), facts or {}), _garbage_let_lie():
        try:
            return dbtRunner(manifest=manifest, callbacks=[_log_progress]).invoke(
                [
                    *arguments,
                    *([] if is_parsing else ["--no-write-json"]),
                    "--project-dir", str(PROJECT_DIR),
                    "--profiles-dir", str(PROJECT_DIR),
                    "--target-path", str(warehouse_dir / "dbt"),
                    "--log-path", str(warehouse_dir / "dbt"),
                    # Escaped, what is beyond the basic plane isn't YAML.
                    "--vars", json.dumps(rules.as_vars(), ensure_ascii=False),
                    "--log-level", "none",
                    "--no-use-colors", "--no-use-colors-file",
                    "--no-version-check",
                ]
            )  # fmt: skip
        finally:
            DuckDBConnectionManager.close_all_connections()


@contextmanager
def _environment(warehouse: Warehouse, facts: Mapping[str, str]) -> Iterator[None]:
    """What profiles.yml and the hooks of builds read, for a while; and where dbt writes Python models down to run them."""
    resources = warehouse.resources()
    variables = {
        "WAREHOUSE_DIR": str(warehouse.folder),
        "MEMORY_LIMIT": str(resources["memory_limit"]),
        "THREADS": str(resources["threads"]),
        "TEMPORARY_DIR": str(resources["temp_directory"]),
        **facts,
    }
    former = {name: os.environ.get(name) for name in variables}
    former_tempdir = tempfile.tempdir
    os.environ.update(variables)
    tempfile.tempdir = variables["TEMPORARY_DIR"]
    try:
        yield
    finally:
        tempfile.tempdir = former_tempdir
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _garbage_let_lie() -> Iterator[None]:
    """What is there by now stays for a while: to look for garbage among dbt's manifest takes a tenth of a small build."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _log_progress(event: EventMsg) -> None:
    if event.info.name == "LogModelResult":
        details.info("%s (%s, %.1f s)", event.data.description, event.data.status, event.data.execution_time)
    elif event.info.name == "LogTestResult" and event.data.status not in ("pass", "warn"):
        log.error("test %s: %s, %s", event.data.name, event.data.status, counted(event.data.num_failures or 0, "row"))


def build(warehouse: Warehouse, rules: Rules, select: Sequence[str] = (), full_refresh: bool = False) -> Build:
    """Works out what changed since the last publication, and tests it; everything if it must or is asked to.

    With `select`, only these models, seeds and tests, by name; the next build is a full one then. Needs the lock.
    """
    if select:
        return _build_due(warehouse, rules, select, full_refresh)
    record_update(warehouse.folder, "started", "build")
    with recorded_failure(warehouse, "build"):
        outcome = _build_due(warehouse, rules, select, full_refresh)
    if not outcome.is_passed:
        said = outcome.explain()
        record_update(warehouse.folder, "failed", "build", explanation(said, warehouse) or said)
    return outcome


def _build_due(warehouse: Warehouse, rules: Rules, select: Sequence[str], full_refresh: bool) -> Build:
    check_seeds()
    current = fingerprint(rules)
    if full_refresh:
        repair(warehouse)
    else:
        Publications(warehouse).check()
    Publications(warehouse).acknowledge()
    with warehouse.connected() as connection:
        reason = "asked for" if full_refresh else reason_for_full_build(connection, rules, current)
        memory = None if reason else _memory_for_changes(connection)
    if select and reason:
        return Build(False, (), error=f"Build everything first, not a selection: {reason}.")
    outcome = _build(warehouse, rules, current, select, reason, memory)
    if memory and is_out_of_memory(outcome.explain()):
        log.info("what changed takes more memory than usual: once more, with all that there is")
        outcome = _build(warehouse, rules, current, select, reason)
    if not select and not reason and _is_only_tests(outcome):
        log.error("%s\nSo everything is built anew.", outcome.explain())
        failed = ", ".join(node.name for node in outcome.failed_nodes())
        outcome = _build(warehouse, rules, current, select, f"{MENDED}: {failed}")
    return outcome


def build_verification(rebuilt: Warehouse, live: Warehouse, rules: Rules) -> Build:
    """Builds and tests everything in a warehouse whose raw tables are those of another. Needs the other's lock."""
    facts = {"LIVE_WAREHOUSE_DIR": str(live.folder)}
    return _outcome(run_dbt(rebuilt.folder, [*BUILD, "--full-refresh", "--target", "verification"], rules, facts))


def _is_only_tests(outcome: Build) -> bool:
    failed, said = outcome.failed_nodes(), outcome.explain()
    return (
        bool(failed)
        and all(node.resource_type == "test" or node.is_skipped for node in failed)
        and not is_out_of_memory(said)
        and not is_full_disk(said)
    )


def _memory_for_changes(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Bytes that suffice for what usually changes; None if there aren't that many to give."""
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


def _build(
    warehouse: Warehouse,
    rules: Rules,
    current: str,
    select: Sequence[str],
    reason: str | None,
    memory: int | None = None,
) -> Build:
    if reason:
        log.info("everything is built anew: %s", reason)
    arguments = [*BUILD, *(["--full-refresh"] if reason else ["--select", *select] if select else WITHOUT_STATIC_VIEWS)]
    # The hooks that keep raw.builds read these.
    facts = {
        # A part of a build may leave tables that don't fit together, so that the next one takes everything anew.
        "BUILD_FINGERPRINT": "" if select else current,
        "BUILD_SETTINGS": json.dumps(rules.as_vars()),
        "BUILD_REASON": reason or "",
    }
    if memory:
        facts["BUILD_MEMORY"] = f"{memory}B"
    outcome = _outcome(run_dbt(warehouse.folder, arguments, rules, facts))
    if not outcome.is_passed or select:
        return outcome
    with warehouse.connected() as connection:
        if reason:
            _drop_unused(connection, outcome)
        return replace(outcome, affected_clients=_note_affected(connection, outcome))


def _outcome(outcome: dbtRunnerResult) -> Build:
    results = getattr(outcome.result, "results", None) or []
    nodes = tuple(_node_result(result) for result in results)
    error = str(outcome.exception) if outcome.exception else None
    return Build(outcome.success and error is None, nodes, error)


def _drop_unused(connection: duckdb.DuckDBPyConnection, full_build: Build) -> None:
    """Drops what a full build did not make: tables and views of an earlier version's models."""
    made = {(node.schema, node.name) for node in full_build.nodes}
    for kind in ("view", "table"):
        existing = connection.execute(
            f"select schema_name, {kind}_name from duckdb_{kind}s() "
            "where database_name = current_database() and schema_name in ('staging', 'intermediate', 'marts')"
        ).fetchall()
        for schema, name in existing:
            if (schema, name) not in made:
                connection.execute(f'drop {kind} "{schema}"."{name}"')


def _note_affected(connection: duckdb.DuckDBPyConnection, outcome: Build) -> int:
    """Writes into the ledger of builds what the last one took in and worked out anew."""
    row = connection.execute(
        """
        update raw.builds
        set load_ids = (select list(load_id order by load_id) from staging.stg_changed_loads),
            changed_touch_count = (select count(*) from intermediate.int_changed_records where record_kind = 'touch'),
            changed_contact_count = (select count(*) from intermediate.int_changed_records where record_kind = 'contact'),
            affected_client_count = (select count(*) from intermediate.int_contact_clients where contact_number = 1),
            affected_contact_count = (select count(*) from intermediate.int_affected_contacts)
        where started_at = (select max(started_at) from raw.builds)
        returning is_full, changed_touch_count, changed_contact_count, affected_client_count
        """
    ).fetchone()
    assert row is not None
    is_full, touches, contacts, clients = row
    models, tests = (sum(node.resource_type == kind for node in outcome.nodes) for kind in ("model", "test"))
    worked_out = f"{counted(clients, 'client')} worked out"
    if not is_full:
        worked_out += f" anew for {counted(touches, 'changed touch')} and {counted(contacts, 'changed contact')}"
    log.info("%s built, %s passed, %s", counted(models, "model"), counted(tests, "test"), worked_out)
    return int(clients)


def reason_for_full_build(connection: duckdb.DuckDBPyConnection, rules: Rules, current: str) -> str | None:
    """Why what is built can't be brought up to date by what changed; None if it can."""
    published = connection.execute(
        """
        select started_at, fingerprint, cast(settings as varchar) from raw.builds
        where published_at is not null order by started_at desc limit 1
        """
    ).fetchone()
    if published is None:
        return "nothing is published yet"
    started_at, former, settings = published
    if former != current:
        before, now = json.loads(settings), rules.as_vars()
        changed = [
            f"{name} was {before.get(name)!r} and is {now[name]!r}" for name in now if before.get(name) != now[name]
        ]
        if changed:
            return f"settings have changed ({'; '.join(changed)})"
        return "models, macros, seeds or the packages that decide values have changed"
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


def prepared_manifest() -> Path:
    """The manifest.json of the project as it is now."""
    return _parsed_project(Rules.read()) / MANIFEST


def _parsed_project(rules: Rules) -> Path:
    """The folder of what dbt makes of the project: parsed once, for all warehouses."""
    parsed = PROJECT_DIR / "target" / "parsed"
    folder = parsed / _parsing_fingerprint(rules)
    with suppress(FileNotFoundError):
        os.utime(folder)  # what is used stays longest
        return folder
    parsed.mkdir(parents=True, exist_ok=True)
    with open(parsed / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # by now, by whoever had the lock before
            return folder
        former = sorted((path for path in parsed.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for path in former:
            if path.name.startswith("parse-") or path in former[:-PARSED_KEPT]:
                shutil.rmtree(path)
        check_seeds()  # dbt looks into them as it parses
        unfinished = Path(tempfile.mkdtemp(dir=parsed, prefix="parse-"))
        with Warehouse(unfinished).locked("parse"):
            outcome = run_dbt(unfinished, ["parse"], rules)
        if not outcome.success:
            raise SettingsError(f"dbt can't parse the project: {outcome.exception}")
        sync(unfinished / "dbt" / MANIFEST)
        sync(unfinished / "dbt" / PARSED)
        os.replace(unfinished / "dbt", folder)
        shutil.rmtree(unfinished)
    return folder


def _manifest(rules: Rules) -> Manifest:
    parsed = (_parsed_project(rules) / PARSED).read_bytes()
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        manifest = Manifest.from_msgpack(parsed, decoder=parser.extended_mashumuro_decoder)
        manifest.build_parent_and_child_maps()
        manifest.build_flat_graph()
    finally:
        if is_collecting:
            gc.enable()
    return manifest


def _parsing_fingerprint(rules: Rules) -> str:
    """Changes whenever dbt could make something else of the project."""
    digest = _digest_of_project()
    others = (*sorted((PROJECT_DIR / "data_tests").rglob("*.sql")), *sorted((PROJECT_DIR / "metrics").rglob("*.yml")))
    for file in (PROJECT_DIR / "profiles.yml", *others):
        digest.update(file.relative_to(PROJECT_DIR).as_posix().encode() + b"\0" + file.read_bytes())
    for package in PARSING_PACKAGES:
        digest.update(f"{package} {importlib.metadata.version(package)}\0".encode())
    digest.update(json.dumps([rules.as_vars()[name] for name in PARSED_SETTINGS]).encode())
    return digest.hexdigest()[:16]


def _node_result(result: RunResult) -> NodeResult:
    node = result.node
    return NodeResult(
        unique_id=node.unique_id,
        resource_type=str(node.resource_type),
        schema=node.schema,
        name=node.name,
        is_passed=str(result.status) in ("success", "pass", "warn"),
        is_skipped=str(result.status) == "skipped",
        message=str(result.message or result.status),
        failures=int(result.failures or 0),
        execution_seconds=result.execution_time,
    )
