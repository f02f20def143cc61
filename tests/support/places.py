"""The pipeline without Dagster around it, for tests that need many loads."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from random_deliveries import write_delivery
from reference import Delivery, Row

from pipeline.building import build
from pipeline.contracts import delivered_tables
from pipeline.dbt_runner import Build
from pipeline.landing import scan
from pipeline.ledger import known_signatures
from pipeline.loading import Load, load_deliveries, pending
from pipeline.publishing import Generation, Publications
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse

MARTS = (
    *("journal", "client_card", "interaction_history", "client_history"),
    *("contact_counts", "touch_chains", "channel_steps", "channel_participation", "channel_worths"),
    *("touch_credits", "channel_credits", "unmapped_sources"),
    *("channel_costs", "channel_performance", "metric_days"),
)


def load_landing(warehouse: Warehouse, landing_dir: Path, rules: Rules) -> list[Load]:
    """Loads what is new or changed, oldest day first."""
    landing = scan(landing_dir, list(delivered_tables()), rules.first_load_day, rules.yesterday())
    with warehouse.locked("test"), warehouse.connected() as connection:
        waiting = pending(landing.deliveries, known_signatures(connection))
        return [
            load
            for table in delivered_tables()
            for load in load_deliveries(
                connection, [delivery for delivery in waiting if delivery.table == table], rules, landing_dir
            )
        ]


def build_marts(warehouse: Warehouse, rules: Rules) -> Build:
    with warehouse.locked("test"):
        outcome = build(warehouse, rules)
    assert outcome.is_passed, outcome.explain()
    return outcome


def rows_of(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def built_marts(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    with warehouse.locked("test"), warehouse.connected() as connection:
        return {mart: rows_of(connection, f"select * from marts.{mart}") for mart in MARTS}


def rejected_rows(warehouse: Warehouse) -> list[tuple[str, date, str, int, str]]:
    """Table, load day, file, record number and reason of the rows that live loads set aside."""
    with warehouse.locked("test"), warehouse.connected() as connection:
        return sorted(
            connection.execute(
                """
                select table_name, load_day, file_name, row_number, reason
                from raw.rejected_rows inner join raw.loads using (load_id)
                where superseded_by is null
                """
            ).fetchall()
        )


def sorted_rows(rows: Iterable[Mapping[str, str]]) -> list[tuple[tuple[str, str], ...]]:
    return sorted(tuple(sorted(row.items())) for row in rows)


class Place:
    """A landing folder and a warehouse, by day and table."""

    def __init__(self, folder: Path) -> None:
        self.landing = folder / "landing"
        self.warehouse = Warehouse(folder / "warehouse")
        self.publications = Publications(self.warehouse)

    def deliver(self, table: str, day: date, rows: Sequence[Row]) -> None:
        write_delivery(Delivery(table, day, {"part-1.csv": rows}), self.landing, "csv")
        load_landing(self.warehouse, self.landing, Rules.read())

    def update(self, rules: Rules | None = None) -> Generation:
        rules = rules or Rules.read()
        build_marts(self.warehouse, rules)
        with self.warehouse.locked("test"):
            return self.publications.publish(rules)

    def private(self, query: str) -> list[dict[str, Any]]:
        with self.warehouse.locked("test"), self.warehouse.connected() as connection:
            return rows_of(connection, query)

    def last_build(self) -> dict[str, Any]:
        return self.private("from raw.builds order by started_at desc limit 1")[0]

    def changes(self) -> dict[str, tuple[str, str]]:
        number = self.publications.numbers()[-1]
        with duckdb.connect(str(self.publications.file(number)), read_only=True) as connection:
            rows = connection.execute("select contact_id, change, reason from _changes").fetchall()
        return {contact: (change, reason) for contact, change, reason in rows}
