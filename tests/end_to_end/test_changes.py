"""What a build takes in, what it says has changed, and what it is compared with.

A build takes seconds, whatever the rows. So scenarios that don't touch one another are told in one warehouse by the same
few builds: each with the same people under names of its own, and a test that looks at these.
"""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from places import Place, build_marts
from processes import made_once
from reference import Row

from pipeline import building, dbt_runner
from pipeline.building import build, reason_for_full_build
from pipeline.dbt_runner import Build, run_dbt
from pipeline.fingerprints import fingerprint
from pipeline.publishing import Generation, Publications
from pipeline.publishing.changes import OTHER_CONTACT
from pipeline.settings import Rules
from pipeline.verifying import VerificationError, verify

RULES = Rules.read()
BEFORE, FIRST, SECOND, THIRD = date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)
AHEAD = date(2026, 3, 9)  # of touches and contacts
Folder = tuple[str, date]


def touch(touch_id: str, hour: int, source: str, **values: str) -> Row:
    return {
        "touch_id": touch_id,
        "widget_id": "w-test",
        "touched_at": f"2026-03-01T{hour:02}:00:00Z",
        "utm_source": source,
        "utm_medium": "cpc",
        **values,
    }


def contact(contact_id: str, hour: int, **values: str) -> Row:
    return {
        "contact_id": contact_id,
        "widget_id": "w-test",
        "contacted_at": f"2026-03-01T{hour:02}:00:00Z",
        "contact_type": "call",
        **values,
    }


def cost(amount: str, cost_date: date = FIRST, **values: str) -> Row:
    return {
        "cost_date": str(cost_date),
        "source": "vk",
        "medium": "cpc",
        "amount": amount,
        "currency": "RUB",
        **values,
    }


TOUCHES = [
    touch("t-late", 8, "vk", visitor_id="late"),
    touch("t-corrected", 8, "vk", visitor_id="corrected"),
    touch("t-corrected-2", 9, "vk", visitor_id="corrected"),
    touch("t-merged", 8, "vk", visitor_id="merged-1"),
    touch("t-tied", 8, "vk", yandex_client_id="tied"),
]
CONTACTS = [
    contact("c-late", 10, visitor_id="late"),
    contact("c-corrected", 10, visitor_id="corrected"),
    contact("c-merged-1", 10, visitor_id="merged-1"),
    contact("c-merged-2", 11, visitor_id="merged-2"),
    contact("c-split-1", 10, visitor_id="split-1", crm_client_id="split"),
    contact("c-split-2", 11, visitor_id="split-2", crm_client_id="split"),
    contact("c-moved", 12, visitor_id="late"),
    contact("c-removed", 10, visitor_id="removed"),
    contact("c-tied", 10, visitor_id="tied"),
    contact("c-same", 10, visitor_id="same"),
]
GROUPS = [
    touch("t-group", 20, "vk", visitor_id="group", yandex_client_id="group"),
    touch("t-other-group", 21, "vk", visitor_id="other group", yandex_client_id="other group"),
]
LATE = touch("t-late-2", 9, "yandex", visitor_id="late")
CORRECTED = touch("t-corrected", 8, "yandex", visitor_id="corrected")
MERGING = [
    touch("t-tie", 20, "vk", visitor_id="merged-1", yandex_client_id="merged"),
    touch("t-tie-2", 20, "vk", visitor_id="merged-2", yandex_client_id="merged"),
]
OF_BOTH = touch("t-both", 8, "vk", visitor_id="same", yandex_client_id="same")
# The day after brings a visit, as every day.
NEXT_VISIT = touch("t-next", 9, "vk", visitor_id="late") | {"touched_at": "2026-03-02T09:00:00Z"}

Steps = Mapping[str, Mapping[Folder, Sequence[Row]]]
SCENARIOS: dict[str, Steps] = {}
FIRST_CONTACTS_LIE_IN = {"delivered again": ("contacts", BEFORE)}


def scenario(name: str, **steps: Mapping[Folder, Sequence[Row]]) -> str:
    """What is delivered of it before the builds of a story, on top of the day that is published."""
    SCENARIOS[name] = steps
    return name


def named(scenario: str, rows: Sequence[Row]) -> list[Row]:
    """Under names that are the scenario's own."""
    names = ("touch_id", "contact_id", "visitor_id", "yandex_client_id", "crm_client_id")
    return [
        {column: f"{scenario}: {value}" if column in names and value else value for column, value in row.items()}
        for row in rows
    ]


@pytest.fixture(scope="module")
def published_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day that is published, of people without a scenario and of those of every scenario."""

    def make(folder: Path) -> None:
        place = Place(folder)
        folders: dict[Folder, list[Row]] = {("touches", FIRST): [*TOUCHES, *GROUPS], ("contacts", FIRST): [*CONTACTS]}
        for name in SCENARIOS:
            folders["touches", FIRST] += named(name, TOUCHES)
            contacts = folders.setdefault(FIRST_CONTACTS_LIE_IN.get(name, ("contacts", FIRST)), [])
            contacts += named(name, CONTACTS)
        for (table, day), rows in folders.items():
            place.deliver(table, day, rows)
        place.update()

    return made_once(tmp_path_factory, "published-day", make)


def copied(folder: Path, to: Path) -> Place:
    shutil.copytree(folder, to, symlinks=True, dirs_exist_ok=True)
    return Place(to)


@pytest.fixture
def place(published_day: Path, tmp_path: Path) -> Place:
    return copied(published_day, tmp_path)


def differences(place: Place) -> list[str]:
    with place.warehouse.locked("test"):
        return [str(difference) for difference in verify(place.warehouse, RULES)]


def reason_for_everything(place: Place) -> str | None:
    """Why a build that were begun now would build everything."""
    with place.warehouse.locked("test"), place.warehouse.connected() as connection:
        return reason_for_full_build(connection, RULES, fingerprint(RULES))


@contextmanager
def heard() -> Iterator[list[str]]:
    """What the pipeline says."""
    said: list[str] = []
    logger, listener = logging.getLogger("multichannel"), logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel("INFO")
    try:
        yield said
    finally:
        logger.setLevel(level)
        logger.removeHandler(listener)


# Scenarios that are told by the same builds


@dataclass(frozen=True)
class Step:
    """What was there after a build, and its publication if it had one."""

    outcome: Build
    ledger: Mapping[str, Any]
    affected: Sequence[str]
    costs: Sequence[tuple[date, str | None, str]]
    generation: Generation | None = None
    is_up_to_date: bool = False
    all_changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def changes(self, scenario: str) -> dict[str, tuple[str, str]]:
        return {
            name.removeprefix(f"{scenario}: "): change
            for name, change in self.all_changes.items()
            if name.startswith(f"{scenario}: ")
        }


class Story:
    """A warehouse that all scenarios share."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.steps: dict[str, Step] = {}
        self.changes_of_a_first_publication: dict[str, tuple[str, str]] | None = None

    def __getitem__(self, step: str) -> Step:
        return self.steps[step]

    def deliver(self, step: str) -> None:
        """What lies in a folder is what each scenario has last said of it."""
        steps = list(dict.fromkeys([*self.steps, step]))
        for folder in sorted({folder for of_scenario in SCENARIOS.values() for folder in of_scenario.get(step, {})}):
            rows = []
            for name, of_scenario in SCENARIOS.items():
                said = [of_scenario[former][folder] for former in steps if folder in of_scenario.get(former, {})]
                rows += named(name, said[-1]) if said else []
            self.place.deliver(*folder, rows)

    def build(self, step: str, is_published: bool = True, is_cut_short: bool = False) -> None:
        place = self.place
        outcome = build_marts(place.warehouse, RULES)
        costs = place.private("select cost_date, campaign, amount from staging.stg_costs order by all")
        affected = place.private("select contact_id from intermediate.int_affected_contacts order by all")
        seen: dict[str, Any] = {
            "outcome": outcome,
            "affected": [row["contact_id"] for row in affected],
            "costs": [(row["cost_date"], row["campaign"], str(row["amount"])) for row in costs],
        }
        if is_published:
            with place.warehouse.locked("test"), pytest.MonkeyPatch.context() as patched:
                if is_cut_short:
                    patched.setattr(Publications, "_clear_away", _lose_power)
                    with pytest.raises(OSError, match="the power went"):
                        place.publications.publish(RULES)
                else:
                    seen["generation"] = place.publications.publish(RULES)
                    seen["is_up_to_date"] = place.publications.is_up_to_date(fingerprint(RULES))
            seen["all_changes"] = place.changes()
        self.steps[step] = Step(ledger=place.last_build(), **seen)


def _lose_power(_: Publications) -> None:
    raise OSError("the power went")


@pytest.fixture(scope="module")
def story(published_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    story = Story(copied(published_day, tmp_path_factory.mktemp("story")))
    place = story.place
    story.changes_of_a_first_publication = place.changes()

    story.deliver("costs_alone")
    story.build("costs_alone")

    story.deliver("first")
    story.build("first")

    story.deliver("second")
    story.build("second", is_cut_short=True)

    # The clock is set back.
    place.private(
        "update raw.builds set started_at = started_at + interval 3 days, finished_at = finished_at + interval 3 days"
    )
    story.deliver("unpublished")
    story.build("unpublished", is_published=False)

    story.deliver("last")
    story.build("last")
    return story


# Delivered in a folder of their own: what is delivered again as it was is not to be seen where it isn't told of.
AGAIN = {str(row["contact_id"]): dict(row) for row in CONTACTS if row["contact_id"] not in ("c-split-1", "c-removed")}
AGAIN["c-moved"]["visitor_id"] = "same"
AGAIN["c-split-2"]["crm_client_id"] = ""
DELIVERED_AGAIN = scenario(
    "delivered again",
    first={
        ("contacts", BEFORE): [*AGAIN.values(), contact("c-new", 13)],
        ("touches", SECOND): [
            LATE,
            CORRECTED,
            *MERGING,
            touch("t-tie-3", 21, "vk", visitor_id="tied", yandex_client_id="tied"),
        ],
        ("contacts", SECOND): [CONTACTS[4]],
    },
)


def test_what_changed_is_said_with_its_reason(story: Story) -> None:
    assert story.changes_of_a_first_publication == {}
    step = story["first"]
    assert step.ledger["is_full"] is False
    changes = step.changes(DELIVERED_AGAIN)
    # Their own rows were delivered again as they were.
    assert changes["c-late"] == ("other verdict", "a client was split")
    assert changes["c-corrected"] == ("other verdict", "a touch was corrected or removed")
    assert changes["c-moved"] == ("other verdict", "the contact was corrected")
    assert changes["c-removed"] == ("removed", "the contact was removed")
    assert changes["c-new"] == ("new", "the contact was delivered")
    assert changes["c-merged-2"][0] == "other verdict"
    assert "c-same" not in changes
    assert step.generation is not None
    assert step.generation.changes["removed"] == {"the contact was removed": 1}
    assert sum(sum(reasons.values()) for reasons in step.generation.changes.values()) == len(step.all_changes)


TOUCHES_ALONE = scenario(
    "touches alone",
    first={("touches", SECOND): [LATE, CORRECTED, *MERGING]},
    # Without the ties, and without the late touch.
    second={("touches", SECOND): [CORRECTED]},
)


def test_touches_alone_change_contacts_for_reasons_of_their_own(story: Story) -> None:
    assert story["first"].changes(TOUCHES_ALONE) == {
        "c-late": ("other verdict", "a touch came late"),
        "c-moved": ("other verdict", "a touch came late"),
        "c-corrected": ("other verdict", "a touch was corrected or removed"),
        "c-merged-2": ("other verdict", "clients were merged"),
    }
    assert story["second"].changes(TOUCHES_ALONE) == {
        "c-late": ("other verdict", "a touch was corrected or removed"),
        "c-moved": ("other verdict", "a touch was corrected or removed"),
        "c-merged-2": ("other verdict", "a client was split"),
    }
    affected = [name for name in story["second"].affected if name.startswith(TOUCHES_ALONE)]
    assert affected == named_contacts(TOUCHES_ALONE, "c-corrected", "c-late", "c-merged-1", "c-merged-2", "c-moved")


def named_contacts(scenario: str, *names: str) -> list[str]:
    return [f"{scenario}: {name}" for name in names]


ONE_EVENT = scenario(
    "one event",
    first={
        ("contacts", SECOND): [
            contact("c-mango", 20, delivered_by="mango:1", phone="+79161230001"),
            contact("c-unnamed", 20, phone="+79161230002"),
            contact("c-order", 20, delivered_by="mango:1", contact_type="callback", phone="+79161230002"),
            contact("c-named", 20, delivered_by="mango:1", phone="+79161230003"),
            contact("c-better", 20, delivered_by="calltouch:1", phone="+79161230003"),
            contact("c-kept", 20, delivered_by="calltouch:1", phone="+79161230004"),
            contact("c-mistyped", 20, delivered_by="mango:1", phone="+79161230004"),
        ]
    },
    second={
        ("contacts", SECOND): [
            contact("c-mango", 20, delivered_by="mango:1", phone="+79161230001"),
            contact("c-calltouch", 20, delivered_by="calltouch:1", phone="+79161230001"),
            contact("c-unnamed", 20, delivered_by="calltouch:1", phone="+79161230002"),
            contact("c-order", 20, delivered_by="mango:1", contact_type="callback", phone="+79161230002"),
            contact("c-named", 20, delivered_by="mango:1", phone="+79161230003"),
            contact("c-kept", 20, delivered_by="calltouch:1", phone="+79161230004"),
            contact("c-mistyped", 20, delivered_by="mango:1", phone="+79161230005"),
        ]
    },
)


def test_a_contact_gives_way_to_another_sources_and_comes_back(story: Story) -> None:
    assert story["first"].changes(ONE_EVENT) == dict.fromkeys(
        ("c-mango", "c-unnamed", "c-order", "c-better", "c-kept"), ("new", "the contact was delivered")
    )
    assert story["second"].changes(ONE_EVENT) == {
        "c-mango": ("removed", OTHER_CONTACT),
        "c-calltouch": ("new", "the contact was delivered"),
        "c-unnamed": ("removed", "the contact was corrected"),
        "c-named": ("new", OTHER_CONTACT),
        "c-better": ("removed", "the contact was removed"),
        "c-mistyped": ("new", "the contact was corrected"),
    }
    told = story.place.private(
        f"from intermediate.int_left_out_events where starts_with(id, '{ONE_EVENT}: ') order by id"
    )
    assert [(row["kind"], row["id"], row["same_as"], row["client_id"]) for row in told] == [
        ("contact", f"{ONE_EVENT}: {left_out}", f"{ONE_EVENT}: {kept}", f"client-{ONE_EVENT}: {kept}")
        for left_out, kept in (("c-mango", "c-calltouch"), ("c-unnamed", "c-order"))
    ]


EARLIER_CONTACT = scenario(
    "earlier contact",
    # And visits after all contacts.
    first={("contacts", SECOND): [contact("c-earlier", 1, visitor_id="late")], ("touches", SECOND): [NEXT_VISIT]},
    second={("contacts", SECOND): []},
)


def test_an_earlier_contact_of_the_client_is_the_reason_for_another_name(story: Story) -> None:
    other_contact = "another contact of the client was delivered, corrected or removed"
    assert story["first"].changes(EARLIER_CONTACT) == {
        "c-earlier": ("new", "the contact was delivered"),
        "c-late": ("other client", other_contact),
        "c-moved": ("other client", other_contact),
    }
    assert story["second"].changes(EARLIER_CONTACT) == {
        "c-earlier": ("removed", "the contact was removed"),
        "c-late": ("other client", other_contact),
        "c-moved": ("other client", other_contact),
    }


TYING_CONTACT = scenario(
    "tying contact",
    first={
        ("contacts", SECOND): [
            contact("c-tying", 10, visitor_id="late", yandex_client_id="tied")
            | {"contacted_at": "2026-03-02T10:00:00Z"}
        ],
        ("touches", SECOND): [NEXT_VISIT],
    },
)


def test_touches_after_a_contact_are_no_reason_for_what_it_says(story: Story) -> None:
    """The day after brings a visit, and a contact that ties an old touch to the client."""
    assert story["first"].changes(TYING_CONTACT)["c-late"] == (
        "other touches",
        "another contact of the client was delivered, corrected or removed",
    )


MOVED = scenario(
    "moved",
    first={("touches", SECOND): [OF_BOTH]},
    second={("touches", SECOND): [OF_BOTH | {"visitor_id": "elsewhere", "yandex_client_id": "elsewhere"}]},
)
GONE = scenario("gone", first={("touches", SECOND): [OF_BOTH]}, second={("touches", SECOND): []})


@pytest.mark.parametrize("scenario", [MOVED, GONE])
def test_a_touch_of_several_identifiers_that_is_no_more_is_the_reason(story: Story, scenario: str) -> None:
    assert story["first"].changes(scenario) == {"c-same": ("other verdict", "a touch came late")}
    assert story["second"].changes(scenario) == {"c-same": ("other verdict", "a touch was corrected or removed")}


CUT_SHORT = scenario(
    "cut short",
    second={
        ("contacts", SECOND): [{**contact("c-late", 10, visitor_id="late"), "client_name": "Anna"}],
        ("touches", SECOND): [LATE],
    },
    last={("touches", THIRD): [touch("t-late-3", 8, "google", visitor_id="late")]},
)


def test_a_publication_that_was_cut_short_is_taken_note_of(story: Story) -> None:
    assert story["second"].changes(CUT_SHORT)["c-late"] == ("other verdict", "the contact was corrected")
    assert story["last"].changes(CUT_SHORT)["c-late"] == ("other touches", "a touch came late")
    builds = story.place.private(
        "select generation, published_at is not null as is_published from raw.builds order by started_at"
    )
    assert [build["generation"] for build in builds if build["is_published"]] == [1, 2, 3, 4, 5]
    assert [build["is_published"] for build in builds] == [True, True, True, True, False, True]


def test_a_build_that_is_published_again_says_the_same(story: Story, tmp_path: Path) -> None:
    place = copied(story.place.landing.parent, tmp_path)
    told = place.changes()
    assert told
    with place.warehouse.locked("test"):
        place.publications.publish(RULES)
    assert place.publications.numbers()[-1] == 6
    assert place.changes() == told


UNPUBLISHED = scenario("unpublished", unpublished={("touches", THIRD): [LATE]}, last={("touches", THIRD): []})


def test_only_what_changed_is_worked_out(story: Story) -> None:
    step = story["unpublished"]
    assert step.affected == named_contacts(UNPUBLISHED, "c-late", "c-moved")
    # Seeds that haven't changed are left as they are.
    assert step.outcome.nodes and not [node.name for node in step.outcome.nodes if "channel_rules" in node.name]
    # Nothing is acknowledged before it is published: what was not is taken in again.
    assert story["last"].affected == [
        *named_contacts(CUT_SHORT, "c-late", "c-moved"),
        *named_contacts(UNPUBLISHED, "c-late", "c-moved"),
    ]
    assert story["last"].changes(UNPUBLISHED) == {}


def test_a_build_notes_what_it_took_in(story: Story) -> None:
    build = story["last"].ledger
    assert (build["is_full"], build["changed_touch_count"], build["changed_contact_count"]) == (False, 2, 0)
    assert (build["affected_client_count"], build["affected_contact_count"]) == (2, 4)
    assert build["changes"] is not None and build["generation"] == 5


def test_who_only_lies_in_the_same_place_of_another_table_is_not_affected(story: Story) -> None:
    """The client's first touch is affected by the builds above, and nobody who made contact otherwise."""
    places = story.place.private(
        f"""
        select contacts.row_id
        from intermediate.int_record_keys as contacts inner join intermediate.int_record_keys as touches using (row_id)
        where contacts.record_kind = 'contact' and touches.record_kind = 'touch'
            and touches.record_key = md5_number('touch {UNPUBLISHED}: t-late')
            and contacts.record_key not in (
                md5_number('contact {UNPUBLISHED}: c-late'), md5_number('contact {UNPUBLISHED}: c-moved')
            )
        """
    )
    assert len(places) == 1
    assert story["unpublished"].affected == named_contacts(UNPUBLISHED, "c-late", "c-moved")
    assert story["unpublished"].ledger["is_full"] is False


def test_a_clock_that_was_set_back_stops_nothing(story: Story, tmp_path: Path) -> None:
    place = copied(story.place.landing.parent, tmp_path)
    builds = place.private("from raw.builds order by started_at")
    assert [build["generation"] for build in builds] == [1, 2, 3, 4, None, 5]
    assert [build["changed_touch_count"] for build in builds][-2:] == [1, 2]
    assert all(build["finished_at"] >= build["started_at"] for build in builds)

    with place.warehouse.locked("test"):
        assert build(place.warehouse, RULES, select=["int_identifier_clusters"]).is_passed
    reason = reason_for_everything(place)
    assert reason is not None and reason.endswith("built otherwise, in part or by hand")


HOST = scenario(
    "host",
    first={
        ("touches", SECOND): [
            touch("t-host", 8, "", visitor_id="same")
            | {"utm_medium": "", "referrer": f"https://{'a.' * 20_000}vk.com/feed"}
        ]
    },
)


def test_a_host_with_very_many_parts_is_looked_up_all_the_same(story: Story) -> None:
    assert story.place.private(f"select touch_chain from marts.journal where contact_id = '{HOST}: c-same'") == [
        {"touch_chain": "vk / social"}
    ]


COSTS = scenario(
    "costs",
    costs_alone={
        ("costs", FIRST): [cost("10"), cost("5.5", source=" VK"), cost("1", campaign="весна")],
        ("costs", SECOND): [cost("99", SECOND), cost("7", currency="EUR")],
    },
    # A later day says anew what was spent before; the earlier one's other keys stay.
    first={("costs", SECOND): [cost("99", SECOND), cost("8"), cost("-0.25")]},
    last={("costs", FIRST): [], ("costs", AHEAD): [cost("3", AHEAD)]},
)


def test_costs_are_taken_in_and_corrected_and_do_not_move_the_last_day(story: Story) -> None:
    alone = story["costs_alone"]
    assert alone.generation is not None
    assert alone.generation.data_through == alone.ledger["data_through"] == FIRST
    assert alone.costs == [(FIRST, "весна", "1.00"), (FIRST, None, "15.50")]
    # Nothing of touches and contacts was worked out anew, and what was loaded is known.
    assert (alone.ledger["is_full"], alone.ledger["load_ids"]) == (False, [4, 5])
    assert alone.ledger["changed_touch_count"] == alone.ledger["affected_client_count"] == 0
    assert alone.is_up_to_date

    assert story["first"].costs == [(FIRST, "весна", "1.00"), (FIRST, None, "7.75"), (SECOND, None, "99.00")]
    last = story["last"]
    assert last.costs == [(FIRST, None, "7.75"), (SECOND, None, "99.00")]
    assert last.generation is not None and last.generation.data_through == THIRD
    assert story.place.private(
        "select load_day, count(*) as row_count from raw.costs left join raw.loads using (load_id) group by all order by all"
    ) == [{"load_day": SECOND, "row_count": 3}, {"load_day": AHEAD, "row_count": 1}], "replaced rows are dropped"
    assert story.place.private("select count(*) as row_count from raw.rejected_rows") == [{"row_count": 0}]


def test_verification_finds_nothing_but_the_differences_planted_by_hand(story: Story, tmp_path: Path) -> None:
    assert [step.ledger["is_full"] for step in story.steps.values()] == [False] * 5
    place = copied(story.place.landing.parent, tmp_path)
    place.private("update marts.journal set call_page = 'elsewhere' where contact_id = 'c-late'")
    place.private("delete from marts.client_card where first_contact_id = 'c-late'")
    place.private("insert into marts.client_history from marts.client_history where contact_id = 'c-late'")
    file = place.publications.file(5)
    os.chmod(file, 0o644)
    with duckdb.connect(str(file)) as connection:
        connection.execute("update journal set icon = 'multichannel' where contact_id = 'c-late'")

    with place.warehouse.locked("test"):
        differences = verify(place.warehouse, RULES)

    assert {difference.table: difference.missing_count + difference.unexpected_count for difference in differences} == {
        "marts.journal": 2,
        "marts.client_card": 1,
        "marts.client_history": 1,
        "the published journal": 2,
    }
    assert all("c-late" in str(difference) for difference in differences)
    assert not (place.warehouse.folder / "verification").exists()


# Full builds, and what asks for them


@dataclass(frozen=True)
class Rebuilt:
    """What one warehouse said as it was built in full, in part and by other settings."""

    costs_at_first: Sequence[Mapping[str, Any]]
    costs: Sequence[Mapping[str, Any]]
    without_a_table: Build
    changes_told_late: Mapping[str, tuple[str, str]]
    build_of_changes: Mapping[str, Any]
    said_by_the_build_of_changes: str
    events: Mapping[str, Sequence[str]]
    reason_after_a_killed_build: str | None
    selection: Build
    selection_for_other_settings: Build
    selection_once_more: Build
    reason_after_a_selection: str | None
    build_for_other_settings: Mapping[str, Any]
    reason_after_other_settings: str | None
    changes_of_other_settings: Mapping[str, tuple[str, str]]


@pytest.fixture(scope="module")
def rebuilt(published_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Rebuilt:
    place = copied(published_day, tmp_path_factory.mktemp("rebuilt"))
    warehouse = place.warehouse
    other_settings = Rules.read({"lookback_days": 0.1})
    seen: dict[str, Any] = {"events": {"full": [], "of changes": []}}

    place.private("update marts.journal set touch_chain = 'wrong' where contact_id = 'c-late'")
    with warehouse.locked("test"):
        place.publications.publish(RULES)
    place.private("drop table marts.journal")
    with warehouse.locked("test"):
        seen["without_a_table"] = build(warehouse, RULES)
    # As warehouses were before there were costs.
    place.private("drop view staging.stg_costs")
    place.private("drop table raw.costs")
    seen["costs_at_first"] = place.private("from raw.costs")
    place.deliver("costs", FIRST, [cost("10")])
    dbt_runner.prepared_manifest()
    with warehouse.locked("test"), pytest.MonkeyPatch.context() as patched:
        patched.setattr(dbt_runner, "_log_progress", lambda event: seen["events"]["full"].append(event.info.name))
        assert build(warehouse, RULES, full_refresh=True).is_passed
    seen["costs"] = place.private("from staging.stg_costs")
    # As it is left when its process is killed.
    place.private("update raw.builds set outcome = 'running', finished_at = null where reason = 'asked for'")
    seen["reason_after_a_killed_build"] = reason_for_everything(place)
    place.private("update raw.builds set outcome = 'passed', finished_at = started_at where reason = 'asked for'")

    place.private(
        """
        insert into intermediate.int_oversized_clients (client_id, first_contact_id, contact_count, touch_count)
        values ('a bot', 'no contact of those that change', 10000, 100000)
        """
    )
    place.deliver("touches", SECOND, [touch("t-more", 20, "vk", visitor_id="more")])
    with pytest.MonkeyPatch.context() as patched, heard() as said:
        patched.setattr(building, "MEMORY_PER_THREAD", 1_000)
        patched.setattr(dbt_runner, "_log_progress", lambda event: seen["events"]["of changes"].append(event.info.name))
        place.update()
    seen["said_by_the_build_of_changes"] = "\n".join(said)
    seen["build_of_changes"] = place.last_build()
    seen["changes_told_late"] = place.changes()

    with warehouse.locked("test"):
        seen["selection"] = build(warehouse, RULES, select=["journal"])
        seen["selection_for_other_settings"] = build(warehouse, other_settings, select=["journal"])
        seen["selection_once_more"] = build(warehouse, RULES, select=["journal"])
    seen["reason_after_a_selection"] = reason_for_everything(place)

    build_marts(warehouse, other_settings)
    seen["build_for_other_settings"] = place.last_build()
    seen["reason_after_other_settings"] = reason_for_everything(place)
    with warehouse.locked("test"):
        place.publications.publish(other_settings)
    seen["changes_of_other_settings"] = place.changes()
    return Rebuilt(**seen)


def test_a_full_build_that_was_cut_short_is_made_good(rebuilt: Rebuilt) -> None:
    assert rebuilt.reason_after_a_killed_build == "a full build was begun and did not pass"


def test_what_a_full_build_changed_is_reported_though_another_one_is_published(rebuilt: Rebuilt) -> None:
    assert rebuilt.build_of_changes["is_full"] is False
    assert rebuilt.changes_told_late == {"c-late": ("other channels", "everything was built anew")}


def test_whoever_has_very_many_rows_is_expected_to_come_again(rebuilt: Rebuilt) -> None:
    """So a build that would have too little memory for what changed gets what the client may take."""
    assert "computed again" in rebuilt.said_by_the_build_of_changes
    assert "the changes need more memory than usual" not in rebuilt.said_by_the_build_of_changes
    assert rebuilt.build_of_changes["is_full"] is False


def test_a_table_that_was_dropped_is_not_made_out_of_changes(rebuilt: Rebuilt) -> None:
    assert not rebuilt.without_a_table.is_passed
    assert "--full-refresh" in rebuilt.without_a_table.explain()


def test_a_warehouse_from_before_costs_gets_their_table(rebuilt: Rebuilt) -> None:
    assert rebuilt.costs_at_first == []
    assert [row["amount"] for row in rebuilt.costs] == [10]


@pytest.mark.parametrize("kind", ["full", "of changes"])
def test_builds_take_the_project_as_it_was_parsed_for_all_warehouses(rebuilt: Rebuilt, kind: str) -> None:
    events = rebuilt.events[kind]
    assert "LogModelResult" in events
    assert not {"UnableToPartialParse", "PartialParsingSkipParsing", "PartialParsingEnabled"} & set(events)


def test_a_selection_is_built_only_where_no_full_build_is_due(rebuilt: Rebuilt) -> None:
    assert rebuilt.selection.is_passed
    refused, again = rebuilt.selection_for_other_settings, rebuilt.selection_once_more
    assert not refused.is_passed and not again.is_passed
    assert "Build everything first, not a selection: settings have changed" in refused.explain()
    assert "Build everything first, not a selection: since the last publication something" in again.explain()


BUILT_OTHERWISE = "since the last publication something was built otherwise, in part or by hand"


def test_after_a_selection_everything_is_built_anew(rebuilt: Rebuilt) -> None:
    """What one model takes out of a table, and what it puts in, may be of different builds: that need not fit together."""
    assert rebuilt.reason_after_a_selection == BUILT_OTHERWISE


def test_changed_settings_build_everything_anew_and_say_so(rebuilt: Rebuilt) -> None:
    build = rebuilt.build_for_other_settings
    assert build["is_full"] is True
    assert build["reason"] == "settings have changed (lookback_days was None and is 0.1)"
    # The touch was four hours before, which is too long now.
    assert rebuilt.changes_of_other_settings == {
        name: ("other verdict", "everything was built anew")
        for name in ("c-moved", *(f"{scenario}: c-moved" for scenario in SCENARIOS))
    }


def test_what_was_built_otherwise_since_is_built_anew(rebuilt: Rebuilt) -> None:
    """By settings that were never published."""
    assert rebuilt.reason_after_other_settings == BUILT_OTHERWISE


@dataclass(frozen=True)
class Troubled:
    """What one warehouse said of builds of changes that did not go as usual, and how it differs from a full rebuild."""

    build_of_a_broken_group: Mapping[str, Any]
    said_of_memory: str
    build_short_of_memory: Mapping[str, Any]
    differences: Sequence[str]


@pytest.fixture(scope="module")
def troubled(published_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Troubled:
    place = copied(published_day, tmp_path_factory.mktemp("troubled"))
    seen: dict[str, Any] = {}

    tied_by_the_other = "identifier_key = md5_number('yandex_client_id 7 default group')"
    place.private(
        f"insert into intermediate.int_identifier_clusters from intermediate.int_identifier_clusters where {tied_by_the_other}"
    )
    place.deliver("touches", SECOND, [touch("t-new", 20, "vk", visitor_id="group", crm_client_id="1")])
    place.update()
    seen["build_of_a_broken_group"] = place.last_build()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(building, "MEMORY_PER_THREAD", 1_000)
        place.deliver("touches", THIRD, [touch("t-more", 20, "vk", visitor_id="more")])
        with heard() as said:
            place.update()
    return Troubled(
        **seen,
        said_of_memory="\n".join(said),
        build_short_of_memory=place.last_build(),
        differences=differences(place),
    )


def test_what_is_kept_twice_is_noticed_and_everything_built_anew(troubled: Troubled) -> None:
    build = troubled.build_of_a_broken_group
    assert build["is_full"] is True
    assert build["reason"].startswith("what changed did not pass its tests: rules_of_int_affected_edges")
    assert troubled.differences == []


def test_what_takes_more_memory_than_usual_gets_all_that_there_is(troubled: Troubled) -> None:
    assert "the changes need more memory than usual" in troubled.said_of_memory
    assert troubled.build_short_of_memory["is_full"] is False
    assert troubled.differences == []


# What takes a warehouse of its own


COUNT_OF_MANY = 40_000  # touches: enough for several pieces of a table, and for threads to share the work


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Generation, Generation]:
    """A warehouse that costs came to first, then all at once; what was published before and after that."""
    place = Place(tmp_path_factory.mktemp("many"))
    place.deliver("costs", FIRST, [cost("10")])
    with_costs = place.update()
    assert place.private("from staging.stg_costs") == []

    place.deliver("contacts", FIRST, CONTACTS)
    place.deliver(
        "touches",
        FIRST,
        TOUCHES
        + [
            touch(f"t-{number}", 20, "vk", visitor_id=f"v-{number % 9973}", yandex_client_id=f"y-{number % 7919}")
            for number in range(COUNT_OF_MANY // 4)
        ]
        + [
            touch(f"s-{number}", 20, "vk", visitor_id=f"s-{number}", yandex_client_id=f"s-{number}", crm_client_id=f"s-{number % 25_000}")
            for number in range(COUNT_OF_MANY)
        ],
    )  # fmt: skip
    return place, with_costs, place.update()


def test_costs_may_come_before_anything_else(many: tuple[Place, Generation, Generation]) -> None:
    place, with_costs, with_all = many
    assert with_costs.data_through is None
    assert (with_all.data_through, with_all.row_counts["journal"]) == (FIRST, len(CONTACTS))
    assert len(place.private("from staging.stg_costs")) == 1


def test_a_group_of_many_is_built_again_with_who_joins_it(many: tuple[Place, Generation, Generation]) -> None:
    place, _, _ = many
    assert place.last_build()["is_full"] is False
    place.deliver("touches", SECOND, [touch("t-more", 9, "vk", visitor_id="s-7", crm_client_id="s-8")])
    place.update()
    assert place.last_build()["is_full"] is False
    groups = "from intermediate.int_identifier_clusters order by all"
    built = place.private(groups)

    with place.warehouse.locked("test"):
        assert build(place.warehouse, RULES, full_refresh=True).is_passed
    assert len(built) > 122_880  # several pieces of the table
    assert built == place.private(groups)


def test_an_identifier_of_two_groups_is_noticed_where_everything_is_built(place: Place) -> None:
    test_alone = ["build", "--full-refresh", "--select", "clusters_are_complete_int_identifier_clusters_"]
    with place.warehouse.locked("test"):
        assert run_dbt(place.warehouse.folder, test_alone, RULES).success

    place.private(
        """
        insert into intermediate.int_identifier_clusters by name
        select * replace (3 as record_number, 3 as cluster_number)
        from intermediate.int_identifier_clusters
        where identifier_key = md5_number('yandex_client_id 7 default group') limit 1
        """
    )

    with place.warehouse.locked("test"):
        assert not run_dbt(place.warehouse.folder, test_alone, RULES).success


def test_a_failed_build_says_which_rules_are_broken(place: Place) -> None:
    place.private("insert into intermediate.int_contacts select * from intermediate.int_contacts limit 1")
    with place.warehouse.locked("test"):
        outcome = build(place.warehouse, RULES, select=["rules_of_int_contacts"])
    assert outcome.explain() == (
        "test rules_of_int_contacts: contact_id repeats: 1; rows more or fewer than in int_record_clusters: 1"
    )


def test_there_is_nothing_to_verify_before_what_is_loaded_is_published(place: Place) -> None:
    place.deliver("touches", SECOND, [])
    with place.warehouse.locked("test"), pytest.raises(VerificationError, match="run `load` first"):
        verify(place.warehouse, RULES)
