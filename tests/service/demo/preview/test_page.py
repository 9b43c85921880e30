"""What somebody sees who opens a board: in Chromium, of a real service, by a real Prometheus."""

import json
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from dashboards.alerts import rules_yaml
from tests.browser import SMALL_PHONE, Visit, Visits
from tests.dashboards.live import (
    MISSING,
    PROMETHEUS,
    Prometheus,
    running_faulty_service,
    running_prometheus,
)
from tests.dashboards.reading import BOARDS, panels
from tests.dashboards.visitors import ask, visit
from tests.integration.conftest import World, world
from tests.integration.predicting import QUESTIONS
from tests.integration.running import RunningService, until

from . import trouble
from .serving import GENERATED, running_preview

__all__ = ["world"]

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("preview"),
]
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None, reason=f"BOARDS ARE NOT SEEN WITH DATA, {MISSING}"
)

REQUESTS = "http_server_request_duration_seconds_count"
CHOSEN = "from=now-15m&to=now&var-job=stallscope"


@pytest.fixture(scope="module")
def prometheus(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that has scraped a service while it was busy, stalled and failed."""
    folder = tmp_path_factory.mktemp("live")
    with (
        running_faulty_service(folder, **world.settings) as service,
        running_prometheus(
            folder, {"stallscope": f"127.0.0.1:{service.ops_port}"}, rules_yaml()
        ) as running,
    ):
        # What counts from its first request on has not risen before it was seen with one.
        _be_busy(service)
        _until_scraped(running, f'{REQUESTS}{{http_route="/fault/block"}}')
        _be_busy(service)
        _until_scraped(running, f'rate({REQUESTS}{{http_route="/fault/block"}}[1m]) > 0')
        yield running


def _until_scraped(prometheus: Prometheus, query: str) -> None:
    until(lambda: bool(prometheus.ask("query", query=query)["result"]), query)


def _be_busy(service: RunningService) -> None:
    for product in range(20):
        visit(f"{service.url}/v1/product/{product}/enriched")
    for question in QUESTIONS.values():
        ask(service.url, question)
    for path in ("/fault/fail", "/fault/block?seconds=0.4"):
        visit(service.url + path)


@pytest.fixture(scope="module")
def port(prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a preview of all boards, and of the one with everything wrong."""
    boards = tmp_path_factory.mktemp("preview") / "boards"
    shutil.copytree(GENERATED, boards)
    (boards / "trouble.json").write_text(json.dumps(trouble.board()))
    with running_preview(boards, prometheus.url) as running:
        yield running


def show(visited: Visit, path: str) -> Page:
    """Open a board, and wait until all its panels have settled."""
    visited.page.goto(f"{visited.address}{path}")
    visited.page.locator('#board[data-state="ready"]').wait_for()
    return visited.page


def panel(page: Page, number: int) -> Locator:
    """One panel, by its id."""
    return page.locator(f'[data-panel-id="{number}"]')


def forgive_refusals(visited: Visit) -> None:
    """What Chromium says of answers that are errors, as they were meant to be."""
    visited.complaints[:] = [each for each in visited.complaints if "status of" not in each]


@needs_prometheus
def test_what_goes_wrong_on_one_panel_is_told_there_and_others_go_on(
    port: int, visits: Visits
) -> None:
    visited = visits.at(port)
    page = show(visited, f"/d/{trouble.UID}")

    states = page.locator(".panel").evaluate_all("all => all.map(each => each.dataset.state)")
    assert states == ["error", "error", "no-data", *["data"] * 5]
    expect(panel(page, 1)).to_contain_text("parse error")
    expect(panel(page, 2)).to_contain_text("does not draw panels of type pie")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(panel(page, 9)).to_be_hidden()
    page.locator("summary", has=page.locator("h2")).click()
    expect(panel(page, 9)).to_contain_text("99.95 %")
    forgive_refusals(visited)


@needs_prometheus
def test_hostile_labels_are_shown_as_they_are_and_no_script_is_a_link(
    port: int, visits: Visits
) -> None:
    visited = visits.at(port)
    page = show(visited, f"/d/{trouble.UID}")

    for number in (3, 4, 5, 6, 7):
        expect(panel(page, number).locator(".body")).to_contain_text(trouble.HOSTILE)
    assert page.locator("img").count() == 0
    assert page.locator('a[href^="javascript"]').count() == 0
    forgive_refusals(visited)


@needs_prometheus
@pytest.mark.parametrize("uid", BOARDS)
def test_every_panel_of_a_board_shows_data_or_says_why_not(
    uid: str, port: int, visits: Visits
) -> None:
    page = show(visits.at(port), f"/d/{uid}?from=now-5m&to=now")

    expect(page.locator("h1")).to_have_text(BOARDS[uid]["title"])
    states = [_state_of(page, each) for each in panels(BOARDS[uid])]
    assert set(states) <= {"data", "no-data"}
    assert states.count("data") > len(states) / 2


def _state_of(page: Page, model: dict[str, Any]) -> str | None:
    shown = panel(page, model["id"])
    state = shown.get_attribute("data-state")
    expect(shown.locator("h3")).to_have_text(model["title"])
    if state == "no-data":
        expect(shown.locator(".message")).to_have_text(model["fieldConfig"]["defaults"]["noValue"])
    elif model["type"] in {"timeseries", "heatmap"}:
        wanted = any(target["exemplar"] for target in model["targets"])
        exemplars = shown.locator(".chart").get_attribute("data-exemplars")
        assert (exemplars != "0") == wanted
    return state


@needs_prometheus
def test_links_lead_to_other_boards_with_time_and_variables(port: int, visits: Visits) -> None:
    page = show(visits.at(port), f"/d/stallscope-overview?{CHOSEN}")

    page.get_by_role("link", name="/predict/sentiment").first.click()
    page.wait_for_url("**/d/stallscope-route?**")
    on_route = parse_qs(urlsplit(page.url).query)
    page.get_by_role("link", name="Event loop").first.click()
    page.wait_for_url("**/d/stallscope-event-loop?**")
    on_event_loop = parse_qs(urlsplit(page.url).query)

    for chosen in (on_route, on_event_loop):
        assert (chosen["from"], chosen["to"]) == (["now-15m"], ["now"])
        assert chosen["var-job"] == ["stallscope"]
        assert chosen["var-instance"] == ["$__all"]
        assert chosen["var-route"] == ["/predict/sentiment"]


@needs_prometheus
def test_what_is_chosen_is_what_is_asked_for(port: int, visits: Visits) -> None:
    visited = visits.at(port)
    page = show(visited, "/d/stallscope-route?from=now-5m")
    route = page.locator('[data-variable="route"]')

    for name in ("/predict", "/v1/product/{product_id}/enriched"):
        route.locator("summary").click()
        route.get_by_label(name, exact=True).check()
        page.locator('#board[aria-busy="false"]').wait_for()
        page.keyboard.press("Escape")

    assert parse_qs(urlsplit(page.url).query)["var-route"] == [
        "/predict",
        "/v1/product/{product_id}/enriched",
    ]
    asked = [parse_qs(urlsplit(url).query).get("query", [""])[0] for url in visited.asked]
    both = r'http_route=~"(/predict|/v1/product/\\{product_id\\}/enriched)"'
    assert any(both in query for query in asked)


@needs_prometheus
def test_time_is_chosen_and_the_way_back_leads_to_what_was_shown(port: int, visits: Visits) -> None:
    page = show(visits.at(port), "/d/stallscope-telemetry")
    time = page.get_by_label("Time", exact=True)
    expect(time).to_have_value("now-1h")

    time.select_option("Last 15 minutes")
    expect(page.get_by_label("Time", exact=True)).to_have_value("now-15m")
    page.go_back()

    expect(page.get_by_label("Time", exact=True)).to_have_value("now-1h")


@needs_prometheus
def test_the_cursor_says_what_is_under_it(port: int, visits: Visits) -> None:
    page = show(visits.at(port), "/d/stallscope-runtime?from=now-5m")
    tasks = page.get_by_role("region", name="Tasks")
    legend = tasks.locator(".legend button").first.get_attribute("title")

    plot = tasks.locator(".u-over")
    box = plot.bounding_box()
    assert box is not None
    plot.hover(position={"x": box["width"] - 4, "y": box["height"] / 2})

    expect(tasks.locator(".tooltip")).to_contain_text(legend or "nothing")


@needs_prometheus
def test_a_phone_shows_one_panel_below_the_other(port: int, visits: Visits) -> None:
    page = show(visits.at(port, SMALL_PHONE, "dark"), "/d/stallscope-event-loop?from=now-5m")

    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_PHONE["width"]


# After those with Prometheus: while a browser is open, nothing else can run a loop on this thread,
# as its fixtures do.


def test_without_prometheus_the_board_says_how_to_get_one(visits: Visits) -> None:
    with running_preview(GENERATED, None) as port:
        visited = visits.at(port)
        page = show(visited, "/d/stallscope-overview")

        expect(page.get_by_role("alert")).to_contain_text("apt-get install prometheus")
        count = len(panels(BOARDS["stallscope-overview"]))
        expect(page.locator('.panel[data-state="error"]')).to_have_count(count)
        forgive_refusals(visited)


NUMBERS = [
    ([0.0042, "s"], "4.2 ms"),
    ([90, "s"], "1.5 min"),
    ([0.99954, "percentunit"], "99.954%"),
    ([1, "percentunit"], "100%"),
    ([0.5, "percentunit", 2], "50.00%"),
    ([1536, "bytes"], "1.5 KiB"),
    ([0, "bytes"], "0 B"),
    ([12345, "reqps"], "12.3 K req/s"),
    ([-0.004, "ops"], "-0.004 ops/s"),
    ([2_500_000, "short"], "2.5 Mil"),
    ([100, "short"], "100"),
    ([3, "cps"], "3 c/s"),
]


def test_numbers_are_written_with_their_units(visits: Visits) -> None:
    with running_preview(GENERATED, None) as port:
        visited = visits.at(port)
        visited.page.goto(f"{visited.address}/dashboards")
        written = visited.page.evaluate(
            "async all => { const { format } = await import('/static/units.js');"
            " return all.map(each => format(...each)); }",
            [number for number, _ in NUMBERS],
        )

    assert written == [text for _, text in NUMBERS]
