"""The command `multichannel`: all its commands, and how it reports failures."""

import atexit
import io
import os
import sys
from contextlib import suppress
from typing import NoReturn

import duckdb
import typer
from rich.markup import escape

from cli.demo import demo
from cli.fetch import fetch
from cli.generations import export, resume, rollback, verify
from cli.load import load, update
from cli.look import look
from cli.output import Problem, errors
from cli.status import rejected, status
from pipeline.alerts import alert
from pipeline.capacity import ResourcesError
from pipeline.notices import environment_warnings
from pipeline.publishing import PublicationError
from pipeline.settings import SettingsError
from pipeline.updating import BuildFailedError
from pipeline.warehouse import DamageError, WarehouseBusyError

app = typer.Typer(
    name="multichannel",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Which channels led clients to call: load deliveries, build and publish the marts, look after them.",
)
for command in (load, fetch, update, status, rejected, look, verify, rollback, resume, export, demo):
    app.command()(command)


@app.callback()
def warn_of_misspelled_settings() -> None:
    """Before any command, so that a failure by a misspelled setting doesn't hide it."""
    # What can't be read, the command itself reports.
    with suppress(SettingsError):
        for warning in environment_warnings():
            errors.print(f"[yellow]Warning:[/] {escape(warning)}")


# Errors whose message is enough. Any other is a bug of this project, and needs the traceback.
EXPECTED = (
    SettingsError, ResourcesError, PublicationError, BuildFailedError, DamageError, WarehouseBusyError, Problem,
    ValueError, duckdb.Error, OSError,
)  # fmt: skip
# Commands that run unattended.
ALERTING = ("load", "update", "fetch")


def main() -> None:
    # A terminal that can't show a letter shows its code.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
    except Exception as problem:
        if sys.argv[1:2] and sys.argv[1] in ALERTING:
            alert(f"{sys.argv[1]} failed: {problem}")
        if not isinstance(problem, EXPECTED):
            raise
        errors.print(f"[bold red]Failed:[/] {escape(str(problem))}")
        sys.exit(1)


def run() -> NoReturn:
    """The command and the end of its process, without freeing what it held: half a second after a build."""
    exit_code: int | str | None = 0
    try:
        main()
    except SystemExit as end:
        exit_code = end.code
    with suppress(OSError):  # nobody may be listening any more
        sys.stdout.flush()
        sys.stderr.flush()
    # What Python does at the end of a process but for freeing its memory; without it, dbt's locks are warned of as leaked.
    atexit._run_exitfuncs()
    os._exit(exit_code if isinstance(exit_code, int) else int(exit_code is not None))
