"""A sampled request's span is written down when it ends, and is the SDK's where that shows."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanProcessor, Tracer

from middleware.exchange import current_exchange
from middleware.signals.request_span import RequestSpan
from tests.middleware.otlp_receiver import OtlpReceiver, attributes_of

from .observing import call, http_scope, observed

Action = Callable[[trace.Span], Awaitable[None]]


def app_that(action: Action) -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: int) -> int:
        await action(trace.get_current_span())
        return item

    return app


async def span_of(action: Action, collector: OtlpReceiver) -> Span:
    async with observed(app_that(action)) as app:
        await call(app, http_scope("/items/3"))
    (span,) = collector.spans
    return span


def opened() -> bool:
    exchange = current_exchange.get()
    assert exchange is not None
    assert isinstance(exchange.span, RequestSpan)
    return exchange.span._opened is not None


async def test_nobody_asks_the_sdk_for_what_nothing_is_added_to(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("asked")

    async def look(span: trace.Span) -> None:
        monkeypatch.setattr(Tracer, "start_span", fail)
        assert span.is_recording()
        assert span.get_span_context().trace_flags.sampled
        assert not opened()

    span = await span_of(look, collector)

    assert span.name == "GET /items/{item}"
    assert attributes_of(span.attributes)["http.response.status_code"] == 200


async def test_what_the_application_adds_is_in_it(collector: OtlpReceiver) -> None:
    linked = trace.SpanContext(7, 8, is_remote=False)

    async def add(span: trace.Span) -> None:
        span.set_attribute("one", 1)
        span.set_attributes({"two": 2})
        span.add_event("happened", {"where": "here"})
        span.record_exception(ValueError("seen"))
        span.add_link(linked)
        span.set_status(trace.StatusCode.ERROR, "as the application says")
        span.update_name("renamed, until the route is known")
        assert span.attributes["one"] == 1  # type: ignore[attr-defined]

    span = await span_of(add, collector)

    attributes = attributes_of(span.attributes)
    assert (attributes["one"], attributes["two"]) == (1, 2)
    assert attributes["http.route"] == "/items/{item}"
    assert [event.name for event in span.events] == ["happened", "exception"]
    assert span.links[0].span_id == linked.span_id.to_bytes(8)
    assert (span.status.code, span.status.message) == (2, "as the application says")
    assert span.name == "GET /items/{item}"


async def test_threads_add_to_one_span(collector: OtlpReceiver) -> None:
    async def add(span: trace.Span) -> None:
        await asyncio.gather(
            *(asyncio.to_thread(span.set_attribute, f"n{number}", number) for number in range(8))
        )

    span = await span_of(add, collector)

    assert {f"n{number}" for number in range(8)} <= attributes_of(span.attributes).keys()


@pytest.mark.filterwarnings("ignore:Setting attribute on ended span:UserWarning")
@pytest.mark.parametrize("before", [False, True])
async def test_what_is_added_after_its_end_changes_nothing(
    before: bool, collector: OtlpReceiver
) -> None:
    said: list[tuple[bool, str]] = []

    def later(span: trace.Span) -> None:
        span.set_attribute("later", 1)
        said.append((span.is_recording(), span.name))  # type: ignore[attr-defined]

    app = FastAPI()

    @app.get("/")
    async def root(tasks: BackgroundTasks) -> None:
        span = trace.get_current_span()
        if before:
            span.set_attribute("before", 1)
        tasks.add_task(later, span)

    async with observed(app) as wrapped:
        await call(wrapped, http_scope())

    (span,) = collector.spans
    assert said == [(False, "GET /")]
    assert "later" not in attributes_of(span.attributes)


async def test_an_application_may_end_it_early_or_leave_it(collector: OtlpReceiver) -> None:
    async def leave(span: trace.Span) -> None:
        with pytest.raises(KeyError), span:
            raise KeyError("in the block")
        assert not span.is_recording()

    span = await span_of(leave, collector)

    assert [event.name for event in span.events] == ["exception"]


async def test_who_processes_spans_besides_sees_it_start_and_end(collector: OtlpReceiver) -> None:
    class Seeing(SpanProcessor):
        seen: list[str]

        def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
            self.seen = ["started"]

        def on_end(self, span: Any) -> None:
            self.seen.append(span.name)

    async def nothing(span: trace.Span) -> None:
        assert isinstance(span, SdkSpan)

    seeing = Seeing()
    async with observed(app_that(nothing)) as app:
        trace.get_tracer_provider().add_span_processor(seeing)  # type: ignore[attr-defined]
        await call(app, http_scope("/items/3"))

    assert seeing.seen == ["started", "GET /items/{item}"]


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0"),
    ],
)
async def test_limits_hold(
    limit: str, value: str, collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(span: trace.Span) -> None:
        pass

    monkeypatch.setenv(limit, value)

    span = await span_of(nothing, collector)

    assert len(span.attributes) <= 2 or attributes_of(span.attributes)["url.path"] == "/it"


async def test_what_it_does_not_have_it_does_not_have(collector: OtlpReceiver) -> None:
    async def look(span: trace.Span) -> None:
        assert not hasattr(span, "_private")
        assert not opened()
        assert not hasattr(span, "unheard_of")

    await span_of(look, collector)


@pytest.mark.parametrize("first", [False, True])
async def test_it_says_how_the_request_came_whatever_the_application_makes_of_it(
    first: bool, collector: OtlpReceiver
) -> None:
    async def rewriting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        if first:
            trace.get_current_span().set_attribute("first", 1)
        scope.update(path="/rewritten", scheme="https", client=("9.9.9.9", 9))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with observed(rewriting) as app:
        await call(app, http_scope("/came"))

    attributes = attributes_of(collector.spans[0].attributes)
    came = attributes["url.path"], attributes["url.scheme"], attributes["client.address"]
    assert came == ("/came", "http", "127.0.0.1")


@pytest.mark.parametrize("added", [False, True])
async def test_nothing_of_the_request_outlives_it(added: bool, collector: OtlpReceiver) -> None:
    class Session:
        pass

    kept: list[weakref.ref[Session]] = []

    async def hold(span: trace.Span) -> None:
        exchange = current_exchange.get()
        assert exchange is not None
        exchange.scope["state"]["session"] = session = Session()
        kept.append(weakref.ref(session))
        if added:
            span.set_attribute("one", 1)

    app = app_that(hold)
    async with observed(app) as wrapped:
        gc.collect()
        gc.disable()
        try:
            await call(wrapped, http_scope("/items/3"))
            assert kept[0]() is None
        finally:
            gc.enable()


async def test_a_processor_may_add_to_the_current_span_while_it_starts(
    collector: OtlpReceiver,
) -> None:
    class Adding(SpanProcessor):
        def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
            if span.name == "GET":
                trace.get_current_span().add_event("while it starts")

    async def add(span: trace.Span) -> None:
        trace.get_tracer_provider().add_span_processor(Adding())  # type: ignore[attr-defined]
        span.set_attribute("one", 1)  # would wait for itself if there was a lock

    span = await span_of(add, collector)

    assert span.name == "GET /items/{item}"
