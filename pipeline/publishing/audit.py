"""Audits a written file before readers get it."""

from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.marts import MARTS
from pipeline.publishing.errors import PublicationError
from pipeline.publishing.models import attribution_models
from pipeline.settings import Rules
from pipeline.warehouse import Resources
from pipeline.wording import counted

QUERY = Path(__file__).with_name("sql") / "audit.sql"


def audit(
    file: Path, rules: Rules, row_counts: dict[str, int], resources: Resources, contacts: list[str] | None = None
) -> None:
    """Checks the written file as a reader sees it. Raises PublicationError.

    With `contacts`, checks of single contacts look at these only; sums cover all.
    """
    with duckdb.connect(str(file), read_only=True, config=resources) as connection:
        connection.execute("set TimeZone = 'UTC'")
        query = sql.statement(
            QUERY,
            models=_models(connection, "touch_credits"),
            data_driven_models=_models(connection, "_path_credits"),
            history_touch_limit=rules.history_touch_limit,
            contact_grace_seconds=rules.contact_grace_seconds,
            of_contacts=contacts is not None,
        )
        if contacts is not None:
            connection.execute("create temp table audited as select unnest($1::varchar[]) as contact_id", [contacts])
        faults = connection.execute(query).fetchall()
        found = [f"{row_count:,} {fault}" for fault, row_count in faults]
        found += [
            f"{mart} has {counted(count, 'row')} where {row_counts[mart]:,} were written"
            for mart in MARTS
            if (count := sql.count(connection, mart)) != row_counts[mart]
        ]
    if found:
        raise PublicationError(f"The audit found {'; '.join(found)}")


def _models(connection: duckdb.DuckDBPyConnection, table: str) -> list[sql.Fragment]:
    return list(map(sql.Fragment, attribution_models(connection, table)))
