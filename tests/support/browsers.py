"""The report as its visitors see it: a server of its own, and the machine's own Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, sync_playwright
from processes import ENVIRONMENT, REPOSITORY

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# In a container, which has no room for its sandbox.
OPTIONS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--host-resolver-rules=MAP report.example 127.0.0.1",
]
START_SECONDS = 60
# Without what only moves: it costs processors, and says nothing.
WINDOW: dict[str, Any] = {"viewport": {"width": 1360, "height": 900}, "reduced_motion": "reduce"}
PATIENCE_MILLISECONDS = 30_000
QUIET_MILLISECONDS = 200
# All parts of the page are of one making, and it isn't the one before.
IS_WHOLE = """
([after, quiet]) => {
    const app = document.querySelector('[data-testid="stApp"]')
    const parts = [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
        .map((part) => part.shadowRoot?.querySelector('.elements'))
    const runs = new Set(parts.map((part) => part?.dataset.run))
    const isWhole = app?.dataset.testScriptState === 'notRunning' && app.dataset.testConnectionState === 'CONNECTED'
        && !document.querySelector('[data-stale="true"]') && parts.some((part) => part?.querySelector('footer'))
        && runs.size === 1 && !runs.has(after) && !runs.has(undefined)
    if (!isWhole) window.wholeSince = undefined
    else window.wholeSince ??= performance.now()
    return isWhole && performance.now() - window.wholeSince > quiet
}
"""


def chromium() -> str:
    """Where Chromium is. Without one the test is skipped, but where tests are to be complete, it fails."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        message = f"there is no Chromium on this machine (looked for {', '.join(NAMES)}): `apt-get install chromium`"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextmanager
def a_browser() -> Iterator[Browser]:
    executable = chromium()
    with sync_playwright() as playwright:
        browser = launched(playwright, executable)
        yield browser
        browser.close()


def launched(playwright: Playwright, executable: str) -> Browser:
    return playwright.chromium.launch(executable_path=executable, args=OPTIONS)


class ReportServer:
    """`python -m report` on a warehouse, in a process of its own."""

    def __init__(self, warehouse_dir: Path, **environment: str) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.warehouse = warehouse_dir
        self.log = warehouse_dir.parent / f"report-{self.port}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "report"],
                cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT,
                env=ENVIRONMENT | {"WAREHOUSE_DIR": str(warehouse_dir), "REPORT_PORT": str(self.port)} | environment,
            )  # fmt: skip
        began = time.monotonic()
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=5).read()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() - began > START_SECONDS:
                    self.stop()
                    raise AssertionError(self.log.read_text()) from None
                time.sleep(0.1)

    def stop(self) -> str:
        """Ends it, and gives what it has said."""
        self.process.terminate()
        self.process.wait(30)
        return self.log.read_text()


@contextmanager
def a_report(warehouse_dir: Path, **environment: str) -> Iterator[ReportServer]:
    """A report that mustn't say anything bad in its log."""
    server = ReportServer(warehouse_dir, **environment)
    try:
        yield server
    finally:
        said = server.stop()
    assert "Traceback" not in said and "Error" not in said, said


class Visitor:
    """Somebody with a browser window of their own."""

    def __init__(self, browser: Browser, server: ReportServer, **options: Any) -> None:
        self.server = server
        self.context: BrowserContext = browser.new_context(**WINDOW | options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MILLISECONDS)
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self._note_request)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _note_request(self, request: Any) -> None:
        """Nothing is asked of anybody but the report."""
        if not request.url.startswith((self.server.address, f"ws://127.0.0.1:{self.server.port}", "data:", "blob:")):
            self.complaints.append(f"request: {request.url}")

    def open(self, page: str = "", **parameters: Any) -> "Visitor":
        self.page.goto(f"{self.server.address}/{page}{'?' if parameters else ''}{urlencode(parameters, doseq=True)}")
        return self.settle()

    def settle(self, after: str = "") -> "Visitor":
        """Waits until the page is whole, of one making after this one, and stays so: going elsewhere takes two makings."""
        self.page.wait_for_function(IS_WHOLE, arg=[after, QUIET_MILLISECONDS])
        return self

    @contextmanager
    def answered(self) -> Iterator[None]:
        """Waits until what is done in it has made the page anew."""
        run = self.page.locator(".elements").last.get_attribute("data-run") or ""
        self.page.evaluate("window.wholeSince = undefined")
        yield
        self.settle(after=run)

    def click(self, what: Locator) -> "Visitor":
        with self.answered():
            what.click()
        return self

    def choose(self, label: str, *options: str) -> "Visitor":
        """Chooses in a list of several."""
        box = self.page.get_by_role("combobox", name=label)
        for option in options:
            box.click()
            self.click(self.page.get_by_role("option", name=option, exact=True))
        self.page.keyboard.press("Escape")
        return self

    def write(self, label: str, text: str) -> "Visitor":
        box = self.page.get_by_role("textbox", name=label).or_(self.page.get_by_role("searchbox", name=label))
        with self.answered():
            box.fill(text)
            box.press("Enter")
        return self

    def rows(self, caption: str) -> list[dict[str, str]]:
        """A table as texts by heading, once it is there."""
        table = self.page.get_by_role("region", name=caption, exact=True)
        table.wait_for()
        return table.locator("tbody tr").evaluate_all(
            "rows => rows.map(row => Object.fromEntries([...row.cells].map(cell => [cell.dataset.label, cell.innerText.trim()])))"
        )

    def facts(self, within: Locator) -> dict[str, str]:
        """Names and what they are, of one list."""
        return dict(
            within.locator("> div").evaluate_all(
                "facts => facts.map(fact => [fact.querySelector('dt').innerText, fact.querySelector('dd').innerText.trim()])"
            )
        )

    def generations(self) -> set[str]:
        """The generations that parts of the page are of."""
        return set(self.page.locator(".elements").evaluate_all("parts => parts.map(part => part.dataset.generation)"))

    def download(self, name: str, number: int = 0) -> bytes:
        with self.page.expect_download() as begun:
            self.page.get_by_role("button", name=name).nth(number).click()
        return Path(begun.value.path()).read_bytes()

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []
