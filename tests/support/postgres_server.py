"""A real PostgreSQL for tests and benchmarks: the machine's own, on a folder of its own."""

import ctypes
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

# Where Debian and others put a server, which isn't in PATH.
FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
# It refuses to run as root.
UNPRIVILEGED = ("postgres", "nobody")
SUPERUSER, USER, BASE = "owner", "reader", "crm"
# What an address has to write in another way, and what must show nowhere.
PASSWORD = "p@ss/w:rd %7&'x"
START_SECONDS = 60
PR_SET_PDEATHSIG = 1
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    # What a session doesn't set by itself shows.
    "timezone": "Asia/Vladivostok",
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "0",
    "lc_messages": "C",
}


def programs() -> Path:
    """The folder that PostgreSQL's programs are in. Without it the test is skipped, but where tests are to be complete, it fails."""
    in_path = shutil.which("postgres")
    found = [Path(in_path).resolve().parent] if in_path else []
    found += [folder for pattern in FOLDERS for folder in sorted(Path("/").glob(pattern[1:]), reverse=True)]
    complete = [folder for folder in found if all((folder / name).exists() for name in ("postgres", "initdb", "psql"))]
    if not complete:
        message = (
            f"there is no PostgreSQL server on this machine (looked in PATH, {', '.join(FOLDERS)}): "
            "`apt-get install postgresql`"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return complete[0]


def _as_unprivileged() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return user.pw_uid, user.pw_gid if user.pw_gid else grp.getgrnam(name).gr_gid
    raise AssertionError(f"PostgreSQL doesn't run as root, and there is no user {' or '.join(UNPRIVILEGED)}")


def _end_with_parent() -> None:
    """Also where the tests are killed. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class PostgresServer:
    """Listens on a Unix socket, where its superuser needs no password, and on 127.0.0.1, where all need one."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder, self.port = programs, folder, free_port()
        self.data, self.log = folder / "data", folder / "log"
        self._ids = _as_unprivileged()
        folder.chmod(0o755)
        if self._ids:
            os.chown(folder, *self._ids)
        self._run(
            "initdb", "--pgdata", self.data, "--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C",
            "--auth-local", "trust", "--auth-host", "scram-sha-256", "--no-sync",
        )  # fmt: skip
        self.start()
        self.sql(f"create role {USER} login password {literal(PASSWORD)}", base="postgres")
        self.sql(f"create database {BASE} owner {USER}", base="postgres")

    def _begin(self, program: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
        user, group = self._ids or (None, None)
        return subprocess.Popen(
            [str(self.programs / program), *map(str, arguments)],
            cwd=self.folder, text=True, user=user, group=group, extra_groups=None if user is None else [], **options,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PGTZ": "UTC", "PGCLIENTENCODING": "UTF8"},
        )  # fmt: skip

    def _run(self, program: str, *arguments: object, text: str | None = None) -> str:
        process = self._begin(
            program, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said, complaints = process.communicate(text)
        assert process.returncode == 0, f"{program}: {complaints}{said}"
        return said

    def start(self) -> None:
        settings = SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open(self.log, "a", encoding="utf-8") as log:
            # A session of its own: what interrupts the tests doesn't reach it, so that it is stopped in good order.
            self.process = self._begin(
                "postgres", "-D", self.data, *options, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=_end_with_parent,
            )  # fmt: skip
        began = time.monotonic()
        while True:
            try:
                self.sql("select 1", base="postgres")
                return
            except AssertionError as error:
                if self.process.poll() is not None or time.monotonic() - began > START_SECONDS:
                    self.stop()
                    raise AssertionError(f"{error}\n{self.log.read_text()}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Whoever is connected is cut off."""
        for how, seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 20), (signal.SIGKILL, None)):
            if self.process.poll() is None:
                self.process.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
                return

    def psql(self, *options: str, base: str = BASE) -> list[str]:
        """The command line of psql as the superuser."""
        where = ("--host", str(self.folder), "--port", str(self.port), "--username", SUPERUSER, "--dbname", base)
        return [str(self.programs / "psql"), *where, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", *options]

    def sql(self, statements: str, base: str = BASE) -> str:
        """As the superuser: what it answers, unaligned."""
        return self._run(
            "psql", *self.psql("--quiet", "--tuples-only", "--no-align", base=base)[1:], text=statements
        ).strip()

    def give(self, statements: str) -> None:
        """Statements whose tables are the reader's."""
        self.sql(f"set role {USER};\n{statements}")

    def address(self, password: str = PASSWORD, port: int | None = None, base: str = BASE, options: str = "") -> str:
        return f"postgresql://{USER}:{quote(password, safe='')}@127.0.0.1:{port or self.port}/{base}{options}"

    def cut_off(self, condition: str, seconds: float = 30) -> None:
        """Ends the reader's session as soon as its activity is so."""
        began = time.monotonic()
        cut = f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{USER}' and {condition}"
        while not self.sql(cut):
            assert time.monotonic() - began < seconds, f"not after {seconds:g} s: {condition}"
            time.sleep(0.02)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def a_postgres() -> Iterator[PostgresServer]:
    """A server that is gone afterwards, however the test ends."""
    found = programs()
    # A path of its own, short enough for a socket's.
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    server = None
    try:
        server = PostgresServer(found, folder)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
