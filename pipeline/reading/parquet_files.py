"""Parquet."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.parquet

from pipeline import sql
from pipeline.capacity import is_full_disk, is_out_of_memory
from pipeline.reading.rows import (
    Reading,
    Rows,
    UnreadableFileError,
    attributes_json,
    check_columns,
    cleaned_json,
    create_rows,
    too_large,
)

FILE_ROW_NUMBER = "file_row_number"  # a column that DuckDB adds, unless a file has its own
UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def read_parquet_by_schema(
    connection: duckdb.DuckDBPyConnection, reading: Reading, files: Mapping[int, Path]
) -> list[Rows]:
    """Reads Parquet files by number, those of one schema in a statement. Leaves out files that can't be read so."""
    groups: dict[object, dict[int, Path]] = {}
    for number, file in files.items():
        with suppress(pyarrow.ArrowException, OSError, UnicodeDecodeError):
            schema = pyarrow.parquet.read_metadata(file).schema
            is_numbered = any(name.lower() == FILE_ROW_NUMBER for name in schema.names)
            # As stored: two ways to store a time are one type to Arrow, and two to DuckDB.
            key = number if is_numbered else str(schema).partition("\n")[2]  # without where it lies in memory
            groups.setdefault(key, {})[number] = file
    rows = []
    for position, of_group in enumerate(groups.values()):
        with suppress(UnreadableFileError):
            rows.append(read_parquet(connection, replace(reading, into=f"{reading.into}_{position}"), of_group))
    return rows


def read_parquet(connection: duckdb.DuckDBPyConnection, reading: Reading, files: Mapping[int, Path]) -> Rows:
    """Reads Parquet files of one schema by number. Raises UnreadableFileError."""
    table, macros = reading.table, reading.macros
    paths = list(map(str, files.values()))
    try:
        schema = pyarrow.parquet.read_schema(paths[0])
        names = schema.names
        check_columns(reading, names)
        # DuckDB renames columns whose names differ only in case, so they are read by position.
        fields = [f"field_{number}" for number in range(len(names))]
        plain_source = f"read_parquet({sql.listing(map(sql.literal, paths))}"
        file_number = f"{sql.listing(map(str, files))}[cast(file_index as bigint) + 1]"
        if any(name.lower() == FILE_ROW_NUMBER for name in names):
            source = f"{plain_source}) as delivered ({', '.join(fields)})"
            row_number = "row_number() over ()"
        else:
            # Row numbers from the file let DuckDB read it on all processors.
            source = f"{plain_source}, file_row_number = true) as delivered ({', '.join(fields)}, position)"
            row_number = "position + 1"
        # A duration arrives as a bare number in its unit.
        seconds = ", ".join(
            f"{field} / {UNITS_PER_SECOND[arrow.unit]} as {field}"
            for field, arrow in zip(fields, schema.types, strict=True)
            if pyarrow.types.is_duration(arrow)
        )
        if seconds:
            source = f"(select * replace ({seconds}), file_index from {source})"
        for path in paths:
            _check_unpacked(connection, reading, path)
        described = connection.execute(f"describe select {', '.join(fields)} from {source}").fetchall()
        types = {name: data_type for name, (_, data_type, *_) in zip(names, described, strict=True)}
        field_of = dict(zip(names, fields, strict=True))
        nested = [
            column.name
            for column in table.columns
            if (data_type := types.get(column.name))
            and _is_nested(data_type)
            and not (column.type == "text_list" and data_type.endswith("]"))
        ]
        values = ", ".join(
            "cast(null as varchar) as " + name
            if name not in types or name in nested
            else f"{_parquet_text(field_of[name], types[name])} as {name}"
            for name in table.column_names
        )
        # Bytes that aren't text can't be read either.
        unreadable = {name: f"{field_of[name]} is not null" for name in nested} | {
            name: f"{field_of[name]} is not null and {_parquet_text(field_of[name], 'BLOB')} is null"
            for name in table.column_names
            if types.get(name) == "BLOB"
        }
        held = ", ".join(f"case when {condition} then '{name}' end" for name, condition in unreadable.items())
        line = "cast(null as varchar)"
        nested_columns = "cast(null as varchar[])"
        if held:
            members = ", ".join(f"{sql.literal(name)}, {field}" for name, field in field_of.items())
            line = f"case when nested_columns is not null then cast(json_object({members}) as varchar) end"
            nested_columns = f"nullif(list_filter([{held}], lambda name: name is not null), [])"
        unknown = {name: data_type for name, data_type in types.items() if name not in table.column_names}
        texts = [_parquet_text(field_of[name], data_type) for name, data_type in unknown.items()]
        structures = [str(_is_nested(data_type)) for data_type in unknown.values()]
        named = f"list_zip({sql.listing(map(sql.literal, unknown))}, {sql.listing(texts)}, {sql.listing(structures)})"
        value = cleaned_json(macros)
        if "True" in structures:
            value = f"case when member[3] then json_merge_patch('{{}}', member[2]) else {value} end"
        create_rows(
            connection,
            reading,
            f"""
            select
                {file_number} as file_number,
                {row_number} as row_number,
                true as is_parsable,
                {nested_columns} as nested_columns,
                {line} as line,
                {attributes_json(named, value)} as attributes,
                {values}
            from {source}
            """,
        )
    except (pyarrow.ArrowException, duckdb.Error, OSError, UnicodeDecodeError) as error:
        if is_full_disk(error) or is_out_of_memory(error):
            raise
        # DuckDB has no single exception for damage.
        cause = str(error).split("\n")[0].replace(paths[0], "it")[:200]
        raise UnreadableFileError(
            f"is not a whole Parquet file: truncated or damaged ({cause}); deliver it again"
        ) from None
    return Rows(reading.into, frozenset(files))


def _check_unpacked(connection: duckdb.DuckDBPyConnection, reading: Reading, path: str) -> None:
    """Checks the unpacked size: Parquet stores a repeated text once, so a small file may exceed memory and disk."""
    packed = sql.literal(path)
    encoded, at_most = connection.execute(
        f"""
        select sum(total_uncompressed_size), sum(num_values::hugeint * greatest(total_uncompressed_size, 8))
        from parquet_metadata({packed})
        """
    ).fetchone() or (0, 0)
    limit = reading.limits.unpacked_bytes
    if (encoded or 0) > limit:
        raise too_large(reading)
    if (at_most or 0) <= limit:
        return
    sizes = []
    for name, data_type, *_ in connection.execute(f"describe from read_parquet({packed})").fetchall():
        column = sql.identifier(name)
        if data_type == "VARCHAR":
            sizes.append(f"sum(strlen({column}))")
        elif data_type == "BLOB":
            sizes.append(f"sum(octet_length({column}))")
        elif _is_nested(data_type):
            sizes.append(f"sum(strlen(cast(to_json({column}) as varchar)))")
        else:
            sizes.append("count(*) * 8")
    row = connection.execute(f"select list_sum({sql.listing(sizes)}) from read_parquet({packed})").fetchone()
    if row and (row[0] or 0) > limit:
        raise too_large(reading)


def _is_nested(data_type: str) -> bool:
    return data_type.endswith("]") or data_type.startswith(("STRUCT", "MAP", "UNION"))


def _parquet_text(column: str, data_type: str) -> str:
    """A typed value as text, as a CSV would have it."""
    if _is_nested(data_type):
        return f"cast(to_json({column}) as varchar)"
    if data_type == "BLOB":
        return f"try(decode({column}))"
    if data_type in ("TIMESTAMP_NS", "TIMESTAMPTZ_NS"):
        # Written from nanoseconds, as a cast would round to microseconds.
        zone = "Z" if data_type == "TIMESTAMPTZ_NS" else ""
        return f"(strftime(make_timestamp_ns(epoch_ns({column})), '%Y-%m-%dT%H:%M:%S.%n') || '{zone}')"
    if data_type == "TIMESTAMP WITH TIME ZONE":
        return f"strftime(timezone('UTC', {column}), '%Y-%m-%dT%H:%M:%S.%fZ')"
    if data_type.startswith("TIMESTAMP"):
        return f"strftime(cast({column} as timestamp), '%Y-%m-%dT%H:%M:%S.%f')"
    if data_type in ("FLOAT", "DOUBLE"):
        whole = f"{column} = trunc({column}) and abs({column}) <= {2**53}"
        return f"case when {whole} then cast(cast({column} as bigint) as varchar) when not isnan({column}) then cast({column} as varchar) end"
    return f"cast({column} as varchar)"
