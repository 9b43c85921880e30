"""Chromium, as tests drive it: CHROMIUM names one, else it is looked for in PATH."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PATIENCE_MS = 30_000
PHONE = {"width": 390, "height": 844}
SMALL_PHONE = {"width": 360, "height": 640}
DESKTOP = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")  # it keeps its thread's event loop, which other modules' tests need
def chromium() -> Iterator[Browser]:
    """One browser for all tests of a module."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("THE PAGE IS NOT TESTED: there is no Chromium (apt-get install chromium)")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page, and everything that it complained of or asked for."""

    def __init__(self, page: Page, port: int) -> None:
        self.page, self.address = page, f"http://127.0.0.1:{port}"
        self.complaints: list[str] = []
        self.asked: set[str] = set()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: self._heard(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: self.asked.add(request.url))

    def _heard(self, text: str) -> None:
        if "ERR_CONNECTION_REFUSED" not in text:  # the process may end before its page is closed
            self.complaints.append(text)

    def go(self, fragment: str = "") -> Page:
        """Open the page."""
        self.page.goto(f"{self.address}/stalls{fragment}")
        return self.page

    def open(self, stall_id: str) -> Page:
        """Open one stall on the page, and wait for what is fetched then."""
        entry = self.page.locator(f'details[data-id="{stall_id}"]')
        entry.locator(":scope > summary").click()
        entry.locator(".links").wait_for()
        return self.page


@pytest.fixture
def visits(chromium: Browser) -> Iterator["Visits"]:
    """Whatever was visited complained of nothing, and asked nobody else."""
    made = Visits(chromium)
    yield made
    for visit in made.all:
        elsewhere = {url for url in visit.asked if not url.startswith((visit.address, "data:"))}
        visit.page.context.close()
        assert (visit.complaints, elsewhere) == ([], set())


class Visits:
    """Makes them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.all: list[Visit] = []

    def at(self, port: int, size: dict[str, int] = DESKTOP, scheme: str = "light") -> Visit:
        """With a window of this size, and light or dark."""
        context = self._browser.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        self.all.append(Visit(context.new_page(), port))
        return self.all[-1]
