"""What a build makes of attribution: chains, counts and credits follow what is delivered, and are what the oracle says."""

from __future__ import annotations

import importlib.util
import shutil
import signal
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attribution_oracle as oracle
import duckdb
import pytest
from places import MARTS, Place, build_marts, load_landing, rows_of
from processes import PATIENCE_SECONDS, made_once, python
from reference import Row

from demo.deliveries import write_demo
from pipeline.dbt_runner import run_dbt
from pipeline.python_models import computed_by_duckdb
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.verifying import verify
from pipeline.warehouse import Warehouse

RULES = Rules.read()
FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)
A, B, C = "a / cpc", "b / cpc", "c / cpc"
KEPT = ("int_chains", "int_chain_steps", "int_channel_sets", "int_participation", "int_touch_credits")
BROAD_TOLERANCE = Fraction(1, 10**9)  # of what the warehouse works out by floating point


def touch(touch_id: str, time: str, source: str, visitor_id: str, day: date = FIRST) -> Row:
    return {
        "touch_id": touch_id,
        "widget_id": "w-test",
        "touched_at": f"{day}T{time}:00Z",
        "utm_source": source,
        "utm_medium": "cpc",
        "visitor_id": visitor_id,
    }


def contact(contact_id: str, time: str, visitor_id: str, day: date = FIRST) -> Row:
    return {
        "contact_id": contact_id,
        "widget_id": "w-test",
        "contacted_at": f"{day}T{time}:00Z",
        "contact_type": "call",
        "visitor_id": visitor_id,
        "value": "99.99",
    }


TOUCHES = [
    touch("t-anna-1", "08:00", "a", "anna"),
    touch("t-anna-2", "09:00", "b", "anna"),
    touch("t-boris", "08:00", "c", "boris"),
    touch("t-vera-1", "08:00", "a", "vera"),
    touch("t-vera-2", "09:00", "a", "vera"),
    touch("t-vera-3", "09:30", "c", "vera"),
    touch("t-nobody", "08:00", "b", ""),
]
CONTACTS = [
    contact("c-anna", "10:00", "anna"),
    contact("c-boris", "10:00", "boris"),
    contact("c-egor", "10:00", "egor"),
]


@pytest.fixture(scope="module")
def published_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of Anna, Boris and Egor, who called, and of Vera, who didn't."""

    def make(folder: Path) -> None:
        place = Place(folder)
        place.deliver("touches", FIRST, TOUCHES)
        place.deliver("contacts", FIRST, CONTACTS)
        place.update()

    return made_once(tmp_path_factory, "published-day-of-attribution", make)


def copied(folder: Path, to: Path) -> Place:
    shutil.copytree(folder, to, symlinks=True, dirs_exist_ok=True)
    return Place(to)


@pytest.fixture(scope="module")
def days(published_day: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Place]:
    """The warehouse as it was after each build: by what had come or gone since."""
    folder = tmp_path_factory.mktemp("days")
    place = copied(published_day, folder / "place")
    days = {"at first": copied(published_day, folder / "at first")}

    def update(name: str) -> None:
        place.update()
        days[name] = copied(folder / "place", folder / name)

    late = touch("t-late", "08:30", "c", "anna")
    place.deliver("touches", SECOND, [late, touch("t-vera-4", "10:00", "b", "vera", SECOND)])
    place.deliver("contacts", SECOND, [contact("c-vera", "10:00", "vera", SECOND)])
    update("a late touch and a call")

    place.deliver("contacts", SECOND, [])
    update("without the call")

    place.deliver("touches", SECOND, [])
    update("without anything")
    return days


def everything(place: Place) -> dict[str, list[str]]:
    tables = [f"marts.{mart}" for mart in MARTS] + [f"intermediate.{table}" for table in KEPT]
    return {table: sorted(map(repr, place.private(f"from {table}"))) for table in tables}


def chains(place: Place) -> list[tuple[str, list[str]]]:
    """By contact; those that led to no contact are of nobody."""
    rows = place.private("from intermediate.int_chains")
    return sorted((row["contact_id"] or "", row["channels"]) for row in rows)


def credits_of(place: Place, contact_id: str) -> dict[str, list[Fraction]]:
    rows = place.private(f"from marts.touch_credits where contact_id = '{contact_id}' order by touch_rank")
    return {model: [Fraction(row[model]) for row in rows] for model in oracle.MODELS}


def touches_of(place: Place, table: str, contact_id: str) -> list[str]:
    rows = place.private(f"select touch_id from {table} where contact_id = '{contact_id}' order by touch_rank")
    return [row["touch_id"] for row in rows]


def assert_counts_are_those_of_chains(place: Place) -> None:
    """And what channels are worth is what the oracle makes of the chains."""
    of_brands = oracle_chains(place.private("from intermediate.int_chains"))
    worths = place.private("from marts.channel_worths")
    for model, worths_of in (("markov", oracle.removal_effects), ("shapley", oracle.shapley_values)):
        expected = {
            (brand, channel): worth
            for brand, chains_of_brand in of_brands.items()
            for channel, worth in worths_of(chains_of_brand).items()
        }
        given = {(row["brand_id"], row["channel"]): Fraction(row[model]) for row in worths}
        assert set(given) == set(expected)
        assert all(abs(given[key] - expected[key]) <= BROAD_TOLERANCE for key in expected), model


def oracle_chains(rows: list[dict[str, Any]]) -> dict[str, list[oracle.Chain]]:
    found = defaultdict(list)
    for row in rows:
        found[row["brand_id"]].append(oracle.Chain(tuple(row["channels"]), row["contact_id"] is not None))
    return found


def assert_as_built_in_full(place: Place) -> None:
    assert place.last_build()["is_full"] is False
    with place.warehouse.locked("test"):
        assert [str(difference) for difference in verify(place.warehouse, RULES)] == []


# What comes late, goes, or turns out otherwise


def test_a_touch_that_comes_late_earns_its_part(days: Mapping[str, Place]) -> None:
    assert ("c-anna", [A, B]) in chains(days["at first"])

    place = days["a late touch and a call"]
    assert ("c-anna", [A, C, B]) in chains(place)
    (journal,) = place.private("from marts.journal where contact_id = 'c-anna'")
    assert journal["touch_chain"] == f"{A} > {C} > {B}"
    for table in ("marts.touch_credits", "intermediate.int_touch_credits", "marts.interaction_history"):
        assert touches_of(place, table, "c-anna") == ["t-anna-1", "t-late", "t-anna-2"], table
    credits = credits_of(place, "c-anna")
    assert {model: sum(of_model) for model, of_model in credits.items()} == dict.fromkeys(oracle.MODELS, 1)
    assert credits["position_based"] == [Fraction(4, 10), Fraction(2, 10), Fraction(4, 10)]
    parts = place.private("from intermediate.int_participation where contact_id = 'c-anna' order by channel")
    assert [(row["channel"], row["is_opening"], row["is_assisting"], row["is_closing"]) for row in parts] == [
        (A, True, False, False),
        (B, False, False, True),
        (C, False, True, False),
    ]


def test_a_chain_moves_to_those_that_led_to_a_contact_and_back(days: Mapping[str, Place]) -> None:
    assert chains(days["at first"]) == [("", [A, C]), ("c-anna", [A, B]), ("c-boris", [C])]

    # Vera calls, and comes by once more; what nobody is known by leads nowhere as ever.
    place = days["a late touch and a call"]
    assert chains(place) == [("", [B]), ("c-anna", [A, C, B]), ("c-boris", [C]), ("c-vera", [A, C])]
    sets = place.private("from intermediate.int_channel_sets order by channels")
    assert [(row["channels"], row["contact_count"], row["other_count"]) for row in sets] == [
        ([A, B, C], 1, 0),
        ([A, C], 1, 0),
        ([B], 0, 1),
        ([C], 1, 0),
    ]
    assert_counts_are_those_of_chains(place)

    # The call is removed: Vera's touches were typed as a client's, and are somebody's who never made contact.
    place = days["without the call"]
    assert chains(place) == [("", [A, C, B]), ("c-anna", [A, C, B]), ("c-boris", [C])]
    assert_counts_are_those_of_chains(place)
    assert_as_built_in_full(place)


def test_what_came_and_went_leaves_nothing(days: Mapping[str, Place]) -> None:
    """Only the last loaded day, which nothing here asks for, is another."""
    assert days["without anything"].last_build()["is_full"] is False
    assert everything(days["without anything"]) == everything(days["at first"])


# What a killed build leaves of itself in the ledger: that it is running, for ever.
KILLED = "update raw.builds set outcome = 'running', finished_at = null where started_at = (select max(started_at) from raw.builds)"


def test_counts_of_a_build_that_was_cut_short_are_not_gone_by(published_day: Path, tmp_path: Path) -> None:
    place = copied(published_day, tmp_path)
    place.private(
        f"""
        {KILLED};
        update intermediate.int_chain_steps set contact_count = contact_count + 100;
        delete from intermediate.int_channel_sets where contact_count > 0
        """
    )
    place.deliver("touches", SECOND, [touch("t-late", "08:30", "c", "anna")])
    place.update()

    assert_counts_are_those_of_chains(place)
    assert_as_built_in_full(place)


# Dies as soon as a model is made.
DIE_AFTER = """
import os, signal, sys
from pathlib import Path
from pipeline import building, dbt_runner
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse

def die(event, last=sys.argv[2]):
    if event.info.name == "LogModelResult" and event.data.node_info.node_name == last:
        os.kill(os.getpid(), signal.SIGKILL)

dbt_runner._log_progress = die
warehouse = Warehouse(Path(sys.argv[1]))
with warehouse.locked("test"):
    building.build(warehouse, Rules.read())
"""


def test_a_build_killed_between_chains_and_their_counts(published_day: Path, tmp_path: Path) -> None:
    """Chains are changed and steps counted, sets not yet: the next build counts them all."""
    place = copied(published_day, tmp_path)
    place.deliver("touches", SECOND, [touch("t-late", "08:30", "c", "anna")])
    before = place.private("from intermediate.int_channel_sets order by all")

    process = python(DIE_AFTER, str(place.warehouse.folder), "int_chain_steps")
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL

    last = place.last_build()
    assert (last["outcome"], last["finished_at"]) == ("running", None)
    assert place.private("from intermediate.int_channel_sets order by all") == before
    assert ("c-anna", [A, C, B]) in chains(place), "the kill came too early"
    assert failures(place, "steps_are_those_of_all_chains") == 0
    assert failures(place, "sets_are_those_of_all_chains") == 1
    place.update()
    assert_counts_are_those_of_chains(place)
    assert_as_built_in_full(place)


@pytest.mark.parametrize(
    ("table", "statement", "test"),
    [
        # As many chains as there are, of other channels.
        ("int_channel_sets", "update {} set channels = ['x'] where len(channels) = 1", "sets_are_those_of_all_chains"),
        ("int_channel_sets", "update {} set contact_count = other_count, other_count = contact_count", "sets_are_those_of_all_chains"),
        # Of those who never made contact alone.
        ("int_channel_sets", "update {} set channels = ['x'] where contact_count = 0", "sets_are_those_of_all_chains"),
        ("int_channel_sets", "update {} set brand_id = 'another'", "sets_are_those_of_all_chains"),
        ("int_chain_steps", "update {} set from_channel = 'x' where from_channel is not null", "steps_are_those_of_all_chains"),
        ("int_chain_steps", "update {} set contact_count = contact_count + 1 where to_channel is not null", "steps_are_those_of_all_chains"),
    ],
)  # fmt: skip
def test_counts_that_are_not_those_of_the_chains_fail_their_own_test(
    published_day: Path, tmp_path: Path, table: str, statement: str, test: str
) -> None:
    place = copied(published_day, tmp_path)
    assert failures(place, test) == 0
    place.private(statement.format(f"intermediate.{table}"))
    assert failures(place, test) == 1


def failures(place: Place, name: str) -> int:
    with place.warehouse.locked("test"):
        outcome = run_dbt(place.warehouse.folder, ["test", "--select", name], RULES)
    # Beside it, what begins and ends a run of dbt.
    (result,) = [result for result in outcome.result.results if result.node.resource_type == "test"]
    assert str(result.status) in ("pass", "fail"), result.message
    return int(result.failures)


def removal_effects(steps: str) -> list[tuple[str, str, int]]:
    """What the model makes of steps of chains."""
    path = PROJECT_DIR / "models" / "intermediate" / "attribution" / "int_removal_effects.py"
    spec = importlib.util.spec_from_file_location("int_removal_effects", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with duckdb.connect() as connection:
        relation = connection.sql(
            f"select * from (values {steps}) as steps (brand_id, from_channel, to_channel, contact_count, other_count)"
        )
        worths = computed_by_duckdb(module.model(SimpleNamespace(ref=lambda name: relation), connection))
    return sorted(tuple(row.values()) for row in worths.to_pylist())


def test_removal_effects_are_rounded_to_the_twelfth_decimal() -> None:
    """Two of three contacts came by a, one by b, so that one is rounded up, and one down; brands apart."""
    steps = """
        ('okna', null, 'a', 2, 0), ('okna', 'a', null, 2, 0), ('okna', null, 'b', 1, 0), ('okna', 'b', null, 1, 0),
        ('dveri', null, 'a', 1, 0), ('dveri', 'a', null, 1, 0)
    """
    assert removal_effects(steps) == [
        ("dveri", "a", 10**12),
        ("okna", "a", 666_666_666_667),
        ("okna", "b", 333_333_333_333),
    ]


# The demo, contact by contact


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Rows by table; of the channels there are few enough for the oracle to try all coalitions."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder / "landing", days=10, touches=4_000, last_day=date(2026, 3, 31))
    warehouse = Warehouse(folder / "warehouse")
    rules = Rules.read({"channel_grain": "medium", "history_touch_limit": 5})
    load_landing(warehouse, folder / "landing", rules)
    build_marts(warehouse, rules)
    tables = ("marts.touch_credits", "marts.journal", "marts.channel_worths", "intermediate.int_chains")
    with warehouse.locked("test"), warehouse.connected() as connection:
        return {table.partition(".")[2]: rows_of(connection, f"from {table}") for table in tables}


@pytest.fixture(scope="module")
def worths(demo: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, dict[str, Fraction]]]:
    """The oracle's, by model, brand and channel."""
    of_brands = oracle_chains(demo["int_chains"])
    return {
        model: {brand: worths_of(chains_of_brand) for brand, chains_of_brand in of_brands.items()}
        for model, worths_of in (("markov", oracle.removal_effects), ("shapley", oracle.shapley_values))
    }


@pytest.mark.parametrize("model", oracle.MODELS)
def test_credits_of_the_demo_are_the_oracles(
    demo: Mapping[str, list[dict[str, Any]]], worths: Mapping[str, Mapping[str, dict[str, Fraction]]], model: str
) -> None:
    touches: dict[str, list[dict[str, Any]]] = {row["contact_id"]: [] for row in demo["journal"]}
    for row in demo["touch_credits"]:
        touches[row["contact_id"]].append(row)
    counts = set()
    for journal in demo["journal"]:
        rows = sorted(touches[journal["contact_id"]], key=lambda row: row["touch_rank"] or 0)
        contact = oracle.Contact(
            journal["contact_id"],
            tuple(
                oracle.Touch(
                    row["touch_id"],
                    row["touched_at"],
                    row["channel"],
                    is_direct=(row["source"], row["medium"]) == ("(direct)", "(none)"),
                )
                for row in rows
                if journal["touch_count"]
            ),
            journal["brand_id"],
        )
        assert len(contact.touches) == min(journal["touch_count"], 5)
        counts.add(len(contact.touches))
        of_brand = worths.get(model, {}).get(journal["brand_id"])
        expected = [credit.credit for credit in oracle.credits(model, contact, of_brand)]
        given = [Fraction(row[model]) for row in rows]
        assert len(given) == len(expected) and sum(given) == 1
        # Weights that come out of floating point are the oracle's up to that.
        tolerance = BROAD_TOLERANCE if model in ("time_decay", *oracle.MODELS_BY_WORTH) else 0
        assert all(abs(one - other) <= tolerance for one, other in zip(given, expected, strict=True)), journal
    assert counts >= {0, 1, 2, 5}


@pytest.mark.parametrize("model", oracle.MODELS_BY_WORTH)
def test_worths_of_the_demo_are_the_oracles(
    demo: Mapping[str, list[dict[str, Any]]], worths: Mapping[str, Mapping[str, dict[str, Fraction]]], model: str
) -> None:
    given = {(row["brand_id"], row["channel"]): Fraction(row[model]) for row in demo["channel_worths"]}
    expected = {(brand, channel): worth for brand, own in worths[model].items() for channel, worth in own.items()}
    assert set(given) == set(expected)
    assert max(abs(given[key] - expected[key]) for key in expected) <= BROAD_TOLERANCE
    assert sum(worth > 0 for worth in given.values()) > 5


def test_chains_of_the_demo_are_those_of_its_contacts(demo: Mapping[str, list[dict[str, Any]]]) -> None:
    chained = {row["contact_id"]: row["channels"] for row in demo["int_chains"] if row["contact_id"]}
    told = {
        row["contact_id"]: row["collapsed_chain"].removeprefix("… > ").split(" > ")
        for row in demo["journal"]
        if row["touch_count"]
    }
    assert chained == told
    assert sum(row["contact_id"] is None for row in demo["int_chains"]) > 100
