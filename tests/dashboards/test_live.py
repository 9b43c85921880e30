"""Every query of every panel, put to a real Prometheus over a real service with real faults."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from dashboards.alerts import rules_yaml
from service.predictions.domain import SENTIMENT
from service.workers.metrics import SupervisorMetrics
from tests.dashboards.live import (
    MISSING,
    PROMETHEUS,
    Prometheus,
    Visitors,
    running_faulty_service,
    running_prometheus,
    visit,
)
from tests.dashboards.reading import asked
from tests.integration.conftest import World, world
from tests.integration.predicting import texts_question
from tests.integration.running import PATIENCE_SECONDS, RunningService, until
from tests.integration.wire import request

__all__ = ["world"]

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("live_boards"),
    pytest.mark.skipif(PROMETHEUS is None, reason=MISSING),
    pytest.mark.skipif(
        os.environ.get("ALERT_TEST") != "all",
        reason="every panel with live data is NOT TESTED: ALERT_TEST=all does, in half a minute",
    ),
]

# Silent while all is well, and that is good. They speak as soon as something is wrong.
GOOD_SILENCE = {
    "stallscope-dependencies: HTTP: errors B",
    "stallscope-dependencies: PostgreSQL: errors B",
    "stallscope-dependencies: Redis: errors B",
    "stallscope-event-loop: Culprits A",
    "stallscope-event-loop: Victims A",
    "stallscope-event-loop: Durations of stalls A",
    "stallscope-models: Rejections A",
    "stallscope-overview: Alerts A",
    "stallscope-overview: Refused requests B",
    "stallscope-overview: Routes C",
    "stallscope-overview: Routes F",
    "stallscope-route: Lost to others' stalls A",
}
# What this service has not: a websocket, and a candidate beside a current version of a model.
NOT_HERE = {
    "stallscope-models: Candidates' agreement A",
    "stallscope-route: Closed websockets A",
}


@pytest.fixture(scope="module")
def shop(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that can be told to stall and to fail."""
    settings = {**world.settings, "RATE_LIMIT": "300/second"}
    with running_faulty_service(tmp_path_factory.mktemp("shop"), **settings) as service:
        yield service


@pytest.fixture(scope="module")
def prometheus(
    shop: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """One that scrapes the service, and a supervisor's metrics."""
    registry = CollectorRegistry()
    SupervisorMetrics(registry).watch([])
    server, thread = start_http_server(0, "127.0.0.1", registry)
    targets = {
        "stallscope": f"127.0.0.1:{shop.ops_port}",
        "supervisor": f"127.0.0.1:{server.server_port}",
    }
    folder = tmp_path_factory.mktemp("prometheus")
    with running_prometheus(folder, targets, rules_yaml()) as running:
        yield running
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def visitors(shop: RunningService, prometheus: Prometheus) -> Iterator[Visitors]:
    """Who come as soon as they are counted."""
    visitors = Visitors(shop.url)
    visitors.start()
    yield visitors
    visitors.leave()


def test_exceptions_are_made_for_queries_that_there_are() -> None:
    assert {query.name for query in asked()} >= GOOD_SILENCE | NOT_HERE


def still_silent(prometheus: Prometheus, expected: set[str]) -> list[str]:
    """The queries, but for the expected ones, that nothing is to be seen of after a while."""
    waiting = [query for query in asked() if query.name not in expected]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting and time.monotonic() < deadline:
        waiting = [query for query in waiting if not prometheus.has_data_for(query)]
        time.sleep(0.2)
    return [query.name for query in waiting]


@pytest.mark.usefixtures("visitors")
def test_every_panel_shows_something_or_is_silent_because_all_is_well(
    prometheus: Prometheus,
) -> None:
    assert still_silent(prometheus, GOOD_SILENCE | NOT_HERE) == []


@pytest.mark.usefixtures("visitors")
def test_every_panel_speaks_when_something_is_wrong(
    prometheus: Prometheus, shop: RunningService, world: World
) -> None:
    _go_wrong(shop, world)

    assert still_silent(prometheus, NOT_HERE) == []


def test_a_metric_that_is_renamed_by_one_letter_leaves_its_panel_empty(
    prometheus: Prometheus,
) -> None:
    query = next(each for each in asked() if "asyncio_tasks" in each.expression)
    until(lambda: prometheus.has_data_for(query), "tasks are counted")

    renamed = {**query.target, "expr": query.expression.replace("_tasks", "_task")}

    assert not prometheus.has_data_for(replace(query, target=renamed))


def _go_wrong(shop: RunningService, world: World) -> None:
    """One fault of every kind."""
    for path in ("/fault/fail", "/fault/fail", "/fault/block"):
        visit(shop.url + path)
    _block_others(shop, world)
    _hang_up(shop)
    world.reviews.behave(mode="error", latency_ms=0)
    _rush(shop)
    world.valkey.stop()
    for product in range(400, 410):
        visit(f"{shop.url}/v1/product/{product}/enriched")
    world.valkey.start()
    world.postgres.stop()
    for product in range(500, 510):
        visit(f"{shop.url}/v1/product/{product}/enriched")
    world.postgres.start()


def _block_others(shop: RunningService, world: World) -> None:
    """Some wait for a slow source while somebody blocks the loop."""
    world.reviews.behave(latency_ms=300)
    waiting = [
        threading.Thread(target=visit, args=(f"{shop.url}/v1/product/{product}/enriched",))
        for product in range(600, 630)
    ]
    for each in waiting:
        each.start()
    visit(f"{shop.url}/fault/block")
    for each in waiting:
        each.join()


def _hang_up(shop: RunningService) -> None:
    """Whole uploads whose senders do not wait for an answer."""
    with ExitStack() as open_ones:
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", shop.port))
            open_ones.enter_context(connection).sendall(texts_question(100, words=60).sent)
        waiting = partial(shop.metric, "ml_queued_rows", model=SENTIMENT)
        until(lambda: waiting() > 0, "texts wait for the model")


def _rush(shop: RunningService) -> None:
    """More requests at once than one client may send."""
    with socket.create_connection(("127.0.0.1", shop.port), 20) as connection:
        connection.sendall(request("/v1/product/1/enriched") * 600)
        while connection.recv(65536) and shop.metric("rate_limited_requests_total") == 0:
            pass
