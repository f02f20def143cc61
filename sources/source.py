"""What every source has: its settings in sources.yml, and answers that become deliveries."""

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
# More rows than a file has: a position says by it which file a record is of.
ROWS_PER_FILE = 2**40
NAME = r"[a-z][a-z0-9_]*"


def _written_as(pattern: str, otherwise: str) -> AfterValidator:
    """A text's form, and what is said where it has another. The text itself is not: it may be a credential."""

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
    """A source that couldn't be fetched; the message says which, why and what to do, and holds no credential."""


class RefusedError(SourceError):
    """Whatever else the source is asked, the answer will be the same."""


class UnreachableError(SourceError):
    """No answer that means anything, however often it was asked for."""


class TooLargeError(SourceError):
    """An answer that nothing sound could be as large as. What is asked for in smaller pieces may come."""


@dataclass(frozen=True)
class Extract:
    """What a source answered for some days about one dataset.

    `total` is what the source itself said it would give, `received` what came, in `unit`s; no total if it said none. What
    differs from a total whose meaning isn't sure is delivered all the same.
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
    """Why some may be missing, though no total says so."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """Records by what is worth knowing of them, though they are delivered."""
    is_of_its_day: bool = False
    """Whether all is of the one day, whenever it says that it was."""
    mapping_name: str | None = None
    """The mapping's file, where a user wrote it: what it can't read at all isn't delivered."""


@dataclass
class FetchContext:
    """Where a fetch works: a folder of its own and a DuckDB in memory."""

    folder: Path
    connection: duckdb.DuckDBPyConnection
    rules: Rules
    notes_folder: Path | None = None
    """Where a source notes what it must not forget, should the fetch be killed."""
    numbers: dict[str, int] = field(default_factory=dict)

    def new_name(self, kind: str) -> str:
        """A name for another table or file, which nothing has yet."""
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
        """The names of notes that begin like this."""
        found = self.notes_folder.glob(f"{beginning}*") if self.notes_folder else ()
        return sorted(note.name for note in found)

    def clear(self, *done: str | Path) -> None:
        """Drops tables and files that nothing more is read from: of many days they would fill memory and disk."""
        for each in done:
            if isinstance(each, Path):
                each.unlink(missing_ok=True)
            else:
                self.connection.execute(f"drop table if exists {each}")


class Source(BaseModel):
    """An entry of sources.yml. What it says is never shown where it is wrong: it may be a credential by mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: str
    name: str
    account: Part | None = None
    site: Text | None = None
    time_zone: TimeZoneName | None = None
    reload_days: int = 1
    deliver_despite_difference: bool = False

    has_every_day: ClassVar[bool] = True
    """Whether a day that wasn't delivered is missing; otherwise `held_days` says which days there are."""
    datasets: ClassVar[Mapping[str, str]] = {}
    """The table that each dataset is delivered to."""

    # Not said by the type, as kinds have defaults of their own and with these a type of their own.
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
        """What tells this account from the others of its kind."""
        return self.account or self.name

    @property
    def delivered_by(self) -> str:
        """What ids and cookies are prefixed by (R3)."""
        return f"{self.kind}:{self.own_account}"

    @property
    def own_site(self) -> str:
        """The widget that touches and contacts are of, where nothing else says so."""
        return self.site or self.own_account

    @property
    def keeps_ids(self) -> bool:
        """Whether ids and cookies are unique over all sources as they are."""
        return False

    def times_without_offset_are_in(self, rules: Rules) -> str:
        return self.time_zone or rules.report_timezone

    def days_are_in(self, rules: Rules) -> str:
        """The zone whose days the source is asked for."""
        return self.times_without_offset_are_in(rules)

    @property
    def latest_day_offset(self) -> int:
        """How many days ago the latest day is that can be asked for."""
        return 0

    def latest_day(self, rules: Rules) -> date:
        """The latest day that can be asked for: of two zones, it begins later in one."""
        own = rules.model_copy(update={"report_timezone": self.days_are_in(rules)})
        return min(rules.today(), own.today()) - timedelta(days=self.latest_day_offset)

    def end_of(self, day: date, rules: Rules) -> datetime:
        """When nothing more can come of a day: it ends later in one of two zones, and a query may ask by either."""
        midnight = datetime.combine(day + timedelta(days=1), time())
        return max(midnight.replace(tzinfo=ZoneInfo(zone)) for zone in (rules.report_timezone, self.days_are_in(rules)))

    def held_days(self, context: FetchContext) -> Days | None:
        """The days that there is something of, in their order; None where only asking tells. Raises SourceError."""
        return None

    def read(self, days: Days, context: FetchContext) -> Iterator[Extract]:
        """Answers for days that follow one another. Raises SourceError."""
        raise NotImplementedError


def environment_value(variable: str, setting: str) -> str:
    """A credential. Raises SourceError if it isn't set."""
    load_environment()
    value = os.environ.get(variable, "").strip()
    if not value:
        # What has no underscore may be the credential itself, in place of a name.
        shown = variable if "_" in variable else f"the variable that `{setting}` names"
        raise RefusedError(f"{shown} isn't set in the environment, and `{setting}` says that the credential is there")
    return value


def windows(days: Days, size: int) -> Iterator[Days]:
    """Days, in groups of at most `size` that follow one another without a gap."""
    group: list[date] = []
    for day in sorted(set(days)):
        if group and (len(group) == size or (day - group[-1]).days != 1):
            yield tuple(group)
            group = []
        group.append(day)
    if group:
        yield tuple(group)
