"""The landing folder: LANDING_DIR/TABLE/DAY/files."""

import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline.contracts import delivered_tables
from pipeline.settings import PROJECT_DIR

FORMATS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")

SHOWN_STRANGERS = 3
NO_STRANGERS = {*delivered_tables(), "lost+found"}  # found on a separate disk

# Name, size in bytes and modification time in nanoseconds per file: changes with the delivery.
Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, order=True)
class Delivery:
    """The files of one table and load day: at least one, ordered by name."""

    table: str
    day: date
    files: tuple[Path, ...]

    def signature(self) -> Signature:
        return tuple(file_signature(file) for file in self.files)


def file_signature(file: Path) -> tuple[str, int, int]:
    """The signature of a file; zeros if it is gone or inaccessible."""
    for ask in (file.stat, file.lstat):
        try:
            facts = ask()
        except OSError:
            continue
        return readable(file.name), facts.st_size, facts.st_mtime_ns
    return readable(file.name), 0, 0


def readable(name: object) -> str:
    """A name or path as printable text: bytes that aren't UTF-8 become \\xff and the like."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")


def shown_path(path: Path) -> str:
    """A path as users know it: inside the project, from there."""
    return readable(path.relative_to(PROJECT_DIR) if path.is_relative_to(PROJECT_DIR) else path)


@dataclass(frozen=True)
class Landing:
    deliveries: tuple[Delivery, ...]
    warnings: tuple[str, ...]


def is_complete(name: str) -> bool:
    """Whether the name is of a complete file, not of one still being written."""
    return not name.startswith((".", "_", "~$")) and not name.endswith((".part", ".tmp"))


def scan(
    landing_dir: Path, tables: list[str], first_load_day: date, last_day: date, first_day: date | None = None
) -> Landing:
    """Lists the tables' deliveries between two days, both included, and warns of anything else.

    Folders of later days (R9), and of days before a given `first_day`, are skipped without a warning.
    """
    deliveries: list[Delivery] = []
    warnings = _strangers(landing_dir)
    for table in tables:
        folder = landing_dir / table
        if folder.is_symlink() and _is_outside(folder, landing_dir):
            warnings.append(
                f"{folder} is a link out of the landing folder: no {table} are read; put the folder itself there"
            )
            continue
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            if not delivered_tables()[table].is_optional:
                warnings.append(f"{folder} does not exist: no {table} are delivered")
            continue
        except OSError as error:
            warnings.append(f"{folder} can't be listed ({error.strerror}): no {table} are read")
            continue
        for name in filter(is_complete, names):
            day = _day_of(name)
            if day is None or not os.path.isdir(folder / name):
                warnings.append(
                    f"{readable(folder / name)} is not read: deliveries belong in folders named by day, like 2026-01-31"
                )
            elif day < first_load_day:
                warnings.append(f"{folder / name} is not read: it is before first_load_day {first_load_day}")
            elif (first_day or first_load_day) <= day <= last_day:
                # The target of a link isn't listed; the link stands in for its files, and fails the day (R26).
                is_outside = (folder / name).is_symlink() and _is_outside(folder / name, landing_dir)
                files = (folder / name,) if is_outside else _files_of(folder / name, warnings)
                if files:
                    deliveries.append(Delivery(table, day, files))
    return Landing(tuple(sorted(deliveries, key=lambda delivery: (delivery.day, delivery.table))), tuple(warnings))


def _strangers(landing_dir: Path) -> list[str]:
    """Warns once of everything beside the tables' folders."""
    try:
        names = sorted(name for name in filter(is_complete, os.listdir(landing_dir)) if name not in NO_STRANGERS)
    except OSError:
        return []
    more = f" and {len(names) - SHOWN_STRANGERS:,} more" if len(names) > SHOWN_STRANGERS else ""
    shown = f"{', '.join(readable(landing_dir / name) for name in names[:SHOWN_STRANGERS])}{more}"
    tables = ", ".join(delivered_tables())
    are_not = "is not" if len(names) == 1 else "are not"
    return [f"{shown} {are_not} read: deliveries belong in TABLE/DAY, where TABLE is one of {tables}"] if names else []


def _is_outside(link: Path, landing_dir: Path) -> bool:
    return not link.resolve().is_relative_to(landing_dir.resolve())


def _day_of(name: str) -> date | None:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", name, re.ASCII):
        return None
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _files_of(folder: Path, warnings: list[str]) -> tuple[Path, ...]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        warnings.append(f"{folder} can't be listed ({error.strerror}): its delivery is not read")
        return ()
    files = []
    for name in filter(is_complete, names):
        if os.path.isdir(folder / name) and not os.path.islink(folder / name) and not name.lower().endswith(FORMATS):
            warnings.append(f"{readable(folder / name)} is a folder inside a delivery: it is not read")
        else:
            files.append(folder / name)
    return tuple(files)
