"""Loads publish every few seconds while people click around in the report: nobody meets an error, or a page of two generations.

TORTURE_PAGES_PUBLICATIONS (3) says how many are published meanwhile, TORTURE_PAGES_BROWSERS (10) how many click,
TORTURE_PAGES_READING (4) how many seconds they look at a page, TORTURE_SEED what they click.
"""

import asyncio
import csv
import os
import random
import re
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

from browsers import IS_WHOLE, OPTIONS, QUIET_MILLISECONDS, WINDOW, ReportServer, a_report, chromium
from playwright.async_api import Page, async_playwright
from processes import Site

PUBLICATIONS = int(os.environ.get("TORTURE_PAGES_PUBLICATIONS", "2"))
BROWSERS = int(os.environ.get("TORTURE_PAGES_BROWSERS", "5"))
SECONDS_OF_READING = float(os.environ.get("TORTURE_PAGES_READING", "4"))
SEED = int(os.environ.get("TORTURE_SEED", "1"))
CLIENTS, CONTACTS = 20, 3
SECONDS_BETWEEN = 2
PATIENCE_MILLISECONDS = 60_000


def deliver(site: Site, number: int) -> None:
    """The same day once more, with the number of its generation in all that it says."""
    touches, contacts = [], []
    for client in range(CLIENTS):
        for place, source in enumerate(("yandex", "vk", "google")):
            touches.append(
                {
                    "touch_id": f"t{client}-{place}", "widget_id": "w1", "touched_at": f"2026-03-01T0{place}:00:00Z", "visitor_id": f"v{client}",
                    "utm_source": f"{source}-{number}x", "utm_medium": "cpc", "utm_campaign": f"campaign-{number}x",
                    "location": f"place-{number}x",
                }
            )  # fmt: skip
        for place in range(CONTACTS):
            contacts.append(
                {
                    "contact_id": f"c{client}-{place}", "widget_id": "w1", "contacted_at": f"2026-03-01T{10 + place}:{client:02}:00Z",
                    "contact_type": "call", "visitor_id": f"v{client}", "phone": f"+7900{client:07}", "client_name": f"name-{number}x",
                    "location": f"city-{number}x", "final_group": f"group-{number}x",
                }
            )  # fmt: skip
    for table, rows in (("touches", touches), ("contacts", contacts)):
        folder = site.landing / table / "2026-03-01"
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / "part.csv.part"
        with open(unfinished, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        unfinished.rename(folder / "part.csv")


class Clicker:
    """Somebody who clicks at random, and looks at every page that comes."""

    def __init__(self, page: Page, server: ReportServer, seed: int) -> None:
        self.page = page
        self.server = server
        self.random = random.Random(seed)
        self.complaints: list[str] = []
        self.generations: set[str] = set()
        self.page_count = 0
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )

    async def click_around(self, is_over: threading.Event) -> None:
        await self._open("")
        while not is_over.is_set():
            await asyncio.sleep(self.random.uniform(0, 2 * SECONDS_OF_READING))
            await self.random.choice([self._open_some, self._card, self._turn, self._choose, self._speak])()

    async def _look(self, after: str = "") -> None:
        await self.page.wait_for_function(IS_WHOLE, arg=[after, QUIET_MILLISECONDS])
        seen = await self.page.evaluate(
            """() => {
                const parts = [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
                    .map((part) => part.shadowRoot.querySelector('.elements'))
                return {
                    generations: [...new Set(parts.map((part) => part.dataset.generation))],
                    text: document.body.innerText + parts.map((part) => part.textContent).join(' '),
                    exceptions: document.querySelectorAll('[data-testid="stException"]').length,
                }
            }"""
        )
        said = set(re.findall(r"-(\d+)x", seen["text"]))
        assert len(seen["generations"]) == 1, seen["generations"]
        assert said <= set(seen["generations"]), (said, seen["generations"], self.page.url)
        assert seen["exceptions"] == 0
        assert said or "/data" in self.page.url or "/card" in self.page.url, self.page.url
        self.generations.update(seen["generations"])
        self.page_count += 1

    async def _run(self) -> str:
        await self.page.evaluate("window.wholeSince = undefined")
        return await self.page.locator(".elements").last.get_attribute("data-run") or ""

    async def _open(self, page: str, **parameters: str) -> None:
        await self.page.goto(f"{self.server.address}/{page}?{urlencode(parameters)}")
        await self._look()

    async def _open_some(self) -> None:
        contact = f"c{self.random.randrange(CLIENTS)}-{self.random.randrange(CONTACTS)}"
        page = self.random.choice(["", "card", "channels", "chains", "data"])
        await self._open(page, **({"contact": contact} if page == "card" else {}))

    async def _card(self) -> None:
        links = self.page.locator("td a")
        count = await links.count()
        if count:
            run = await self._run()
            await links.nth(self.random.randrange(count)).click()
            await self._look(run)

    async def _turn(self) -> None:
        buttons = self.page.locator("th button")
        count = await buttons.count()
        if count:
            run = await self._run()
            await buttons.nth(self.random.randrange(count)).click()
            await self._look(run)

    async def _choose(self) -> None:
        tabs = self.page.locator("[data-testid='stMain'] [role='radio'][aria-checked='false']")
        count = await tabs.count()
        if count:
            run = await self._run()
            await tabs.nth(self.random.randrange(count)).click()
            await self._look(run)

    async def _speak(self) -> None:
        await self._open("", lang=self.random.choice(["ru", "en"]), search="name")


async def everybody_clicks(server: ReportServer, is_over: threading.Event) -> list[Clicker]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        clickers = [
            Clicker(await (await browser.new_context(**WINDOW)).new_page(), server, SEED * 1_000 + number)
            for number in range(BROWSERS)
        ]
        try:
            await asyncio.gather(*(clicker.click_around(is_over) for clicker in clickers))
        finally:
            is_over.set()
        await browser.close()
    return clickers


def test_a_page_is_of_one_generation_while_loads_publish(tmp_path: Path) -> None:
    chromium()
    site = Site(tmp_path)
    deliver(site, 1)
    site.load()
    is_over = threading.Event()
    failures: list[BaseException] = []

    def publish() -> None:
        try:
            for number in range(2, PUBLICATIONS + 2):
                if is_over.is_set():
                    return
                time.sleep(SECONDS_BETWEEN)
                deliver(site, number)
                site.load()
        except BaseException as error:
            failures.append(error)
        finally:
            time.sleep(SECONDS_BETWEEN)
            is_over.set()

    with a_report(site.warehouse.folder) as server:
        publisher = threading.Thread(target=publish)
        publisher.start()
        try:
            clickers = asyncio.run(everybody_clicks(server, is_over))
        finally:
            is_over.set()
            publisher.join()
    assert failures == []
    assert [complaint for clicker in clickers for complaint in clicker.complaints] == []
    seen = {int(generation) for clicker in clickers for generation in clicker.generations}
    pages = sum(clicker.page_count for clicker in clickers)
    print(f"{pages} pages of {len(seen)} generations", flush=True)
    # Each was met by somebody, and nobody was left behind.
    assert len(seen) > PUBLICATIONS / 2 and max(seen) == PUBLICATIONS + 1
    assert all(clicker.page_count > 1 for clicker in clickers) and pages > BROWSERS * 2
