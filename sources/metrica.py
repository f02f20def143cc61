"""Yandex Metrica, Logs API: visits."""

import codecs
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline import sql
from sources.http_client import MOST_BYTES_IN_MEMORY, HttpClient
from sources.http_source import HttpSource
from sources.mapping import UNPARSABLE, Mapping
from sources.records import Records, table_records
from sources.source import (
    Days,
    Extract,
    FetchContext,
    RefusedError,
    SourceError,
    TooLargeError,
    UnreachableError,
    windows,
)

TAGS = ("Source", "Medium", "Campaign", "Content", "Term")
# Without an attribution in the name, Metrica fills empty tags from the last significant visit, even on another device.
OWN_TAGS = tuple(f"lastUTM{tag}" for tag in TAGS)
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
    *("referer", *OWN_TAGS, "regionCity", "deviceCategory", "goalsID", "watchIDs"),
)
PREFIX = "ym:s:"
MOST_FIELD_CHARACTERS = 3000
WAITED_FOR = ("created", "awaiting_retry", "")
CHUNK_BYTES = 2**20
# Parts go to disk, so they may exceed memory. The announced size may be the packed one: unpacked, allow this many times it.
MOST_PACKED = 20
OTHER_TAGS = "visits whose landing page has other tags than Metrica says"
# Characters that would break reading: NUL, and the one given to DuckDB as a delimiter that never occurs.
UNREADABLE = re.compile(r"[\0\1]")


ESCAPES = {
    "\\t": "chr(9)",
    "\\n": "chr(10)",
    "\\r": "chr(13)",
    "\\b": "chr(8)",
    "\\f": "chr(12)",
    "\\0": "chr(65533)",
    "\\'": "''''",
    '\\"': "'\"'",
}


class _NotPreparedError(SourceError):
    """Metrica did not prepare the order."""


class Metrica(HttpSource):
    """A counter. Visits are ordered for some days, prepared, then fetched in parts; today's are never available."""

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

    def read(self, days: Days, context: FetchContext) -> Iterator[Extract]:
        if len(self.fields) > MOST_FIELD_CHARACTERS:
            raise SourceError(
                f"more_fields are too many: all names together may have {MOST_FIELD_CHARACTERS:,} characters"
            )
        with self.client(headers=lambda token: {"Authorization": f"OAuth {token}"}) as client:
            self._release_what_was_left(client, context)
            for window in windows(days, self.days_per_request):
                yield from self._visits(client, window, context)

    def _visits(self, client: HttpClient, days: Days, context: FetchContext) -> Iterator[Extract]:
        asked = {"date1": str(days[0]), "date2": str(days[-1]), "source": "visits", "fields": self.fields}
        most_days = self._most_days(client.json(f"{self._base}/logrequests/evaluate", asked), len(days))
        if most_days < len(days):
            for part in windows(days, most_days):
                yield from self._visits(client, part, context)
            return
        number = self._order(client, asked, context)
        try:
            extract = self._prepared(client, number, days, context)
        except (_NotPreparedError, TooLargeError):
            if len(days) == 1:
                raise
            extract = None
        finally:
            self._release(client, number, context)
        if extract is None:
            # One day may be the cause: split, so that it blocks no other.
            for part in windows(days, (len(days) + 1) // 2):
                yield from self._visits(client, part, context)
            return
        yield extract
        context.clear(extract.records.relation)

    @property
    def _base(self) -> str:
        return f"/management/v1/counter/{self.counter_id}"

    def _request(self, number: str) -> str:
        return f"{self._base}/logrequest/{number}"

    def _order(self, client: HttpClient, asked: dict[str, str], context: FetchContext) -> str:
        """Places an order and notes its number: if the fetch is killed, the order would keep its share of the quota."""
        ordered = _log_request(client, client.json(f"{self._base}/logrequests", asked, method="POST"))
        number = str(ordered.get("request_id"))
        if not re.fullmatch(r"\d+", number, re.ASCII):
            raise SourceError(f"Metrica took the order and gave no number to fetch it by: {_shown(client, ordered)}")
        context.note(self._note(number))
        return number

    def _note(self, number: str) -> str:
        return f"metrica-{self.counter_id}-order-{number}"

    def _prepared(self, client: HttpClient, number: str, days: Days, context: FetchContext) -> Extract:
        ready = self._wait(client, self._request(number))
        parts = ready.get("parts") or []
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise SourceError(f"Metrica said something else than which parts there are: {_shown(client, parts)}")
        numbers = [str(part.get("part_number", place)) for place, part in enumerate(parts)]
        if not all(number.isdecimal() for number in numbers):
            raise SourceError(f"Metrica numbers parts by something else than numbers: {_shown(client, numbers)}")
        sizes = [part.get("size") for part in parts]
        # Sizes come per part, if at all.
        has_sizes = bool(sizes) and all(isinstance(size, int) and size > 0 for size in sizes)
        files, received = [], 0
        for part_number, size in zip(numbers, sizes, strict=True):
            files.append(context.new_file("part"))
            most_bytes = max(MOST_BYTES_IN_MEMORY, MOST_PACKED * size if has_sizes else 0)
            client.file(f"{self._request(number)}/part/{part_number}/download", files[-1], most_bytes)
            received += files[-1].stat().st_size
            _make_readable(files[-1])
            header = _header(files[-1])
            if header != _header(files[0]) or not set(header) & set(self.fields.split(",")):
                raise SourceError(f"a part doesn't begin with the names of its fields: {_shown(client, header)}")
        records = read_tab_separated(context, files, self.fields.split(","))
        context.clear(*files)
        return Extract(
            "visits",
            Mapping.shipped("metrica_visits"),
            records,
            days,
            total=sum(sizes) if has_sizes else None,
            received=received,
            unit="bytes",
            total_is_sure=False,  # undocumented whether packed or unpacked
            notes=_count_other_tags(context, records),
        )

    def _most_days(self, answer: Any, asked: int) -> int:
        """How many of the days can be ordered at once. Metrica's answer may be nonsense; then try all."""
        evaluation = answer.get("log_request_evaluation", answer) if isinstance(answer, dict) else {}
        most_days = evaluation.get("max_possible_day_quantity") if isinstance(evaluation, dict) else None
        return min(most_days, asked) if isinstance(most_days, int) and most_days > 0 else asked

    def _wait(self, client: HttpClient, request: str) -> dict[str, Any]:
        deadline = time.monotonic() + self.longest_preparation_seconds
        while True:
            ready = _log_request(client, client.json(request))
            status = str(ready.get("status", ""))
            if status == "processed":
                return ready
            if status not in WAITED_FOR:
                raise _NotPreparedError(
                    f"Metrica did not prepare the visits: its order is {_shown(client, status)}; fetch again"
                )
            if time.monotonic() > deadline:
                raise SourceError(
                    f"Metrica has not prepared the visits within {self.longest_preparation_seconds:,.0f} seconds; fetch again later"
                )
            time.sleep(self.poll_seconds)

    def _release(self, client: HttpClient, number: str, context: FetchContext) -> None:
        """Frees the quota: cleans a prepared order, cancels a pending one. If neither works, what was fetched stays valid."""
        for step in ("clean", "cancel"):
            try:
                client.json(f"{self._request(number)}/{step}", method="POST")
            except (UnreachableError, RefusedError):
                return
            except SourceError:
                continue
            break
        context.forget(self._note(number))

    def _release_what_was_left(self, client: HttpClient, context: FetchContext) -> None:
        """Releases the orders of killed fetches."""
        for note in context.notes(self._note("")):
            self._release(client, note.removeprefix(self._note("")), context)


def _shown(client: HttpClient, answer: Any) -> str:
    return client.beginning(str(answer).encode("utf-8", "replace"))


def _log_request(client: HttpClient, answer: Any) -> dict[str, Any]:
    found = answer.get("log_request", answer) if isinstance(answer, dict) else None
    if not isinstance(found, dict):
        raise SourceError(f"Metrica answered something else than the state of an order: {_shown(client, answer)}")
    return found


def _make_readable(file: Path) -> None:
    """Replaces invalid characters: a single one would make all days unreadable."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    readable = file.with_name(f"{file.name}.readable")
    with open(file, "rb") as content, open(readable, "wb") as sound:
        while chunk := content.read(CHUNK_BYTES):
            text_of_chunk = UNREADABLE.sub("\N{REPLACEMENT CHARACTER}", decoder.decode(chunk))
            sound.write(text_of_chunk.encode())
        sound.write(decoder.decode(b"", final=True).encode())
    os.replace(readable, file)


def _first_line(file: Path) -> str:
    with open(file, encoding="utf-8-sig") as content:
        return content.readline(CHUNK_BYTES).rstrip("\r\n")


def _header(file: Path) -> list[str]:
    return [name.strip('"') for name in _first_line(file).split("\t")]


def read_tab_separated(context: FetchContext, files: list[Path], names: list[str]) -> Records:
    """Reads tab-separated lines with backslash escapes; each file begins with a header.

    A line with another number of fields goes whole into the field `unparsable_line`.
    """
    relation = context.new_name("records")
    connection = context.connection
    header = _header(files[0]) if files else list(names)
    listed = ", ".join(sql.literal(str(file)) for file in files)
    first_lines = ", ".join(sorted({sql.literal(_first_line(file)) for file in files}))
    width = len(header)
    fields = ", ".join(
        f"case when is_parsable then {_meant(f'cells[{number + 1}]')} end as field_{number}" for number in range(width)
    )
    source = (
        f"""(
            select content as line, row_number() over () as position
            from read_csv([{listed}], columns = {{'content': 'varchar'}}, delim = chr(1), quote = '', escape = '',
                header = false, auto_detect = false, max_line_size = {8 * 2**20}, null_padding = true, new_line = '\\n')
        )"""
        if files
        else "(select ''::varchar as line, 0::bigint as position where false)"
    )
    connection.execute(
        f"""
        create temporary table {relation} as
        with lines as (
            select position, rtrim(line, chr(13)) as line, string_split(rtrim(line, chr(13)), chr(9)) as cells from {source}
        ),
        records as (
            select *, len(cells) = {width} as is_parsable from lines
            where line not in ('', {first_lines or "''"})
        )
        select position, {fields}, case when not is_parsable then line end as field_{width}
        from records
        """
    )
    shown = [name.removeprefix(PREFIX) for name in header]
    records = table_records(relation, [*shown, UNPARSABLE])
    if {"dateTime", "visitID"} <= set(shown):
        # A visit without a number gets no id, rather than one of the year alone.
        year = f"case when trim({records.fields['visitID']}) <> '' then left({records.fields['dateTime']}, 4) end"
        records = Records(relation, {**records.fields, "visitYear": year})
    return records


def _meant(cell: str) -> str:
    """Decodes a field: a value with quotes comes quoted, with inner quotes doubled, and escaped by backslashes.

    Quotes that still enclose the whole value are noise, from a tag that was written in quotes.
    """
    quoted = f"replace({cell}[2:-2], '\"\"', '\"')"
    plain = _unescaped(f'case when regexp_full_match({cell}, \'"([^"]|"")*"\') then {quoted} else {cell} end')
    return (
        f"case when not contains({cell}, '\"') then {_unescaped(cell)}"
        f' when regexp_full_match({plain}, \'(?s)"[^"]*"\') then ({plain})[2:-2] else {plain} end'
    )


def _unescaped(cell: str) -> str:
    plain = f"replace({cell}, '\\\\', chr(1))"
    for escaped, meant in ESCAPES.items():
        plain = f"replace({plain}, {sql.literal(escaped)}, {meant})"
    return f"case when contains({cell}, '\\') then replace({plain}, chr(1), '\\') else {cell} end"


def _count_other_tags(context: FetchContext, records: Records) -> dict[str, int]:
    """Counts visits whose tags differ from the landing page's: a redirect lost them, or Metrica took them from elsewhere."""
    fields = records.fields
    if not {"startURL", *OWN_TAGS} <= set(fields):
        return {}
    differs = " or ".join(
        f"{_compared(_tag(fields['startURL'], f'utm_{tag.lower()}'))} <> {_compared(fields[own])}"
        for tag, own in zip(TAGS, OWN_TAGS, strict=True)
    )
    row = context.connection.execute(f"select count(*) from {records.relation} where {differs}").fetchone()
    return {OTHER_TAGS: int(row[0])} if row and row[0] else {}


def _tag(url: str, name: str) -> str:
    written = f"replace(regexp_extract({url}, '(?i)^[^#]*?[?&;]{name}=([^&;#]*)', 1), '+', ' ')"
    return f"coalesce(try(url_decode({written})), {written})"


def _compared(tag: str) -> str:
    return f"lower(trim(coalesce({tag}, ''), ' \"'))"
