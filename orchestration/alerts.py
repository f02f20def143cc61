"""A notice on failure, by whatever command the user set."""

import logging
import os
import subprocess

from orchestration.settings import Settings

log = logging.getLogger("orchestration")


def alert(text: str) -> None:
    """Runs ALERT_COMMAND in a shell with the text on its standard input and in ALERT_TEXT. Never raises."""
    command = Settings.read().alert_command
    if not command:
        return
    try:
        subprocess.run(
            command, shell=True, input=text, text=True, timeout=60, check=True, env=os.environ | {"ALERT_TEXT": text}
        )
    except (subprocess.SubprocessError, OSError) as error:
        log.error("ALERT_COMMAND failed: %s", error)
