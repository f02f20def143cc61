"""Sources of stand-ins, and what they deliver, fetched in this process."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
from misbehaving_servers import StandIn
from stand_ins import CalltouchStandIn, MangoStandIn, MetricaStandIn

from pipeline.settings import Rules, Settings
from pipeline.warehouse import Warehouse
from sources.delivering import Fetched
from sources.fetching import fetch
from sources.kinds import KINDS
from sources.source import Source

DAY = date(2026, 3, 10)
MORNING = datetime(2026, 3, 10, 7, 5, 20, tzinfo=UTC)  # 10:05:20 in Moscow
TOKEN_VARIABLE = "STAND_IN_TOKEN"
LITTLE_PATIENCE = {"timeout_seconds": 0.5, "attempts": 4, "wait_seconds": 0.01}


def settings_for(stand_in: StandIn, **changed: Any) -> dict[str, Any]:
    """What sources.yml says of a stand-in."""
    own: dict[str, Any] = {}
    if isinstance(stand_in, MangoStandIn):
        own = {"kind": "mango", "widget_id": "777"}
    elif isinstance(stand_in, CalltouchStandIn):
        own = {"kind": "calltouch", "site_id": "123"}
    elif isinstance(stand_in, MetricaStandIn):
        own = {"kind": "metrica", "counter_id": "42", "poll_seconds": 0.01}
    return own | {"url": stand_in.url, "token_variable": TOKEN_VARIABLE} | LITTLE_PATIENCE | changed


def source_for(stand_in: StandIn, **changed: Any) -> Source:
    settings = settings_for(stand_in, **changed)
    return KINDS[settings["kind"]].model_validate({"name": settings["kind"], **settings})


@dataclass
class Fetches:
    """A landing folder, and the warehouse beside it."""

    folder: Path
    rules: Rules = field(default_factory=Rules.read)

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    def fetch(self, source: Source, *days: date) -> dict[tuple[str, date], Fetched]:
        """What became of each dataset and day."""
        settings = replace(Settings.read(), landing_dir=self.landing)
        warehouse = Warehouse(self.folder / "warehouse")
        with warehouse.locked("test"):
            results = list(fetch(source, days, self.rules, settings, warehouse))
        found = {(fetched.dataset, fetched.day): fetched for fetched in results}
        assert len(found) == len(results) == len(set(days)) * len(source.delivered_datasets), results
        return found

    def outcomes(self, source: Source, *days: date) -> set[str]:
        return {fetched.outcome for fetched in self.fetch(source, *days).values()}

    def files(self) -> dict[str, tuple[bytes, int]]:
        """The bytes of every file that lies there, hidden ones too, and when it was changed."""
        return {
            str(file.relative_to(self.landing)): (file.read_bytes(), file.stat().st_mtime_ns)
            for file in sorted(self.landing.rglob("*"))
            if file.is_file()
        }

    def contents(self) -> dict[str, bytes]:
        return {name: content for name, (content, _) in self.files().items()}

    def rows(self, dataset: str, *days: date) -> list[dict[str, str]]:
        """What is delivered, by column, without what has no value."""
        found = []
        for day in days or (DAY,):
            (file,) = self.landing.glob(f"*/{day}/*-{dataset}.parquet")
            found += rows_of_file(file)
        return found

    def values(self, dataset: str, column: str, *days: date) -> list[str | None]:
        return [row.get(column) for row in self.rows(dataset, *days)]


def rows_of_file(file: Path) -> list[dict[str, str]]:
    with duckdb.connect() as connection:
        cursor = connection.execute("from read_parquet(?)", [str(file)])
        names = [column[0] for column in cursor.description or ()]
        return [
            {name: value for name, value in zip(names, row, strict=True) if value is not None}
            for row in cursor.fetchall()
        ]


def messages(results: Iterable[Fetched]) -> set[str | None]:
    return {fetched.message for fetched in results}
