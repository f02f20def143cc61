"""Calltouch: calls with the visits that led to them, and forms."""

import json
from collections.abc import Hashable, Iterator
from datetime import date
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline import sql
from sources.http_client import HttpClient
from sources.http_source import HttpSource
from sources.mapping import Mapping
from sources.paging import Page, Reading, read_pages
from sources.records import json_records, read_json_array
from sources.source import Days, Extract, FetchContext, Part, SourceError, TooLargeError

CALLS, VISITS, FORMS = "calls", "visits", "forms"


class Calltouch(HttpSource):
    """A site. Calls are requested by day and page, and come with a total; forms by day, without one."""

    kind: Literal["calltouch"]
    site_id: Part
    url: str = "https://api.calltouch.ru"
    reload_days: int = 2
    page_size: Annotated[int, Field(ge=1, le=1000)] = 1000

    datasets: ClassVar = {CALLS: "contacts", VISITS: "touches", FORMS: "contacts"}
    readings: ClassVar = 3

    @property
    def own_account(self) -> str:
        return self.account or self.site_id

    @property
    def own_site(self) -> str:
        return self.site or self.site_id

    def read(self, days: Days, context: FetchContext) -> Iterator[Extract]:
        connection = context.connection
        with self.client(parameters=lambda token: {"clientApiId": token}) as client:
            for day in days:
                calls, reading = self._calls(client, day, context)
                records = json_records(connection, calls)
                total, received, doubt = reading.total, reading.received, reading.doubt
                yield Extract(CALLS, Mapping.shipped("calltouch_calls"), records, (day,), total, received, doubt=doubt)
                forms = self._forms(client, day, context)
                # Forms carry an instant. If the site's zone differs from `time_zone`, some would fall between two days.
                records = json_records(connection, forms)
                yield Extract(FORMS, Mapping.shipped("calltouch_forms"), records, (day,), is_of_its_day=True)
                visits = self._visits(calls, forms, context)
                # Visits come with calls and forms: if calls are missing, so are visits.
                yield Extract(
                    VISITS,
                    Mapping.shipped("calltouch_visits"),
                    json_records(connection, visits),
                    (day,),
                    total,
                    received,
                    unit="calls",
                    doubt=doubt,
                    is_of_its_day=True,
                )
                context.clear(calls, forms, visits)

    def _visits(self, calls: str, forms: str, context: FetchContext) -> str:
        """A relation of the visits in calls and forms, each with the identifiers of its contact."""
        relation = context.new_name("records")
        # A visit without its own cookie belongs to the person who made contact.
        ids = {"ctClientId": ["ctClientId"], "yaClientId": ["yaClientId"], "guaClientId": ["guaClientId", "clientId"]}
        id_members = ", ".join(
            f"{sql.literal(name)}, coalesce({', '.join(f'contact -> {sql.literal(path + field)}' for path in ('$.', '$.session.') for field in fields)})"
            for name, fields in ids.items()
        )
        context.connection.execute(
            f"""
            create temporary table {relation} as
            with contacts as (
                select 1 as kind, position as contact_position, record as contact from {calls}
                union all
                select 2 as kind, position as contact_position, record as contact from {forms}
            ),
            maps as (
                select kind, contact_position, contact, cast(json_extract(contact, '$.mapVisits[*]') as json[]) as visits
                from contacts
            ),
            visits as (
                select kind, contact_position, contact, unnest(visits) as visit, generate_subscripts(visits, 1) as place
                from maps
            )
            select
                row_number() over (order by kind, contact_position, place) as position,
                case
                    when json_type(visit) = 'OBJECT'
                        then json_merge_patch(visit, json_object('contact', json_object(
                            'date', contact -> '$.date', 'callId', contact -> '$.callId',
                            'requestId', contact -> '$.requestId', {id_members}
                        )))
                    else visit
                end as record
            from visits
            """
        )
        return relation

    def _forms(self, client: HttpClient, day: date, context: FetchContext) -> str:
        """A relation of a day's forms."""
        relation, file = context.new_name("records"), context.new_file("forms")
        client.json_file(
            "/calls-service/RestAPI/requests",
            {
                "siteId": self.site_id,
                "dateFrom": day.strftime("%m/%d/%Y"),
                "dateTo": day.strftime("%m/%d/%Y"),
                "withMapVisits": "true",
            },
            file,
            kinds=[list],
        )
        read_json_array(context.connection, [file], relation)
        context.clear(file)
        # The credential is the account's, which may have more sites.
        context.connection.execute(f"delete from {relation} where record ->> '$.siteId' <> {sql.literal(self.site_id)}")
        return relation

    def _calls(self, client: HttpClient, day: date, context: FetchContext) -> tuple[str, Reading]:
        """A relation of a day's calls, and whether it is complete.

        Calls that arrive during paging shift the pages, so incomplete pages are read again.
        """
        for left in reversed(range(self.readings)):
            relation, reading = self._pages(client, day, context)
            if reading.is_whole or not left:
                break
            context.clear(relation)
        return relation, reading

    def _pages(self, client: HttpClient, day: date, context: FetchContext) -> tuple[str, Reading]:
        """Reads all pages, with fewer calls per page if one is too large."""
        size = self.page_size
        while True:
            relation = context.new_name("records")
            context.connection.execute(f"create temporary table {relation} (position bigint, record json)")
            try:
                page_of = partial(self._page, client, day, context, relation, size)
                return relation, read_pages(page_of, size)
            except TooLargeError:
                context.clear(relation)
                if size == 1:
                    raise
                size = max(1, size // 8)

    def _page(
        self, client: HttpClient, day: date, context: FetchContext, relation: str, size: int, number: int
    ) -> Page:
        """Adds a page's calls to a relation: all pages together might not fit into memory."""
        file = context.new_file("page")
        page = client.json_file(
            f"/calls-service/RestAPI/{self.site_id}/calls-diary/calls",
            {
                "dateFrom": day.strftime("%d/%m/%Y"),
                "dateTo": day.strftime("%d/%m/%Y"),
                "page": str(number),
                "limit": str(size),
                "withMapVisits": "true",
            },
            file,
            kinds=[dict],
        )
        calls = page.get("records")
        if not isinstance(calls, list):
            # Taken for no calls, this would empty the day.
            shown = client.beginning(file.read_bytes())
            raise SourceError(f"Calltouch answered something else than a page of calls: {shown}")
        read_json_array(context.connection, [file], f"{relation}_of_page", "$.records")
        context.connection.execute(
            f"""
            insert into {relation}
            select position + (select coalesce(max(position), 0) from {relation}), record from {relation}_of_page
            """
        )
        context.clear(file, f"{relation}_of_page")
        keys = frozenset(map(_key, calls))
        return Page(keys, len(calls), _count(page.get("recordsTotal")), _count(page.get("pageTotal")))


def _key(call: Any) -> Hashable:
    """Identifies a call: by its id or, without one, by its whole content."""
    number = call.get("callId") if isinstance(call, dict) else None
    return json.dumps(call, sort_keys=True) if number is None else str(number)


def _count(count: object) -> int | None:
    return int(count) if isinstance(count, int | str) and str(count).isdecimal() else None
