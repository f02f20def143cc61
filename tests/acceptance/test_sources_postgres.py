"""The PostgreSQL source against a real server: values, days, trouble, secrets, a million touches."""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from places import Place, load_landing, rejected_rows, rows_of
from postgres_server import BASE, PASSWORD, USER, PostgresServer, a_postgres, literal, programs
from processes import Site
from pydantic import ValidationError

from pipeline.settings import Rules, Settings
from sources.delivering import Fetched, explained_problems
from sources.fetching import days_between
from sources.fetching import fetch as fetch_source
from sources.mapping import faults
from sources.postgres import Postgres, Query, patient, secrets_of
from sources.source import FetchContext

DAY = date(2025, 11, 20)
VARIABLE = "CRM_ADDRESS"
HALF_OPEN = "touched_at >= {day_start} and touched_at < {day_end}"
TOUCHES = f"select id as touch_id, touched_at from touch where {HALF_OPEN}"
# How many touches the long test has; a million takes about twice as long.
TOUCH_COUNT = int(os.environ.get("POSTGRES_TOUCHES", "20000"))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with a_postgres() as running:
        yield running


@dataclass
class Crm:
    """A landing folder that is fetched to, and the server that it is fetched from."""

    server: PostgresServer
    place: Place
    monkeypatch: pytest.MonkeyPatch
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> Rules:
        return Rules.read(self.variables)

    def fetch(
        self,
        touches: str = TOUCHES,
        days: tuple[date, ...] = (DAY,),
        address: str | None = None,
        queries: dict[str, str] | None = None,
        **settings: Any,
    ) -> list[Fetched]:
        source = self.source(touches, address, queries, **settings)
        warehouse = self.place.warehouse
        with warehouse.locked("test"):
            return list(fetch_source(source, days, self.rules, Settings.read(), warehouse))

    def source(
        self, touches: str, address: str | None = None, queries: dict[str, str] | None = None, **settings: Any
    ) -> Postgres:
        self.monkeypatch.setenv(VARIABLE, address or self.server.address())
        tables = {name: {"query": query} for name, query in (queries or {"touches": touches}).items()}
        given = {"kind": "postgres", "name": "crm", "connection_variable": VARIABLE, "tables": tables}
        return Postgres.model_validate(given | settings)

    def problem(self, *arguments: Any, **settings: Any) -> str:
        """Why nothing came."""
        results = self.fetch(*arguments, **settings)
        assert {fetched.outcome for fetched in results} == {"failed"}
        problems = {str(fetched.problem) for fetched in results}
        assert len(problems) == 1
        return problems.pop()

    def file(self, day: date = DAY, table: str = "touches") -> Path:
        return self.place.landing / table / str(day) / f"crm-{table}.parquet"

    def delivered(self, day: date = DAY, table: str = "touches") -> list[dict[str, Any]]:
        with duckdb.connect() as connection:
            return rows_of(connection, f"from '{self.file(day, table)}'")

    def ids(self, day: date = DAY) -> list[str]:
        return [row["touch_id"].removeprefix("postgres:crm:") for row in self.delivered(day)]

    def load(self) -> None:
        loads = load_landing(self.place.warehouse, self.place.landing, self.rules)
        assert {load.outcome for load in loads} == {"loaded"}, loads


@pytest.fixture
def crm(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crm:
    server.sql(f"drop schema if exists public cascade; create schema public authorization {USER}")
    monkeypatch.setenv("LANDING_DIR", str(tmp_path / "landing"))
    monkeypatch.setenv("WAREHOUSE_DIR", str(tmp_path / "warehouse"))
    (tmp_path / "landing").mkdir()
    return Crm(server, Place(tmp_path), monkeypatch)


def three_touches(crm: Crm) -> None:
    """At noon of three days."""
    crm.server.give(
        """
        create table touch (id text, touched_at timestamptz);
        insert into touch values
            ('a', '2025-11-20 12:00+03'), ('b', '2025-11-21 12:00+03'), ('c', '2025-11-22 12:00+03');
        """
    )


THREE_DAYS = days_between(DAY, DAY + timedelta(days=2))


# Values.

TEXTS = (
    "it's \"quoted\"", "two\nlines\r\nand\ttab", "a,b;c|d", "Окна «ПВХ» — ё", "🪟👩‍🔧", "\\N \\x41 \\.", "{day} %s %(a)s $1 ?",
)  # fmt: skip


def test_every_type_becomes_the_text_that_the_loader_reads(crm: Crm) -> None:
    crm.server.give(
        """
        create type kind as enum ('click', 'visit');
        create table touch (
            id bigint, touched_at timestamptz, kind kind, visitor uuid, page varchar(200), campaign char(8), seconds int,
            price numeric(12, 2), small smallint, share double precision, is_new boolean, born date, since timestamp, at time,
            lasted interval, pages text[], sums int[], nested text[], address inet, loose json, strict jsonb, bytes bytea, pair point
        );
        insert into touch values (
            9223372036854775807, '2025-11-20 00:00:00.123456+03', 'visit', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
            'https://окна.example/?a=1', 'осень', 42, 12345678.90, -1, 0.1, true, '1999-12-31', '2025-11-20 01:02:03', '23:59:59',
            '1 day 02:00', '{/,"/a b","/\\"c\\",d",NULL}', '{1,2}', '{{a,b},{c,d}}', '10.0.0.1', '{"b":1, "a":[1]}', '{"b":1, "a":[1]}',
            '\\xDEAD', '(1,2)'
        );
        """
    )
    (fetched,) = crm.fetch(
        f"""
        select id as touch_id, touched_at, kind as action_type, visitor as visitor_id, page as landing_page,
            campaign as utm_campaign, seconds as time_on_site, pages as visited_pages, price, small, share, is_new, born, since, at,
            lasted, sums, nested, address, loose, strict, bytes, pair
        from touch where {HALF_OPEN}
        """
    )
    assert (fetched.outcome, fetched.totals) == ("delivered", "all 1 rows")
    assert fetched.absent_fields == ()
    (row,) = crm.delivered()
    assert {
        name: value for name, value in row.items() if name not in ("visited_pages", "nested", "sums", "delivered_by")
    } == {
        "touch_id": "postgres:crm:9223372036854775807",
        "widget_id": "crm",
        "touched_at": "2025-11-19T21:00:00.123456Z",
        "action_type": "visit",
        "visitor_id": "postgres:crm:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "landing_page": "https://окна.example/?a=1",
        "utm_campaign": "осень",
        "time_on_site": "42",
        "price": "12345678.90",
        "small": "-1",
        "share": "0.1",
        "is_new": "true",
        "born": "1999-12-31",
        "since": "2025-11-20 01:02:03",
        "at": "23:59:59",
        "lasted": "1 day 02:00:00",
        "address": "10.0.0.1/32" if row["address"].endswith("/32") else "10.0.0.1",
        "loose": '{"b":1, "a":[1]}',
        "strict": '{"a": [1], "b": 1}',
        "bytes": "\\xdead",
        "pair": "(1,2)",
    }
    assert json.loads(row["visited_pages"]) == ["/", "/a b", '/"c",d', None]
    assert (json.loads(row["sums"]), json.loads(row["nested"])) == ([1, 2], [["a", "b"], ["c", "d"]])
    crm.load()
    ((attributes,),) = [tuple(row.values()) for row in crm.place.private("select attributes from raw.touches")]
    assert {"price": "12345678.90", "strict": '{"a": [1], "b": 1}'}.items() <= json.loads(attributes).items()


def test_what_a_session_is_set_to_changes_nothing(crm: Crm) -> None:
    """The server of these tests writes days, times and numbers in ways that nobody could read."""
    crm.server.give(
        """
        create table cost (cost_date date, source text, medium text, amount numeric, currency text, ratio float8);
        insert into cost values ('2025-11-20', 'yandex', 'cpc', 10.50, 'RUB', 1e0/3);
        """
    )
    results = crm.fetch(queries={"costs": "select * from cost where cost_date = {day}"})
    assert [fetched.outcome for fetched in results] == ["delivered"]
    (row,) = crm.delivered(table="costs")
    assert (row["cost_date"], row["amount"], row["ratio"]) == ("2025-11-20", "10.50", "0.3333333333333333")
    crm.load()
    assert crm.place.private("select count(*) as loaded from raw.costs") == [{"loaded": 1}]


def test_texts_come_as_they_are(crm: Crm) -> None:
    values = ", ".join(
        f"('{place}', timestamptz '2025-11-20 10:00+03', {literal(text)})" for place, text in enumerate(TEXTS)
    )
    crm.server.give(
        f"create table touch (id text, touched_at timestamptz, page text); insert into touch values {values}"
    )
    crm.fetch(f"select id as touch_id, touched_at, page as landing_page from touch where {HALF_OPEN}", keep_ids=True)
    assert {row["touch_id"]: row["landing_page"] for row in crm.delivered()} == {
        str(place): text for place, text in enumerate(TEXTS)
    }


def test_an_empty_text_is_no_value_and_an_unknown_column_says_nothing_where_it_has_none(crm: Crm) -> None:
    crm.server.give(
        """
        create table touch (id text, touched_at timestamptz, page text, extra text);
        insert into touch values ('a', '2025-11-20 10:00+03', '', ''), ('b', '2025-11-20 10:00+03', null, null),
            ('c', '2025-11-20 10:00+03', ' x ', ' y '), ('d', '2025-11-20 10:00+03', 'null', 'null');
        """
    )
    crm.fetch(f"select id as touch_id, touched_at, page as landing_page, extra from touch where {HALF_OPEN}")
    assert [(row["landing_page"], row["extra"]) for row in crm.delivered()] == [
        (None, None), (None, None), ("x", "y"), (None, "null"),
    ]  # fmt: skip
    crm.load()
    assert [row["attributes"] and json.loads(row["attributes"]).get("extra") for row in crm.place.private(
        "select attributes from raw.touches order by touch_id"
    )] == [None, None, "y", "null"]  # fmt: skip


def test_what_is_no_time_is_set_aside_by_the_loader(crm: Crm) -> None:
    crm.server.give(
        """
        create table touch (id text, touched_at timestamptz);
        insert into touch values ('a', '2025-11-20 10:00+03'), ('b', 'infinity'), ('c', '-infinity'), ('d', null),
            ('e', '20250-11-20'), ('f', '0044-03-15 BC'), (null, '2025-11-20 10:00+03');
        """
    )
    crm.fetch("select id as touch_id, touched_at from touch where {day} = {day}")
    assert len(crm.delivered()) == 7
    crm.load()
    assert sorted(reason for *_, reason in rejected_rows(crm.place.warehouse)) == [
        "missing_touch_id", "missing_touched_at", *("unreadable_touched_at",) * 4,
    ]  # fmt: skip


def test_a_base_in_another_encoding(crm: Crm, server: PostgresServer) -> None:
    server.sql("drop database if exists old", base="postgres")
    server.sql(f"create database old owner {USER} encoding 'WIN1251' template template0", base="postgres")
    server.sql(
        f"""
        set role {USER};
        create table touch as select 'a' as id, timestamptz '2025-11-20 10:00+03' as touched_at, 'Окна' as page
        """,
        base="old",
    )
    crm.monkeypatch.setenv("PGCLIENTENCODING", "WIN1251")
    crm.fetch(
        f"select id as touch_id, touched_at, page as location from touch where {HALF_OPEN}",
        address=server.address(base="old"),
    )
    assert crm.delivered()[0]["location"] == "Окна"


def test_two_columns_of_one_name_are_kept_both(crm: Crm) -> None:
    three_touches(crm)
    crm.fetch(f"select id as touch_id, touched_at, 'one' as extra, 'two' as extra from touch where {HALF_OPEN}")
    assert {"one", "two"} <= set(crm.delivered()[0].values())


# Days and times.


def test_days_are_half_open_and_the_reports(crm: Crm) -> None:
    crm.server.give(
        """
        create table touch (id text, touched_at timestamptz);
        insert into touch values
            ('before', '2025-11-19 23:59:59.999999+03'), ('first', '2025-11-20 00:00+03'),
            ('last', '2025-11-20 23:59:59.999999+03'), ('midnight', '2025-11-21 00:00+03');
        """
    )
    crm.fetch(days=days_between(DAY - timedelta(days=1), DAY + timedelta(days=1)))
    assert [crm.ids(DAY + timedelta(days=days)) for days in (-1, 0, 1)] == [["before"], ["first", "last"], ["midnight"]]


@pytest.mark.parametrize(
    ("condition", "column"),
    [
        (HALF_OPEN, "timestamp"),
        ("touched_at::date = {day}", "timestamp"),
        ("touched_at::date = {day}", "timestamptz"),
        ("touched_at >= {day} and touched_at < {day} + 1", "timestamptz"),
    ],
)
@pytest.mark.parametrize("time_zone", [None, "Asia/Yekaterinburg"])
def test_every_touch_is_delivered_once_however_the_query_says_its_day(
    crm: Crm, condition: str, column: str, time_zone: str | None
) -> None:
    """One an hour, in a zone that is neither the server's nor UTC."""
    zone = time_zone or "Europe/Moscow"
    crm.server.give(
        f"""
        create table touch as select to_char(hour at time zone '{zone}', 'DD HH24') as id,
            {"hour" if column == "timestamptz" else f"hour at time zone '{zone}'"} as touched_at
        from generate_series(timestamptz '2025-11-18 00:00Z', '2025-11-24 00:00Z', '1 hour') as hours (hour)
        """
    )
    days = days_between(DAY, DAY + timedelta(days=1))
    results = crm.fetch(f"select id as touch_id, touched_at from touch where {condition}", days, time_zone=time_zone)
    assert [(fetched.row_count, fetched.counts) for fetched in results] == [(24, {})] * 2
    delivered = sorted(crm.ids(days[0]) + crm.ids(days[1]))
    # Times without an offset are those of the source; days by instants are the report's.
    first = 2 if time_zone and "day_start" in condition else 0
    assert delivered == [f"{20 + hour // 24} {hour % 24:02}" for hour in range(first, 48 + first)]
    crm.load()
    in_zone = f"strftime(timezone('{zone}', cast(touched_at as timestamptz)), '%d %H')"
    same = f"select count(*) as same from raw.touches where touch_id = 'postgres:crm:' || {in_zone}"
    assert crm.place.private(same) == [{"same": 48}]


def test_a_query_by_when_rows_changed_delivers_what_happened_earlier(crm: Crm) -> None:
    """In the delivery of the day that it was asked for; costs, which have no id and would add up, only of their day."""
    crm.server.give(
        """
        create table touch (id text, touched_at timestamptz, changed_at timestamptz);
        insert into touch values ('old', '2025-11-01 10:00+03', '2025-11-20 10:00+03');
        create table cost (cost_date date, changed_on date);
        insert into cost values ('2025-11-20', '2025-11-20'), ('2025-11-01', '2025-11-20');
        """
    )
    changed = "select id as touch_id, touched_at from touch where changed_at >= {day_start} and changed_at < {day_end}"
    costs = "select *, 'a' as source, 'b' as medium, 1 as amount, 'RUB' as currency from cost where changed_on = {day}"
    touches, costs_fetched = crm.fetch(queries={"touches": changed, "costs": costs})
    assert (touches.row_count, touches.counts) == (1, {})
    assert (costs_fetched.row_count, costs_fetched.counts) == (1, {"of other days": 1})
    crm.load()
    assert crm.place.private("select touched_at from raw.touches") == [{"touched_at": "2025-11-01T07:00:00Z"}]


@pytest.mark.parametrize(
    "end",
    [";", " ; \n", " -- the end", "; -- the end; really", " /* the\nend; */ ;;", " -- {day} {day_start}", "\n--"],
)
def test_a_query_may_end_as_it_likes(crm: Crm, end: str) -> None:
    three_touches(crm)
    crm.fetch(TOUCHES + end)
    assert crm.ids() == ["a"]


@pytest.mark.parametrize(
    "condition",
    [
        "id like '%a%' and 5 % 3 = 2",
        "'?' <> '$1' and '%s' <> '{0}' and E'\\';{x' <> $$;'{y}$$ and $q$ ; $q$ <> ''",
        "\"touch\".id = 'a' -- it's; '\n",
        "exists (with x as (select 1) select from x)",
        "true /* it's; {day_start */",
    ],
)
def test_traps_in_queries(crm: Crm, condition: str) -> None:
    three_touches(crm)
    crm.fetch(f"{TOUCHES} and {condition}")
    assert crm.ids() == ["a"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select 1", "the query must ask for one day"),
        ("select 1 -- {day}", "the query must ask for one day"),
        ("select {day_start}", "the query must ask for one day"),
        ("select '{day}'", "{day} is a value by itself: write it without quotes around it"),
        ("select 'it''s {day_end}', {day}", "{day_end} is a value by itself"),
        ("select $a$ {day} $a$", "{day} is a value by itself"),
        ("select {day}, {date}", "there is no {date}; there are {day_start} and {day_end} (times), and {day} (a date)"),
        ("select {day}; delete from touch", "the query must be one statement"),
    ],
)
def test_queries_that_are_refused_as_they_are_read(query: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Query(query=query)
    assert message in "\n".join(faults(refused.value))


# The same again.


def test_the_same_rows_in_another_order_are_the_same_file(crm: Crm) -> None:
    crm.server.give(
        """
        create table touch as select (i % 900)::text as id, timestamptz '2025-11-20 10:00+03' as touched_at, i % 7 as extra
        from generate_series(1, 1000) as numbers (i)
        """
    )
    query = f"select id as touch_id, touched_at, extra from touch where {HALF_OPEN} order by md5(id || extra || %s)"
    (first,) = crm.fetch(query.replace("%s", "'one'"))
    written = crm.file().read_bytes(), crm.file().stat().st_mtime_ns
    (second,) = crm.fetch(query.replace("%s", "'two'"))
    assert (first.outcome, second.outcome) == ("delivered", "unchanged")
    assert first.counts == second.counts == {"delivered twice": 100}
    assert written == (crm.file().read_bytes(), crm.file().stat().st_mtime_ns)
    crm.server.give("update touch set extra = 8 where id = '7'")
    (third,) = crm.fetch(query.replace("%s", "'one'"))
    assert (third.outcome, third.row_count) == ("delivered", 900)


def test_ids(crm: Crm) -> None:
    three_touches(crm)
    query = (
        f"select id as touch_id, touched_at, 'v' as visitor_id, 'm' as yandex_client_id from touch where {HALF_OPEN}"
    )

    def ids(**settings: Any) -> tuple[str, ...]:
        crm.fetch(query, **settings)
        row = crm.delivered()[0]
        return tuple(row[name] for name in ("touch_id", "visitor_id", "yandex_client_id", "widget_id"))

    assert ids() == ("postgres:crm:a", "postgres:crm:v", "m", "crm")
    assert ids(keep_ids=True, site="okna") == ("a", "v", "m", "okna")
    assert ids(account="main") == ("postgres:main:a", "postgres:main:v", "m", "main")


def test_what_the_server_counts_is_what_must_come(crm: Crm) -> None:
    """A query that gives another number of rows each time isn't delivered."""
    three_touches(crm)
    crm.server.give("update touch set touched_at = '2025-11-20 12:00+03'")
    crm.server.give("delete from touch where id = 'c'")
    (fetched,) = crm.fetch()
    assert (fetched.totals, fetched.row_count) == ("all 2 rows", 2)
    uncounted = f"{TOUCHES} and (id <> 'b' or left(current_query(), 18) <> 'COPY (select count')"
    assert crm.problem(uncounted).startswith("2 rows came of the 1 that it says there are: nothing of it")
    assert len(crm.delivered()) == 2
    (fetched,) = crm.fetch(uncounted, deliver_despite_difference=True)
    assert (fetched.outcome, fetched.totals) == ("unchanged", "2 of 1 rows")


def test_rows_that_are_written_meanwhile_are_in_neither_count_nor_delivery(crm: Crm) -> None:
    three_touches(crm)
    slow = f"{TOUCHES} and (select pg_sleep(0.7)) is not null"
    results: list[Fetched] = []
    thread = threading.Thread(target=lambda: results.extend(crm.fetch(slow)))
    thread.start()
    sleeping = f"select exists (select from pg_stat_activity where usename = '{USER}' and wait_event = 'PgSleep')"
    while crm.server.sql(sleeping) != "t":
        assert thread.is_alive()
    crm.server.give("insert into touch values ('late', '2025-11-20 13:00+03')")
    thread.join()
    assert [(fetched.outcome, fetched.totals) for fetched in results] == [("delivered", "all 1 rows")]
    assert crm.ids() == ["a"]


# Trouble.


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("selec {day}", 'syntax error at or near "selec" LINE 1: selec date \'2025-11-20\''),
        ("select * from nosuch where {day} = {day}", 'relation "nosuch" does not exist LINE 1: select * from nosuch where'),
        (TOUCHES + " and 1 / (length(id) - 1) = 1", "division by zero"),
        (TOUCHES + " and id = $1", "there is no parameter $1"),
        ("delete from touch where {day} = {day} returning id as touch_id, touched_at", "syntax error"),
        ("with gone as (delete from touch where {day} = {day} returning *) select id as touch_id, touched_at from gone", "WITH clause"),
        ("select forget() as touch_id, touched_at from touch where {day} = {day}", "cannot execute DELETE in a read-only transaction"),
        ("select set_config('transaction_read_only', 'off', false) as touch_id, forget() as touched_at, {day}", "transaction read-write mode must be set before any query"),
        ("select id as touch_id, touched_at from touch where {day} = {day} for update", "cannot execute SELECT FOR UPDATE in a read-only transaction"),
        ("select id, touched_at from touch where {day} = {day}", "it selects no touch_id, without which touches can't be loaded: name the columns by `as`; it selects id, touched_at"),
        ("select id as touch_id from touch where {day} = {day}", "it selects no touched_at"),
        ("select from touch where {day} = {day}", "it selects no touch_id, touched_at, without which touches can't be loaded: name the columns by `as`; it selects nothing"),
    ],
)  # fmt: skip
def test_a_query_that_is_wrong_is_reported_in_the_servers_own_words(crm: Crm, query: str, message: str) -> None:
    three_touches(crm)
    crm.server.give("create function forget() returns text language sql as $$ delete from touch returning id $$")
    problem = crm.problem(query)
    assert problem.startswith(f"the query of touches: {message}") or message in problem
    assert not any(
        part in problem for part in ("\n", "Query was", "SQLSTATE", "libpq", "INVALID", PASSWORD, "field_0", "  ")
    ), problem
    assert crm.server.sql("select count(*) from touch") == "3"


def test_one_tables_trouble_keeps_no_other_from_being_fetched(crm: Crm) -> None:
    three_touches(crm)
    wrong = "select * from nosuch where {day} = {day}"
    results = crm.fetch(queries={"contacts": wrong, "touches": TOUCHES}, days=THREE_DAYS)
    assert {(fetched.table, fetched.outcome) for fetched in results} == {
        ("touches", "delivered"),
        ("contacts", "failed"),
    }
    assert len(results) == 6
    assert len(explained_problems(results)) == 1


def test_a_day_that_fails_keeps_no_later_one_from_being_fetched_but_three_in_a_row_keep_off_all_but_the_latest(
    crm: Crm,
) -> None:
    # That before the last could be had.
    days = days_between(DAY, DAY + timedelta(days=10))
    failing = ", ".join(f"date '{days[place]}'" for place in (1, 2, 4, 6, 7, 8))
    crm.server.give("create table touch (id text, touched_at timestamptz)")
    results = crm.fetch(f"{TOUCHES} and 1 / (case when {{day}} in ({failing}) then 0 else 1 end) = 1", days=days)
    outcomes = {fetched.day: fetched.outcome for fetched in results}
    assert [day for day in days if outcomes[day] == "delivered"] == [days[0], days[3], days[5], days[10]]
    assert len(results) == len(days)
    assert len(explained_problems(results)) == 1
    assert "division by zero" in explained_problems(results)[0]


def test_what_was_drawn_of_a_day_goes_before_the_next(crm: Crm) -> None:
    three_touches(crm)
    with duckdb.connect() as connection:
        context = FetchContext(crm.place.landing, connection, crm.rules)
        for number, _ in enumerate(crm.source(TOUCHES).read(THREE_DAYS, context)):
            assert connection.execute("select count(*) from duckdb_tables()").fetchall() == [(1,)], number
            assert connection.execute("select count(*) from duckdb_views() where not internal").fetchall() == [(0,)]


@pytest.mark.parametrize("phase", ["select count(*)%", "%cast(%"])
def test_a_connection_that_is_cut_fails_its_days_and_leaves_what_was_delivered(crm: Crm, phase: str) -> None:
    three_touches(crm)
    crm.server.give(
        "insert into touch select 'b' || i, '2025-11-21 12:00+03' from generate_series(1, 300) as numbers (i)"
    )
    crm.fetch(days=THREE_DAYS)
    before = {day: crm.file(day).read_bytes() for day in THREE_DAYS}
    crm.server.give(
        "insert into touch select 'new' || i, '2025-11-20 12:00+03'::timestamptz + i * interval '1 day' from generate_series(0, 2) as numbers (i)"
    )
    slow = f"{TOUCHES} and ({{day}} <> date '2025-11-21' or pg_sleep(0.005) is not null)"
    cutting = threading.Thread(target=crm.server.cut_off, args=(f"wait_event = 'PgSleep' and query like '%{phase}'",))
    cutting.start()
    results = crm.fetch(slow, days=THREE_DAYS)
    cutting.join()
    assert [(fetched.day, fetched.outcome) for fetched in results] == list(
        (THREE_DAYS[place], outcome) for place, outcome in ((0, "delivered"), (2, "delivered"), (1, "failed"))
    )
    assert explained_problems(results) == [
        "crm, touches of 2025-11-21: the query of touches: terminating connection due to administrator command"
    ]
    assert "new0" in crm.ids()
    assert [crm.file(day).read_bytes() == before[day] for day in THREE_DAYS] == [False, True, False]
    assert [file for file in crm.place.landing.rglob("*") if file.name.endswith(".part")] == []


@pytest.mark.parametrize("sleep", ["(select pg_sleep(30)) is not null", "pg_sleep(0.005) is not null"])
def test_a_slow_query_is_ended(crm: Crm, sleep: str) -> None:
    crm.server.give(
        "create table touch as select i::text as id, timestamptz '2025-11-20 12:00+03' as touched_at from generate_series(1, 9000) as numbers (i)"
    )
    began = time.monotonic()
    problem = crm.problem(f"{TOUCHES} and {sleep}", timeout_seconds=0.5)
    assert (
        problem
        == "the query of touches: canceling statement due to statement timeout (`timeout_seconds` says how long one may take)"
    )
    assert 0.5 <= time.monotonic() - began < 15
    running = f"select count(*) from pg_stat_activity where usename = '{USER}' and state = 'active'"
    assert crm.server.sql(running) == "0"


def test_the_shortest_time_is_no_time_without_end(crm: Crm) -> None:
    three_touches(crm)
    assert "statement timeout" in crm.problem(f"{TOUCHES} and (select pg_sleep(30)) is not null", timeout_seconds=0.001)


def test_nothing_of_a_transaction_is_held_while_a_day_is_written(crm: Crm) -> None:
    three_touches(crm)
    source = crm.source(TOUCHES)
    sessions = f"select count(*) filter (where backend_xmin is not null), count(*) from pg_stat_activity where usename = '{USER}' and application_name = 'multichannel'"
    with crm.place.warehouse.locked("test"):
        fetching = fetch_source(source, THREE_DAYS, crm.rules, Settings.read(), crm.place.warehouse)
        next(fetching)
        assert crm.server.sql(sessions) == "0|1"
        fetching.close()  # type: ignore[attr-defined]
    # Whoever stops fetching leaves no session behind.
    for _ in range(100):
        if crm.server.sql(sessions) == "0|0":
            return
        time.sleep(0.05)
    raise AssertionError(crm.server.sql(sessions))


# Addresses and secrets.


def key_values(server: PostgresServer) -> str:
    written = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    return f"host=127.0.0.1 port={server.port} user={USER} password='{written}' dbname = {BASE}"


def test_addresses_of_both_forms_and_what_they_say(crm: Crm) -> None:
    three_touches(crm)
    server = crm.server
    for address in (
        key_values(server),
        server.address().replace("postgresql://", "postgres://"),
        server.address(options="?application_name=mine&connect_timeout=5"),
        f"postgresql:///{BASE}?host=127.0.0.1&port={server.port}&user={USER}&password=p%40ss%2Fw%3Ard%20%257%26%27x",
        f"postgresql://{USER}@/{BASE}?host={server.folder}&port={server.port}",
        f"postgresql://{USER}:p%40ss%2Fw%3Ard%20%257%26%27x@127.0.0.1:1,127.0.0.1:{server.port}/{BASE}",
    ):
        (fetched,) = crm.fetch(address=address)
        assert fetched.outcome in ("delivered", "unchanged"), address


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://{u}:se?cret@h/b",
        "postgresql://h",
        "postgresql://h/b?sslmode=require",
        "host=h",
        "postgresql://h:1,i:2/b?",
    ],
)
def test_an_address_keeps_its_own_settings_and_gets_patience(address: str) -> None:
    longer = patient(address)
    assert "connect_timeout=30" in longer and longer.startswith(
        address.rstrip("?").partition("?sslmode")[0].removeprefix("host=h")
    )
    assert longer.endswith("sslmode=require") == ("sslmode" in address)
    assert ("se?cret@h/b?connect" in longer) == ("cret" in address)


def test_a_server_that_never_answers_is_not_waited_for(crm: Crm) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        assert "timeout expired" in crm.problem(address=crm.server.address(port=port, options="?connect_timeout=2"))
        crm.monkeypatch.setattr("sources.postgres.PATIENCE", {"connect_timeout": "2"})
        assert "timeout expired" in crm.problem(address=crm.server.address(port=port))


SECRETS = (
    "s3cret",
    "wro ng",
    "w/or:d",
    "p@rt",
    "perc%nt",
    "qu'ote",
    "back\\slash",
    "q?mark",
    "ha#sh",
    "am&p=x",
    "wr0 s3cr=x",
    "Пароль",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_wrong_password_is_reported_and_not_shown(crm: Crm, secret: str) -> None:
    quoted = secret.replace("\\", "\\\\").replace("'", "\\'")
    server = crm.server
    right = [
        server.address(password=secret),
        f"host=127.0.0.1 port={server.port} user={USER} dbname={BASE} password='{quoted}'",
    ]
    raw = [
        f"postgresql://{USER}:{secret}@127.0.0.1:{server.port}/{BASE}",
        f"postgresql://127.0.0.1:{server.port}/{BASE}?user={USER}&password={secret}",
        f"host=127.0.0.1 port={server.port} user={USER} password={secret} dbname={BASE}",
        f"mysql://{USER}:{secret}@127.0.0.1/{BASE}",
        f"{USER}:{secret}@127.0.0.1/{BASE}",
        f"postgresql://{USER}:{secret}@nosuch.invalid/{BASE}",
    ]
    for address in right + raw:
        problem = crm.problem(address=address)
        pieces = [piece for piece in (secret, *re.split(r"[\s/:@=&]", secret)) if len(piece) > 2 and piece != "word"]
        shown = problem.replace(VARIABLE, "").partition(": write ")[0]
        assert not any(piece in shown for piece in pieces), (address, problem)
        assert "\n" not in problem
        if address in right:
            assert f'password authentication failed for user "{USER}"' in problem


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 1}, 'connection to server at "127.0.0.1", port 1 failed: Connection refused'),
        ({"base": "nosuch"}, 'database "nosuch" does not exist'),
        ({"options": "?sslmode=require"}, "server does not support SSL, but SSL was required"),
        ({"options": "?sslmode=maybe"}, 'invalid sslmode value: "maybe"'),
    ],
)
def test_why_there_is_no_connection(crm: Crm, options: dict[str, Any], message: str) -> None:
    assert message in crm.problem(address=crm.server.address(**options))


def test_secrets_of_an_address() -> None:
    assert secrets_of("postgresql://u:a%40b@h/b?password=c%20d&sslpassword=e") == {
        "postgresql://u:a%40b@h/b?password=c%20d&sslpassword=e", "a%40b", "a@b", "c%20d", "c d", "e",
    }  # fmt: skip
    assert secrets_of(r"user=u password = 'a\'b c' host=h") == {
        r"user=u password = 'a\'b c' host=h",
        r"'a\'b c'",
        "a'b c",
    }
    assert secrets_of("postgresql://u:a@b@h/b") is None
    assert secrets_of("postgresql://u:a/b@h/b") is None
    assert secrets_of("password=a b host=h") is None


def test_the_command_line_says_what_failed_and_no_secret(crm: Crm, tmp_path: Path) -> None:
    three_touches(crm)
    site = Site(tmp_path)
    file = tmp_path / "sources.yml"

    def fetch(query: str, address: str) -> tuple[int, str]:
        entry = {"kind": "postgres", "connection_variable": VARIABLE, "tables": {"touches": {"query": query}}}
        file.write_text(yaml.safe_dump({"crm": entry}), "utf-8")
        outcome = site.run("fetch", "--from", str(DAY), "--to", str(DAY), SOURCES_FILE=str(file), **{VARIABLE: address})
        assert PASSWORD not in outcome.said + outcome.progress
        return outcome.exit_code, outcome.failure if outcome.exit_code else outcome.said

    assert fetch(TOUCHES, crm.server.address())[0] == 0
    code, said = fetch("select * from nosuch where {day} = {day}", crm.server.address())
    assert (code, 'crm, touches of 2025-11-20: the query of touches: relation "nosuch" does not exist' in said) == (
        1,
        True,
    )
    code, said = fetch(TOUCHES, crm.server.address(password="s3cret"))
    assert (code, "password authentication failed" in said, "s3cret" in said) == (1, True, False)
    code, said = fetch("select '{day}'", crm.server.address())
    assert (code, "tables.touches.query: {day} is a value by itself" in said) == (1, True)
    code, said = fetch(TOUCHES, "")
    assert (code, f"{VARIABLE} isn't set" in said) == (1, True)


# The server of these tests.


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_without_a_server_tests_are_left_out_but_not_where_they_are_to_be_complete(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("postgres_server.FOLDERS", ("/nowhere/*/bin",))
    with pytest.raises(outcome, match=r"there is no PostgreSQL server on this machine .*apt-get install postgresql"):
        programs()


# Many.


def test_many_touches_from_the_server_to_the_journal_and_a_day_more(crm: Crm, tmp_path: Path) -> None:
    """Fetched, loaded and published by the command line; then a day on top is the only one to be written and loaded."""
    days = 10
    crm.server.give(
        f"""
        create table touch as
        select i as id, timestamptz '2025-11-10 00:00+03' + i * (interval '{days} days' / {TOUCH_COUNT}) as touched_at,
            'v' || i::bigint * 7919 % ({TOUCH_COUNT} / 5) as visitor,
            'https://okna.example/page' || i % 1000 || '?utm_source=' || (array['yandex', 'vk', 'google'])[1 + i % 3]
                || '&utm_medium=cpc&utm_campaign=c' || i % 100 as page,
            array['/', '/page' || i % 1000] as pages
        from generate_series(0, {TOUCH_COUNT} - 1) as numbers (i);
        create index on touch (touched_at);
        create table contact as
        select id, touched_at + interval '10 seconds' as made_at, visitor, '+7495' || lpad((id / 50 % 9999999)::text, 7, '0') as phone
        from touch where id % 50 = 0;
        create index on contact (made_at);
        """
    )
    queries = {
        "touches": f"select id as touch_id, touched_at, visitor as visitor_id, page as landing_page, pages as visited_pages, 'visit' as action_type from touch where {HALF_OPEN}",
        "contacts": "select id as contact_id, made_at as contacted_at, 'call' as contact_type, visitor as visitor_id, phone from contact where made_at >= {day_start} and made_at < {day_end}",
    }
    entry = {
        "kind": "postgres",
        "site": "okna-msk",
        "connection_variable": VARIABLE,
        "tables": {name: {"query": query} for name, query in queries.items()},
    }
    file = tmp_path / "sources.yml"
    file.write_text(yaml.safe_dump({"crm": entry}), "utf-8")
    environment = {"SOURCES_FILE": str(file), VARIABLE: crm.server.address()}

    def run(site: Site, *arguments: str) -> str:
        outcome = site.run(*arguments, **environment)
        assert outcome.exit_code == 0, outcome.progress
        return outcome.said

    site, other = Site(tmp_path / "site"), Site(tmp_path / "other")
    last = date(2025, 11, 19)
    run(site, "fetch", "--from", "2025-11-10", "--to", str(last - timedelta(days=1)))
    run(site, "load")
    files = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in site.landing.rglob("*.parquet")}
    assert len(files) == 2 * (days - 1)
    # A day that was there is asked for again, too.
    run(site, "fetch", "--from", str(last - timedelta(days=1)), "--to", str(last))
    after = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in site.landing.rglob("*.parquet")}
    assert files.items() <= after.items()
    assert {path.parent.name for path in after.keys() - files.keys()} == {str(last)}
    said = run(site, "load")
    assert "deliveries loaded: " in said
    loads = site.private("select load_day, sum(loaded_count), count(*) from raw.loads group by all order by all")
    assert [(day, number) for day, _, number in loads] == [
        (last - timedelta(days=back), 2) for back in reversed(range(days))
    ]
    assert sum(int(count) for _, count, _ in loads) == TOUCH_COUNT + TOUCH_COUNT // 50
    # The same as if all had come at once.
    run(other, "fetch", "--from", "2025-11-10", "--to", str(last))
    for path in after:
        assert path.read_bytes() == (other.landing / path.relative_to(site.landing)).read_bytes()
    assert "No difference" in run(site, "verify")
    assert site.published("select count(*) from journal") == [(TOUCH_COUNT // 50,)]
    assert site.published("select min(touch_count), bool_or(is_multichannel) from journal") == [(1, True)]
