"""Our server spans are those that OpenTelemetry's own FastAPI instrumentation makes."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.requests import Request

from middleware import Observability, Telemetry
from middleware.asgi import Message, Scope
from middleware.signals.late_spans import LATE
from tests.middleware.otlp_receiver import OtlpReceiver

from .observing import SETTINGS, call, http_scope, running

SOCKET = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]


def websocket_scope(path: str) -> Scope:
    scope = http_scope(path)
    del scope["method"]
    return {**scope, "type": "websocket", "scheme": "ws", "subprotocols": []}


# Name, scope, and what is received if it is not an empty body.
TABLE: dict[str, tuple[Scope, Sequence[Message]]] = {
    "a route": (http_scope("/plain"), ()),
    "a route of an included router": (http_scope("/v1/items/3"), ()),
    "a nested included router": (http_scope("/v1/deep/er/7"), ()),
    "no route": (http_scope("/nowhere/3"), ()),
    "a method that the route has not": (http_scope("/v1/items/3", "DELETE"), ()),
    "a wrong parameter": (http_scope("/v1/items/three"), ()),
    "an exception": (http_scope("/boom"), ()),
    "an error that says its status": (http_scope("/unavailable"), ()),
    "an error that is handled": (http_scope("/handled"), ()),
    "an answer of 500": (http_scope("/five-hundred"), ()),
    "a stream": (http_scope("/stream"), ()),
    "an error after the head": (http_scope("/broken-stream"), ()),
    "HEAD": (http_scope("/plain", "HEAD"), ()),
    "a method nobody knows": (http_scope("/plain", "BREW"), ()),
    "a query": (http_scope("/plain", query="page=3&token=secret"), ()),
    "a redirect": (http_scope("/plain/"), ()),
    "a browser": (http_scope("/plain", headers=[("user-agent", "Mozilla/5.0")]), ()),
    "a robot": (http_scope("/plain", headers=[("user-agent", "Googlebot/2.1")]), ()),
    "port 80": ({**http_scope("/plain"), "server": ("10.0.0.1", 80)}, ()),
    "an unknown client": ({**http_scope("/plain"), "client": None}, ()),
    "a websocket": (websocket_scope("/socket/3"), SOCKET),
    "a websocket that fails": (websocket_scope("/broken-socket"), SOCKET),
}

# Where we deliberately say something else, and why.
DELIBERATE: dict[str, Callable[[dict[str, Any]], None]] = {}


def deliberately(name: str) -> Callable[..., Any]:
    def enter(change: Callable[[dict[str, Any]], None]) -> None:
        DELIBERATE[name] = change

    return enter


@deliberately("an exception")
def _keeps_its_description(span: dict[str, Any]) -> None:
    """Contrib says what was raised, and overwrites it when the answer is sent."""
    span["description"] = "ValueError: boom"


@deliberately("an error after the head")
def _is_an_error(span: dict[str, Any]) -> None:
    """Contrib shows the status that the client was promised, and the exception twice."""
    span["attributes"]["http.response.status_code"] = 500
    span["attributes"]["error.type"] = "500"
    del span["events"][1:]


@deliberately("a query")
def _hides_values(span: dict[str, Any]) -> None:
    """Contrib shows all values."""
    span["attributes"]["url.query"] = "page=[redacted]&token=[redacted]"


@deliberately("a websocket")
def _has_no_http_status(span: dict[str, Any]) -> None:
    """Contrib takes every message that is sent for an answer of 200."""
    del span["attributes"]["http.response.status_code"]


@deliberately("a websocket that fails")
def _fails_once(span: dict[str, Any]) -> None:
    """Contrib shows the exception twice."""
    del span["events"][1:]


def make_app() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/plain", plain)
    app.add_api_route("/boom", boom)
    app.add_api_route("/unavailable", unavailable)
    app.add_api_route("/handled", miss)
    app.add_exception_handler(LookupError, handle)
    app.add_api_route("/five-hundred", five_hundred)
    app.add_api_route("/stream", stream)
    app.add_api_route("/broken-stream", broken_stream)
    app.add_api_websocket_route("/socket/{number}", socket)
    app.add_api_websocket_route("/broken-socket", broken_socket)
    items, deep = APIRouter(), APIRouter()
    items.add_api_route("/items/{number}", numbered)
    deep.add_api_route("/er/{number}", numbered)
    items.include_router(deep, prefix="/deep")
    app.include_router(items, prefix="/v1")
    return app


async def plain() -> str:
    return "plain"


async def numbered(number: int) -> int:
    return number


async def boom() -> None:
    raise ValueError("boom")


async def unavailable() -> None:
    raise HTTPException(503)


async def miss() -> None:
    raise LookupError("handled")


async def handle(request: Request, error: Exception) -> Response:
    return JSONResponse("handled", 409)


async def five_hundred() -> Response:
    return JSONResponse("no", 500)


async def stream() -> Response:
    return StreamingResponse(_chunks(fails=False))


async def broken_stream() -> Response:
    return StreamingResponse(_chunks(fails=True))


async def socket(websocket: WebSocket, number: int) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


async def broken_socket(websocket: WebSocket) -> None:
    await websocket.accept()
    raise ValueError("broken")


async def _chunks(*, fails: bool) -> AsyncIterator[bytes]:
    yield b"one"
    if fails:
        raise ValueError("broken")
    yield b"two"


def facts(span: ReadableSpan) -> dict[str, Any]:
    """All that must be equal; stack traces differ by the middlewares in between."""
    return {
        "name": span.name,
        "kind": span.kind,
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code,
        "description": span.status.description,
        "events": [
            (event.name, {**(event.attributes or {}), "exception.stacktrace": "any"})
            for event in span.events
        ],
        "parent": span.parent,
    }


async def contribs_span(case: str) -> dict[str, Any]:
    app, exporter, provider = make_app(), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=provider,
        meter_provider=NoOpMeterProvider(),
        exclude_spans=["send", "receive"],
    )
    try:
        await call_case(app, case)
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
    (span,) = exporter.get_finished_spans()
    expected = facts(span)
    if case in DELIBERATE:
        DELIBERATE[case](expected)
    return expected


async def our_span(case: str, *, outside: bool) -> ReadableSpan:
    app, telemetry = make_app(), Telemetry(SETTINGS)
    if not outside:
        app.add_middleware(Observability, telemetry=telemetry)
    served = Observability(app, telemetry=telemetry) if outside else app
    exporter = InMemorySpanExporter()
    async with running(served):
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        await call_case(served, case)
    (span,) = exporter.get_finished_spans()
    return span


async def call_case(app: Any, case: str) -> None:
    scope, received = TABLE[case]
    await call(app, {**scope, "state": {}}, [dict(message) for message in received])


@pytest.mark.parametrize("outside", [False, True], ids=["added", "wrapped"])
@pytest.mark.parametrize("case", TABLE)
async def test_a_sampled_span_is_what_contrib_makes(
    case: str, outside: bool, collector: OtlpReceiver
) -> None:
    expected = await contribs_span(case)

    span = await our_span(case, outside=outside)

    assert facts(span) == expected


@pytest.mark.parametrize("outside", [False, True], ids=["added", "wrapped"])
@pytest.mark.parametrize("case", ["an exception", "an error that says its status"])
async def test_a_late_span_is_the_same_but_for_its_mark(
    case: str, outside: bool, collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    expected = await contribs_span_sampled(case, monkeypatch)

    span = await our_span(case, outside=outside)

    assert facts(span) == {**expected, "attributes": {**expected["attributes"], LATE: True}}


async def contribs_span_sampled(case: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    with monkeypatch.context() as always:
        always.delenv("OTEL_TRACES_SAMPLER")
        return await contribs_span(case)
