"""A notice on failure, by whatever command the user set."""

import logging
import os
import subprocess
from typing import TYPE_CHECKING

from orchestration.settings import alert_command

if TYPE_CHECKING:
    import dagster as dg

log = logging.getLogger("orchestration")


def alert(text: str) -> None:
    """Runs ALERT_COMMAND in a shell with the text on its standard input and in ALERT_TEXT. Never raises."""
    command = alert_command()
    if not command:
        return
    try:
        subprocess.run(
            command, shell=True, input=text, text=True, timeout=60, check=True, env=os.environ | {"ALERT_TEXT": text}
        )
    except (subprocess.SubprocessError, OSError) as error:
        log.error("ALERT_COMMAND failed: %s", error)


def step_problem(event: "dg.DagsterEvent") -> str:
    """Why a step failed, without the trace: for people."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    error = failure.error
    while error and error.cause:
        error = error.cause
    return f"{event.step_key}: {error.message.strip() if error else event.message}"
