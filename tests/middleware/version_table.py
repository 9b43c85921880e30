"""A program: what an observed FastAPI app is seen to do, with whichever FastAPI is on the path.

Prints one JSON object: the versions, and a row per request (method, path, status, route).
"""

import asyncio
import io
import sys
from typing import Any

import fastapi
import orjson
import starlette
from fastapi import APIRouter, BackgroundTasks, FastAPI, Request
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse, StreamingResponse

from middleware import Observability, Settings, Telemetry
from middleware.logs import configured_logs
from middleware.settings import Switches

from .asgi_calls import Answer, http_scope, receiving, running

DURATION = "http_server_request_duration_seconds_count"
TRACE = "0af7651916cd43dd8448eb211c80319c"
REQUESTS = [
    ("GET", "/orders/1"),
    ("GET", "/orders/x"),
    ("POST", "/orders/1"),
    ("GET", "/orders/1/boom"),
    ("GET", "/orders/1/stream"),
    ("GET", "/orders/1/background"),
    ("GET", "/orders/1/"),
    ("GET", "/nothing"),
    ("GET", "/regions/eu/v1/orders/1"),
    ("GET", "/regions/eu/v1/orders/x"),
    ("GET", "/regions/eu/v1/orders/1/boom"),
    ("GET", "/tenants/acme/v2/orders/1"),
    ("GET", "/tenants/acme/nothing"),
    ("GET", "/plain/anything"),
    ("GET", "/starlette/name"),
]


def orders() -> APIRouter:
    router = APIRouter(prefix="/orders")

    @router.get("/{order_id}")
    async def order(order_id: int, request: Request) -> str:
        return str(request.state.request_id)

    @router.get("/{order_id}/boom")
    async def boom(order_id: int) -> str:
        raise ValueError(order_id)

    @router.get("/{order_id}/stream")
    async def stream(order_id: int) -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    @router.get("/{order_id}/background")
    async def background(order_id: int, tasks: BackgroundTasks) -> str:
        tasks.add_task(asyncio.sleep, 0)
        return "soon"

    return router


async def plain(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("plain")(scope, receive, send)


async def say(request: Request) -> PlainTextResponse:
    return PlainTextResponse("said")


def shop(telemetry: Telemetry) -> FastAPI:
    app, sub, regions = FastAPI(), FastAPI(), APIRouter(prefix="/{region}")
    regions.include_router(orders(), prefix="/v1")
    app.include_router(orders())
    app.include_router(regions, prefix="/regions")
    sub.include_router(orders(), prefix="/v2")
    app.mount("/tenants/{tenant}", sub)
    app.mount("/plain", plain)
    app.add_route("/starlette/{name}", say)
    app.add_middleware(Observability, telemetry=telemetry)
    return app


async def ask(app: FastAPI, method: str, path: str, *, sampled: bool) -> None:
    headers = [("traceparent", f"00-{TRACE}-{'b' * 16}-0{sampled:d}"), ("x-request-id", "mine")]
    answer = Answer()
    try:
        await app(http_scope(path, method, headers), receiving(), answer.send)
    except ValueError:  # Starlette has answered it already, outside of every middleware
        assert path.endswith("/boom")
        return
    assert answer.headers["x-request-id"] == ["mine"]
    assert answer.headers["traceresponse"][0].startswith(f"00-{TRACE}-")
    assert answer.headers["server-timing"][0].startswith("total;dur=")


async def main() -> dict[str, Any]:
    output = io.StringIO()
    with configured_logs("info", "json", stream=output):
        telemetry = Telemetry(
            Settings(observability=Switches(ops=False)), registry=CollectorRegistry()
        )
        app = shop(telemetry)
        async with running(app):
            for sampled in (False, True):
                for method, path in REQUESTS:
                    await ask(app, method, path, sampled=sampled)
        assert not telemetry.in_flight
    lines = [orjson.loads(line) for line in output.getvalue().splitlines()]
    return {
        "fastapi": fastapi.__version__,
        "starlette": starlette.__version__,
        "rows": _rows(lines),
        "counted": sum(
            sample.value
            for family in telemetry.registry.collect()
            for sample in family.samples
            if sample.name == DURATION
        ),
        "failures": [line["request_id"] for line in lines if line["event"] == "request_failed"],
    }


def _rows(lines: list[dict[str, Any]]) -> list[list[Any]]:
    return [
        [line["method"], line["path"], line["status"], line["route"]]
        for line in lines
        if line["event"] == "request_completed"
    ]


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(main())))
