"""The floor of a load: DuckDB reads all delivered files into one native table a kind, and does nothing else.

`python -m benchmarks.floor LANDING DATABASE THREADS`
"""

import sys
from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.contracts import delivered_tables


def read_all(landing: Path, database: Path, threads: int) -> None:
    with duckdb.connect(str(database), config={"threads": threads}) as connection:
        for table in delivered_tables():
            groups: dict[str, list[Path]] = {}
            for file in sorted((landing / table).glob("*/*")):
                groups.setdefault("" if file.suffix == ".parquet" else _header(file), []).append(file)
            for position, files in enumerate(groups.values()):
                paths = sql.listing(map(sql.literal, files))
                rows = (
                    f"read_parquet({paths}, union_by_name = true)"
                    if files[0].suffix == ".parquet"
                    else f"read_csv({paths}, header = true, all_varchar = true, ignore_errors = true, max_line_size = 8388608)"
                )
                how = f"insert into {table} by name" if position else f"create table {table} as"
                connection.execute(f"{how} from {rows}")


def _header(file: Path) -> str:
    with open(file, encoding="utf-8") as content:
        return content.readline()


if __name__ == "__main__":
    read_all(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
