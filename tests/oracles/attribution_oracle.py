"""The attribution models once more, in plain Python, for tests only.

It shares no code with the project and goes other ways than SQL does, so that the two can be wrong only in different
ways: all numbers are exact fractions, Markov's worths come out of one system of linear equations per removed channel,
Shapley's out of all coalitions. It favours being read over being fast, and is meant for small numbers of channels.

Everything of one brand is worked out from that brand's chains alone. Instants are datetimes, half-lives are days,
shares lie in [0, 1], worths and credits have no unit: a contact's credits sum to exactly 1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import combinations, pairwise
from math import factorial

MODELS = (
    "first_touch",
    "last_touch",
    "last_non_direct",
    "linear",
    "position_based",
    "time_decay",
    "markov",
    "shapley",
)
MODELS_BY_WORTH = ("markov", "shapley")
UNATTRIBUTED = "(unattributed)"

CREDIT_UNITS = 10**12  # a credit is a whole number of these parts of a contact
DECAY_DIGITS = 80  # of a power of two that isn't rational; credits show 12
MOST_COALITION_CHANNELS = 14  # 2^14 coalitions are a second's work

# Numbers instead of names, so that no channel can be taken for one of them, whatever it is called.
START, CONTACT, NOTHING = 0, 1, 2
State = str | int
Steps = dict[State, Counter[State]]


@dataclass(frozen=True)
class Touch:
    """One counted touch.

    touched_at: with a time zone or, in all touches of a contact alike, without one.
    is_direct: whether the visitor came without a source; only `last_non_direct` asks.
    """

    touch_id: str
    touched_at: datetime
    channel: str
    is_direct: bool = False

    @property
    def instant(self) -> datetime:
        """In UTC if a time zone is known: Python subtracts clock readings of one zone blind to changed clocks."""
        return self.touched_at if self.touched_at.tzinfo is None else self.touched_at.astimezone(UTC)


@dataclass(frozen=True)
class Contact:
    """One contact with its counted touches, none to many, in any order.

    At most the latest `history_touch_limit` are expected: nothing is cut here.
    """

    contact_id: str
    touches: tuple[Touch, ...] = ()
    brand: str = ""

    @property
    def ordered_touches(self) -> tuple[Touch, ...]:
        """By touched_at, then by the code points of touch_id."""
        return tuple(sorted(self.touches, key=lambda touch: (touch.instant, touch.touch_id)))


@dataclass(frozen=True)
class Chain:
    """`count` chains alike: one channel or more in order, repeats included, and whether a contact came of them."""

    channels: tuple[str, ...]
    is_contact: bool
    count: int = 1

    def __post_init__(self) -> None:
        if not self.channels:
            raise ValueError("a chain has at least one channel: contacts without touches have no chain")
        if self.count < 1:
            raise ValueError(f"count: {self.count}")


@dataclass(frozen=True)
class Settings:
    """Shares of a contact (0 to 1, together at most 1) and the half-life in days (above 0)."""

    first_share: Fraction = field(default=Fraction(4, 10))
    last_share: Fraction = field(default=Fraction(4, 10))
    half_life_days: Fraction = field(default=Fraction(7))

    def __post_init__(self) -> None:
        if min(self.first_share, self.last_share) < 0 or self.first_share + self.last_share > 1:
            raise ValueError(f"shares: {self.first_share}, {self.last_share}")
        if self.half_life_days <= 0:
            raise ValueError(f"half_life_days: {self.half_life_days}")


@dataclass(frozen=True)
class Credit:
    """What a touch is given of its contact: a whole number of 10^-12, from 0 to 1.

    touch_id is None for the one credit of a contact without touches.
    """

    touch_id: str | None
    channel: str
    credit: Fraction


# Credits of a contact


def credits(
    model: str,
    contact: Contact,
    worths: Mapping[str, Fraction | float] | None = None,
    settings: Settings | None = None,
) -> list[Credit]:
    """The contact's credits by one of MODELS, one per touch in the order of touches; they sum to exactly 1.

    A contact without touches has one, of 1, for the channel UNATTRIBUTED.
    worths: channel → worth in the contact's brand, 0 or more; needed by MODELS_BY_WORTH only, for every channel of the
    contact. A float is taken for exactly what it is.
    """
    touches = contact.ordered_touches
    if not touches:
        return [Credit(None, UNATTRIBUTED, Fraction(1))]
    weights = touch_weights(model, touches, worths, settings or Settings())
    return [
        Credit(touch.touch_id, touch.channel, credit)
        for touch, credit in zip(touches, credits_of_weights(weights), strict=True)
    ]


def credits_of_weights(weights: Sequence[Fraction]) -> list[Fraction]:
    """Weights (one or more, 0 or more each) as credits: rounded down to 10^-12, the last takes what is missing to 1.

    It takes it even if its own weight is 0. If all weights are 0, all count alike.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError(f"weights: {weights}")
    total = sum(weights, Fraction(0))
    if total == 0:
        return credits_of_weights([Fraction(1)] * len(weights))
    units = [CREDIT_UNITS * weight // total for weight in weights]
    units[-1] += CREDIT_UNITS - sum(units)
    return [Fraction(unit, CREDIT_UNITS) for unit in units]


def touch_weights(
    model: str,
    touches: Sequence[Touch],
    worths: Mapping[str, Fraction | float] | None,
    settings: Settings,
) -> list[Fraction]:
    """One weight, 0 or more, for each of one or more touches, which are in order."""
    number = len(touches)
    if model == "first_touch":
        return one_of(number, 0)
    if model == "last_touch":
        return one_of(number, number - 1)
    if model == "last_non_direct":
        positions = [position for position, touch in enumerate(touches) if not touch.is_direct]
        return one_of(number, positions[-1] if positions else number - 1)
    if model == "linear":
        return [Fraction(1)] * number
    if model == "position_based":
        return position_weights(number, Fraction(settings.first_share), Fraction(settings.last_share))
    if model == "time_decay":
        last = touches[-1].instant
        return [decayed(last - touch.instant, Fraction(settings.half_life_days)) for touch in touches]
    if model in MODELS_BY_WORTH:
        if worths is None:
            raise ValueError(f"{model} needs worths")
        return [Fraction(worths[touch.channel]) for touch in touches]
    raise ValueError(f"model: {model}")


def one_of(number: int, chosen: int) -> list[Fraction]:
    """`number` weights: 1 at the chosen position, counted from 0, and 0 elsewhere."""
    return [Fraction(int(position == chosen)) for position in range(number)]


def position_weights(number: int, first_share: Fraction, last_share: Fraction) -> list[Fraction]:
    """`number` weights, one or more: the shares at both ends, what is left of 1 spread evenly between."""
    if number == 1:
        return [Fraction(1)]
    between = number - 2
    middle = [(1 - first_share - last_share) / between] * between if between else []
    return [first_share, *middle, last_share]


def decayed(elapsed: timedelta, half_life_days: Fraction) -> Fraction:
    """2^(−elapsed / half-life): exact for whole half-lives, where it is rational, and else to some 80 digits.

    So a credit is rounded down the right way. Shares of whole half-lives alone are rational and exact; all others are
    irrational (roots of two don't sum to one another), and none of them comes near enough to 12 digits to be misjudged.
    """
    half_lives = Fraction(elapsed // timedelta(microseconds=1), 24 * 60 * 60 * 10**6) / half_life_days
    whole, rest = divmod(half_lives, 1)
    with localcontext(prec=DECAY_DIGITS):
        root = Decimal(2) ** (Decimal(-rest.numerator) / Decimal(rest.denominator))
    return Fraction(root) / (1 << int(whole))


# Worths of a brand's channels


def removal_effects(chains: Iterable[Chain]) -> dict[str, Fraction]:
    """Channel → removal effect, 0 to 1, for every channel of a brand's chains.

    Repeats need no collapsing: a channel that leads to itself for a while leads to the same places after it.
    Without a contact among the chains there is nothing to lose, and every effect is 0.
    """
    steps = steps_of(chains)
    channels = sorted(state for state in steps if isinstance(state, str))
    probability = contact_probability(steps)
    if probability == 0:
        return {channel: Fraction(0) for channel in channels}
    return {channel: 1 - contact_probability(without(steps, channel)) / probability for channel in channels}


def steps_of(chains: Iterable[Chain]) -> Steps:
    """State → state → how often chains go from one to the other, from START to CONTACT or NOTHING."""
    steps: Steps = defaultdict(Counter)
    for chain in chains:
        states: list[State] = [START, *chain.channels, CONTACT if chain.is_contact else NOTHING]
        for here, there in pairwise(states):
            steps[here][there] += chain.count
    return dict(steps)


def without(steps: Steps, removed: str) -> Steps:
    """The same steps, except that those into `removed` go to NOTHING, and none starts from it."""
    redirected: Steps = {}
    for here, targets in steps.items():
        if here != removed:
            redirected[here] = Counter()
            for there, count in targets.items():
                redirected[here][NOTHING if there == removed else there] += count
    return redirected


def contact_probability(steps: Steps) -> Fraction:
    """The probability, 0 to 1, that a walk from START ends in CONTACT; steps are taken by their shares of counts.

    From each state it is the sum over its steps of share × the probability from there: as many equations as states.
    """
    if START not in steps:
        return Fraction(0)
    states = list(steps)
    matrix = []
    constants = []
    for here in states:
        total = sum(steps[here].values())
        matrix.append([Fraction(int(here == there)) - Fraction(steps[here][there], total) for there in states])
        constants.append(Fraction(steps[here][CONTACT], total))
    return solved(matrix, constants)[states.index(START)]


def solved(matrix: Sequence[Sequence[Fraction]], constants: Sequence[Fraction]) -> list[Fraction]:
    """The n unknowns of n independent equations, n × n coefficients and n constants, by Gaussian elimination."""
    rows = [[*coefficients, constant] for coefficients, constant in zip(matrix, constants, strict=True)]
    number = len(rows)
    for column in range(number):
        pivot = next(position for position in range(column, number) if rows[position][column] != 0)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for below in range(column + 1, number):
            factor = rows[below][column] / rows[column][column]
            if factor != 0:
                rows[below] = [value - factor * above for value, above in zip(rows[below], rows[column], strict=True)]
    unknowns = [Fraction(0)] * number
    for position in reversed(range(number)):
        known = sum(
            (rows[position][later] * unknowns[later] for later in range(position + 1, number)), start=Fraction(0)
        )
        unknowns[position] = (rows[position][number] - known) / rows[position][position]
    return unknowns


def set_rates(chains: Iterable[Chain]) -> dict[frozenset[str], Fraction]:
    """Set of channels → contacts as a share, 0 to 1, of the chains of exactly this set; no set without chains."""
    contacts: Counter[frozenset[str]] = Counter()
    all_chains: Counter[frozenset[str]] = Counter()
    for chain in chains:
        channels = frozenset(chain.channels)
        all_chains[channels] += chain.count
        contacts[channels] += chain.count * chain.is_contact
    return {channels: Fraction(contacts[channels], total) for channels, total in all_chains.items()}


def coalition_worth(coalition: Iterable[str], rates: Mapping[frozenset[str], Fraction]) -> Fraction:
    """The sum of the rates of all sets that the coalition holds; 0 or more, and above 1 if it holds several."""
    coalition = frozenset(coalition)
    return sum((rate for channels, rate in rates.items() if channels <= coalition), start=Fraction(0))


def shapley_values(chains: Iterable[Chain]) -> dict[str, Fraction]:
    """Channel → Shapley value, 0 or more, for every channel of a brand's chains; they sum to the worth of all together.

    What a channel adds to each coalition of others, which comes before it in |S|! (n − |S| − 1)! of the n! orders.
    """
    rates = set_rates(chains)
    channels = sorted(frozenset().union(*rates))
    number = len(channels)
    if number > MOST_COALITION_CHANNELS:
        raise ValueError(f"{number} channels are too many to try all coalitions of")
    coalition_worths = {
        frozenset(coalition): coalition_worth(coalition, rates)
        for size in range(number + 1)
        for coalition in combinations(channels, size)
    }
    worths = dict.fromkeys(channels, Fraction(0))
    for coalition, worth in coalition_worths.items():
        for channel in coalition:
            before = coalition - {channel}
            orders = factorial(len(before)) * factorial(number - len(before) - 1)
            worths[channel] += Fraction(orders, factorial(number)) * (worth - coalition_worths[before])
    return worths


# All of several brands


def chains_of_brands(
    contacts: Iterable[Contact], other_chains: Mapping[str, Iterable[Sequence[str]]]
) -> dict[str, list[Chain]]:
    """Brand → its chains: those of contacts with touches, and the others (brand → lists of channels, in order)."""
    counts: Counter[tuple[str, tuple[str, ...], bool]] = Counter()
    for contact in contacts:
        if contact.touches:
            counts[contact.brand, tuple(touch.channel for touch in contact.ordered_touches), True] += 1
    for brand, chains in other_chains.items():
        for channels in chains:
            counts[brand, tuple(channels), False] += 1
    chains_by_brand: dict[str, list[Chain]] = defaultdict(list)
    for (brand, channels, is_contact), count in counts.items():
        chains_by_brand[brand].append(Chain(channels, is_contact, count))
    return dict(chains_by_brand)


def worths_of_brands(
    model: str, contacts: Iterable[Contact], other_chains: Mapping[str, Iterable[Sequence[str]]]
) -> dict[str, dict[str, Fraction]]:
    """Brand → channel → worth, by one of MODELS_BY_WORTH."""
    worths_of = {"markov": removal_effects, "shapley": shapley_values}[model]
    return {brand: worths_of(chains) for brand, chains in chains_of_brands(contacts, other_chains).items()}


def all_credits(
    model: str,
    contacts: Sequence[Contact],
    other_chains: Mapping[str, Iterable[Sequence[str]]] | None = None,
    settings: Settings | None = None,
) -> dict[str, list[Credit]]:
    """contact_id → its credits, with worths out of all these contacts and chains where the model goes by worth."""
    worths = worths_of_brands(model, contacts, other_chains or {}) if model in MODELS_BY_WORTH else {}
    return {contact.contact_id: credits(model, contact, worths.get(contact.brand), settings) for contact in contacts}
