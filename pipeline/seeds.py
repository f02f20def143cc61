"""Checks, before a build, that seeds are readable and keep the contract in `seeds/_seeds.yml`."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ada_url
import duckdb

from pipeline import sql
from pipeline.settings import PROJECT_DIR, SettingsError
from pipeline.yaml_files import read_yaml

SHOWN_FAULTS = 10
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
SAVE_AGAIN = "save it as CSV UTF-8, with commas between the columns"

Row = Mapping[str, str | None]
Rule = Callable[[Row], str | None]
"""What is wrong with a row of a seed, with what to do; null for a good one."""


def bare_site_hosts(row: Row) -> str | None:
    """R11: a widget's hosts are compared as written, so they must be bare hosts."""
    wrong = [host for host in (row["site_host"] or "").split() if not _is_bare_host(host)]
    return f"site_host = {json.dumps(wrong[0], ensure_ascii=False)}: {BARE_HOST}" if wrong else None


def _is_bare_host(text: str) -> bool:
    try:
        url = ada_url.URL(f"https://{text}")
    except ValueError:
        return False
    return bool(url.hostname) and bool(re.fullmatch(r"[\w-]+(\.[\w-]+)*", text))


BARE_HOST = "write the host alone, as in `okna.example`, without scheme, port or path; several with blanks between"
# Rules beside the contract, by seed: one function each.
RULES: dict[str, tuple[Rule, ...]] = {"widgets": (bare_site_hosts,)}


class UnreadableSeedError(Exception):
    """The file can't be read as a table. The message says where and what to do."""


@dataclass(frozen=True)
class Contract:
    """A seed's contract in `seeds/_seeds.yml`."""

    types: dict[str, str]
    """The columns, by name."""
    conditions: tuple[tuple[str, str], ...]
    """SQL conditions that bad rows fulfil, each with a message."""


@dataclass(frozen=True)
class Seed:
    """A seed's rows: texts by column, None if empty, and the line where each row ends."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    lines: tuple[int, ...]


def check_seeds(folder: Path = PROJECT_DIR / "seeds") -> None:
    """Raises SettingsError. It names file, line and column of every fault, and what to do, a line each."""
    with duckdb.connect(config={"threads": 1}) as connection:
        faults = [
            f"{folder.name}/{name}.csv{fault}"
            for name, contract in contracts().items()
            for fault in _faults(connection, folder / f"{name}.csv", contract)
        ]
    if faults:
        more = [f"… and {len(faults) - SHOWN_FAULTS:,} more"] if len(faults) > SHOWN_FAULTS else []
        raise SettingsError("\n".join([*faults[:SHOWN_FAULTS], *more]))


def _faults(connection: duckdb.DuckDBPyConnection, file: Path, contract: Contract) -> Iterator[str]:
    try:
        seed = read_seed(file, tuple(contract.types))
    except UnreadableSeedError as error:
        yield str(error)
        return
    faults = [*_contract_faults(connection, seed, contract), *_rule_faults(seed, RULES.get(file.stem, ()))]
    for line, fault in sorted(faults):
        yield f", line {line}: {fault}"


def read_seed(file: Path, columns: tuple[str, ...]) -> Seed:
    """Reads a seed. Raises UnreadableSeedError, whose message follows the file's name."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise UnreadableSeedError(f" isn't there: it needs at least the line {','.join(columns)}") from None
    except OSError as error:
        raise UnreadableSeedError(f" can't be read: {error.strerror}") from None
    text = _text(content)
    _check_line_ends(text)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[str | None, ...]] = []
    lines: list[int] = []
    header: list[str] = []
    try:
        header = next(reader, [])
        _check_header(header, columns)
        for cells in reader:
            if len(cells) not in (0, len(header)):
                raise UnreadableSeedError(
                    f", line {reader.line_num}: it has {len(cells)} columns, and the header has {len(header)}. "
                    "Put values with a comma in them between double quotes"
                )
            # With a single column, an empty line is a row without a value.
            if cells or len(header) == 1:
                rows.append(tuple(cell or None for cell in (cells or [""])))
                lines.append(reader.line_num)
    except csv.Error:
        raise UnreadableSeedError(
            f", line {reader.line_num}: a double quote is out of place. Double it inside of a value that stands between quotes"
        ) from None
    return Seed(tuple(header), tuple(rows), tuple(lines))


def _text(content: bytes) -> str:
    if content.startswith(UTF_16):
        raise UnreadableSeedError(f" is in UTF-16: {SAVE_AGAIN}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableSeedError(f", line {line}: it isn't in UTF-8 (perhaps in Windows-1251): {SAVE_AGAIN}") from None
    if "\0" in text:
        raise UnreadableSeedError(
            f", line {text.count(chr(10), 0, text.index(chr(0))) + 1}: it holds a NUL byte: {SAVE_AGAIN}"
        )
    return text


def _check_line_ends(text: str) -> None:
    pairs = text.count("\r\n")
    if sum(count > 0 for count in (pairs, text.count("\n") - pairs, text.count("\r") - pairs)) > 1:
        raise UnreadableSeedError(f" has line ends of several kinds: {SAVE_AGAIN}")


def _check_header(header: list[str], columns: tuple[str, ...]) -> None:
    if sorted(header) == sorted(columns):
        return
    for delimiter, name in OTHER_DELIMITERS.items():
        if any(delimiter in cell for cell in header):
            raise UnreadableSeedError(f", line 1: the columns are parted by {name}: {SAVE_AGAIN}")
    faults = [f"{column} is missing" for column in columns if column not in header]
    faults += [
        f"{column or 'one without a name'} is no column of it"
        for column in dict.fromkeys(header)
        if column not in columns
    ]
    faults += [f"{column} stands there twice" for column in columns if header.count(column) > 1]
    raise UnreadableSeedError(f", line 1: {'; '.join(faults)}. The header has to be {','.join(columns)}")


def _contract_faults(connection: duckdb.DuckDBPyConnection, seed: Seed, contract: Contract) -> list[tuple[int, str]]:
    """Lines that break the contract, each with its fault."""
    columns = [list(column) for column in zip(*seed.rows, strict=True)] or [[]] * len(seed.columns)
    values = ", ".join(f'unnest(cast(? as varchar[])) as "{column}"' for column in seed.columns)
    connection.execute(
        f"create or replace temporary table seed as select unnest(cast(? as bigint[])) as seed_line, {values}",
        [list(seed.lines), *columns],
    )
    checks = " union all ".join(
        f"select seed_line, {message} from seed where {condition}" for condition, message in contract.conditions
    )
    return connection.execute(checks).fetchall()


def _rule_faults(seed: Seed, rules: tuple[Rule, ...]) -> list[tuple[int, str]]:
    return [
        (line, fault)
        for line, cells in zip(seed.lines, seed.rows, strict=True)
        for rule in rules
        if (fault := rule(dict(zip(seed.columns, cells, strict=True))))
    ]


@cache
def contracts() -> dict[str, Contract]:
    """The contracts by seed."""
    described = read_yaml(PROJECT_DIR / "seeds" / "_seeds.yml")["seeds"]
    return {
        seed["name"]: Contract(
            {column["name"]: column["data_type"] for column in seed["columns"]}, tuple(_conditions(seed))
        )
        for seed in described
    }


def _conditions(seed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A seed's types and data tests as SQL conditions that bad rows fulfil, with messages."""
    for column in seed["columns"]:
        name, data_type = f'"{column["name"]}"', column["data_type"]
        if data_type == "integer":
            # A cast alone would round.
            yield (
                rf"not regexp_full_match({name}, '-?\d+') or try_cast({name} as integer) is null and {name} is not null",
                _message(f"{column['name']} = ", name, ": write a whole number"),
            )
        elif data_type != "varchar":
            wanted = "true or false" if data_type == "boolean" else f"a value of type {data_type}"
            yield (
                f"{name} is not null and try_cast({name} as {data_type}) is null",
                _message(f"{column['name']} = ", name, f": write {wanted}"),
            )
        yield (
            rf"regexp_matches({name}, '^[\s\p{{Z}}]|[\s\p{{Z}}]$')",
            _message(f"{column['name']} = ", name, ": it has a blank at its beginning or end; take it away"),
        )
        for test in column.get("data_tests", ()):
            yield from _column_conditions(column["name"], test)
    for test in seed.get("data_tests", ()):
        yield from _table_conditions(test)


def _column_conditions(column: str, test: str | dict[str, Any]) -> Iterator[tuple[str, str]]:
    kind, options = (test, {}) if isinstance(test, str) else next(iter(test.items()))
    where = f"({options.get('config', {}).get('where', 'true')})"
    name = f'"{column}"'
    if kind == "not_null":
        yield f"{name} is null and {where}", _message(f"{column} is empty: fill it in, or remove the line")
    elif kind == "unique":
        yield _repeated([name]), _message(f"{column} = ", name, " stands in a line before: remove one of them")
    elif kind == "accepted_values":
        values = options["arguments"]["values"]
        listed = ", ".join(map(sql.literal, values))
        yield f"{name} not in ({listed}) and {where}", _message(f"{column} = ", name, f": write {' or '.join(values)}")
    else:
        raise NotImplementedError(f"a seed's data test {kind}")


def _table_conditions(test: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kind, options = next(iter(test.items()))
    arguments = options["arguments"]
    if kind == "rules" and set(arguments) == {"keys"}:
        for columns in arguments["keys"]:
            yield (
                _repeated(columns),
                _message(f"{', '.join(columns)} stand in a line before: remove one of them"),
            )
    elif kind == "accepted_values" and arguments["values"] == [True]:
        yield (
            f"not ({arguments['column_name']})",
            _message(f"it breaks the rule `{options['name'].replace('_', ' ')}`: {arguments['column_name']}"),
        )
    else:
        raise NotImplementedError(f"a seed's data test {kind}")


def _repeated(columns: list[str]) -> str:
    keys = ", ".join(columns)
    is_whole = " and ".join(f"{column} is not null" for column in columns)
    return f"{is_whole} and seed_line not in (select min(seed_line) from seed group by {keys})"


def _message(before: str, column: str | None = None, after: str = "") -> str:
    """A message as SQL, with the column's value shortened."""
    return (
        sql.literal(before)
        if column is None
        else f"{sql.literal(before)} || to_json(left({column}, 60)) || {sql.literal(after)}"
    )
