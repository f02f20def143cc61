"""Metadata of loads, builds and publications in Dagster. No names and phones belong here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb

from pipeline import sql
from pipeline.loading import Load
from pipeline.publishing import Generation
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse

if TYPE_CHECKING:
    from pipeline.dbt_runner import NodeResult
    from pipeline.lineage import Origins


def load_metadata(load: Load) -> dict[str, Any]:
    return {
        "outcome": load.outcome,
        "load_id": load.load_id,
        "delivered_rows": load.delivered_count,
        "loaded_rows": load.loaded_count,
        "rejected_rows": load.rejected_count,
        "rejected_by_reason": load.rejected_by_reason,
        "unreadable_values": load.unreadable_values,
        "files": [file.file_name for file in load.files],
    }


def node_metadata(
    node: "NodeResult", previews: Mapping[str, Mapping[str, Any]], lineage: Mapping[str, "Origins"]
) -> dict[str, Any]:
    """Metadata of a built model or seed."""
    return {
        "execution_seconds": node.execution_seconds,
        **previews.get(node.name, {}),
        **lineage_metadata(lineage.get(node.unique_id)),
    }


def lineage_metadata(origins: "Origins | None") -> dict[str, Any]:
    """The columns that each column of a model comes from; nothing if that isn't known.

    In two forms: Dagster's own is for its interface and Dagster+, and its open-source page never shows that one.
    """
    if not origins:
        return {}
    columns = {
        column: [dg.TableColumnDep(dg.AssetKey([schema, table]), name) for schema, table, name in found]
        for column, found in origins.items()
    }
    lines = [
        f"| {column} | {', '.join(f'{schema}/{table}.{name}' for schema, table, name in found)} |"
        for column, found in origins.items()
    ]
    return {
        "dagster/column_lineage": dg.TableColumnLineage(columns),
        "column_origins": dg.MetadataValue.md("\n".join(["| column | comes from |", "| --- | --- |", *lines])),
    }


def check_metadata(node: "NodeResult") -> dict[str, Any]:
    """Metadata of a data test."""
    return {"failing_rows": node.failures, "message": node.message}


def generation_metadata(generation: Generation, rules: Rules, warnings: list[str]) -> dict[str, Any]:
    return {
        "generation": generation.number,
        "data_through": str(generation.data_through or "no day is loaded"),
        "days_behind_yesterday": rules.days_behind(generation.data_through),
        "readers_see_it": generation.is_linked,
        "changes": generation.changes,
        "warnings": warnings,
        "path": dg.MetadataValue.path(str(generation.file)),
        **{f"{mart}_rows": count for mart, count in generation.row_counts.items()},
    }


def previews(warehouse: Warehouse) -> Mapping[str, dict[str, Any]]:
    """Row counts by mart, and the journal's latest contacts. Needs the lock."""
    with warehouse.connected() as connection:
        tables = connection.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
        found: dict[str, dict[str, Any]] = {
            mart: {"dagster/row_count": sql.count(connection, f"marts.{mart}")} for (mart,) in tables
        }
        found["journal"]["latest_contacts"] = dg.MetadataValue.md(_latest_contacts(connection))
        return found


def _latest_contacts(connection: duckdb.DuckDBPyConnection) -> str:
    """The latest contacts of the journal, without names and phones."""
    cursor = connection.execute(
        """
        select contact_id, contact_type, contact_date, widget_name, icon, touch_count, touch_chain
        from marts.journal order by contacted_at desc, contact_id limit 10
        """
    )
    names = [column[0] for column in cursor.description or ()]
    lines = [names, ["---"] * len(names), *cursor.fetchall()]
    cells = [["" if value is None else str(value).replace("|", "\\|") for value in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
