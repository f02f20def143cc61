"""YAML files of the project, read by the loader in C where there is one: it is ten times as fast."""

from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(file: Path) -> Any:
    """Raises OSError and yaml.YAMLError."""
    return yaml.load(file.read_text("utf-8"), LOADER)
