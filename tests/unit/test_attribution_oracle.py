"""The oracle of attribution against cases small enough to see, against itself by other ways, and against a library.

The library is marketing_attribution_models, imported as `mam`. Where it defines a model as this project does, both must
give the same; where it doesn't, a smallest case shows how they differ, and why the project's way was taken.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from itertools import groupby, pairwise, permutations
from typing import Any
from zoneinfo import ZoneInfo

import polars
import pytest
from attribution_oracle import (
    CREDIT_UNITS,
    MODELS,
    UNATTRIBUTED,
    Chain,
    Contact,
    Credit,
    Settings,
    Touch,
    all_credits,
    chains_of_brands,
    coalition_worth,
    credits,
    credits_of_weights,
    decayed,
    removal_effects,
    set_rates,
    shapley_values,
    solved,
    worths_of_brands,
)
from mam import MAM

FIRST_INSTANT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEEDS = range(25)
# Worths for cases that are not about how worths come about.
WORTHS = {channel: Fraction(worth) for channel, worth in {"A": 3, "B": 1, "C": 0, "D": 0, "E": 2}.items()}


def contact_of(channels: str, days: float = 7, direct: str = "", contact_id: str = "k", brand: str = "") -> Contact:
    """One touch per letter, some days apart, of which those of the channels named `direct` are direct."""
    return Contact(
        contact_id,
        tuple(
            Touch(f"t{position:03}", FIRST_INSTANT + timedelta(days=days * position), channel, channel in direct)
            for position, channel in enumerate(channels)
        ),
        brand,
    )


def parts(numbers: str) -> list[Fraction]:
    return [Fraction(number) for number in numbers.split()]


def credits_alone(given: Sequence[Credit]) -> list[Fraction]:
    return [credit.credit for credit in given]


def others(*channels: str, count: int = 1) -> list[Chain]:
    return [Chain(tuple(names), is_contact=False, count=count) for names in channels]


def with_contact(*channels: str, count: int = 1) -> list[Chain]:
    return [Chain(tuple(names), is_contact=True, count=count) for names in channels]


def random_chains(seed: int, channels: str = "ABCDE", number: int = 25) -> list[Chain]:
    chance = random.Random(seed)
    return [
        Chain(
            tuple(chance.choice(channels) for _ in range(chance.randint(1, 7))),
            is_contact=chance.random() < 0.4,
            count=chance.randint(1, 4),
        )
        for _ in range(number)
    ] + with_contact(channels[0])  # so that there is one at all


def random_contacts(seed: int, with_touches: bool = True, number: int = 12) -> list[Contact]:
    chance = random.Random(f"contacts {seed}")
    contacts = []
    for position in range(number):
        instants = [
            FIRST_INSTANT + timedelta(seconds=chance.choice((0, chance.randint(1, 60 * 24 * 60 * 60))))
            for _ in range(chance.randint(int(with_touches), 9))
        ]
        if with_touches:
            # The library orders touches by time alone, so here no two of them share an instant.
            instants = sorted(set(instants))
        touches = [
            Touch(f"t{place:03}", instant, chance.choice("ABCDE"), chance.random() < 0.4)
            for place, instant in enumerate(instants)
        ]
        chance.shuffle(touches)
        contacts.append(Contact(f"k{position:03}", tuple(touches), chance.choice(("x", "y"))))
    return contacts


def random_others(seed: int) -> dict[str, list[tuple[str, ...]]]:
    chance = random.Random(f"others {seed}")
    return {
        brand: [
            tuple(chance.choice("ABCDEF") for _ in range(chance.randint(1, 6))) for _ in range(chance.randint(0, 12))
        ]
        for brand in ("x", "y")
    }


# Cases worked by hand

WORKED_CREDITS = [
    # model, channels of touches 7 days apart, credits
    ("first_touch", "A", "1"),
    ("first_touch", "AB", "1 0"),
    ("first_touch", "ABC", "1 0 0"),
    ("first_touch", "ABCDE", "1 0 0 0 0"),
    ("last_touch", "A", "1"),
    ("last_touch", "AB", "0 1"),
    ("last_touch", "ABC", "0 0 1"),
    ("last_touch", "ABCDE", "0 0 0 0 1"),
    ("linear", "A", "1"),
    ("linear", "AB", "0.5 0.5"),
    ("linear", "ABC", "0.333333333333 0.333333333333 0.333333333334"),
    ("linear", "AAA", "0.333333333333 0.333333333333 0.333333333334"),
    ("linear", "ABCDE", "0.2 0.2 0.2 0.2 0.2"),
    ("linear", "ABCDEAB", "0.142857142857 " * 6 + "0.142857142858"),
    ("position_based", "A", "1"),
    ("position_based", "AB", "0.5 0.5"),
    ("position_based", "ABC", "0.4 0.2 0.4"),
    ("position_based", "ABCDE", "0.4 0.066666666666 0.066666666666 0.066666666666 0.400000000002"),
    ("time_decay", "A", "1"),
    ("time_decay", "AB", "0.333333333333 0.666666666667"),
    ("time_decay", "ABC", "0.142857142857 0.285714285714 0.571428571429"),
    (
        "time_decay",
        "ABCDE",  # weights 1/16, 1/8, 1/4, 1/2, 1: of 31 parts 1, 2, 4, 8 and 16
        "0.032258064516 0.064516129032 0.129032258064 0.258064516129 0.516129032259",
    ),
    # Worths are A 3, B 1, C 0, D 0, E 2.
    ("markov", "A", "1"),
    ("markov", "C", "1"),
    ("markov", "AB", "0.75 0.25"),
    ("markov", "CD", "0.5 0.5"),
    ("markov", "CDC", "0.333333333333 0.333333333333 0.333333333334"),
    ("markov", "ABC", "0.75 0.25 0"),
    ("markov", "AAB", "0.428571428571 0.428571428571 0.142857142858"),
    # What rounding leaves goes to the last touch even if its channel is worth nothing.
    ("markov", "AABC", "0.428571428571 0.428571428571 0.142857142857 0.000000000001"),
    ("markov", "ABCDE", "0.5 0.166666666666 0 0 0.333333333334"),
    ("shapley", "ABCDE", "0.5 0.166666666666 0 0 0.333333333334"),
]


@pytest.mark.parametrize(("model", "channels", "expected"), WORKED_CREDITS)
def test_worked_credits(model: str, channels: str, expected: str) -> None:
    contact = contact_of(channels)
    given = credits(model, contact, WORTHS)
    assert credits_alone(given) == parts(expected)
    assert [credit.channel for credit in given] == list(channels)
    assert [credit.touch_id for credit in given] == [touch.touch_id for touch in contact.touches]


@pytest.mark.parametrize("model", MODELS)
def test_contact_without_touches_has_one_credit(model: str) -> None:
    assert credits(model, Contact("k")) == [Credit(None, UNATTRIBUTED, Fraction(1))]


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ("A", "1"),
        ("d", "1"),
        ("Ad", "1 0"),
        ("dA", "0 1"),
        ("dd", "0 1"),  # all direct: the last one
        ("ABd", "0 1 0"),
        ("ddd", "0 0 1"),
        ("dAdBd", "0 0 0 1 0"),
        ("Adddd", "1 0 0 0 0"),
    ],
)
def test_last_non_direct(channels: str, expected: str) -> None:
    assert credits_alone(credits("last_non_direct", contact_of(channels, direct="d"))) == parts(expected)


@pytest.mark.parametrize("model", [model for model in MODELS if model != "last_non_direct"])
def test_only_last_non_direct_asks_whether_a_touch_is_direct(model: str) -> None:
    assert credits(model, contact_of("ABCA"), WORTHS) == credits(model, contact_of("ABCA", direct="AC"), WORTHS)


@pytest.mark.parametrize(
    ("first", "last", "channels", "expected"),
    [
        ("0.3", "0.1", "A", "1"),
        ("0.3", "0.1", "AB", "0.75 0.25"),  # two touches share all by their shares of the two
        ("0.3", "0.1", "ABC", "0.3 0.6 0.1"),
        ("0.3", "0.1", "ABCDE", "0.3 0.2 0.2 0.2 0.1"),
        ("1", "0", "AB", "1 0"),
        ("1", "0", "ABC", "1 0 0"),
        ("0", "1", "ABC", "0 0 1"),
        ("0.6", "0.4", "ABCD", "0.6 0 0 0.4"),
        ("0", "0", "A", "1"),
        ("0", "0", "AB", "0.5 0.5"),  # all weights are 0
        ("0", "0", "ABC", "0 1 0"),
        ("1/3", "0", "ABC", "0.333333333333 0.666666666666 0.000000000001"),
    ],
)
def test_other_shares_of_ends(first: str, last: str, channels: str, expected: str) -> None:
    settings = Settings(first_share=Fraction(first), last_share=Fraction(last))
    assert credits_alone(credits("position_based", contact_of(channels), None, settings)) == parts(expected)


@pytest.mark.parametrize(
    ("days", "half_life", "expected"),
    [
        (0, 7, "0.333333333333 0.333333333333 0.333333333334"),  # all at once
        (7, 14, "0.226540919660 0.320377241017 0.453081839323"),  # 1/2, 1/√2, 1
        (2, 1, "0.047619047619 0.190476190476 0.761904761905"),
        (700, 1, "0 0 1"),
        (1, 10**6, "0.333333102284 0.333333333333 0.333333564383"),  # 1/3 and about ln 2 / 3 · 10^-6 less and more
    ],
)
def test_other_times_and_half_lives(days: int, half_life: int, expected: str) -> None:
    settings = Settings(half_life_days=Fraction(half_life))
    assert credits_alone(credits("time_decay", contact_of("ABC", days), None, settings)) == parts(expected)


def test_decay_counts_microseconds_and_is_exact_where_it_can_be() -> None:
    second = Fraction(1, 24 * 60 * 60)
    assert decayed(timedelta(seconds=3), second) == Fraction(1, 8)
    assert decayed(timedelta(microseconds=1), second / 10**6) == Fraction(1, 2)
    assert decayed(timedelta(0), second) == 1
    root = decayed(timedelta(seconds=1), 2 * second)
    assert abs(root * root - Fraction(1, 2)) < Fraction(1, 10**70)


@pytest.mark.parametrize("model", MODELS)
def test_ties_follow_touch_ids(model: str) -> None:
    touches = [Touch(touch_id, FIRST_INSTANT, channel) for touch_id, channel in (("b", "B"), ("a", "A"), ("B", "E"))]
    answers = [credits(model, Contact("k", order), WORTHS) for order in permutations(touches)]
    assert all(answer == answers[0] for answer in answers)
    assert [credit.touch_id for credit in answers[0]] == ["B", "a", "b"]


def test_time_goes_before_touch_ids() -> None:
    contact = Contact("k", (Touch("a", FIRST_INSTANT + timedelta(seconds=1), "A"), Touch("b", FIRST_INSTANT, "B")))
    assert [credit.channel for credit in credits("first_touch", contact) if credit.credit == 1] == ["B"]


def test_time_zones_change_nothing() -> None:
    """Berlin's clocks go back at 01:00 UTC, so that 02:30 comes twice, an hour apart of which clocks show nothing."""
    night = datetime(2026, 10, 25, tzinfo=UTC)
    instants = [night + timedelta(minutes=30), night + timedelta(minutes=90)]
    settings = Settings(half_life_days=Fraction(1, 24))
    for zone in (UTC, ZoneInfo("Europe/Berlin"), timezone(timedelta(hours=5))):
        touches = (Touch("b", instants[0].astimezone(zone), "A"), Touch("a", instants[1].astimezone(zone), "B"))
        given = credits("time_decay", Contact("k", touches), None, settings)
        assert [(credit.channel, credit.credit) for credit in given] == [
            ("A", Fraction("0.333333333333")),
            ("B", Fraction("0.666666666667")),
        ]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="model: lineal"):
        credits("lineal", contact_of("A"))
    with pytest.raises(ValueError, match="needs worths"):
        credits("markov", contact_of("A"))
    with pytest.raises(KeyError):
        credits("shapley", contact_of("AZ"), WORTHS)
    with pytest.raises(ValueError, match="weights"):
        credits_of_weights([Fraction(-1), Fraction(2)])
    with pytest.raises(ValueError, match="shares"):
        Settings(first_share=Fraction(3, 5), last_share=Fraction(1, 2))
    with pytest.raises(ValueError, match="shares"):
        Settings(last_share=Fraction(-1, 10))
    with pytest.raises(ValueError, match="half_life_days"):
        Settings(half_life_days=Fraction(0))
    with pytest.raises(ValueError, match="at least one channel"):
        Chain((), is_contact=True)
    with pytest.raises(ValueError, match="count: 0"):
        Chain(("A",), is_contact=True, count=0)


def test_worths_may_be_floats() -> None:
    assert credits_alone(credits("markov", contact_of("AB"), {"A": 0.5, "B": 0.25})) == parts(
        "0.666666666666 0.333333333334"
    )


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        # One channel, without which nothing is left.
        (with_contact("A"), {"A": "1"}),
        (with_contact("A") + others("A"), {"A": "1"}),
        # Without a contact nothing can be lost.
        (others("A", "AB"), {"A": "0", "B": "0"}),
        ([], {}),
        # start→A 2/3, start→B 1/3; A→contact 1/2, A→B 1/2; B→contact 1/2, B→nothing 1/2.
        # All: 2/3·(1/2 + 1/2·1/2) + 1/3·1/2 = 2/3. Without A 1/3·1/2 = 1/6, without B 2/3·1/2 = 1/3.
        (with_contact("A", "AB") + others("B"), {"A": "3/4", "B": "1/2"}),
        # A loop: A→B, A→contact and A→nothing 1/3 each, B→A always. All: 1/2. Without B 1/3.
        (with_contact("ABA") + others("A"), {"A": "1", "B": "1/3"}),
        # C leads nowhere; it costs nothing to lose it.
        (with_contact("A") + others("C"), {"A": "1", "C": "0"}),
        # Counts are chains: 3 of 4 contacts come by A.
        (with_contact("A", count=3) + with_contact("B"), {"A": "3/4", "B": "1/4"}),
        # A chain that nobody walked counts, too: steps are remembered, not ways. A→C→contact, B→C→nothing, 1/2 each:
        # from C, half get there, whichever way they came.
        (with_contact("AC") + others("BC"), {"A": "1/2", "B": "1/2", "C": "1"}),
    ],
)
def test_worked_removal_effects(chains: list[Chain], expected: dict[str, str]) -> None:
    assert removal_effects(chains) == {channel: Fraction(worth) for channel, worth in expected.items()}


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        (with_contact("A"), {"A": "1"}),
        (with_contact("A", count=2) + others("A"), {"A": "2/3"}),
        (others("A", "AB"), {"A": "0", "B": "0"}),
        ([], {}),
        # Neither order nor repeats matter.
        (with_contact("AB"), {"A": "1/2", "B": "1/2"}),
        (with_contact("ABA") + others("BA"), {"A": "1/4", "B": "1/4"}),
        # {A} 1, {A, B} 1, {B} 0: A 1 + 1/2, B 1/2.
        (with_contact("A", "AB") + others("B"), {"A": "3/2", "B": "1/2"}),
        # {A} 1/2, {A, B} 1/3, {A, B, C} 1/4: A 1/2 + 1/6 + 1/12, B 1/6 + 1/12, C 1/12.
        (
            with_contact("A", "AB", "ABC") + others("A") + others("AB", count=2) + others("CBA", count=3),
            {"A": "3/4", "B": "1/4", "C": "1/12"},
        ),
    ],
)
def test_worked_shapley_values(chains: list[Chain], expected: dict[str, str]) -> None:
    assert shapley_values(chains) == {channel: Fraction(worth) for channel, worth in expected.items()}


def test_too_many_channels_for_all_coalitions_are_refused() -> None:
    with pytest.raises(ValueError, match="15 channels"):
        shapley_values(with_contact("ABCDEFGHIJKLMNO"))


def test_worked_credits_of_two_brands() -> None:
    """The same touches get other credits in another brand; who had no touches changes no worth."""
    contacts = [
        contact_of("A", contact_id="k1", brand="x"),
        contact_of("AB", contact_id="k2", brand="x"),
        contact_of("AB", contact_id="k3", brand="y"),
        Contact("k4", (), "x"),
        Contact("k5", (), "z"),
    ]
    other_chains = {"x": ["B"], "y": ["A"], "w": ["C"]}
    assert worths_of_brands("markov", contacts, other_chains) == {
        "x": {"A": Fraction(3, 4), "B": Fraction(1, 2)},
        "y": {"A": Fraction(1), "B": Fraction(1)},
        "w": {"C": Fraction(0)},
    }
    given = all_credits("markov", contacts, other_chains)
    assert {contact_id: credits_alone(credit) for contact_id, credit in given.items()} == {
        "k1": parts("1"),
        "k2": parts("0.6 0.4"),
        "k3": parts("0.5 0.5"),
        "k4": parts("1"),
        "k5": parts("1"),
    }
    given = all_credits("shapley", contacts, other_chains)
    assert credits_alone(given["k2"]) == parts("0.75 0.25")
    assert credits_alone(given["k3"]) == parts("0.5 0.5")


# What must hold for any chains


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", SEEDS)
def test_credits_are_parts_of_one_contact(model: str, seed: int) -> None:
    contacts = random_contacts(seed, with_touches=False)
    given = all_credits(model, contacts, random_others(seed))
    assert given.keys() == {contact.contact_id for contact in contacts}
    for contact in contacts:
        of_contact = given[contact.contact_id]
        assert sum(credits_alone(of_contact)) == 1
        assert all(
            0 <= credit <= 1 and (CREDIT_UNITS * credit).denominator == 1 for credit in credits_alone(of_contact)
        )
        expected = sorted(touch.touch_id for touch in contact.touches) or [None]
        assert sorted((credit.touch_id for credit in of_contact), key=str) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_last_credit_is_off_and_by_less_than_a_unit_per_touch(seed: int) -> None:
    chance = random.Random(seed)
    weights = [Fraction(chance.randint(0, 9), chance.randint(1, 9)) for _ in range(chance.randint(1, 9))] + [
        Fraction(1)
    ]
    exact = [weight / sum(weights) for weight in weights]
    given = credits_of_weights(weights)
    for credit, share in zip(given[:-1], exact[:-1], strict=True):
        assert 0 <= share - credit < Fraction(1, CREDIT_UNITS)
    assert 0 <= given[-1] - exact[-1] < Fraction(len(weights), CREDIT_UNITS)


@pytest.mark.parametrize("seed", SEEDS)
def test_equations_are_solved(seed: int) -> None:
    chance = random.Random(seed)
    number = chance.randint(1, 7)
    expected = [Fraction(chance.randint(-9, 9), chance.randint(1, 9)) for _ in range(number)]
    # Regular, for the whole of its two factors' diagonals is 1; the first pivots are often 0 after turning rows around.
    lower = [[Fraction(chance.randint(-2, 2) if y < x else int(x == y)) for y in range(number)] for x in range(number)]
    upper = [[Fraction(chance.randint(-2, 2) if y > x else int(x == y)) for y in range(number)] for x in range(number)]
    matrix = [
        [sum(lower[x][k] * upper[k][y] for k in range(number)) for y in range(number)] for x in reversed(range(number))
    ]
    constants = [sum(row[y] * expected[y] for y in range(number)) for row in matrix]
    assert solved(matrix, constants) == expected


def shares_of_steps(chains: Sequence[Chain]) -> dict[str, dict[str, Fraction]]:
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for chain in chains:
        for here, there in pairwise(["start", *chain.channels, "contact" if chain.is_contact else "nothing"]):
            counts[here][there] += chain.count
    return {
        here: {there: Fraction(count, sum(targets.values())) for there, count in targets.items()}
        for here, targets in counts.items()
    }


def walks(
    shares: Mapping[str, Mapping[str, Fraction]], start: str = "start"
) -> Iterator[tuple[tuple[str, ...], Fraction]]:
    """Every walk from here to an end with its probability, where no walk comes back to where it was."""
    if start not in shares:
        yield (start,), Fraction(1)
        return
    for there, share in shares[start].items():
        for walk, probability in walks(shares, there):
            yield (start, *walk), share * probability


@pytest.mark.parametrize("seed", SEEDS)
def test_removal_effects_are_shares_of_all_walks(seed: int) -> None:
    """Where no channel comes twice, the walks are few enough to list: what is lost is what passes through a channel."""
    chains = [
        replace(chain, channels=tuple(sorted(set(chain.channels))))
        for chain in random_chains(seed, "ABCDEF", number=12)
    ]
    all_walks = list(walks(shares_of_steps(chains)))
    assert sum(probability for _, probability in all_walks) == 1
    to_contact = [(walk, probability) for walk, probability in all_walks if walk[-1] == "contact"]
    total = sum(probability for _, probability in to_contact)
    channels = {channel for chain in chains for channel in chain.channels}
    assert removal_effects(chains) == {
        channel: sum(probability for walk, probability in to_contact if channel in walk) / total for channel in channels
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_removal_effects_lie_where_long_walks_leave_them(seed: int) -> None:
    """After 400 steps, the walks that arrived and those still under way are bounds of the probability."""
    chains = random_chains(seed)
    shares = shares_of_steps(chains)

    def bounds(removed: str | None) -> tuple[float, float]:
        at = {"start": 1.0}
        arrived = 0.0
        for _ in range(400):
            after: dict[str, float] = defaultdict(float)
            for here, probability in at.items():
                for there, share in shares[here].items():
                    if there == "contact":
                        arrived += probability * float(share)
                    elif there not in ("nothing", removed):
                        after[there] += probability * float(share)
            at = after
        return arrived, arrived + sum(at.values())

    lowest, highest = bounds(None)
    assert highest - lowest < 1e-9
    for channel, worth in removal_effects(chains).items():
        lowest_without, highest_without = bounds(channel)
        assert 1 - highest_without / lowest - 1e-9 <= worth <= 1 - lowest_without / highest + 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_removal_effects_in_general(seed: int) -> None:
    chains = random_chains(seed)
    worths = removal_effects(chains)
    assert all(0 <= worth <= 1 for worth in worths.values())
    # Whoever is in a chain that led to a contact is missed: so credits by worth never come down to no weights at all.
    in_contacts = {channel for chain in chains if chain.is_contact for channel in chain.channels}
    assert {channel for channel, worth in worths.items() if worth > 0} >= in_contacts

    collapsed = [replace(chain, channels=tuple(name for name, _ in groupby(chain.channels))) for chain in chains]
    assert removal_effects(collapsed) == worths
    assert removal_effects([replace(chain, count=chain.count * 3) for chain in reversed(chains)]) == worths
    assert removal_effects([replace(chain, count=1) for chain in chains for _ in range(chain.count)]) == worths
    # A channel after which nothing ever came is worth nothing, and changes no other's worth: nothing is nothing.
    assert removal_effects(chains + others("Z", count=5)) == worths | {"Z": 0}

    names = dict(zip("ABCDE", "DEABC", strict=True))
    renamed = [replace(chain, channels=tuple(names[name] for name in chain.channels)) for chain in chains]
    assert removal_effects(renamed) == {names[channel]: worth for channel, worth in worths.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_shapley_values_are_means_over_all_orders(seed: int) -> None:
    chains = random_chains(seed, "ABCDEF"[: 2 + seed % 5])
    rates = set_rates(chains)
    channels = sorted({channel for chain in chains for channel in chain.channels})
    orders = list(permutations(channels))
    added: dict[str, Fraction] = defaultdict(Fraction)
    for order in orders:
        for position, channel in enumerate(order):
            added[channel] += coalition_worth(order[: position + 1], rates) - coalition_worth(order[:position], rates)
    worths = shapley_values(chains)
    assert worths == {channel: sum_of_orders / len(orders) for channel, sum_of_orders in added.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_shapley_values_in_general(seed: int) -> None:
    chains = random_chains(seed)
    rates = set_rates(chains)
    worths = shapley_values(chains)
    # Every set's rate falls to its channels in equal parts.
    assert worths == {
        channel: sum(rate / len(channels) for channels, rate in rates.items() if channel in channels)
        for channel in worths
    }
    assert sum(worths.values()) == coalition_worth(worths, rates) == sum(rates.values())
    in_contacts = {channel for chain in chains if chain.is_contact for channel in chain.channels}
    assert {channel for channel, worth in worths.items() if worth > 0} == in_contacts

    # A dummy adds nothing to any coalition.
    assert shapley_values(chains + others("Z", "AZ", "ZBC")) == worths | {"Z": 0}
    # Twins, of which each does what the other does, are worth the same.
    swapped = str.maketrans("AB", "BA")
    twins = chains + [
        replace(chain, channels=tuple(name.translate(swapped) for name in chain.channels)) for chain in chains
    ]
    worths_of_twins = shapley_values(twins)
    assert worths_of_twins["A"] == worths_of_twins["B"]

    in_other_order = [replace(chain, channels=tuple(reversed(chain.channels)) * 2) for chain in chains]
    assert shapley_values(in_other_order) == worths


# Against the library


def library(
    contacts: Sequence[Contact], other_chains: Sequence[Sequence[str]] = (), rows_reversed: bool = False
) -> MAM:
    """The library, given touches as rows, of one brand. A contact without touches has no row, so it isn't there."""
    rows = [
        (contact.contact_id, touch.instant.replace(tzinfo=None), touch.channel, True)
        for contact in contacts
        for touch in contact.touches
    ]
    rows += [
        (f"other {number}", FIRST_INSTANT.replace(tzinfo=None) + timedelta(hours=position), channel, False)
        for number, channels in enumerate(other_chains)
        for position, channel in enumerate(channels)
    ]
    if rows_reversed:
        rows.reverse()
    schema = {
        "chain": polars.String,
        "touched_at": polars.Datetime("us"),
        "channel": polars.String,
        "is_contact": polars.Boolean,
    }
    return MAM(
        polars.DataFrame(rows, schema=schema, orient="row"),
        "session",
        channels_colname="channel",
        journey_with_conv_colname="is_contact",
        datetime_colname="touched_at",
        user_id_colname="chain",
    )


RUNS = {
    "first_touch": MAM.run_first_click,
    "last_touch": MAM.run_last_click,
    "linear": MAM.run_linear,
    "position_based": MAM.run_position_based,
    "time_decay": MAM.run_time_decay,
    "markov": MAM.run_markov,
    "shapley": MAM.run_shapley,
}


def library_credits(model: str, given: MAM, **options: object) -> dict[tuple[str, str], float]:
    """Chain and channel → credit, above or below 0. Chains without a contact must have none."""
    result = RUNS[model](given, **options).to_raw_polars()
    if model in ("first_touch", "last_touch"):
        result = result.with_columns(channels=result["attribution_channel"])
    elif model == "linear":
        result = result.with_columns(attribution_value=result["split_value"]).explode("channels")
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for chain, channel, is_contact, credit in result.select(
        "journey_id", "channels", "has_conversion", "attribution_value"
    ).iter_rows():
        assert is_contact or credit == 0
        sums[chain, channel] += credit
    return {key: credit for key, credit in sums.items() if abs(credit) > 1e-9}


def our_credits(given: Mapping[str, Sequence[Credit]]) -> dict[tuple[str, str], float]:
    sums: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for contact_id, of_contact in given.items():
        for credit in of_contact:
            sums[contact_id, credit.channel] += credit.credit
    return {key: float(credit) for key, credit in sums.items() if credit > Fraction(1, 10**9)}


def agrees(expected: Mapping[Any, float]) -> object:
    return pytest.approx(dict(expected), rel=0, abs=1e-9)


def of_brand(contacts: Sequence[Contact], brand: str) -> list[Contact]:
    return [contact for contact in contacts if contact.brand == brand]


@pytest.mark.parametrize("model", ["first_touch", "last_touch", "linear", "position_based", "time_decay"])
@pytest.mark.parametrize("seed", SEEDS)
def test_same_as_library_by_place_and_time(model: str, seed: int) -> None:
    contacts = random_contacts(seed)
    given = library(contacts, random_others(seed)["x"])
    expected = our_credits(all_credits(model, contacts))
    assert library_credits(model, given) == agrees(expected)
    of_channels: dict[str, float] = defaultdict(float)
    for (_, channel), credit in expected.items():
        of_channels[channel] += credit
    assert {channel: sum_ for channel, sum_ in RUNS[model](given).to_polars().iter_rows() if sum_} == agrees(
        of_channels
    )


@pytest.mark.parametrize("hours", [1, 24, 36.5, 1000])
def test_same_as_library_with_other_half_lives(hours: float) -> None:
    contacts = random_contacts(1)
    settings = Settings(half_life_days=Fraction(hours) / 24)
    expected = our_credits(all_credits("time_decay", contacts, settings=settings))
    assert library_credits("time_decay", library(contacts), half_life_hours=hours) == agrees(expected)


def test_library_forgets_parts_of_seconds() -> None:
    """It rounds ages down to seconds. Ours is right: half a second is half a second, whatever the half-life."""
    contact = Contact(
        "k", (Touch("a", FIRST_INSTANT, "A"), Touch("b", FIRST_INSTANT + timedelta(milliseconds=500), "B"))
    )
    second = Fraction(1, 24 * 60 * 60)
    ours = our_credits(all_credits("time_decay", [contact], settings=Settings(half_life_days=second / 2)))
    assert ours == agrees({("k", "A"): 1 / 3, ("k", "B"): 2 / 3})
    theirs = library_credits("time_decay", library([contact]), half_life_hours=0.5 / 3600)
    assert theirs == agrees({("k", "A"): 1 / 2, ("k", "B"): 1 / 2})


def test_library_has_fixed_shares_of_ends() -> None:
    """They are 0.4 and 0.4; in a chain of two 0.5 and 0.5, which is what ours come to when the shares are alike.

    Ours are settings, and two touches share by them, so that a longer chain and a chain of two value the ends alike.
    """
    contacts = [contact_of("AB", contact_id="k2"), contact_of("ABC", contact_id="k3")]
    theirs = library_credits("position_based", library(contacts))
    assert theirs == agrees(our_credits(all_credits("position_based", contacts)))
    other_shares = Settings(first_share=Fraction(3, 10), last_share=Fraction(1, 10))
    assert our_credits(all_credits("position_based", contacts, settings=other_shares)) == agrees(
        {("k2", "A"): 0.75, ("k2", "B"): 0.25, ("k3", "A"): 0.3, ("k3", "B"): 0.6, ("k3", "C"): 0.1}
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_library_knows_direct_touches_as_any_others(seed: int) -> None:
    """It has no last non-direct touch; given none that are direct (or all, where all are) its last one is ours."""
    contacts = random_contacts(seed)
    kept = [
        replace(contact, touches=tuple(touch for touch in contact.touches if not touch.is_direct) or contact.touches)
        for contact in contacts
    ]
    expected = our_credits(all_credits("last_non_direct", contacts))
    assert library_credits("last_touch", library(kept)) == agrees(expected)
    assert library_credits("last_touch", library(contacts)) != agrees(expected)


def test_library_leaves_ties_to_the_order_of_rows() -> None:
    """Ours is right: the same touches have the same first one, in whatever order they were delivered."""
    contact = Contact("k", (Touch("a", FIRST_INSTANT, "A"), Touch("b", FIRST_INSTANT, "B")))
    theirs = [library_credits("first_touch", library([contact], rows_reversed=order)) for order in (False, True)]
    assert theirs == [agrees({("k", "A"): 1}), agrees({("k", "B"): 1})]
    assert our_credits(all_credits("first_touch", [contact])) == agrees({("k", "A"): 1})


@pytest.mark.parametrize("model", RUNS)
def test_library_loses_contacts_without_touches(model: str) -> None:
    """They have no row, so that its credits sum to fewer than all contacts. Ours keep them, without a channel."""
    contacts = [contact_of("A", contact_id="k1"), Contact("k2")]
    assert library_credits(model, library(contacts)) == agrees({("k1", "A"): 1})
    assert our_credits(all_credits(model, contacts)) == agrees({("k1", "A"): 1, ("k2", UNATTRIBUTED): 1})


@pytest.mark.parametrize("repeats_count", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_same_as_library_by_removal(seed: int, repeats_count: bool) -> None:
    """Whether it counts steps from a channel to itself or not is all the same, to it as to us."""
    contacts, other_chains = random_contacts(seed), random_others(seed)
    worths = worths_of_brands("markov", contacts, other_chains)
    ours = all_credits("markov", contacts, other_chains)
    for brand in sorted(worths):
        contacts_of_brand = of_brand(contacts, brand)
        given = library(contacts_of_brand, other_chains[brand])
        result = given.run_markov(transition_to_same_state=repeats_count)
        effects = result.metadata["removal_effect"]["removal_effect"].to_dict()
        assert effects == agrees({channel: float(worth) for channel, worth in worths[brand].items()})
        expected = our_credits({contact.contact_id: ours[contact.contact_id] for contact in contacts_of_brand})
        assert library_credits("markov", given, transition_to_same_state=repeats_count) == agrees(expected)


def test_library_knows_no_brands() -> None:
    """What follows a channel in one brand says nothing about another: ours are right to keep brands apart."""
    contacts = [contact_of("AB", contact_id="k1", brand="x"), contact_of("A", contact_id="k2", brand="y")]
    other_chains = {"x": ["B"], "y": ["A"]}
    ours = our_credits(all_credits("markov", contacts, other_chains))
    assert ours == agrees({("k1", "A"): 1 / 3, ("k1", "B"): 2 / 3, ("k2", "A"): 1})
    apart: dict[tuple[str, str], float] = {}
    for brand in "xy":
        apart |= library_credits("markov", library(of_brand(contacts, brand), other_chains[brand]))
    assert apart == agrees(ours)
    assert library_credits("markov", library(contacts, ["B", "A"])) != agrees(ours)


def test_library_takes_some_channels_for_ends() -> None:
    """A channel may be called anything, so ours is right: here the library takes one for the end of all chains."""
    contacts = [
        Contact("k1", (Touch("a", FIRST_INSTANT, "(null)"), Touch("b", FIRST_INSTANT + timedelta(hours=1), "B")))
    ]
    ours = our_credits(all_credits("markov", contacts))
    assert ours == agrees({("k1", "(null)"): 0.5, ("k1", "B"): 0.5})
    assert library_credits("markov", library(contacts)) != agrees(ours)


def test_library_takes_one_channel_for_two() -> None:
    """It joins names and splits them again, so that this one's credit is lost. Ours keeps sets of names."""
    contacts = [Contact("k1", (Touch("a", FIRST_INSTANT, "A > B"),))]
    assert library_credits("shapley", library(contacts)) == {}
    assert our_credits(all_credits("shapley", contacts)) == agrees({("k1", "A > B"): 1})


@pytest.mark.parametrize("seed", SEEDS)
def test_same_shapley_values_as_library_in_the_same_game(seed: int) -> None:
    """Its game: a coalition is worth the chains of exactly its channels, ours: of all sets that it holds.

    Told that as many chains had exactly these channels as our coalition is worth (in whole parts), it finds our values.
    """
    chains = random_chains(seed, "ABCDEF"[: 2 + seed % 5])
    rates = set_rates(chains)
    worths = shapley_values(chains)
    channels = sorted(worths)
    coalitions = [
        [channel for position, channel in enumerate(channels) if number >> position & 1]
        for number in range(1, 2 ** len(channels))
    ]
    scale = 10**12
    rows = [
        (" > ".join(coalition), True, round(scale * coalition_worth(coalition, rates)))
        for coalition in coalitions
        if coalition_worth(coalition, rates)
    ]
    given = MAM(
        polars.DataFrame(rows, schema=["chain", "is_contact", "occurrences"], orient="row"),
        "grouped_journey",
        channels_colname="chain",
        journey_with_conv_colname="is_contact",
    )
    result = given.run_shapley(max_size=None, value_column="conversions")
    table = result.metadata["conv_table"]
    of_all = table.filter(table["combinations"] == " > ".join(channels))[
        "attribution_shapley_sizeNone_conversions_algorithmic"
    ]
    theirs = {channel: worth / scale for channel, worth in zip(channels, of_all[0], strict=True)}
    assert theirs == agrees({channel: float(worth) for channel, worth in worths.items()})


@pytest.mark.parametrize("seed", SEEDS)
def test_same_as_library_by_coalitions_that_share_no_channel(seed: int) -> None:
    """Then no set holds another, and both games come to equal parts for the channels of a set."""
    chance = random.Random(seed)
    sets = ["AB", "C", "DEF", "GHIJ"]
    contacts = [
        contact_of("".join(chance.sample(channels, len(channels))), contact_id=f"k{number}")
        for number in range(8)
        for channels in [chance.choice(sets)]
    ]
    other_chains = [chance.choice(sets) for _ in range(8)]
    expected = our_credits(all_credits("shapley", contacts, {"": other_chains}))
    assert library_credits("shapley", library(contacts, other_chains)) == agrees(expected)


def test_library_values_a_coalition_by_its_own_chains_alone() -> None:
    """Chains A and A, B, both with a contact, are enough to differ: to the library B adds nothing, A did as well.

    Ours is the usual game of attribution, in which a coalition is worth all that its channels bring about: it never
    loses by a channel more. In the library's it may, and then credits lie outside 0 to 1: below, one contact is given
    to A two and a half times, and taken from B one and a half times. No report of contacts can be made of that.
    """
    contacts = [contact_of("A", contact_id="k1"), contact_of("AB", contact_id="k2")]
    assert our_credits(all_credits("shapley", contacts)) == agrees(
        {("k1", "A"): 1, ("k2", "A"): 0.75, ("k2", "B"): 0.25}
    )
    assert library_credits("shapley", library(contacts)) == agrees({("k1", "A"): 1, ("k2", "A"): 1})

    other_chains = ["AB"] * 3
    assert our_credits(all_credits("shapley", contacts, {"": other_chains})) == agrees(
        {("k1", "A"): 1, ("k2", "A"): 0.9, ("k2", "B"): 0.1}
    )
    assert library_credits("shapley", library(contacts, other_chains)) == agrees(
        {("k1", "A"): 1, ("k2", "A"): 2.5, ("k2", "B"): -1.5}
    )


def test_library_cuts_sets_to_four_names() -> None:
    """The first of five in the alphabet gets nothing, unless asked for all. Ours is right: a name is worth nothing."""
    contacts = [contact_of("EDCBA", contact_id="k1")]
    ours = our_credits(all_credits("shapley", contacts))
    assert ours == agrees({("k1", channel): 0.2 for channel in "ABCDE"})
    assert library_credits("shapley", library(contacts)) == agrees({("k1", channel): 0.25 for channel in "BCDE"})
    assert library_credits("shapley", library(contacts), max_size=None) == agrees(ours)


def test_library_counts_repeats_by_touch_only() -> None:
    """Of A, A, B its credits by touch are ours (a touch weighs what its channel is worth), not its sums by channel."""
    contacts = [contact_of("AAB", contact_id="k1")]
    given = library(contacts)
    assert library_credits("shapley", given) == agrees(our_credits(all_credits("shapley", contacts)))
    assert library_credits("shapley", given) == agrees({("k1", "A"): 2 / 3, ("k1", "B"): 1 / 3})
    assert dict(given.run_shapley().to_polars().iter_rows()) == agrees({"A": 0.5, "B": 0.5})


def test_chains_are_told_apart_by_brand_and_outcome() -> None:
    contacts = [
        contact_of("AB", contact_id="k1", brand="x"),
        contact_of("AB", contact_id="k2", brand="x"),
        contact_of("AB", contact_id="k3", brand="y"),
        Contact("k4", (), "x"),
    ]
    assert chains_of_brands(contacts, {"x": [("A", "B"), ["A", "B"], ("B",)]}) == {
        "x": [*with_contact("AB", count=2), *others("AB", count=2), *others("B")],
        "y": with_contact("AB"),
    }
