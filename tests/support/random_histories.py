"""Random histories: what arrives step by step, is corrected, removed, tied and cut again.

Many histories share one warehouse. Its calendar says which folders are written in which load, which step builds and
publishes, and by which settings; each history says which rows of its own lie in a folder then. Ids and identifiers begin
with the history's namespace, so that histories are strangers to each other and one run tries them all.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from random_deliveries import (
    CHANGED_SETTINGS,
    CORRECTED_COLUMNS,
    FILE_FORMATS,
    FILE_NAMES,
    FileFormat,
    Person,
    RowMaker,
    random_attribution_settings,
    random_same_event_settings,
)
from reference import COOKIE_KINDS, ID_COLUMN, IDENTIFIER_KINDS, TAGS, TIME_COLUMN, Delivery, Row, Seeds, start_of_day

Folder = tuple[str, date]  # table, load day
Change = tuple[int, str, date]  # a load's number, and the folder in which a history has other rows from then on
TABLES = ("touches", "contacts")
NUMBER_OF_DAYS = 7
NUMBER_OF_MODELS = 52  # about, of a build of what changed
PLACES_TO_DIE = 40  # spread over the models
NOBODY = "nobody-"  # the namespace of rows that belong to no history
CHANGED_COLUMNS = CORRECTED_COLUMNS | {
    "contacts": (*CORRECTED_COLUMNS["contacts"][:-1], ("contact_type", "client_name")),
}
# What decides how rows are judged when they come isn't undone by changing it back.
REVERSIBLE_SETTINGS = [
    changed
    for changed in CHANGED_SETTINGS
    if changed and not changed.keys() & {"report_timezone", "max_rejected_share"}
]

# Clock changes forth and back, at midnight, by half an hour; a leap day; a year's end; no change at all.
PLACES = (
    ("Europe/Moscow", date(2026, 3, 1)),
    ("America/New_York", date(2025, 3, 6)),
    ("Europe/Berlin", date(2025, 10, 23)),
    ("Europe/Moscow", date(2024, 2, 26)),
    ("America/New_York", date(2025, 10, 30)),
    ("Asia/Vladivostok", date(2023, 12, 28)),
    ("Europe/Berlin", date(2025, 3, 27)),
    ("America/Santiago", date(2025, 9, 4)),
    ("Australia/Lord_Howe", date(2025, 10, 1)),
    ("Asia/Kathmandu", date(2024, 12, 29)),
)


# The calendar of a warehouse


@dataclass(frozen=True)
class Load:
    """One run of the loader, and the folders that were written before it."""

    number: int
    written: tuple[Folder, ...]
    emptied: frozenset[Folder] = frozenset()
    failing: frozenset[Folder] = frozenset()
    rewritten: frozenset[Folder] = frozenset()
    """Folders whose files were written once more as they are."""


@dataclass(frozen=True)
class Step:
    """Loads, then a build, and usually a publication."""

    loads: tuple[Load, ...]
    settings: Mapping[str, Any]
    is_published: bool = True
    is_full_refresh: bool = False
    killed_after: int | None = None
    """Models that an earlier build got done before it was killed; none is no such build."""


@dataclass(frozen=True)
class Calendar:
    seed: int
    first_day: date
    file_format: FileFormat
    file_names: tuple[str, ...]
    """All that deliveries use: a file costs more than a row."""
    steps: tuple[Step, ...]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.steps[0].settings["report_timezone"])

    def up_to(self, step: int) -> Calendar:
        return replace(self, steps=self.steps[: step + 1])

    def without_build(self, step: int) -> Calendar:
        """The loads of a step are built by the step after it."""
        merged = replace(self.steps[step + 1], loads=self.steps[step].loads + self.steps[step + 1].loads)
        return replace(self, steps=(*self.steps[:step], merged, *self.steps[step + 2 :]))

    def writes(self) -> set[Change]:
        return {(load.number, *folder) for step in self.steps for load in step.loads for folder in load.written}

    def writing(self, kept: Container[Change]) -> Calendar:
        """Only these folders are written in these loads."""

        def kept_of(load: Load) -> Load:
            written = tuple(folder for folder in load.written if (load.number, *folder) in kept)
            return replace(load, written=written, rewritten=frozenset())

        steps = [
            replace(step, loads=tuple(load for load in map(kept_of, step.loads) if load.written)) for step in self.steps
        ]
        return replace(self, steps=tuple(steps))


def random_calendar(seed: int, number_of_steps: int) -> Calendar:
    dice = random.Random(f"calendar {seed}")
    report_timezone, first_day = PLACES[seed % len(PLACES)]
    settings = {"report_timezone": report_timezone} | CHANGED_SETTINGS[seed % len(CHANGED_SETTINGS)]
    settings |= random_attribution_settings(f"{seed}") | random_same_event_settings(f"{seed}")
    steps_settings = [settings] * number_of_steps
    if number_of_steps > 3 and dice.random() < 0.5:
        # Changed for a step or two, and back.
        start = dice.randrange(1, number_of_steps - 1)
        for step in range(start, min(start + dice.choice((1, 2)), number_of_steps - 1)):
            steps_settings[step] = settings | dice.choice(REVERSIBLE_SETTINGS)
            steps_settings[step] |= random_attribution_settings(f"{seed}, step {step}")
            steps_settings[step] |= random_same_event_settings(f"{seed}, step {step}")

    counts = [dice.choice((1, 1, 1, 1, 2, 2, 3)) for _ in range(number_of_steps)]
    if number_of_steps > 3 and dice.random() < 0.2:
        counts[dice.randrange(2, number_of_steps)] = 0  # a build that has nothing new
    arrivals = random_arrivals(dice, first_day, sum(counts))
    steps = []
    come: list[Folder] = []
    # Whoever is only in folders that are written once is not affected by what comes later.
    settled = {folder for arrival in arrivals for folder in arrival if dice.random() < 0.4}
    failing: set[Folder] = set()
    number = 0
    for step in range(number_of_steps):
        loads = []
        for _ in range(counts[step]):
            again = [
                folder
                for folder in come
                if (folder in failing or folder not in settled) and dice.random() < (0.7 if folder in failing else 0.3)
            ]
            if come and not again:
                again = [dice.choice(come)]
            new = arrivals[number]
            come += new
            written = (*new, *again)
            failing = {folder for folder in written if dice.random() < 0.04} | (failing - {*written})
            emptied = {folder for folder in again if dice.random() < 0.02}
            rewritten = {folder for folder in come if folder not in {*written, *settled} and dice.random() < 0.05}
            loads.append(
                Load(
                    number,
                    written,
                    frozenset(emptied),
                    frozenset(failing.intersection(written)),
                    frozenset(rewritten),
                )
            )
            number += 1
        is_last = step == number_of_steps - 1
        steps.append(
            Step(
                tuple(loads),
                steps_settings[step],
                is_published=is_last or dice.random() < 0.7,
                is_full_refresh=step > 0 and dice.random() < 0.04,
            )
        )
    for step in dice.sample(range(1, number_of_steps), number_of_steps // 5):
        steps[step] = replace(
            steps[step], killed_after=dice.randrange(PLACES_TO_DIE) * NUMBER_OF_MODELS // PLACES_TO_DIE
        )
    file_names = tuple(dice.sample(FILE_NAMES, 3))
    costs = random.Random(f"costs of calendar {seed}")
    return Calendar(
        seed, first_day, FILE_FORMATS[seed % len(FILE_FORMATS)], file_names, with_costs(costs, first_day, steps)
    )


def with_costs(dice: random.Random, first_day: date, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Adds folders of costs to loads: by dice of their own, so that touches and contacts come as they would without."""
    # Some are of later days than all touches and contacts.
    folders = [("costs", first_day + timedelta(days=number)) for number in range(NUMBER_OF_DAYS + 2)]
    come: set[Folder] = set()
    failing: set[Folder] = set()

    def added_to(load: Load) -> Load:
        nonlocal failing
        chances = {folder: 0.2 if folder not in come else 0.7 if folder in failing else 0.3 for folder in folders}
        written = [folder for folder, chance in chances.items() if dice.random() < chance]
        emptied = {folder for folder in written if folder in come and dice.random() < 0.05}
        rewritten = {folder for folder in folders if folder in come - {*written} and dice.random() < 0.05}
        failing = {folder for folder in written if dice.random() < 0.04} | (failing - {*written})
        come.update(written)
        return replace(
            load,
            written=(*load.written, *written),
            emptied=load.emptied | emptied,
            failing=load.failing | failing.intersection(written),
            rewritten=load.rewritten | rewritten,
        )

    return tuple(replace(step, loads=tuple(map(added_to, step.loads))) for step in steps)


def random_arrivals(dice: random.Random, first_day: date, number_of_loads: int) -> list[list[Folder]]:
    """The folders that are written for the first time, load by load; some never are."""
    days = [first_day + timedelta(days=number) for number in range(NUMBER_OF_DAYS)]
    way = dice.choice(("in order", "in order", "nearly in order", "nearly in order", "backwards", "shuffled"))
    if way == "backwards":
        days.reverse()
    elif way == "shuffled":
        dice.shuffle(days)
    folders = [(table, day) for day in days for table in dice.sample(TABLES, 2) if dice.random() < 0.93]
    if way == "nearly in order":
        late = folders.pop(dice.randrange(len(folders) // 2))
        folders.insert(dice.randrange(len(folders) // 2, len(folders)), late)
    arrivals: list[list[Folder]] = [[] for _ in range(number_of_loads)]
    # The first load brings more than others; the last brings the last day only now and then.
    loads = max(1, number_of_loads - dice.choice((0, 0, 1)))
    for position, folder in enumerate(folders):
        arrivals[min(loads - 1, max(0, (position - 2) * loads // max(1, len(folders) - 2)))].append(folder)
    return arrivals


# The plots of histories


@dataclass(frozen=True)
class Chances:
    """How likely a delivery brings each kind of trouble; of a row each, unless said otherwise."""

    late: float = 0.2
    ahead: float = 0.06
    delivered_elsewhere: float = 0.3
    duplicated: float = 0.06
    removed: float = 0.1
    redated: float = 0.1
    other_identifiers: float = 0.1
    no_identifiers: float = 0.03
    placeholders: float = 0.03
    other_widget: float = 0.04
    other_values: float = 0.08
    other_source: float = 0.05
    spoilt: float = 0.04
    link_placed: float = 0.3  # of a link that is nowhere yet, or not any more, per delivery
    link_loosened: float = 0.5
    link_restored: float = 0.6
    first_contact_changed: float = 0.2  # of a delivery of contacts
    emptied: float = 0.05  # of a delivery
    files_changed: float = 0.15  # of a delivery
    idle: float = 0.35  # of a load: whatever is written in it, the history's rows stay what they are


@dataclass(frozen=True)
class Plot:
    """What a history is about. Ranges are of rows per delivery, people and links per history."""

    touches: tuple[int, int] = (0, 8)
    contacts: tuple[int, int] = (0, 4)
    people: tuple[int, int] = (2, 7)
    identifier_shares: Sequence[float] = (0.15, 0.4, 0.4, 0.7)
    stranger_chance: float = 0.07
    links: tuple[int, int] = (0, 0)
    is_chain: bool = False
    is_one_brand: bool = False
    chances: Chances = field(default_factory=Chances)


CALM = Chances(
    **{"delivered_elsewhere": 0.12, "duplicated": 0.01, "removed": 0.02, "redated": 0.02, "other_identifiers": 0.01},
    **{"no_identifiers": 0.005, "placeholders": 0.005, "other_widget": 0.005, "other_values": 0.01, "spoilt": 0.01},
)
PLOTS = {
    "mixed": Plot(),
    "few": Plot(touches=(0, 2), contacts=(0, 1), people=(1, 2), identifier_shares=(0.4, 0.7)),
    "merges": Plot(
        touches=(1, 5),
        contacts=(1, 5),
        people=(2, 4),
        identifier_shares=(0.6, 0.9),
        stranger_chance=0,
        links=(1, 3),
        is_one_brand=True,
        chances=CALM,
    ),
    "chain": Plot(
        touches=(0, 4),
        contacts=(0, 3),
        people=(6, 16),
        identifier_shares=(0.15, 0.25),
        stranger_chance=0,
        links=(60, 60),
        is_chain=True,
        is_one_brand=True,
        chances=replace(CALM, link_placed=0.7, link_loosened=0.03),
    ),
    "passers-by": Plot(
        touches=(3, 8), contacts=(1, 4), people=(20, 30), identifier_shares=(0.3, 0.6), stranger_chance=0, chances=CALM
    ),
    "sparse": Plot(people=(8, 14), identifier_shares=(0.1, 0.2), stranger_chance=0.02),
    "dense": Plot(people=(1, 3), identifier_shares=(0.9,), stranger_chance=0.2),
    "edge": Plot(people=(1, 3), identifier_shares=(0.5, 0.9), chances=Chances(ahead=0.4, delivered_elsewhere=0.5)),
    "unstable": Plot(
        chances=Chances(removed=0.25, redated=0.25, other_identifiers=0.2, delivered_elsewhere=0.6, duplicated=0.15)
    ),
    "large": Plot(
        touches=(20, 70),
        contacts=(2, 8),
        people=(1, 3),
        identifier_shares=(0.6, 0.9),
        stranger_chance=0.003,
        links=(0, 2),
        is_one_brand=True,
        chances=CALM,
    ),
}
# Large ones take long: one in twelve.
PLOT_OF_SEED = (
    *("merges", "mixed", "chain", "unstable", "edge", "few"),
    *("passers-by", "large", "merges", "sparse", "dense", "chain"),
)


# Histories


@dataclass(frozen=True)
class PlacedRow:
    """A row in a file of a folder. The record is what the row's id is without its namespace, even if the row has none."""

    file_name: str
    record: str
    row: Row


@dataclass(frozen=True)
class History:
    seed: int
    namespace: str
    plot: str
    changes: Mapping[Change, tuple[PlacedRow, ...]]


@dataclass(frozen=True)
class Cut:
    """What is left out of a history, told without its namespace."""

    changes: frozenset[Change] = frozenset()
    records: frozenset[str] = frozenset()
    rows: frozenset[tuple[Change, int]] = frozenset()
    columns: frozenset[str] = frozenset()

    def of(self, history: History) -> History:
        return replace(
            history,
            changes={
                change: tuple(
                    replace(placed, row={name: value for name, value in placed.row.items() if name not in self.columns})
                    for number, placed in enumerate(rows)
                    if placed.record not in self.records and (change, number) not in self.rows
                )
                for change, rows in history.changes.items()
                if change not in self.changes
            },
        )


def namespace_of(number: int) -> str:
    return f"h{number:05}-"


def random_history(seed: int, calendar: Calendar, seeds: Seeds, number: int | None = None) -> History:
    """The history of a seed in a calendar; the number, by default the seed, tells its namespace and changes nothing else."""
    plot = PLOT_OF_SEED[seed % len(PLOT_OF_SEED)]
    makers = {
        tables: HistoryMaker(
            random.Random(f"{dice} {seed}"),
            seeds,
            calendar.zone,
            identifier_shares=PLOTS[plot].identifier_shares,
            stranger_chance=PLOTS[plot].stranger_chance,
            number=seed if number is None else number,
            plot=PLOTS[plot],
            first_day=calendar.first_day,
            file_names=calendar.file_names,
        )
        for tables, dice in ((TABLES, "history"), (("costs",), "costs of history"))
    }
    changes: dict[Change, tuple[PlacedRow, ...]] = {}
    for step in calendar.steps:
        for load in step.loads:
            for tables, maker in makers.items():
                is_idle = maker.chance(maker.plot.chances.idle)
                for table, day in load.written:
                    is_emptied = (table, day) in load.emptied
                    if table in tables and (not is_idle or is_emptied):
                        changes[load.number, table, day] = maker.delivered_rows(table, day, is_emptied)
    return History(seed, makers[TABLES].namespace, plot, changes)


@dataclass
class HistoryMaker(RowMaker):
    """Rows of one namespace, and what becomes of them when their folder is written again."""

    number: int = 0
    plot: Plot = field(default_factory=Plot)
    first_day: date = date(2026, 3, 1)
    file_names: Sequence[str] = FILE_NAMES
    folders: dict[Folder, list[PlacedRow]] = field(default_factory=dict)
    links: dict[str, tuple[str, Row]] = field(default_factory=dict)
    """The rows that tie what is otherwise apart: their table and row by record."""
    used_records: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.namespace = namespace_of(self.number)
        super().__post_init__()
        self.people = [self.person(number) for number in range(self.dice.randint(*self.plot.people))]
        self.okna_widgets = [widget for widget in self.widget_ids if self.brand(widget) == "okna"]
        nodes = [(kind, person) for person in self.people for kind in ("visitor_id", "yandex_client_id")]
        if self.plot.is_chain:
            ends = list(pairwise(nodes))
        else:
            ends = [
                ((self.dice.choice(COOKIE_KINDS[:2]), one), (self.dice.choice(COOKIE_KINDS[2:]), other))
                for one, other in pairwise(self.people)
            ]
        for number, tied in enumerate(ends[: self.dice.randint(*self.plot.links)]):
            table = self.dice.choice(("touches", "touches", "contacts"))
            record = f"{'t' if table == 'touches' else 'c'}-link-{number}"
            row = self.good_row(table, self.first_day) | dict.fromkeys(
                IDENTIFIER_KINDS if table == "contacts" else COOKIE_KINDS
            )
            row |= {kind: person.identifiers[kind][0] for kind, person in tied}
            # Early enough to be seen from the first day on.
            tied_at = start_of_day(self.first_day, self.zone) + timedelta(hours=self.dice.randrange(-48, 20))
            row |= {
                ID_COLUMN[table]: self.namespace + record,
                TIME_COLUMN[table]: self.written_instant(tied_at),
                "widget_id": self.okna_widgets[0],
            }
            self.links[record] = (table, row)

    def brand(self, widget_id: str) -> str:
        return self.seeds.widgets[widget_id].brand if widget_id in self.seeds.widgets else "default"

    def widget_id(self) -> str:
        if self.plot.is_one_brand and not self.chance(0.03):
            return self.dice.choice([widget for widget in self.widget_ids if self.brand(widget) == "okna"])
        return super().widget_id()

    def person(self, number: int) -> Person:
        # As strangers have the same numbers in other kinds: the bare number must tie nothing.
        name = self.namespace
        return Person(
            {
                "visitor_id": [f"{name}v{number}", f"{name}V{number}", f"{name}{number}"],
                "yandex_client_id": [f"{name}{number}", f"{name}y{number}"],
                "google_client_id": [f"{name}{number}", f"{name}g.{number}"],
                "crm_client_id": [f"{name}{number}", f"{name}crm-{number}"],
                "phone": [self.number_of(number), self.number_of(number + 1)],
                "email": [f"{name}anna{number}@example.com", f"{name}вера.{number}@окна.example"],
            }
        )

    def number_of(self, person: int) -> str:
        return f"+7916{self.number * 20 + person:07}"

    # When

    def instant(self, load_day: date) -> datetime:
        chances = self.plot.chances
        next_start = start_of_day(load_day + timedelta(days=1), self.zone)
        if self.chance(chances.ahead):
            return next_start + timedelta(minutes=10 * self.dice.randrange(24 * 6 + 1))
        day = load_day - timedelta(days=self.dice.randint(1, NUMBER_OF_DAYS) if self.chance(chances.late) else 0)
        change = clock_change(day, self.zone)
        if change and self.chance(0.4):
            return change + timedelta(minutes=self.dice.choice((-60, -30, -10, 0, 10, 30, 59, 60)))
        if self.chance(0.4):
            return start_of_day(day, self.zone) + timedelta(seconds=self.dice.randrange(24 * 3600))
        return super().instant(day)

    def written_instant(self, instant: datetime) -> str:
        change = clock_change(instant.astimezone(self.zone).date(), self.zone)
        if change and self.chance(0.3):
            # Local times that a clock change repeats or skips, without an offset.
            near = change.astimezone(self.zone).replace(tzinfo=None)
            return f"{near + timedelta(minutes=self.dice.choice((-60, -45, -30, -1, 0, 1, 30, 59))):%Y-%m-%dT%H:%M:%S}"
        return super().written_instant(instant)

    # What a folder holds

    def delivered_rows(self, table: str, day: date, is_emptied: bool) -> tuple[PlacedRow, ...]:
        """The history's rows in a folder that is written, for the first time or again."""
        chances = self.plot.chances
        former = self.folders.get((table, day))
        is_first = not former
        rows: list[PlacedRow] = []
        if not (is_emptied or (not is_first and self.chance(chances.emptied))):
            for placed in former or ():
                rows += self.redelivered(table, day, placed)
            fewest, most = self.plot.touches if table == "touches" else self.plot.contacts  # as few costs as contacts
            count = self.dice.randint(fewest, most) if is_first else self.dice.choice((0, 0, 1, 1, max(1, most // 3)))
            rows += [self.new_row(table, day) for _ in range(count)]
            rows += self.new_links(table)
            rows += [
                replace(placed, file_name=self.dice.choice(self.file_names), row=self.changed(table, day, placed.row))
                for placed in rows
                if self.chance(chances.duplicated)
            ]
            if table == "contacts" and self.chance(chances.first_contact_changed):
                self.change_first_contact(day, rows)
            if self.chance(chances.files_changed):
                rows = [replace(placed, file_name=self.dice.choice(self.file_names)) for placed in rows]
                self.dice.shuffle(rows)
        self.folders[table, day] = rows
        return tuple(rows)

    def redelivered(self, table: str, day: date, placed: PlacedRow) -> list[PlacedRow]:
        chances = self.plot.chances
        if placed.record in self.links:
            whole = self.links[placed.record][1]
            if placed.row != whole:
                return [replace(placed, row=whole) if self.chance(chances.link_restored) else placed]
            loosened = self.loosened(table, day, placed) if self.chance(chances.link_loosened) else placed
            return [loosened] if loosened else []
        row = placed.row
        new = self.good_row(table, day)
        if table == "costs":
            if self.chance(chances.removed):
                return []
            row = self.changed(table, day, row) if self.chance(chances.other_values) else row
            return [replace(placed, row=self.spoilt(table, day, row) if self.chance(chances.spoilt) else row)]
        kinds = IDENTIFIER_KINDS if table == "contacts" else COOKIE_KINDS
        if self.chance(chances.removed):
            return []
        for chance, columns in (
            (chances.redated, (TIME_COLUMN[table],)),
            (chances.other_identifiers, kinds),
            (chances.other_widget, ("widget_id",)),
            (
                chances.other_values,
                (*TAGS, "landing_page", "referrer") if table == "touches" else ("contact_type", "value", "client_name"),
            ),
        ):
            if self.chance(chance):
                row = {**row, **{column: new[column] for column in columns}}
        if self.event_dice.random() < chances.other_source:
            row = {**row, "delivered_by": new["delivered_by"]}
        if self.chance(chances.no_identifiers):
            row = {**row, **dict.fromkeys(kinds)}
        if self.chance(chances.placeholders):
            row = {**row, **{kind: self.no_value(kind) for kind in kinds if row.get(kind)}}
        if self.chance(chances.spoilt):
            row = self.spoilt(table, day, row)
        return [replace(placed, row=row)]

    def loosened(self, table: str, day: date, placed: PlacedRow) -> PlacedRow | None:
        """The row of a link, so that it ties its ends no more."""
        tied = [kind for kind in COOKIE_KINDS if placed.row.get(kind)]
        ways: dict[str, Row | None] = {
            "removed": None,
            "one end": {tied[0]: None},
            "other person": {tied[0]: self.dice.choice(self.people).identifiers[tied[0]][0]},
            "placeholder": {tied[-1]: self.no_value(tied[-1])},
            "ignored": {tied[-1]: "00000000-0000-0000-0000-000000000000"},
            "nobody": dict.fromkeys(COOKIE_KINDS),
            "other brand": {"widget_id": "dveri"},
            "ahead": {
                TIME_COLUMN[table]: self.written_instant(
                    start_of_day(day + timedelta(days=1), self.zone) + timedelta(hours=self.dice.randrange(24))
                )
            },
            "spoilt": {TIME_COLUMN[table]: "вчера"},
        }
        way = ways[self.dice.choice(list(ways))]
        return None if way is None else replace(placed, row={**placed.row, **way})

    def new_row(self, table: str, day: date) -> PlacedRow:
        """A row of its own, or of a record that lies in another folder, as it is there or changed."""
        elsewhere = [
            placed for (of, other), rows in self.folders.items() if of == table and other != day for placed in rows
        ]
        file_name = self.dice.choice(self.file_names)
        if elsewhere and self.chance(self.plot.chances.delivered_elsewhere):
            placed = self.dice.choice(elsewhere)
            if placed.record in self.links and self.chance(0.5):
                placed = self.loosened(table, day, replace(placed, row=self.links[placed.record][1])) or placed
            elif self.chance(0.8):
                placed = replace(placed, row=self.changed(table, day, placed.row))
            return replace(placed, file_name=file_name)
        while True:
            # In an order that isn't that of arrival, by letters that sort each in their own way.
            letters = {"touches": "tTт", "contacts": "cCс", "costs": "$"}[table]
            record = self.dice.choice(letters) + str(self.dice.randrange(10_000))
            if record not in self.used_records:
                break
        self.used_records.add(record)
        lying = [placed.row for (of, _), rows in self.folders.items() if of == table for placed in rows]
        row = self.perhaps_same_event(table, day, self.good_row(table, day), lying)
        if table != "costs":
            row = {**row, ID_COLUMN[table]: self.namespace + record}
        if self.chance(self.plot.chances.spoilt):
            row = self.spoilt(table, day, row)
        return PlacedRow(file_name, record, row)

    def new_links(self, table: str) -> list[PlacedRow]:
        present = {placed.record for rows in self.folders.values() for placed in rows}
        chance = self.plot.chances.link_placed
        return [
            PlacedRow(self.file_names[0], record, row)
            for record, (of, row) in self.links.items()
            if of == table and record not in present and self.chance(chance)
        ]

    def changed(self, table: str, day: date, row: Row) -> Row:
        if self.chance(0.15):
            return row
        new = self.good_row(table, day)
        for some in self.dice.sample(CHANGED_COLUMNS[table], self.dice.choice((1, 1, 2, 4))):
            row = {**row, **{column: new[column] for column in some}}
        if table != "costs" and self.event_dice.random() < 0.15:
            row = {**row, "delivered_by": new["delivered_by"]}
        return row

    def change_first_contact(self, day: date, rows: list[PlacedRow]) -> None:
        """The one that a client is named after goes away, or to another time."""
        if not rows:
            return
        first = min(range(len(rows)), key=lambda number: rows[number].row["contacted_at"] or "")
        if self.chance(0.4):
            del rows[first]
        else:
            contacted_at = self.written_instant(self.instant(day))
            rows[first] = replace(rows[first], row={**rows[first].row, "contacted_at": contacted_at})


_CLOCK_CHANGES: dict[tuple[date, ZoneInfo], datetime | None] = {}


def clock_change(day: date, zone: ZoneInfo) -> datetime | None:
    """The instant of a clock change on this day or at its end."""
    if (day, zone) not in _CLOCK_CHANGES:
        start = start_of_day(day, zone)
        instants = [start + timedelta(minutes=30 * number) for number in range(1, 2 * 24 + 3)]
        _CLOCK_CHANGES[day, zone] = next(
            (
                instant
                for instant in instants
                if instant.astimezone(zone).utcoffset() != (instant - timedelta(minutes=1)).astimezone(zone).utcoffset()
            ),
            None,
        )
    return _CLOCK_CHANGES[day, zone]


# Folders of a warehouse


def combined_delivery(
    folder: Folder,
    load_number: int,
    parts: Iterable[Sequence[PlacedRow]],
    seeds: Seeds,
    zone: ZoneInfo,
    is_failing: bool,
) -> Delivery:
    """What all histories have in a folder, in files that they share.

    A row of nobody's tells the delivery from the one before it, so that one history's rows are loaded anew whatever
    others have in the folder.
    """
    table, day = folder
    nobody: Row
    if table == "costs":
        nobody = {
            "cost_date": str(day),
            "source": NOBODY,
            "medium": "cpc",
            "amount": f"{load_number}",
            "currency": "RUB",
        }
    else:
        nobody = {
            ID_COLUMN[table]: f"{NOBODY}{table}-{day}",
            "widget_id": "dveri",
            TIME_COLUMN[table]: f"{day}T12:00:00Z",
            "contact_type" if table == "contacts" else "page_hash": "call" if table == "contacts" else f"{load_number}",
            "location": f"load {load_number}",
        }
    files: dict[str, list[Row]] = {}
    for part in parts:
        for placed in part:
            files.setdefault(placed.file_name, []).append(placed.row)
    files.setdefault(min(files, default=FILE_NAMES[0]), []).append(nobody)
    if is_failing:
        maker = RowMaker(random.Random(str(folder)), seeds, zone)
        files["set-aside.csv"] = [maker.spoilt(table, day, maker.good_row(table, day)) for _ in range(24)]
    return Delivery(table, day, files)
