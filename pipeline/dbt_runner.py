"""Runs dbt in this process.

This is the only module that imports dbt. Beside the public runner it uses three things without a public interface: events,
to report progress; the adapter's connections, which dbt leaves open; and the parsed manifest, as parsing the project again
takes longer than most builds. Macros that nothing calls are taken out of it.
"""

import fcntl
import gc
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.schemas.run import RunResult
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import GenericTestNode, ModelNode
from dbt.parser import manifest as parser
from dbt_common.events.base_types import EventMsg

from pipeline.fingerprints import parsed_folder
from pipeline.garbage_collection import gc_frozen
from pipeline.notices import details
from pipeline.seeds import check_seeds
from pipeline.settings import PROJECT_DIR, Rules, SettingsError
from pipeline.warehouse import Warehouse, sync
from pipeline.wording import counted

log = logging.getLogger("multichannel")

# dbt's files of a parsed project, for other tools and for itself, and how many versions of the project to keep.
MANIFEST = "manifest.json"
PARSED = "partial_parse.msgpack"
PARSED_KEPT = 20
# The target of profiles.yml that is built unless another is named.
WAREHOUSE = "warehouse"
TARGETS = {"duckdb": WAREHOUSE, "spark": "spark"}  # of the engines
# dbt's own macros for features that this project hardly uses: other engines' functions, snapshots, user-defined functions, clones,
# materialized views. dbt lists every macro twice per node, which takes longer than most of the nodes' SQL.
RARELY_USED_MACROS = re.compile(
    r"macros/(utils|materializations/(snapshots|functions|models/clone)|relations/materialized_view)/"
)


@dataclass(frozen=True)
class NodeResult:
    """The result of one dbt model, seed or test."""

    unique_id: str
    resource_type: str
    schema: str
    name: str
    is_passed: bool
    is_skipped: bool
    message: str
    failures: int
    execution_seconds: float
    # What a model in SQL was compiled to.
    sql: str | None = None
    # Of a failed test `rules`: the query that names the broken rules.
    broken_rules_query: str | None = None


@dataclass(frozen=True)
class Build:
    is_passed: bool
    nodes: tuple[NodeResult, ...]
    error: str | None = None
    affected_clients: int | None = None

    def failed_nodes(self) -> list[NodeResult]:
        return [node for node in self.nodes if not node.is_passed]

    def explain(self) -> str:
        """The failed nodes, a line each, without those skipped because of them."""
        nodes = self.failed_nodes()
        failed = [node for node in nodes if not node.is_skipped] or nodes
        lines = [f"{node.resource_type} {node.name}: {node.message}" for node in failed]
        return "\n".join(([self.error] if self.error else []) + lines)


@dataclass(frozen=True)
class Model:
    """A dbt model, its columns with DuckDB's types, and the names of the models that it reads."""

    schema: str
    name: str
    is_view: bool
    columns: dict[str, str]
    parents: tuple[str, ...]


def run_dbt(
    warehouse_dir: Path,
    arguments: Sequence[str],
    rules: Rules,
    facts: Mapping[str, str] | None = None,
    target: str = WAREHOUSE,
    on_node: Callable[[str], None] | None = None,
) -> dbtRunnerResult:
    """Runs a dbt command on a target of profiles.yml, then closes the private file; `facts` go into the environment.

    Before a node runs, calls `on_node` with its name, in the node's thread. Needs the lock.
    """
    is_parsing = arguments[0] == "parse"
    manifest = None if is_parsing else _manifest(rules, target)
    callbacks: list[Callable[[EventMsg], None]] = [_log_progress]
    if on_node:
        callbacks.append(partial(_report_node, on_node))
    with _environment(Warehouse(warehouse_dir), facts or {}), gc_frozen():
        try:
            return dbtRunner(manifest=manifest, callbacks=callbacks).invoke(
                [
                    *arguments,
                    *([] if is_parsing else ["--no-write-json"]),
                    "--project-dir", str(PROJECT_DIR),
                    "--profiles-dir", str(PROJECT_DIR),
                    "--target", target,
                    "--target-path", str(warehouse_dir / "dbt"),
                    "--log-path", str(warehouse_dir / "dbt"),
                    # Not escaped: surrogate pairs aren't YAML.
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
    """Sets the environment for profiles.yml and the build hooks, and the folder where dbt writes Python models."""
    resources = warehouse.resources()
    variables = {
        "WAREHOUSE_DIR": str(warehouse.folder),
        "MEMORY_LIMIT": str(resources["memory_limit"]),
        "THREADS": str(resources["threads"]),
        "TEMPORARY_DIR": str(resources["temp_directory"]),
        **facts,
    }
    previous = {name: os.environ.get(name) for name in variables}
    previous_tempdir = tempfile.tempdir
    os.environ.update(variables)
    tempfile.tempdir = variables["TEMPORARY_DIR"]
    try:
        yield
    finally:
        tempfile.tempdir = previous_tempdir
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _log_progress(event: EventMsg) -> None:
    if event.info.name == "LogModelResult":
        details.info("%s (%s, %.1f s)", event.data.description, event.data.status, event.data.execution_time)
    elif event.info.name == "LogTestResult" and event.data.status not in ("pass", "warn"):
        log.error("test %s: %s, %s", event.data.name, event.data.status, counted(event.data.num_failures or 0, "row"))


def _report_node(on_node: Callable[[str], None], event: EventMsg) -> None:
    if event.info.name == "NodeStart":
        # An exception would end the node's thread, and dbt would wait for it forever.
        with suppress(Exception):
            on_node(event.data.node_info.node_name)


def prepared_manifest(target: str = WAREHOUSE) -> Path:
    """The manifest.json of the current project."""
    return _parsed_project(Rules.read(), target) / MANIFEST


def models(rules: Rules, target: str = WAREHOUSE) -> dict[str, Model]:
    """The project's models by name, as they are on a target."""
    parsed = json.loads((_parsed_project(rules, target) / MANIFEST).read_text("utf-8"))
    found = {name: node for name, node in parsed["nodes"].items() if node["resource_type"] == "model"}
    return {
        node["name"]: Model(
            node["schema"],
            node["name"],
            node["config"]["materialized"] == "view",
            {column: described["data_type"] for column, described in node["columns"].items()},
            tuple(found[parent]["name"] for parent in node["depends_on"]["nodes"] if parent in found),
        )
        for node in found.values()
    }


def _parsed_project(rules: Rules, target: str = WAREHOUSE) -> Path:
    """The folder with the parsed project: parsed once for all warehouses."""
    # A verification builds as the warehouse does.
    target = target if target == "spark" else WAREHOUSE
    folder = parsed_folder(rules, target)
    parsed = folder.parent
    with suppress(FileNotFoundError):
        os.utime(folder)  # keeps recently used folders longest
        return folder
    parsed.mkdir(parents=True, exist_ok=True)
    with open(parsed / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # made by the lock's previous holder
            return folder
        former = sorted((path for path in parsed.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for path in former:
            if path.name.startswith("parse-") or path in former[:-PARSED_KEPT]:
                shutil.rmtree(path)
        check_seeds()  # dbt reads them while parsing
        unfinished = Path(tempfile.mkdtemp(dir=parsed, prefix="parse-"))
        with Warehouse(unfinished).locked("parse"):
            outcome = run_dbt(unfinished, ["parse"], rules, target=target)
        if not outcome.success:
            raise SettingsError(f"dbt can't parse the project: {outcome.exception}")
        sync(unfinished / "dbt" / MANIFEST)
        sync(unfinished / "dbt" / PARSED)
        os.replace(unfinished / "dbt", folder)
        shutil.rmtree(unfinished)
    return folder


def _manifest(rules: Rules, target: str = WAREHOUSE) -> Manifest:
    parsed = (_parsed_project(rules, target) / PARSED).read_bytes()
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        manifest = Manifest.from_msgpack(parsed, decoder=parser.extended_mashumuro_decoder)
        _drop_unused_macros(manifest)
        manifest.build_parent_and_child_maps()
        manifest.build_flat_graph()
    finally:
        if is_collecting:
            gc.enable()
    return manifest


def _drop_unused_macros(manifest: Manifest) -> None:
    """Drops rarely used macros that no node and no other macro calls."""
    unused = {
        unique_id
        for unique_id, macro in manifest.macros.items()
        if macro.package_name != manifest.metadata.project_name and RARELY_USED_MACROS.match(macro.original_file_path)
    }
    called = [name for node in manifest.nodes.values() for name in node.depends_on.macros]
    called += [name for unit_test in manifest.unit_tests.values() for name in unit_test.depends_on.macros]
    called += [
        name for caller, macro in manifest.macros.items() if caller not in unused for name in macro.depends_on.macros
    ]
    while called:
        name = called.pop()
        if name in unused:
            unused.remove(name)
            called += manifest.macros[name].depends_on.macros
    for unique_id in unused:
        del manifest.macros[unique_id]


def build_of(outcome: dbtRunnerResult) -> Build:
    results = getattr(outcome.result, "results", None) or []
    nodes = tuple(_node_result(result) for result in results)
    error = str(outcome.exception) if outcome.exception else None
    return Build(outcome.success and error is None, nodes, error)


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
        sql=node.compiled_code if isinstance(node, ModelNode) and node.language == "sql" else None,
        broken_rules_query=_broken_rules_query(result),
    )


def _broken_rules_query(result: RunResult) -> str | None:
    node = result.node
    if isinstance(node, GenericTestNode) and node.test_metadata.name == "rules" and str(result.status) == "fail":
        return node.compiled_code
    return None
