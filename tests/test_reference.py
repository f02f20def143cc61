"""The reference implementation against the worked cases and against cases small enough to see."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
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
    channel_of,
    expected_marts,
    read_instant,
    rejection_reason,
    source_and_medium,
    tag_of,
    trimmed,
)

GOLDEN_SEEDS = Seeds(placeholders=frozenset({"-", "нет", "undefined"}))
DAY = date(2026, 3, 1)
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
        ("vk", "cpc", None, None, Decimal("19.50"), None, 5),
        ("vk", "cpc", "Весна", None, Decimal("10.00"), None, None),
    ]
    later = Delivery("costs", date(2026, 3, 2), {"a.csv": [cost(amount="1", impressions="7")]})
    newest = ("vk", "cpc", None, None, Decimal("1.00"), 7, None)
    assert rows_after(later, first) == [newest, ("vk", "cpc", "Весна", None, Decimal("10.00"), None, None)]
    assert rows_after(later, first, Delivery("costs", DAY, {"a.csv": []})) == [newest]


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
        ({"landing_page": "/?utm_source=a%FF+b"}, ("a%ff+b", "(not set)")),
        ({"landing_page": "/#utm_source=x"}, ("(direct)", "(none)")),
        ({"landing_page": "/?gclid=2&YCLID=1"}, ("yandex", "cpc")),
        ({"landing_page": "/?yclid=&gclid=2", "referrer": "https://vk.com"}, ("google", "cpc")),
        ({"referrer": "https://m.VK.com.:443/?a=b"}, ("vk", "social")),
        ({"referrer": "https://a:b@yandex.ru/search"}, ("yandex", "organic")),
        ({"referrer": "https://www.pay.yandex.ru/"}, ("(direct)", "(none)")),
        ({"referrer": "https://notyandex.ru/"}, ("notyandex.ru", "referral")),
        ({"referrer": "https://blog.okna.example/"}, ("(direct)", "(none)")),
        ({"referrer": "https://www.okna.example/"}, ("(direct)", "(none)")),
        ({"referrer": "vk.com"}, ("(direct)", "(none)")),
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
    assert source_and_medium({"widget_id": "w1"} | values, example_seeds()) == expected


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
    assert tag_of(values, "utm_campaign") == "Весна 26"


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
