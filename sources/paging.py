"""Reads paged answers: decides which page is the last, and whether all records came."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from sources.source import SourceError

MOST_PAGES = 10_000


@dataclass(frozen=True)
class Page:
    """The keys of a page's records, and the service's totals, if it gives any."""

    keys: frozenset[Hashable]
    record_count: int
    total: int | None = None
    page_count: int | None = None


@dataclass(frozen=True)
class Reading:
    """How many distinct records came, the service's total if any, and why some may be missing, if so."""

    received: int
    total: int | None
    doubt: str | None

    @property
    def is_whole(self) -> bool:
        return self.received == self.total if self.total is not None else self.doubt is None


def read_pages(page_of: Callable[[int], Page], page_size: int) -> Reading:
    """Reads all pages, in order.

    A short page isn't necessarily the last, as services may limit pages further. Reading ends at the last page that the
    service announces, unless its own total contradicts that, or before a page without new records: an empty one, or a
    repeated one, as from a service that ignores page numbers. Raises SourceError.
    """
    seen: set[Hashable] = set()
    total = page_count = None
    repeats = 0
    for number in range(1, MOST_PAGES + 1):
        page = page_of(number)
        total = total if page.total is None else page.total
        page_count = page_count if page.page_count is None else page.page_count
        brings_something = bool(page.keys - seen)
        seen |= page.keys
        # The announced last page may be empty only if it is also the first.
        is_last = page_count is not None and number >= page_count and (brings_something or number == 1)
        if is_last and (total is None or len(seen) >= total):
            return Reading(len(seen), total, None)
        # A new call shifts the pages, so if the service announces more, a single repeated page isn't the end.
        repeats = 0 if brings_something else repeats + 1
        says_more = page_count is not None or total is not None
        if page.record_count == 0 or repeats > (1 if says_more else 0):
            return Reading(len(seen), total, _doubt(number, page, page_count, page_size))
    raise SourceError(f"it answered {MOST_PAGES:,} pages, and there are still more: ask who runs the service why")


def _doubt(number: int, page: Page, page_count: int | None, page_size: int) -> str | None:
    if page_count is not None and number <= page_count:
        return (
            f"of the {page_count:,} pages that it says there are, page {number:,} brings no records that others didn't"
        )
    if number == 2 and page.record_count >= page_size:
        return (
            f"its second page is its first one again, and both are full with {page.record_count:,} records: "
            "it seems to take no page numbers, so what else there is can't be asked for"
        )
    return None
