"""`verify`, `rollback`, `resume` and `export`: commands for what is published."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from cli.output import Problem, console, show_progress
from pipeline import sql
from pipeline.capacity import translate_errors
from pipeline.marts import CHANNEL_ATTRIBUTION, MARTS
from pipeline.publishing import PublicationError, Publications
from pipeline.settings import Rules, Settings
from pipeline.warehouse import Warehouse


def verify(
    engine: Annotated[
        Literal["duckdb", "spark"] | None, typer.Option(help="The engine that rebuilds; by default the one in ENGINE.")
    ] = None,
) -> None:
    """Compare the marts, row by row, with a full rebuild beside them. Changes nothing."""
    from pipeline.verifying import verify as compare

    warehouse = Warehouse(Settings.read().warehouse_dir)
    show_progress()
    with translate_errors(warehouse), warehouse.locked("verify"):
        differences = compare(warehouse, Rules.read(), engine)
    if differences:
        raise Problem(
            "\n".join(map(str, differences))
            + "\n`load --full-refresh` puts it right. Please report it, with what was loaded lately."
        )
    console.print("No difference: the marts are what a full rebuild gives, row for row.")


def rollback(
    to: Annotated[int | None, typer.Option("--to", help="The generation; the one before by default.")] = None,
) -> None:
    """Move readers back to an earlier generation, and hold them there until `resume`."""
    warehouse = Warehouse(Settings.read().warehouse_dir)
    show_progress()
    with translate_errors(warehouse), warehouse.locked("rollback"):
        number = Publications(warehouse).rollback(to)
    console.print(f"Readers are at generation {number} until `resume`; loads go on and wait.")


def resume() -> None:
    """Let readers have the newest generation again after a rollback."""
    warehouse = Warehouse(Settings.read().warehouse_dir)
    show_progress()
    with translate_errors(warehouse), warehouse.locked("resume"):
        number = Publications(warehouse).resume()
    console.print(f"Readers are at generation {number}, and follow new ones.")


def export(
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="The folder to write to.")],
) -> None:
    """Write the published marts as Parquet files."""
    publications = Publications(Warehouse(Settings.read().warehouse_dir))
    current = publications.current()
    if current is None:
        raise PublicationError("Nothing is published yet: run a load first.")
    publications.meta(current)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"--out {out} can't be made ({error.strerror}): name a folder that you may write to") from None
    with publications.opened(current) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for mart in (*MARTS, CHANNEL_ATTRIBUTION):
            unfinished = out / f".{mart}.parquet.part"
            connection.execute(f"copy {mart} to {sql.literal(unfinished)} (format parquet, compression zstd)")
            os.replace(unfinished, out / f"{mart}.parquet")
            console.print(escape(f"{out / mart}.parquet"))
