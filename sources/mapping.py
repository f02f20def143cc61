"""Mappings: YAML files that map a source's fields to our columns, and describe how values are written."""

import csv
import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow
import pyarrow.compute
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline import sql
from pipeline.contracts import Column, ReadingMacros, delivered_tables
from pipeline.settings import PROJECT_DIR, SettingsError
from sources.records import Records
from sources.time_zones import TimeZoneName
from sources.yaml_text import YamlTextError, read_yaml_text

PREFIXED = ("touch_id", "contact_id", "visitor_id")
ID_OF = {"touches": "touch_id", "contacts": "contact_id", "costs": None}
TIME_OF = {"touches": "touched_at", "contacts": "contacted_at", "costs": "cost_date"}
# Technical columns beside a record's own.
OWN_NAMES = ("record_position", "record_rank", "record_day", "told_day", "day_text", "is_wanted", "is_left_out")
FILLED_BY_SOURCE = ("widget_id", "delivered_by")
MOST_FIELDS = 500
UNPARSABLE = "unparsable_line"
SHIPPED = Path(__file__).parent / "mappings"

# Named formats; all others are strptime formats.
UNIX_UNITS = {"unix_seconds": 1, "unix_milliseconds": 1000}
ISO = "iso"
DURATION = "duration"


# The directives of DuckDB's strptime, and those that give a year.
DIRECTIVES = frozenset("%aAbBcdfgGHIjmMnpSuUVwWxXyYzZ")
YEARS = frozenset("cGxyY")
# Endings, beside Z, of formats whose times are UTC.
UTC_ENDING = re.compile(r"(?:(?<![^\W\d_])(?:UTC|GMT)\)?|[+-]00:?00)\s*", re.IGNORECASE)

# Columns that hold tags: some placeholder words are valid tags.
TAGS = frozenset(
    {"source", "medium", "campaign", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"}
)
TAG_WORDS = frozenset({"(none)", "email"})
NUMBERS = ("money", "whole_number", "seconds")


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _is_written(written: str) -> str:
    if written in (*UNIX_UNITS, ISO, DURATION):
        return written
    directives = re.findall(r"%-?(.?)", written)
    unknown = [directive for directive in directives if directive not in DIRECTIVES]
    if not directives or unknown:
        raise ValueError(
            f"{written!r} is no format: write one like %d.%m.%Y %H:%M:%S, or {ISO}, {', '.join(UNIX_UNITS)}, {DURATION}"
            + (f"; there is no %{unknown[0]}" if unknown else "")
        )
    return written


Strict = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
TextList = Annotated[tuple[str, ...], BeforeValidator(_list)]
Format = Annotated[str, AfterValidator(_is_written)]
Alternative = str | tuple[str, ...]


class ColumnMapping(BaseModel):
    """The origin of a column: the first filled of some fields (an inner list is joined), or a constant."""

    model_config = Strict

    from_: Annotated[tuple[Alternative, ...], BeforeValidator(_list)] = Field(default=(), alias="from")
    join: tuple[str, ...] = ()
    separator: str = "|"
    constant: str | None = None
    pattern: str | None = None
    words: dict[str, str] = {}
    otherwise: str | None = None
    format: Annotated[tuple[Format, ...], BeforeValidator(_list)] = ()
    prefix: str = ""
    time_zone: TimeZoneName | None = None
    decimal: Literal[".", ","] | None = None
    divide_by: int | None = None
    shift_seconds: int = 0

    @model_validator(mode="after")
    def has_one_origin(self) -> Self:
        if sum(map(bool, (self.from_, self.join, self.constant is not None))) != 1:
            raise ValueError("give one of `from`, `join` and `constant`")
        return self

    @field_validator("pattern")
    @classmethod
    def has_one_group(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            # Python counts the groups; Arrow has the same engine (RE2) as DuckDB.
            groups = re.compile(pattern).groups
            pyarrow.compute.count_substring_regex(pyarrow.array([""]), pattern)
        except (re.error, pyarrow.ArrowInvalid) as error:
            raise ValueError(f"it is no regular expression: {error}") from None
        if groups != 1:
            raise ValueError("it needs one group in parentheses, which is the value; (?:…) is none")
        return pattern

    @field_validator("divide_by")
    @classmethod
    def is_a_power_of_ten(cls, divisor: int | None) -> int | None:
        if divisor is not None and not re.fullmatch("10+", str(divisor)):
            raise ValueError("must be 10, 100, 1000 and so on, so that no digit is lost")
        return divisor

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        return (self.join,) if self.join else self.from_

    @property
    def fields(self) -> Iterable[str]:
        for alternative in self.alternatives:
            yield from (alternative,) if isinstance(alternative, str) else alternative

    @property
    def is_plain(self) -> bool:
        """Whether the column keeps the field's value unchanged."""
        changed = (
            self.pattern,
            self.prefix,
            self.format,
            self.decimal,
            self.otherwise,
            self.divide_by,
            self.shift_seconds,
        )
        return len(self.alternatives) == 1 and not self.words and not any(changed)


class FileFormat(BaseModel):
    """The format of an export."""

    model_config = Strict

    encoding: str = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(max_length=1)] = '"'
    escape: Annotated[str, Field(max_length=1)] = ""
    """Escapes quotes and delimiters within a value; without it, quotes are doubled."""
    skip_lines: Annotated[int, Field(ge=0)] = 0
    sheet: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("encoding")
    @classmethod
    def is_an_encoding(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except (LookupError, ValueError):
            raise ValueError("no encoding is called so; write one like utf-8 or windows-1251") from None
        return encoding

    @model_validator(mode="after")
    def has_distinct_characters(self) -> Self:
        if not self.quote.isascii() or (not self.delimiter.isprintable() and self.delimiter != "\t"):
            raise ValueError(
                '`delimiter` is a character like ";" or a tab, "\\t"; `quote` is \'"\', "\'" or "" for none'
            )
        if self.quote == self.delimiter or {self.quote, self.delimiter} & {"\n", "\r"}:
            raise ValueError("`delimiter` and `quote` must differ")
        if self.escape and (
            self.escape.isalnum() or self.escape.isspace() or self.escape in (self.quote, self.delimiter)
        ):
            raise ValueError('`escape` is a character like "\\"; where quotes are doubled, leave it out')
        return self


def _column(value: Any) -> Any:
    return {"from": value} if isinstance(value, str | list) else value


class Mapping(BaseModel):
    """Maps a source's fields to the columns of one table."""

    model_config = Strict

    table: str
    columns: dict[str, Annotated[ColumnMapping, BeforeValidator(_column)]]
    missing: TextList = ()
    told_elsewhere: TextList = ()
    """Fields to drop, as another delivery of the same source holds their content."""
    only: dict[str, TextList] = {}
    leave_out: dict[str, TextList] = {}
    only_with: tuple[str, ...] = ()
    day: Annotated[ColumnMapping, BeforeValidator(_column)] | None = None
    file: FileFormat = FileFormat()
    _read_from: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def knows_the_table(self) -> Self:
        table = delivered_tables().get(self.table)
        if table is None:
            raise ValueError(f"there is no table {self.table!r}; it is one of {', '.join(delivered_tables())}")
        unknown = [name for name in self.columns if name not in table.column_names]
        if unknown:
            raise ValueError(
                f"{self.table} have no column {', '.join(unknown)}; they have {', '.join(table.column_names)}"
            )
        missing = [
            column.name
            for column in table.required_columns
            if column.name not in self.columns and column.name not in FILLED_BY_SOURCE
        ]
        if missing:
            raise ValueError(f"say where {', '.join(missing)} comes from: {self.table} can't be loaded without")
        return self

    @model_validator(mode="after")
    def fits_the_columns(self) -> Self:
        kinds = {column.name: column.type for column in delivered_tables()[self.table].columns}
        for name, mapped in self.columns.items():
            formats, kind = set(mapped.format), kinds[name]
            if kind not in ("instant", "date") and formats - {DURATION}:
                raise ValueError(f"{name} holds no time: it has no `format`" + f" but {DURATION}" * (kind == "seconds"))
            if DURATION in formats and kind != "seconds":
                raise ValueError(f"{name} holds no length of time: it isn't written as {DURATION}")
            if kind == "date" and formats & set(UNIX_UNITS):
                raise ValueError(f"{name} is a day: write its `format` like %d.%m.%Y, or {ISO}")
            without_year = [
                written
                for written in sorted(formats - {ISO, DURATION, *UNIX_UNITS})
                if not YEARS & set(re.findall(r"%-?(.)", written))
            ]
            if without_year:
                raise ValueError(f"{name}: {without_year[0]!r} says no year: write one with %Y or %y")
            if mapped.divide_by and kind not in NUMBERS:
                raise ValueError(f"{name} is no number: it has no `divide_by`")
            if (mapped.time_zone or mapped.shift_seconds) and kind != "instant":
                raise ValueError(f"{name} is no time: it has neither `time_zone` nor `shift_seconds`")
        return self

    @classmethod
    def read(cls, file: Path) -> Self:
        """Reads a mapping file. Raises SettingsError."""
        try:
            mapping = cls.model_validate(read_yaml_text(file))
        except OSError as error:
            raise SettingsError(f"The mapping {file} can't be read ({error.strerror}).") from None
        except YamlTextError as error:
            raise SettingsError(f"The mapping {file} is not YAML: {error}.") from None
        except ValidationError as error:
            raise SettingsError(f"The mapping {file} can't be used: {'; '.join(faults(error))}.") from None
        mapping._read_from = file
        return mapping

    @classmethod
    def shipped(cls, name: str) -> Self:
        return cls.read(SHIPPED / f"{name}.yml")

    def how_to_set(self, settings: str) -> str:
        """What the user does to change settings of `file`. Mappings of the project are copied first: an upgrade would replace them."""
        file = self._read_from
        if file is None or file.parent != SHIPPED:
            return f"write {settings} under `file` in {file or 'the mapping'}"
        copy = f"mappings/{file.name}"
        return f"copy sources/{copy} to {copy}, write {settings} under `file` in the copy, and set `mapping: {copy}` in sources.yml"

    @property
    def id_column(self) -> str | None:
        return ID_OF.get(self.table)

    @property
    def used_fields(self) -> list[str]:
        found = [name for column in self.columns.values() for name in column.fields]
        found += self.day.fields if self.day else ()
        found += [name for name in self.only_with if name not in self.columns]
        return list(dict.fromkeys([*found, *self.only, *self.leave_out]))

    @property
    def required_fields(self) -> list[tuple[tuple[str, ...], ...]]:
        """What every file must have: from each group, all fields of at least one alternative."""
        required = [column.name for column in delivered_tables()[self.table].required_columns]
        mapped = [self.columns[name] for name in required if name in self.columns]
        mapped += [self.day] if self.day else []
        fields = [
            *(
                tuple((parts,) if isinstance(parts, str) else parts for parts in column.alternatives)
                for column in mapped
                if column.constant is None and column.otherwise is None
            ),
            *(((name,),) for name in [*self.only, *self.leave_out]),
            *([self._one_of_these] if self._one_of_these else []),
        ]
        return list(dict.fromkeys(fields))

    @property
    def _one_of_these(self) -> tuple[tuple[str, ...], ...]:
        """The fields of `only_with`: without any of them, no row would be kept."""
        columns = [self.columns.get(name) or ColumnMapping.model_validate({"from": name}) for name in self.only_with]
        if any(column.constant is not None or column.otherwise is not None for column in columns):
            return ()
        return tuple((field,) for column in columns for field in column.fields)


# Pydantic's names for the members of a union.
ALTERNATIVES = ("str", "tuple[str, ...]")
# Our messages for pydantic's error types, in the terms of the YAML file.
FAULTS = {
    "missing": "is missing",
    "extra_forbidden": "there is no such setting",
    "string_type": "must be one text",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "model_type": "must be settings, each with a name",
    "model_attributes_type": "must be settings, each with a name",
    "dict_type": "must be names, each with a value",
    "tuple_type": "must be a list",
    "string_too_short": "must not be empty",
    "string_too_long": "must be one character",
}


def faults(error: ValidationError) -> list[str]:
    """Pydantic's errors by place, without the values."""
    found: dict[str, str] = {}
    for fault in error.errors(include_input=False, include_url=False):
        # For a union, pydantic reports each member, with its name at the end of the place.
        place = ".".join(str(part) for part in fault["loc"] if str(part) not in ALTERNATIVES) or "it"
        found.setdefault(place, FAULTS.get(fault["type"], fault["msg"].removeprefix("Value error, ")))
    return [f"{place}: {message}" for place, message in found.items()]


@cache
def placeholders() -> frozenset[str]:
    """R15's placeholder words, which mean no value in sources too."""
    return frozenset(row["placeholder"].lower() for row in _seed("placeholders"))


@cache
def words_of_tags() -> frozenset[str]:
    """Words that are tags although they are placeholders elsewhere: all sources and mediums of the seeds."""
    named = (
        row[column] for name in ("channel_rules", "click_ids") for row in _seed(name) for column in ("source", "medium")
    )
    return TAG_WORDS | {word.lower() for word in named if word}


def no_value_of(column: Column) -> frozenset[str]:
    """The placeholder words of a text column. In numbers and booleans, 0 and «нет» are values."""
    if column.type != "text":
        return frozenset()
    if column.name in TAGS:
        return placeholders() - words_of_tags()
    if column.name in ID_OF.values():
        # Ids may be numbers that start at 0.
        return frozenset(word for word in placeholders() if not re.fullmatch(r"-?\d+", word))
    return placeholders()


def _seed(name: str) -> list[dict[str, str]]:
    with open(PROJECT_DIR / f"seeds/{name}.csv", encoding="utf-8-sig", newline="") as seed:
        return list(csv.DictReader(seed))


def is_utc(written: str) -> bool:
    """Whether a format's ending marks its times as UTC."""
    literal = re.sub(r"%-?.", "\0", written)
    return literal.endswith("Z") or any(found.end() == len(literal) for found in UTC_ENDING.finditer(literal))


def _strptime(value: str, written: str) -> str:
    """Parses a time. DuckDB accepts years of fewer than four digits, but 20.11.26 is no day of the year 26."""
    time = f"try_strptime({value}, {sql.literal(written)})"
    return f"case when {time} >= timestamp '1000-01-01' then {time} end"


class MappedQuery:
    """The SQL that applies a mapping to records. All results are text: the loader and the models type them."""

    def __init__(
        self,
        mapping: Mapping,
        records: Records,
        macros: Callable[[str], ReadingMacros],
        time_zone: str,
        day_zone: str,
        prefix: str,
        widget_id: str | None,
        delivered_by: str | None,
    ) -> None:
        self.mapping, self.records, self.macros, self.time_zone = mapping, records, macros, time_zone
        self.prefix = prefix
        table = delivered_tables()[mapping.table]
        names = [*records.fields, *(name for name in mapping.used_fields if name not in records.fields)]
        self.absent_fields = [name for name in names if records.expression(name) is None]
        self._places = {name: f"field_{number}" for number, name in enumerate(names) if name not in self.absent_fields}
        self._values: dict[tuple[str, frozenset[str]], str] = {}
        self.columns = {
            column.name: self._value_of(column, mapping.columns[column.name])
            for column in table.columns
            if column.name in mapping.columns
        }
        if "widget_id" in table.column_names:
            mapped = self.columns.get("widget_id")
            default = sql.literal(widget_id) if widget_id else None
            self.columns["widget_id"] = (
                f"coalesce({mapped}, {default})" if mapped and default else mapped or default or "null"
            )
        if delivered_by and "delivered_by" in table.column_names:
            self.columns.setdefault("delivered_by", sql.literal(delivered_by))
        self.unknown_columns = self._unknown_columns(table.column_names)
        time = delivered_column(mapping.table, TIME_OF[mapping.table])
        day = mapping.day or mapping.columns[time.name]
        self.day, self.day_text = self._day_of(day, time, day_zone), self._mapped_text(day)

    def _unknown_columns(self, column_names: tuple[str, ...]) -> dict[str, str]:
        """Fields without a plain column of their own, kept under their own names."""
        mapped_fields = {
            field
            for column in self.mapping.columns.values()
            if column.is_plain
            for field in column.fields
            if field in self.records.fields
        }
        kept = [
            name
            for name in self.records.fields
            if name not in mapped_fields and name not in self.mapping.told_elsewhere
        ]
        taken = {name.casefold() for name in (*column_names, "attributes", "more_fields", *OWN_NAMES)}
        columns: dict[str, str] = {}
        for name in kept[:MOST_FIELDS]:
            chosen = name.strip() or "unnamed"
            while chosen.casefold() in taken:
                chosen = f"source_{chosen}"
            taken.add(chosen.casefold())
            columns[chosen] = self._places[name]
        if len(kept) > MOST_FIELDS:
            members = ", ".join(f"{sql.literal(name)}, {self._places[name]}" for name in kept[MOST_FIELDS:])
            columns["more_fields"] = f"cast(json_merge_patch('{{}}', json_object({members})) as varchar)"
        return columns

    def fields(self) -> str:
        """Step one: each field once, as text."""
        selected = ["position", *((self.records.rank,) if self.records.rank else ())]
        selected += [
            f"cast({self.records.expression(name)} as varchar) as {place}" for name, place in self._places.items()
        ]
        return f"select {', '.join(selected)} from {self.records.relation}"

    def cleaned_fields(self) -> str:
        """Step two: trims white space, and turns words for no value into null."""
        missing = ", ".join(map(sql.literal, self.mapping.missing))
        cleaned = []
        for place in self._places.values():
            value = str(self.macros(self.time_zone).clean_text(place))
            cleaned.append(
                f"{f'case when ({value}) not in ({missing}) then {value} end' if missing else value} as {place}"
            )
        return f" replace ({', '.join(cleaned)})" if cleaned else ""

    def is_wanted(self) -> str:
        """Whether the mapping takes a record."""
        conditions = [
            f"coalesce(lower({self._place(name)}) in ({', '.join(sql.literal(word.lower()) for word in words)}), false)"
            for name, words in self.mapping.only.items()
        ]
        wanted = " and ".join([*conditions, f"not ({self.is_left_out()})"])
        # Unreadable lines are rejected, not left out.
        return f"({wanted}) or {self._places[UNPARSABLE]} is not null" if UNPARSABLE in self._places else wanted

    def is_left_out(self) -> str:
        """Whether `leave_out` or `only_with` excludes a record."""
        conditions = [
            f"coalesce(lower({self._place(name)}) not in ({', '.join(sql.literal(word.lower()) for word in words)}), true)"
            for name, words in self.mapping.leave_out.items()
        ]
        if self.mapping.only_with:
            there = [self.columns.get(name) or self._places.get(name) or "null" for name in self.mapping.only_with]
            conditions.append(f"coalesce({', '.join(there)}, null) is not null")
        return f"not ({' and '.join(conditions)})" if conditions else "false"

    def _place(self, name: str) -> str:
        return self._places.get(name, "cast(null as varchar)")

    def _origin(self, column: ColumnMapping, no_value: frozenset[str]) -> str:
        def value_of(name: str) -> str:
            if not no_value or name not in self._places:
                return self._place(name)
            return self._values.setdefault((self._places[name], no_value), f"value_{len(self._values)}")

        found = []
        for alternative in column.alternatives:
            if isinstance(alternative, str):
                if alternative in self._places:
                    found.append(value_of(alternative))
                continue
            parts = [value_of(name) for name in alternative]
            # With white space as the separator, missing parts are skipped; with any other, their places stay.
            joined = (
                f"concat_ws({sql.literal(column.separator)}, {', '.join(parts)})"
                if column.separator.isspace()
                else f" || {sql.literal(column.separator)} || ".join(f"coalesce({part}, '')" for part in parts)
            )
            found.append(f"case when coalesce({', '.join(parts)}, null) is not null then {joined} end")
        return f"coalesce({', '.join(found)}, null)" if found else "cast(null as varchar)"

    def _mapped_text(self, column: ColumnMapping, no_value: frozenset[str] = frozenset()) -> str:
        if column.constant is not None:
            return sql.literal(column.constant)
        value = self._origin(column, no_value - {word.lower() for word in column.words})
        if column.pattern:
            value = f"nullif(regexp_extract({value}, {sql.literal(column.pattern)}, 1), '')"
        if column.words:
            cases = " ".join(
                f"when {sql.literal(key.lower())} then {sql.literal(word)}" for key, word in column.words.items()
            )
            value = f"case lower({value}) {cases} else {value} end"
        if column.otherwise is not None:
            known = ", ".join(sql.literal(word) for word in column.words.values())
            value = (
                f"case when {value} in ({known}) then {value} else {sql.literal(column.otherwise)} end"
                if known
                else (f"coalesce({value}, {sql.literal(column.otherwise)})")
            )
        if column.decimal:
            bare = f"replace(regexp_replace({value}, '[\\s\\x{{85}}\\x{{a0}}\\x{{2000}}-\\x{{200a}}\\x{{202f}}\\x{{205f}}₽]', '', 'g'), '−', '-')"
            thousands = "." if column.decimal == "," else ","
            # A number in another notation stays unchanged: 12,50 is not 1250.
            number = f"[+-]?(\\d+|\\d{{1,3}}([{thousands}]\\d{{3}})+)([{column.decimal}]\\d+)?"
            plain = f"replace(replace({bare}, '{thousands}', ''), '{column.decimal}', '.')"
            value = f"case when regexp_full_match({bare}, '{number}') then {plain} else {value} end"
        return _divided(value, len(str(column.divide_by)) - 1) if column.divide_by else value

    def _value_of(self, column: Column, mapped: ColumnMapping) -> str:
        value = self._mapped_text(mapped, no_value_of(column))
        if column.type == "instant":
            instant = self._instant(value, mapped)
            if mapped.shift_seconds:
                instant = f"({instant} + interval ({mapped.shift_seconds}) seconds)"
            written = f"strftime(timezone('UTC', {instant}), '%Y-%m-%dT%H:%M:%S.%fZ')"
            return f"coalesce(replace({written}, '.000000Z', 'Z'), {value})"
        if column.type == "date" and mapped.format:
            return f"coalesce(strftime({self._local_time(value, mapped)}, '%Y-%m-%d'), {value})"
        if DURATION in mapped.format:
            clock = f"regexp_full_match({value}, '(\\d{{1,9}}:)?\\d{{1,9}}:[0-5]\\d')"
            parts = f"list_reverse(string_split({value}, ':'))"
            seconds = f"cast({parts}[1] as bigint) + 60 * cast({parts}[2] as bigint) + 3600 * coalesce(cast({parts}[3] as bigint), 0)"
            return f"case when {clock} then cast({seconds} as varchar) else {value} end"
        if column.name == "google_client_id":
            return str(self.macros(self.time_zone).google_client_id(f"({value})"))
        prefix = (self.prefix if column.name in PREFIXED else "") + mapped.prefix
        if prefix and column.name == "visitor_id":
            # With a prefix, a placeholder (R15) would become an id that many people share.
            words = f"[{', '.join(map(sql.literal, sorted(placeholders())))}]"
            form = self.macros(self.time_zone).placeholder_form(f"({value})", words)
            return f"case when {form} is not null then {sql.literal(prefix)} || {value} end"
        if prefix:
            return f"{sql.literal(prefix)} || {value}"
        return value

    def _instant(self, value: str, mapped: ColumnMapping) -> str:
        """Parses by the first format that fits; ISO 8601 is unambiguous and always tried."""
        macros = self.macros(mapped.time_zone or self.time_zone)
        readings = []
        for written in dict.fromkeys((*mapped.format, ISO)):
            if written in UNIX_UNITS:
                # Longer numbers are beyond all instants.
                digits = 11 if UNIX_UNITS[written] == 1 else 14
                number = f"cast(case when regexp_full_match({value}, '\\d{{1,{digits}}}') then {value} end as bigint)"
                readings.append(f"make_timestamptz({number} * {10**6 // UNIX_UNITS[written]})")
            elif written == ISO:
                readings.append(f"({macros.instant(f'({value})')})")
            elif "%z" in written or "%Z" in written:
                readings.append(_strptime(value, written))
            elif is_utc(written):
                readings.append(f"timezone('UTC', {_strptime(value, written)})")
            else:
                readings.append(f"({macros.local_instant(f'({_strptime(value, written)})')})")
        return readings[0] if len(readings) == 1 else f"coalesce({', '.join(readings)})"

    def _local_time(self, value: str, mapped: ColumnMapping) -> str:
        formats = dict.fromkeys("%Y-%m-%d" if written == ISO else written for written in (*mapped.format, ISO))
        return f"coalesce({', '.join(f'cast({_strptime(value, written)} as timestamp)' for written in formats)})"

    def _day_of(self, mapped: ColumnMapping, time: Column, day_zone: str) -> str:
        value = self._mapped_text(mapped)
        if time.type == "date":
            return (
                f"cast({self._local_time(value, mapped)} as date)"
                if mapped.format
                else f"({self.macros(day_zone).date(f'({value})')})"
            )
        return f"({self.macros(day_zone).report_date(self._instant(value, mapped))})"

    def values(self) -> str:
        """Step three: turns a column's placeholders into null. One pattern, as DuckDB plans each word of a list separately."""
        values = []
        for (place, no_value), name in self._values.items():
            longest, words = max(map(len, no_value)), "|".join(map(re.escape, sorted(no_value)))
            is_value = f"length({place}) > {longest} or not regexp_full_match(lower({place}), {sql.literal(words)})"
            values.append(f", case when {is_value} then {place} end as {name}")
        return "".join(values)

    def rows(self, day: date | None = None) -> str:
        """The last step: our columns, each record's day (the given one, or its own), and whether it is wanted.

        `day_text` is the text of the day, and `is_left_out` whether a record is unwanted even without `only`.
        """
        columns = {**self.columns, **self.unknown_columns}
        selected = ", ".join(f"cast({value} as varchar) as {sql.identifier(name)}" for name, value in columns.items())
        rank = f"{self.records.rank} as record_rank" if self.records.rank else "0 as record_rank"
        return f"""
            with cleaned as (
                select *{self.cleaned_fields()} from ({self.fields()})
            ),
            valued as (
                select *{self.values()} from cleaned
            )
            select position as record_position, {rank}, {self.day} as told_day, {self.day_text} as day_text,
                {f"date '{day}'" if day else self.day} as record_day, {self.is_wanted()} as is_wanted, {self.is_left_out()} as is_left_out,
                {selected}
            from valued
        """


def _divided(value: str, places: int) -> str:
    """Moves a number's decimal point, exactly at any length. Other text stays unchanged."""
    digits = f"ltrim(split_part({value}, '.', 1), '+-')"
    padded = f"lpad({digits}, cast(greatest(length({digits}), {places + 1}) as integer), '0')"
    moved = f"regexp_extract({value}, '^[+-]') || left({padded}, -{places}) || '.' || right({padded}, {places}) || split_part({value}, '.', 2)"
    return f"case when regexp_full_match({value}, '[+-]?\\d+(\\.\\d+)?') then regexp_replace({moved}, '\\.?0+$', '') else {value} end"


def delivered_column(table: str, name: str) -> Column:
    return next(column for column in delivered_tables()[table].columns if column.name == name)
