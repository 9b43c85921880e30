"""What somebody sees who opens the page because of an alert. PICTURE=file keeps a picture of it."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser import DESKTOP, Visits

from .seeing import until_seen
from .serving import RunningApp, until

pytestmark = [pytest.mark.xdist_group("stalls-callbacks"), pytest.mark.no_cover]


@pytest.fixture
def waiting(app: RunningApp) -> Iterator[None]:
    """Some requests that are in flight, until released."""
    answers = [app.ask(f"/slow/{number}") for number in range(4)]
    until(lambda: app.metric("http_server_active_requests") == 4, "four requests are in flight")
    yield
    app.get("/release")
    assert {answer.result(30).status for answer in answers} == {200}


@pytest.mark.usefixtures("waiting")
def test_the_guilty_line_its_request_and_who_waited_are_on_the_page(
    app: RunningApp, visits: Visits
) -> None:
    until_seen(app, "/threads/gil?seconds=0.4", "gil_held_off_cpu", "gil")
    until_seen(app, "/sleep/dependency/7?seconds=0.3", "blocking_call", "dependency")
    seen = until_seen(app, "/compute/spin?seconds=0.5", "cpu", "spin")

    visit = visits.at(app.ops_port, DESKTOP)
    visit.go()
    page = visit.open(seen.stall["id"])

    entry = page.locator(f'details[data-id="{seen.stall["id"]}"]')
    expect(entry).to_contain_text(f"computing.py:{seen.stall['culprit']['line']}")
    expect(entry).to_contain_text("/compute/spin")
    expect(entry).to_contain_text("/slow/{item}")
    expect(entry.locator(".frame").first).to_be_visible()
    if picture := os.environ.get("PICTURE"):
        page.screenshot(path=picture)
