"""Whoever made the app, it adopts the middleware with the documented lines."""

from typing import Any

import pytest
from fastapi import FastAPI
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from middleware import Observability
from middleware.exchange import current_exchange

from .observing import Observed, logged, quiet_settings


def fastapi_app(**observed: Any) -> Any:
    app = FastAPI()

    @app.get("/hello")
    async def hello(request: Request) -> str:
        return str(request.state.request_id)

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("boom")

    app.add_middleware(Observability, **observed)
    return app


async def say(request: Request) -> Response:
    return PlainTextResponse(request.state.request_id)


async def explode(request: Request) -> Response:
    raise ValueError("boom")


ROUTES = [Route("/hello", say), Route("/boom", explode)]


def starlette_app(**observed: Any) -> Any:
    return Starlette(routes=ROUTES, middleware=[Middleware(Observability, **observed)])


def wrapped_app(**observed: Any) -> Any:
    return Observability(Starlette(routes=ROUTES), **observed)


@litestar_get("/hello")
async def litestar_hello(request: LitestarRequest[Any, Any, Any]) -> str:
    return str(request.state["request_id"])


@litestar_get("/boom")
async def litestar_boom() -> str:
    raise ValueError("boom")


def litestar_app(**observed: Any) -> Any:
    app: Any = Litestar([litestar_hello, litestar_boom], openapi_config=None)
    return Observability(app, **observed)


async def plain(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/boom":
        raise ValueError("boom")
    found = scope["path"] == "/hello"
    await send({"type": "http.response.start", "status": 200 if found else 404})
    await send({"type": "http.response.body", "body": scope["state"]["request_id"].encode()})


def plain_app(**observed: Any) -> Any:
    return Observability(plain, **observed)


MAKERS = [fastapi_app, starlette_app, wrapped_app, litestar_app, plain_app]


@pytest.mark.parametrize("make", MAKERS)
def test_its_requests_are_counted_logged_and_named(make: Any) -> None:
    with logged() as output:
        seen = Observed(plain, quiet_settings(), output)
        app = make(telemetry=seen.telemetry)
        with TestClient(app, raise_server_exceptions=False) as client:
            hello = client.get("/hello", headers={"x-request-id": "mine"})
            assert client.get("/boom").status_code == 500
            assert client.get("/nothing").status_code == 404

    assert hello.status_code == 200
    assert hello.text.strip('"') == hello.headers["x-request-id"] == "mine"
    assert hello.headers["traceresponse"].startswith("00-")
    assert hello.headers["server-timing"].startswith("total;dur=")
    statuses = sorted(status for _, _, status in seen.series)
    assert statuses == ["200", "404", "500"]
    if make is not plain_app:
        assert seen.counted("/hello", 200) == seen.counted("/boom", 500) == 1
    assert seen.counted("unmatched", 404) == 1
    assert [line["status"] for line in seen.lines_of("request_completed")] == [200, 500, 404]


@pytest.mark.parametrize("make", MAKERS)
def test_nothing_of_a_request_is_left_when_it_is_over(make: Any) -> None:
    with logged() as output:
        seen = Observed(plain, quiet_settings(), output)
        with TestClient(make(telemetry=seen.telemetry)) as client:
            client.get("/hello")

    assert not seen.telemetry.in_flight
    assert current_exchange.get() is None
