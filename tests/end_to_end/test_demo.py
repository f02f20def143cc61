"""The demo's deliveries: the same every time, of the size asked for, and with every habit in them.

What they hold is judged by reading the files back, as the project itself will have to.
"""

import csv
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import phonenumbers
import pytest

from demo.deliveries import DemoSummary, write_demo

LAST_DAY = date(2026, 11, 20)
DAYS = 21
TOUCHES = 20_000
REPOSITORY = Path(__file__).resolve().parents[2]

READ_BACK = """
    create table delivered_{table} as
    select
        * exclude (filename),
        try_cast({instant} as timestamptz) as happened_at,
        regexp_extract(filename, '([0-9-]{{10}})/[^/]*$', 1)::date as load_day,
    from read_csv(
        '{landing}/{table}/*/*.csv',
        -- Told, for a file of a line or two is too short to guess from.
        header = true,
        delim = ',',
        quote = '"',
        escape = '"',
        all_varchar = true,
        filename = true,
        -- Lines cut short; the tests look for those themselves.
        ignore_errors = true
    );

    create table {table} as
    select *
    from delivered_{table}
    where
        {key} is not null
        and widget_id is not null
        and happened_at >= timestamptz '2000-01-01 00:00:00Z'
        and {key} not like '%x'
    qualify row_number() over (partition by {key} order by load_day desc) = 1;
"""


class Demo:
    """A demo on disk, what was said of it, and a connection with its rows."""

    def __init__(self, landing: Path, summary: DemoSummary) -> None:
        self.landing = landing
        self.summary = summary
        self.connection = duckdb.connect()
        self.connection.execute("set TimeZone = 'Europe/Moscow'")
        for table, key, instant in (
            ("touches", "touch_id", "touched_at"),
            ("contacts", "contact_id", "contacted_at"),
        ):
            self.connection.execute(READ_BACK.format(table=table, key=key, instant=instant, landing=landing))
        self.connection.execute(
            f"""
            create table costs as
            select * exclude (filename), regexp_extract(filename, '([0-9-]{{10}})/[^/]*$', 1)::date as load_day
            from read_csv('{landing}/costs/*/*.csv', header = true, all_varchar = true, filename = true)
            """
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def value(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def count(self, table: str, condition: str) -> int:
        count: int = self.value(f"select count(*) from {table} where {condition}")
        return count


def contents(landing: Path) -> dict[str, bytes]:
    return {str(path.relative_to(landing)): path.read_bytes() for path in sorted(landing.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    landing = tmp_path_factory.mktemp("demo")
    summary = write_demo(landing, days=DAYS, touches=TOUCHES, seed=1, last_day=LAST_DAY)
    written = Demo(landing, summary)
    yield written
    written.connection.close()


# Same arguments, same bytes -----------------------------------------------------------------------


def test_the_same_arguments_give_the_same_bytes_on_any_number_of_threads(tmp_path: Path) -> None:
    # Enough touches a day for DuckDB to share them out between threads.
    for threads in (1, 4):
        write_demo(tmp_path / str(threads), 2, 260_000, 7, LAST_DAY, threads=threads)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")


def test_writing_again_replaces_the_files_and_changes_nothing(tmp_path: Path) -> None:
    write_demo(tmp_path, 2, 500, 7, LAST_DAY)
    before = contents(tmp_path)
    write_demo(tmp_path, 2, 500, 7, LAST_DAY)
    assert contents(tmp_path) == before


def test_another_seed_gives_other_data(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_demo(tmp_path / str(seed), 2, 2_000, seed, LAST_DAY)
    one, two = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert one.keys() == two.keys()
    for name in one:
        common = set(one[name].splitlines()[1:]) & set(two[name].splitlines()[1:])
        # The one fee that is the same every day.
        assert not [line for line in common if b"-cut," not in line and b"2gis,maps" not in line], name


def test_the_last_day_is_yesterday_in_moscow_unless_given(tmp_path: Path) -> None:
    before = datetime.now(ZoneInfo("Europe/Moscow")).date()
    summary = write_demo(tmp_path, days=2, touches=50)
    after = datetime.now(ZoneInfo("Europe/Moscow")).date()
    assert summary.last_day in {before - timedelta(days=1), after - timedelta(days=1)}
    assert summary.first_day == summary.last_day - timedelta(days=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"days": 0}, "days must be at least 1, not 0"),
        ({"touches": 0}, "touches must be at least 1, not 0"),
        ({"touches": -5}, "touches must be at least 1, not -5"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_demo(tmp_path / "nothing", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(("days", "touches"), [(1, 1), (1, 60), (3, 100), (6, 3), (1, 3_000)])
def test_small_sizes_work(tmp_path: Path, days: int, touches: int) -> None:
    small = Demo(tmp_path, write_demo(tmp_path, days, touches, 1, LAST_DAY))
    assert len(contents(tmp_path)) == 3 * days == small.summary.files
    assert small.value("select count(*) from touches") == touches
    assert small.value("select count(*) from contacts") <= touches / 8 + 2
    assert small.rows("select 1 from touches where not happened_at::date <= load_day") == []
    small.connection.close()


# Size and shape -----------------------------------------------------------------------------------


def test_every_day_has_all_deliveries_and_nothing_else_is_left(demo: Demo) -> None:
    days = [LAST_DAY - timedelta(days=back) for back in range(DAYS)]
    assert set(contents(demo.landing)) == {
        f"{table}/{day}/part-1.csv" for table in ("touches", "contacts", "costs") for day in days
    }
    assert {path.name for path in demo.landing.iterdir()} == {"touches", "contacts", "costs"}


def test_the_summary_counts_the_lines(demo: Demo) -> None:
    lines = {
        table: sum(
            content.count(b"\n") - 1 for name, content in contents(demo.landing).items() if name.startswith(table)
        )
        for table in ("touches", "contacts", "costs")
    }
    assert demo.summary.rows == lines
    assert demo.summary == DemoSummary(
        rows=lines,
        first_day=LAST_DAY - timedelta(days=DAYS - 1),
        last_day=LAST_DAY,
        days=DAYS,
        files=3 * DAYS,
    )


def test_there_are_as_many_touches_as_asked_for_and_a_contact_to_twenty(demo: Demo) -> None:
    assert demo.value("select count(*) from touches") == TOUCHES
    assert demo.value("select count(*) from contacts") == pytest.approx(TOUCHES / 20, rel=0.2)


def test_nine_touches_in_ten_belong_to_people_who_never_make_contact(demo: Demo) -> None:
    visitors = "(select visitor_id from contacts where visitor_id <> 'undefined')"
    assert 0.88 < demo.count("touches", f"visitor_id not in {visitors}") / TOUCHES < 0.96


def test_everything_happens_within_the_range(demo: Demo) -> None:
    for table in ("touches", "contacts"):
        first, last = demo.rows(f"select min(happened_at), max(happened_at) from {table}")[0]
        assert first.astimezone(ZoneInfo("Europe/Moscow")).date() == demo.summary.first_day
        assert last.astimezone(ZoneInfo("Europe/Moscow")).date() == demo.summary.last_day


def test_the_widgets_are_those_of_the_seed(demo: Demo) -> None:
    with (REPOSITORY / "seeds" / "widgets.csv").open(encoding="utf-8", newline="") as lines:
        seed = {row["widget_id"]: row for row in csv.DictReader(lines)}
    sites = dict(
        demo.rows(
            """
            select distinct widget_id, regexp_extract(landing_page, '^https://([^/?#]+)', 1)
            from touches
            """
        )
    )
    assert sites == {widget_id: row["site_host"] for widget_id, row in seed.items()}
    assert {row["brand_id"] for row in seed.values()} == {"okna", "dveri"}
    assert {widget_id for (widget_id,) in demo.rows("select widget_id from contacts")} == set(seed)


# What is wrong with the deliveries ----------------------------------------------------------------


@pytest.mark.parametrize(("table", "key"), [("touches", "touch_id"), ("contacts", "contact_id")])
def test_some_rows_are_late_by_one_to_three_days(demo: Demo, table: str, key: str) -> None:
    late = dict(
        demo.rows(
            f"""
            with first_delivery as (
                select min(load_day) - any_value(happened_at)::date as days_late
                from delivered_{table}
                where {key} is not null and year(happened_at) > 2000
                group by {key}
            )

            select days_late, count(*) / (select count(*) from first_delivery)
            from first_delivery
            group by all
            """
        )
    )
    assert set(late) == {0, 1, 2, 3}
    assert 0.9 < late[0] < 0.98
    assert min(late.values()) > 0.004


@pytest.mark.parametrize(("table", "key"), [("touches", "touch_id"), ("contacts", "contact_id")])
def test_some_rows_come_twice_in_one_file_and_in_the_next(demo: Demo, table: str, key: str) -> None:
    delivered = f"from delivered_{table} where {key} is not null group by all"
    assert demo.rows(f"select *, count(*) {delivered} having count(*) = 2")
    days = "count(distinct load_day)"
    assert demo.rows(f"select * exclude (load_day), {days} {delivered} having {days} = 2")


def test_some_touches_are_corrected_later_to_another_source_or_visitor(demo: Demo) -> None:
    corrected = """
        select touch_id
        from delivered_touches
        where touch_id is not null
        group by touch_id
        having count(distinct load_day) = 2 and
    """
    assert demo.rows(f"{corrected} count(distinct coalesce(utm_source, landing_page)) = 2")
    assert demo.rows(f"{corrected} count(distinct visitor_id) = 2")


def test_some_contacts_are_corrected_later_to_another_client_or_outcome(demo: Demo) -> None:
    corrected = """
        select contact_id
        from delivered_contacts
        where contact_id is not null
        group by contact_id
        having count(distinct load_day) = 2 and
    """
    number = "right(regexp_replace(split_part(phone, ' доб', 1), '[^0-9]', '', 'g'), 10)"
    assert demo.rows(f"{corrected} count(distinct {number}) = 2")
    assert demo.rows(f"{corrected} count(distinct (final_group, value)) = 2")


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ("touches", "touch_id is null"),
        ("touches", "widget_id is null"),
        ("touches", "touched_at is null"),
        ("touches", "touched_at is not null and happened_at is null"),
        ("touches", "happened_at < timestamptz '2000-01-01 00:00:00Z'"),
        ("touches", "time_on_site is not null and try_cast(time_on_site as bigint) is null"),
        ("contacts", "contact_id is null"),
        ("contacts", "widget_id is null"),
        ("contacts", "contacted_at is not null and happened_at is null"),
        (
            "contacts",
            "lower(contact_type) not in ('call', 'form', 'callback', 'email', 'chat')",
        ),
        ("contacts", "duration is not null and try_cast(duration as bigint) is null"),
    ],
)
def test_some_rows_are_bad(demo: Demo, table: str, condition: str) -> None:
    bad = demo.count(f"delivered_{table}", condition)
    assert 0 < bad < 0.02 * demo.summary.rows[table]


def test_a_row_with_too_few_fields_ends_some_files(demo: Demo) -> None:
    for table in ("touches", "contacts"):
        cut = [
            name
            for name, content in contents(demo.landing).items()
            if name.startswith(table) and content.splitlines()[-1].count(b",") == 1
        ]
        assert 1 < len(cut) < DAYS / 2


@pytest.mark.parametrize(("days", "touches"), [(3, 100), (1, 400), (2, 3_000), (12, 900)])
def test_bad_rows_are_well_below_half_of_any_file(tmp_path: Path, days: int, touches: int) -> None:
    write_demo(tmp_path, days, touches, 1, LAST_DAY)
    for path in [*tmp_path.glob("touches/*/*.csv"), *tmp_path.glob("contacts/*/*.csv")]:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        key = "touch_id" if path.parts[-3] == "touches" else "contact_id"
        bad = [row for row in rows if not row[key] or row[key].endswith(("x", "cut"))]
        assert len(bad) <= 0.15 * len(rows), path


# Who comes, and how -------------------------------------------------------------------------------


def test_one_visitor_is_a_bot_with_a_few_contacts(demo: Demo) -> None:
    (bot, bot_touches), (_, next_touches) = demo.rows(
        """
        select visitor_id, count(*)
        from touches
        where visitor_id <> 'undefined'
        group by all
        order by count(*) desc, visitor_id
        limit 2
        """
    )
    assert bot_touches > 0.009 * TOUCHES > 5 * next_touches
    assert 1 <= demo.count("contacts", f"visitor_id = '{bot}'") <= 25


def test_a_call_centres_own_cookie_is_on_the_contacts_of_many_clients(demo: Demo) -> None:
    callcenter = "visitor_id = 'callcenter-1'"
    clients = demo.value(f"select count(distinct phone) from contacts where {callcenter}")
    assert clients > 0.01 * demo.value("select count(*) from contacts")
    assert demo.count("touches", callcenter) == 0


def test_some_identifiers_are_placeholders(demo: Demo) -> None:
    for table in ("touches", "contacts"):
        assert demo.count(table, "visitor_id = 'undefined'")
        assert demo.count(table, "crm_client_id = '0'")
    assert demo.count("contacts", "phone in ('-', 'нет', 'anonymous')")


@pytest.mark.parametrize(
    "condition",
    [
        "utm_source = 'yandex' and utm_medium = 'cpc'",
        "utm_source = 'avito' and utm_medium = 'referral'",
        "utm_source = 'VK' and utm_medium = 'cpc'",
        "utm_source = '2gis'",
        "utm_campaign = 'окна москва' and landing_page not like '%utm_%'",
        # Spaces around and capitals: the csv keeps both.
        "utm_source like '% Google' or utm_medium = 'Cpc '",
        "landing_page like '%?utm_source=vk&utm_medium=social&%'",
        "landing_page like '%utm_source=telegram&%'",
        "landing_page like '%utm_source=newsletter&utm_medium=email&%'",
        "contains(landing_page, 'utm_campaign=%D0%BE%D0%BA%D0%BD%D0%B0+%D0%BC')",
        "landing_page like '%UTM_source=Yandex&UTM_medium=CPC&%'",
        "landing_page like '%utm_source=2gis&utm_campaign=%'",
        "landing_page like '%/#utm_source=vk%' and landing_page not like '%?%'",
        "contains(landing_page, 'utm_campaign=%EE%EA%ED%E0+')",
        "landing_page like '%utm_source=%' and utm_source is not null",
        "landing_page like '%/?yclid=%' and utm_source is null",
        "landing_page like '%/?gclid=%' and utm_source is null",
        "referrer like 'https://yandex.ru/search/%' and landing_page not like '%?%'",
        "referrer = 'https://www.google.com/' and landing_page not like '%?%'",
        "referrer like 'https://go.mail.ru/%'",
        "referrer like 'https://m.vk.com/%'",
        "referrer like 'https://forum-remonta.example/%'",
        "referrer like 'https://securepay.tinkoff.ru/%'",
        "referrer like 'https://yoomoney.ru/%'",
        "widget_id = 'balkony' and referrer like 'https://balkony-prosto.example/%'",
        "referrer is null and utm_source is null and landing_page not like '%utm_%'",
        "action_type = 'click'",
        "action_type = 'visit'",
        "action_type is null",
        "touched_at like '%Z'",
        "device_type is not null and location is not null and visit_duration is not null",
        "json_array_length(visited_pages) > 1 and page_hash is not null",
        "yandex_client_id is not null and google_client_id is not null",
        "crm_client_id <> '0'",
    ],
)
def test_touches_come_in_every_way(demo: Demo, condition: str) -> None:
    assert demo.count("touches", condition)


def test_clocks_are_mostly_in_moscow_time(demo: Demo) -> None:
    for table, instant in (("touches", "touched_at"), ("contacts", "contacted_at")):
        assert 0.85 * demo.value(f"select count(*) from {table}") < demo.count(table, f"{instant} like '%+03:00'")


def test_contacts_are_of_all_types_and_mostly_calls(demo: Demo) -> None:
    types = dict(
        demo.rows(
            """
            select lower(contact_type), count(*) / (select count(*) from contacts)
            from contacts
            group by all
            """
        )
    )
    assert set(types) == {"call", "form", "callback", "email", "chat"}
    assert min(types.values()) > 0.02
    assert 0.4 < types["call"] < 0.8


@pytest.mark.parametrize(
    "condition",
    [
        "final_group = 'Продажи' and lower(contact_type) = 'call'",
        "final_group = 'Замеры'",
        "final_group = 'Сервис'",
        "is_unique = 'true'",
        "is_unique = 'false'",
        "try_cast(value as decimal(18, 2)) > 10000",
        "duration = '0'",
        "try_cast(duration as bigint) > 60",
        "client_name is null",
        "client_name like '% %ва'",
        "location = 'Санкт-Петербург'",
        "location is null",
        "email like '%@mail.ru'",
        "email like '%@Mail.ru%'",
        "call_page like 'https://%.example/%'",
        "operator is not null",
        "contact_type = 'CALL'",
    ],
)
def test_contacts_come_in_every_way(demo: Demo, condition: str) -> None:
    share = demo.count("contacts", condition) / demo.value("select count(*) from contacts")
    assert 0 < share < 0.9


def test_nights_and_sundays_are_quiet(demo: Demo) -> None:
    hours = dict(demo.rows("select hour(happened_at), count(*) from touches group by all"))
    assert hours.get(3, 0) * 10 < hours[11]
    weekdays = dict(
        demo.rows(
            """
            select isodow(happened_at), count(*)
            from contacts
            where lower(contact_type) = 'call'
            group by all
            """
        )
    )
    assert weekdays[7] < 0.75 * weekdays[2]


def test_the_first_days_are_as_busy_as_the_last(demo: Demo) -> None:
    weeks = dict(
        demo.rows(
            f"""
            select (happened_at::date - date '{demo.summary.first_day}') // 7, count(*)
            from contacts
            group by all
            """
        )
    )
    assert set(weeks) == {0, 1, 2}
    assert 0.8 < weeks[0] / weeks[2] < 1.25


def test_phones_are_spelled_in_many_ways_and_few_are_wrong(demo: Demo) -> None:
    phones = [phone for (phone,) in demo.rows("select phone from contacts where phone is not null")]
    spellings = {"".join("9" if c.isdigit() else c for c in phone) for phone in phones}
    assert len(spellings) >= 8
    valid = [phone for phone in phones if is_valid(phone)]
    assert 0.9 < len(valid) / len(phones) < 0.99


def is_valid(phone: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(phone, "RU"))
    except phonenumbers.NumberParseException:
        return False


NUMBERED_CONTACTS = """
    select *, right(regexp_replace(split_part(phone, ' доб', 1), '[^0-9]', '', 'g'), 10) as number
    from contacts
    where len(number) = 10 and number not like '000%'
"""


def test_a_phone_ties_several_browsers_and_spellings(demo: Demo) -> None:
    assert demo.rows(
        f"""
        select number
        from ({NUMBERED_CONTACTS})
        where visitor_id not in ('undefined', 'callcenter-1')
        group by number
        having count(distinct visitor_id) > 1 and count(distinct phone) > 1
        """
    )


def test_metrica_and_the_crm_tie_several_browsers(demo: Demo) -> None:
    for tie in ("yandex_client_id", "crm_client_id"):
        assert demo.rows(
            f"""
            select {tie}
            from touches
            where visitor_id <> 'undefined' and {tie} <> '0'
            group by {tie}
            having count(distinct visitor_id) > 1
            """
        )
        assert demo.rows(f"select 1 from touches semi join contacts using ({tie})")


def test_some_call_again_and_some_without_any_visit(demo: Demo) -> None:
    assert demo.rows(f"select number from ({NUMBERED_CONTACTS}) group by number having count(*) > 2")
    strangers = """
        lower(contact_type) = 'call' and visitor_id is null and call_page is null
        and crm_client_id is null
    """
    assert demo.count("contacts", strangers) > 20


def test_some_research_for_weeks_over_several_channels(demo: Demo) -> None:
    researchers = demo.rows(
        """
        select contacts.contact_id
        from contacts
        inner join touches
            on contacts.visitor_id = touches.visitor_id
            and touches.happened_at < contacts.happened_at
        where contacts.visitor_id not in ('undefined', 'callcenter-1')
        group by contacts.contact_id
        having
            count(distinct touches.happened_at::date) >= 3
            and max(touches.happened_at) - min(touches.happened_at) > interval 10 days
            and count(distinct (touches.utm_source, touches.landing_page, touches.referrer)) > 2
        """
    )
    assert len(researchers) > 5


def test_every_icon_is_common(demo: Demo) -> None:
    # By cookies alone and with rough channels, which is near enough to tell common from rare.
    icons = dict(
        demo.rows(
            """
            with channelled as (
                select
                    visitor_id,
                    happened_at,
                    coalesce(
                        lower(trim(utm_source)),
                        nullif(
                            regexp_extract(lower(landing_page), '[?&]utm_source=([^&]*)', 1), ''
                        ),
                        regexp_extract(landing_page, '[?&](yclid|gclid)=', 1)
                        || regexp_extract(coalesce(referrer, ''), '^https://([^/]*)', 1)
                    ) as channel,
                from touches
            ),

            counted as (
                select
                    contacts.contact_id,
                    count(channelled.happened_at) as touch_count,
                    count(distinct channelled.channel) as channel_count,
                from contacts
                left join channelled
                    on contacts.visitor_id = channelled.visitor_id
                    and contacts.visitor_id not in ('undefined', 'callcenter-1')
                    and channelled.happened_at < contacts.happened_at
                group by contacts.contact_id
            )

            select
                case
                    when touch_count = 0 then 'no_touches'
                    when channel_count = 1 then 'single_channel'
                    else 'multichannel'
                end,
                count(*) / (select count(*) from contacts)
            from counted
            group by all
            """
        )
    )
    assert set(icons) == {"multichannel", "single_channel", "no_touches"}
    assert min(icons.values()) > 0.15


# What was spent -----------------------------------------------------------------------------------


def test_costs_are_of_the_channels_and_campaigns_that_bring_touches(demo: Demo) -> None:
    tagged = "select distinct lower(trim(utm_source)), lower(trim(utm_medium)) from touches"
    paid = set(demo.rows("select distinct lower(source), lower(medium) from costs where currency <> 'EUR'"))
    assert paid == {("yandex", "cpc"), ("google", "cpc"), ("vk", "cpc"), ("avito", "referral"), ("2gis", "maps")}
    assert paid <= set(demo.rows(tagged))
    offers = set(demo.rows("select distinct widget_id, utm_campaign from touches where utm_campaign is not null"))
    assert set(demo.rows("select distinct widget_id, campaign from costs where campaign is not null")) <= offers
    assert demo.count("costs", "campaign is null and widget_id is null") == DAYS


def test_about_as_many_clicks_are_paid_as_touches_come(demo: Demo) -> None:
    clicks = demo.value("select sum(clicks::int) from costs where source = 'avito'")
    assert clicks == pytest.approx(demo.count("touches", "utm_source = 'avito'"), rel=0.2)
    assert demo.count("costs", "clicks::int > impressions::int") == 0
    rubles_per_click = "sum(amount::decimal(18, 2)) / sum(clicks::int)"
    assert 20 < demo.value(f"select {rubles_per_click} from costs where clicks is not null") < 80


def test_some_costs_are_corrected_and_some_are_in_another_currency(demo: Demo) -> None:
    assert demo.rows("select distinct load_day - cost_date::date as days from costs order by days") == [(0,), (2,)]
    corrected = demo.rows(
        """
        select first.amount::decimal(18, 2) > later.amount::decimal(18, 2), count(*)
        from costs as first
        inner join costs as later using (cost_date, source, medium, campaign, widget_id)
        where first.load_day < later.load_day and first.source = 'Google'
        group by all
        """
    )
    assert corrected == [(True, 4 * 16)]
    assert demo.rows("select currency, count(*) from costs group by all having count(*) < 5") == [("EUR", 2)]
    assert {currency for (currency,) in demo.rows("select distinct currency from costs")} == {"RUB", "rub", "EUR"}


def test_costs_of_one_key_come_in_several_rows(demo: Demo) -> None:
    key = "load_day, cost_date, source, medium, campaign, widget_id"
    assert demo.rows(f"select distinct source from costs group by {key}, source having count(*) > 1") == [("yandex",)]
