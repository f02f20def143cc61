"""PostgreSQL: a query per table and day, by the server's own COPY into Arrow."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import pyarrow
from pydantic import BaseModel, ConfigDict, Field, field_validator

from orchestration.contracts import delivered_tables
from sources.mapping import ColumnMapping
from sources.mapping import Mapping as FieldMapping
from sources.records import identifier, table_records, text
from sources.source import Answer, Days, Source, SourceError, VariableName, Workshop, environment_value

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Connection

START, END, DAY = "{day_start}", "{day_end}", "{day}"


class Query(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    query: Annotated[str, Field(min_length=1)]

    @field_validator("query")
    @classmethod
    def is_of_a_day(cls, query: str) -> str:
        if not (START in query and END in query) and DAY not in query:
            raise ValueError(f"the query must ask for one day: by {START} and {END} (times), or by {DAY} (a date)")
        return query.strip().rstrip(";")


class Postgres(Source):
    """`connection_variable` names the variable of the environment that holds the address, postgresql://user:password@host/base."""

    kind: Literal["postgres"]
    connection_variable: VariableName
    tables_: dict[str, Query] = Field(alias="tables", min_length=1)
    keep_ids: bool = False
    timeout_seconds: Annotated[float, Field(gt=0)] = 3600

    datasets: ClassVar = {}

    @field_validator("tables_")
    @classmethod
    def are_tables(cls, tables: dict[str, Query]) -> dict[str, Query]:
        unknown = [name for name in tables if name not in delivered_tables()]
        if unknown:
            raise ValueError(f"there is no table {', '.join(unknown)}; there are {', '.join(delivered_tables())}")
        return tables

    @property
    def delivered_datasets(self) -> Mapping[str, str]:
        return {name: name for name in self.tables_}

    @property
    def keeps_ids(self) -> bool:
        return self.keep_ids

    def read(self, days: Days, workshop: Workshop) -> Iterator[Answer]:
        # Brings threads of its own, which whoever only looks at the assets has no use for.
        import adbc_driver_manager
        import adbc_driver_postgresql.dbapi

        address = environment_value(self.connection_variable, "connection_variable")
        try:
            with adbc_driver_postgresql.dbapi.connect(address) as connection:
                with connection.cursor() as cursor:
                    cursor.execute("set time zone 'UTC'")
                    cursor.execute("set datestyle to 'ISO'")
                    cursor.execute(f"set statement_timeout to {int(self.timeout_seconds * 1000)}")
                    cursor.execute("set default_transaction_read_only to on")
                connection.commit()
                for day in days:
                    for table in self.tables_:
                        yield self._answer(connection, table, day, workshop)
                        # Each is a transaction of its own, so that nothing of the database is held up for long.
                        connection.rollback()
        except adbc_driver_manager.Error as error:
            raise SourceError(hidden(str(error), address)) from None

    def _answer(self, connection: "Connection", table: str, day: date, workshop: Workshop) -> Answer:
        zone = ZoneInfo(workshop.rules.report_timezone)
        query = self.tables_[table].query
        for placeholder, value in {
            START: f"timestamptz {text(datetime.combine(day, time(), zone).isoformat())}",
            END: f"timestamptz {text(datetime.combine(day + timedelta(days=1), time(), zone).isoformat())}",
            DAY: f"date {text(str(day))}",
        }.items():
            query = query.replace(placeholder, value)
        relation = workshop.new_name("records")
        with connection.cursor() as cursor:
            schema = cursor.adbc_execute_schema(query)
            columns = ", ".join(
                f"cast({_as_text(name, kind)} as text) as field_{place}"
                for place, (name, kind) in enumerate(zip(schema.names, schema.types, strict=True))
            )
            cursor.execute(f"select {columns} from (\n{query}\n) as delivered")
            # DuckDB draws the batches as they come.
            workshop.connection.register("drawn", cursor.fetch_record_batch())
            workshop.connection.execute(
                f"create temporary table {relation} as select row_number() over () as position, * from drawn"
            )
            workshop.connection.unregister("drawn")
            total = cursor.rowcount
        row = workshop.connection.execute(f"select count(*) from {relation}").fetchone()
        return Answer(
            table,
            own_columns(table, schema.names),
            table_records(relation, schema.names),
            (day,),
            total=total if total >= 0 else None,
            received=int(row[0]) if row else 0,
            unit="rows",
        )


def _as_text(name: str, kind: pyarrow.DataType) -> str:
    return f"to_json({identifier(name)})" if pyarrow.types.is_list(kind) else identifier(name)


def own_columns(table: str, names: list[str]) -> FieldMapping:
    """A query names its columns as the table's are named. What else it selects is kept as an unknown column."""
    known = delivered_tables()[table]
    return FieldMapping.model_construct(
        table=table,
        columns={name: ColumnMapping.model_validate({"from": name}) for name in names if name in known.column_names},
    )


def hidden(message: str, address: str) -> str:
    """A message without the password, however the address writes it."""
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        password = ""
    for spelling in {address, password, unquote(password)} - {""}:
        message = message.replace(spelling, "***")
    return " ".join(message.split())
