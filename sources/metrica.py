"""Yandex Metrica, Logs API: visits."""

import time
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sources.http_client import HttpClient
from sources.http_source import HttpSource
from sources.mapping import UNPARSABLE, Mapping
from sources.records import Records, table_records, text
from sources.source import Answer, Days, SourceError, Workshop, windows

FIELDS = (
    *(
        "visitID",
        "clientID",
        "dateTime",
        "dateTimeUTC",
        "startURL",
        "endURL",
        "pageViews",
        "visitDuration",
        "isNewUser",
    ),
    *("referer", "UTMSource", "UTMMedium", "UTMCampaign", "UTMContent", "UTMTerm", "regionCity", "deviceCategory"),
    *("goalsID", "watchIDs"),
)
PREFIX = "ym:s:"
MOST_FIELD_CHARACTERS = 3000
WAITED_FOR = ("created", "awaiting_retry", "")


class Metrica(HttpSource):
    """A counter. Visits are ordered for some days, prepared for a while, and fetched in parts; never today's."""

    kind: Literal["metrica"]
    counter_id: Annotated[str, Field(pattern=r"^\d+$")]
    url: str = "https://api-metrika.yandex.net"
    reload_days: int = 3  # visits close within so many days
    days_per_request: Annotated[int, Field(ge=1, le=365)] = 31
    more_fields: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_<>:]+$")], ...] = ()
    poll_seconds: Annotated[float, Field(gt=0, le=600)] = 10
    longest_preparation_seconds: Annotated[float, Field(gt=0)] = 4 * 3600

    datasets: ClassVar = {"visits": "touches"}

    @property
    def own_account(self) -> str:
        return self.account or self.counter_id

    @property
    def own_site(self) -> str:
        return self.site or self.counter_id

    @property
    def latest_day_offset(self) -> int:
        return 1

    @property
    def fields(self) -> str:
        names = dict.fromkeys([*FIELDS, *(name.removeprefix(PREFIX) for name in self.more_fields)])
        return ",".join(PREFIX + name for name in names)

    def read(self, days: Days, workshop: Workshop) -> Iterator[Answer]:
        if len(self.fields) > MOST_FIELD_CHARACTERS:
            raise SourceError(
                f"more_fields are too many: all names together may have {MOST_FIELD_CHARACTERS:,} characters"
            )
        with self.client(headers=lambda token: {"Authorization": f"OAuth {token}"}) as client:
            for window in windows(days, self.days_per_request):
                yield from self._visits(client, window, workshop)

    def _visits(self, client: HttpClient, days: Days, workshop: Workshop) -> Iterator[Answer]:
        base = f"/management/v1/counter/{self.counter_id}"
        asked = {"date1": str(days[0]), "date2": str(days[-1]), "source": "visits", "fields": self.fields}
        most_days = self._most_days(client.json(f"{base}/logrequests/evaluate", asked), len(days))
        if most_days < len(days):
            for part in windows(days, most_days):
                yield from self._visits(client, part, workshop)
            return
        ordered = _log_request(client.json(f"{base}/logrequests", asked, method="POST"))
        number = ordered.get("request_id")
        if not isinstance(number, int | str) or not str(number).isdigit():
            raise SourceError(f"Metrica took the order and gave no number to fetch it by: {str(ordered)[:200]}")
        request = f"{base}/logrequest/{number}"
        try:
            ready = self._wait(client, request)
            parts = ready.get("parts") or []
            numbers = [part.get("part_number", place) for place, part in enumerate(parts) if isinstance(part, dict)]
            files = []
            for part_number in numbers:
                files.append(workshop.new_file("part"))
                client.file(f"{request}/part/{int(part_number)}/download", files[-1])
            sizes = [part.get("size") for part in parts]
            # Sizes are told by part, if at all.
            is_told = bool(sizes) and all(isinstance(size, int) and size > 0 for size in sizes)
            records = read_tab_separated(workshop, files, self.fields.split(","))
            yield Answer(
                "visits",
                Mapping.shipped("metrica_visits"),
                records,
                days,
                total=sum(sizes) if is_told else None,
                received=sum(file.stat().st_size for file in files),
                unit="bytes",
                total_is_sure=False,  # of packed or of unpacked parts: no documentation says it
            )
        finally:
            self._clean(client, request)

    def _most_days(self, answer: Any, asked: int) -> int:
        """How many of the days can be ordered at once. Metrica has answered nonsense here, which is no reason not to ask."""
        evaluation = answer.get("log_request_evaluation", answer) if isinstance(answer, dict) else {}
        told = evaluation.get("max_possible_day_quantity") if isinstance(evaluation, dict) else None
        return min(told, asked) if isinstance(told, int) and told > 0 else asked

    def _wait(self, client: HttpClient, request: str) -> dict[str, Any]:
        deadline = time.monotonic() + self.longest_preparation_seconds
        while True:
            ready = _log_request(client.json(request))
            status = str(ready.get("status", ""))
            if status == "processed":
                return ready
            if status not in WAITED_FOR:
                raise SourceError(f"Metrica did not prepare the visits: its order is {status!r}; fetch again")
            if time.monotonic() > deadline:
                raise SourceError(
                    f"Metrica has not prepared the visits within {self.longest_preparation_seconds:,.0f} seconds; fetch again later"
                )
            time.sleep(self.poll_seconds)

    def _clean(self, client: HttpClient, request: str) -> None:
        """Gives the quota back. What was fetched is fetched, whether it works or not."""
        try:
            client.json(f"{request}/clean", method="POST")
        except SourceError:
            return


def _log_request(answer: Any) -> dict[str, Any]:
    found = answer.get("log_request", answer) if isinstance(answer, dict) else None
    if not isinstance(found, dict):
        raise SourceError(f"Metrica answered something else than the state of an order: {str(answer)[:200]}")
    return found


def read_tab_separated(workshop: Workshop, files: list, names: list[str]) -> Records:
    """Of lines of fields with tabs between and backslashes before what isn't meant so; each file names its fields first.

    Lines with another number of fields go whole into the field `unparsable_line`.
    """
    relation = workshop.new_name("records")
    connection = workshop.connection
    header = list(names)
    if files:
        with open(files[0], encoding="utf-8-sig", errors="replace") as content:
            header = content.readline().rstrip("\r\n").split("\t")
    if not set(header) & set(names):
        raise SourceError(f"the visits don't begin with the names of their fields: {str(header)[:200]}")
    listed = ", ".join(text(str(file)) for file in files)
    width = len(header)
    fields = ", ".join(
        f"case when is_parsable then {_unescaped(f'cells[{number + 1}]')} end as field_{number}"
        for number in range(width)
    )
    source = (
        f"""(
            select content as line, row_number() over () as position, filename
            from read_csv([{listed}], columns = {{'content': 'varchar'}}, delim = chr(1), quote = '', escape = '',
                header = false, auto_detect = false, filename = true, max_line_size = {8 * 2**20}, null_padding = true, new_line = '\\n')
        )"""
        if files
        else "(select ''::varchar as line, 0::bigint as position, ''::varchar as filename where false)"
    )
    connection.execute(
        f"""
        create temporary table {relation} as
        with lines as (
            select position, rtrim(line, chr(13)) as line, string_split(rtrim(line, chr(13)), chr(9)) as cells from {source}
        ),
        records as (
            select *, len(cells) = {width} as is_parsable from lines
            where line <> '' and line <> {text(chr(9).join(header))}
        )
        select position, {fields}, case when not is_parsable then line end as field_{width}
        from records
        """
    )
    shown = [name.removeprefix(PREFIX) for name in header]
    records = table_records(relation, [*shown, UNPARSABLE])
    if "dateTime" in shown:
        records = Records(relation, {**records.fields, "visitYear": f"left({records.fields['dateTime']}, 4)"})
    return records


def _unescaped(cell: str) -> str:
    plain = f"replace({cell}, '\\\\', chr(1))"
    for escaped, meant in (("\\t", "chr(9)"), ("\\n", "chr(10)"), ("\\r", "chr(13)"), ("\\'", "''''"), ('\\"', "'\"'")):
        plain = f"replace({plain}, {text(escaped)}, {meant})"
    return f"case when contains({cell}, '\\') then replace({plain}, chr(1), '\\') else {cell} end"
