"""From answers to deliveries: rows by our columns, a file per dataset and day in the landing folder, complete or absent."""

import filecmp
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

import duckdb

from orchestration.contracts import ReadingMacros, reading_macros
from orchestration.settings import Rules
from orchestration.warehouse import sync
from sources.mapping import ID_OF, OWN_NAMES, Selection
from sources.records import identifier, text
from sources.source import Answer, Source, Workshop


@dataclass(frozen=True)
class Fetched:
    """What became of one dataset of one day. `outcome` is delivered, unchanged (the same bytes as before) or failed."""

    source: str
    dataset: str
    table: str
    day: date
    outcome: str
    message: str | None = None
    row_count: int = 0
    former_row_count: int | None = None
    file: Path | None = None
    totals: str = "none told"
    totals_agree: bool = True
    counts: dict[str, int] = field(default_factory=dict)
    """Of the whole answer that the day is a part of: records by what became of those that are in no delivery."""
    unknown_fields: tuple[str, ...] = ()
    absent_fields: tuple[str, ...] = ()

    @property
    def has_become_less(self) -> bool:
        return (
            self.outcome == "delivered" and self.former_row_count is not None and self.row_count < self.former_row_count
        )

    @property
    def problem(self) -> str | None:
        """What a user must act on, if anything."""
        if self.outcome == "failed":
            return self.message
        return None if self.totals_agree else f"is delivered, but {self.totals} came"


def explained_problems(results: Iterable[Fetched]) -> list[str]:
    """What a user must act on: each problem once, with all that it is about."""
    found: dict[tuple[str, str], list[Fetched]] = {}
    for fetched in results:
        if fetched.problem:
            found.setdefault((fetched.source, fetched.problem), []).append(fetched)
    return [
        f"{source}, {', '.join(dict.fromkeys(fetched.dataset for fetched in about))} of "
        f"{shortened(sorted({str(fetched.day) for fetched in about}))}: {problem}"
        for (source, problem), about in found.items()
    ]


def shortened(days: list[str]) -> str:
    return ", ".join(days) if len(days) <= 10 else f"{', '.join(days[:5])}, … {days[-1]} ({len(days):,} days)"


def delivery_file(landing_dir: Path, source: str, dataset: str, table: str, day: date) -> Path:
    return landing_dir / table / str(day) / f"{source}-{dataset}.parquet"


def is_of_a_whole_day(file: Path, end_of_day: datetime) -> bool:
    """Whether it was written after the day, and not while the day went on."""
    return file.stat().st_mtime >= end_of_day.timestamp()


def deliver(source: Source, answer: Answer, workshop: Workshop, landing_dir: Path) -> Iterator[Fetched]:
    """Writes an answer's days, each into its folder; a file that is there with the same bytes stays as it is."""
    connection, rules, mapping = workshop.connection, workshop.rules, answer.mapping
    selection = Selection(
        mapping,
        answer.records,
        lambda zone: zone_macros(rules, zone),
        time_zone=source.times_without_offset_are_in(rules),
        day_zone=source.days_are_in(rules),
        prefix="" if source.keeps_ids else f"{source.delivered_by}:",
        # A cost is of no site in particular unless something says so.
        widget_id=source.site if mapping.table == "costs" else source.own_site,
        delivered_by=source.delivered_by,
    )
    rows = workshop.new_name("rows")
    connection.execute(
        f"create temporary table {rows} as {selection.rows(answer.days[0] if answer.is_of_its_day else None)}"
    )
    _tell_days(connection, rows, answer.days[0])
    counts = _set_apart(connection, rows, mapping.table, answer)
    columns = [*selection.columns, *selection.unknown_columns]
    disagree = answer.total is not None and answer.total != answer.received
    totals = (
        "none told"
        if answer.total is None
        else f"{answer.received:,} of {answer.total:,} {answer.unit}"
        if disagree
        else f"all {answer.total:,} {answer.unit}"
    )
    for day in answer.days:
        fetched = Fetched(
            source.name,
            answer.dataset,
            mapping.table,
            day,
            "delivered",
            totals=totals,
            totals_agree=not disagree,
            counts=counts,
            unknown_fields=tuple(selection.unknown_columns),
            absent_fields=tuple(selection.absent_fields),
        )
        if disagree and answer.total_is_sure and not source.deliver_despite_difference:
            yield replace(
                fetched,
                outcome="failed",
                message=f"{answer.received:,} {answer.unit} came of the {answer.total:,} that it says there are: nothing of it "
                "is delivered, what was delivered before stays. Fetch again later; if it goes on, ask who runs the service, or "
                "set `deliver_despite_difference: true` for this source",
            )
            continue
        file = delivery_file(landing_dir, source.name, answer.dataset, mapping.table, day)
        yield _write(connection, source.end_of(day, rules), rows, columns, replace(fetched, file=file))
    connection.execute(f"drop table {rows}")


def zone_macros(rules: Rules, zone: str) -> ReadingMacros:
    """How text becomes a value where times without an offset are in another zone."""
    return reading_macros(rules.model_copy(update={"report_timezone": zone}))


def _tell_days(connection: duckdb.DuckDBPyConnection, rows: str, otherwise: date) -> None:
    """A record whose day can't be read is of the day of the record before it or, without one, after it: it is to be set aside once."""
    unreadable = connection.execute(f"select count(*) from {rows} where record_day is null").fetchone()
    if unreadable and unreadable[0]:
        connection.execute(
            f"""
            update {rows} set record_day = neighbours.day
            from (
                select record_position as position, told_day, coalesce(
                    last_value(told_day ignore nulls) over (order by record_position rows between unbounded preceding and current row),
                    first_value(told_day ignore nulls) over (order by record_position rows between current row and unbounded following),
                    date '{otherwise}'
                ) as day
                from {rows}
            ) as neighbours
            where neighbours.told_day is null and record_position = neighbours.position
            """
        )


def _set_apart(connection: duckdb.DuckDBPyConnection, rows: str, table: str, answer: Answer) -> dict[str, int]:
    """Drops what no delivery of these days is to hold, and counts it."""
    id_column = ID_OF.get(table)
    days = ", ".join(f"date '{day}'" for day in answer.days)
    counts = {}
    for name, condition in {
        "of another kind": "not is_wanted",
        "of other days": f"record_day not in ({days})",
    }.items():
        counts[name] = _deleted(connection, f"delete from {rows} where {condition}")
    if id_column:
        # Without regard to the order in which they came: asked again, the answer has the same records in another one.
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
    elif answer.records.rank:
        # Rows without an id that are told twice would add up. What tells no day says nothing of what others tell.
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
    told = [name for name in names if name not in OWN_NAMES]
    texts = ", ".join(f"coalesce({identifier(name)}, '')" for name in told)
    return f"concat_ws(chr(31), {texts})"


def _deleted(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def _write(
    connection: duckdb.DuckDBPyConnection, end_of_day: datetime, rows: str, columns: list[str], fetched: Fetched
) -> Fetched:
    """Written aside, in an order that depends on nothing but the rows, then renamed."""
    file = fetched.file
    assert file is not None
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.part")
    listed = ", ".join(map(identifier, columns))
    content = _content(connection, rows)
    id_column = ID_OF.get(fetched.table)
    # An id that there is, is there once: only of rows without one it takes more to tell them apart.
    order = (
        f"{id_column}, case when {id_column} is null then {content} end"
        if id_column
        else f"{identifier(columns[0])}, {content}"
    )
    row = connection.execute(
        f"""
        copy (
            select {listed} from {rows} where record_day = date '{fetched.day}'
            order by {order}
        ) to {text(str(unfinished))} (format parquet, compression zstd)
        """
    ).fetchone()
    row_count = int(row[0]) if row else 0
    former_row_count = _row_count(connection, file)
    if former_row_count == row_count and _are_same(file, unfinished):
        fetched = replace(fetched, outcome="unchanged")
        # The same, but by its age the day would be asked for once more.
        is_older = not is_of_a_whole_day(file, end_of_day) and is_of_a_whole_day(unfinished, end_of_day)
        if not is_older:
            unfinished.unlink()
            return replace(fetched, row_count=row_count, former_row_count=former_row_count)
    sync(unfinished)
    os.replace(unfinished, file)
    sync(file.parent)
    return replace(fetched, row_count=row_count, former_row_count=former_row_count)


def _row_count(connection: duckdb.DuckDBPyConnection, file: Path) -> int | None:
    """Of a delivery that is there; none if there is none, or it is damaged."""
    if not file.is_file():
        return None
    try:
        row = connection.execute(f"select num_rows from parquet_file_metadata({text(str(file))})").fetchone()
    except duckdb.Error:
        return None
    return int(row[0]) if row else None


def _are_same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)
