"""What all sources share: settings in sources.yml, and extracts that become deliveries."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo

import duckdb
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from pipeline.settings import Rules, load_environment
from sources.mapping import Mapping as FieldMapping
from sources.records import Records
from sources.time_zones import TimeZoneName

Days = tuple[date, ...]
# More rows than any file has, so that a record's position also identifies its file.
ROWS_PER_FILE = 2**40
NAME = r"[a-z][a-z0-9_]*"


def _written_as(pattern: str, otherwise: str) -> AfterValidator:
    """Requires a text's form. The error never shows the text: it may be a credential."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(otherwise)
        return value

    return AfterValidator(check)


VariableName = Annotated[
    str,
    _written_as(
        r"[A-Z][A-Z0-9_]*",
        "must be the name of a variable of the environment, in capital letters like MANGO_TOKEN; the credential itself is "
        "the variable's value, in the environment or in .env",
    ),
]
Part = Annotated[str, _written_as(r"[^:/\s]+", "must not be empty, nor hold spaces, / or :")]
Text = Annotated[str, Field(min_length=1)]


class SourceError(Exception):
    """A source could not be fetched. The message says which, why and what to do, and holds no credential."""


class RefusedError(SourceError):
    """Every further request would fail in the same way."""


class UnreachableError(SourceError):
    """No usable answer after all attempts."""


class TooLargeError(SourceError):
    """The answer is implausibly large. Smaller requests may work."""


@dataclass(frozen=True)
class Extract:
    """One dataset of a source, for some days.

    `total` is the count that the source announced, if any, and `received` what came, both in `unit`s. A difference from a
    total whose meaning is uncertain doesn't prevent delivery.
    """

    dataset: str
    mapping: FieldMapping
    records: Records
    days: Days
    total: int | None = None
    received: int = 0
    unit: str = "records"
    total_is_sure: bool = True
    doubt: str | None = None
    """Why records may be missing although no total says so."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """Counts of delivered records that are worth a remark, by remark."""
    is_of_its_day: bool = False
    """Whether all records belong to the one day, whatever times they carry."""
    mapping_name: str | None = None
    """The file of a mapping that a user wrote: what it can't read at all isn't delivered."""


@dataclass
class FetchContext:
    """What a fetch works with: its own folder and an in-memory DuckDB."""

    folder: Path
    connection: duckdb.DuckDBPyConnection
    rules: Rules
    notes_folder: Path | None = None
    """Where a source notes what must survive a killed fetch."""
    numbers: dict[str, int] = field(default_factory=dict)

    def new_name(self, kind: str) -> str:
        """An unused name for a table or file."""
        self.numbers[kind] = self.numbers.get(kind, 0) + 1
        return f"{kind}_{self.numbers[kind]}"

    def new_file(self, kind: str) -> Path:
        return self.folder / self.new_name(kind)

    def note(self, name: str) -> None:
        if self.notes_folder:
            self.notes_folder.mkdir(parents=True, exist_ok=True)
            (self.notes_folder / name).touch()

    def forget(self, name: str) -> None:
        if self.notes_folder:
            (self.notes_folder / name).unlink(missing_ok=True)

    def notes(self, beginning: str) -> list[str]:
        """The notes whose names begin like this."""
        found = self.notes_folder.glob(f"{beginning}*") if self.notes_folder else ()
        return sorted(note.name for note in found)

    def clear(self, *done: str | Path) -> None:
        """Drops tables and files that are no longer needed: over many days they would fill memory and disk."""
        for each in done:
            if isinstance(each, Path):
                each.unlink(missing_ok=True)
            else:
                self.connection.execute(f"drop table if exists {each}")


class Source(BaseModel):
    """An entry of sources.yml. Errors never show its values: one may be a misplaced credential."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: str
    name: str
    account: Part | None = None
    site: Text | None = None
    time_zone: TimeZoneName | None = None
    reload_days: int = 1
    deliver_despite_difference: bool = False

    has_every_day: ClassVar[bool] = True
    """Whether every undelivered day is missing; otherwise `held_days` lists the days that exist."""
    datasets: ClassVar[Mapping[str, str]] = {}
    """The table that each dataset is delivered to."""

    # Checked here rather than by the type, as kinds redeclare the field with their own defaults.
    @field_validator("reload_days")
    @classmethod
    def are_some_days(cls, count: int) -> int:
        if not 1 <= count <= 366:
            raise ValueError("must be from 1 to 366")
        return count

    @property
    def delivered_datasets(self) -> Mapping[str, str]:
        return self.datasets

    @property
    def tables(self) -> frozenset[str]:
        return frozenset(self.delivered_datasets.values())

    @property
    def own_account(self) -> str:
        """Distinguishes this account from others of its kind."""
        return self.account or self.name

    @property
    def delivered_by(self) -> str:
        """The prefix of ids and cookies (R3)."""
        return f"{self.kind}:{self.own_account}"

    @property
    def own_site(self) -> str:
        """The widget of touches and contacts that name none."""
        return self.site or self.own_account

    @property
    def keeps_ids(self) -> bool:
        """Whether ids and cookies are already unique across all sources."""
        return False

    def times_without_offset_are_in(self, rules: Rules) -> str:
        return self.time_zone or rules.report_timezone

    def days_are_in(self, rules: Rules) -> str:
        """The zone in which the source's days are requested."""
        return self.times_without_offset_are_in(rules)

    @property
    def latest_day_offset(self) -> int:
        """How many days before today the latest available day is."""
        return 0

    def latest_day(self, rules: Rules) -> date:
        """The latest day that can be requested, in both the report's zone and the source's."""
        own = rules.model_copy(update={"report_timezone": self.days_are_in(rules)})
        return min(rules.today(), own.today()) - timedelta(days=self.latest_day_offset)

    def end_of(self, day: date, rules: Rules) -> datetime:
        """When a day is over in both the report's zone and the source's: a query may use either."""
        midnight = datetime.combine(day + timedelta(days=1), time())
        return max(midnight.replace(tzinfo=ZoneInfo(zone)) for zone in (rules.report_timezone, self.days_are_in(rules)))

    def held_days(self, context: FetchContext) -> Days | None:
        """The days that have data, in order; None if only a request would show. Raises SourceError."""
        return None

    def read(self, days: Days, context: FetchContext) -> Iterator[Extract]:
        """Extracts for consecutive days. Raises SourceError."""
        raise NotImplementedError


def environment_value(variable: str, setting: str) -> str:
    """Reads a credential. Raises SourceError if it isn't set."""
    load_environment()
    value = os.environ.get(variable, "").strip()
    if not value:
        # A name without an underscore may be the credential itself.
        shown = variable if "_" in variable else f"the variable that `{setting}` names"
        raise RefusedError(f"{shown} isn't set in the environment, and `{setting}` says that the credential is there")
    return value


def windows(days: Days, size: int) -> Iterator[Days]:
    """Splits days into runs of at most `size` consecutive days."""
    group: list[date] = []
    for day in sorted(set(days)):
        if group and (len(group) == size or (day - group[-1]).days != 1):
            yield tuple(group)
            group = []
        group.append(day)
    if group:
        yield tuple(group)
