"""The wrapper never changes what it wraps, whatever its signals do, and observes it once."""

import asyncio
from typing import Any, NoReturn

import pytest
import structlog
from starlette.testclient import TestClient

from middleware import Observability, Settings, Telemetry
from middleware.drops import Signal
from middleware.exchange import current_exchange

from .asgi_calls import call, hello, http_scope, requests_only, running, websocket_scope
from .observing import (
    DURATION,
    Observed,
    logged,
    never_stopped,
    observed,
    observing,
    quiet_settings,
)

NAMED: list[Signal] = ["metrics", "traces", "logs", "sentry", "request_id"]


def raising(request: object) -> NoReturn:
    raise ZeroDivisionError("a fault of ours")


async def failing(scope: Any, receive: Any, send: Any) -> NoReturn:
    raise ValueError("a fault of the app")


async def unwell(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 503})
    await send({"type": "http.response.body", "body": b"unwell"})


@pytest.mark.parametrize("signal", NAMED)
async def test_a_signal_that_raises_is_counted_and_changes_nothing(signal: Signal) -> None:
    async with observing(hello) as seen:
        seen.telemetry.records.readers.insert(0, (signal, raising))

        answer = await call(seen.app, http_scope())

        assert (answer.status, answer.body) == (200, b"hello")
        assert "x-request-id" in answer.headers
        assert seen.counted("unmatched", 200) == 1
        assert seen.dropped(signal) == 1
        assert not seen.telemetry.in_flight

    assert seen.request["status"] == 200


@pytest.mark.parametrize("signal", NAMED)
async def test_a_signal_that_raises_at_an_answer_5xx_changes_nothing(signal: Signal) -> None:
    async with observing(requests_only(unwell)) as seen:
        seen.telemetry.ends.insert(0, (signal, raising))

        answer = await call(seen.app, http_scope())

        assert (answer.status, answer.body) == (503, b"unwell")
        assert seen.counted("unmatched", 503) == 1
        assert seen.dropped(signal) == 1

    assert seen.request["status"] == 503


async def test_a_signal_that_raises_at_a_failure_leaves_the_apps_own_error() -> None:
    async with observing(failing) as seen:
        seen.telemetry.failures.insert(0, ("sentry", raising))

        with pytest.raises(ValueError, match="a fault of the app"):
            await call(seen.app, http_scope())

        assert seen.dropped("sentry") == 1
        assert seen.counted("unmatched", 500) == 1


async def test_a_signal_that_raises_at_a_websocket_changes_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    async with observing(app) as seen:
        seen.telemetry.connects.insert(0, ("metrics", raising))
        seen.telemetry.closes.insert(0, ("metrics", raising))

        answer = await call(seen.app, websocket_scope())

        assert [message["type"] for message in answer.messages] == [
            "websocket.accept",
            "websocket.close",
        ]
        assert seen.dropped("metrics") == 2


async def test_lost_telemetry_is_0_from_the_start() -> None:
    async with observing(hello) as seen:
        assert [seen.dropped(signal) for signal in [*NAMED, "stalls"]] == [0] * 6


async def test_added_twice_it_observes_once_and_says_so_once() -> None:
    with logged() as output:
        telemetry = Telemetry(quiet_settings())
        inner = Observability(hello, settings=quiet_settings())
        outer = Observability(inner, telemetry=telemetry)
        async with running(outer):
            answers = [await call(outer, http_scope()) for _ in range(3)]

    assert [len(answer.headers["x-request-id"]) for answer in answers] == [1, 1, 1]
    assert output.getvalue().count("observability_added_twice") == 1
    assert output.getvalue().count("request_completed") == 3
    assert inner.telemetry.registry.get_sample_value(f"{DURATION}_count") is None


async def test_two_apps_in_one_process_do_not_mix() -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201})
        await send({"type": "http.response.body"})

    async with observing(hello) as first, observing(other) as second:
        await call(first.app, http_scope())
        await call(second.app, http_scope())
        await call(second.app, http_scope())

        assert first.series == {("GET", "unmatched", "200"): 1}
        assert second.series == {("GET", "unmatched", "201"): 2}


async def test_an_app_that_calls_another_observed_one_is_each_observed() -> None:
    async with observing(hello) as inner:

        @requests_only
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await call(inner.app, http_scope())
            await hello(scope, receive, send)

        async with observing(app) as outer:
            await call(outer.app, http_scope())

            assert (outer.counted("unmatched", 200), inner.counted("unmatched", 200)) == (1, 1)


async def test_concurrent_requests_keep_to_themselves() -> None:
    seen_ids: dict[str, list[str]] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        exchange = current_exchange.get()
        assert exchange is not None
        await asyncio.sleep(0)
        again = current_exchange.get()
        assert again is exchange
        seen_ids[scope["path"]] = [exchange.request_id, scope["state"]["request_id"]]
        await hello(scope, receive, send)

    async with observing(requests_only(app)) as seen:
        scopes = [http_scope(f"/{n}", headers=[("x-request-id", f"id{n}")]) for n in range(100)]
        answers = await asyncio.gather(*(call(seen.app, scope) for scope in scopes))

    assert seen_ids == {f"/{n}": [f"id{n}", f"id{n}"] for n in range(100)}
    assert [answer.headers["x-request-id"] for answer in answers] == [
        [f"id{n}"] for n in range(100)
    ]
    assert current_exchange.get() is None


async def test_every_line_of_a_request_carries_its_ids_those_of_its_tasks_included() -> None:
    log = structlog.get_logger()

    async def later() -> None:
        log.info("said_in_a_task")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        log.info("said_within")
        await asyncio.create_task(later())
        await asyncio.to_thread(log.info, "said_in_a_thread")
        await hello(scope, receive, send)
        log.info("said_in_the_background")

    async with observing(app) as seen:
        await call(seen.app, http_scope())
        log.info("said_outside")

    names = ["within", "in_a_task", "in_a_thread", "in_the_background"]
    lines = [line for name in names for line in seen.lines_of(f"said_{name}")]
    ids = ("request_id", "trace_id", "span_id")
    assert [[line[name] for name in ids] for line in lines] == [
        [seen.request[name] for name in ids]
    ] * 4
    (outside,) = seen.lines_of("said_outside")
    assert not outside.keys() & set(ids)


@pytest.mark.parametrize("switch", ["metrics", "logs"])
async def test_a_signal_can_be_switched_off(switch: str) -> None:
    with observed(hello, quiet_settings(**{switch: False})) as seen:
        async with running(seen.app):
            answer = await call(seen.app, http_scope())
        series = seen.series

    assert "x-request-id" in answer.headers
    assert bool(series) == (switch != "metrics")
    assert bool(seen.lines_of("request_completed")) == (switch != "logs")


async def test_an_app_of_another_protocol_is_left_alone() -> None:
    kinds: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])

    with observed(app) as seen:
        async with running(seen.app):
            pass

    assert kinds == ["lifespan"]


def test_starlettes_test_client_works_with_and_without_a_lifespan() -> None:
    with observed(hello) as seen, TestClient(seen.app) as client:
        assert client.get("/").text == "hello"
        assert seen.counted("unmatched", 200) == 1

    with observed(hello, never_stopped()) as seen:
        client = TestClient(seen.app)
        assert [client.get("/").text for _ in range(3)] == ["hello"] * 3
        assert seen.counted("unmatched", 200) == 3


async def test_everything_on_answers_the_same() -> None:
    settings = Settings(ops_port=0)
    with logged():
        app = Observability(hello, settings=settings)
        other = Observability(failing, telemetry=app.telemetry)
        async with running(app), running(other):
            answer = await call(app, http_scope())
            with pytest.raises(ValueError, match="a fault of the app"):
                await call(other, http_scope())

    assert (answer.status, answer.body) == (200, b"hello")


def test_what_is_in_flight_is_nothing_between_requests() -> None:
    async def many(seen: Observed) -> None:
        async with running(seen.app):
            for _ in range(100):
                await call(seen.app, http_scope())

    with observed(hello) as seen:
        asyncio.run(many(seen))

        assert not seen.telemetry.in_flight
