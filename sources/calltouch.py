"""Calltouch: calls with the visits that led to them, and forms."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sources.http_client import HttpClient
from sources.http_source import HttpSource
from sources.mapping import Mapping
from sources.records import json_records, read_json_array
from sources.source import Answer, Days, Part, Workshop

CALLS, VISITS, FORMS = "calls", "visits", "forms"
MOST_PAGES = 100_000


class Calltouch(HttpSource):
    """A site. Calls are asked for by day and page, and told with their number; forms by day, without one."""

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

    def read(self, days: Days, workshop: Workshop) -> Iterator[Answer]:
        connection = workshop.connection
        with self.client(parameters=lambda token: {"clientApiId": token}) as client:
            for day in days:
                calls, total, received = self._calls(client, day, workshop)
                records = json_records(connection, calls)
                yield Answer(CALLS, Mapping.shipped("calltouch_calls"), records, (day,), total, received)
                visits = workshop.new_name("records")
                # A visit without a cookie of its own is of whoever called. What the call says beside is the call's.
                connection.execute(
                    f"""
                    create temporary table {visits} as
                    with calls as (
                        select position as call_position, record as call,
                            cast(json_extract(record, '$.mapVisits[*]') as json[]) as visits
                        from {calls}
                    ),
                    visits as (
                        select call_position, call, unnest(visits) as visit, generate_subscripts(visits, 1) as place
                        from calls
                    )
                    select
                        row_number() over (order by call_position, place) as position,
                        case when json_type(visit) = 'OBJECT' then json_merge_patch(visit, json_object('call', json_object(
                            'callId', call -> '$.callId', 'date', call -> '$.date', 'ctClientId', call -> '$.ctClientId',
                            'clientId', call -> '$.clientId', 'yaClientId', call -> '$.yaClientId'
                        ))) else visit end as record
                    from visits
                    """
                )
                yield Answer(
                    VISITS,
                    Mapping.shipped("calltouch_visits"),
                    json_records(connection, visits),
                    (day,),
                    total,
                    received,
                )
                forms, file = workshop.new_name("records"), workshop.new_file("forms")
                client.json_file(
                    f"/calls-service/RestAPI/{self.site_id}/requests",
                    {"dateFrom": day.strftime("%m/%d/%Y"), "dateTo": day.strftime("%m/%d/%Y")},
                    file,
                    kinds=[list],
                )
                read_json_array(connection, [file], forms)
                yield Answer(FORMS, Mapping.shipped("calltouch_forms"), json_records(connection, forms), (day,))

    def _calls(self, client: HttpClient, day: date, workshop: Workshop) -> tuple[str, int, int]:
        """A relation of a day's calls, how many it says there are, and how many came.

        Calls that arrive while pages are read shift them, so pages that don't hold all are read again.
        """
        relation = workshop.new_name("records")
        total = received = 0
        for _ in range(self.readings):
            files, total = self._pages(client, day, workshop)
            read_json_array(workshop.connection, files, relation, "$.records")
            row = workshop.connection.execute(
                f"""
                select count(distinct record ->> '$.callId') + count(*) filter (record ->> '$.callId' is null)
                from {relation}
                """
            ).fetchone()
            received = int(row[0]) if row else 0
            if received == total:
                break
        return relation, total, received

    def _pages(self, client: HttpClient, day: date, workshop: Workshop) -> tuple[list[Path], int]:
        files: list[Path] = []
        total = 0
        for number in range(1, MOST_PAGES):
            files.append(workshop.new_file("page"))
            page = client.json_file(
                f"/calls-service/RestAPI/{self.site_id}/calls-diary/calls",
                {
                    "dateFrom": day.strftime("%d/%m/%Y"),
                    "dateTo": day.strftime("%d/%m/%Y"),
                    "page": str(number),
                    "limit": str(self.page_size),
                    "withMapVisits": "true",
                },
                files[-1],
                kinds=[dict],
            )
            total = _count(page.get("recordsTotal"), total)
            if number >= _count(page.get("pageTotal"), 0) or not page.get("records"):
                break
        return files, total


def _count(told: object, otherwise: int) -> int:
    return int(told) if isinstance(told, int | str) and str(told).isdigit() else otherwise
