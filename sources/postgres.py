"""PostgreSQL: a query per table and day, by the server's COPY into Arrow."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import duckdb
import pyarrow
from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline import sql
from pipeline.contracts import delivered_tables
from pipeline.settings import Rules
from sources.mapping import FILLED_BY_SOURCE, ID_OF, ColumnMapping
from sources.mapping import Mapping as FieldMapping
from sources.records import table_records
from sources.source import (
    Days,
    Extract,
    FetchContext,
    RefusedError,
    Source,
    SourceError,
    VariableName,
    environment_value,
)

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Connection

START, END, DAY = "{day_start}", "{day_end}", "{day}"
# Literals and comments, whose content isn't part of the query's syntax.
TEXT_OR_COMMENT = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?\*/)
    |(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
    |'[^']*'|"[^"]*"
    |(?<![\w$])\$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$
    """,
    re.VERBOSE | re.DOTALL,
)
# How often in a row a query may fail before its later days are skipped.
MOST_FAILURES = 3
MOST_SECONDS = 7 * 24 * 3600
# Fixes how values become text, whatever the settings of server and user are.
WRITTEN = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
}
# Unless the address says otherwise: don't wait for a server that doesn't answer or is gone.
PATIENCE = {
    "connect_timeout": "30",
    "keepalives_idle": "60",
    "keepalives_interval": "15",
    "keepalives_count": "4",
    "fallback_application_name": "multichannel",
}
# Unambiguous addresses, in which the password can be found for sure.
PLAIN_URI = re.compile(r"postgres(ql)?://(([^\s@/:%]|%[0-9a-fA-F]{2})*(:([^\s@/:%]|%[0-9a-fA-F]{2})*)?@)?[^\s@]*")
SETTING = re.compile(r"\s*(?P<name>\w+)\s*=\s*(?P<value>'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)", re.DOTALL)


class Query(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    query: Annotated[str, Field(min_length=1)]

    @field_validator("query")
    @classmethod
    def is_of_a_day(cls, query: str) -> str:
        own = TEXT_OR_COMMENT.sub(lambda found: (" " if found["comment"] else "x") * len(found[0]), query)
        texts = [found[0] for found in TEXT_OR_COMMENT.finditer(query) if not found["comment"]]
        quoted = [placeholder for placeholder in (START, END, DAY) if any(placeholder in each for each in texts)]
        if quoted:
            raise ValueError(f"{quoted[0]} is a value by itself: write it without quotes around it")
        unknown = [found for found in re.findall(r"\{[^}]*\}?", own) if found not in (START, END, DAY)]
        if unknown:
            raise ValueError(f"there is no {unknown[0]}; there are {START} and {END} (times), and {DAY} (a date)")
        if not (START in own and END in own) and DAY not in own:
            raise ValueError(f"the query must ask for one day: by {START} and {END} (times), or by {DAY} (a date)")
        # A comment at the end may hide the end of the statement.
        own = own.rstrip("; \t\r\n")
        if ";" in own:
            raise ValueError("the query must be one statement: there is more behind a semicolon")
        return query[: len(own)]


class Postgres(Source):
    """`connection_variable` names the environment variable that holds the address, postgresql://user:password@host/base."""

    kind: Literal["postgres"]
    connection_variable: VariableName
    tables_: dict[str, Query] = Field(alias="tables", min_length=1)
    keep_ids: bool = False
    timeout_seconds: Annotated[float, Field(ge=0.001, le=MOST_SECONDS)] = 3600

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

    def read(self, days: Days, context: FetchContext) -> Iterator[Extract]:
        # Imported late: the driver starts threads, which listing the assets doesn't need.
        import adbc_driver_manager
        import adbc_driver_postgresql.dbapi

        address = environment_value(self.connection_variable, "connection_variable")
        try:
            connection = adbc_driver_postgresql.dbapi.connect(patient(address))
        except adbc_driver_manager.Error as error:
            raise SourceError(why_not_connected(str(error), address, self.connection_variable)) from None
        troubles: list[str] = []
        failures = dict.fromkeys(self.tables_, 0)
        wrong: set[str] = set()
        with connection:
            for day, table in ((day, table) for day in days for table in self.tables_):
                # Permanently unavailable days stay due. They must not block the latest days.
                most = MOST_FAILURES * (2 if (days[-1] - day).days < self.reload_days else 1)
                if table in wrong or failures[table] >= most:
                    continue
                try:
                    extract = self._extract(connection, table, day, context)
                except (adbc_driver_manager.Error, duckdb.Error, SourceError) as error:
                    if isinstance(error, duckdb.Error) and "[libpq]" not in str(error):
                        raise
                    troubles.append(f"the query of {table}: {hidden(server_message(str(error)), address)}")
                    # A failure blocks neither other queries nor later days, unless the query itself is wrong.
                    if isinstance(error, adbc_driver_manager.ProgrammingError | SourceError):
                        wrong.add(table)
                    failures[table] += 1
                    if not _is_ended(connection):
                        raise SourceError(_listed(troubles)) from None
                    continue
                failures[table] = 0
                # Each query has its own transaction, so that none holds up the database for long.
                _is_ended(connection)
                yield extract
                context.connection.execute(f"drop table {extract.records.relation}")
        if troubles:
            raise RefusedError(_listed(troubles))

    def _extract(self, connection: "Connection", table: str, day: date, context: FetchContext) -> Extract:
        """Counts and reads in one snapshot, so that concurrent writes affect neither."""
        rules = context.rules
        query = self._query_of(table, day, rules)
        settings = WRITTEN | {
            # The zone in which times without an offset are compared.
            "TimeZone": self.times_without_offset_are_in(rules),
            "statement_timeout": str(max(1, round(self.timeout_seconds * 1000))),
        }
        relation = context.new_name("records")
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
            # For this transaction only: a connection pool may give the next one to another session.
            listed = ", ".join(
                f"set_config({sql.literal(name)}, {sql.literal(value)}, true)" for name, value in settings.items()
            )
            cursor.execute(f"select {listed}")
            cursor.fetchall()
            schema = cursor.adbc_execute_schema(query)
            columns = own_columns(table, schema.names)
            fields = [f"field_{place}" for place in range(len(schema.names))]
            delivered = f"from (\n{query}\n) as delivered ({', '.join(fields)})"
            cursor.execute(f"select count(*) {delivered}")
            total = int(cursor.fetchall()[0][0])
            texts = ", ".join(map(_as_text, fields, schema.types))
            cursor.execute(f"select {texts} {delivered}")
            # DuckDB pulls the batches as they come.
            context.connection.register("drawn", cursor.fetch_record_batch())
            try:
                context.connection.execute(
                    f"create temporary table {relation} as select row_number() over () as position, * from drawn"
                )
            finally:
                context.connection.unregister("drawn")
        row = context.connection.execute(f"select count(*) from {relation}").fetchone()
        return Extract(
            table,
            columns,
            table_records(relation, schema.names),
            (day,),
            total=total,
            received=int(row[0]) if row else 0,
            unit="rows",
            # A day may include older rows that changed on it: with an id, the latest delivery counts. Without one they would
            # add up.
            is_of_its_day=ID_OF[table] is not None,
        )

    def _query_of(self, table: str, day: date, rules: Rules) -> str:
        zone = ZoneInfo(rules.report_timezone)
        query = self.tables_[table].query
        for placeholder, value in {
            START: f"timestamptz {sql.literal(datetime.combine(day, time(), zone).isoformat())}",
            END: f"timestamptz {sql.literal(datetime.combine(day + timedelta(days=1), time(), zone).isoformat())}",
            DAY: f"date {sql.literal(str(day))}",
        }.items():
            query = query.replace(placeholder, value)
        return query


def _is_ended(connection: "Connection") -> bool:
    """Ends the transaction; whether that worked, as the connection is still there."""
    import adbc_driver_manager

    try:
        connection.rollback()
    except adbc_driver_manager.Error:
        return False
    return True


def _listed(troubles: list[str]) -> str:
    return "; ".join(dict.fromkeys(troubles))


def _as_text(field: str, kind: pyarrow.DataType) -> str:
    return f"cast({f'to_json({field})' if pyarrow.types.is_list(kind) else field} as text) as {field}"


def own_columns(table: str, names: list[str]) -> FieldMapping:
    """Maps a query's columns by name. Columns that the table doesn't have are kept as unknown ones."""
    known = delivered_tables()[table]
    missing = [
        column.name
        for column in known.required_columns
        if column.name not in names and column.name not in FILLED_BY_SOURCE
    ]
    if missing:
        raise SourceError(
            f"it selects no {', '.join(missing)}, without which {table} can't be loaded: name the columns by `as`; "
            f"it selects {', '.join(names) or 'nothing'}"
        )
    columns = {name: ColumnMapping.model_validate({"from": name}) for name in names if name in known.column_names}
    return FieldMapping.model_construct(table=table, columns=columns)


def patient(address: str) -> str:
    """Adds our timeouts to the address. Its own settings follow them, and so win."""
    is_uri = re.match(r"postgres(ql)?://", address)
    if not is_uri:
        return f"{' '.join(f'{name}={value}' for name, value in PATIENCE.items())} {address}"
    # User and password may hold anything else; they end at the first of these.
    end = re.compile("[@/]").search(address, is_uri.end())
    start = end.end() if end and end[0] == "@" else is_uri.end()
    place, _, own_settings = address[start:].partition("?")
    settings = "&".join([*(f"{name}={value}" for name, value in PATIENCE.items()), *filter(None, [own_settings])])
    return f"{address[:start]}{place}?{settings}"


def secrets_of(address: str) -> set[str] | None:
    """Passwords in the address, as written and decoded; None if the address is ambiguous."""
    if PLAIN_URI.fullmatch(address):
        place, _, settings = address.partition("?")
        user, _, _ = place.partition("//")[2].rpartition("@")
        written = {user.partition(":")[2]}
        written |= {
            value
            for name, _, value in (setting.partition("=") for setting in settings.split("&"))
            if unquote(name) in ("password", "sslpassword")
        }
        meant = set(map(unquote, written))
    elif "".join(found[0] for found in SETTING.finditer(address)) == address.rstrip():
        settings_found = [found for found in SETTING.finditer(address) if found["name"] in ("password", "sslpassword")]
        written = {found["value"] for found in settings_found}
        meant = {re.sub(r"\\(.)", r"\1", re.sub(r"^'(.*)'$", r"\1", value, flags=re.DOTALL)) for value in written}
    else:
        return None
    return (written | meant | {address}) - {""}


def hidden(message: str, address: str) -> str:
    """A message in one line, with the password masked in every spelling."""
    for spelling in sorted(secrets_of(address) or {address}, key=len, reverse=True):
        message = message.replace(spelling, "***")
    return " ".join(message.split())[:500]


def server_message(error: str) -> str:
    """The server's own message, without the driver's additions and the marker below the query."""
    message = re.sub(r"\s*\. SQLSTATE: \w+$", "", error.partition("\n\nQuery was:")[0])
    # Two blanks follow the severity, which may be in the server's language.
    _, found, own = message.partition(":  ")
    message = own if found else re.sub(r"^.*\[libpq\] ", "", message)
    if "statement timeout" in message:
        message += " (`timeout_seconds` says how long one may take)"
    return "\n".join(line for line in message.splitlines() if line.strip() != "^")


def why_not_connected(error: str, address: str, variable: str) -> str:
    """Explains a failed connection. Hides libpq's message on a malformed address: it may show part of the password."""
    message = re.sub(r"^.*Failed to connect: ", "", error, flags=re.DOTALL)
    if secrets_of(address) is None or message.startswith("invalid connection option"):
        return (
            f"{variable} in the environment holds no address that PostgreSQL's library can read: write "
            "postgresql://user:password@host:5432/base, in the password %40 for @, %3A for :, %2F for /, %25 for %"
        )
    return hidden(message, address)
