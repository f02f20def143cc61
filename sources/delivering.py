"""Turns extracts into deliveries: one file per dataset and day in the landing folder, complete or absent."""

import filecmp
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.contracts import Column, ReadingMacros, delivered_tables, reading_macros
from pipeline.settings import Rules
from pipeline.warehouse import sync
from pipeline.wording import counted, listed, shortened
from sources.mapping import FILLED_BY_SOURCE, ID_OF, ISO, OWN_NAMES, TIME_OF, UNPARSABLE, ColumnMapping, MappedQuery
from sources.source import ROWS_PER_FILE, Days, Extract, FetchContext, RefusedError, Source

log = logging.getLogger("multichannel")

# How amounts in millionths stand out: no click costs this much, nor does a campaign's day (where no clicks are given).
ABSURD_COST_PER_CLICK = 100_000
ABSURD_COST, MICROS_OF_A_HUNDREDTH = 1_000_000, 10_000


@dataclass(frozen=True)
class Fetched:
    """The result for one dataset and day. `outcome` is delivered, unchanged (the same bytes as before) or failed."""

    source: str
    dataset: str
    table: str
    day: date
    outcome: str
    message: str | None = None
    row_count: int = 0
    previous_row_count: int | None = None
    file: Path | None = None
    totals: str = "not given"
    totals_agree: bool = True
    doubt: str | None = None
    """Why records may be missing although no total says so."""
    counts: dict[str, int] = field(default_factory=dict)
    """Records of the whole extract that are in no delivery, by reason."""
    notes: dict[str, int] = field(default_factory=dict)
    """Delivered records of the whole extract that are worth a remark, by remark."""
    unknown_fields: tuple[str, ...] = ()
    absent_fields: tuple[str, ...] = ()

    @property
    def has_become_less(self) -> bool:
        return (
            self.outcome == "delivered"
            and self.previous_row_count is not None
            and self.row_count < self.previous_row_count
        )

    @property
    def problem(self) -> str | None:
        """What the user must act on, if anything."""
        if self.outcome == "failed":
            return self.message
        if self.doubt:
            return f"is delivered, but some may be missing: {self.doubt}"
        return None if self.totals_agree else f"is delivered, but {self.totals} came"


def explained_problems(results: Iterable[Fetched]) -> list[str]:
    """What the user must act on: each problem once, with the datasets and days it affects."""
    found: dict[tuple[str, str], list[Fetched]] = {}
    for fetched in results:
        if fetched.problem:
            found.setdefault((fetched.source, fetched.problem), []).append(fetched)
    return [
        f"{source}, {', '.join(dict.fromkeys(fetched.dataset for fetched in about))} of "
        f"{shortened(sorted({str(fetched.day) for fetched in about}))}: {problem}"
        for (source, problem), about in found.items()
    ]


def delivery_file(landing_dir: Path, source: str, dataset: str, table: str, day: date) -> Path:
    return landing_dir / table / str(day) / f"{source}-{dataset}.parquet"


def is_of_a_whole_day(file: Path, end_of_day: datetime) -> bool:
    """Whether the file was written after the day had ended."""
    return file.stat().st_mtime >= end_of_day.timestamp()


def deliver(source: Source, extract: Extract, context: FetchContext, landing_dir: Path) -> Iterator[Fetched]:
    """Writes each day of an extract into its folder. A file with the same bytes stays untouched."""
    connection, rules, mapping = context.connection, context.rules, extract.mapping
    query, rows = _mapped_rows(source, extract, context)
    _assign_days(connection, rows, extract.days)
    counts = _set_apart(connection, rows, mapping.table, extract)
    unreadable = None if extract.is_of_its_day else _unreadable(connection, rows, query)
    readable_days = _readable_days(connection, rows)
    if unreadable:
        log.warning("%s, %s: %s: delivered, to be rejected", source.name, extract.dataset, unreadable)
    if mapping.table == "costs" and (problem := _micros(connection, rows, query)):
        log.warning("%s: %s", source.name, problem)
    columns = [*query.columns, *query.unknown_columns]
    disagree = extract.total is not None and extract.total != extract.received
    doubt = extract.doubt if extract.total is None else None
    totals = (
        "not given"
        if extract.total is None
        else f"{extract.received:,} of {extract.total:,} {extract.unit}"
        if disagree
        else f"all {extract.total:,} {extract.unit}"
    )
    for day in extract.days:
        fetched = Fetched(
            source.name,
            extract.dataset,
            mapping.table,
            day,
            "delivered",
            totals=totals,
            totals_agree=not disagree and doubt is None,
            doubt=doubt,
            counts=counts,
            notes=dict(extract.notes),
            unknown_fields=tuple(query.unknown_columns),
            absent_fields=tuple(query.absent_fields),
        )
        if (doubt or (disagree and extract.total_is_sure)) and not source.deliver_despite_difference:
            missing = (
                doubt or f"{extract.received:,} {extract.unit} came of the {extract.total:,} that it says there are"
            )
            yield replace(
                fetched,
                outcome="failed",
                message=f"{missing}: nothing of it "
                "is delivered, what was delivered before stays. Fetch again later; if it goes on, ask who runs the service, or "
                "set `deliver_despite_difference: true` for this source",
            )
            continue
        file = delivery_file(landing_dir, source.name, extract.dataset, mapping.table, day)
        previous_row_count = _row_count(connection, file)
        if previous_row_count and unreadable and day not in readable_days:
            # The unreadable rows may be the whole day: never replace a delivery by nothing.
            yield replace(
                fetched,
                outcome="failed",
                message=f"no row of it can be read, and {unreadable}: what was delivered before stays. Mend the mapping or the file, or export it again",
                previous_row_count=previous_row_count,
            )
            continue
        yield _write(connection, source.end_of(day, rules), rows, columns, replace(fetched, file=file))
    connection.execute(f"drop table {rows}")


def held_days(source: Source, extract: Extract, context: FetchContext) -> Days:
    """The days of an extract's records. Raises RefusedError if there are none."""
    _, rows = _mapped_rows(source, extract, context)
    found = context.connection.execute(
        f"select distinct told_day from {rows} where is_wanted and told_day is not null order by told_day"
    ).fetchall()
    context.connection.execute(f"drop table {rows}")
    if not found:
        raise RefusedError("no row says a day: there is nothing to deliver")
    return tuple(day for (day,) in found)


def _mapped_rows(source: Source, extract: Extract, context: FetchContext) -> tuple[MappedQuery, str]:
    """Maps an extract's records into a table of our columns. Raises RefusedError if the mapping can't read them."""
    rules, mapping = context.rules, extract.mapping
    query = MappedQuery(
        mapping,
        extract.records,
        lambda zone: zone_macros(rules, zone),
        time_zone=source.times_without_offset_are_in(rules),
        day_zone=source.days_are_in(rules),
        prefix="" if source.keeps_ids else f"{source.delivered_by}:",
        # Costs belong to no particular site unless the settings or the rows name one.
        widget_id=source.site if mapping.table == "costs" else source.own_site,
        delivered_by=source.delivered_by,
    )
    rows = context.new_name("rows")
    context.connection.execute(
        f"create temporary table {rows} as {query.rows(extract.days[0] if extract.is_of_its_day else None)}"
    )
    if extract.mapping_name:
        _check_readable(context, rows, query, extract)
        _warn_of_unreadable(context, rows, query, extract, source.name)
    return query, rows


def _check_readable(context: FetchContext, rows: str, query: MappedQuery, extract: Extract) -> None:
    """Checks that the mapping takes some rows, and that each file has a readable value for every required column."""
    connection, mapping = context.connection, extract.mapping
    parsed = f"{sql.identifier(UNPARSABLE)} is null"
    row_count, kept_count, wanted_count = connection.execute(
        f"""
        select count(*), count(*) filter (not is_left_out), count(*) filter (is_wanted)
        from {rows} where {parsed}
        """
    ).fetchone() or (0, 0, 0)
    # A single day may hold only rows that are left out, such as its total; all days together must hold more.
    if not wanted_count and (kept_count or (row_count and not extract.is_of_its_day)):
        settings = [name for name in ("only", "leave_out", "only_with") if getattr(mapping, name)]
        raise RefusedError(
            f"{extract.mapping_name} takes nothing of {counted(row_count, 'row')}: {listed(f'`{name}`' for name in settings)} "
            f"{'leave' if len(settings) > 1 else 'leaves'} all out. Mend the mapping, or export what it takes; nothing is delivered"
        )
    for column in delivered_tables()[mapping.table].required_columns:
        mapped = mapping.columns.get(column.name)
        if mapped is None or mapped.constant is not None or column.name in FILLED_BY_SOURCE or column.type == "word":
            continue
        own_zone = zone_macros(context.rules, query.time_zone)
        is_readable = f"({own_zone.read(column)}) is not null"
        found = connection.execute(
            f"""
            select min(export_file), min_by(export_row, record_position), min_by({column.name}, record_position)
            from (
                select *, {is_readable} as is_readable, record_position // {ROWS_PER_FILE} as file_number
                from {rows} where is_wanted and {parsed}
            )
            group by file_number having not bool_or(is_readable)
            order by file_number limit 1
            """
        ).fetchone()
        if found:
            raise RefusedError(_unreadable_column(column, mapped, extract, *found))


def _warn_of_unreadable(context: FetchContext, rows: str, query: MappedQuery, extract: Extract, source: str) -> None:
    """Warns of optional columns without a readable value, and of unknown words: such rows lose the value or are rejected."""
    macros = zone_macros(context.rules, query.time_zone)
    for column in delivered_tables()[extract.mapping.table].columns:
        mapped = extract.mapping.columns.get(column.name)
        if mapped is None or mapped.constant is not None or column.type == "text":
            continue
        words = column.known_words(context.rules) if column.type == "word" else ()
        if column.is_required and not words:
            continue
        is_readable = (
            f"lower({column.name}) in ({', '.join(sql.literal(word) for word in words)})"
            if words
            else f"({macros.read(column)}) is not null"
        )
        unread, read, value, row, file = context.connection.execute(
            f"""
            select count(*) filter (not is_readable), count(*) filter (is_readable),
                min_by(value, record_position) filter (not is_readable),
                min_by(export_row, record_position) filter (not is_readable),
                min_by(export_file, record_position) filter (not is_readable)
            from (
                select {column.name} as value, record_position, export_row, export_file, {is_readable} as is_readable
                from {rows} where is_wanted and {sql.identifier(UNPARSABLE)} is null and {column.name} is not null
            )
            """
        ).fetchone() or (0, 0, None, None, None)
        if unread and (words or not read):
            expected = f"one of {', '.join(words)}: add it to `words`" if words else _expected(column, mapped)
            log.warning(
                "%s: %s has %s whose %s can't be read, as %r in row %s; %s expects %s",
                source, file, counted(unread, "row"), column.name, value[:100], row, extract.mapping_name, expected,
            )  # fmt: skip


def _unreadable_column(
    column: Column, mapped: ColumnMapping, extract: Extract, file: str, row: str, value: str | None
) -> str:
    fields = " or ".join(
        " + ".join(f"«{name}»" for name in ((parts,) if isinstance(parts, str) else parts))
        for parts in mapped.alternatives
    )
    if value is None:
        return (
            f"{file} has no value of {column.name} in any row: {fields} {'are' if len(list(mapped.fields)) > 1 else 'is'} empty, "
            f"or says what means no value. Mend {extract.mapping_name}, or export the file again; nothing is delivered"
        )
    return (
        f"{file} has no row whose {column.name} can be read: {fields} is {value[:100]!r} in row {row}, and {extract.mapping_name} "
        f"expects {_expected(column, mapped)}. Mend the mapping, or export the file as before; nothing is delivered"
    )


def _expected(column: Column, mapped: ColumnMapping) -> str:
    if column.type in (time.type for time in map(_time_column, TIME_OF)):
        iso = "2026-11-20" if column.type == "date" else "2026-11-20 10:00:00"
        return ", or ".join([*(written for written in mapped.format if written != ISO), f"{ISO} ({iso})"])
    if column.type == "money":
        return f"a number like {'1 234,50' if mapped.decimal == ',' else '1234.50'}"
    return {"currency": "three letters"}.get(column.type, "a value")


def _time_column(table: str) -> Column:
    return next(column for column in delivered_tables()[table].columns if column.name == TIME_OF[table])


def zone_macros(rules: Rules, zone: str) -> ReadingMacros:
    """The reading macros with another zone for times without an offset."""
    return reading_macros(rules.model_copy(update={"report_timezone": zone}))


def _assign_days(connection: duckdb.DuckDBPyConnection, rows: str, days: Days) -> None:
    """Gives a record without a readable day the day of the nearest record before it, else after it, so that it is rejected once.

    Only the requested days count: what isn't delivered isn't counted as rejected.
    """
    unreadable = connection.execute(f"select count(*) from {rows} where record_day is null").fetchone()
    if unreadable and unreadable[0]:
        listed = ", ".join(f"date '{day}'" for day in days)
        connection.execute(
            f"""
            update {rows} set record_day = neighbours.day
            from (
                select record_position as position, told_day, coalesce(
                    last_value(asked_day ignore nulls) over (order by record_position rows between unbounded preceding and current row),
                    first_value(asked_day ignore nulls) over (order by record_position rows between current row and unbounded following),
                    date '{days[0]}'
                ) as day
                from (select *, case when told_day in ({listed}) then told_day end as asked_day from {rows})
            ) as neighbours
            where neighbours.told_day is null and record_position = neighbours.position
            """
        )


def _unreadable(connection: duckdb.DuckDBPyConnection, rows: str, query: MappedQuery) -> str | None:
    """Describes the records without a readable day, if any: their count and an example."""
    has_places = {"export_file", "export_row"} <= set(query.unknown_columns)
    place = "export_row || ' of ' || export_file" if has_places else "null"
    count, value, shown = connection.execute(
        f"""
        select count(*), min_by(day_text, record_position) filter (day_text is not null),
            min_by({place}, (day_text is null, record_position))
        from {rows} where told_day is null
        """
    ).fetchone() or (0, None, None)
    if not count:
        return None
    like = [f"like {value[:50]!r}"] if value else []
    like += [f"in row {shown}"] if shown else []
    return ", ".join([f"{counted(count, 'row')} {'say' if count > 1 else 'says'} no day that can be read", *like])


def _readable_days(connection: duckdb.DuckDBPyConnection, rows: str) -> set[date]:
    return {day for (day,) in connection.execute(f"select distinct told_day from {rows}").fetchall()}


def _micros(connection: duckdb.DuckDBPyConnection, rows: str, query: MappedQuery) -> str | None:
    """Detects costs in millionths of the currency, as the APIs of Yandex Direct and Google Ads give them.

    Such costs are whole numbers, and make clicks absurdly expensive. Where clicks are unknown, every amount is in the millions
    and ends in the zeros that hundredths leave: a campaign's day seldom costs a million, let alone every one.
    """
    macros = query.macros(query.time_zone)
    clicks = macros.whole_number("clicks") if "clicks" in query.columns else "null::bigint"
    found = connection.execute(
        f"""
        select
            max(amount), coalesce(sum(amount) filter (clicks > 0), 0), coalesce(sum(clicks), 0),
            coalesce(bool_and(amount = trunc(amount)), false),
            coalesce(bool_and(amount >= {ABSURD_COST} and amount % {MICROS_OF_A_HUNDREDTH} = 0), false)
        from (select {macros.money("amount")} as amount, {clicks} as clicks from {rows})
        where amount <> 0
        """
    ).fetchone()
    largest, clicked, click_count, are_whole, are_millions = found or (None, 0, 0, False, False)
    is_absurd = clicked >= ABSURD_COST_PER_CLICK * click_count if click_count else are_millions
    if largest is None or not are_whole or not is_absurd:
        return None
    each = f", {clicked / click_count:,.0f} a click" if click_count else ""
    return (
        f"the costs look like millionths of the currency: up to {largest:,.0f} in a row{each}. "
        "If they are, write `divide_by: 1000000` for `amount` in the mapping, and fetch again"
    )


def _set_apart(connection: duckdb.DuckDBPyConnection, rows: str, table: str, extract: Extract) -> dict[str, int]:
    """Drops and counts the records that belong in no delivery of these days."""
    id_column = ID_OF.get(table)
    days = ", ".join(f"date '{day}'" for day in extract.days)
    counts = {}
    for name, condition in {
        "of another kind": "not is_wanted",
        "of other days": f"record_day not in ({days})",
    }.items():
        counts[name] = _deleted(connection, f"delete from {rows} where {condition}")
    if id_column:
        # Independent of the order of arrival: another request returns the same records in another order.
        counts["delivered twice"] = _deleted(
            connection,
            f"""
            delete from {rows} where record_position in (
                select record_position from (
                    select record_position, row_number() over (
                        partition by {id_column}
                        order by record_rank desc, content desc, record_position
                    ) as version_rank
                    from (
                        select record_position, record_rank, {id_column}, {_content(connection, rows)} as content
                        from {rows}
                        where {id_column} in (
                            select {id_column} from {rows} where {id_column} is not null group by all having count(*) > 1
                        )
                    )
                )
                where version_rank > 1
            )
            """,
        )
    elif extract.records.rank:
        # Without an id, rows from two files would add up. A row without a day replaces none of another file.
        counts["of older files"] = _deleted(
            connection,
            f"""
            delete from {rows} where record_position in (
                select record_position from {rows}
                where told_day is not null
                qualify record_rank < max(record_rank) over (partition by told_day)
            )
            """,
        )
    return {name: count for name, count in counts.items() if count}


def _content(connection: duckdb.DuckDBPyConnection, rows: str) -> str:
    names = [name for name, *_ in connection.execute(f"describe {rows}").fetchall()]
    content_columns = [name for name in names if name not in OWN_NAMES]
    texts = ", ".join(f"coalesce({sql.identifier(name)}, '')" for name in content_columns)
    return f"concat_ws(chr(31), {texts})"


def _deleted(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def _write(
    connection: duckdb.DuckDBPyConnection, end_of_day: datetime, rows: str, columns: list[str], fetched: Fetched
) -> Fetched:
    """Writes a temporary file, in an order that depends only on the rows, then renames it."""
    file = fetched.file
    assert file is not None
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.part")
    listed = ", ".join(map(sql.identifier, columns))
    content = _content(connection, rows)
    id_column = ID_OF.get(fetched.table)
    # Ids are unique by now; only rows without one need their content as an order.
    order = (
        f"{id_column}, case when {id_column} is null then {content} end"
        if id_column
        else f"{sql.identifier(columns[0])}, {content}"
    )
    row = connection.execute(
        f"""
        copy (
            select {listed} from {rows} where record_day = date '{fetched.day}'
            order by {order}
        ) to {sql.literal(str(unfinished))} (format parquet, compression zstd)
        """
    ).fetchone()
    row_count = int(row[0]) if row else 0
    previous_row_count = _row_count(connection, file)
    if previous_row_count == row_count and _are_same(file, unfinished):
        fetched = replace(fetched, outcome="unchanged")
        # Unchanged, but by the old file's age the day would be requested again.
        is_older = not is_of_a_whole_day(file, end_of_day) and is_of_a_whole_day(unfinished, end_of_day)
        if not is_older:
            unfinished.unlink()
            return replace(fetched, row_count=row_count, previous_row_count=previous_row_count)
    sync(unfinished)
    os.replace(unfinished, file)
    sync(file.parent)
    return replace(fetched, row_count=row_count, previous_row_count=previous_row_count)


def _row_count(connection: duckdb.DuckDBPyConnection, file: Path) -> int | None:
    """The row count of a delivery; None if it is absent or damaged."""
    if not file.is_file():
        return None
    try:
        row = connection.execute(f"select num_rows from parquet_file_metadata({sql.literal(str(file))})").fetchone()
    except duckdb.Error:
        return None
    return int(row[0]) if row else None


def _are_same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)
