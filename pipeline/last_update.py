"""What became of the last update, for readers: `WAREHOUSE_DIR/last_update.json`."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pipeline.capacity import translate_errors
from pipeline.warehouse import Warehouse

log = logging.getLogger("multichannel")

LAST_UPDATE = "last_update.json"
UpdateOutcome = Literal["started", "published", "failed"]
UpdateStep = Literal["build", "publication"]


@dataclass(frozen=True)
class LastUpdate:
    """The content of `last_update.json`."""

    outcome: UpdateOutcome
    """`started` means under way if the warehouse is in use; otherwise the update was cut short."""
    at: datetime
    step: UpdateStep | None = None
    """The current or failed step; None if it failed before a build."""
    message: str | None = None
    generation: int | None = None


def record_update(
    warehouse_dir: Path,
    outcome: UpdateOutcome,
    step: UpdateStep | None = None,
    message: str | None = None,
    generation: int | None = None,
) -> None:
    """Writes an update's outcome. A failure to write is only logged, so as not to hide the outcome. Needs the lock."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"outcome": outcome, "at": now, "step": step, "message": message, "generation": generation}
    unfinished = warehouse_dir / f"{LAST_UPDATE}.new"
    try:
        # File names may hold bytes that aren't text.
        with open(unfinished, "w", encoding="utf-8", errors="backslashreplace") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(json.dumps(content, ensure_ascii=False) + "\n")
        os.replace(unfinished, warehouse_dir / LAST_UPDATE)
    except OSError as error:
        log.warning("%s can't be written: %s", warehouse_dir / LAST_UPDATE, error)


def last_update(warehouse_dir: Path) -> LastUpdate | None:
    """The last update; None before the first, or if the file can't be read."""
    try:
        content = json.loads((warehouse_dir / LAST_UPDATE).read_text("utf-8"))
        at = datetime.fromisoformat(content["at"])
        found = LastUpdate(content["outcome"], at, content["step"], content["message"], content["generation"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_sound = (
        found.outcome in get_args(UpdateOutcome)
        and found.at.tzinfo is not None
        and found.step in (None, *get_args(UpdateStep))
        and isinstance(found.message, str | None)
        and isinstance(found.generation, int | None)
    )
    return found if is_sound else None


@contextmanager
def recorded_failure(warehouse: Warehouse, step: UpdateStep | None = None) -> Iterator[None]:
    """Records an update's failure for readers."""
    try:
        with translate_errors(warehouse):
            yield
    except Exception as error:
        record_update(warehouse.folder, "failed", step, str(error) or type(error).__name__)
        raise
