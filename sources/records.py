"""Records as they came: a DuckDB relation, and SQL that reads its fields as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline import sql


@dataclass(frozen=True)
class Records:
    """`relation` has the column `position`, the order of arrival, and the columns that `fields` read.

    `fields` are expressions for each field's text, by name. `rank`, if given, orders versions of one record: the highest
    is the newest.
    """

    relation: str
    fields: Mapping[str, str]
    is_json: bool = False
    rank: str | None = None

    def expression(self, name: str) -> str | None:
        """The text of a field or, in JSON, of the value at a path such as `client.phones[0].phoneNumber`."""
        if name in self.fields:
            return self.fields[name]
        if self.is_json and name.replace("[", ".").split(".")[0] in self.fields:
            path = sql.literal("$." + name)
            # Objects and lists have no text here; they stay in their top-level field.
            return f"case when json_type(record, {path}) not in ('OBJECT', 'ARRAY') then record ->> {path} end"
        return None


def json_records(connection: duckdb.DuckDBPyConnection, relation: str) -> Records:
    """Records of a relation with `position` and `record`, a JSON document. Documents that aren't objects get a field `record`."""
    found = connection.execute(
        f"""
        select distinct unnest(json_keys(record)) as key from {relation}
        where json_type(record) = 'OBJECT' order by key
        """
    ).fetchall()
    fields = {key: f"record ->> {sql.literal(pointer(key))}" for (key,) in found}
    odd = connection.execute(f"select count(*) from {relation} where json_type(record) <> 'OBJECT'").fetchone()
    if odd and odd[0]:
        fields["record"] = "case when json_type(record) <> 'OBJECT' then cast(record as varchar) end"
    return Records(relation, fields, is_json=True)


def pointer(key: str) -> str:
    """A JSON pointer to a field of any name: in a path, an empty name and `*` have other meanings."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def table_records(relation: str, names: Sequence[str], rank: str | None = None) -> Records:
    """Records of a relation with `position` and the columns field_0, field_1, …, whose delivered names are `names`."""
    fields: dict[str, str] = {}
    for number, name in enumerate(names):
        while name in fields:
            name = f"{name} "
        fields[name] = f"field_{number}"
    return Records(relation, fields, rank=rank)


def read_json_array(connection: duckdb.DuckDBPyConnection, files: list[Path], relation: str, path: str = "$") -> None:
    """Creates `relation` (position, record) from the elements of the array at a path in each file."""
    listed = ", ".join(sql.literal(str(file)) for file in files)
    connection.execute(
        f"""
        create or replace temporary table {relation} as
        with elements as (
            select filename, cast(json_extract(content, {sql.literal(path + "[*]")}) as json[]) as records
            from read_text([{listed}])
        ),
        numbered as (
            select filename, unnest(records) as record, generate_subscripts(records, 1) as place
            from elements
        )
        select row_number() over (order by list_position([{listed}], filename), place) as position, record
        from numbered
        """
    )
