"""From a blocked event loop to the page, from the page to the guilty line, and to its end.

PICTURES=folder keeps pictures of the two boards that somebody sees on the way.
"""

import http.client
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser import PATIENCE_MS
from tests.integration.running import until
from tests.service.demo.conftest import environment_in
from tests.service.demo.running import (
    RunningDemo,
    await_none_left,
    get,
    get_json,
    left_running,
    started,
)

HAS_BOTH = shutil.which("prometheus") and (
    shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
)
LINKS = ("dashboard", "runbook")
BOARD = "stallscope-event-loop"
CULPRIT = "service.demo.mistakes:block"
LINE = "time.sleep(seconds)"
WIDE: ViewportSize = {"width": 1440, "height": 900}

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("paging"),
    pytest.mark.skipif(
        not HAS_BOTH,
        reason="the way from a stall to the page is NOT TESTED: it needs Debian's packages "
        "prometheus and prometheus-alertmanager",
    ),
]


@dataclass(frozen=True, slots=True)
class Paged:
    """A demo whose event loop has been blocked, and the alert that the webhook was told of."""

    environment: dict[str, str]
    demo: RunningDemo
    alert: dict[str, Any]


@pytest.fixture(scope="module")
def paged(demo_folder: Path) -> Iterator[Paged]:
    """For all tests: they come in the order of the events."""
    environment = environment_in(demo_folder)
    with started(environment, "Ctrl-C") as demo:
        _let_it_end_soon(environment)
        # Else the stall is over before anybody counts.
        until(lambda: _is_scraped(environment), "Prometheus knows the service")
        get(environment["PORT"], "/fault/block?seconds=6")
        yield Paged(environment, demo, _await_page(environment, "firing"))


def test_the_page_is_told_with_links_that_lead_on(paged: Paged) -> None:
    environment, alert = paged.environment, paged.alert

    paged.demo.await_words("[alerts] page firing: EventLoopBlocked - ")
    board, runbook = (urlsplit(alert["annotations"][f"{what}_url"]) for what in LINKS)
    assert f"var-instance=127.0.0.1%3A{environment['OPS_PORT']}" in board.query
    for link in (board, runbook):
        assert link.netloc == f"127.0.0.1:{environment['PREVIEW_PORT']}"
        assert _status_of(link.geturl()) == http.client.OK


def test_a_browser_comes_from_the_page_to_the_guilty_line(paged: Paged, chromium: Browser) -> None:
    context = chromium.new_context(viewport=WIDE, color_scheme="dark")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()

    page.goto(paged.alert["annotations"]["dashboard_url"])
    culprit = _row_of_the_culprit(page, paged)
    expect(page.locator("#board")).to_contain_text("Event loop")
    expect(page.get_by_text(paged.alert["labels"]["instance"]).first).to_be_visible()
    with context.expect_page() as opened:
        culprit.get_by_role("link", name="The stalls, with stacks").click()
    stalls = opened.value
    entry = stalls.locator("details[data-id]", has_text=re.compile("mistakes.*block")).first
    entry.locator(":scope > summary").click()

    expect(entry).to_contain_text("/fault/block")
    expect(entry).to_contain_text(LINE)
    if "PICTURES" in os.environ:
        _keep_pictures(page, paged)
    context.close()


def test_it_is_told_when_it_is_over(paged: Paged) -> None:
    _await_page(paged.environment, "resolved")


def test_nobody_on_another_machine_can_reach_them(paged: Paged) -> None:
    _nobody_else_can_reach_them(paged.environment)


def test_the_demo_outlives_prometheus_and_stops_when_it_is_told(paged: Paged) -> None:
    _lose_prometheus(paged.environment, paged.demo)

    paged.demo.process.send_signal(signal.SIGTERM)
    assert paged.demo.process.wait(60) == 0
    await_none_left(paged.environment)


def _row_of_the_culprit(page: Page, paged: Paged) -> Locator:
    """On the board. Where the host was so busy that it is blamed, the mistake is made again."""
    rows = page.locator("tr", has_text=CULPRIT)

    def is_there() -> bool:
        page.reload()
        page.locator('#board[data-state="ready"]').wait_for()
        if rows.count() == 0:
            get(paged.environment["PORT"], "/fault/block?seconds=0.5")
        return rows.count() > 0

    until(is_there, "the board names the culprit")
    return rows.first


def _keep_pictures(page: Page, paged: Paged) -> None:
    """Of a few minutes that have something to show."""
    for seconds in (0.3, 1.5, 0.2, 0.6):
        time.sleep(25)
        get(paged.environment["PORT"], f"/fault/block?seconds={seconds}")
    time.sleep(5)
    for name in ("overview", "event_loop"):
        board = f"stallscope-{name.replace('_', '-')}"
        address = paged.alert["annotations"]["dashboard_url"].replace(BOARD, board)
        page.goto(f"{address}&from=now-3m&to=now")
        page.locator('#board[data-state="ready"]').wait_for()
        page.screenshot(path=f"{os.environ['PICTURES']}/{name}.png", full_page=True)


def _let_it_end_soon(environment: dict[str, str]) -> None:
    """The committed rules and routes, but an end is told in seconds, not minutes.

    More of them than `group_wait`: what is over by then nobody is told of.
    """
    ready = {"PROMETHEUS_PORT": "/-/ready", "ALERTMANAGER_PORT": "/-/ready", "WEBHOOK_PORT": "/"}
    for name, path in ready.items():
        until(partial(_answers, environment[name], path), f"{name} answers")
    folder = next(Path(environment["TMPDIR"]).glob("*/0"))
    shortened = {
        "Prometheus/rules.yaml": ("keep_firing_for: 6m", "keep_firing_for: 12s"),
        "Alertmanager/alertmanager.yml": ("group_interval: 1m", "group_interval: 1s"),
    }
    for name, (long, short) in shortened.items():
        text = (folder / name).read_text()
        assert long in text
        (folder / name).write_text(text.replace(long, short))
        (process,) = left_running(environment, f"--config.file={folder}/{name.split('/')[0]}")
        os.kill(process, signal.SIGHUP)
    until(lambda: _rule(environment, "EventLoopBlocked").get("keepFiringFor") == 12, "new rules")
    until(lambda: "group_interval: 1s" in _routes(environment), "new routes")


def _answers(port: str, path: str) -> bool:
    try:
        return get(port, path)[0] == http.client.OK
    except OSError:
        return False


def _is_scraped(environment: dict[str, str]) -> bool:
    asked = "/api/v1/query?query=asyncio_eventloop_stalls_total"
    return bool(get_json(environment["PROMETHEUS_PORT"], asked)["data"]["result"])


def _rule(environment: dict[str, str], name: str) -> dict[str, Any]:
    groups = get_json(environment["PROMETHEUS_PORT"], "/api/v1/rules")["data"]["groups"]
    rules = (rule for group in groups for rule in group["rules"])
    return next((rule for rule in rules if rule["name"] == name), {})


def _routes(environment: dict[str, str]) -> str:
    status = get_json(environment["ALERTMANAGER_PORT"], "/api/v2/status")
    return str(status["config"]["original"])


def _await_page(environment: dict[str, str], status: str) -> dict[str, Any]:
    """The alert, once the webhook has been told."""
    found: list[dict[str, Any]] = []

    def is_told() -> bool:
        told = get_json(environment["WEBHOOK_PORT"], "/notifications")["notifications"]
        found.extend(
            alert
            for each in told
            for alert in each["alerts"]
            if (each["receiver"], alert["status"], alert["name"])
            == ("pages", status, "EventLoopBlocked")
        )
        return bool(found)

    until(is_told, f"EventLoopBlocked is {status}")
    return found[0]


def _status_of(url: str) -> int:
    place = urlsplit(url)
    return get(str(place.port), f"{place.path}?{place.query}")[0]


def _nobody_else_can_reach_them(environment: dict[str, str]) -> None:
    """All that listens on their ports does so on 127.0.0.1, and nothing of them elsewhere."""
    names = ("PREVIEW_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "WEBHOOK_PORT")
    ports = {int(environment[name]) for name in names}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1].split(":") for row in rows if row[3] == "0A"]
    places = {(int(port, 16), address) for address, port in listening if int(port, 16) in ports}
    assert places == {(port, "0100007F") for port in ports}
    sixes = [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    assert not {int(row[1].split(":")[1], 16) for row in sixes if row[3] == "0A"} & ports


def _lose_prometheus(environment: dict[str, str], demo: RunningDemo) -> None:
    (process,) = left_running(environment, "Prometheus/prometheus.yml")
    os.kill(process, signal.SIGKILL)
    demo.await_words("Prometheus ended by itself, the demo goes on")
    assert get(environment["PORT"], "/v1/product/1/enriched")[0] == http.client.OK
