"""The journal by hand in DuckDB's SQL: all pairs of a contact and an earlier touch, counted."""

from pathlib import Path

import duckdb
import numpy
import pyarrow
from duckdb.func import FunctionNullHandling

from benchmarks.peers.shared import SEEDS, clients_of, phone_number, run


def write_journal(landing: Path, out: Path, threads: int, counting: str = "pairs.sql") -> None:
    here = Path(__file__).parent
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.create_function("phone_number", phone_number, null_handling=FunctionNullHandling.SPECIAL)
        connection.execute("set variable landing = $folder", {"folder": str(landing)})
        connection.execute("set variable seeds = $folder", {"folder": str(SEEDS)})
        connection.execute((here / "records.sql").read_text("utf-8"))
        tied = connection.execute("select record, identifier from identifiers").fetchnumpy()
        (record_count,) = connection.execute(
            "select (select count(*) from touches) + (select count(*) from contacts)"
        ).fetchall()[0]
        client = clients_of(tied["record"], tied["identifier"], record_count)
        connection.register("clients", pyarrow.table({"record": numpy.arange(record_count), "client": client}))
        connection.execute((here / "channels.sql").read_text("utf-8"))
        journal = (here / counting).read_text("utf-8")
        connection.execute(f"copy ({journal}) to '{out / 'journal.parquet'}' (format parquet)")


if __name__ == "__main__":
    run(write_journal)
