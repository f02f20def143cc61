"""The page on the data itself, and the banners that every page has when something is wrong with it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.last_update import last_update
from pipeline.publishing import Publications
from pipeline.settings import Settings, day_due
from pipeline.warehouse import Warehouse, is_in_use
from report import queries
from report.choices import Choices
from report.elements import Node, element
from report.parts import Column, Row, facts, heading, notice, table
from report.reporting import Report

# For who can't see whether it still runs.
LONGEST_UPDATE = timedelta(hours=6)


def banners(report: Report) -> list[Node]:
    """What is wrong with the data: too old, not published, taken back."""
    words, generation = report.words, report.generation
    said = []
    due = day_due(generation.time_zone)
    if generation.data_through is None or generation.data_through < due:
        said.append(("warning", words("stale", day=words.day(generation.data_through) or "—", due=words.day(due))))
    outcome, update = _last_outcome(report)
    if update and outcome in ("failed", "interrupted"):
        said.append(("error", words(f"{outcome}_update", time=_local(report, update.at))))
    if _pinned() == generation.number:
        said.append(("warning", words("held_back", number=generation.number)))
    return [element("p", text, class_=f"banner {kind}", role="alert") for kind, text in said]


def _pinned() -> int | None:
    try:
        return Publications(Warehouse(Settings.read().warehouse_dir)).pinned()
    except OSError:  # as older versions left it, for their own user only
        return None


def _last_outcome(report: Report) -> tuple[str | None, Any]:
    """How the last update ended: `published`, `failed`, `started` (it runs) or `interrupted`; and what is known of it."""
    folder = Settings.read().warehouse_dir
    update = last_update(folder)
    if update is None:
        return None, None
    if update.outcome == "started":
        in_use = is_in_use(folder)
        if in_use is None:
            in_use = datetime.now(UTC) - update.at < LONGEST_UPDATE
        if in_use:
            return "started", update
        # It may have ended since it was read of.
        latest = last_update(folder) or update
        return ("interrupted" if latest == update else latest.outcome), latest
    return update.outcome, update


def _local(report: Report, instant: datetime) -> str:
    return report.words.time(instant.astimezone(ZoneInfo(report.generation.time_zone)))


def show(report: Report) -> None:
    Choices("data", {}, report.parameters()).keep()
    words, generation = report.words, report.generation
    outcome, update = _last_outcome(report)
    said_of_update = [
        words.of("outcome", outcome),
        _local(report, update.at) if update else None,
        report.generation.mask.text(update.message or "") if update and outcome == "failed" else None,
    ]
    report.show(
        heading(words("state")),
        facts(
            [
                (words("data_through"), element("strong", words.day(generation.data_through) or "—")),
                (words("generation"), words.number(generation.number)),
                (words("built_at"), _local(report, generation.meta["built_at"])),
                (words("last_update"), [element("span", text, class_="said") for text in said_of_update if text] or "—"),
                (words("time_zone"), generation.time_zone),
                (words("client_contacts_all"), words.number(generation.row_counts["journal"])),
            ],
            class_="facts client",
        ),
        _listed(report, "failed_loads", None, queries.FAILED_LOADS, "no_failed_loads", [
            Column(words("column_table"), lambda row: row["table_name"]),
            Column(words("column_load_day"), lambda row: words.day(row["load_day"]), class_="time"),
            Column(words("column_message"), lambda row: row["message"], class_="chain"),
        ]),
        _listed(report, "rejected", "rejected_note", queries.REJECTED, "nothing_rejected", [
            Column(words("column_table"), lambda row: row["table_name"]),
            Column(words("column_reject_reason"), lambda row: row["reason"]),
            Column(words("column_rows"), lambda row: words.number(row["row_count"]), is_number=True),
            Column(words("column_days"), lambda row: words.number(row["day_count"]), is_number=True),
            Column(words("column_last_day"), lambda row: words.day(row["last_day"]), class_="time"),
        ]),
        _listed(report, "unmapped", "unmapped_note", queries.unmapped(report.showing), "nothing_unmapped", [
            Column(words("column_kind"), lambda row: words.of("kind", row["kind"])),
            Column(words("column_widget"), lambda row: row["widget_id"]),
            Column(words("column_source"), lambda row: row["source"]),
            Column(words("column_medium"), lambda row: row["medium"]),
            Column(words("column_touches"), lambda row: words.number(row["touch_count"]), is_number=True),
            Column(words("column_contacts"), lambda row: words.number(row["contact_count"]), is_number=True),
            Column(words("column_last_contact"), lambda row: words.day(row["last_contact_date"]), class_="time"),
        ]),
        _listed(report, "large_clients", "large_clients_note", queries.large_clients(report.showing), None, [
            Column(words("column_client"), lambda row: element(
                "a", row["first_contact_id"], href=report.address("card", contact=row["first_contact_id"]), class_="leading")),
            Column(words("client_tied_by"), lambda row: row["tie"]),
            Column(words("column_contacts"), lambda row: words.number(row["contact_count"]), is_number=True),
            Column(words("column_touches"), lambda row: words.number(row["touch_count"]), is_number=True),
        ]),
        _listed(report, "last_runs", None, queries.BUILDS, None, [
            Column(words("column_started"), lambda row: words.time(row["started_at"]), class_="time"),
            Column(words("column_outcome"), lambda row: words.of("outcome", row["outcome"])),
            Column(words("generation"), lambda row: words.number(row["generation"]), is_number=True),
            Column(words("data_through"), lambda row: words.day(row["data_through"]), class_="time"),
            Column(words("column_reason"), lambda row: words("full_build", reason=row["reason"]) if row["is_full"] else words("what_changed")),
            Column(words("column_changed"), lambda row: _pair(report, row["changed_touch_count"], row["changed_contact_count"]), is_number=True),
            Column(words("column_affected"), lambda row: _pair(report, row["affected_client_count"], row["affected_contact_count"]), is_number=True),
        ]),
        key="state",
    )  # fmt: skip


def _pair(report: Report, one: int | None, other: int | None) -> str:
    return f"{report.words.number(one)} / {report.words.number(other)}"


def _listed(
    report: Report, title: str, note: str | None, query: str, if_none: str | None, columns: list[Column]
) -> list[Node]:
    """A heading and a table; where there are no rows, a word on it, or nothing at all."""
    words = report.words
    rows: list[Row] = report.generation.rows(query, {"zone": report.generation.time_zone} if "$zone" in query else None)
    if not rows:
        return [*heading(words(title)), notice(words(if_none))] if if_none else []
    noted = words(note) if note else None
    more = (
        [element("p", words("shown_first", n=words.number(len(rows))), class_="note")]
        if len(rows) == queries.LISTED
        else []
    )
    return [*heading(words(title), noted), table(words(title), columns, rows, words), *more]
