"""Exports: CSV and Excel files in a folder, read by a mapping file."""

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import ClassVar, Literal

import duckdb
from pydantic import Field

from pipeline import sql
from pipeline.contracts import delivered_tables, reading_macros
from pipeline.landing import is_complete, readable
from pipeline.reading import UnreadableFileError
from pipeline.reading.csv_files import (
    Dialect,
    are_all_delimiters,
    clean_csv_records,
    csv_header,
    drop_faulty_csv_records,
    faulty_csv_records,
)
from pipeline.settings import PROJECT_DIR, Rules, SettingsError
from pipeline.wording import listed
from sources.delivering import held_days
from sources.excel import Workbook, cell_text, create_rows, first_rows, is_excel, settle_numbers
from sources.export_text import DELIMITERS, Escapes, HeaderFinder, escaped, squeezed, write_plain
from sources.mapping import SHIPPED, UNPARSABLE
from sources.mapping import Mapping as FieldMapping
from sources.records import table_records
from sources.source import ROWS_PER_FILE, Days, Extract, FetchContext, Part, RefusedError, Source, SourceError

log = logging.getLogger("multichannel")

DAY, ANY_DAY = "{day}", "????-??-??"
SHOWN_FILES = 3
# Beside its fields, a row has its place and, if it doesn't parse, its whole text.
OWN_FIELDS = ("export_file", "export_row", UNPARSABLE)
A_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class Files(Source):
    """The files at `path`, where `*` matches anything, `**` folders and {day} a file's day.

    With {day}, all rows of a file belong to that day. Without it, all files are read and each row goes by its own time. If a
    touch or contact occurs several times, the last row of the last file (by path) counts; for costs, the last file with a
    day replaces that day in earlier files.
    """

    kind: Literal["files"]
    path: str = Field(min_length=1)
    mapping: str = Field(min_length=1)
    source: Part | None = None
    """The prefix of ids before the account; another source's name if both share ids."""
    keep_ids: bool = False

    has_every_day: ClassVar = False
    datasets: ClassVar = {}

    def days_are_in(self, rules: Rules) -> str:
        return rules.report_timezone

    @property
    def delivered_by(self) -> str:
        return f"{self.source or self.kind}:{self.own_account}"

    @property
    def keeps_ids(self) -> bool:
        return self.keep_ids

    @cached_property
    def field_mapping(self) -> FieldMapping:
        """Raises SettingsError."""
        candidates = (PROJECT_DIR / self.mapping, SHIPPED / self.mapping)
        file = next((file for file in candidates if file.is_file()), None)
        if file is None:
            shipped = ", ".join(sorted(file.name for file in SHIPPED.glob("*.yml")))
            raise SettingsError(f"`mapping`: there is no file {candidates[0]}; ready-made mappings are {shipped}")
        return FieldMapping.read(file)

    @property
    def delivered_datasets(self) -> Mapping[str, str]:
        return {"rows": self.field_mapping.table}

    def held_days(self, context: FetchContext) -> Days:
        if DAY in self.path:
            return self._days_of_files()
        try:
            with self._extract(self._found(self.path), (), context) as extract:
                return held_days(self, extract, context)
        except SourceError as error:
            raise RefusedError(str(error)) from None

    def _days_of_files(self) -> Days:
        """The days for which a file exists."""
        named = {
            found
            for file in self._files(self.path.replace(DAY, ANY_DAY))
            for found in A_DAY.findall(str(file))
            if _is_day(found)
        }
        days = [
            day
            for day in sorted(named)
            if any(is_complete(file.name) for file in self._files(self.path.replace(DAY, day)))
        ]
        if not days:
            self._found(self.path)
        return tuple(map(date.fromisoformat, days))

    def read(self, days: Days, context: FetchContext) -> Iterator[Extract]:
        if DAY not in self.path:
            try:
                with self._extract(self._found(self.path), days, context) as extract:
                    yield extract
            except SourceError as error:
                raise RefusedError(str(error)) from None
            return
        problems: dict[str, None] = {}
        for day in days:
            try:
                with self._extract(self._found(self.path.replace(DAY, str(day))), (day,), context) as extract:
                    yield extract
            except SourceError as problem:
                # One day's bad file must not block other days.
                problems[str(problem)] = None
        if problems:
            raise RefusedError("; ".join(problems))

    def _found(self, pattern: str) -> list[Path]:
        exact = PROJECT_DIR / pattern
        if exact.is_dir():
            raise SourceError(
                f"{exact} is a folder: say in `path` which files of it are meant, like {self.path.rstrip('/')}/*.csv"
            )
        found = self._files(pattern)
        files = sorted({file for file in found if file.is_file() and is_complete(file.name)})
        if not files:
            waiting = [file.name for file in found if not is_complete(file.name)]
            raise SourceError(
                f"there is no file {PROJECT_DIR / self.path}"
                + (
                    f" but {', '.join(waiting[:SHOWN_FILES])}, which isn't complete while it is called so"
                    if waiting
                    else self._instead()
                )
                + ": put the export there, or correct `path`"
            )
        return files

    def all_files(self) -> set[Path]:
        """The complete files at `path`, of whatever day, as the file system knows them."""
        try:
            found = self._files(self.path.replace(DAY, ANY_DAY))
            return {file.resolve() for file in found if is_complete(file.name) and file.is_file()}
        except (SourceError, OSError):
            return set()  # The fetch itself will report the problem.

    def takes_rows_of(self, other: "Files") -> bool:
        """Whether both take the same rows of a file for the same table."""
        own, others = (
            (mapping.table, mapping.only, mapping.leave_out, mapping.only_with)
            for mapping in (self.field_mapping, other.field_mapping)
        )
        return own == others

    def gives_ids_of(self, other: "Files") -> bool:
        """Whether both give a row the same id, so that it counts once (R3)."""
        column = self.field_mapping.id_column
        own, others = ("" if source.keeps_ids else source.delivered_by for source in (self, other))
        return (
            column is not None
            and own == others
            and self.field_mapping.columns[column] == other.field_mapping.columns[column]
        )

    def _instead(self) -> str:
        """What there is in place of the files at `path`: no folder, no files, or files with similar names."""
        pattern = PROJECT_DIR / self.path.replace(DAY, ANY_DAY)
        if self._files(str(pattern)):
            return ""  # Only some days are missing.
        for folder in reversed(pattern.parents):
            if not self._folders(folder):
                return f", as there is no folder {str(folder).replace(ANY_DAY, DAY)}"
        folders = self._folders(pattern.parent)
        names = {file.name for folder in folders for file in folder.iterdir() if file.is_file()}
        if not names:
            return f", as there are no files in {str(pattern.parent).replace(ANY_DAY, DAY)}"
        similar = similar_names(pattern.name, filter(is_complete, names))[:SHOWN_FILES]
        if not similar:
            return ""
        return f", but there {'is' if len(similar) == 1 else 'are'} {listed(map(readable, similar))}"

    def _folders(self, pattern: Path) -> list[Path]:
        return [pattern] if pattern.is_dir() else [found for found in self._files(str(pattern)) if found.is_dir()]

    @staticmethod
    def _files(pattern: str) -> list[Path]:
        exact = PROJECT_DIR / pattern
        anchor = Path(exact.anchor)
        try:
            return [exact] if exact.is_file() else list(anchor.glob(str(exact.relative_to(anchor))))
        except ValueError as error:
            raise SourceError(f"`path` can't be looked for ({error}): write one like exports/*.csv") from None

    @contextmanager
    def _extract(self, files: list[Path], days: Days, context: FetchContext) -> Iterator[Extract]:
        mapping = self.field_mapping
        # For costs the newest file counts; for rows with an id, the newest row.
        rank = "file_number" if mapping.table == "costs" else "position"
        relations = [self._read(file, context) for file in files]
        names = list(dict.fromkeys([*OWN_FIELDS, *(name for _, header in relations for name in header)]))
        columns = {name: f"field_{number}" for number, name in enumerate(names)}
        parts = []
        for number, (relation, header) in enumerate(relations):
            there = {name: f"field_{place}" for place, name in enumerate(header)} | {name: name for name in OWN_FIELDS}
            listed = ", ".join(f"{there.get(name, 'null')}::varchar as {column}" for name, column in columns.items())
            parts.append(
                f"select {number} as file_number, {number} * {ROWS_PER_FILE} + row_number as position, {listed} from {relation}"
            )
        relation = context.new_name("records")
        context.connection.execute(f"create temporary view {relation} as {' union all '.join(parts)}")
        self._tell_absent(names)
        yield Extract(
            "rows",
            mapping,
            table_records(relation, names, rank),
            days,
            is_of_its_day=DAY in self.path,
            mapping_name=self.mapping,
        )
        context.connection.execute(f"drop view {relation}")
        for relation, _ in relations:
            context.connection.execute(f"drop table {relation}")

    def _tell_absent(self, names: list[str]) -> None:
        absent = [
            f"{name} ({', '.join(f'«{field}»' for field in column.fields)})"
            for name, column in self.field_mapping.columns.items()
            if column.constant is None and not set(column.fields) & set(names)
        ]
        if absent:
            log.warning("%s: no file has a column for %s: these stay empty", self.name, ", ".join(absent))

    def _read(self, file: Path, context: FetchContext) -> tuple[str, list[str]]:
        """A relation (row_number, field_0, …, and OWN_FIELDS) of one file, and its header. Unparsable lines are rows, too."""
        relation = context.new_name("file")
        try:
            if is_excel(file):
                header = self._read_sheet(file, relation, context)
            else:
                header = self._read_text(file, relation, context)
        except UnreadableFileError as error:
            raise SourceError(f"{readable(file)} {error}") from None
        return relation, header

    def _read_text(self, file: Path, relation: str, context: FetchContext) -> list[str]:
        how = self.field_mapping.file
        dialect = Dialect(how.delimiter, how.quote)
        plain = context.new_file("export")
        finder = HeaderFinder(self.field_mapping)
        try:
            write_plain(file, plain, finder)
            try:
                written, header_lines = csv_header(plain, dialect)
            except UnreadableFileError as error:
                raise UnreadableFileError(
                    f"has no header that {self.mapping} can read. {finder.hint}" if finder.hint else str(error)
                ) from None
            header = self._header([Escapes(how).shown(name) for name in written] if how.escape else written, finder)
            self._read_rows(plain, header_lines, written, dialect, relation, sql.literal(readable(file.name)), context)
        finally:
            plain.unlink(missing_ok=True)
        if how.escape:
            escapes = Escapes(how)
            fields = [
                f"{escapes.shown_in(field)} as {field}" for field in (f"field_{place}" for place in range(len(written)))
            ]
            fields.append(f"{escapes.written_in(UNPARSABLE)} as {UNPARSABLE}")
            context.connection.execute(
                f"create or replace temporary table {relation} as select * replace ({', '.join(fields)}) from {relation}"
            )
        return header

    def _read_sheet(self, file: Path, relation: str, context: FetchContext) -> list[str]:
        finder = HeaderFinder(self.field_mapping)
        workbook = Workbook(file)
        sheet, cells, header_row = workbook.sheet_with_header(finder)
        header = self._header(first_rows(cells)[header_row], finder)
        create_rows(context.connection, cells, header_row, relation)
        kinds = {column.name: column.type for column in delivered_tables()[self.field_mapping.table].columns}
        fields = {name: f"field_{place}" for place, name in enumerate(header)}
        mapped = [
            (column, kinds[name], fields[field], field)
            for name, column in self.field_mapping.columns.items()
            for field in column.fields
            if field in fields
        ]
        settle_numbers(
            context.connection,
            relation,
            lambda: workbook.numbers(sheet),
            with_comma={field for column, _, field, _ in mapped if column.decimal == ","},
            texts={field: name for _, kind, field, name in mapped if kind == "text"},
        )
        texts = ", ".join(
            f"{cell_text(context.connection, relation, field)} as {field}" for field in cells.column_names
        )
        context.connection.execute(
            f"""
            create or replace temporary table {relation} as
            select row_number, {texts}, {sql.literal(readable(file.name))} as export_file, row_number::varchar as export_row,
                null::varchar as {UNPARSABLE}
            from {relation}
            """
        )
        return header

    def _read_rows(
        self,
        plain: Path,
        header_lines: int,
        written: list[str],
        dialect: Dialect,
        relation: str,
        file_name: str,
        context: FetchContext,
    ) -> None:
        connection = context.connection
        fields = [f"field_{place}" for place in range(len(written))]
        own = f"{file_name} as export_file, row_number::varchar as export_row"
        has_value = f"concat({', '.join(fields)}) <> ''"
        try:
            clean = clean_csv_records(connection, plain, written, dialect)
            if clean is not None:
                connection.execute(
                    f"create temporary table {relation} as select *, {own}, null::varchar as {UNPARSABLE} from {clean}"
                )
                if are_all_delimiters(connection, relation, plain, written, dialect):
                    connection.execute(f"delete from {relation} where not ({has_value})")
                    return
        except duckdb.InvalidInputException:
            pass
        connection.execute(f"drop table if exists {relation}")
        scratch = context.new_file("lines")
        scratch.mkdir()
        macros = reading_macros(context.rules)
        records = faulty_csv_records(connection, macros, plain, header_lines, scratch, dialect)
        # Unnamed columns at the header's end may be absent, and empty fields beyond it are ignored.
        named = max(place for place, name in enumerate(written, 1) if name.strip())
        is_parsable = f"len(fields) >= {named} and len(list_filter(fields[{len(written) + 1}:], lambda field: trim(field) <> '')) = 0"
        values = ", ".join(
            f"case when is_parsable then fields[{place}] end as field_{place - 1}"
            for place in range(1, len(written) + 1)
        )
        connection.execute(
            f"""
            create temporary table {relation} as
            select row_number, {values}, {own}, case when not is_parsable then line end as {UNPARSABLE}
            from (select *, coalesce({is_parsable}, false) as is_parsable from {records})
            """
        )
        connection.execute(f"delete from {relation} where {UNPARSABLE} is null and not ({has_value})")
        drop_faulty_csv_records(connection)
        for leftover in scratch.iterdir():
            leftover.unlink()

    def _header(self, written: list[str], finder: HeaderFinder) -> list[str]:
        """Column names as the mapping writes them, ignoring differences in white space; unnamed columns by their place."""
        mapping = self.field_mapping
        names = finder.names(written)
        counts = Counter(names)
        doubled = sorted(name for name in set(mapping.used_fields) if counts[name] > 1)
        if doubled:
            raise UnreadableFileError(
                f"has more than one column {', '.join(f'«{name}»' for name in doubled)}: which one is meant? Rename or drop one"
            )
        absent = [
            " or ".join(" + ".join(f"«{name}»" for name in parts) for parts in alternatives)
            for alternatives in mapping.required_fields
            if not any(set(parts) <= set(names) for parts in alternatives)
        ]
        if absent:
            raise UnreadableFileError(
                f"has no column {', '.join(absent)}; its columns are {', '.join(f'«{name}»' for name in map(squeezed, written))[:1000]}. "
                + self._hint(written, finder)
            )
        taken: set[str] = set(OWN_FIELDS)
        header = []
        for place, name in enumerate(names, 1):
            chosen, number = name or f"column {place}", 1
            while chosen in taken:
                number += 1
                chosen = f"{name or 'column'} {place if not name else number}"
            taken.add(chosen)
            header.append(chosen)
        return header

    def _hint(self, written: list[str], finder: HeaderFinder) -> str:
        if finder.hint:
            return finder.hint
        how = self.field_mapping.file
        others = {
            delimiter: sum(name.count(delimiter) for name in written)
            for delimiter in DELIMITERS
            if delimiter != how.delimiter
        }
        likely = max(others, key=lambda delimiter: others[delimiter])
        if others[likely] >= max(1, len(written) - 1):
            return f"Its columns seem to be separated by {DELIMITERS[likely]}: " + self.field_mapping.how_to_set(
                f'`delimiter: "{escaped(likely)}"`'
            )
        return f"Mend {self.mapping} (names, `delimiter`, `encoding`, `skip_lines`), or export it as before"


def shared_file_warnings(sources: Iterable[Source], names: Collection[str]) -> list[str]:
    """Warnings of files whose rows two sources deliver, one of them with one of these names: a line per pair."""
    pairs = [
        (first, second)
        for first, second in combinations([source for source in sources if isinstance(source, Files)], 2)
        if not {first.name, second.name}.isdisjoint(names) and first.takes_rows_of(second)
    ]
    readers = {source.name: source for pair in pairs for source in pair}
    files = {name: source.all_files() for name, source in readers.items()}
    warnings = []
    for first, second in pairs:
        shared = list(dict.fromkeys(readable(file.name) for file in sorted(files[first.name] & files[second.name])))
        if not shared:
            continue
        more = [f"{len(shared) - SHOWN_FILES:,} more"] if len(shared) > SHOWN_FILES else []
        are, their = ("is", "its") if len(shared) == 1 else ("are", "their")
        effect = (
            "have the same ids in both, so they count for one only" if first.gives_ids_of(second) else "count for each"
        )
        warnings.append(
            f"{listed([*shared[:SHOWN_FILES], *more])} {are} read by two sources, {first.name} and {second.name}, and {their} "
            f"rows {effect}: choose paths or file names that do not overlap"
        )
    return warnings


def similar_names(wanted: str, names: Iterable[str]) -> list[str]:
    """Names that differ from the wanted one, which may have wildcards, in case or ending only; then those that are close."""
    stems = {name: Path(name.casefold()).stem for name in sorted(names)}
    wanted_stem = Path(wanted.casefold()).stem
    same = [name for name, stem in stems.items() if fnmatchcase(stem, wanted_stem)]
    close = get_close_matches(wanted_stem, set(stems.values()))
    return [*same, *(name for name, stem in stems.items() if stem in close and name not in same)]


def _is_day(written: str) -> bool:
    try:
        return date.fromisoformat(written).isoformat() == written
    except ValueError:
        return False
