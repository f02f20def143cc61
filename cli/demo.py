"""`demo`: deliveries to try the project on."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.output import console
from cli.summary import describe_period
from demo.deliveries import write_demo
from pipeline.wording import counted


def demo(
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="The landing folder to write to.")],
    days: Annotated[int, typer.Option(min=1, max=36_500, help="How many days of deliveries.")] = 30,
    touches: Annotated[int, typer.Option(min=1, help="About how many touches in all.")] = 60_000,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Another number makes other data.")] = 1,
    last_day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last of these days; yesterday by default.")
    ] = None,
) -> None:
    """Write believable deliveries of a made-up window company with several sites."""
    written = write_demo(out, days=days, touches=touches, seed=seed, last_day=last_day.date() if last_day else None)
    rows = ", ".join(f"{table} {count:,}" for table, count in written.rows.items())
    console.print(
        escape(
            f"{out}: {counted(written.files, 'delivery')} of {counted(written.days, 'day')}, "
            f"{describe_period(written.first_day, written.last_day)}; rows: {rows}"
        )
    )
