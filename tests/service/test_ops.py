"""The ops port answers for the process even while its event loop cannot."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from service.lifecycle import Check, Lifecycle, NotReadyError
from service.ops import ALIVE_WITHIN_SECONDS, OpsServer
from tests.service.serving import PRODUCT, app_of, client_of

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@contextmanager
def ops_port(lifecycle: Lifecycle, registry: CollectorRegistry | None = None) -> Iterator[int]:
    """A running ops server; gives its port."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        OpsServer(listener, lifecycle, registry or CollectorRegistry()),
    ):
        yield listener.getsockname()[1]


class Answer:
    """What the ops port said, read with a client that blocks."""

    def __init__(self, port: int, path: str, accept: str = "", method: str = "GET") -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(method, path, headers={"Accept": accept} if accept else {})
            response = connection.getresponse()
            self.status = response.status
            self.headers = {name.lower(): value for name, value in response.getheaders()}
            self.text = response.read().decode()
        finally:
            connection.close()

    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


async def ask(port: int, path: str) -> Answer:
    """The answer, while this loop goes on."""
    return await asyncio.to_thread(Answer, port, path)


def serving(checks: Mapping[str, Check] | None = None) -> Lifecycle:
    """A lifecycle on the running loop, ready but for `checks`."""
    lifecycle = Lifecycle()
    lifecycle.serve(asyncio.get_running_loop(), checks or {})
    return lifecycle


async def passes() -> None:
    """Everything is fine."""


async def fails() -> None:
    """Nothing is."""
    raise NotReadyError("the tables are missing")


@pytest.fixture
async def beating() -> AsyncIterator[Lifecycle]:
    lifecycle = serving({"database": passes})
    beat = asyncio.create_task(lifecycle.beat())
    yield lifecycle
    beat.cancel()


async def test_a_failing_check_is_named_with_its_reason_and_time() -> None:
    with ops_port(serving({"database": passes, "migrations": fails})) as port:
        answer = await ask(port, "/readyz")

    assert answer.status == 503
    checks = answer.json()["checks"]
    assert (checks["database"]["ok"], checks["database"]["reason"]) == (True, None)
    assert (checks["migrations"]["ok"], checks["migrations"]["reason"]) == (
        False,
        "the tables are missing",
    )
    assert all(check["latency_ms"] >= 0 for check in checks.values())
    assert answer.json()["status"] == "not ready"


async def test_a_check_that_hangs_is_given_up_and_cancelled() -> None:
    cancelled = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with ops_port(serving({"database": hangs, "cache": passes})) as port:
        answer = await ask(port, "/readyz")
        async with asyncio.timeout(20):
            await cancelled.wait()

    assert answer.status == 503
    assert answer.json()["checks"]["database"]["reason"].startswith("no answer within")
    assert answer.json()["checks"]["cache"]["ok"]


async def test_a_check_that_fails_unforeseen_is_a_failing_check_of_that_name() -> None:
    async def stumbles() -> None:
        raise ZeroDivisionError("secret")

    with ops_port(serving({"database": stumbles, "cache": passes})) as port:
        answer = await ask(port, "/readyz")

    assert answer.status == 503
    assert not answer.json()["checks"]["database"]["ok"]
    assert answer.json()["checks"]["cache"]["ok"]


async def test_checks_run_side_by_side_on_the_services_own_loop() -> None:
    barrier = asyncio.Barrier(2)
    threads: list[threading.Thread] = []

    async def meets() -> None:
        threads.append(threading.current_thread())
        await barrier.wait()

    with ops_port(serving({"one": meets, "other": meets})) as port:
        answer = await ask(port, "/readyz")

    assert answer.status == 200
    assert set(threads) == {threading.current_thread()}


def test_while_starting_the_process_is_alive_but_not_ready() -> None:
    with ops_port(Lifecycle()) as port:
        ready, alive = Answer(port, "/readyz"), Answer(port, "/livez")

    assert (ready.status, ready.json()["phase"]) == (503, "starting")
    assert (alive.status, alive.json()["status"]) == (200, "alive")


async def test_while_serving_it_is_ready() -> None:
    with ops_port(serving({"database": passes})) as port:
        answer = await ask(port, "/readyz")

    assert answer.status == 200
    assert (answer.json()["status"], answer.json()["phase"]) == ("ready", "serving")


async def test_while_stopping_it_is_alive_but_not_ready_and_checks_nothing() -> None:
    lifecycle = serving({"database": fails})
    lifecycle.stop()

    with ops_port(lifecycle) as port:
        ready, alive = await ask(port, "/readyz"), await ask(port, "/livez")

    assert (ready.status, ready.json()["phase"]) == (503, "stopping")
    assert ready.json()["checks"] == {}
    assert alive.status == 200


async def test_it_answers_while_the_event_loop_is_blocked(beating: Lifecycle) -> None:
    registry = CollectorRegistry()
    Counter("requests_total", "Counted.", registry=registry)
    answers: dict[str, Answer] = {}
    done = threading.Event()

    def ask_all(port: int) -> None:
        for path in ("/livez", "/readyz", "/metrics"):
            answers[path] = Answer(port, path)
        done.set()

    with ops_port(beating, registry) as port:
        await ask(port, "/livez")
        threading.Thread(target=ask_all, args=(port,), daemon=True).start()
        deadline = time.monotonic() + 30
        while not done.is_set() and time.monotonic() < deadline:
            time.sleep(0.05)  # noqa: ASYNC251 - it is what blocks the loop

    assert {path: answer.status for path, answer in answers.items()} == {
        "/livez": 200,
        "/readyz": 503,
        "/metrics": 200,
    }
    assert answers["/readyz"].json()["checks"]["database"]["reason"].startswith("no answer")
    assert "requests_total" in answers["/metrics"].text


async def test_a_loop_that_was_blocked_is_ready_again_afterwards(beating: Lifecycle) -> None:
    with ops_port(beating) as port:
        time.sleep(0.2)  # noqa: ASYNC251 - it is what blocks the loop

        assert (await ask(port, "/readyz")).status == 200


async def test_a_loop_that_is_silent_for_long_is_blocked() -> None:
    lifecycle = serving()
    lifecycle.beat_at = time.monotonic() - ALIVE_WITHIN_SECONDS - 1

    with ops_port(lifecycle) as port:
        answer = await ask(port, "/livez")

    assert (answer.status, answer.json()["status"]) == (503, "blocked")
    assert answer.json()["loop_silent_seconds"] > ALIVE_WITHIN_SECONDS


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "nonsense", "application/json"])
def test_metrics_are_plain_text_unless_openmetrics_is_asked_for(accept: str) -> None:
    registry = CollectorRegistry()
    Counter("requests_total", "Counted.", registry=registry).inc()

    with ops_port(Lifecycle(), registry) as port:
        answer = Answer(port, "/metrics", accept)

    assert answer.headers["content-type"].startswith("text/plain")
    assert "requests_total 1.0\n" in answer.text
    assert "# EOF" not in answer.text


def test_metrics_are_openmetrics_with_exemplars_for_those_who_ask() -> None:
    registry = CollectorRegistry()
    Counter("requests_total", "Counted.", registry=registry).inc(exemplar={"trace_id": "abc"})

    with ops_port(Lifecycle(), registry) as port:
        answer = Answer(port, "/metrics", f"{OPENMETRICS},text/plain;q=0.5")

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    (family,) = openmetrics_families(answer.text)  # type: ignore[no-untyped-call]  # no types there
    assert family.samples[0].exemplar.labels == {"trace_id": "abc"}


def test_the_services_metrics_are_there_from_the_start() -> None:
    app = app_of(api_keys=frozenset({"0" * 64}))
    with client_of(app), ops_port(Lifecycle(), app.state.registry) as port:
        text = Answer(port, "/metrics").text

    names = {family.name for family in text_string_to_metric_families(text)}
    expected = {"cache_requests", "product_sources", "requests_shed", "process_open_fds"}
    assert expected <= names
    assert "python_info" in names


@pytest.mark.parametrize("path", ["/", "/health", "/docs", PRODUCT, "/metrics/x"])
def test_the_ops_port_has_nothing_for_consumers(path: str) -> None:
    with ops_port(Lifecycle()) as port:
        assert Answer(port, path).status == 404


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_the_ops_port_is_for_reading(method: str) -> None:
    with ops_port(Lifecycle()) as port:
        answer = Answer(port, "/metrics", method=method)

    assert answer.status == 405
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_head_asks_the_same_without_content(path: str) -> None:
    with ops_port(Lifecycle()) as port:
        head, got = Answer(port, path, method="HEAD"), Answer(port, path)

    assert (head.status, head.text) == (got.status, "")


def test_leaving_closes_the_port_and_ends_the_thread() -> None:
    before = threading.active_count()
    with ops_port(Lifecycle()) as port:
        assert Answer(port, "/livez").status == 200

    with pytest.raises(ConnectionRefusedError):
        Answer(port, "/livez")
    assert threading.active_count() == before


def test_leaving_does_not_wait_for_a_client_that_lingers() -> None:
    with ops_port(Lifecycle()) as port:
        lingering = socket.create_connection(("127.0.0.1", port))
        lingering.sendall(b"GET /livez HTTP/1.1\r\n")
        assert Answer(port, "/livez").status == 200

    with lingering:
        lingering.settimeout(10)
        assert lingering.recv(1) == b""
