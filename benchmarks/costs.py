"""What a process and its children cost."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from pipeline.settings import PROJECT_DIR


@dataclass(frozen=True)
class Cost:
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float


def cost_of(command: list[str], folder: Path = PROJECT_DIR, **environment: str) -> Cost:
    """Runs a command to its end.

    CPU seconds are the sum over it and its children, `peak_mb` (MiB) that of the largest process. Raises SystemExit with its
    last errors if it fails.
    """
    # Commands use compiled modules, as on a user's machine.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=inherited | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors.decode(errors='replace')[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, monotonic() - began, usage.ru_maxrss / 1024)
