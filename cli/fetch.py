"""`fetch`: days from the sources of sources.yml into the landing folder."""

import logging
from datetime import date, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli.output import Problem, console, show_progress
from cli.summary import describe_period
from pipeline.capacity import translate_errors
from pipeline.notices import warn
from pipeline.settings import Rules, Settings, SettingsError, sources_file
from pipeline.warehouse import Warehouse
from pipeline.wording import counted

log = logging.getLogger("multichannel")


def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE", help="Names in sources.yml; all by default.")
    ] = None,
    from_: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day; what is due by default.")
    ] = None,
    to: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; yesterday by default.")
    ] = None,
) -> None:
    """Ask the sources of sources.yml for days, and write the answers as deliveries into the landing folder.

    Without --from and --to: the days of each source's reload window, and those missing since its first delivery in the landing
    folder; of exports, the days that the files hold. The exit code is 0 only if everything came.
    """
    show_progress()
    if problem := fetch_days(names or [], from_.date() if from_ else None, to.date() if to else None):
        raise Problem(problem)


def fetch_days(names: list[str], first_day: date | None, last_day: date | None) -> str | None:
    """Fetches from each source, even after another failed; returns what didn't come, if anything."""
    from sources.configuration import read_sources
    from sources.delivering import Fetched, explained_problems
    from sources.fetching import days_between, due_days, held_days
    from sources.fetching import fetch as fetch_source
    from sources.files import shared_file_warnings
    from sources.source import SourceError

    settings, rules, sources = Settings.read(), Rules.read(), read_sources()
    if not sources:
        raise SettingsError(f"There are no sources: name some in {sources_file()}; sources.example.yml shows how.")
    unknown = [name for name in names if name not in sources]
    if unknown:
        raise SettingsError(f"{sources_file()} has no source {', '.join(unknown)}; it has {', '.join(sources)}.")
    for warning in shared_file_warnings(sources.values(), names or sources):
        warn(warning)
    warehouse = Warehouse(settings.warehouse_dir)
    problems: list[str] = []
    results: list[Fetched] = []
    shown = Table("source", "data", "day", "outcome", "rows", "before", "the source's total", title="Fetched")
    with translate_errors(warehouse), warehouse.locked("fetch"):
        for source in (sources[name] for name in (names or sources)):
            latest = source.latest_day(rules)
            last = min(last_day or rules.yesterday(), latest)
            if last_day and last < last_day:
                log.warning("%s: days up to %s are fetched, later ones aren't there yet", source.name, last)
            first = max(first_day or last, rules.first_load_day)
            try:
                if first_day or last_day:
                    days = days_between(first, last)
                else:
                    held = held_days(source, rules, warehouse)
                    days = due_days(source, rules, settings.landing_dir) if held is None else held
            except SourceError as error:
                problems.append(f"{source.name}: {error}")
                continue
            if not days:
                problems.append(f"{source.name}: there is no day to fetch from {first} to {last}")
                continue
            log.info("%s: %s, %s", source.name, counted(len(days), "day"), describe_period(days[0], days[-1]))
            printed_counts: dict[str, dict[str, int]] = {}
            for fetched in fetch_source(source, days, rules, settings, warehouse):
                shown.add_row(
                    *(escape(text) for text in (fetched.source, fetched.dataset, str(fetched.day), fetched.outcome)),
                    f"{fetched.row_count:,}",
                    "" if fetched.previous_row_count is None else f"{fetched.previous_row_count:,}",
                    escape(fetched.totals),
                )
                if fetched.counts and fetched.counts != printed_counts.get(fetched.dataset):
                    printed_counts[fetched.dataset] = fetched.counts
                    left = ", ".join(f"{count:,} {name}" for name, count in fetched.counts.items())
                    log.info("%s, %s: not delivered: %s", fetched.source, fetched.dataset, left)
                if fetched.notes and fetched.notes not in [before.notes for before in results]:
                    noted = ", ".join(f"{count:,} {name}" for name, count in fetched.notes.items())
                    log.info("%s, %s: delivered: %s", fetched.source, fetched.dataset, noted)
                results.append(fetched)
    console.print(shown)
    return "\n".join([*problems, *explained_problems(results)]) or None
