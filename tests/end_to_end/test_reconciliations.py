"""Credits, contacts, value and spend add up, in what is built and in what is published; broken on purpose, each check says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from places import build_marts, load_landing

from demo.deliveries import write_demo
from pipeline.dbt_runner import run_dbt
from pipeline.publishing import PublicationError, Publications
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse

RULES = Rules.read()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("reconciliations")
    write_demo(folder / "landing", days=5, touches=2_000, last_day=date(2026, 3, 31))
    warehouse = Warehouse(folder / "warehouse")
    load_landing(warehouse, folder / "landing", RULES)
    build_marts(warehouse, RULES)
    return warehouse


@pytest.fixture
def warehouse(built: Warehouse, tmp_path: Path) -> Iterator[Warehouse]:
    shutil.copytree(built.folder, tmp_path / "warehouse")
    copy = Warehouse(tmp_path / "warehouse")
    with copy.locked("test"):
        yield copy


def failed_tests(warehouse: Warehouse, *names: str) -> set[str]:
    """Asked as a full build asks, of everything. What dbt skips after a failure is asked once more."""
    failed: set[str] = set()
    unasked = set(names)
    while unasked:
        selected = [f"test_name:{name}" for name in sorted(unasked)]
        outcome = run_dbt(warehouse.folder, ["build", "--full-refresh", "--select", *selected], RULES)
        answers = {
            result.node.test_metadata.name: str(result.status)
            for result in outcome.result.results
            if result.node.resource_type == "test"
        }
        assert set(answers) == unasked
        failed |= {name for name, status in answers.items() if status == "fail"}
        unasked = {name for name, status in answers.items() if status == "skipped"}
        assert failed or not unasked
    return failed


def change(warehouse: Warehouse, statement: str) -> None:
    with warehouse.connected() as connection:
        connection.execute(statement)


ALL = (
    "credits_sum_to_one",
    "all_credits_sum_to_one",
    "all_touches_are_accounted_for",
    "steps_are_those_of_all_chains",
    "sets_are_those_of_all_chains",
    "performance_is_all_that_was_spent_and_earned",
    "spend_in_is_spend_out",
)
FIRST = "where contact_id = (select min(contact_id) from intermediate.int_touch_credits where touch_id is not null)"


def test_what_is_built_adds_up(warehouse: Warehouse) -> None:
    Publications(warehouse).publish(RULES)
    assert failed_tests(warehouse, *ALL) == set()


BREAKAGES = {
    "a touch earns a trifle more": (
        f"update intermediate.int_touch_credits set linear = linear + 0.000000000001 {FIRST} and touch_position = 1",
        {"credits_sum_to_one", "all_credits_sum_to_one", "performance_is_all_that_was_spent_and_earned"},
    ),
    "what one touch loses, another has too much": (
        "update intermediate.int_touch_credits set linear = case when touch_position = 1 then -1 else 2 end "
        "where contact_id = (select min(contact_id) from intermediate.int_touch_credits where kept_touch_count = 2)",
        {"credits_sum_to_one", "all_credits_sum_to_one"},
    ),
    "a contact has no credits": (
        f"delete from intermediate.int_touch_credits {FIRST}",
        {"credits_sum_to_one", "performance_is_all_that_was_spent_and_earned"},
    ),
    "a contact that is no more has credits": (
        "delete from marts.journal where contact_id = (select max(contact_id) from marts.journal where touch_count = 0)",
        {"performance_is_all_that_was_spent_and_earned"},
    ),
    "a contact has another value": (
        "update intermediate.int_touch_credits set value = value + 1 "
        "where contact_id = (select min(contact_id) from marts.journal where value is not null)",
        {"performance_is_all_that_was_spent_and_earned"},
    ),
    "a pair of source and medium has two names": (
        "insert into intermediate.int_channel_names select source, medium, channel, 1 from "
        "(select source, medium from staging.stg_costs limit 1), (values ('one'), ('another')) as names(channel)",
        {"spend_in_is_spend_out", "performance_is_all_that_was_spent_and_earned"},
    ),
    "a touch is told of twice": (
        "update intermediate.int_contact_touch_ranges set later_touch_count = later_touch_count + 1 "
        "where contact_id = (select min(contact_id) from intermediate.int_contact_touch_ranges)",
        {"all_touches_are_accounted_for"},
    ),
    "a chain is counted twice": (
        "update intermediate.int_chain_steps set contact_count = contact_count + 1 "
        "where to_channel is null and from_channel = (select min(from_channel) from intermediate.int_chain_steps)",
        {"steps_are_those_of_all_chains"},
    ),
    "a set of channels is counted twice": (
        "update intermediate.int_channel_sets set contact_count = contact_count + 1 "
        "where channels = (select min(channels) from intermediate.int_channel_sets)",
        {"sets_are_those_of_all_chains"},
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_what_does_not_add_up_is_reported(warehouse: Warehouse, breakage: str) -> None:
    statement, told = BREAKAGES[breakage]
    change(warehouse, statement)
    assert failed_tests(warehouse, *ALL) == told


AUDITED = {
    "a touch earns a trifle more": "credits do not add up to one contact",
    "a contact has no credits": "in only one of journal and credits, or with another value",
    "a contact has another value": "in only one of journal and credits, or with another value",
    "a pair of source and medium has two names": "spend, contacts or value do not add up",
}


@pytest.mark.parametrize("breakage", AUDITED)
def test_what_does_not_add_up_is_not_published(warehouse: Warehouse, breakage: str) -> None:
    statement, _ = BREAKAGES[breakage]
    # What is told of costs twice over is for the tests before; here, of what is told of performance.
    if "source and medium" in breakage:
        change(warehouse, "alter view marts.channel_performance rename to former_performance")
        statement = "create view marts.channel_performance as select * replace (spend + 1 as spend) from marts.former_performance"
    change(warehouse, statement)
    with pytest.raises(PublicationError, match=AUDITED[breakage]):
        Publications(warehouse).publish(RULES)


SUMS = {
    "contact_counts": ("no_touches_contact_count", "sites, days and types with other contact counts than the journal"),
    "channel_steps": ("step_count", "channels of a site and day whose last steps are not as many"),
    "channel_credits": ("credited_value", "8 attribution models whose credits do not add up to all contacts"),
}


@pytest.mark.parametrize("is_missing", [False, True])
def test_what_is_counted_by_site_and_day_is_audited_too(warehouse: Warehouse, is_missing: bool) -> None:
    for mart, (column, _) in SUMS.items():
        change(warehouse, f"alter view marts.{mart} rename to former_{mart}")
        rows = "* from {0} where false" if is_missing else "* replace ({1} + 1 as {1}) from {0}"
        change(warehouse, f"create view marts.{mart} as select {rows.format(f'marts.former_{mart}', column)}")
    with pytest.raises(PublicationError) as refusal:
        Publications(warehouse).publish(RULES)
    assert [said for _, said in SUMS.values() if said not in str(refusal.value)] == []


@pytest.mark.parametrize("grain", ["touch_chains", "channel_participation"])
def test_chains_and_participation_are_audited_too(warehouse: Warehouse, grain: str) -> None:
    change(
        warehouse,
        "delete from intermediate.int_participation where is_opening"
        if grain == "channel_participation"
        else "create or replace view marts.touch_chains as select * replace (contact_count + 1 as contact_count) from "
        "(select widget_id, contact_date, touch_chain as chain, collapsed_chain, unique_chain, count(*) as contact_count, "
        "0 as multichannel_contact_count, 0 as touch_count, 0 as median_seconds_to_contact from marts.journal "
        "where touch_count > 0 group by all)",
    )
    with pytest.raises(PublicationError, match="contacts with touches more or fewer"):
        Publications(warehouse).publish(RULES)
