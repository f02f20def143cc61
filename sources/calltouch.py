"""Calltouch: calls with the visits that led to them, and forms."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sources.http_client import HttpClient
from sources.http_source import HttpSource
from sources.mapping import Mapping
from sources.records import json_records, read_json_array, text
from sources.source import Answer, Days, Part, SourceError, Workshop

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
                forms = self._forms(client, day, workshop)
                # Forms tell their instant: where the site's zone is another than `time_zone` says, some would be of neither day.
                records = json_records(connection, forms)
                yield Answer(FORMS, Mapping.shipped("calltouch_forms"), records, (day,), is_of_its_day=True)
                visits = self._visits(calls, forms, workshop)
                # Visits are as many as calls and forms tell of: where calls are missing, visits are.
                yield Answer(
                    VISITS,
                    Mapping.shipped("calltouch_visits"),
                    json_records(connection, visits),
                    (day,),
                    total,
                    received,
                    unit="calls",
                    is_of_its_day=True,
                )
                workshop.clear(calls, forms, visits)

    def _visits(self, calls: str, forms: str, workshop: Workshop) -> str:
        """A relation of the visits that calls and forms tell of, each with what tells whose it is."""
        relation = workshop.new_name("records")
        # A visit without a cookie of its own is of whoever made contact.
        ids = {"ctClientId": ["ctClientId"], "yaClientId": ["yaClientId"], "guaClientId": ["guaClientId", "clientId"]}
        told = ", ".join(
            f"{text(name)}, coalesce({', '.join(f'contact -> {text(path + field)}' for path in ('$.', '$.session.') for field in fields)})"
            for name, fields in ids.items()
        )
        workshop.connection.execute(
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
                            'requestId', contact -> '$.requestId', {told}
                        )))
                    else visit
                end as record
            from visits
            """
        )
        return relation

    def _forms(self, client: HttpClient, day: date, workshop: Workshop) -> str:
        """A relation of a day's forms."""
        relation, file = workshop.new_name("records"), workshop.new_file("forms")
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
        read_json_array(workshop.connection, [file], relation)
        workshop.clear(file)
        # The credential is the account's, which may have more sites.
        workshop.connection.execute(f"delete from {relation} where record ->> '$.siteId' <> {text(self.site_id)}")
        return relation

    def _calls(self, client: HttpClient, day: date, workshop: Workshop) -> tuple[str, int | None, int]:
        """A relation of a day's calls, how many it says there are, if it does, and how many came.

        Calls that arrive while pages are read shift them, so pages that don't hold all are read again.
        """
        relation = workshop.new_name("records")
        total, received = None, 0
        for _ in range(self.readings):
            files, total = self._pages(client, day, workshop)
            read_json_array(workshop.connection, files, relation, "$.records")
            workshop.clear(*files)
            row = workshop.connection.execute(
                f"""
                select count(distinct record ->> '$.callId') + count(*) filter (record ->> '$.callId' is null)
                from {relation}
                """
            ).fetchone()
            received = int(row[0]) if row else 0
            if total is None or received == total:
                break
        return relation, total, received

    def _pages(self, client: HttpClient, day: date, workshop: Workshop) -> tuple[list[Path], int | None]:
        files: list[Path] = []
        total = None
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
            if not isinstance(page.get("records"), list):
                # As if there were none, the day would become empty.
                said = client.beginning(files[-1].read_bytes())
                raise SourceError(f"Calltouch answered something else than a page of calls: {said}")
            told_total, last = _count(page.get("recordsTotal")), _count(page.get("pageTotal"))
            total = total if told_total is None else told_total
            # Where it doesn't say which page is the last, the one after it is empty.
            if not page["records"] or (last is not None and number >= last):
                break
        return files, total


def _count(told: object) -> int | None:
    return int(told) if isinstance(told, int | str) and str(told).isdecimal() else None
