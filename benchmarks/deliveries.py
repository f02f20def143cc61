"""Believable deliveries of any size, the same for the same arguments; deliveries.sql works out every row."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import duckdb

from pipeline.settings import PROJECT_DIR

GENERATOR = Path(__file__).with_name("deliveries.sql")
FIRST_DAY = date(2015, 1, 1)  # the generator's day 0
WIDGETS = ("okna-msk", "okna-spb", "dveri")  # two sites of a brand, and another brand's
MEMORY_LIMIT = "2GB"
THREADS = 2


@dataclass(frozen=True)
class Volume:
    """What a day brings."""

    touches: int = 20_000
    contacts: int = 1_000
    seed: int = 1
    file_format: str = "parquet"

    def __str__(self) -> str:
        return f"{self.touches}-touches-{self.contacts}-contacts-seed-{self.seed}-{self.file_format}"


@dataclass(frozen=True)
class Crowd:
    """People who come on top of a day; all their contacts share the identifier of the kind that `shared` names."""

    name: str
    touches: int
    contacts: int
    cookies: int
    shared: Literal["phone", "yandex_client_id"] | None = None


def write_deliveries(landing: Path, days: Iterable[date], volume: Volume, crowd: Crowd | None = None) -> None:
    """Writes the days that aren't there yet. A day's bytes depend on the volume and the day only."""
    with _generator(volume) as connection, ThreadPoolExecutor(THREADS) as threads:
        # A day is too small for DuckDB to divide among processors: each takes a day.
        list(threads.map(lambda day: _write_day(connection.cursor(), landing, day, volume, crowd), days))


def days_until(last_day: date, count: int) -> list[date]:
    return [last_day - timedelta(days=back) for back in reversed(range(count))]


def _generator(volume: Volume) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT})
    connection.execute(
        f"""
        create macro seed() as {volume.seed:d};
        create macro touch_count() as {volume.touches:d};
        create macro contact_count() as {volume.contacts:d};
        """
    )
    connection.execute(
        f"""
        create table widget as
        select list_position({list(WIDGETS)}, widget_id) as widget_slot, widget_id, site_host
        from read_csv($widgets)
        where widget_id in {WIDGETS}
        """,
        {"widgets": str(PROJECT_DIR / "seeds/widgets.csv")},
    )
    connection.execute(GENERATOR.read_text("utf-8"))
    return connection


def _write_day(
    connection: duckdb.DuckDBPyConnection, landing: Path, day: date, volume: Volume, crowd: Crowd | None
) -> None:
    number = f"{(day - FIRST_DAY).days}::bigint"
    queries = {table: {"part-1": f"{table}_of({number})"} for table in ("touches", "contacts", "costs")}
    if crowd:
        queries["touches"]["part-2"] = f"crowd_touches({number}, '{crowd.name}', {crowd.touches}, {crowd.cookies})"
        queries["contacts"]["part-2"] = (
            f"crowd_contacts({number}, '{crowd.name}', {crowd.contacts}, {crowd.cookies}, '{crowd.shared}')"
        )
    for table, files in queries.items():
        for name, query in files.items():
            file = landing / table / day.isoformat() / f"{name}.{volume.file_format}"
            if file.exists():
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(f"{file.name}.part")
            connection.execute(f"copy (from {query}) to '{unfinished}' (format {volume.file_format})")
            unfinished.replace(file)
