"""Warnings of an update: what people must see, however short the output.

There are three kinds, and one place for each:

- Events of one update, such as two files of a day with the same rows: call `warn(message)` from any module. The command line
  prints each distinct message once, at once, on standard error; `load -v` repeats it in its summary. In Dagster it is in the
  step's log and in the metadata `warnings` of the step's result.
- Lasting properties of a published generation, such as sites missing from `widgets.csv`: return them from
  `generation_warnings`. Every `load` and `status` prints them, and `published/marts` has them in its metadata.
- Misspelled settings: `environment_warnings`. The command line and the report print them before anything else; in Dagster they are
  warnings of each step that loads.

A message is one line. It names the file, row, column, setting or site, the problem, and what to do.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from pipeline.settings import misspelled_names
from pipeline.sites import site_warnings
from pipeline.wording import one_line

if TYPE_CHECKING:
    from pipeline.publishing import Publications

log = logging.getLogger("multichannel")
# Detailed progress, a line per delivery and model: shown in Dagster's logs, and on the command line with `--verbose`.
details = logging.getLogger("multichannel.details")


def warn(message: str) -> None:
    """Logs a one-line warning of the current update."""
    log.warning("%s", one_line(message))


def generation_warnings(publications: "Publications", number: int) -> list[str]:
    """Warnings of a published generation, a line each. Reads published files only, so it needs no lock."""
    file = publications.file(number)
    for earlier in reversed([each for each in publications.numbers() if each < number]):
        try:
            return site_warnings(file, publications.file(earlier))
        except duckdb.Error:
            continue  # Damaged, or just cleared away; for the generation itself, the last line raises.
    return site_warnings(file, None)


def environment_warnings() -> list[str]:
    """Warnings of misspelled settings in `.env`, a line each. Raises SettingsError."""
    return [f"`.env`: {name} is not a setting; did you mean {setting}?" for name, setting in misspelled_names().items()]


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = one_line(record.getMessage())
        if record.levelno == logging.WARNING and record.name == log.name and message not in self.messages:
            self.messages.append(message)


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """A list that collects each distinct warning, in order, while it is open."""
    collector = _Collector()
    log.addHandler(collector)
    try:
        yield collector.messages
    finally:
        log.removeHandler(collector)
