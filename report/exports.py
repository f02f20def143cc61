"""What is shown, as files that are safe to open: CSV and Excel."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import streamlit as st
import xlsxwriter

from report import queries
from report.parts import Column, Row
from report.reporting import Report

# What a spreadsheet takes for the beginning of a formula, also behind blanks or written wide; and where another language's
# spreadsheet, for which another character ends a cell, would see such a beginning.
FORMULA = re.compile(r"(^|[;,\t\r\n])[\s\"']*[=+\-@＝＋－＠]|^[\t\r\n]")
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LONGEST_CELL = 32_767

Exported = Callable[[], tuple[Sequence[Column], Sequence[Row]]]


def buttons(report: Report, name: str, exported: Exported) -> None:
    """Two buttons; the file is made when one is clicked, of the generation that the page shows."""
    words = report.words
    title = f"{name}-{report.generation.data_through}"
    st.download_button(
        words("export_csv"), lambda: as_csv(*exported(), words.language), f"{title}.csv", "text/csv",
        key=f"{name}_csv", icon=":material/download:", on_click="ignore", help=words("export_limit", n=words.number(queries.EXPORT_LIMIT)),
    )  # fmt: skip
    st.download_button(
        words("export_excel"), lambda: as_excel(*exported()), f"{title}.xlsx", EXCEL,
        key=f"{name}_excel", icon=":material/download:", on_click="ignore", help=words("export_limit", n=words.number(queries.EXPORT_LIMIT)),
    )  # fmt: skip


def as_csv(columns: Sequence[Column], rows: Sequence[Row], language: str) -> bytes:
    """As spreadsheets of the language read it: UTF-8 with a mark, `;` and decimal commas in Russian.

    A text that begins like a formula, as phones do, begins with an apostrophe.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=";" if language == "ru" else ",", quoting=csv.QUOTE_ALL)
    writer.writerow([_csv_text(column.heading, language) for column in columns])
    writer.writerows([_csv_text(value(column, row), language) for column in columns] for row in rows)
    return file.getvalue().encode("utf-8-sig")


def as_excel(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    """Numbers, days and times as such; all else as text, whatever it begins with."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"})
    sheet = book.add_worksheet()
    bold, day = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
    sheet.freeze_panes(1, 0)
    for number, column in enumerate(columns):
        sheet.set_column(number, number, 18)
        sheet.write_string(0, number, column.heading, bold)
    for line, row in enumerate(rows, start=1):
        for number, column in enumerate(columns):
            said = value(column, row)
            if isinstance(said, datetime):
                sheet.write_datetime(line, number, said)
            elif isinstance(said, date):
                sheet.write_datetime(line, number, said, day)
            elif isinstance(said, int | float | Decimal) and not isinstance(said, bool):
                sheet.write_number(line, number, float(said))
            elif said is not None:
                sheet.write_string(line, number, excel_text(str(said)))
    book.close()
    return file.getvalue()


def excel_text(text: str) -> str:
    """As much of a text as a cell of Excel can hold: it counts characters beyond the first 65,536 of Unicode twice."""
    return text.encode("utf-16-le", "replace")[: 2 * LONGEST_CELL].decode("utf-16-le", "ignore")


def value(column: Column, row: Row) -> Any:
    """What a file holds for a cell: the column's value if it has one, else the text that is shown."""
    if column.value is not None:
        return column.value(row)
    shown = column.cell(row)
    return shown if shown is None or isinstance(shown, str) else " ".join(_texts(shown))


def _texts(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    children = node[2:] if len(node) > 1 and isinstance(node[1], dict) else node
    return [text for child in children if child is not None for text in _texts(child)]


def _csv_text(said: Any, language: str) -> str:
    if said is None:
        return ""
    if isinstance(said, datetime):
        return said.isoformat(sep=" ", timespec="seconds")
    if isinstance(said, date):
        return said.isoformat()
    if isinstance(said, int | float | Decimal):
        return str(said).replace(".", ",") if language == "ru" else str(said)
    return FORMULA.sub(lambda found: f"{found[0][:-1]}'{found[0][-1]}", said)
