"""A published file whose every text holds a phone, and the traces by which a phone is recognized in whatever a server sends."""

import base64
import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import duckdb

RUSSIAN = [f"+7916{number:07}" for number in (1234567, 2345678, 3456789, 4567891, 5678912, 6543219)] + [
    "+74951234567",
    "+78001234567",
]
FOREIGN = ["+375291234567", "+380501234567", "+442079460958", "+12125550123", "+37251234567", "+77011234567"]
NUMBERS = [*RUSSIAN, *FOREIGN]
# Words of models, which no delivery says.
WORDS = {
    "icon", "highlight", "grain", "model", "outcome", "not_multichannel_reason", "identifier_kind", "kind", "table_name", "contact_type",
    "action_type", "channel_told_by", "reason", "match", "build_id", "run_id", "fingerprint", "former_icon", "change",
}  # fmt: skip
COPIES = 60
# The last one's name has so many letters, and a phone.
LONG = 4_000_000


def spellings(number: str) -> list[str]:
    """How people, forms and links write a number."""
    digits = number[1:]
    written = [
        number,
        digits,
        f"tel:{number}",
        quote(number, safe=""),
        f"({digits})",
        base64.b64encode(digits.encode()).decode(),
    ]
    for sign in ("-", " ", ".", "\u00a0", "_", "/"):
        parts = [digits[:-10], *re.findall("^(...)(...)(..)(..)$", digits[-10:])[0]] if digits[:-10] else [digits]
        written.append("+" + sign.join(parts))
    if number.startswith("+7"):
        area, rest = digits[1:4], digits[4:]
        split = f"{rest[:3]}-{rest[3:5]}-{rest[5:]}"
        written += [
            f"8{area}{rest}", f"8 {area} {split}", f"+7({area}){rest}", f"8({area}) {split} доб. 12", f"{area} {split}", f"{area}{rest}",
            f"8-{area}-{split}", f"8.{area}.{rest}", f"8\u00a0{area}\u00a0{split}", f"тел. 8{area}{rest} Иван", f"id{digits}x", f"2026112{digits}",
            f"код {area} номер {rest}", quote(f"8 ({area}) {split}"), quote(quote(f"+7 {area} {split}")), f"8&nbsp;{area}&#45;{split}",
            "".join(f"%{ord(digit):02X}" for digit in digits), digits.translate({ord("0") + n: 0xFF10 + n for n in range(10)}),
            f"%2B7+%28{area}%29+{split}",
        ]  # fmt: skip
    return written


def traces(text: str) -> Iterator[str]:
    """The phones of NUMBERS that a text holds whole, in any spelling."""
    readings = {text}
    for _ in range(3):
        readings |= {html.unescape(unquote(reading)) for reading in readings}
        readings |= {unquote(reading, "cp1251") for reading in readings}
    for token in set(re.findall(r"[A-Za-z0-9+/_-]{10,}={0,2}", text)):
        for start in range(4):
            piece = token[start:].rstrip("=").replace("-", "+").replace("_", "/")
            piece = piece[:-1] if len(piece) % 4 == 1 else piece
            readings.add(base64.b64decode(piece + "=" * (-len(piece) % 4)).decode("latin-1"))
    joined = [re.sub(r"[^\d\w]|_|код|номер", "", reading) for reading in readings]
    for number in NUMBERS:
        significant = number[2:] if number.startswith("+7") else number[1:]
        if any(significant in reading or significant in _western(reading) for reading in joined):
            yield number


def _western(text: str) -> str:
    return "".join(str(int(character)) if character.isdecimal() else character for character in text)


def with_phones_everywhere(published: Path, file: Path) -> Path:
    """A copy of a published file in which every text that a delivery can say holds a phone, and one client has COPIES contacts.

    A text becomes the same text wherever it stands, so that tables still belong together.
    """
    shutil.copyfile(published, file)
    file.chmod(0o600)
    with duckdb.connect(str(file)) as connection:
        _copy_contacts(connection)
        connection.execute(
            """
            insert into _large_clients by name
            select client_id, first_contact_id, 'phone' as identifier_kind, phone as identifier, 5 as contact_count, 7 as touch_count
            from client_card where phone is not null limit 3;
            update _loads set outcome = 'failed', message = 'row 5 of ' || file_name from (select 'contacts.csv' as file_name)
            where load_id in (select max(load_id) from _loads group by table_name, load_day);
            insert into unmapped_sources by name
            select 'site' as kind, 'site' as widget_id, 3 as contact_count, 4 as touch_count, date '2026-03-01' as last_contact_date
            union all select 'tags', null, 2, 2, date '2026-03-01'
            """
        )
        every = [spelling for number in NUMBERS for spelling in spellings(number)]
        connection.execute("create macro spelled(text, texts) as texts[1 + (hash(text) % len(texts))::int]")
        columns = connection.execute(
            "select table_name, column_name, data_type from duckdb_columns() where data_type in ('VARCHAR', 'VARCHAR[]') "
            "and table_name in (select table_name from duckdb_tables()) and table_name <> '_meta' order by all"
        ).fetchall()
        for table, column, kind in columns:
            if column in WORDS:
                continue
            values = {"spellings": every}
            if column in ("phone", "identifier"):
                new, values = f"spelled({column}, $spellings)", {"spellings": NUMBERS}
            elif column == "client_id":
                new = "'client-' || " + _held("substr(client_id, 8)")
            elif column == "next_channel":
                new = f"if(next_channel is null, null, {_held(column)})"
            elif kind == "VARCHAR[]":
                new = f"list_transform(coalesce({column}, ['a', 'b']), lambda text: {_held('text')})"
            else:
                new = _held(f"coalesce({column}, 'none')")
            connection.execute(f"update {table} set {column} = {new}", values)
        connection.execute(
            "update journal set client_name = repeat('я', $length) || client_name where contact_number = 60",
            {"length": LONG},
        )
    return file


def _held(text: str) -> str:
    return f"{text} || '-' || spelled({text}, $spellings)"


def _copy_contacts(connection: duckdb.DuckDBPyConnection) -> None:
    first = connection.execute("select min(contact_id) from journal where is_multichannel").fetchall()[0][0]
    for table in ("journal", "client_history", "interaction_history"):
        numbered = (
            ", n as contact_number, contacted_at + to_minutes(n::int) as contacted_at"
            if table != "interaction_history"
            else ""
        )
        connection.execute(
            f"""
            insert into {table} select {table}.* replace (
                'many-' || lpad(n::varchar, 2, '0') as contact_id, 'client-many-01' as client_id {numbered}
            ) from {table}, range(1, {COPIES + 1}) as numbers(n) where contact_id = $first
            """,
            {"first": first},
        )
    connection.execute(
        """
        insert into client_card select * replace (
            'client-many-01' as client_id, 'many-01' as first_contact_id, $copies as contact_count, $copies as multichannel_contact_count,
            (select min(contacted_at) from journal where client_id = 'client-many-01') as first_contact_at,
            (select max(contacted_at) from journal where client_id = 'client-many-01') as last_contact_at
        ) from client_card where client_id = (select client_id from journal where contact_id = $first)
        """,
        {"first": first, "copies": COPIES},
    )
