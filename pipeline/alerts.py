"""Alerts on failure, by a command that the user sets."""

import logging
import os
import subprocess

from pipeline.settings import alert_command

log = logging.getLogger("multichannel")


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
