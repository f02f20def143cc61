"""What a build takes in, what it says has changed, and what it is compared with."""

import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pipeline import Place, build_marts
from processes import made_once
from reference import Row

from orchestration import building
from orchestration.building import build, run_dbt
from orchestration.publishing import Publications
from orchestration.settings import Rules
from orchestration.verifying import VerificationError, verify

RULES = Rules.read()
FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)


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


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A day that is published."""

    def make(folder: Path) -> None:
        place = Place(folder)
        place.deliver("touches", FIRST, TOUCHES)
        place.deliver("contacts", FIRST, CONTACTS)
        place.update()

    shutil.copytree(made_once(tmp_path_factory, "published-day", make), tmp_path, symlinks=True, dirs_exist_ok=True)
    return Place(tmp_path)


def test_what_changed_is_said_with_its_reason(place: Place) -> None:
    assert place.changes() == {}
    contacts = {str(row["contact_id"]): dict(row) for row in CONTACTS}
    del contacts["c-removed"]
    contacts["c-moved"]["visitor_id"] = "same"
    contacts["c-split-2"]["crm_client_id"] = ""
    contacts["c-new"] = dict(contact("c-new", 13))
    place.deliver("contacts", FIRST, [contacts[name] for name in contacts if name not in ("c-split-1",)])
    place.deliver(
        "touches",
        SECOND,
        [
            touch("t-late-2", 9, "yandex", visitor_id="late"),
            touch("t-corrected", 8, "yandex", visitor_id="corrected"),
            touch("t-tie", 20, "vk", visitor_id="merged-1", yandex_client_id="merged"),
            touch("t-tie-2", 20, "vk", visitor_id="merged-2", yandex_client_id="merged"),
            touch("t-tie-3", 21, "vk", visitor_id="tied", yandex_client_id="tied"),
        ],
    )
    place.deliver("contacts", SECOND, [CONTACTS[4]])

    generation = place.update()

    assert place.last_build()["is_full"] is False
    changes = place.changes()
    # Their own rows were delivered again as they were.
    assert changes["c-late"] == ("other verdict", "a client was split")
    assert changes["c-corrected"] == ("other verdict", "a touch was corrected or removed")
    assert changes["c-moved"] == ("other verdict", "the contact was corrected")
    assert changes["c-removed"] == ("removed", "the contact was delivered or removed")
    assert changes["c-new"] == ("new", "the contact was delivered or removed")
    assert changes["c-merged-2"][0] == "other verdict"
    assert "c-same" not in changes
    assert generation.changes["removed"] == {"the contact was delivered or removed": 1}
    assert sum(sum(reasons.values()) for reasons in generation.changes.values()) == len(changes)


def test_touches_alone_change_contacts_for_reasons_of_their_own(place: Place) -> None:
    place.deliver(
        "touches",
        SECOND,
        [
            touch("t-late-2", 9, "yandex", visitor_id="late"),
            touch("t-corrected", 8, "yandex", visitor_id="corrected"),
            touch("t-tie", 20, "vk", visitor_id="merged-1", yandex_client_id="merged"),
            touch("t-tie-2", 20, "vk", visitor_id="merged-2", yandex_client_id="merged"),
        ],
    )
    place.update()
    assert place.changes() == {
        "c-late": ("other verdict", "a touch came late"),
        "c-moved": ("other verdict", "a touch came late"),
        "c-corrected": ("other verdict", "a touch was corrected or removed"),
        "c-merged-2": ("other verdict", "clients were merged"),
    }

    # Without the ties, and without the late touch.
    place.deliver("touches", SECOND, [touch("t-corrected", 8, "yandex", visitor_id="corrected")])
    place.update()
    assert place.changes() == {
        "c-late": ("other verdict", "a touch was corrected or removed"),
        "c-moved": ("other verdict", "a touch was corrected or removed"),
        "c-merged-2": ("other verdict", "a client was split"),
    }
    build = place.last_build()
    assert (build["is_full"], build["changed_touch_count"], build["changed_contact_count"]) == (False, 4, 0)
    assert (build["affected_client_count"], build["affected_contact_count"]) == (4, 5)
    assert build["changes"] is not None and build["generation"] == 3


def test_an_earlier_contact_of_the_client_is_the_reason_for_another_name(place: Place) -> None:
    place.deliver("contacts", SECOND, [contact("c-earlier", 1, visitor_id="late")])
    # And visits after all contacts, as there are every day.
    place.deliver(
        "touches", SECOND, [touch("t-later", 9, "vk", visitor_id="late") | {"touched_at": "2026-03-02T09:00:00Z"}]
    )
    place.update()
    other_contact = "another contact of the client was delivered, corrected or removed"
    assert place.changes() == {
        "c-earlier": ("new", "the contact was delivered or removed"),
        "c-late": ("other client", other_contact),
        "c-moved": ("other client", other_contact),
    }

    place.deliver("contacts", SECOND, [])
    place.update()
    assert {name: place.changes()[name] for name in ("c-late", "c-moved")} == {
        "c-late": ("other client", other_contact),
        "c-moved": ("other client", other_contact),
    }


def test_touches_after_a_contact_are_no_reason_for_what_it_says(place: Place) -> None:
    """The day after brings a visit, as every day, and a contact that ties an old touch to the client."""
    tying = contact("c-tying", 10, visitor_id="late", yandex_client_id="tied") | {
        "contacted_at": "2026-03-02T10:00:00Z"
    }
    place.deliver("contacts", SECOND, [tying])
    place.deliver(
        "touches", SECOND, [touch("t-day", 9, "vk", visitor_id="late") | {"touched_at": "2026-03-02T09:00:00Z"}]
    )
    place.update()
    assert place.changes()["c-late"] == (
        "other touches",
        "another contact of the client was delivered, corrected or removed",
    )


@pytest.mark.parametrize("moved", [True, False])
def test_a_touch_of_several_identifiers_that_is_no_more_is_the_reason(place: Place, moved: bool) -> None:
    both = {"visitor_id": "same", "yandex_client_id": "same"}
    place.deliver("touches", SECOND, [touch("t-both", 8, "vk", **both)])
    place.update()
    assert place.changes() == {"c-same": ("other verdict", "a touch came late")}

    elsewhere = [touch("t-both", 8, "vk", visitor_id="elsewhere", yandex_client_id="elsewhere")]
    place.deliver("touches", SECOND, elsewhere if moved else [])
    place.update()
    assert place.changes() == {"c-same": ("other verdict", "a touch was corrected or removed")}


def test_a_publication_that_was_cut_short_is_taken_note_of(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.deliver("contacts", SECOND, [{**contact("c-late", 10, visitor_id="late"), "client_name": "Anna"}])
    place.deliver("touches", SECOND, [touch("t-late-2", 9, "yandex", visitor_id="late")])
    with monkeypatch.context() as patched, pytest.raises(OSError, match="the power went"):
        patched.setattr(Publications, "_clear_away", lambda _: (_ for _ in ()).throw(OSError("the power went")))
        place.update()
    assert place.changes()["c-late"] == ("other verdict", "the contact was corrected")

    place.deliver("touches", date(2026, 3, 3), [touch("t-late-3", 8, "google", visitor_id="late")])
    place.update()

    assert place.changes()["c-late"] == ("other touches", "a touch came late")
    builds = place.private(
        "select generation, published_at is not null as is_published from raw.builds order by started_at"
    )
    assert builds == [{"generation": number, "is_published": True} for number in (1, 2, 3)]


def test_a_build_that_is_published_again_says_the_same(place: Place) -> None:
    place.deliver("touches", SECOND, [touch("t-late-2", 9, "yandex", visitor_id="late")])
    place.update()
    told = place.changes()
    assert told
    with place.warehouse.locked("test"):
        place.publications.publish(RULES)
    assert place.changes() == told


def test_a_full_build_that_was_cut_short_is_made_good(place: Place) -> None:
    with place.warehouse.locked("test"):
        assert build(place.warehouse, RULES, full_refresh=True).is_passed
    # As it is left when its process is killed.
    place.private("update raw.builds set outcome = 'running' where reason = 'asked for'")
    place.update()
    assert place.last_build()["reason"] == "a full build was begun and did not pass"


def test_what_a_full_build_changed_is_told_though_another_one_is_published(place: Place) -> None:
    place.private("update marts.journal set touch_chain = 'wrong' where contact_id = 'c-late'")
    with place.warehouse.locked("test"):
        place.publications.publish(RULES)
        assert build(place.warehouse, RULES, full_refresh=True).is_passed
    place.deliver("touches", SECOND, [touch("t-more", 20, "vk", visitor_id="more")])
    place.update()
    assert place.last_build()["is_full"] is False
    assert place.changes() == {"c-late": ("other channels", "everything was built anew")}


def test_a_clock_that_was_set_back_stops_nothing(place: Place) -> None:
    place.private(
        "update raw.builds set started_at = started_at + interval 3 days, finished_at = finished_at + interval 3 days"
    )
    place.deliver("touches", SECOND, [touch("t-late-2", 9, "yandex", visitor_id="late")])
    assert place.update().number == 2
    builds = place.private("from raw.builds order by started_at")
    assert [build["changed_touch_count"] for build in builds] == [0, 1]
    assert all(build["finished_at"] >= build["started_at"] for build in builds)

    with place.warehouse.locked("test"):
        assert build(place.warehouse, RULES, select=["int_identifier_groups"]).is_passed
    place.update()
    assert place.last_build()["reason"].endswith("built otherwise, in part or by hand")


def test_a_host_with_very_many_parts_is_looked_up_all_the_same(place: Place) -> None:
    referrer = f"https://{'a.' * 20_000}google.com/search"
    place.deliver(
        "touches", SECOND, [touch("t-host", 8, "", visitor_id="same") | {"utm_medium": "", "referrer": referrer}]
    )
    place.update()
    assert place.private("select touch_chain from marts.journal where contact_id = 'c-same'") == [
        {"touch_chain": "google / organic"}
    ]


def test_only_what_changed_is_worked_out(place: Place) -> None:
    place.deliver("touches", SECOND, [touch("t-late-2", 9, "yandex", visitor_id="late")])
    outcome = build_marts(place.warehouse, RULES)

    affected = place.private("select contact_id from intermediate.int_affected_contacts order by all")

    assert [row["contact_id"] for row in affected] == ["c-late", "c-moved"]
    # Seeds that haven't changed are left as they are.
    assert not [node.name for node in outcome.nodes if "channel_rules" in node.name]
    # Nothing is acknowledged before it is published: what was not is taken in again.
    place.deliver("touches", SECOND, [])
    build_marts(place.warehouse, RULES)
    assert len(place.private("from intermediate.int_affected_contacts")) == 2


def cost(amount: str, cost_date: date = FIRST, **values: str) -> Row:
    return {
        "cost_date": str(cost_date),
        "source": "vk",
        "medium": "cpc",
        "amount": amount,
        "currency": "RUB",
        **values,
    }


def test_costs_are_taken_in_and_corrected_and_do_not_move_the_last_day(place: Place) -> None:
    def amounts() -> list[tuple[Any, ...]]:
        rows = place.private("select cost_date, campaign, amount from staging.stg_costs order by all")
        return [(row["cost_date"], row["campaign"], str(row["amount"])) for row in rows]

    place.deliver("costs", FIRST, [cost("10"), cost("5.5", source=" VK"), cost("1", campaign="весна")])
    place.deliver("costs", SECOND, [cost("99", SECOND), cost("7", currency="EUR")])
    generation = place.update()
    assert generation.data_through == FIRST
    assert place.last_build()["data_through"] == FIRST
    assert amounts() == [(FIRST, "весна", "1.00"), (FIRST, None, "15.50")]
    # Nothing of touches and contacts was worked out anew, and what was loaded is known.
    build_of_costs = place.last_build()
    assert (build_of_costs["is_full"], build_of_costs["load_ids"]) == (False, [3, 4])
    assert build_of_costs["changed_touch_count"] == build_of_costs["affected_client_count"] == 0
    with place.warehouse.locked("test"):
        assert place.publications.is_up_to_date(building.fingerprint(RULES))
        assert verify(place.warehouse, RULES) == []

    # A later day says anew what was spent before; the earlier one's other keys stay.
    place.deliver("costs", SECOND, [cost("99", SECOND), cost("8"), cost("-0.25")])
    place.update()
    assert amounts() == [(FIRST, "весна", "1.00"), (FIRST, None, "7.75")]
    assert place.private("select count(*) as row_count from raw.costs") == [{"row_count": 6}], (
        "replaced rows are dropped"
    )
    assert place.private("select count(*) as row_count from raw.rejected_rows") == [{"row_count": 0}]

    place.deliver("costs", FIRST, [])
    place.deliver("touches", SECOND, [])
    assert place.update().data_through == SECOND
    assert amounts() == [(FIRST, None, "7.75"), (SECOND, None, "99.00")]


def test_costs_may_come_before_anything_else(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.deliver("costs", FIRST, [cost("10")])
    assert place.update().data_through is None
    assert place.private("from staging.stg_costs") == []
    place.deliver("touches", FIRST, TOUCHES)
    place.deliver("contacts", FIRST, CONTACTS)
    generation = place.update()
    assert (generation.data_through, generation.row_counts["journal"]) == (FIRST, len(CONTACTS))
    assert len(place.private("from staging.stg_costs")) == 1


def test_a_warehouse_from_before_costs_gets_their_table(place: Place) -> None:
    place.private("drop view staging.stg_costs")
    place.private("drop table raw.costs")
    with place.warehouse.locked("test"), place.warehouse.connected() as connection:
        assert connection.execute("select count(*) from raw.costs").fetchone() == (0,)
    place.deliver("costs", FIRST, [cost("10")])
    place.update()
    assert len(place.private("from staging.stg_costs")) == 1


def test_changed_settings_build_everything_anew_and_say_so(place: Place) -> None:
    place.update(Rules.read({"lookback_days": 30}))

    build = place.last_build()
    assert build["is_full"] is True
    assert build["reason"] == "settings have changed (lookback_days was None and is 30.0)"
    assert set(place.changes().values()) <= {("other verdict", "everything was built anew")}


def test_what_was_built_otherwise_since_is_built_anew(place: Place) -> None:
    # Another setting's build that was never published.
    build_marts(place.warehouse, Rules.read({"lookback_days": 30}))
    build_marts(place.warehouse, RULES)

    assert (
        place.last_build()["reason"] == "since the last publication something was built otherwise, in part or by hand"
    )


def test_a_group_that_is_not_whole_is_noticed_and_everything_built_anew(place: Place) -> None:
    place.deliver("touches", SECOND, [touch("t-tie", 20, "vk", visitor_id="merged-1", yandex_client_id="merged")])
    place.update()
    tied_by_the_other = "identifier_key = md5_number('yandex_client_id 7 default merged')"
    place.private(f"delete from intermediate.int_identifier_groups where {tied_by_the_other}")
    place.deliver("touches", FIRST, [*TOUCHES, touch("t-new", 20, "vk", visitor_id="merged-1", crm_client_id="1")])

    place.update()

    build = place.last_build()
    assert build["reason"].startswith("what changed did not pass its tests: groups_are_whole_int_affected_ties")
    with place.warehouse.locked("test"):
        assert verify(place.warehouse, RULES) == []


def test_an_identifier_of_two_groups_is_noticed_where_everything_is_built(place: Place) -> None:
    place.deliver("touches", SECOND, [touch("t-tie", 20, "vk", visitor_id="merged-1", yandex_client_id="merged")])
    place.update()
    test_alone = ["build", "--full-refresh", "--select", "groups_are_complete_int_identifier_groups_"]
    with place.warehouse.locked("test"):
        assert run_dbt(place.warehouse.folder, test_alone, RULES).success

    place.private(
        """
        insert into intermediate.int_identifier_groups by name
        select * replace (3 as record_number, 2 as group_class)
        from intermediate.int_identifier_groups
        where identifier_key = md5_number('yandex_client_id 7 default merged') limit 1
        """
    )

    with place.warehouse.locked("test"):
        assert not run_dbt(place.warehouse.folder, test_alone, RULES).success


def test_the_rows_of_a_group_lie_one_after_another_in_whatever_build_they_were_written(place: Place) -> None:
    count = 40_000  # touches: enough for several pieces of a table, and for threads to share the work
    place.deliver(
        "touches",
        SECOND,
        [
            touch(f"t-{number}", 20, "vk", visitor_id=f"v-{number % 9973}", yandex_client_id=f"y-{number % 7919}")
            for number in range(count // 4)
        ]
        + [
            touch(f"s-{number}", 20, "vk", visitor_id=f"s-{number}", yandex_client_id=f"s-{number}", crm_client_id=f"s-{number % 25_000}")
            for number in range(count)
        ],
    )  # fmt: skip
    scattered = """
        select group_class, group_size, rowid - group_position as first_place
        from intermediate.int_identifier_groups
        group by all
        having count(*) <> group_size
    """
    place.update()
    place.deliver("touches", FIRST, [*TOUCHES, touch("t-more", 9, "vk", visitor_id="s-7", crm_client_id="s-8")])
    place.update()
    assert place.last_build()["is_full"] is False
    assert place.private(scattered) == []

    with place.warehouse.locked("test"):
        assert build(place.warehouse, RULES, full_refresh=True).is_passed
    assert place.private("select count(*) > 122880 as is_large from intermediate.int_identifier_groups") == [
        {"is_large": True}
    ]
    assert place.private(scattered) == []


def test_what_takes_more_memory_than_usual_gets_all_that_there_is(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(building, "MEMORY_PER_THREAD", 1_000)
    place.deliver("touches", SECOND, [touch("t-more", 20, "vk", visitor_id="more")])

    with caplog.at_level("INFO", "orchestration"):
        place.update()

    assert "what changed takes more memory than usual" in caplog.text
    assert place.last_build()["is_full"] is False
    with place.warehouse.locked("test"):
        assert verify(place.warehouse, RULES) == []


def test_whoever_has_very_many_rows_is_expected_to_come_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(building, "MEMORY_PER_THREAD", 1_000)
    place.private(
        """
        insert into intermediate.int_large_clients (client_id, first_contact_id, contact_count, touch_count)
        values ('a bot', 'no contact of those that change', 10000, 100000)
        """
    )
    place.deliver("touches", SECOND, [touch("t-more", 20, "vk", visitor_id="more")])

    with caplog.at_level("INFO", "orchestration"):
        place.update()

    assert "what changed takes more memory than usual" not in caplog.text
    assert place.last_build()["is_full"] is False


def test_builds_take_the_project_as_it_was_parsed_for_all_warehouses(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    building.prepared_manifest()
    events: list[str] = []
    monkeypatch.setattr(building, "_log_progress", lambda event: events.append(event.info.name))

    for full_refresh in (True, False):
        place.deliver("touches", SECOND, [touch("t-more", 20, "vk", visitor_id="more")])
        with place.warehouse.locked("test"):
            assert build(place.warehouse, RULES, full_refresh=full_refresh).is_passed
            place.publications.publish(RULES)

    assert "LogModelResult" in events
    assert not {"UnableToPartialParse", "PartialParsingSkipParsing", "PartialParsingEnabled"} & set(events)


def test_a_table_that_was_dropped_is_not_made_out_of_changes(place: Place) -> None:
    place.private("drop table marts.journal")
    with place.warehouse.locked("test"):
        outcome = build(place.warehouse, RULES)
        assert not outcome.is_passed
        assert "--full-refresh" in outcome.explain()
        assert build(place.warehouse, RULES, full_refresh=True).is_passed


def test_a_selection_is_built_only_where_no_full_build_is_due(place: Place) -> None:
    with place.warehouse.locked("test"):
        assert build(place.warehouse, RULES, select=["journal"]).is_passed
        refused = build(place.warehouse, Rules.read({"lookback_days": 30}), select=["journal"])
        assert not refused.is_passed
        assert "Build everything first, not a selection: settings have changed" in refused.explain()
        again = build(place.warehouse, RULES, select=["journal"])
        assert "Build everything first, not a selection: since the last publication something" in again.explain()


def test_ties_that_do_not_lie_where_they_were_found_are_taken_out_all_the_same(place: Place) -> None:
    tied, others = ({"visitor_id": name, "yandex_client_id": name} for name in ("tied", "others"))
    place.deliver("touches", SECOND, [touch("t-tied", 20, "vk", **tied), touch("t-others", 21, "vk", **others)])
    place.update()
    place.deliver("touches", FIRST, [*TOUCHES, touch("t-more", 20, "vk", **tied)])
    ties = "from intermediate.int_identifier_groups order by all"

    def run(*models: str) -> None:
        with place.warehouse.locked("test"):
            assert run_dbt(place.warehouse.folder, ["run", "--select", *models], RULES).success

    run("+int_affected_ties", "+int_identity_groups")
    place.private(
        """
        create or replace table intermediate.int_identifier_groups as
        from intermediate.int_identifier_groups order by record_number desc, identifier_key
        """
    )
    run("int_identifier_groups")

    built = place.private(ties)
    with place.warehouse.locked("test"):
        assert build(place.warehouse, RULES, full_refresh=True).is_passed
    assert built == place.private(ties)


def test_who_only_lies_in_the_same_place_of_another_table_is_not_affected(place: Place) -> None:
    places = place.private(
        """
        select place from intermediate.int_record_keys
        where record_key in (md5_number('touch t-corrected-2'), md5_number('contact c-merged-1'))
        """
    )
    assert places[0] == places[1]
    place.deliver("touches", SECOND, [touch("t-more", 9, "vk", visitor_id="corrected")])

    place.update()

    assert place.private("from intermediate.int_affected_contacts") == [{"contact_id": "c-corrected"}]
    assert place.last_build()["is_full"] is False


def test_after_a_selection_everything_is_built_anew(place: Place) -> None:
    """What one model takes out of a table, and what it puts in, may be of different builds: that need not fit together."""
    with place.warehouse.locked("test"):
        assert build(place.warehouse, RULES, select=["int_identifier_groups"]).is_passed

    place.deliver("touches", SECOND, [])
    place.update()

    assert place.last_build()["is_full"] is True
    assert place.last_build()["reason"].endswith("built otherwise, in part or by hand")


def test_verification_finds_all_differences_planted_by_hand(place: Place) -> None:
    place.private("update marts.journal set call_page = 'elsewhere' where contact_id = 'c-late'")
    place.private("delete from marts.client_card where first_contact_id = 'c-late'")
    place.private("insert into marts.client_history from marts.client_history where contact_id = 'c-late'")
    file = place.publications.file(1)
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


def test_there_is_nothing_to_verify_before_what_is_loaded_is_published(place: Place) -> None:
    place.deliver("touches", SECOND, [])
    with place.warehouse.locked("test"), pytest.raises(VerificationError, match="run `load` first"):
        verify(place.warehouse, RULES)
