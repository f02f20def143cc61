"""How long the report's pages take, in a real browser, on a published file."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from pipeline.publishing import Publications
from pipeline.settings import PROJECT_DIR
from pipeline.warehouse import Warehouse
from report.published import Generation

# The same browser and server as the tests have.
sys.path.append(str(PROJECT_DIR / "tests"))
from browsers import ReportServer, Visitor, a_browser

ACTIONS = (
    "first page",
    "whole time",
    "filter",
    "search",
    "nothing found",
    "sorted by name",
    "next page",
    "card",
    "other tab",
)


# Of a card: the icon of a contact that isn't multichannel leads to the history at once.
OTHER_TAB = re.compile("Мультиканальное обращение|Вся история клиента")


def measured_pages(warehouse_dir: Path, repeats: int) -> dict[str, float]:
    """Medians in milliseconds by what was done, from the click until the page is whole; and the server's peak memory in bytes."""
    publications = Publications(Warehouse(warehouse_dir))
    number = publications.current()
    assert number is not None, f"nothing is published in {warehouse_dir}"
    some = _something_to_ask_for(publications.file(number))
    taken: dict[str, list[float]] = {action: [] for action in ACTIONS}
    server = ReportServer(warehouse_dir)
    try:
        with a_browser() as browser:
            visitor = Visitor(browser, server)
            visitor.open()  # fetches what every page is made of

            @contextmanager
            def timed(action: str) -> Iterator[None]:
                began = visitor.page.evaluate("performance.now()")
                yield
                taken[action].append(visitor.page.evaluate("window.wholeSince") - began)

            for _ in range(repeats):
                visitor.open()
                taken["first page"].append(visitor.page.evaluate("window.wholeSince"))
                with timed("whole time"):
                    visitor.click(visitor.page.get_by_text("Всё время", exact=True))
                with timed("filter"):
                    visitor.click(visitor.page.get_by_role("radio", name="Мультиканальные"))
                visitor.click(visitor.page.get_by_role("radio", name="Все обращения"))
                with timed("search"):
                    visitor.write("Телефон или имя", some["phone"])
                with timed("nothing found"):
                    visitor.write("Телефон или имя", "ничего такого нет")
                visitor.write("Телефон или имя", "")
                with timed("sorted by name"):
                    visitor.click(visitor.page.get_by_role("columnheader").get_by_role("button", name="Клиент"))
                with timed("next page"):
                    visitor.click(visitor.page.get_by_role("button", name="Дальше"))
                visitor.open(search=some["phone"], period=[some["first_day"], some["last_day"]])
                with timed("card"):
                    visitor.click(visitor.page.locator("td a").first)
                with timed("other tab"):
                    visitor.click(visitor.page.get_by_role("radio", name=OTHER_TAB, checked=False))
            visitor.close()
        peak = next(
            int(line.split()[1]) * 1024
            for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
    finally:
        server.stop()
    return {action: median(times) for action, times in taken.items()} | {"peak": peak}


def _something_to_ask_for(file: Path) -> dict[str, str]:
    generation = Generation(file, threads=2, memory_limit="2GB", mask_phones=False)
    row = generation.rows(
        """
        select phone, (select min(metric_date) from metric_days) as first_day, (select max(metric_date) from metric_days) as last_day
        from journal where phone like '+7%' order by touch_count desc, contact_id limit 1
        """
    )[0]
    return {name: str(value) for name, value in row.items()}
