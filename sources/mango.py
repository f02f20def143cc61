"""MANGO OFFICE call tracking: calls, and the visit behind each call."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from pipeline import sql
from pipeline.settings import PROJECT_DIR, Rules
from sources.http_client import HttpClient
from sources.http_source import HttpSource
from sources.mapping import Mapping
from sources.records import Records, json_records, read_json_array
from sources.source import Days, Extract, FetchContext, Part, TooLargeError, windows

CALLS, CALL_VISITS = "calls", "call_visits"


class Mango(HttpSource):
    """A widget. Its calls are requested by UTC minutes, and come as one array, newest first, without a total."""

    kind: Literal["mango"]
    widget_id: Part
    authorization: Literal["header", "parameter"] = "header"
    url: str = "https://widgets-api.mango-office.ru"
    reload_days: int = 2

    datasets: ClassVar = {CALLS: "contacts", CALL_VISITS: "touches"}
    days_per_request: ClassVar = 30  # 31 times 24 hours at most: an hour more, where clocks are set back

    @property
    def own_account(self) -> str:
        return self.account or self.widget_id

    @property
    def own_site(self) -> str:
        return self.site or self.widget_id

    def times_without_offset_are_in(self, rules: Rules) -> str:
        return self.time_zone or "UTC"

    def days_are_in(self, rules: Rules) -> str:
        return rules.report_timezone

    def read(self, days: Days, context: FetchContext) -> Iterator[Extract]:
        zone = ZoneInfo(context.rules.report_timezone)
        in_header = self.authorization == "header"
        with self.client(
            headers=(lambda token: {"Authorization": f"Bearer {token}"}) if in_header else None,
            parameters=None if in_header else (lambda token: {"access_token": token}),
        ) as client:
            for window in windows(days, self.days_per_request):
                yield from self._calls(client, window, zone, context)

    def _calls(self, client: HttpClient, days: Days, zone: ZoneInfo, context: FetchContext) -> Iterator[Extract]:
        file, relation = context.new_file("calls"), context.new_name("records")
        try:
            client.json_file(
                f"/v1/calltracking/{self.widget_id}/calls",
                {
                    "dateStart": _minute(datetime.combine(days[0], time(), zone)),
                    # It is unknown whether the end is inclusive; calls of other days are dropped later.
                    "dateEnd": _minute(datetime.combine(days[-1] + timedelta(days=1), time(), zone)),
                },
                file,
                kinds=[list],
            )
        except TooLargeError:
            if len(days) == 1:
                raise
            for part in windows(days, (len(days) + 1) // 2):
                yield from self._calls(client, part, zone, context)
            return
        read_json_array(context.connection, [file], relation)
        context.clear(file)
        records = json_records(context.connection, relation)
        yield Extract(CALLS, Mapping.shipped("mango_calls"), records, days)
        yield Extract(CALL_VISITS, Mapping.shipped("mango_call_visits"), _with_entry_tag(records), days)
        context.clear(relation)


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _with_entry_tag(records: Records) -> Records:
    """Adds a tag or click id of the entry page: it may reveal the channel where the fields are empty (R11)."""
    with open(PROJECT_DIR / "seeds/click_ids.csv", encoding="utf-8", newline="") as seed:
        parameters = "|".join(row["parameter"] for row in csv.DictReader(seed))
    pattern = sql.literal(f"(?i)[?&](?:{parameters}|utm_(?:source|medium|campaign|term|content))=([^&#]+)")
    tag = f"nullif(regexp_extract(record ->> '$.firstUrl', {pattern}, 1), '')"
    return Records(records.relation, {**records.fields, "entryTag": tag}, is_json=True)
