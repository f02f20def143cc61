"""Reads sources.yml. Each kind of source is an entry of KINDS in sources/kinds.py."""

import os
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.settings import SettingsError, sources_file
from sources.yaml_text import YamlTextError, read_yaml_text

if TYPE_CHECKING:
    from sources.source import Source

# What messages may show of the file: no service issues tokens of such letters only.
PLAIN_NAME = "[a-z][a-z0-9_]{0,30}"
PLAIN_SETTING = "[a-z][a-z_]{0,40}"


class UnusableSourceError(Exception):
    """A source's settings can't be used. Its arguments are the faults, without values: one may be a misplaced credential."""


def read_sources() -> dict[str, "Source"]:
    """All sources by name; empty without the file. Raises SettingsError."""
    file = sources_file()
    if not file.exists():
        if os.environ.get("SOURCES_FILE"):
            raise SettingsError(f"SOURCES_FILE: there is no file {file}.")
        return {}
    try:
        content = read_yaml_text(file)
    except OSError as error:
        raise SettingsError(f"{file} can't be read ({error.strerror}).") from None
    except YamlTextError as error:
        raise SettingsError(f"{file} is not YAML: {error}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{file} must name sources, each with its settings below; sources.example.yml shows how.")
    sources, problems = {}, []
    for number, (name, settings) in enumerate(content.items(), start=1):
        try:
            sources[str(name)] = _source(str(name), settings)
        except UnusableSourceError as error:
            shown = name if re.fullmatch(PLAIN_NAME, str(name)) else f"source number {number}"
            problems += [f"  {shown}: {fault}" for fault in error.args]
    if problems:
        raise SettingsError(f"{file} can't be used:\n" + "\n".join(problems))
    return sources


def _source(name: str, settings: Any) -> "Source":
    """Raises UnusableSourceError."""
    # Half a second of libraries, of no use without sources.
    from sources.files import Files
    from sources.kinds import KINDS
    from sources.source import NAME

    if not isinstance(settings, dict):
        raise UnusableSourceError("its settings go below it, indented, each on a line of its own")
    kind = settings.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise UnusableSourceError(f"`kind` is one of {', '.join(KINDS)}")
    if "name" in settings:
        raise UnusableSourceError(
            "name: there is no such setting, the source is called as it is called in the line above its settings"
        )
    if not re.fullmatch(NAME, name):
        raise UnusableSourceError("a source's name has small Latin letters, digits and _, and begins with a letter")
    try:
        source = KINDS[kind].model_validate({**settings, "name": name})
        if isinstance(source, Files):
            _ = source.field_mapping
    except ValidationError as error:
        raise UnusableSourceError(*_shown_faults(error)) from None
    except SettingsError as error:
        raise UnusableSourceError(str(error)) from None
    return source


def _shown_faults(error: ValidationError) -> list[str]:
    """The faults, without names that may be misplaced values."""
    from sources.mapping import faults

    parts = {str(part) for fault in error.errors(include_input=False, include_url=False) for part in fault["loc"]}
    hidden = [part for part in parts if not re.fullmatch(PLAIN_SETTING, part) and not part.isdecimal()]
    messages = faults(error)
    for part in sorted(hidden, key=len, reverse=True):
        messages = [message.replace(part, "…") for message in messages]
    return messages
