"""Websocket connections as facts: how they end, how many are open, how long they last."""

import asyncio
import socket
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from .asgi_calls import PATIENCE_SECONDS, call, websocket_scope
from .observing import Observed, observed, observing
from .uvicorn_server import LOOPS, serving

ACTIVE = "websocket_server_active_connections"
DURATION = "websocket_server_connection_duration_seconds_count"
CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}


def app_sending(*messages: Any, error: Exception | None = None) -> Any:
    """Reads what there is before its last message, and sends `messages`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        assert (await receive())["type"] == "websocket.connect"
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


def closes_counted(seen: Observed) -> dict[str, float]:
    return {
        sample.labels["websocket_close_code"]: sample.value
        for family in seen.telemetry.registry.collect()
        for sample in family.samples
        if sample.name == DURATION
    }


DENIAL: list[Any] = [
    {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]},
    {"type": "websocket.http.response.body", "body": b"who?"},
]


@pytest.mark.parametrize(
    ("messages", "code", "level"),
    [
        ([{"type": "websocket.close"}], "403", "info"),
        ([{"type": "websocket.close", "code": 1008}], "403", "info"),
        (DENIAL, "401", "info"),
        ([ACCEPT, {"type": "websocket.close"}], "1000", "info"),
        ([ACCEPT, {"type": "websocket.close", "code": 1001}], "1001", "info"),
        ([ACCEPT, {"type": "websocket.close", "code": 1011}], "1011", "error"),
        ([ACCEPT, {"type": "websocket.close", "code": 4321}], "other", "info"),
        ([ACCEPT], "1000", "info"),
        ([], "500", "error"),
    ],
)
async def test_a_connection_is_counted_once_by_how_it_ended(
    messages: Any, code: str, level: str
) -> None:
    async with observing(app_sending(*messages)) as seen:
        await call(seen.app, websocket_scope(), CONNECT)

        assert closes_counted(seen) == {code: 1}
        assert seen.metric(ACTIVE) == 0
        assert seen.series == {}

    assert seen.request["level"] == level


@pytest.mark.parametrize(("messages", "code"), [([], 500), ([ACCEPT], 1011)])
async def test_an_error_inside_is_the_apps(messages: Any, code: int) -> None:
    async with observing(app_sending(*messages, error=ValueError("inside"))) as seen:
        with pytest.raises(ValueError, match="inside"):
            await call(seen.app, websocket_scope(), CONNECT)

        assert closes_counted(seen) == {str(code): 1}
        assert seen.metric(ACTIVE) == 0

    assert (seen.request["status"], seen.request["level"]) == (code, "error")
    assert seen.request["error"] == "ValueError"
    assert len(seen.lines_of("request_failed")) == 1


async def test_a_server_whose_send_fails_says_that_the_client_has_gone() -> None:
    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            raise OSError("gone")

    async def receive() -> Any:
        return CONNECT

    app = app_sending(ACCEPT, {"type": "websocket.send", "text": "x"})
    async with observing(app) as seen:
        with pytest.raises(OSError, match="gone"):
            await seen.app(websocket_scope(), receive, send)

        assert closes_counted(seen) == {"1006": 1}


@pytest.mark.parametrize(("disconnect", "code"), [({"code": 1001}, 1001), ({}, 1006)])
async def test_a_client_that_closes_decides_the_code(disconnect: Any, code: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send(ACCEPT)
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": "é"})
        assert not seen.telemetry.in_flight

    async with observing(app) as seen:
        received: list[Any] = [
            {"type": "websocket.receive", "bytes": b"123"},
            {"type": "websocket.receive", "text": "äh", "bytes": None},
        ]
        gone = {"type": "websocket.disconnect", **disconnect}
        await call(seen.app, websocket_scope(), CONNECT, *received, gone)

        assert closes_counted(seen) == {str(code): 1}

    line = seen.request
    assert (line["status"], line["level"]) == (code, "info")
    assert (line["request_bytes"], line["response_bytes"]) == (6, 4)


async def test_an_open_connection_is_active_until_it_is_closed() -> None:
    opened, finish = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await send(ACCEPT)
        opened.set()
        await finish.wait()
        await send({"type": "websocket.close"})

    async with observing(app) as seen, asyncio.timeout(PATIENCE_SECONDS):
        connection = asyncio.create_task(call(seen.app, websocket_scope(), CONNECT))
        await opened.wait()

        assert seen.metric(ACTIVE) == 1
        finish.set()
        await connection

        assert seen.metric(ACTIVE) == 0


@pytest.mark.parametrize("messages", [[ACCEPT], DENIAL])
async def test_the_handshakes_answer_says_what_the_connection_is_called(messages: Any) -> None:
    async with observing(app_sending(*messages)) as seen:
        answer = await call(seen.app, websocket_scope(), CONNECT)

    assert answer.headers["x-request-id"] == [seen.request["request_id"]]
    assert "headers" not in ACCEPT
    assert len(DENIAL[0]["headers"]) == 1


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "close":
            await websocket.close(1001)
            return
        if text == "fail":
            raise ValueError("asked for")
        await websocket.send_text(text)


async def refuse(websocket: WebSocket) -> None:
    await websocket.close()


def chat() -> Starlette:
    return Starlette(
        routes=[WebSocketRoute("/echo/{room}", echo), WebSocketRoute("/refuse", refuse)]
    )


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("asked", "code"), [("close", "1001"), ("fail", "1011"), ("hello", "1000")]
)
def test_under_uvicorn_each_side_may_close(loop: str, asked: str, code: str) -> None:
    client = pytest.importorskip("websockets.sync.client", reason="uvicorn needs it")
    with (
        observed(chat()) as seen,
        serving(seen.app, loop, ws="websockets-sansio") as served,
        client.connect(f"ws://127.0.0.1:{served.port}/echo/7") as websocket,
    ):
        websocket.send(asked)
        if asked == "hello":
            assert websocket.recv(PATIENCE_SECONDS) == "hello"
        assert websocket.response.headers["x-request-id"]

    assert closes_counted(seen) == {code: 1}
    assert (seen.request["route"], seen.request["status"]) == ("/echo/{room}", int(code))


@pytest.mark.parametrize("loop", LOOPS)
def test_under_uvicorn_a_handshake_may_be_refused(loop: str) -> None:
    client = pytest.importorskip("websockets.sync.client", reason="uvicorn needs it")
    with (
        observed(chat()) as seen,
        serving(seen.app, loop, ws="websockets-sansio") as served,
        pytest.raises(Exception, match="403"),
    ):
        client.connect(f"ws://127.0.0.1:{served.port}/refuse")

    assert closes_counted(seen) == {"403": 1}


@pytest.mark.parametrize("loop", LOOPS)
def test_under_uvicorn_a_client_may_vanish(loop: str) -> None:
    client = pytest.importorskip("websockets.sync.client", reason="uvicorn needs it")
    with (
        observed(chat()) as seen,
        serving(seen.app, loop, ws="websockets-sansio") as served,
        client.connect(f"ws://127.0.0.1:{served.port}/echo/7") as websocket,
    ):
        websocket.socket.shutdown(socket.SHUT_RDWR)

    assert closes_counted(seen) in ({"1006": 1}, {"1005": 1})
    assert seen.request["level"] == "info"
