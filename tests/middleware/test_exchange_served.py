"""When a request ends and how, under a real uvicorn with either event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from middleware.health import Phase

from .asgi_calls import PATIENCE_SECONDS
from .observing import Observed, never_stopped, observed
from .uvicorn_server import LOOPS, Served, hang_up, serving


class Shop:
    """A Starlette app whose endpoints wait until they are let go."""

    def __init__(self) -> None:
        self.arrived, self.left = threading.Event(), threading.Event()
        self.go = asyncio.Event()
        paths = ["plain", "background", "poor_background", "stream", "broken_stream", "boom"]
        paths += ["events", "waiting", "deaf", "unchanged"]
        routes = [Route(f"/{path}", getattr(self, path)) for path in paths]
        self.app = Starlette(routes=routes)

    async def plain(self, request: Request) -> Response:
        return PlainTextResponse("hello")

    async def unchanged(self, request: Request) -> Response:
        return Response(status_code=304)

    async def background(self, request: Request) -> Response:
        return PlainTextResponse("hello", background=BackgroundTask(self._wait))

    async def poor_background(self, request: Request) -> Response:
        return PlainTextResponse("hello", background=BackgroundTask(self._fail))

    async def stream(self, request: Request) -> Response:
        return StreamingResponse(self._pieces())

    async def events(self, request: Request) -> Response:
        return StreamingResponse(self._pieces(), media_type="text/event-stream")

    async def broken_stream(self, request: Request) -> Response:
        return StreamingResponse(self._broken_pieces())

    async def boom(self, request: Request) -> NoReturn:
        raise ValueError("boom")

    async def waiting(self, request: Request) -> Response:
        self.arrived.set()
        try:
            while (await request.receive())["type"] != "http.disconnect":
                pass
        finally:
            self.left.set()
        return PlainTextResponse("to nobody")

    async def deaf(self, request: Request) -> Response:
        """Does not ask whether the client is still there."""
        await self._wait()
        return PlainTextResponse("to nobody")

    async def _wait(self) -> None:
        self.arrived.set()
        await self.go.wait()
        self.left.set()

    async def _fail(self) -> NoReturn:
        raise ValueError("in the background")

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            yield b"data: 1\n\n"
            await self._wait()
            yield b"data: 2\n\n"
        finally:
            self.left.set()

    async def _broken_pieces(self) -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        raise ValueError("in the middle")


@contextmanager
def open_shop(loop: str, **options: Any) -> Iterator[tuple[Shop, Observed, Served]]:
    shop = Shop()
    with observed(shop.app) as seen, serving(seen.app, loop, **options) as served:
        yield shop, seen, served


both_loops = pytest.mark.parametrize("loop", LOOPS)


@both_loops
@pytest.mark.parametrize(
    ("path", "method", "status", "body"),
    [
        ("/plain", "GET", 200, b"hello"),
        ("/plain", "HEAD", 200, b""),
        ("/unchanged", "GET", 304, b""),
        ("/plain", "POST", 405, b"Method Not Allowed"),
        ("/boom", "GET", 500, b"Internal Server Error"),
    ],
)
def test_what_was_counted_is_what_was_served(
    loop: str, path: str, method: str, status: int, body: bytes
) -> None:
    with open_shop(loop) as (_, seen, served):
        assert served.read(path, method) == (status, body)

    assert seen.series == {(method, path, str(status)): 1}
    assert seen.request["response_bytes"] == len(body)
    assert ("error" in seen.request) == (status == 500)


@both_loops
@pytest.mark.parametrize("path", ["/stream", "/events"])
def test_a_stream_ends_with_its_last_byte(loop: str, path: str) -> None:
    with open_shop(loop) as (shop, seen, served), served.get(path) as response:
        assert response.readline() == b"data: 1\n"
        assert shop.arrived.wait(PATIENCE_SECONDS)
        assert seen.series == {}
        assert len(seen.telemetry.in_flight) == 1

        served.on_loop(shop.go.set)
        assert response.read() == b"\ndata: 2\n\n"

    assert seen.series == {("GET", path, "200"): 1}
    assert seen.request["response_bytes"] == 18


@both_loops
def test_a_background_task_is_no_part_of_the_request(loop: str) -> None:
    with open_shop(loop) as (shop, seen, served):
        assert served.read("/background") == (200, b"hello")
        assert shop.arrived.wait(PATIENCE_SECONDS)

        assert seen.counted("/background", 200) == 1
        assert not seen.telemetry.in_flight

        served.on_loop(shop.go.set)


@both_loops
def test_a_background_task_that_fails_has_a_line_of_its_own(loop: str) -> None:
    with open_shop(loop) as (_, seen, served):
        assert served.read("/poor_background") == (200, b"hello")

    assert (seen.request["status"], seen.request["level"]) == (200, "info")
    (failure,) = seen.lines_of("request_failed")
    assert failure["exception"][0]["exc_value"] == "in the background"
    assert failure["request_id"] == seen.request["request_id"]


@both_loops
def test_a_stream_that_breaks_counts_as_500(loop: str) -> None:
    with (
        open_shop(loop) as (_, seen, served),
        served.ask("/broken_stream") as client,
        client.makefile("rb") as response,
    ):
        assert b"data: 1" in response.read()

    assert seen.series == {("GET", "/broken_stream", "500"): 1}


@both_loops
@pytest.mark.parametrize("path", ["/stream", "/events", "/waiting"])
def test_a_client_that_hangs_up_on_an_app_that_listens_is_499(loop: str, path: str) -> None:
    with open_shop(loop) as (shop, seen, served):
        client = served.ask(path)
        assert shop.arrived.wait(PATIENCE_SECONDS)

        hang_up(client)

        assert shop.left.wait(PATIENCE_SECONDS)

    assert seen.series == {("GET", path, "499"): 1}
    assert seen.request["client_disconnected"] is True
    assert seen.request["level"] == "info"
    assert not seen.lines_of("request_failed")


@both_loops
@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_client_that_hangs_up_on_an_app_that_does_not_listen_is_499(loop: str, http: str) -> None:
    with open_shop(loop, http=http) as (shop, seen, served):
        client = served.ask("/deaf")
        assert shop.arrived.wait(PATIENCE_SECONDS)

        hang_up(client)
        # What the server learns from its socket comes before what it is told from elsewhere, but
        # not in the same round of its loop.
        served.on_loop(lambda: None)
        served.on_loop(lambda: None)
        served.on_loop(shop.go.set)
        assert shop.left.wait(PATIENCE_SECONDS)

    assert seen.series == {("GET", "/deaf", "499"): 1}
    assert seen.request["client_disconnected"] is True


@both_loops
def test_a_request_that_the_server_cancels_is_no_failure_of_the_app(loop: str) -> None:
    with (
        open_shop(loop, timeout_graceful_shutdown=0) as (shop, seen, served),
        served.ask("/deaf") as client,
    ):
        assert shop.arrived.wait(PATIENCE_SECONDS)
        served.stop()
        client.recv(1000)

    assert seen.series == {("GET", "/deaf", "499"): 1}
    assert seen.request["error"] == "CancelledError"
    assert not seen.lines_of("request_failed")


@both_loops
def test_without_a_lifespan_it_starts_with_the_first_request(loop: str) -> None:
    shop = Shop()
    with observed(shop.app, never_stopped()) as seen:
        with serving(seen.app, loop, lifespan="off") as served:
            assert seen.telemetry.health.phase is Phase.STARTING

            assert served.read("/plain") == (200, b"hello")

        assert seen.counted("/plain", 200) == 1


@both_loops
def test_uvicorns_own_lines_go_through_the_same_pipe(loop: str) -> None:
    with open_shop(loop) as (_, seen, served):
        served.read("/plain")

    assert any(line.get("logger") == "uvicorn.error" for line in seen.lines)
