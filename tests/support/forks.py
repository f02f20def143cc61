"""A warm process that has imported everything: it forks children that do one thing each, and can kill them on the way.

To start Python and import everything takes seconds, a fork none. The warm process never opens DuckDB, whose threads
don't survive a fork: whatever needs it is done in a child. Children say what a command of their own would have said.
"""

import atexit
import base64
import contextlib
import errno
import faulthandler
import functools
import hashlib
import inspect
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import ENVIRONMENT, PATIENCE_SECONDS, REPOSITORY, TEST_MODULES, Finished, Site

SERVE = "import forks; forks.serve()"
HUNG = 124
# Libraries that begin threads as they are imported: what these hold at a fork, a child waits for in vain.
NO_THREADS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


@dataclass(frozen=True)
class Outcome:
    """How a child ended: what it returned, or the signal or exit code that it ended with, and all that it said.

    A child that doesn't end within PATIENCE_SECONDS is no killed one: it ends with HUNG.
    """

    value: Any
    exit_code: int
    seconds: float
    said: str

    @property
    def is_killed(self) -> bool:
        return self.exit_code == -signal.SIGKILL


class Warm:
    """The warm process, as seen by a test."""

    def __init__(self, in_a_namespace: bool = False) -> None:
        self.process = subprocess.Popen(
            [*(NAMESPACE if in_a_namespace else ()), sys.executable, "-c", SERVE],
            cwd=REPOSITORY,
            env=ENVIRONMENT | NO_THREADS | TEST_MODULES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, action: Callable[..., Any], *arguments: Any, kill_after: float | None = None) -> Outcome:
        """Has a child call a function of a test's module."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(base64.b64encode(pickle.dumps((action, arguments, kill_after))) + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the warm process ended"
        outcome: Outcome = pickle.loads(base64.b64decode(answer))
        return outcome

    def tell(self, action: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns that must get to its end."""
        outcome = self.ask(action, *arguments)
        assert outcome.exit_code == 0, outcome.said
        return outcome.value

    def run(self, arguments: tuple[str, ...], environment: dict[str, str]) -> Finished:
        """A command of the command line, with what it says on either stream."""
        with tempfile.TemporaryDirectory() as folder:
            streams = [Path(folder) / name for name in ("said", "progress")]
            outcome = self.ask(command, arguments, environment, *streams)
            assert outcome.exit_code != HUNG, outcome.said
            return Finished(outcome.exit_code, *(stream.read_text("utf-8") for stream in streams))

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(PATIENCE_SECONDS)


def serve() -> None:
    from pipeline.dbt_runner import prepared_manifest

    # What parsing leaves behind, threads of DuckDB among it, stays in a child.
    _in_a_child(prepared_manifest, (), None)
    import orchestration.definitions  # noqa: F401
    import pipeline.building  # noqa: F401
    import sources.kinds  # noqa: F401

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        action, arguments, kill_after = pickle.loads(base64.b64decode(line))
        threads = len(os.listdir("/proc/self/task"))
        assert threads == 1, f"the warm process has {threads} threads, which don't survive a fork"
        answers.write(base64.b64encode(pickle.dumps(_in_a_child(action, arguments, kill_after))) + b"\n")
        answers.flush()


def _in_a_child(action: Callable[..., Any], arguments: tuple[Any, ...], kill_after: float | None) -> Outcome:
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as returned:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _be_the_child(action, arguments, said.fileno(), returned)
        deadline = started + (PATIENCE_SECONDS if kill_after is None else kill_after)
        status, is_hung = None, False
        while status is None:
            ended, code = os.waitpid(child, os.WNOHANG)
            if ended:
                status = code
            elif time.monotonic() >= deadline:
                if kill_after is None:
                    # Nobody asked for its end: it says where it stands first.
                    os.kill(child, signal.SIGUSR1)
                    time.sleep(1)
                os.kill(child, signal.SIGKILL)
                status = os.waitpid(child, 0)[1]
                is_hung = kill_after is None
            else:
                time.sleep(0.002)
        seconds = time.monotonic() - started
        said.seek(0)
        returned.seek(0)
        exit_code = HUNG if is_hung else os.waitstatus_to_exitcode(status)
        value = pickle.load(returned) if exit_code == 0 else None
        return Outcome(value, exit_code, seconds, said.read().decode("utf-8", "replace"))


def _be_the_child(action: Callable[..., Any], arguments: tuple[Any, ...], said: int, returned: Any) -> None:
    exit_code = 1
    try:
        os.setsid()
        os.dup2(said, 1)
        os.dup2(said, 2)
        faulthandler.register(signal.SIGUSR1, file=said)
        pickle.dump(action(*arguments), returned)
        returned.flush()
        exit_code = 0
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else 1
        if exit_code == 0:
            pickle.dump(None, returned)
            returned.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # As the command ends, too: without it, dbt's locks are warned of as leaked.
        atexit._run_exitfuncs()
        os._exit(exit_code)


@functools.cache
def for_commands() -> Warm:
    """One for all tests of this process; it ends when this process does."""
    return Warm()


# What children do


def command(arguments: tuple[str, ...], environment: dict[str, str], said: Path, progress: Path) -> None:
    """A command line's beginning: its environment, time zone, streams and arguments."""
    from cli import app as cli

    os.environ.clear()
    os.environ |= environment
    time.tzset()
    for number, stream in enumerate((Path(os.devnull), said, progress)):
        file = os.open(stream, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["multichannel", *arguments]
    cli.main()


def load(site: Site, *arguments: str) -> None:
    """The command, in this process."""
    from cli import app as cli

    os.environ |= {"LANDING_DIR": str(site.landing), "WAREHOUSE_DIR": str(site.warehouse.folder)}
    sys.argv = ["multichannel", "load", *arguments]
    cli.main()


def digests(site: Site) -> tuple[str, str]:
    """All that readers get, and all that raw holds, each row told by its delivery rather than by its load."""
    return marts_digest(site), hashlib.sha256(repr(site.raw_rows()).encode()).hexdigest()


def marts_digest(site: Site) -> str:
    return hashlib.sha256(repr(site.marts()).encode()).hexdigest()


def state(site: Site) -> tuple[int | None, list[int], list[str]]:
    """The generation that readers get, all that are kept, and what is left lying about."""
    return site.publications.current(), site.publications.numbers(), site.leftovers()


def mount_disk(folder: Path, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=True)


def copy_into(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)


def load_without_asking_for_space(site: Site) -> None:
    """A disk that fills up under a load, although there was enough before."""

    from pipeline import capacity

    capacity._check = lambda *_: None  # type: ignore[assignment]
    load(site)


def load_from(site: Site, landing: Path) -> None:
    """A load from another landing folder."""
    from cli import app as cli

    os.environ |= {"LANDING_DIR": str(landing), "WAREHOUSE_DIR": str(site.warehouse.folder)}
    sys.argv = ["multichannel", "load"]
    cli.main()


# Steps, and what can go wrong in them

SYSTEM_CALLS = (
    "mkdir", "chmod", "fsync", "rename", "replace", "symlink", "unlink", "rmdir", "truncate", "link", "remove"
)  # fmt: skip
# What a full disk doesn't keep from being done.
NEEDS_NO_SPACE = ("chmod", "unlink", "remove", "rmdir")
MODULES = (
    *("loading", "ledger", "building", "dbt_runner", "last_update", "warehouse"),
    *("publishing.generations", "publishing.tables", "publishing.replacing", "publishing.changes", "publishing.audit"),
)
READING = ("select", "from", "with", "show", "describe", "explain", "set", "pragma", "rollback", "use", "load")


@dataclass
class Trouble:
    """What goes wrong at a step: killed, error (once), or full or read-only from that step on."""

    kind: str
    step: int


def load_with_trouble(site: Site, trouble: Trouble) -> list[str]:
    """A load in which a step goes wrong; returns the steps' names, in order."""
    steps: list[str] = []

    def come_to(name: str, kind_of_error: type[Exception] | None) -> None:
        """What the machine does fails in its way; a function of this project's is only a place to stop at."""
        if kind_of_error is None and steps and steps[-1] == name:
            return  # one of many calls in a row
        steps.append(name)
        at, past = len(steps) == trouble.step, len(steps) >= trouble.step
        if at:
            print(f"{trouble.kind} at {name}", file=sys.stderr, flush=True)
        if at and trouble.kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind_of_error is None:
            if at and trouble.kind == "error":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return
        code = 0
        if at and trouble.kind == "error":
            code = errno.EIO
        elif past and trouble.kind == "full" and not name.startswith(NEEDS_NO_SPACE):
            code = errno.ENOSPC
        elif past and trouble.kind == "read-only":
            code = errno.EROFS
        if code:
            raise (
                OSError(code, os.strerror(code))
                if kind_of_error is OSError
                else kind_of_error(f"IO Error: Could not write file: {os.strerror(code)}")
            )

    _watch_system_calls(site, come_to)
    _watch_functions(come_to)
    _watch_statements(site, come_to)
    # What is tried again after a while is tried again at once.
    wait = time.sleep
    time.sleep = lambda seconds: wait(min(seconds, 0.01))  # type: ignore[assignment]
    try:
        load(site)
    except SystemExit as end:
        if end.code:
            raise
    return steps


def _watch_system_calls(site: Site, come_to: Callable[..., None]) -> None:
    inside = os.fsencode(site.folder)

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **options: Any) -> Any:
            paths = [os.fsencode(given) for given in arguments if isinstance(given, str | bytes | os.PathLike)]
            if name == "fsync" or any(path.startswith(inside) for path in paths):
                come_to(name, OSError)
            return call(*arguments, **options)

        return do

    for name in SYSTEM_CALLS:
        setattr(os, name, watched(name, getattr(os, name)))


def _watch_functions(come_to: Callable[..., None]) -> None:
    modules = [module for name, module in sys.modules.items() if name.startswith(("pipeline.", "cli."))]

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **options: Any) -> Any:
            come_to(name, None)
            return function(*arguments, **options)

        return do

    for name in MODULES:
        module = sys.modules[f"pipeline.{name}"]
        owners = [
            module,
            *(each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__),
        ]
        for owner in owners:
            for function_name, function in list(vars(owner).items()):
                if (
                    not inspect.isfunction(function)
                    or function.__module__ != module.__name__
                    or function_name.startswith("__")
                ):
                    continue
                # A callback's error is not an error of the step that calls back.
                if function_name in ("_log_progress", "_release") or inspect.isgeneratorfunction(
                    inspect.unwrap(function)
                ):
                    continue
                replacement = watched(f"{name}.{function_name}", function)
                setattr(owner, function_name, replacement)
                for other in modules:
                    for alias, value in list(vars(other).items()):
                        if value is function:
                            setattr(other, alias, replacement)


def _watch_statements(site: Site, come_to: Callable[..., None]) -> None:
    """Every statement that begins, changes or commits anything, the pipeline's and dbt's."""
    import duckdb

    def watched(execute: Callable[..., Any]) -> Callable[..., Any]:
        def do(connection: Any, query: Any, *arguments: Any, **options: Any) -> Any:
            text = _without_comments(query) if isinstance(query, str) else ""
            word = text.split(None, 1)[0].lower().rstrip(";") if text else ""
            if word and word not in READING:
                come_to(f"sql {' '.join(text.split()[:5])}", duckdb.IOException)
            return execute(connection, query, *arguments, **options)

        return do

    duckdb.DuckDBPyConnection.execute = watched(duckdb.DuckDBPyConnection.execute)  # type: ignore[method-assign]


def _without_comments(query: str) -> str:
    text = query.strip()
    while text.startswith(("--", "/*")):
        text = text.partition("\n" if text.startswith("--") else "*/")[2].strip()
    return text


@contextlib.contextmanager
def warm(in_a_namespace: bool = False) -> Iterator[Warm]:
    process = Warm(in_a_namespace)
    try:
        yield process
    finally:
        process.close()
