"""JSON lines."""

from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.contracts import Column
from pipeline.reading.rows import Reading, Rows, attributes_json, cleaned_json, create_rows, too_many
from pipeline.reading.text_files import create_lines, plain_file


def read_json_lines(
    connection: duckdb.DuckDBPyConnection, reading: Reading, file: Path, file_number: int, scratch: Path
) -> Rows:
    table, macros = reading.table, reading.macros
    create_lines(connection, plain_file(reading, file, scratch), scratch)
    _check_keys(connection, reading)
    nested_kinds = {
        column.name: "('OBJECT')" if column.type == "text_list" else "('OBJECT', 'ARRAY')" for column in table.columns
    }
    members = ", ".join(f"members['{name}'] as {name}" for name in table.column_names)
    # Python writes NaN for a missing number.
    values = ", ".join(
        f"""case
            when json_type({column.name}) = 'DOUBLE' then nullif({column.name} ->> '$', 'NaN')
            when json_type({column.name}) not in {nested_kinds[column.name]} then {_number_as_read(column)}
        end as {column.name}"""
        for column in table.columns
    )
    nested = ", ".join(
        f"case when json_type({name}) in {kinds} then '{name}' end" for name, kinds in nested_kinds.items()
    )
    value = f"""case
        when json_type(member[2]) = 'VARCHAR' then {cleaned_json(macros, "(member[2] ->> '$')")}
        when json_type(member[2]) <> 'NULL' and member[2] ->> '$' <> 'NaN' then member[2]
    end"""
    create_rows(
        connection,
        reading,
        f"""
        with numbered_lines as (
            select row_number() over (order by line_number) as row_number, line
            from lines
            where {macros.clean_text("line")} is not null
        ),
        -- A map has no key twice: with one it isn't known which value is meant.
        records as (
            select
                row_number,
                line,
                case when json_valid(line) then try_cast(cast({_with_marked_numbers("line")} as json) as map(varchar, json)) end as members
            from numbered_lines
        )
        select
            {file_number} as file_number,
            row_number,
            line,
            members is not null as is_parsable,
            nullif(list_filter([{nested}], lambda name: name is not null), []) as nested_columns,
            cast({_with_bare_numbers(f"cast({attributes_json('unknown', value)} as varchar)")} as json) as attributes,
            {values}
        from (
            select
                *,
                list_filter(
                    list_zip(map_keys(members), map_values(members)),
                    lambda member: not list_contains({sql.listing(map(sql.literal, table.column_names))}, member[1])
                ) as unknown,
                {members}
            from records
        )
        """,
    )
    connection.execute("drop table lines")
    return Rows(reading.into, frozenset({file_number}))


# DuckDB reads a JSON number with a point or an exponent into a double, which holds 17 digits. While a line is parsed, such
# numbers become texts that begin with this character, which Unicode reserves as a noncharacter.
_MARK = "\ufdd0"
_MARKED_NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)"


def _with_marked_numbers(line: str) -> str:
    # After a key: `": 1.5` can't be inside a string, where the quote would be escaped. Only a string's beginning can look so
    # (`{"a": ": 1.5"}`): its opening quote comes where a value does.
    member = rf'([^\\]"\s*:\s*)({_MARKED_NUMBER})'
    # In a list: strings are skipped. The last match covers what follows the last number, so that none begins inside a
    # string there. This is slow, so only lines that may have such a list or string pay for it.
    element = rf'(?s)((?:[^"]|"(?:[^"\\]|\\.)*")*?)({_MARKED_NUMBER}|$)'
    marked = rf"""'\1"{_MARK}\2"', 'g')"""
    return rf"""case
        when regexp_matches({line}, '([\[,]|[\s{{\[,:]"\s*:)\s*-?\d+[.eE]') then left(regexp_replace({line}, '{element}', {marked}, -3)
        when regexp_matches({line}, '"\s*:\s*-?\d+[.eE]') then regexp_replace({line}, '{member}', {marked}
        else {line}
    end"""


def _with_bare_numbers(text: str) -> str:
    return f"""case
        when contains({text}, '{_MARK}') then regexp_replace({text}, '"{_MARK}({_MARKED_NUMBER})"', '\\1', 'g')
        else {text}
    end"""


def _number_as_read(column: Column) -> str:
    """A value as written; in number columns, without an exponent."""
    text = f"({column.name} ->> '$')"
    if column.type == "text_list":
        return _with_bare_numbers(text)
    number = f"substr({text}, 2)"
    if column.type in ("seconds", "whole_number", "money"):
        number = (
            f"case when regexp_matches({text}, '[eE]') then coalesce(cast(try_cast({number} as decimal(38, 10)) as varchar), "
            f"{number}) else {number} end"
        )
    is_marked = f"starts_with({text}, '{_MARK}') and regexp_full_match({text}, '{_MARK}{_MARKED_NUMBER}')"
    return f"case when {is_marked} then {number} else {text} end"


def _check_keys(connection: duckdb.DuckDBPyConnection, reading: Reading) -> None:
    # A key takes at least five bytes, as in `"a":1`, so short lines needn't be checked.
    widest = connection.execute(
        f"""
        with counted as (
            select line_number, case when json_valid(line) then len(json_keys(line)) end as key_count
            from lines
            where strlen(line) > 5 * {reading.limits.columns}
        )
        select line_number, key_count from counted where key_count > {reading.limits.columns} order by line_number limit 1
        """
    ).fetchone()
    if widest:
        raise too_many(f"has {widest[1]:,} keys in line {widest[0]:,}", reading)
