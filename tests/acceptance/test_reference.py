"""The reference implementation against the worked cases and against cases small enough to see."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attribution_oracle
import pytest
from attribution_oracle import MODELS, Chain, shapley_values
from golden_marts import CHANGED_SETTINGS, LANDING, as_golden_rows, as_golden_text, read_expected
from random_deliveries import (
    FILE_FORMATS,
    example_seeds,
    random_deliveries,
    read_deliveries,
    write_delivery,
)
from reference import (
    ChannelRule,
    Delivery,
    Marts,
    Row,
    Seeds,
    Settings,
    Widget,
    channel_of,
    expected_marts,
    read_instant,
    rejection_reason,
    trimmed,
)
from reference_attribution import as_given, removal_effects, shared_rates
from reference_origins import named_source_and_medium, tags_of

GOLDEN_SEEDS = Seeds(placeholders=frozenset({"-", "нет", "undefined"}))
DAY = date(2026, 3, 1)
UNDIVIDED = (None, None, None)  # term, content and ad_id of a cost
VARIANTS = {
    "default": Settings(),
    "since_previous_contact": Settings(history_scope="since_previous_contact"),
    "lookback": Settings(lookback_days=1),
    "grace": Settings(contact_grace_seconds=60),
    "no_direct": Settings(count_direct_touches=False),
    "campaign": Settings(channel_grain="source_medium_campaign"),
    "medium": Settings(channel_grain="medium"),
    "source": Settings(channel_grain="source"),
    "short_history": Settings(history_touch_limit=2),
}


def touch(touch_id: str, touched_at: str, **values: str) -> Row:
    return {"touch_id": touch_id, "widget_id": "w1", "touched_at": touched_at} | values


def contact(contact_id: str, contacted_at: str, **values: str) -> Row:
    return {
        "contact_id": contact_id,
        "widget_id": "w1",
        "contacted_at": contacted_at,
        "contact_type": "call",
    } | values


def cost(**values: str) -> Row:
    return {"cost_date": "2026-03-01", "source": "vk", "medium": "cpc", "amount": "10", "currency": "RUB"} | values


def marts_of(
    touches: list[Row],
    contacts: list[Row],
    settings: Settings | None = None,
    seeds: Seeds | None = None,
) -> Marts:
    deliveries = [
        Delivery("touches", DAY, {"a.csv": touches}),
        Delivery("contacts", DAY, {"a.csv": contacts}),
    ]
    return expected_marts(deliveries, settings or Settings(), seeds or example_seeds())


def sorted_rows(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(rows, key=lambda row: sorted(row.items()))


# The worked cases


@pytest.mark.parametrize("name", CHANGED_SETTINGS)
def test_marts_equal_the_worked_cases(name: str) -> None:
    settings = replace(Settings(), **CHANGED_SETTINGS[name])
    marts = expected_marts(read_deliveries(LANDING), settings, GOLDEN_SEEDS)
    expected = read_expected(name)
    assert {"journal", "interaction_history"} <= set(expected)
    for mart, expected_rows in expected.items():
        found = as_golden_rows(getattr(marts, mart), list(expected_rows[0]))
        assert sorted_rows(found) == sorted_rows(expected_rows), mart


def test_worked_cases_are_all_there() -> None:
    expected = {name: set(read_expected(name)) for name in CHANGED_SETTINGS}
    assert expected["expected"] == {"journal", "client_card", "interaction_history", "rejected"}
    assert len(read_expected("expected")["journal"]) == 32


def test_values_are_written_as_in_the_worked_cases() -> None:
    instant = datetime(2026, 3, 1, 9, 0, 0, 5, tzinfo=ZoneInfo("Europe/Moscow"))
    assert as_golden_text(instant) == "2026-03-01T06:00:00.000005Z"
    assert as_golden_text(DAY) == "2026-03-01"
    assert as_golden_text([True, None, 2, "в"]) == "true||2|в"
    assert as_golden_text('{"b": 1, "a": "я"}', "attributes") == '{"a": "я", "b": 1}'
    with pytest.raises(ValueError, match="time zone"):
        as_golden_text(instant.replace(tzinfo=None))


# Arrival: R3, R25, R26, R27


@pytest.mark.parametrize("seed", range(20))
def test_r27_order_of_different_days_does_not_matter(seed: int) -> None:
    deliveries = random_deliveries(seed)
    expected = expected_marts(deliveries, Settings(), example_seeds())
    # Of one table and day, the order is kept.
    keys = [(delivery.table, delivery.load_day) for delivery in deliveries]
    random.Random(seed).shuffle(keys)
    queues = {key: [each for each in deliveries if (each.table, each.load_day) == key] for key in keys}
    assert expected_marts([queues[key].pop(0) for key in keys], Settings(), example_seeds()) == (expected)


@pytest.mark.parametrize("seed", range(20))
def test_r27_twice_or_only_the_last_accepted_delivery_make_no_difference(seed: int) -> None:
    deliveries = random_deliveries(seed)
    expected = expected_marts(deliveries, Settings(), example_seeds())
    twice = [each for delivery in deliveries for each in (delivery, delivery)]
    assert expected_marts(twice, Settings(), example_seeds()) == expected
    last = {
        (delivery.table, delivery.load_day): delivery
        for delivery in deliveries
        if delivery.files and not expected_marts([delivery], Settings(), example_seeds()).failed
    }
    rebuilt = expected_marts(last.values(), Settings(), example_seeds())
    assert replace(rebuilt, failed=expected.failed) == expected


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_deliveries_are_written_in_every_format(tmp_path: Path, file_format: str) -> None:
    first, second = random_deliveries(1)[:2]
    folder = tmp_path / first.table / first.load_day.isoformat()
    written = [write_delivery(each, tmp_path, file_format) for each in (second, first)]  # type: ignore[arg-type]
    assert sorted(written[1].files) == sorted(path.name for path in folder.iterdir())
    assert all(name.endswith(f".{file_format}") for name in written[1].files)
    assert [list(each.files.values()) for each in (written[1], written[0])] == [
        list(each.files.values()) for each in (first, second)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_written_deliveries_are_read_back(tmp_path: Path, seed: int) -> None:
    deliveries = random_deliveries(seed)
    latest = {}
    for delivery in deliveries:
        latest[delivery.table, delivery.load_day] = write_delivery(delivery, tmp_path, "csv")
    read = read_deliveries(tmp_path)
    assert len(read) == len(latest)
    expected = expected_marts(latest.values(), Settings(), example_seeds())
    assert expected_marts(read, Settings(), example_seeds()) == expected


def test_random_deliveries_are_the_same_for_the_same_seed() -> None:
    assert random_deliveries(7) == random_deliveries(7) != random_deliveries(8)


def test_random_deliveries_hold_something_of_everything() -> None:
    icons, reasons, failed, direct, dense = set(), set(), 0, 0, 0
    met, corrected, negative = 0, 0, 0
    for seed in range(60):
        deliveries = random_deliveries(seed)
        marts = expected_marts(deliveries, Settings(), example_seeds())
        spent = {(row["source"], row["medium"]) for row in marts.costs}
        met += sum((row["source"], row["medium"]) in spent for row in marts.interaction_history)
        without_corrections = [each for each in deliveries if (each.table, each.load_day.day % 2) != ("costs", 0)]
        former = expected_marts(without_corrections, Settings(), example_seeds()).costs
        amounts = {tuple(list(row.values())[:5]): row["amount"] for row in former}
        corrected += sum(
            amounts.get(tuple(list(row.values())[:5]), row["amount"]) != row["amount"] for row in marts.costs
        )
        negative += sum(row["amount"] < 0 for row in marts.costs)
        icons |= {row["icon"] for row in marts.journal}
        reasons |= {row["reason"] for row in marts.rejected}
        failed += len(marts.failed)
        dense += sum(row["contact_count"] > 3 for row in marts.client_card)
        direct += sum(row["channel"] == "(direct) / (none)" for row in marts.interaction_history)
    assert icons == {"multichannel", "single_channel", "no_touches"}
    assert reasons == {
        *("missing_touch_id", "missing_contact_id", "missing_widget_id", "missing_touched_at"),
        *("missing_contacted_at", "missing_contact_type", "unreadable_touched_at"),
        *("unreadable_contacted_at", "impossible_touched_at", "impossible_contacted_at"),
        "unknown_contact_type",
        *("missing_cost_date", "missing_source", "missing_medium", "missing_amount", "missing_currency"),
        *("unreadable_cost_date", "unreadable_amount", "unreadable_currency", "impossible_cost_date"),
        "unknown_currency",
    }
    assert failed and dense and direct
    assert met and corrected and negative


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("variant", VARIANTS)
def test_marts_agree_with_each_other(variant: str, seed: int) -> None:
    settings = VARIANTS[variant]
    marts = expected_marts(random_deliveries(seed), settings, example_seeds())
    histories: dict[str, list[Mapping[str, object]]] = {}
    for row in marts.interaction_history:
        histories.setdefault(row["contact_id"], []).append(row)
    multichannel = {row["contact_id"]: row for row in marts.journal if row["is_multichannel"]}
    assert set(histories) == set(multichannel)
    for contact_id, row in multichannel.items():
        history = histories[contact_id]
        assert len(history) == min(row["touch_count"], settings.history_touch_limit)
        chain = row["touch_chain"].removeprefix("… > ")
        assert chain == " > ".join(str(each["channel"]) for each in history)
        assert history[-1]["touch_rank"] == row["touch_count"]
        assert history[-1]["touched_at"] == row["last_touch_at"]
    assert sum(row["contact_count"] for row in marts.client_card) == len(marts.journal)
    assert len(marts.client_history) == len(marts.journal)
    touched = sum(row["touch_count"] > 0 for row in marts.journal)
    assert sum(row["contact_count"] for row in marts.touch_chains) == touched
    assert sum(row["step_count"] for row in marts.channel_steps if row["next_channel"] is None) == touched
    assert sum(row["contact_count"] for row in marts.contact_counts) == len(marts.journal)
    assert sum(row["no_touches_contact_count"] for row in marts.contact_counts) == len(marts.journal) - touched
    for grain in ("channel", "campaign"):
        rows = [row for row in marts.channel_participation if row["grain"] == grain]
        for part in ("opened", "closed"):
            assert sum(row[f"{part}_count"] for row in rows) == touched, (grain, part)
    credits: dict[str, list[Mapping[str, Decimal]]] = {}
    for row in marts.touch_credits:
        credits.setdefault(row["contact_id"], []).append(row)
    assert set(credits) == {row["contact_id"] for row in marts.journal}
    for model in MODELS:
        assert {sum(row[model] for row in rows) for rows in credits.values()} == {1}, model
        performance = [row for row in marts.channel_performance if row["model"] == model]
        assert sum(row["credited_contacts"] for row in performance) == len(marts.journal)
        by_site = [row for row in marts.channel_credits if row["model"] == model]
        assert sum(row["credited_contacts"] for row in by_site) == len(marts.journal)
        assert sum(row["credited_value"] for row in by_site) == sum(row["credited_value"] for row in performance)
        assert sum(row["spend"] for row in performance) == sum(row["amount"] for row in marts.costs)


def test_r3_newest_version_is_of_the_later_load_day_file_and_row() -> None:
    def channel_after(*deliveries: Delivery) -> object:
        contacts = Delivery("contacts", DAY, {"a.csv": [contact("c", "2026-03-01T12:00Z", visitor_id="v")]})
        return expected_marts([*deliveries, contacts], Settings(), Seeds()).journal[0]["channels"]

    def version(source: str) -> Row:
        return touch("t", "2026-03-01T11:00Z", visitor_id="v", utm_source=source, utm_medium="m")

    later_day = Delivery("touches", date(2026, 3, 2), {"a.csv": [version("later day")]})
    earlier_day = Delivery("touches", DAY, {"a.csv": [version("a1"), version("a2")], "B.csv": [version("b")] * 3})
    assert channel_after(later_day, earlier_day) == ["later day / m"]
    assert channel_after(earlier_day) == ["a2 / m"]


def test_r26_more_than_half_of_at_least_20_rows_fails_the_day() -> None:
    def delivery(good: int, bad: int) -> Delivery:
        rows = [contact(f"c{number}", "2026-03-01T12:00Z") for number in range(good)]
        rows += [contact("x", "yesterday")] * bad
        return Delivery("contacts", DAY, {"a.csv": rows})

    for good, bad, fails in ((10, 10, False), (9, 11, True), (0, 19, False), (0, 20, True)):
        marts = expected_marts([delivery(1, 0), delivery(good, bad)], Settings(), Seeds())
        assert marts.failed == ({("contacts", DAY)} if fails else set())
        assert len(marts.journal) == (1 if fails else good)
        assert len(marts.rejected) == (0 if fails else bad)
    mended = expected_marts([delivery(0, 20), delivery(1, 0)], Settings(), Seeds())
    assert mended.failed == set()
    assert len(mended.journal) == 1


@pytest.mark.parametrize(
    ("contacted_at", "reason"),
    [
        ("2026-03-03T00:00:00", None),
        ("2026-03-03T00:00:00.000001", "impossible_contacted_at"),
        ("2000-01-01T00:00:00", None),
        ("1999-12-31T23:59:59.999999", "impossible_contacted_at"),
        ("0001-01-01T00:00:00", "impossible_contacted_at"),
        ("9999-12-31T23:59:59-03:00", "impossible_contacted_at"),
        ("0000-01-01T00:00:00", "unreadable_contacted_at"),
    ],
)
def test_r25_times_that_cannot_be_true(contacted_at: str, reason: str | None) -> None:
    assert rejection_reason("contacts", DAY, contact("c", contacted_at), Settings()) == reason


def test_r25_first_reason_of_several() -> None:
    row = dict.fromkeys(("contact_id", "widget_id", "contacted_at", "contact_type"), " ")
    mended = (
        ("missing_contact_id", {"contact_id": "c"}),
        ("missing_widget_id", {"widget_id": "w1"}),
        ("missing_contacted_at", {"contacted_at": "yesterday"}),
        ("missing_contact_type", {"contact_type": "visit"}),
        ("unreadable_contacted_at", {"contacted_at": "1970-01-01T00:00Z"}),
        ("impossible_contacted_at", {"contacted_at": "2026-03-01T10:00Z"}),
        ("unknown_contact_type", {"contact_type": " CHAT "}),
    )
    for reason, mending in mended:
        assert rejection_reason("contacts", DAY, row, Settings()) == reason
        row |= mending
    assert rejection_reason("contacts", DAY, row, Settings()) is None


def test_r9_only_an_accepted_delivery_moves_the_last_loaded_day() -> None:
    tomorrow = date(2026, 3, 2)
    early = Delivery("contacts", DAY, {"a.csv": [contact("c", "2026-03-02 00:00")]})
    bad: list[Row] = [touch("", "")] * 20

    def count(*later: Delivery) -> int:
        return len(expected_marts([early, *later], Settings(), Seeds()).journal)

    assert count() == 0
    assert count(Delivery("touches", tomorrow, {})) == 0
    assert count(Delivery("touches", tomorrow, {"a.csv": bad})) == 0
    assert count(Delivery("touches", tomorrow, {"a.csv": []})) == 1


def test_r9_costs_do_not_move_the_last_loaded_day_and_wait_for_it() -> None:
    next_day = date(2026, 3, 2)
    contacts = Delivery("contacts", DAY, {"a.csv": [contact("c", "2026-03-02 00:00")]})
    costs = Delivery("costs", next_day, {"a.csv": [cost(), cost(cost_date="2026-03-02")]})
    assert expected_marts([costs], Settings(), Seeds()).costs == []
    marts = expected_marts([contacts, costs], Settings(), Seeds())
    assert (marts.journal, [row["cost_date"] for row in marts.costs]) == ([], [DAY])
    marts = expected_marts([contacts, costs, Delivery("touches", next_day, {"a.csv": []})], Settings(), Seeds())
    assert (len(marts.journal), [row["cost_date"] for row in marts.costs]) == (1, [DAY, next_day])


def test_costs_are_summed_within_the_latest_load_day_that_has_their_key() -> None:
    def rows_after(*deliveries: Delivery) -> list[tuple[object, ...]]:
        day_has_come = Delivery("touches", DAY, {"a.csv": []})
        return [
            tuple(row.values())[1:] for row in expected_marts([*deliveries, day_has_come], Settings(), Seeds()).costs
        ]

    files = {
        "a.csv": [cost(clicks="2"), cost(source=" VK ", medium="CPC", amount="-0.5")],
        "b.csv": [cost(clicks="3.0"), cost(campaign="Весна", impressions="x")],
    }
    first = Delivery("costs", DAY, files)
    assert rows_after(first) == [
        ("vk", "cpc", None, None, *UNDIVIDED, Decimal("19.50"), None, 5),
        ("vk", "cpc", "Весна", None, *UNDIVIDED, Decimal("10.00"), None, None),
    ]
    later = Delivery("costs", date(2026, 3, 2), {"a.csv": [cost(amount="1", impressions="7")]})
    newest = ("vk", "cpc", None, None, *UNDIVIDED, Decimal("1.00"), 7, None)
    assert rows_after(later, first) == [newest, ("vk", "cpc", "Весна", None, *UNDIVIDED, Decimal("10.00"), None, None)]
    assert rows_after(later, first, Delivery("costs", DAY, {"a.csv": []})) == [newest]
    parts = [cost(term="окна", amount="1"), cost(term="окна", amount="2"), cost(term="окна", ad_id="7", amount="4")]
    divided = Delivery("costs", date(2026, 3, 3), {"a.csv": parts})
    assert rows_after(later, divided) == [
        ("vk", "cpc", None, None, "окна", None, None, Decimal("3.00"), None, None),
        ("vk", "cpc", None, None, "окна", None, "7", Decimal("4.00"), None, None),
    ]


def test_r25_first_reason_of_a_cost() -> None:
    row: Row = dict.fromkeys(("cost_date", "source", "medium", "amount", "currency"), " ")
    mended = (
        ("missing_cost_date", {"cost_date": "2026-03-01 00:00"}),
        ("missing_source", {"source": "vk"}),
        ("missing_medium", {"medium": "cpc"}),
        ("missing_amount", {"amount": "1,5"}),
        ("missing_currency", {"currency": "₽"}),
        ("unreadable_cost_date", {"cost_date": "2026-03-03"}),
        ("unreadable_amount", {"amount": "-1.5"}),
        ("unreadable_currency", {"currency": "usd"}),
        ("impossible_cost_date", {"cost_date": "2026-03-02"}),
        ("unknown_currency", {"currency": "rub"}),
    )
    for reason, mending in mended:
        assert rejection_reason("costs", DAY, row, Settings()) == reason
        row = {**row, **mending}
    assert rejection_reason("costs", DAY, row, Settings()) is None
    assert rejection_reason("costs", DAY, row, Settings(report_currency="USD")) == "unknown_currency"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T10:00", datetime(2026, 3, 1, 7, tzinfo=UTC)),
        ("2026-03-01 10:00:00.1234569", datetime(2026, 3, 1, 7, 0, 0, 123456, tzinfo=UTC)),
        ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T10:00:00-0530", datetime(2026, 3, 1, 15, 30, tzinfo=UTC)),
        ("2026-03-01T10:00+05", datetime(2026, 3, 1, 5, tzinfo=UTC)),
        ("2026-03-01", None),
        ("2026-02-29T10:00", None),
        ("2026-03-01T24:00", None),
        ("2026-03-01T10:00+05:", None),
        ("2026-03-01T10:00:00 MSK", None),
    ],
)
def test_r10_times(text: str, expected: datetime | None) -> None:
    assert read_instant(text, ZoneInfo("Europe/Moscow")) == expected


# Clients: R13 to R15


def test_r13_kinds_and_brands_are_strangers() -> None:
    marts = marts_of(
        [],
        [
            contact("c1", "2026-03-01T10:00Z", visitor_id="42"),
            contact("c2", "2026-03-01T10:00Z", crm_client_id="42"),
            contact("c3", "2026-03-01T10:00Z", visitor_id="42", widget_id="w2"),  # the same brand
            contact("c4", "2026-03-01T10:00Z", visitor_id="42", widget_id="w3"),
            contact("c5", "2026-03-01T10:00Z", visitor_id="42", widget_id="elsewhere"),
        ],
    )
    assert [row["client_id"] for row in marts.journal] == [
        *("client-c1", "client-c2", "client-c1", "client-c4", "client-c5")
    ]


def test_r13_two_clients_become_one_by_a_later_row() -> None:
    contacts = [
        contact("c1", "2026-03-01T10:00Z", visitor_id="a", phone="8 (900) 123-45-67"),
        contact("c2", "2026-03-01T11:00Z", visitor_id="b", email="A@example.com"),
    ]
    tie = contact("c3", "2026-03-01T12:00Z", phone="9001234567 доб. 1", email=" a@EXAMPLE.com")
    assert len(marts_of([], contacts).client_card) == 2
    (card,) = marts_of([], [*contacts, tie]).client_card
    assert card["visitor_ids"] == ["a", "b"]
    assert card["phones"] == ["+79001234567"]
    assert card["emails"] == ["a@example.com"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"visitor_id": "Undefined"},
        {"visitor_id": "callcenter-1"},
        {"crm_client_id": "robot"},
        {"phone": "+7 900 765 43 21"},
        {"phone": "12345"},
        {"email": "TEST@example.com"},
        {"email": "no-at-sign"},
    ],
)
def test_r15_what_identifies_no_one_ties_nothing(values: dict[str, str]) -> None:
    contacts = [contact(f"c{number}", "2026-03-01T10:00Z", **values) for number in (1, 2)]
    assert len(marts_of([], contacts).client_card) == 2


# Channels: R11, R12


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"utm_source": " Google ", "utm_medium": "CPC"}, ("google", "cpc")),
        ({"utm_source": "a", "landing_page": "/?utm_source=b&utm_medium=c"}, ("a", "c")),
        ({"landing_page": "/?UTM_Source=&utm_source=%20&utm_source=x+y"}, ("x y", "(not set)")),
        ({"landing_page": "/?utm_medium=x&yclid=1"}, ("(not set)", "x")),
        ({"landing_page": "/?utm_source=a%FF+b"}, ("aя b", "(not set)")),
        ({"landing_page": "/?utm_source=a%98+b"}, ("a%98+b", "(not set)")),
        ({"landing_page": "/#utm_source=x"}, ("(direct)", "(none)")),
        ({"landing_page": "/?gclid=2&YCLID=1"}, ("yandex", "cpc")),
        ({"landing_page": "/?yclid=&gclid=2", "referrer": "https://vk.com"}, ("google", "cpc")),
        ({"referrer": "https://m.VK.com.:443/?a=b"}, ("vk", "social")),
        ({"referrer": "https://a:b@yandex.ru/search"}, ("yandex", "organic")),
        ({"referrer": "https://www.pay.yandex.ru/"}, ("(direct)", "(none)")),
        ({"referrer": "https://notyandex.ru/"}, ("notyandex.ru", "referral")),
        ({"referrer": "https://blog.okna.example/"}, ("(direct)", "(none)")),
        ({"referrer": "https://www.okna.example/"}, ("(direct)", "(none)")),
        ({"referrer": "vk.com"}, ("vk", "social")),
        (
            {
                "widget_id": "w3",
                "referrer": "https://b.shop.example",
                "landing_page": "https://WWW.shop.example:80/",
            },
            ("(direct)", "(none)"),
        ),
        ({"widget_id": "w3", "referrer": "https://shop.example"}, ("shop.example", "referral")),
        ({}, ("(direct)", "(none)")),
    ],
)
def test_r11_source_and_medium(values: dict[str, str], expected: tuple[str, str]) -> None:
    assert named_source_and_medium({"widget_id": "w1"} | values, example_seeds())[:2] == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        *(("директ", "Renamed"), ("яндекс_директ", "Renamed"), ("x.директ-2", "Renamed")),
        *(("директы", "директы / m"), ("2директ", "2директ / m"), ("директ2", "директ2 / m")),
        *(("директы директ", "Renamed"), ("дирек", "дирек / m")),
        ("директы yandex", "директы yandex / m"),
    ],
)
def test_r11_rules_match_whole_words(source: str, expected: str) -> None:
    seeds = Seeds(channel_rules=[ChannelRule("words", "Директ", "", "Renamed")])
    assert channel_of(source, "m", None, Settings(), seeds) == expected


@pytest.mark.parametrize(
    ("grain", "expected"),
    [
        ("source_medium", "s / m"),
        ("source", "s"),
        ("medium", "m"),
        ("source_medium_campaign", "s / m / Весна"),
    ],
)
def test_r11_grains(grain: str, expected: str) -> None:
    settings = Settings(channel_grain=grain)
    assert channel_of("s", "m", "Весна", settings, Seeds()) == expected
    rules = [
        ChannelRule("exact", "other", "", "Other"),
        ChannelRule("exact", "s", "m", "Renamed"),
        ChannelRule("exact", "", "", "Any"),
    ]
    assert channel_of("s", "m", "Весна", settings, Seeds(channel_rules=rules)) == "Renamed"
    assert channel_of("s", "x", "Весна", settings, Seeds(channel_rules=rules)) == "Any"


def test_r11_campaign_keeps_its_case_and_white_space_is_trimmed() -> None:
    values = trimmed({"utm_campaign": "\u00a0", "landing_page": " /?utm_campaign=%20Весна+26 "})
    assert tags_of(values, Seeds())["utm_campaign"] == "Весна 26"


def test_r12_direct_touches_can_be_left_out_but_not_of_the_card() -> None:
    touches = [
        touch("t1", "2026-03-01T08:00Z", visitor_id="v"),
        touch("t2", "2026-03-01T09:00Z", visitor_id="v", utm_source="s", utm_medium="m"),
    ]
    contacts = [contact("c", "2026-03-01T10:00Z", visitor_id="v")]
    without = marts_of(touches, contacts, Settings(count_direct_touches=False))
    assert marts_of(touches, contacts).journal[0]["icon"] == "multichannel"
    assert without.journal[0]["icon"] == "single_channel"
    assert without.client_card[0]["first_touch_at"] == datetime(2026, 3, 1, 8, tzinfo=UTC)


# What counts: R2, R7, R8


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), "a / m > b / m > c / m"),
        (Settings(contact_grace_seconds=60), "a / m > b / m > c / m > d / m"),
        (Settings(contact_grace_seconds=61), "a / m > b / m > c / m > d / m > e / m"),
        (Settings(history_scope="since_previous_contact"), "b / m > c / m"),
        (Settings(lookback_days=1), "b / m > c / m"),
        (Settings(lookback_days=1, contact_grace_seconds=1), "b / m > c / m > d / m"),
        (Settings(history_touch_limit=2), "… > b / m > c / m"),
        (Settings(history_touch_limit=3), "a / m > b / m > c / m"),
    ],
)
def test_bounds_of_what_counts(settings: Settings, expected: str) -> None:
    touches = [
        touch(source, touched_at, visitor_id="v", utm_source=source, utm_medium="m")
        for source, touched_at in (
            ("a", "2026-02-28T11:59:59.999999Z"),
            ("b", "2026-02-28T12:00:00Z"),
            ("c", "2026-03-01T11:59:59.999999Z"),
            ("d", "2026-03-01T12:00:00Z"),
            ("e", "2026-03-01T12:01:00Z"),
        )
    ]
    contacts = [
        contact("c0", "2026-02-28T12:00:00Z", visitor_id="v"),
        contact("c1", "2026-03-01T12:00:00Z", visitor_id="v"),
        contact("c2", "2026-03-01T12:00:00Z", visitor_id="v"),  # in the same instant: not earlier
    ]
    journal = marts_of(touches, contacts, settings).journal
    assert [row["touch_chain"] for row in journal[1:]] == [expected] * 2
    assert journal[1]["touch_count"] >= expected.count(" / ")


def test_r17_phone_of_the_first_call_then_of_the_first_contact() -> None:
    form = {"contact_type": "form", "visitor_id": "v", "phone": "+79001234567"}
    call = {"visitor_id": "v", "phone": "+79001234568"}
    chat = {"contact_type": "chat", "visitor_id": "v", "client_name": "Анна"}
    contacts = [
        contact("c1", "2026-03-01T08:00Z", **chat | {"client_name": " "}),
        contact("c2", "2026-03-01T09:00Z", **form),
        contact("c3", "2026-03-01T10:00Z", **chat),
    ]
    assert marts_of([], contacts).client_card[0]["phone"] == "+79001234567"
    contacts.append(contact("c4", "2026-03-01T11:00Z", **call))
    (card,) = marts_of([], contacts).client_card
    assert card["phone"] == "+79001234568"
    assert card["client_name"] == "неизвестно"


# One event, two sources: R28


def told_by(source: str, **values: str) -> dict[str, str]:
    return {"delivered_by": source, "visitor_id": "v1", **values}


def same_as(marts: Marts) -> dict[str, str]:
    return {row["id"]: row["same_as"] for row in marts.same_events}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), {"near": "best", "next": "near", "alike": "best"}),
        (Settings(same_touch_seconds=59.999999), {"alike": "best"}),
        (Settings(same_touch_seconds=None, same_visit_seconds=1799.999999), {}),
        (Settings(same_visit_seconds=None), {"near": "best", "next": "near"}),
        (Settings(source_precedence=("mango",)), {"best": "near", "near": "next", "alike": "best"}),
        (Settings(source_precedence=()), {"best": "near", "next": "near", "alike": "best"}),
    ],
)
def test_r28_touches_of_two_sources(settings: Settings, expected: dict[str, str]) -> None:
    touches = [
        touch("best", "2026-03-01T10:00:00Z", **told_by("metrica:1", utm_source="vk", utm_medium="cpc")),
        touch("near", "2026-03-01T10:01:00Z", **told_by("calltouch:1", utm_source="ok", utm_medium="cpc")),
        touch("next", "2026-03-01T10:02:00Z", **told_by("mango:1", utm_source="tg", utm_medium="cpc")),
        touch("alike", "2026-03-01T09:30:00Z", **told_by("zoom:1", utm_source="VK", utm_medium="CPC")),
        touch("other widget", "2026-03-01T10:00:00Z", **told_by("mango:1"), widget_id="w2"),
        touch("other people", "2026-03-01T10:00:00Z", **told_by("mango:1", visitor_id="v2")),
        touch("not told", "2026-03-01T10:00:00Z", visitor_id="v1"),
    ]
    contacts = [contact("c1", "2026-03-01T12:00:00Z", visitor_id="v1")]
    marts = marts_of(touches, contacts, settings)
    assert same_as(marts) == expected
    assert marts.journal[0]["touch_count"] == 6 - len(expected)
    assert marts.client_card[0]["tied_by"] == ["visitor_id v1"]


def test_r28_contacts_of_two_sources_and_a_callback_with_its_call() -> None:
    phone = {"phone": "+79001234567"}
    contacts = [
        contact("a", "2026-03-01T10:00:00Z", **told_by("mango:1", contact_type="callback", visitor_id="v1"), **phone),
        contact(
            "b", "2026-03-01T10:05:00Z", **told_by("calltouch:1", contact_type="callback", visitor_id="v2"), **phone
        ),
        contact("c", "2026-03-01T10:05:00Z", **told_by("mango:1", visitor_id="v3"), **phone),
        contact("d", "2026-03-01T10:10:00Z", **told_by("metrica:1", visitor_id="v4"), phone="+79161112233"),
        contact("e", "2026-03-01T10:10:00.000001Z", **told_by("mango:1", visitor_id="v4"), **phone),
    ]
    marts = marts_of([], contacts)
    assert same_as(marts) == {"a": "b", "c": "b"}
    assert [(row["contact_id"], row["contact_number"]) for row in marts.journal] == [("b", 1), ("d", 2), ("e", 3)]
    card = marts.client_card[0]
    assert (card["client_id"], card["phone"], card["contact_count"]) == ("client-b", "+79161112233", 3)
    assert card["visitor_ids"] == ["v1", "v2", "v3", "v4"]
    assert marts_of([], contacts, Settings(same_contact_seconds=None)).same_events == []


@pytest.mark.parametrize("seed", range(20))
def test_r28_every_client_keeps_a_contact(seed: int) -> None:
    deliveries = random_deliveries(seed, rows_per_day=20)
    apart = Settings(same_touch_seconds=None, same_visit_seconds=None, same_contact_seconds=None)
    together = Settings(same_contact_seconds=10**6)
    marts, whole = (expected_marts(deliveries, settings, example_seeds()) for settings in (together, apart))
    left_out = [row["id"] for row in marts.same_events if row["kind"] == "contact"]
    assert len(marts.client_card) == len(whole.client_card)
    assert sorted([row["contact_id"] for row in marts.journal] + left_out) == [
        row["contact_id"] for row in whole.journal
    ]
    columns = ("phones", "emails", "visitor_ids", "crm_client_ids", "tied_by")
    known, all_told = ([[card[column] for column in columns] for card in each.client_card] for each in (marts, whole))
    assert sorted(known, key=repr) == sorted(all_told, key=repr)


# Chains, participation, worths and credits: R23, R24, Attribution


def visits(visitor_id: str, *sources: str, day: int = 1) -> list[Row]:
    """One touch an hour from 6:00 on, a channel for each source."""
    return [
        touch(
            f"{visitor_id}-{day}-{number}",
            f"2026-03-{day:02}T{6 + number:02}:00Z",
            **{"visitor_id": visitor_id} | ({"utm_source": source, "utm_medium": "m"} if source != "direct" else {}),
        )
        for number, source in enumerate(sources)
    ]


@pytest.mark.parametrize(
    ("form", "limit", "expected"),
    [
        ("as_is", 9, ("a / m > a / m > b / m > a / m", "a / m > b / m > a / m", "a / m > b / m")),
        ("collapsed", 9, ("a / m > b / m > a / m", "a / m > b / m > a / m", "a / m > b / m")),
        ("unique", 9, ("a / m > b / m", "a / m > b / m", "a / m > b / m")),
        ("as_is", 2, ("… > b / m > a / m",) * 3),
        ("unique", 3, ("… > a / m > b / m",) * 3),
    ],
)
def test_r23_forms_of_a_chain(form: str, limit: int, expected: tuple[str, str, str]) -> None:
    contacts = [
        contact("c1", "2026-03-01T12:00:01Z", visitor_id="v"),
        contact("c2", "2026-03-01T12:00:02Z", visitor_id="w"),
        contact("c3", "2026-03-01T12:00:00Z", visitor_id="nobody"),
    ]
    touches = [*visits("v", "a", "a", "b", "a"), *visits("w", "a", "a", "b", "a")]
    marts = marts_of(touches, contacts, Settings(chain_form=form, history_touch_limit=limit))
    (row,) = marts.touch_chains
    assert (row["chain"], row["collapsed_chain"], row["unique_chain"]) == expected
    assert (row["contact_count"], row["multichannel_contact_count"], row["touch_count"]) == (2, 2, 8)
    assert row["median_seconds_to_contact"] == 6 * 3600 + 2  # and a half
    assert [row["touch_chain"] for row in marts.journal[2:]] == [None]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (9, {("a / m", "b / m"): (2, 2), ("b / m", "a / m"): (1, 1), ("b / m", None): (2, 1), ("a / m", None): (1, 1)}),
        # What histories don't keep is in no step; the contacts are multichannel all the same.
        (1, {("b / m", None): (2, 1), ("a / m", None): (1, 1)}),
    ],
)
def test_r23_steps_from_channel_to_channel(limit: int, expected: dict[tuple[str, str | None], tuple[int, int]]) -> None:
    contacts = [
        contact("c1", "2026-03-01T12:00Z", visitor_id="v"),
        contact("c2", "2026-03-01T12:00Z", visitor_id="w"),
        contact("c3", "2026-03-01T12:00Z", visitor_id="x"),
        contact("c4", "2026-03-01T12:00Z", visitor_id="nobody"),
    ]
    touches = [*visits("v", "a", "a", "b", "a"), *visits("w", "b"), *visits("x", "a", "b")]
    marts = marts_of(touches, contacts, Settings(history_touch_limit=limit))
    steps = {
        (row["channel"], row["next_channel"]): (row["step_count"], row["multichannel_step_count"])
        for row in marts.channel_steps
    }
    assert steps == expected


def test_what_seeds_do_not_know() -> None:
    seeds = Seeds(
        widgets={"w1": Widget("Okna", "okna")}, channel_rules=[ChannelRule("exact", "named.example", "", "Ours", 1)]
    )
    from_elsewhere = {"referrer": "https://forum.example/"}
    touches = [
        touch("t1", "2026-03-01T06:00Z", visitor_id="v", **from_elsewhere),
        touch("t2", "2026-03-01T07:00Z", visitor_id="v", referrer="https://named.example/"),
        touch("t3", "2026-03-01T08:00Z", visitor_id="v", utm_source="x"),
        touch("t4", "2026-03-01T09:00Z", visitor_id="v", utm_source="x", utm_medium="y"),
        touch("t5", "2026-03-01T10:00Z", visitor_id="nobody", **from_elsewhere),
        touch("t6", "2026-03-01T11:00Z", visitor_id="w", widget_id="w2", **from_elsewhere),
    ]
    contacts = [
        contact("c1", "2026-03-01T12:00Z", visitor_id="v"),
        contact("c2", "2026-03-01T12:01Z", visitor_id="v"),
        contact("c3", "2026-03-01T12:02Z", visitor_id="w", widget_id="w2"),
    ]
    marts = marts_of(touches, contacts, seeds=seeds)
    assert sorted([tuple(row.values()) for row in marts.unmapped_sources], key=repr) == [
        ("referring_site", None, "forum.example", "referral", 3, 2, DAY),
        ("site", "w2", None, None, 1, 1, DAY),
        ("tags", None, "x", "(not set)", 2, 1, DAY),
    ]
    kept = marts_of(touches, contacts, Settings(history_touch_limit=2), seeds)
    assert {row["kind"]: row["contact_count"] for row in kept.unmapped_sources} == {
        "referring_site": 1,
        "site": 1,
        "tags": 2,
    }


def test_r24_parts_of_channels_and_of_campaigns_within_them() -> None:
    touches = visits("v", "a", "b", "a", "b", "c", "a")
    touches[2] = {**touches[2], "utm_campaign": "x"}

    def parts(grain: str, limit: int = 9) -> dict[tuple[object, ...], str]:
        contacts = [contact("c", "2026-03-01T12:00Z", visitor_id="v")]
        marts = marts_of(touches, contacts, Settings(history_touch_limit=limit))
        names = ("opened", "assisted", "closed", "alone")
        return {
            (row["channel"], row["source"], row["campaign"]): " ".join(name for name in names if row[f"{name}_count"])
            for row in marts.channel_participation
            if row["grain"] == grain and row["contact_count"] == row["multichannel_contact_count"] == 1
        }

    of_channels = {
        ("a / m", None, None): "opened assisted closed",
        ("b / m", None, None): "assisted",
        ("c / m", None, None): "assisted",
    }
    assert parts("channel") == parts("channel", limit=2) == of_channels
    assert parts("campaign") == {
        ("a / m", "a", None): "opened closed",
        ("a / m", "a", "x"): "assisted",
        ("b / m", "b", None): "assisted",
        ("c / m", "c", None): "assisted",
    }
    # What was taken by touches that aren't kept, and by none that are: nobody knows by which campaign.
    assert parts("campaign", limit=3) == {
        ("a / m", None, None): "opened assisted",
        ("a / m", "a", None): "closed",
        ("b / m", "b", None): "assisted",
        ("c / m", "c", None): "assisted",
    }


def test_a_channel_that_is_alone_took_part_alone() -> None:
    marts = marts_of(visits("v", "a", "a"), [contact("c", "2026-03-01T12:00Z", visitor_id="v")])
    counts = [
        (row["grain"], row["alone_count"], row["opened_count"], row["closed_count"], row["multichannel_contact_count"])
        for row in marts.channel_participation
    ]
    assert sorted(counts) == [("campaign", 1, 1, 1, 0), ("channel", 1, 1, 1, 0)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # Sets of the chains: a|b (contact), b|c (later), d|direct (never called).
        (Settings(), {"a / m": "0.5", "b / m": "0.5", "c / m": "0", "d / m": "0", "(direct) / (none)": "0"}),
        (Settings(count_direct_touches=False), {"a / m": "0.5", "b / m": "0.5", "c / m": "0", "d / m": "0"}),
        # What led to no contact isn't looked back from.
        (Settings(lookback_days=0.05), {"b / m": "0", "c / m": "0", "d / m": "0", "(direct) / (none)": "0"}),
        # A touch within the grace counts for the contact, and leads to it.
        (
            Settings(contact_grace_seconds=24 * 3600),
            {"a / m": "0.333333333333", "b / m": "0.333333333333", "c / m": "0.333333333333"}
            | {"d / m": "0", "(direct) / (none)": "0"},
        ),
        (Settings(history_touch_limit=1), {"b / m": "1", "c / m": "0", "(direct) / (none)": "0"}),
    ],
)
def test_chains_that_led_to_no_contact(settings: Settings, expected: dict[str, str]) -> None:
    touches = [
        *visits("v", "a", "b"),
        *[{**row, "touch_id": f"later-{row['touch_id']}", "touched_at": f"2026-03-01T{hour}:00Z"}
          for row, hour in zip(visits("v", "b", "c"), (12, 13), strict=True)],
        *visits("prospect", "d", "direct"),
        {**visits("nobody", "e")[0], "visitor_id": "undefined"},
        *visits("tomorrow", "f", day=2),
    ]  # fmt: skip
    marts = marts_of(touches, [contact("c", "2026-03-01T12:00Z", visitor_id="v")], settings)
    assert {row["channel"]: row["shapley"] for row in marts.channel_worths} == {
        channel: Decimal(worth) for channel, worth in expected.items()
    }


@pytest.mark.parametrize("seed", range(20))
def test_worths_are_the_oracles(seed: int) -> None:
    chance = random.Random(seed)
    chains = [
        Chain(tuple(chance.choice("ABCDEF") for _ in range(chance.randint(1, 8))), chance.random() < 0.3)
        for _ in range(chance.choice((1, 3, 40)))
    ]
    effects, expected = removal_effects(chains), attribution_oracle.removal_effects(chains)
    assert set(effects) == set(expected)
    assert max(abs(effects[channel] - expected[channel]) for channel in expected) < Fraction(1, 10**12)
    shares, expected = shared_rates(chains), shapley_values(chains)
    assert set(shares) == set(expected)
    assert all(0 <= expected[channel] - shares[channel] < Fraction(len(chains), 10**12) for channel in expected)


def test_credits_of_kept_touches_and_of_none() -> None:
    contacts = [
        contact("c1", "2026-03-01T12:00Z", visitor_id="v", value="10"),
        contact("c2", "2026-03-01T12:00Z", visitor_id="nobody", value="5"),
    ]
    settings = Settings(
        history_touch_limit=3,
        position_based_first_share=0.5,
        position_based_last_share=0.3,
        time_decay_half_life_days=1 / 24,
    )
    marts = marts_of(visits("v", "z", "a", "b", "direct"), contacts, settings)
    rows = [row for row in marts.touch_credits if row["contact_id"] == "c1"]
    assert [(row["touch_rank"], row["channel"]) for row in rows] == [
        (2, "a / m"),
        (3, "b / m"),
        (4, "(direct) / (none)"),
    ]

    def credits(model: str) -> list[str]:
        return [str(row[model].normalize()) for row in rows]

    assert credits("first_touch") == ["1", "0", "0"]
    assert credits("last_touch") == ["0", "0", "1"]
    assert credits("last_non_direct") == ["0", "1", "0"]
    assert credits("linear") == ["0.333333333333", "0.333333333333", "0.333333333334"]
    assert credits("position_based") == ["0.5", "0.2", "0.3"]
    assert credits("time_decay") == ["0.142857142857", "0.285714285714", "0.571428571429"]
    # One chain, that no channel can be taken out of.
    assert credits("markov") == credits("shapley") == credits("linear")
    (row,) = (row for row in marts.touch_credits if row["contact_id"] == "c2")
    assert (row["touch_rank"], row["touch_id"], row["channel"], row["source"]) == (None, None, "(unattributed)", None)
    assert {row[model] for model in MODELS} == {1}


def test_credits_go_by_given_worths() -> None:
    deliveries = [
        Delivery("touches", DAY, {"a.csv": visits("v", "a", "b")}),
        Delivery("contacts", DAY, {"a.csv": [contact("c", "2026-03-01T12:00Z", visitor_id="v")]}),
    ]
    worths = {"okna": {"a / m": Fraction(1), "b / m": Fraction(3)}}
    marts = expected_marts(deliveries, Settings(), example_seeds(), worths)
    assert [row["markov"] for row in marts.touch_credits] == [Decimal("0.25"), Decimal("0.75")]
    assert {row["markov"] for row in marts.channel_worths} == {1}


def test_performance_tells_what_was_spent_and_earned() -> None:
    contacts = [contact("c", "2026-03-01T12:00Z", visitor_id="v", value="10.01")]
    costs = [cost(source="a", medium="m", clicks="2"), cost(source="z", medium="m", amount="3", clicks=str(2**63 - 1))]
    deliveries = [
        Delivery("touches", DAY, {"a.csv": visits("v", "a", "b")}),
        Delivery("contacts", DAY, {"a.csv": contacts}),
        Delivery(
            "costs", DAY, {"a.csv": [*costs, cost(source="z", medium="m", widget_id="w2", amount="1", clicks="1")]}
        ),
    ]
    marts = expected_marts(deliveries, Settings(), example_seeds())
    rows = {row["channel"]: row for row in marts.channel_performance if row["model"] == "linear"}
    told = {
        channel: (row["match"], row["spend"], row["clicks"], row["credited_value"], row["cost_per_contact"])
        for channel, row in rows.items()
    }
    assert told == {
        "a / m": ("matched", 10, 2, Decimal("5.005"), 20.0),
        "b / m": ("contacts_only", 0, None, Decimal("5.005"), None),
        "z / m": ("spend_only", 4, None, 0, None),  # more clicks than a number holds
    }
    assert [rows[channel]["return_on_spend"] for channel in told] == [0.5005, None, 0.0]
    assert marts.metric_days == [{"metric_date": DAY}]


def test_numbers_that_are_near_are_taken_as_given_and_others_are_not() -> None:
    marts = marts_of(visits("v", "a", "b"), [contact("c", "2026-03-01T12:00Z", visitor_id="v")])
    given: dict[str, list[dict[str, Any]]] = {
        mart: [dict(row) for row in getattr(marts, mart)]
        for mart in ("journal", "touch_credits", "channel_worths", "channel_performance")
    }
    given["channel_worths"][0]["markov"] -= Decimal("1e-10")
    given["touch_credits"][0]["time_decay"] += Decimal("1e-11")
    given["touch_credits"][1]["linear"] += Decimal("1e-12")
    given["touch_credits"][1]["time_decay"] += Decimal("1e-8")
    given["journal"][0]["touch_count"] += 1
    expected = as_given(marts, given)
    assert expected["channel_worths"] == given["channel_worths"]
    assert expected["touch_credits"][0] == given["touch_credits"][0]
    assert expected["touch_credits"][1] == marts.touch_credits[1]
    assert expected["journal"] == marts.journal
    # Which is told out of the credits that were taken.
    earned = {row["channel"]: row for row in expected["channel_performance"] if row["model"] == "time_decay"}
    assert earned["a / m"]["credited_contacts"] == given["touch_credits"][0]["time_decay"]


# Why


def test_each_touch_of_the_client_counts_or_says_why_not() -> None:
    touches = visits("v", "a", "direct", "b", "direct", "a", "direct")  # 6:00 to 11:00
    contacts = [contact("c1", "2026-03-01T07:00Z", visitor_id="v"), contact("c2", "2026-03-01T10:00Z", visitor_id="v")]

    def why(**changed: Any) -> list[tuple[object, ...]]:
        columns = ("touch_count", "later_touch_count", "earlier_touch_count", "left_out_direct_count")
        return [
            tuple(row[column] for column in (*columns, "not_multichannel_reason"))
            for row in marts_of(touches, contacts, Settings(**changed)).journal
        ]

    assert why() == [(1, 5, 0, 0, "one_touch"), (4, 2, 0, 0, None)]
    assert why(lookback_days=2.5 / 24) == [(1, 5, 0, 0, "one_touch"), (2, 2, 2, 0, None)]
    assert why(history_scope="since_previous_contact") == [(1, 5, 0, 0, "one_touch"), (3, 2, 1, 0, None)]
    assert why(count_direct_touches=False, history_scope="since_previous_contact") == [
        (1, 5, 0, 0, "one_touch"),
        (1, 2, 1, 2, "one_touch"),
    ]
    assert marts_of(visits("v", "a", "a"), contacts[1:]).journal[0]["not_multichannel_reason"] == "one_channel"
    assert marts_of([], contacts[1:]).journal[0]["not_multichannel_reason"] == "no_touches"


def test_r13_what_several_rows_carry_tied_them() -> None:
    touches = [touch("t1", "2026-03-01T08:00Z", visitor_id="v", yandex_client_id="y")]
    contacts = [
        contact("c1", "2026-03-01T10:00Z", visitor_id="v", phone="8 900 123-45-67", crm_client_id="robot"),
        contact("c2", "2026-03-01T11:00Z", phone="+79001234567", email="a@example.com", crm_client_id="robot"),
        contact("c3", "2026-03-01T11:00Z", crm_client_id="42"),
    ]
    cards = marts_of(touches, contacts).client_card
    assert [card["tied_by"] for card in cards] == [["phone +79001234567", "visitor_id v"], None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"utm_medium": "email"}, ("tags", 4)),
        ({"landing_page": "/?yclid=1"}, ("click_id", None)),
        ({"referrer": "https://yandex.ru/"}, ("search_engine", None)),
        ({"referrer": "https://vk.com/"}, ("social_network", None)),
        ({"referrer": "https://elsewhere.example/"}, ("referring_site", None)),
        ({"referrer": "https://pay.yandex.ru/"}, ("direct", None)),
        ({}, ("direct", None)),
    ],
)
def test_r11_what_named_the_channel(values: dict[str, str], expected: tuple[str, int | None]) -> None:
    seeds = replace(
        example_seeds(),
        channel_rules=[
            replace(rule, rule_order=number) for number, rule in enumerate(example_seeds().channel_rules, start=1)
        ],
    )
    contacts = [contact("c", "2026-03-01T12:00Z", visitor_id="v")]
    touches = [touch("t", "2026-03-01T11:00Z", visitor_id="v", **values)]
    (row,) = marts_of(touches, contacts, seeds=seeds).touch_credits
    assert (row["channel_told_by"], row["channel_rule_order"]) == expected
