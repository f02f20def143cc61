"""Exports: CSV files that somebody or something puts into a folder, read by a mapping file."""

import codecs
import csv
import itertools
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from orchestration.landing import is_complete
from orchestration.reading import CHUNK_BYTES, LONGEST_LINE_BYTES
from orchestration.settings import PROJECT_DIR
from sources.mapping import SHIPPED, UNPARSABLE, FileFormat
from sources.mapping import Mapping as FieldMapping
from sources.records import table_records, text
from sources.source import Answer, Days, Part, Source, SourceError, Workshop

DAY = "{day}"


class Files(Source):
    """The files at `path`, in which `*` stands for anything and {day} for the day that a file is of.

    Without {day} all are read, and each row goes by its own time. Where files tell of the same day, the later name says all
    of a cost, and the newer version of a touch or contact.
    """

    kind: Literal["files"]
    path: str = Field(min_length=1)
    mapping: str = Field(min_length=1)
    source: Part | None = None
    """What ids are prefixed by before the account; the name of another source, where they are the same ids."""
    keep_ids: bool = False

    datasets: ClassVar = {}

    @property
    def delivered_by(self) -> str:
        return f"{self.source or self.kind}:{self.own_account}"

    @property
    def keeps_ids(self) -> bool:
        return self.keep_ids

    @cached_property
    def field_mapping(self) -> FieldMapping:
        """Raises SettingsError."""
        own, shipped = PROJECT_DIR / self.mapping, SHIPPED / self.mapping
        return FieldMapping.read(shipped if shipped.is_file() and not own.is_file() else own)

    @property
    def delivered_datasets(self) -> Mapping[str, str]:
        return {"rows": self.field_mapping.table}

    def read(self, days: Days, workshop: Workshop) -> Iterator[Answer]:
        if DAY not in self.path:
            yield self._answer(self._found(self.path), days, workshop)
            return
        for day in days:
            yield self._answer(self._found(self.path.replace(DAY, str(day))), (day,), workshop)

    def _found(self, pattern: str) -> list[Path]:
        anchor = Path(pattern).anchor or str(PROJECT_DIR)
        relative = str(Path(pattern).relative_to(anchor)) if Path(pattern).is_absolute() else pattern
        files = sorted(file for file in Path(anchor).glob(relative) if file.is_file() and is_complete(file.name))
        if not files:
            raise SourceError(f"there is no file {pattern}: put the export there, or mend `path`")
        return files

    def _answer(self, files: list[Path], days: Days, workshop: Workshop) -> Answer:
        mapping = self.field_mapping
        relations = [self._read(file, number, workshop) for number, file in enumerate(files)]
        names = list(dict.fromkeys(name for _, header in relations for name in header))
        columns = {name: f"field_{number}" for number, name in enumerate(names)}
        parts = []
        for number, (relation, header) in enumerate(relations):
            there = {name: f"field_{place}" for place, name in enumerate(header)}
            listed = ", ".join(f"{there.get(name, 'null')}::varchar as {column}" for name, column in columns.items())
            parts.append(f"select {number} as file_number, row_number, {listed} from {relation}")
        relation = workshop.new_name("records")
        workshop.connection.execute(
            f"""
            create temporary table {relation} as
            select row_number() over (order by file_number, row_number) as position, * from ({" union all ".join(parts)})
            """
        )
        return Answer("rows", mapping, table_records(relation, names, rank="file_number"), days)

    def _read(self, file: Path, number: int, workshop: Workshop) -> tuple[str, list[str]]:
        """A relation (row_number, field_0, …) of one file, and its header. Lines that don't parse are rows as well."""
        how = self.field_mapping.file
        plain = workshop.new_file("export")
        header_lines = copy_as_utf8(file, plain, how)
        header = read_header(file, plain, how)
        self._check_header(file, header)
        connection, relation = workshop.connection, workshop.new_name("file")
        width = len(header)
        columns = ", ".join(f"'field_{place}': 'varchar'" for place in range(width))
        rejects, scans = f"{relation}_rejects", f"{relation}_scans"
        connection.execute(
            f"""
            create temporary table {relation}_read as
            select row_number() over () - 1 as row_number, *
            from read_csv(
                {text(str(plain))}, delim = {text(how.delimiter)}, quote = {text(how.quote)}, escape = {text(how.quote)},
                comment = '', header = false, auto_detect = false, max_line_size = {LONGEST_LINE_BYTES},
                columns = {{{columns}}}, ignore_errors = true, store_rejects = true,
                rejects_table = {text(rejects)}, rejects_scan = {text(scans)}
            )
            """
        )
        rejected = connection.execute(f"select count(distinct line) from {rejects}").fetchone()
        rejected_count = int(rejected[0]) if rejected else 0
        # Rows can't be numbered behind one that isn't among them.
        row = "row_number" if not rejected_count else "null"
        listed = ", ".join(f"field_{place}" for place in range(width))
        name = text(file.name)
        connection.execute(
            f"""
            create temporary table {relation} as
            select row_number, {listed}, {name} as field_{width}, cast({row} as varchar) as field_{width + 1},
                null as field_{width + 2}
            from {relation}_read
            where row_number > 0 and coalesce({listed}, '') <> ''
            union all by name
            select {10**12} + line as row_number, {name} as field_{width},
                'line ' || (line + {header_lines}) as field_{width + 1},
                any_value(csv_line) as field_{width + 2}
            from {rejects}
            group by line
            """
        )
        return relation, [*header, "export_file", "export_row", UNPARSABLE]

    def _check_header(self, file: Path, header: list[str]) -> None:
        absent = [
            " or ".join(f"«{name}»" for name in names)
            for names in self.field_mapping.required_fields
            if not set(names) & set(header)
        ]
        if absent:
            raise SourceError(
                f"{file} has no column {', '.join(absent)}; its columns are {', '.join(f'«{name}»' for name in header)[:500]}. "
                f"Mend {self.mapping} (names, `delimiter`, `skip_lines`), or export it as before"
            )


def copy_as_utf8(file: Path, target: Path, how: FileFormat) -> int:
    """Writes a file again as UTF-8, without the lines above its header, whose number it returns. Raises SourceError."""
    decoder = codecs.getincrementaldecoder("utf-8-sig" if _is_utf8(how.encoding) else how.encoding)("strict")
    left, line = how.skip_lines, 1
    try:
        with open(file, "rb") as content, open(target, "w", encoding="utf-8", newline="") as copy:
            for chunk in itertools.chain(iter(lambda: content.read(CHUNK_BYTES), b""), [b""]):
                if chunk.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")) and line == 1:
                    raise SourceError(f"{file} is an Excel file: save it as CSV")
                decoded = decoder.decode(chunk, final=not chunk)
                line += decoded.count("\n")
                if "\0" in decoded:
                    raise SourceError(
                        f"{file} has a NUL byte: it is damaged, or in another encoding than {how.encoding}"
                    )
                while left and decoded:
                    _, line_end, decoded = decoded.partition("\n")
                    left -= bool(line_end)
                copy.write(decoded)
    except UnicodeDecodeError as error:
        line += error.object[: error.start].count(b"\n")
        raise SourceError(
            f"{file} is not {how.encoding} in line {line:,}: say in the mapping's `file` which `encoding` it is in (windows-1251, perhaps)"
        ) from None
    except OSError as error:
        raise SourceError(f"{file} can't be read ({error.strerror})") from None
    return how.skip_lines


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def read_header(file: Path, plain: Path, how: FileFormat) -> list[str]:
    options: dict[str, Any] = {"quotechar": how.quote} if how.quote else {"quoting": csv.QUOTE_NONE}
    with open(plain, encoding="utf-8", newline="") as content:
        first = next(csv.reader(itertools.islice(content, 1000), delimiter=how.delimiter, **options), [])
    names = [re.sub(r"\s+", " ", name).strip() for name in first]
    if not any(names):
        raise SourceError(f"{file} has no header: the first line that `skip_lines` leaves must name its columns")
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise SourceError(f"{file} has more than one column called {', '.join(f'«{name}»' for name in doubled)}")
    return names
