"""The one line that a request leaves: its facts, and nothing that a client made up."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import structlog
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from middleware.signals.logs import timings

from .asgi_calls import call, hello, http_scope, requests_only, running
from .observing import observed, observing, quiet_settings

HEX = {"trace_id": r"[0-9a-f]{32}", "span_id": r"[0-9a-f]{16}"}


async def line_of(app: Any, **request: Any) -> dict[str, Any]:
    async with observing(app) as seen:
        body = {"type": "http.request", "body": b"1234", "more_body": False}
        await call(seen.app, http_scope(**request), body)
    return seen.request


async def order(request: Request) -> Response:
    await request.body()
    return PlainTextResponse(
        "created", 201, headers={"server-timing": 'db;dur=1.5;desc="SQL", cache;desc=hit'}
    )


SHOP = Starlette(routes=[Route("/orders/{order}", order, methods=["POST"])])


async def test_every_fact_of_a_request_is_in_its_line() -> None:
    before = datetime.now(UTC)

    line = await line_of(
        SHOP, path="/orders/7", method="POST", headers=[("user-agent", "curl/8"), ("cookie", "s")]
    )

    told = datetime.fromisoformat(line.pop("timestamp"))
    assert before - timedelta(seconds=1) <= told <= datetime.now(UTC) + timedelta(seconds=1)
    assert line.pop("duration_ms") >= 0
    for name, shape in HEX.items():
        assert re.fullmatch(shape, line[name])
    assert line.pop("request_id") == line.pop("trace_id")
    line.pop("span_id")
    assert line == {
        "level": "info",
        "event": "request_completed",
        "method": "POST",
        "route": "/orders/{order}",
        "path": "/orders/7",
        "status": 201,
        "request_bytes": 4,
        "response_bytes": 7,
        "client": "192.0.2.7",
        "user_agent": "curl/8",
        "sampled": False,
        "timings": {"db": 1.5},
    }


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "info"), (404, "info"), (499, "info"), (500, "error"), (503, "error")],
)
async def test_its_level_says_whether_the_service_failed(status: int, level: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body"})

    assert (await line_of(app))["level"] == level


@pytest.mark.parametrize(
    "text",
    [
        '\n{"event":"forged"}',
        "\r\nforged",
        "\x1b[2Jforged",
        "\x85forged",
        "\u2028forged",
        "\u202eforged",
        '","event":"forged',
        "\x00",
        "é\x7f\x9b",
    ],
)
async def test_what_a_client_sends_stays_in_its_field(text: str) -> None:
    headers = [("x-request-id", text), ("traceparent", text)]
    agent = text.encode().decode("latin-1")
    async with observing(requests_only(hello)) as seen:
        scope = http_scope(f"/{text}", method=text)
        scope["headers"] += [(name.encode(), value.encode()) for name, value in headers]
        scope["headers"].append((b"user-agent", text.encode()))
        await call(seen.app, scope)

    (raw,) = [each for each in seen.raw.splitlines(keepends=True) if "request_completed" in each]
    assert raw.endswith("\n")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e]", raw[:-1])
    line = orjson.loads(raw)
    assert line["event"] == "request_completed"
    assert (line["path"], line["user_agent"]) == (f"/{text}", agent)
    assert (line["method"], line["request_id"]) == ("_OTHER", line["trace_id"])


async def test_a_request_without_a_client_or_headers_has_a_line() -> None:
    scope = http_scope()
    del scope["client"]
    async with observing(requests_only(hello)) as seen:
        await call(seen.app, scope)

    assert (seen.request["client"], seen.request["user_agent"]) == (None, "")


@pytest.mark.parametrize(
    ("level", "statuses"), [("info", [200, 500]), ("warning", [500]), ("critical", [])]
)
async def test_at_a_higher_level_only_failures_have_one(level: str, statuses: list[int]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": int(scope["path"][1:])})
        await send({"type": "http.response.body"})

    settings = quiet_settings().model_copy(update={"log_level": level})
    with observed(requests_only(app), settings) as seen:
        async with running(seen.app):
            for status in (200, 500):
                await call(seen.app, http_scope(f"/{status}"))

    assert [line["status"] for line in seen.lines_of("request_completed")] == statuses


async def test_a_background_tasks_lines_carry_the_requests_ids() -> None:
    async def later() -> None:
        structlog.get_logger().info("said_later")

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("x", background=BackgroundTask(later))

    async with observing(Starlette(routes=[Route("/", endpoint)])) as seen:
        await call(seen.app, http_scope())

    (line,) = seen.lines_of("said_later")
    assert line["request_id"] == seen.request["request_id"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"", {}),
        (b"db;dur=1.5", {"db": 1.5}),
        (b"db;dur=1.5, cache;dur=0.1", {"db": 1.5, "cache": 0.1}),
        (b'db;desc="a b";dur=2', {"db": 2.0}),
        (b"miss", {}),
        (b"db;dur=soon", {}),
        (b"\xff;dur=1", {"ÿ": 1.0}),
    ],
)
def test_timings_are_read_from_server_timing(header: bytes, expected: dict[str, float]) -> None:
    assert timings(header) == expected
