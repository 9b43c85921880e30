"""The supervisor's pages: what Prometheus, an orchestrator and a curious person are told."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.workers.addresses import shared_listeners
from service.workers.metrics import SupervisorMetrics
from service.workers.ops import OpsPages
from service.workers.slot import Slot, Terms
from tests.service.workers.fakes import Starts, well

OPEN_METRICS = b"application/openmetrics-text; version=1.0.0"


@pytest.fixture
def metrics() -> SupervisorMetrics:
    return SupervisorMetrics(CollectorRegistry())


@pytest.fixture
def starts() -> Starts:
    """Of two slots, the workers."""
    return Starts(well)


@pytest.fixture
async def pages(metrics: SupervisorMetrics, starts: Starts) -> AsyncIterator[OpsPages]:
    """Of two slots with a running worker each."""
    terms = Terms("127.0.0.1", 5.0, 5.0, metrics.count_restart, starts)
    slots = [
        Slot(number, listener, (9464 + number, 9466 + number), terms)
        for number, listener in enumerate(shared_listeners("127.0.0.1", 0, 2), start=1)
    ]
    for slot in slots:
        await slot.start()
    metrics.watch(slots)
    yield OpsPages(slots, metrics.registry)
    for slot in slots:
        slot.close()


async def test_no_worker_ready_is_not_ready(pages: OpsPages, starts: Starts) -> None:
    for worker in starts.workers:
        worker.ready = False

    status, _, body = await ask(pages, "/readyz")

    assert (status, json.loads(body)["status"]) == (503, "not ready")
    assert (await ask(pages, "/livez"))[0] == 200


async def test_one_worker_ready_is_ready(pages: OpsPages, starts: Starts) -> None:
    starts.workers[0].ready = False

    status, _, body = await ask(pages, "/readyz")

    assert (status, json.loads(body)["status"]) == (200, "ready")
    assert [worker["ready"] for worker in json.loads(body)["workers"]] == [False, True]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/stalls", 404), ("POST", "/metrics", 405)],
)
async def test_what_there_is_not_is_refused(
    method: str, path: str, status: int, pages: OpsPages
) -> None:
    answer = await ask(pages, path, method=method)

    assert answer[0] == status


async def test_every_worker_is_a_target_at_the_address_that_prometheus_used(
    pages: OpsPages,
) -> None:
    status, headers, body = await ask(pages, "/targets", server="10.1.2.3")

    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert json.loads(body) == [
        {"targets": ["10.1.2.3:9465"], "labels": {"worker": "1"}},
        {"targets": ["10.1.2.3:9466"], "labels": {"worker": "2"}},
    ]


async def test_an_address_of_version_6_is_put_in_brackets(pages: OpsPages) -> None:
    _, _, body = await ask(pages, "/targets", server="::1")

    assert json.loads(body)[0]["targets"] == ["[::1]:9465"]


async def test_a_dead_worker_is_no_target(pages: OpsPages, starts: Starts) -> None:
    starts.workers[0].kill()

    _, _, body = await ask(pages, "/targets")

    assert [group["labels"] for group in json.loads(body)] == [{"worker": "2"}]


async def test_every_series_is_there_from_the_start(
    pages: OpsPages, metrics: SupervisorMetrics
) -> None:
    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    for reason in ("died", "rolling"):
        assert value("stallscope_worker_restarts_total", reason=reason) == 0
    for state in ("starting", "stopping", "waiting"):
        assert value("stallscope_workers", state=state) == 0
    assert value("stallscope_workers", state="running") == 2


async def test_a_dead_worker_is_counted_as_waiting(
    pages: OpsPages, starts: Starts, metrics: SupervisorMetrics
) -> None:
    starts.workers[0].kill()

    counted = metrics.registry.get_sample_value("stallscope_workers", {"state": "waiting"})

    assert counted == 1


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [(b"*/*", b"text/plain", b"\n"), (OPEN_METRICS, b"application/openmetrics", b"# EOF\n")],
)
async def test_metrics_come_in_the_format_asked_for(
    accept: bytes, content_type: bytes, end: bytes, pages: OpsPages
) -> None:
    status, headers, body = await ask(pages, "/metrics", accept=accept)

    assert status == 200
    assert headers[b"content-type"].startswith(content_type)
    assert b'stallscope_worker_restarts_total{reason="rolling"} 0.0' in body
    assert body.endswith(end)


async def ask(
    pages: OpsPages,
    path: str,
    *,
    method: str = "GET",
    accept: bytes = b"*/*",
    server: str = "127.0.0.1",
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"accept", accept)]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    await pages({**scope, "server": (server, 9464)}, receive, send)
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]
