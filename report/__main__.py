"""`python -m report`: serves the report on the published file."""

import errno
import io
import os
import socket
import sys
from typing import Annotated

import typer

from pipeline.notices import environment_warnings
from pipeline.publishing import Publications
from pipeline.settings import PROJECT_DIR, THIS_MACHINE, ReportSettings, Settings, SettingsError
from pipeline.warehouse import DamageError, Warehouse

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen; REPORT_HOST, 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="REPORT_PORT, 8501 by default.")] = None,
) -> None:
    """Serves the journal, the client card and the reports, read from WAREHOUSE_DIR/marts.duckdb, until it is stopped."""
    if host is not None:
        os.environ["REPORT_HOST"] = host
    if port is not None:
        os.environ["REPORT_PORT"] = str(port)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        warnings = environment_warnings()
        settings, report = Settings.read(), ReportSettings.read()
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    for warning in warnings:
        print(f"Warning: {warning}", file=sys.stderr, flush=True)
    if _is_taken(report.host, report.port):
        other = report.port + (1 if report.port < 65535 else -1)
        raise SystemExit(f"Port {report.port} is taken, perhaps by another report: choose one with REPORT_PORT={other}")
    try:
        Publications(Warehouse(settings.warehouse_dir)).readable()
    except DamageError as error:
        # It is served all the same: the next load may put it right.
        print(error, file=sys.stderr, flush=True)
    address = f"http://{f'[{report.host}]' if ':' in report.host else report.host}:{report.port}"
    print(f"The report on {settings.warehouse_dir / 'marts.duckdb'}: {address} (Ctrl+C stops it)", flush=True)
    if report.host not in THIS_MACHINE:
        print(
            f"It listens on {report.host}: anyone who reaches this port sees names and phones. "
            "Put a login in front of it, see docs/report.md.",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(PROJECT_DIR)}
    options: dict[str, list[object]] = {
        "server.address": [report.host],
        "server.port": [report.port],
        "server.allowedHosts": list(report.names),
    }
    arguments = [f"--{name}={value}" for name, values in options.items() for value in values]
    command = [sys.executable, "-m", "streamlit", "run", str(PROJECT_DIR / "report" / "server.py")]
    os.chdir(PROJECT_DIR)  # where .streamlit/config.toml is
    os.execve(sys.executable, [*command, *arguments], environment)


def _is_taken(host: str, port: int) -> bool:
    """Whether another program listens there. The server itself reports what else is wrong with the address."""
    is_ipv6 = ":" in host
    try:
        socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            dualstack_ipv6=is_ipv6 and socket.has_dualstack_ipv6(),
        ).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


app()
