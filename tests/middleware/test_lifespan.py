"""Telemetry starts before the app and stops after it, however the app takes its lifespan."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from middleware import Observability, Settings, Telemetry
from middleware.asgi import ASGIApp, Message
from middleware.health import Phase

from .asgi_calls import HEAD, LAST, PATIENCE_SECONDS, LifespanOf, call, hello, http_scope, running
from .observing import logged, never_stopped, observed, observing, quiet_settings
from .uvicorn_server import LOOPS, NotStartedError, serving


class App:
    """Answers its lifespan with `startup` and `shutdown`, and every request."""

    def __init__(self, startup: Message, shutdown: Message | None = None) -> None:
        self.startup, self.shutdown = startup, shutdown
        self.told: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await hello(scope, receive, send)
            return
        self.told.append((await receive())["type"])
        await send(self.startup)
        if self.shutdown is not None:
            self.told.append((await receive())["type"])
            await send(self.shutdown)


COMPLETE = {"type": "lifespan.startup.complete"}
FAILED = {"type": "lifespan.startup.failed", "message": "no database"}
STOPPED = {"type": "lifespan.shutdown.complete"}
NOT_STOPPED = {"type": "lifespan.shutdown.failed", "message": "lost something"}


async def test_a_startup_that_fails_is_passed_on_and_stops_the_telemetry() -> None:
    with observed(App(FAILED)) as seen:
        lifespan = LifespanOf(seen.app)

        assert await lifespan.tell("lifespan.startup") == FAILED
        await lifespan.task

        assert not beating()


async def test_a_shutdown_that_fails_is_passed_on_after_the_telemetry_has_stopped() -> None:
    with observed(App(COMPLETE, NOT_STOPPED)) as seen:
        lifespan = LifespanOf(seen.app)
        await lifespan.tell("lifespan.startup")
        assert beating()

        assert await lifespan.tell("lifespan.shutdown") == NOT_STOPPED
        assert not beating()
        await lifespan.task


async def test_an_exception_in_the_lifespan_is_the_servers_to_see() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)
        raise ValueError("while running")

    with observed(app) as seen:
        lifespan = LifespanOf(seen.app)
        await lifespan.tell("lifespan.startup")

        with pytest.raises(ValueError, match="while running"):
            await lifespan.task

        assert not beating()


async def raises_at_once(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await hello(scope, receive, send)


async def raises_when_told(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        raise NotImplementedError
    await hello(scope, receive, send)


async def returns_at_once(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await hello(scope, receive, send)


async def takes_it_for_a_request(scope: Any, receive: Any, send: Any) -> None:
    await send(HEAD)
    await send(LAST)


async def reads_it_as_a_request(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(HEAD)
    await send(LAST)


async def leaves_when_started(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await hello(scope, receive, send)
    else:
        await receive()
        await send(COMPLETE)


IGNORANT = [
    raises_at_once,
    raises_when_told,
    returns_at_once,
    takes_it_for_a_request,
    reads_it_as_a_request,
    leaves_when_started,
]


@pytest.mark.parametrize("app", IGNORANT)
async def test_an_app_that_knows_no_lifespan_is_observed_from_ours(app: ASGIApp) -> None:
    async with observing(app) as seen:
        assert (await call(seen.app, http_scope())).status == 200

        assert seen.counted("unmatched", 200) == 1


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("app", IGNORANT)
def test_such_an_app_is_served_by_uvicorn_and_observed(app: ASGIApp, loop: str) -> None:
    with observed(app) as seen, serving(seen.app, loop) as served:
        assert served.read("/") == (200, b"hello")

    assert seen.series == {("GET", "unmatched", "200"): 1}


async def test_the_phase_follows_the_lifespan() -> None:
    with observed(App(COMPLETE, STOPPED)) as seen:
        health = seen.telemetry.health
        phases = [health.phase]
        async with running(seen.app):
            phases.append(health.phase)
        phases.append(health.phase)

    assert phases == [Phase.STARTING, Phase.SERVING, Phase.STOPPING]


def test_bad_settings_fail_the_startup_with_a_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OBSERVABILITY__METRIX", "false")
    monkeypatch.setenv("SENTRY_DSN", "https://secret@sentry.test/1")

    with (
        caplog.at_level(logging.INFO),
        pytest.raises(NotStartedError),
        serving(Observability(hello), lifespan="on"),
    ):
        pass

    (message,) = [each for each in caplog.messages if each.startswith("observability:")]
    assert "metrix" in message
    assert "secret" not in message


async def test_bad_settings_leave_a_server_without_lifespan_to_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_PORT", "70000")
    app = Observability(hello)

    answers = [await call(app, http_scope()) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 200]
    assert "x-request-id" not in answers[0].headers


async def test_requests_after_the_stop_are_answered_and_not_observed() -> None:
    async with observing(App(COMPLETE, STOPPED)) as seen:
        pass

    answer = await call(seen.app, http_scope())

    assert answer.body == b"hello"
    assert seen.series == {}
    assert not beating()


async def test_many_first_requests_start_it_once() -> None:
    with observed(hello, never_stopped()) as seen:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(call(seen.app, http_scope()))

        assert seen.counted("unmatched", 200) == 20
        (beat,) = beating()
        beat.cancel()


async def test_started_again_it_goes_on_counting() -> None:
    with observed(App(COMPLETE, STOPPED)) as seen:
        for _ in range(2):
            async with running(seen.app):
                await call(seen.app, http_scope())

        assert seen.counted("unmatched", 200) == 2


async def test_two_apps_that_share_a_telemetry_stop_it_with_the_last() -> None:
    with logged():
        telemetry = Telemetry(quiet_settings())
        first, second = [Observability(hello, telemetry=telemetry) for _ in range(2)]
        async with running(first):
            async with running(second):
                pass
            await call(first, http_scope())

            assert len(beating()) == 1
        assert not beating()

    labels = {
        "http_request_method": "GET",
        "http_route": "unmatched",
        "http_response_status_code": "200",
    }
    name = "http_server_request_duration_seconds_count"
    assert telemetry.registry.get_sample_value(name, labels) == 1


@pytest.mark.no_cover
async def test_fifty_starts_and_stops_leave_no_thread_file_or_task_behind() -> None:
    async def once() -> None:
        settings = Settings(observability={"traces": False}, ops_port=0)
        async with running(Observability(App(COMPLETE, STOPPED), settings=settings)):
            pass

    await once()
    before = leftovers()

    async with asyncio.timeout(PATIENCE_SECONDS * 3):
        for _ in range(50):
            await once()

    assert leftovers() == before


def test_importing_it_starts_nothing_and_reads_nothing() -> None:
    program = """if True:
        import os, sys, threading, logging
        import middleware
        from prometheus_client import REGISTRY
        from opentelemetry import trace
        import structlog
        assert threading.enumerate() == [threading.main_thread()]
        assert not any(name.startswith(("http_server", "telemetry", "websocket"))
            for name in REGISTRY._names_to_collectors)
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        assert not structlog.is_configured() and not logging.root.handlers
        assert "fastapi" not in sys.modules and "starlette" not in sys.modules
        assert "service" not in sys.modules and "uvloop" not in sys.modules
        middleware.Observability(None); middleware.Telemetry()
        assert threading.enumerate() == [threading.main_thread()]
    """
    bad = {"OPS_PORT": "what", "OBSERVABILITY__METRICS": "what", "LOG_LEVEL": "what"}

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **bad},
        capture_output=True,
        timeout=PATIENCE_SECONDS * 2,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def beating() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "observability"]


def leftovers() -> tuple[list[str], int, int]:
    gc.collect()
    threads = sorted(thread.name for thread in threading.enumerate())
    return threads, len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
