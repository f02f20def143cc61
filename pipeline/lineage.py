"""Column lineage: which columns of other tables each column of a model is worked out from.

It says where values come from, not by what rows are joined, filtered or counted.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipeline.dbt_runner import TARGETS, Build, prepared_manifest
from pipeline.settings import Settings
from pipeline.warehouse import sync

if TYPE_CHECKING:
    from sqlglot import MappingSchema

log = logging.getLogger("multichannel")

# Beside the parsed project: the origins that were read from SQL, by model and digest of the SQL.
KEPT = f"lineage-{importlib.metadata.version('sqlglot')}.json"

# By column: the columns that it is worked out from, as schema, table and column.
Origins = dict[str, list[tuple[str, str, str]]]


def column_lineage(build: Build) -> dict[str, Origins]:
    """The origins of the columns of models, by unique id; none of models in Python and of what sqlglot can't read.

    SQL is read once, as that takes seconds for all models; it is the same in each full build and in each incremental one.
    Models that the build left out have the origins that were read last.
    """
    engine = Settings.read().engine  # named as its dialect
    manifest = prepared_manifest(TARGETS[engine])
    file = manifest.with_name(KEPT)
    kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
    queries = {node.unique_id: node.sql for node in build.nodes if node.sql}
    digests = {unique_id: hashlib.sha256(query.encode()).hexdigest() for unique_id, query in queries.items()}
    unread = [unique_id for unique_id, digest in digests.items() if digest not in kept.get(unique_id, {})]
    if unread:
        from sqlglot import MappingSchema

        # What it can't read has no origins. Its warnings look like errors of the build.
        logging.getLogger("sqlglot").setLevel(logging.ERROR)
        project = json.loads(manifest.read_text("utf-8"))
        tables = project["sources"] | project["nodes"]
        schema = MappingSchema(dialect=engine)
        for table in tables.values():
            if table["columns"]:
                types = {name: column["data_type"] for name, column in table["columns"].items()}
                schema.add_table(table["relation_name"], types, dialect="duckdb")
        for unique_id in unread:
            parents = [tables[parent] for parent in tables[unique_id]["depends_on"]["nodes"]]
            origins = _origins(unique_id, queries[unique_id], parents, schema, engine)
            kept.setdefault(unique_id, {})[digests[unique_id]] = origins
        with suppress(OSError):  # no reason to fail a run
            unfinished = file.with_suffix(f".{os.getpid()}")
            unfinished.write_text(json.dumps(kept), "utf-8")
            sync(unfinished)
            os.replace(unfinished, file)
    return {
        unique_id: read.get(digests.get(unique_id, ""), list(read.values())[-1]) for unique_id, read in kept.items()
    }


def _origins(
    unique_id: str, query: str, parents: list[Mapping[str, Any]], schema: "MappingSchema", dialect: str
) -> Origins:
    from sqlglot import exp
    from sqlglot.lineage import lineage

    # Tables as the build before left them have a schema of their own in the names of assets: `previous`.
    schemas = {(parent["schema"], parent["name"]): parent.get("source_name", parent["schema"]) for parent in parents}
    try:
        return {
            column: sorted(
                {
                    (schemas[table.db, table.name], table.name, exp.to_column(step.name).name)
                    for step in steps.walk()
                    if isinstance(table := step.expression, exp.Table) and (table.db, table.name) in schemas
                }
            )
            for column, steps in lineage(None, query, schema, dialect=dialect).items()
        }
    except Exception as error:  # of many kinds, and no reason to fail a run
        log.debug("no column lineage of %s: %s", unique_id, error)
        return {}
