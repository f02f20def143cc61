"""The marts of what channels contributed once more, in plain Python: the part of the reference that attributes.

Contacts come with what counts for them and clients with what they did; credits are those of attribution_oracle. Some
numbers come out of fractions that no database keeps and are compared within TOLERANCES: see `as_given`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import groupby, zip_longest
from statistics import median
from typing import TYPE_CHECKING, Any

import attribution_oracle as oracle
import numpy

if TYPE_CHECKING:
    from reference import Client, MartRow, Marts, Settings, Touch

Worths = Mapping[str, Mapping[str, Fraction]]  # brand → channel → worth

# Of what is weighed by roots and inverses, or divided, what the marts round: mart → its key, and how far columns may be off,
# in ones or, of what is larger than one, as a share of it.
TOLERANCES: dict[str, tuple[tuple[str, ...], dict[str, Fraction]]] = {
    "channel_worths": (("brand_id", "channel"), {"markov": Fraction(1, 10**9)}),
    # Credits of weights that are rounded to the twelfth decimal: some such parts for each of the latest 200 touches.
    "touch_credits": (("contact_id", "touch_rank"), {"time_decay": Fraction(1, 10**9)}),
    "channel_performance": (
        ("performance_date", "channel", "campaign", "model"),
        dict.fromkeys(("cost_per_contact", "return_on_spend"), Fraction(1, 10**12)),
    ),
}
CUT = "…"
OF_CONTACTS = ("contact_id", "contact_date", "contact_type", "widget_id", "brand_id", "is_multichannel", "value")
OF_TOUCHES = {
    **{column: column for column in ("touch_id", "touched_at", "channel", "source", "medium")},
    **{"campaign": "utm_campaign", "utm_term": "utm_term"},
    **{column: column for column in ("channel_told_by", "channel_rule_order")},
}


@dataclass(frozen=True)
class LedContact:
    """A contact's row of the journal, and all touches that count for it, oldest first."""

    row: MartRow
    touches: Sequence[Touch]

    def kept(self, settings: Settings) -> Sequence[Touch]:
        return self.touches[-settings.history_touch_limit :]


def attribution_marts(
    contacts: Sequence[LedContact], clients: Iterable[Client], settings: Settings, given_effects: Worths | None = None
) -> dict[str, list[MartRow]]:
    """The rows by mart. Credits go by these worths for Markov's model; by default, by those worked out here."""
    chains: dict[str, list[oracle.Chain]] = defaultdict(list)
    for contact in contacts:
        if contact.touches:
            channels = tuple(touch.channel for touch in contact.kept(settings))
            chains[contact.row["brand_id"]].append(oracle.Chain(channels, is_contact=True))
    for client in clients:
        touches = touches_without_contact(client, settings)
        if touches:
            channels = tuple(touch.channel for touch in touches)
            chains[touches[0].brand_id].append(oracle.Chain(channels, is_contact=False))
    worths = {
        model: {brand: worths_of(of_brand) for brand, of_brand in chains.items()}
        for model, worths_of in (("markov", removal_effects), ("shapley", shared_rates))
    }
    used_worths = worths if given_effects is None else {**worths, "markov": given_effects}
    return {
        "touch_chains": touch_chains(contacts, settings),
        "channel_steps": channel_steps(contacts, settings),
        "channel_participation": channel_participation(contacts, settings),
        "channel_worths": [
            {
                "brand_id": brand,
                "channel": channel,
                "markov": as_decimal(worths["markov"][brand][channel]),
                "shapley": as_decimal(worths["shapley"][brand][channel]),
            }
            for brand in sorted(chains)
            for channel in sorted(worths["shapley"][brand])
        ],
        "touch_credits": touch_credits(contacts, used_worths, settings),
    }


def touches_without_contact(client: Client, settings: Settings) -> Sequence[Touch]:
    """What the latest contact isn't made of any more, or all that was done by somebody known who never made contact.

    Neither the look-back nor the scope of histories says anything about it: there is no contact to look back from.
    """
    if not any(touch.identifiers for touch in client.touches):
        return []
    touches = [touch for touch in client.touches if settings.count_direct_touches or not touch.is_direct]
    if client.contacts:
        end = client.contacts[-1].contacted_at + timedelta(seconds=settings.contact_grace_seconds)
        touches = [touch for touch in touches if touch.touched_at >= end]
    return touches[-settings.history_touch_limit :]


# Chains: R23


def chain_forms(touches: Sequence[Touch], limit: int) -> dict[str, str | None]:
    """The chain by the value of `chain_form`; none without touches."""
    channels = [touch.channel for touch in touches[-limit:]]
    forms = {
        "as_is": channels,
        "collapsed": [channel for channel, _ in groupby(channels)],
        "unique": list(dict.fromkeys(channels)),
    }
    is_cut = len(touches) > limit
    return {form: " > ".join([CUT, *chain] if is_cut else chain) if touches else None for form, chain in forms.items()}


def touch_chains(contacts: Iterable[LedContact], settings: Settings) -> list[MartRow]:
    groups: dict[tuple[Any, ...], list[tuple[LedContact, dict[str, Any]]]] = defaultdict(list)
    for contact in contacts:
        if contact.touches:
            forms = chain_forms(contact.touches, settings.history_touch_limit)
            key = (contact.row["widget_id"], contact.row["contact_date"], forms[settings.chain_form])
            groups[key].append((contact, forms))
    rows = []
    for (widget_id, contact_date, chain), members in sorted(groups.items(), key=lambda group: group[0]):
        seconds = [
            Fraction((contact.row["contacted_at"] - contact.touches[0].touched_at) // timedelta(microseconds=1), 10**6)
            for contact, _ in members
        ]
        rows.append(
            {
                "widget_id": widget_id,
                "contact_date": contact_date,
                "chain": chain,
                # A chain of different channels has no repeats left to tell of.
                "collapsed_chain": min(
                    forms["unique" if settings.chain_form == "unique" else "collapsed"] for _, forms in members
                ),
                "unique_chain": min(forms["unique"] for _, forms in members),
                "contact_count": len(members),
                "multichannel_contact_count": sum(contact.row["is_multichannel"] for contact, _ in members),
                "touch_count": sum(len(contact.touches) for contact, _ in members),
                "median_seconds_to_contact": rounded_half_away(Fraction(median(seconds))),
            }
        )
    return rows


def rounded_half_away(number: Fraction) -> int:
    whole = int(abs(number) + Fraction(1, 2))
    return whole if number >= 0 else -whole


def channel_steps(contacts: Iterable[LedContact], settings: Settings) -> list[MartRow]:
    """What follows each channel of the collapsed chains; the contact, where nothing does."""
    steps: Counter[tuple[Any, ...]] = Counter()
    multichannel_steps: Counter[tuple[Any, ...]] = Counter()
    for contact in contacts:
        channels = [channel for channel, _ in groupby(touch.channel for touch in contact.kept(settings))]
        for step in zip_longest(channels, channels[1:]):
            key = (contact.row["widget_id"], contact.row["contact_date"], *step)
            steps[key] += 1
            multichannel_steps[key] += contact.row["is_multichannel"]
    return [
        {
            **dict(zip(("widget_id", "contact_date", "channel", "next_channel"), key, strict=True)),
            "step_count": count,
            "multichannel_step_count": multichannel_steps[key],
        }
        for key, count in steps.items()
    ]


# Participation: R24


def channel_participation(contacts: Iterable[LedContact], settings: Settings) -> list[MartRow]:
    counts: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for contact in contacts:
        for key, parts in contact_parts(contact, settings).items():
            names = ["contact", *parts]
            if contact.row["is_multichannel"]:
                names += [f"multichannel_{name}" for name in names]
            if contact.row["channel_count"] == 1:
                names.append("alone")
            counts[contact.row["widget_id"], contact.row["contact_date"], *key].update(names)
    return [
        {
            "grain": grain,
            "widget_id": widget_id,
            "contact_date": contact_date,
            "channel": channel,
            "source": source,
            "medium": medium,
            "campaign": campaign,
            **{
                f"{name}_count": count[name]
                for name in (
                    *("contact", "opened", "assisted", "closed", "alone"),
                    *(f"multichannel_{name}" for name in ("contact", "opened", "assisted", "closed")),
                )
            },
        }
        for (widget_id, contact_date, grain, channel, source, medium, campaign), count in counts.items()
    ]


def contact_parts(contact: LedContact, settings: Settings) -> dict[tuple[Any, ...], set[str]]:
    """The parts that were taken in a contact, by grain, channel, source, medium and campaign.

    Of campaigns, those of touches that histories keep; what a channel did by other touches only, it did by none of them.
    """
    parts: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    last = len(contact.touches) - 1
    first_kept = len(contact.touches) - len(contact.kept(settings))
    of_kept_touches: dict[str, set[str]] = defaultdict(set)
    for position in range(last, -1, -1):  # so that kept touches come first
        touch = contact.touches[position]
        taken = {
            name
            for name, is_taken in (
                ("opened", position == 0),
                ("closed", position == last),
                ("assisted", 0 < position < last),
            )
            if is_taken
        }
        parts["channel", touch.channel, None, None, None] |= taken
        if position >= first_kept:
            columns = touch.history_columns
            key = ("campaign", touch.channel, columns["source"], columns["medium"], columns["utm_campaign"])
            parts[key] |= taken
            of_kept_touches[touch.channel] |= taken
        elif taken - of_kept_touches[touch.channel]:
            parts["campaign", touch.channel, None, None, None] |= taken
    return parts


# Worths of channels


def removal_effects(chains: Sequence[oracle.Chain]) -> dict[str, Fraction]:
    """As the oracle's removal_effects, of many channels: by floating point, so within 10^-9 or so."""
    steps = oracle.steps_of(chains)
    channels = sorted(state for state in steps if isinstance(state, str))
    place = {channel: number for number, channel in enumerate(channels)}
    size = len(channels)
    shares = numpy.zeros((size + 1, size + 1))  # the last row is the start's, the last column the contact's
    for here, targets in steps.items():
        total = sum(targets.values())
        for there, count in targets.items():
            if there != oracle.NOTHING:
                shares[place.get(here, size), place.get(there, size)] = count / total

    def rate(kept: list[int]) -> float:
        """How often walks end in a contact if all other channels lead nowhere."""
        matrix = numpy.identity(len(kept)) - shares[numpy.ix_(kept, kept)]
        return float(shares[size, kept] @ numpy.linalg.solve(matrix, shares[kept, size]))

    everywhere = rate(list(range(size)))
    if everywhere <= 0:
        return dict.fromkeys(channels, Fraction(0))
    return {
        channel: Fraction(1 - rate([*range(number), *range(number + 1, size)]) / everywhere)
        for channel, number in place.items()
    }


def shared_rates(chains: Sequence[oracle.Chain]) -> dict[str, Fraction]:
    """As the oracle's shapley_values, of many channels: each set's rate in even shares, which are cut to 10^-12."""
    worths: dict[str, Fraction] = defaultdict(Fraction)
    for channels, rate in oracle.set_rates(chains).items():
        share = Fraction(oracle.CREDIT_UNITS * rate // len(channels), oracle.CREDIT_UNITS)
        for channel in channels:
            worths[channel] += share
    return worths


# Credits


@lru_cache(maxsize=50_000)
def credits_by_rule(contact: oracle.Contact, settings: oracle.Settings) -> dict[str, list[Fraction]]:
    return {
        model: [credit.credit for credit in oracle.credits(model, contact, settings=settings)]
        for model in oracle.MODELS
        if model not in oracle.MODELS_BY_WORTH
    }


def touch_credits(contacts: Iterable[LedContact], worths: Mapping[str, Worths], settings: Settings) -> list[MartRow]:
    shares = oracle.Settings(
        first_share=Fraction(str(settings.position_based_first_share)),
        last_share=Fraction(str(settings.position_based_last_share)),
        half_life_days=Fraction(str(settings.time_decay_half_life_days)),
    )
    rows: list[MartRow] = []
    for contact in contacts:
        kept = contact.kept(settings)
        touches = tuple(
            oracle.Touch(touch.touch_id, touch.touched_at, touch.channel, touch.is_direct) for touch in kept
        )
        credited = oracle.Contact(contact.row["contact_id"], touches, contact.row["brand_id"])
        by_model = dict(credits_by_rule(credited, shares))
        for model in oracle.MODELS_BY_WORTH:
            of_brand = worths[model].get(credited.brand, {})
            own = {touch.channel: of_brand.get(touch.channel, Fraction(0)) for touch in touches}
            by_model[model] = [credit.credit for credit in oracle.credits(model, credited, own)]
        of_contact = {column: contact.row[column] for column in OF_CONTACTS}
        for position in range(max(len(kept), 1)):
            of_touch = (
                {column: kept[position].history_columns[known] for column, known in OF_TOUCHES.items()} if kept else {}
            )
            rows.append(
                {
                    **of_contact,
                    "touch_rank": len(contact.touches) - len(kept) + position + 1 if kept else None,
                    **(of_touch or {**dict.fromkeys(OF_TOUCHES), "channel": oracle.UNATTRIBUTED}),
                    **{model: as_decimal(by_model[model][position]) for model in oracle.MODELS},
                }
            )
    return rows


def channel_credits(credits: Iterable[MartRow]) -> list[MartRow]:
    """Out of rows of touch_credits."""
    groups: dict[tuple[Any, ...], list[MartRow]] = defaultdict(list)
    for row in credits:
        groups[row["widget_id"], row["contact_date"], row["channel"]].append(row)
    return [
        {
            **dict(zip(("widget_id", "contact_date", "channel"), key, strict=True)),
            "model": model,
            "contact_count": len({row["contact_id"] for row in rows}),
            "credited_contacts": as_decimal(sum((Fraction(row[model]) for row in rows), Fraction(0))),
            "credited_value": as_decimal(
                sum((Fraction(row[model]) * Fraction(row["value"] or 0) for row in rows), Fraction(0)), 14
            ),
        }
        for key, rows in groups.items()
        for model in oracle.MODELS
    ]


# Contacts, and what seeds don't know of them


def contact_counts(journal: Iterable[MartRow]) -> list[MartRow]:
    icons: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for row in journal:
        icons[row["widget_id"], row["contact_date"], row["contact_type"]][row["icon"]] += 1
    return [
        {
            **dict(zip(("widget_id", "contact_date", "contact_type"), key, strict=True)),
            "contact_count": count.total(),
            **{f"{icon}_contact_count": count[icon] for icon in ("multichannel", "single_channel", "no_touches")},
        }
        for key, count in icons.items()
    ]


def unmapped_sources(
    contacts: Iterable[LedContact], named_sites: Iterable[str], known_widgets: Iterable[str], settings: Settings
) -> list[MartRow]:
    """Contacts by what nobody has named: their site, or where some of their touches came from.

    `named_sites` are those of all touches, one for each.
    """
    known = set(known_widgets)
    touches_of_sites = Counter(site for site in named_sites if site not in known)
    concerned: dict[tuple[Any, ...], dict[str, date]] = defaultdict(dict)
    touches: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for contact in contacts:
        day, contact_id = contact.row["contact_date"], contact.row["contact_id"]
        if contact.row["widget_id"] not in known:
            concerned["site", contact.row["widget_id"], None, None][contact_id] = day
        for touch in contact.kept(settings):
            told = touch.history_columns
            pair = (told["source"], told["medium"])
            is_unknown = told["channel_told_by"] == "referring_site"
            is_half_tagged = told["channel_told_by"] == "tags" and "(not set)" in pair
            if (is_unknown or is_half_tagged) and told["channel_rule_order"] is None:
                key = ("tags" if is_half_tagged else "referring_site", None, *pair)
                concerned[key][contact_id] = day
                touches[key].add(touch.touch_id)
    for site in touches_of_sites:
        concerned.setdefault(("site", site, None, None), {})
    return [
        {
            **dict(zip(("kind", "widget_id", "source", "medium"), key, strict=True)),
            "contact_count": len(days),
            "touch_count": touches_of_sites[key[1]] if key[0] == "site" else len(touches[key]),
            "last_contact_date": max(days.values(), default=None),
        }
        for key, days in concerned.items()
    ]


# Costs and what they earned


def channel_performance(credits: Iterable[MartRow], costs: Iterable[MartRow]) -> list[MartRow]:
    """Out of rows of touch_credits and of channel_costs."""
    earning: dict[tuple[Any, ...], list[MartRow]] = defaultdict(list)
    for row in credits:
        earning[row["contact_date"], row["channel"], row["campaign"]].append(row)
    spending: dict[tuple[Any, ...], list[MartRow]] = defaultdict(list)
    for row in costs:
        spending[row["cost_date"], row["channel"], row["campaign"]].append(row)
    rows = []
    for key in {**earning, **spending}:
        earned, spent = earning.get(key, []), spending.get(key, [])
        multichannel = {row["contact_id"] for row in earned if row["is_multichannel"]}
        spend = sum((Fraction(row["amount"]) for row in spent), Fraction(0))
        for model in oracle.MODELS:
            contacts = sum((Fraction(row[model]) for row in earned), Fraction(0))
            value = sum((Fraction(row[model]) * Fraction(row["value"] or 0) for row in earned), Fraction(0))
            rows.append(
                {
                    **dict(zip(("performance_date", "channel", "campaign"), key, strict=True)),
                    "model": model,
                    "match": "matched" if earned and spent else "contacts_only" if earned else "spend_only",
                    "spend": as_decimal(spend, 2),
                    "impressions": whole_sum(row["impressions"] for row in spent),
                    "clicks": whole_sum(row["clicks"] for row in spent),
                    "contact_count": len({row["contact_id"] for row in earned}),
                    "multichannel_contact_count": len(multichannel),
                    "credited_contacts": as_decimal(contacts),
                    "credited_value": as_decimal(value, 14),
                    "cost_per_contact": float(spend / contacts) if spend and contacts else None,
                    "return_on_spend": float(value / spend) if spend else None,
                }
            )
    return rows


def whole_sum(numbers: Iterable[int | None]) -> int | None:
    """None of nothing, and of more than a database counts to."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known and sum(known) < 2**63 else None


def metric_days(journal: Iterable[MartRow], costs: Iterable[MartRow]) -> list[MartRow]:
    days = [*(row["contact_date"] for row in journal), *(row["cost_date"] for row in costs)]
    if not days:
        return []
    return [{"metric_date": min(days) + timedelta(days=number)} for number in range((max(days) - min(days)).days + 1)]


# What is compared


def as_decimal(number: Fraction, digits: int = 12) -> Decimal:
    """Written down with so many decimals: credits have no more than twelve."""
    return Decimal(f"{round(number * 10**digits)}e-{digits}")


def worths_in(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Fraction]]:
    """Markov's worths, as rows of the mart channel_worths tell them."""
    worths: dict[str, dict[str, Fraction]] = defaultdict(dict)
    for row in rows:
        worths[row["brand_id"]][row["channel"]] = Fraction(row["markov"])
    return dict(worths)


def as_given(expected: Marts, given: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Sequence[MartRow]]:
    """The expected rows of the given marts, with the given numbers where these are as near as can be asked for."""
    credits = with_near_numbers("touch_credits", expected.touch_credits, given["touch_credits"])
    expected = replace(expected, touch_credits=credits)  # out of which performance is told
    return {mart: with_near_numbers(mart, getattr(expected, mart), rows) for mart, rows in given.items()}


def with_near_numbers(
    mart: str, expected_rows: list[MartRow], given_rows: Iterable[Mapping[str, Any]]
) -> list[MartRow]:
    if mart not in TOLERANCES:
        return expected_rows
    key, tolerances = TOLERANCES[mart]
    given = {tuple(row[column] for column in key): row for row in given_rows}
    rows = []
    for row in expected_rows:
        same = given.get(tuple(row[column] for column in key), row)
        near = {
            column: same[column]
            for column, tolerance in tolerances.items()
            if are_near(same[column], row[column], tolerance)
        }
        rows.append({**row, **near})
    return rows


def are_near(one: Any, other: Any, tolerance: Fraction) -> bool:
    if one is None or other is None:
        return one is other
    return abs(Fraction(one) - Fraction(other)) <= tolerance * max(1, abs(Fraction(other)))
