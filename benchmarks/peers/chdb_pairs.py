"""The journal by hand in ClickHouse's SQL, run in this process by chDB."""

from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
from chdb.session import Session

from benchmarks.peers.shared import SEEDS, Channels, clients_of, phone_number, run

HERE = Path(__file__).parent


def write_journal(landing: Path, out: Path, threads: int) -> None:
    session = Session()
    parameters = {"landing": str(landing), "seeds": str(SEEDS)}

    def query(name: str) -> pyarrow.Table:
        return session.query((HERE / f"clickhouse_{name}.sql").read_text("utf-8"), "ArrowTable", params=parameters)

    session.query(f"set max_threads = {threads}")
    for statement in (HERE / "clickhouse_records.sql").read_text("utf-8").split(";\n"):
        session.query(statement, params=parameters)
    (record_count,) = session.query(
        "select (select count() from journal.touches) + (select count() from journal.contacts) as records", "ArrowTable"
    )["records"].to_pylist()
    spellings = session.query(
        "select distinct assumeNotNull(phone) as spelling from journal.contacts where phone <> ''", "ArrowTable"
    )["spelling"]
    # `Python(numbers)` finds the table by the variable's name, and so on.
    valid = [phone_number(str(spelling)) or "" for spelling in spellings]
    numbers = pyarrow.table({"spelling": spellings, "number": valid})  # noqa: F841
    tied = query("identifiers")
    client = clients_of(tied["record_number"].to_numpy(), tied["identifier_number"].to_numpy(), record_count)
    clients = pyarrow.table({"record": numpy.arange(record_count), "client": client})  # noqa: F841
    query("origins")
    origins = session.query(
        """
        select distinct brand_id, utm_source, utm_medium, page_source, page_medium, parameters, host
        from journal.origins
        """,
        "ArrowTable",
    )
    named = Channels()
    names = [named.channel(*origin.values()) for origin in origins.to_pylist()]
    channels = origins.append_column("channel", [names])  # noqa: F841
    pyarrow.parquet.write_table(query("pairs"), out / "journal.parquet")


if __name__ == "__main__":
    run(write_journal)
