"""Loads batches of deliveries, and those one by one that were too much at once."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.capacity import deliveries_at_once
from pipeline.landing import Delivery
from pipeline.loading.attempts import Attempt, DeliveryFailedError, begin, temporary_dir, translate_exhaustion
from pipeline.loading.judging import judge_files
from pipeline.loading.loads import Load
from pipeline.loading.storing import store
from pipeline.settings import Rules


def load_deliveries(
    connection: duckdb.DuckDBPyConnection,
    deliveries: Iterable[Delivery],
    rules: Rules,
    landing_dir: Path,
    reload: bool = False,
    run_id: str | None = None,
) -> Iterator[Load]:
    """Loads deliveries of one table. Bad data and a lack of memory or disk space become failed Loads, not an exception.

    Each supersedes its day's earlier loads. A failed attempt is only noted in the ledger. A delivery with the same bytes as
    the live load is skipped unless `reload` is set.
    """
    memory = sql.value(connection, "select parse_formatted_bytes(current_setting('memory_limit'))")
    for batch in deliveries_at_once(deliveries, temporary_dir(connection), memory):
        attempts = [begin(connection, delivery, landing_dir, reload) for delivery in batch]
        try:
            yield from _load_batch(connection, attempts, rules, run_id)
        except DeliveryFailedError as error:
            for attempt in attempts:
                yield from _load_alone(connection, attempt, rules, run_id, error if len(attempts) == 1 else None)


def _load_batch(
    connection: duckdb.DuckDBPyConnection,
    attempts: list[Attempt],
    rules: Rules,
    run_id: str | None,
    file_by_file: bool = False,
) -> list[Load]:
    """Loads deliveries in a transaction. Raises DeliveryFailedError when memory or disk space runs out."""
    read = [attempt for attempt in attempts if attempt.is_to_be_read]
    # Of several deliveries none is at fault alone, and their message is seen by nobody.
    what = read[0].name(read[0].delivery.files[0] if len(read[0].files) == 1 else None) if read else ""
    with (
        translate_exhaustion(connection, what),
        tempfile.TemporaryDirectory(prefix="delivery-", dir=temporary_dir(connection)) as scratch,
    ):
        rows = judge_files(connection, read, rules, Path(scratch), file_by_file) if read else []
        loads = store(connection, attempts, rows, run_id)
    _drop_temporary_tables(connection)
    return loads


def _load_alone(
    connection: duckdb.DuckDBPyConnection,
    attempt: Attempt,
    rules: Rules,
    run_id: str | None,
    error: DeliveryFailedError | None,
) -> list[Load]:
    """Loads a delivery of a batch that was too much at once, or notes that it is too much itself.

    `error` says that the whole batch was this delivery.
    """
    ways = ([] if error else [False]) + ([True] if len(attempt.delivery.files) > 1 else [])
    for file_by_file in ways:
        _drop_temporary_tables(connection)
        attempt.judged.clear()
        try:
            return _load_batch(connection, [attempt], rules, run_id, file_by_file)
        except DeliveryFailedError as its_own:
            error = its_own
    assert error
    attempt.judged.clear()
    attempt.error = attempt.error or str(error)
    try:
        _drop_temporary_tables(connection)
        return store(connection, [attempt], [], run_id)
    except duckdb.Error as other:
        # If even the ledger can't be written, the delivery isn't at fault.
        raise (error.__cause__ or other) from None


def _drop_temporary_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Frees the memory and disk space of a failed delivery for the next one."""
    for (name,) in connection.execute("select table_name from duckdb_tables() where temporary").fetchall():
        connection.execute(f"drop table {name}")
