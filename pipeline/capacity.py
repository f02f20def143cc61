"""Disk space and memory: checks that there is enough, and explains errors when there isn't."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipeline.landing import Delivery
from pipeline.settings import Settings
from pipeline.warehouse import DamageError, Warehouse, is_damage, is_of_another_file
from pipeline.wording import counted

# Bytes needed per delivered byte. The demo takes 1.0 in the private file, models included; long histories take more.
# Reading a delivery takes about three more for a while, as it is unpacked, cut up and spilled.
WAREHOUSE_FACTOR = 3
TEMPORARY_FACTOR = 3
# How much is read at once: some hundred thousand rows, as DuckDB writes many rows several times as fast as few.
BATCH_BYTES = 192 * 2**20
# Bytes of memory per byte read at once.
MEMORY_FACTOR = 4
# Unpacked bytes per packed byte. A hundred million touches in 7 GB of Parquet took 56 GB at most.
PACKED_FACTORS = {".gz": 8, ".parquet": 3}
PUBLICATION_FACTOR = 1.25
# Written even by the smallest load: dbt's own files, the write-ahead log, partly filled blocks.
RESERVE_BYTES = 32 * 10**6
PUBLICATION_RESERVE_BYTES = 8 * 10**6

FULL_DISK = {code: os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT)}


class ResourcesError(Exception):
    """The machine lacks disk space or memory. The message says what, where and what to do."""


def check_load(warehouse: Warehouse, deliveries: Iterable[Delivery]) -> None:
    """Raises ResourcesError if the deliveries together may not fit.

    A single delivery that is too large only fails its own day (`check_delivery`).
    """
    deliveries = list(deliveries)
    fitting = [each for each in deliveries if _too_large(each, warehouse.folder, warehouse.temporary_dir) is None]
    sizes = [unpacked_size(delivery) for delivery in fitting or deliveries]
    if sizes:
        needs = {
            warehouse.folder: RESERVE_BYTES + WAREHOUSE_FACTOR * sum(sizes),
            # Emptied after each batch, which is smaller where there is little room, down to a single delivery.
            warehouse.temporary_dir: TEMPORARY_FACTOR * max(sizes),
        }
        _check(
            needs,
            f"to load {counted(len(sizes), 'delivery')} of {_readable(sum(sizes))} unpacked",
            "Nothing was loaded.",
        )


def check_delivery(delivery: Delivery, folder: Path, temporary_dir: Path) -> None:
    """Raises ResourcesError if a delivery may not fit even on its own."""
    if message := _too_large(delivery, folder, temporary_dir):
        raise ResourcesError(message)


def _too_large(delivery: Delivery, folder: Path, temporary_dir: Path) -> str | None:
    size = unpacked_size(delivery)
    needs = {folder: RESERVE_BYTES + WAREHOUSE_FACTOR * size, temporary_dir: TEMPORARY_FACTOR * size}
    # If no delivery would fit, this one isn't at fault.
    if free_bytes(folder) < RESERVE_BYTES:
        return None
    return _lack(needs, f"for {_readable(size)} unpacked")


def unpacked_size(delivery: Delivery) -> int:
    """About how many bytes the files of a delivery have, unpacked."""
    return sum(map(_unpacked_size, delivery.signature()))


def _unpacked_size(file: tuple[str, int, int]) -> int:
    name, size, _ = file
    return size * PACKED_FACTORS.get(Path(name.lower()).suffix, 1)


def check_publication(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, newest: Path | None) -> None:
    """Raises ResourcesError if a new generation of the current marts may not fit."""
    held = max(_size_of_marts(connection), newest.stat().st_size if newest else 0)
    needs = {warehouse.folder: PUBLICATION_RESERVE_BYTES + int(PUBLICATION_FACTOR * held)}
    _check(
        needs,
        f"to publish marts of {_readable(held)}",
        "Nothing was published; what is loaded waits for the next load.",
    )


def check_verification(warehouse: Warehouse) -> None:
    """Raises ResourcesError if a second warehouse may not fit beside the first."""
    held = warehouse.file.stat().st_size
    needs = {warehouse.folder: RESERVE_BYTES + held}
    _check(needs, f"to rebuild a warehouse of {_readable(held)} beside the first", "Nothing was changed.")


def _size_of_marts(connection: duckdb.DuckDBPyConnection) -> int:
    # And for the views that publication materializes.
    marts = connection.execute(
        """
        select schema_name || '.' || table_name from duckdb_tables()
        where database_name = current_database()
            and (schema_name = 'marts' or table_name in ('int_touch_credits', 'int_participation'))
        """
    ).fetchall()
    blocks = 0
    for (mart,) in marts:
        row = connection.execute(
            "select count(distinct block_id) from pragma_storage_info(?) where block_id >= 0", [mart]
        ).fetchone()
        blocks += row[0] if row else 0
    row = connection.execute("select block_size from pragma_database_size()").fetchone()
    return blocks * (row[0] if row else 0)


def _check(needs: Mapping[Path, int], purpose: str, outcome: str) -> None:
    if message := _lack(needs, purpose):
        raise ResourcesError(f"{message} {outcome}")


def _lack(needs: Mapping[Path, int], purpose: str) -> str | None:
    """Which disk lacks space, and what to do; None if none does."""
    by_disk: dict[int, list[Path]] = {}
    for folder in needs:
        by_disk.setdefault(_existing(folder).stat().st_dev, []).append(folder)
    for folders in by_disk.values():
        needed = sum(needs[folder] for folder in folders)
        free = free_bytes(folders[0])
        if free < needed:
            return (
                f"There is too little disk space {purpose}: {' and '.join(map(str, folders))} "
                f"{'share' if len(folders) > 1 else 'has'} {_readable(free)} free, and up to {_readable(needed)} may be "
                "needed. Free some, or set WAREHOUSE_DIR or TEMPORARY_DIR to a folder on a larger disk."
            )
    return None


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def deliveries_at_once(
    deliveries: Iterable[Delivery], temporary_dir: Path, memory_bytes: int
) -> Iterator[list[Delivery]]:
    """Splits deliveries into batches that are read at once. A large one is a batch of its own."""
    most_bytes = min(BATCH_BYTES, memory_bytes // MEMORY_FACTOR, free_bytes(temporary_dir) // TEMPORARY_FACTOR)
    batch: list[Delivery] = []
    batch_bytes = 0
    for delivery in deliveries:
        size = unpacked_size(delivery)
        if batch and batch_bytes + size > most_bytes:
            yield batch
            batch, batch_bytes = [], 0
        batch.append(delivery)
        batch_bytes += size
    if batch:
        yield batch


def _readable(size: int) -> str:
    return f"{size / 10**6:,.1f} MB" if size < 10**9 else f"{size / 10**9:,.1f} GB"


def is_full_disk(error: BaseException | str) -> bool:
    """Whether an error means a full disk. DuckDB and dbt report it only in words."""
    if isinstance(error, OSError):
        return error.errno in FULL_DISK
    return any(words in str(error) for words in FULL_DISK.values())


def is_out_of_memory(error: BaseException | str) -> bool:
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        return True
    return any(words in str(error) for words in ("Out of Memory Error", "bad allocation", "bad_alloc"))


def is_full_spill(error: BaseException | str) -> bool:
    """Whether an error means that spilled rows don't fit onto the disk. DuckDB reports it as lack of memory."""
    return "max_temp_directory_size" in str(error)


def exhaustion(error: BaseException, temporary_dir: Path) -> str | None:
    """Which resource a delivery exhausts, and what to do; None for other errors."""
    if is_full_disk(error) or is_full_spill(error):
        return (
            f"needs more disk space than there is: make room for {temporary_dir}, "
            "set TEMPORARY_DIR to a folder on a larger disk, or deliver smaller files"
        )
    if is_out_of_memory(error):
        settings = Settings.read()
        return (
            f"needs more memory than MEMORY_LIMIT = {settings.memory_limit} gives {settings.threads} threads: "
            "raise MEMORY_LIMIT, lower THREADS, or deliver smaller files"
        )
    return None


def explanation(error: BaseException | str, warehouse: Warehouse) -> str | None:
    """Explains, in one line, an error caused by the machine or a damaged private file; None for other errors."""
    if is_damage(error) and not is_of_another_file(error, warehouse.file):
        return str(warehouse.damaged(next(line for line in str(error).splitlines() if is_damage(line))))
    next_time = "The next load takes up where this one stopped; readers keep what is published."
    places = " and ".join(
        f"{folder} ({_readable(free_bytes(folder))} free)" for folder in (warehouse.folder, warehouse.temporary_dir)
    )
    if is_full_disk(error) or is_full_spill(error):
        return f"The disk is full: make room for {places}, or move WAREHOUSE_DIR or TEMPORARY_DIR. {next_time}"
    if is_out_of_memory(error):
        settings = Settings.read()
        return (
            f"MEMORY_LIMIT = {settings.memory_limit} is too little for THREADS = {settings.threads}: "
            f"raise the one or lower the other. {next_time}"
        )
    return None


@contextmanager
def translate_errors(warehouse: Warehouse) -> Iterator[None]:
    """Turns errors of DuckDB and the operating system into ResourcesError or DamageError."""
    try:
        yield
    except (duckdb.Error, OSError, MemoryError) as error:
        if message := explanation(error, warehouse):
            raise (DamageError if is_damage(error) else ResourcesError)(message) from error
        raise
