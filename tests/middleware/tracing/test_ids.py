"""One request, one trace id and one span id: in spans, headers, metrics, logs, outgoing calls."""

import asyncio
import contextvars
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextvars import Token
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fastapi import FastAPI
from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from middleware import Telemetry
from middleware.exchange import current_exchange
from middleware.logs.identity import identity
from tests.middleware.otlp_receiver import OtlpReceiver, attributes_of

from .observing import SETTINGS, call, header_of, http_scope, observed

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

Action = Callable[[], Awaitable[Any]]


class Seen:
    """What the app saw while it answered."""

    outgoing: dict[str, str]
    facts: dict[str, Any]


def app_that(seen: Seen, action: Action | None = None) -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: int) -> Any:
        seen.outgoing = {}
        propagate.inject(seen.outgoing)
        seen.facts = identity(current_exchange.get())  # type: ignore[arg-type]
        return await action() if action else item

    return app


def exemplar_of(telemetry: Telemetry) -> str:
    family = next(
        each
        for each in telemetry.registry.collect()
        if each.name == "http_server_request_duration_seconds"
    )
    (exemplar,) = {
        sample.exemplar.labels["trace_id"] for sample in family.samples if sample.exemplar
    }
    return str(exemplar)


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
@pytest.mark.parametrize("headers", [[], [("traceparent", f"00-{TRACE}-{PARENT}-01")]])
async def test_all_signals_name_the_same_ids(
    sampler: str,
    headers: list[tuple[str, str]],
    collector: OtlpReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    seen, telemetry = Seen(), Telemetry(SETTINGS)

    async with observed(app_that(seen), telemetry) as app:
        answer = await call(app, http_scope("/items/3", headers=headers))
        exemplar = exemplar_of(telemetry)

    _, trace_id, span_id, flags = header_of(answer, "traceresponse").split("-")
    _, sent_trace_id, sent_span_id, sent_flags = seen.outgoing["traceparent"].split("-")
    assert trace_id == TRACE or not headers
    assert (sent_trace_id, sent_span_id) == (trace_id, span_id)
    assert int(sent_flags, 16) & 1 == int(flags) == (sampler == "always_on")
    assert (seen.facts["trace_id"], seen.facts["span_id"]) == (trace_id, span_id)
    assert exemplar == trace_id
    assert [(span.trace_id.hex(), span.span_id.hex()) for span in collector.spans] == (
        [(trace_id, span_id)] if sampler == "always_on" else []
    )
    if headers and collector.spans:
        assert collector.spans[0].parent_span_id.hex() == PARENT


async def test_a_process_that_keeps_its_current_context_elsewhere_has_the_same_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Elsewhere(ContextVarsRuntimeContext):  # what OTEL_PYTHON_CONTEXT may name
        attached = 0

        def attach(self, context: Context) -> Token[Context]:
            self.attached += 1
            return super().attach(context)

        def detach(self, token: Token[Context]) -> None:
            self.attached -= 1
            super().detach(token)

    elsewhere, seen = Elsewhere(), Seen()
    monkeypatch.setattr(otel_context, "_RUNTIME_CONTEXT", elsewhere)

    async def attached() -> None:
        assert elsewhere.attached == 1

    async with observed(app_that(seen, attached)) as app:
        answer = await call(app, http_scope("/items/3"))

    _, trace_id, span_id, _ = header_of(answer, "traceresponse").split("-")
    assert seen.outgoing["traceparent"].split("-")[1:3] == [trace_id, span_id]
    assert answer[0]["status"] == 200
    assert elsewhere.attached == 0


@pytest.mark.parametrize("flag", ["00", "01"])
async def test_a_parent_decides_and_its_state_and_baggage_go_on(
    flag: str, collector: OtlpReceiver
) -> None:
    seen = Seen()
    headers = [
        ("traceparent", f"00-{TRACE}-{PARENT}-{flag}"),
        ("tracestate", "vendor=1"),
        ("baggage", "customer=7"),
    ]

    async with observed(app_that(seen)) as app:
        answer = await call(app, http_scope("/items/3", headers=headers))

    assert seen.outgoing["tracestate"] == "vendor=1"
    assert seen.outgoing["baggage"] == "customer=7"
    assert seen.outgoing["traceparent"].startswith(f"00-{TRACE}-")
    assert seen.outgoing["traceparent"][36:52] != PARENT
    assert header_of(answer, "traceresponse").endswith(flag)
    assert len(collector.spans) == int(flag)


@pytest.mark.parametrize("flag", ["02", "03"])
async def test_the_promise_that_an_id_is_random_is_passed_on(
    flag: str, collector: OtlpReceiver
) -> None:
    seen = Seen()

    async with observed(app_that(seen)) as app:
        headers = [("traceparent", f"00-{TRACE}-{PARENT}-{flag}")]
        await call(app, http_scope("/items/3", headers=headers))

    assert seen.outgoing["traceparent"].endswith(f"-{flag}")


async def test_a_failed_request_that_was_not_sampled_leaves_its_ids_in_a_late_span(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")

    async def fail() -> None:
        raise ValueError("boom")

    async with observed(app_that(Seen(), fail)) as app:
        headers = [("traceparent", f"00-{TRACE}-{PARENT}-00")]
        answer = await call(app, http_scope("/items/3", headers=headers))

    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.span_id.hex() == header_of(answer, "traceresponse").split("-")[2]
    assert attributes_of(span.attributes)["stallscope.sampled_late"] is True
    assert [event.name for event in span.events] == ["exception"]


async def test_a_slow_request_leaves_a_late_span_and_a_quick_one_does_not(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")

    async def began_long_ago() -> None:
        exchange = current_exchange.get()
        assert exchange is not None
        exchange.started -= 5

    async with observed(app_that(Seen())) as app:
        await call(app, http_scope("/items/3"))
    async with observed(app_that(Seen(), began_long_ago)) as app:
        await call(app, http_scope("/items/3"))

    (span,) = collector.spans
    assert span.end_time_unix_nano - span.start_time_unix_nano > 5e9


async def test_the_context_goes_into_tasks_and_threads(collector: OtlpReceiver) -> None:
    async def current() -> trace.Span:
        return trace.get_current_span()

    async def everywhere() -> None:
        span, loop = trace.get_current_span(), asyncio.get_running_loop()
        context = contextvars.copy_context()
        found = [
            await asyncio.create_task(current()),
            await asyncio.to_thread(trace.get_current_span),
            await loop.run_in_executor(None, context.run, trace.get_current_span),
        ]
        assert found == [span] * 3
        assert span.is_recording()

    async with observed(app_that(Seen(), everywhere)) as app:
        answer = await call(app, http_scope("/items/3"))

    assert answer[0]["status"] == 200


async def test_nothing_of_a_request_is_left_in_the_context(collector: OtlpReceiver) -> None:
    async with observed(app_that(Seen())) as app:
        await call(app, http_scope("/items/3", headers=[("baggage", "customer=7")]))

        assert trace.get_current_span() is trace.INVALID_SPAN
        assert baggage.get_all() == {}


async def test_spans_of_the_application_are_children_of_the_request(
    collector: OtlpReceiver,
) -> None:
    async def work() -> None:
        with trace.get_tracer("shop").start_as_current_span("work"):
            pass

    async with observed(app_that(Seen(), work)) as app:
        await call(app, http_scope("/items/3"))

    child, request = collector.spans
    assert (child.name, child.parent_span_id) == ("work", request.span_id)


# OpenTelemetry reads OTEL_PROPAGATORS when it is imported, and FastAPI imports it.
PROPAGATORS = """
import asyncio, json, sys
from tests.middleware.tracing.observing import call, header_of, http_scope, observed

async def inject(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    from opentelemetry import propagate
    propagate.inject(outgoing)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})

async def main():
    async with observed(inject) as app:
        answer = await call(app, http_scope(headers=[("traceparent", sys.argv[1])]))
    print(json.dumps([header_of(answer, "traceresponse"), outgoing]))

outgoing = {}

asyncio.run(main())
"""


def with_propagators(name: str) -> tuple[str, dict[str, str]]:
    """The trace that the response names, and the headers of an outgoing call."""
    process = subprocess.run(
        [sys.executable, "-c", PROPAGATORS, f"00-{TRACE}-{PARENT}-01"],
        env={**os.environ, "OTEL_PROPAGATORS": name},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    response, outgoing = json.loads(process.stdout.splitlines()[-1])
    return response.split("-")[1], outgoing


def test_without_propagators_a_trace_begins_and_ends_here() -> None:
    trace_id, outgoing = with_propagators("none")

    assert re.fullmatch("[0-9a-f]{32}", trace_id)
    assert trace_id != TRACE
    assert outgoing == {}


def test_a_propagator_that_is_not_installed_leaves_the_usual_ones() -> None:
    trace_id, outgoing = with_propagators("b3")

    assert trace_id == TRACE
    assert outgoing["traceparent"].startswith(f"00-{TRACE}-")


@pytest.mark.parametrize("flag", ["00", "01"])
async def test_an_http_client_that_the_application_traces_itself_sends_the_ids_on(
    flag: str,
) -> None:
    sent: list[str] = []

    async def price(request: web.Request) -> web.Response:
        sent.append(request.headers["traceparent"])
        return web.Response()

    upstream = web.Application()
    upstream.router.add_get("/", price)

    async with TestServer(upstream) as server:

        async def ask() -> None:
            configs = [create_trace_config()]
            async with aiohttp.ClientSession(trace_configs=configs) as session:
                await session.get(server.make_url("/"))

        async with observed(app_that(Seen(), ask)) as app:
            headers = [("traceparent", f"00-{TRACE}-{PARENT}-{flag}")]
            answer = await call(app, http_scope("/items/3", headers=headers))

    assert sent == [header_of(answer, "traceresponse")]


async def test_a_tracer_that_fails_costs_a_span_and_not_the_request(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = Telemetry(SETTINGS)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no span today")

    async def add() -> None:
        trace.get_current_span().set_attribute("added", 1)

    async with observed(app_that(Seen(), add), telemetry) as app:
        monkeypatch.setattr(Tracer, "start_span", fail)
        answer = await call(app, http_scope("/items/3"))

    lost = telemetry.registry.get_sample_value("telemetry_dropped_total", {"signal": "traces"})
    assert (answer[0]["status"], lost) == (200, 1)


async def test_a_provider_of_the_applications_own_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    seen, telemetry = Seen(), Telemetry(SETTINGS)

    async with observed(app_that(seen), telemetry) as app:
        answer = await call(app, http_scope("/items/3"))

    (span,) = exporter.get_finished_spans()
    context = span.get_span_context()
    assert context is not None
    ids = f"{context.trace_id:032x}-{context.span_id:016x}"
    assert header_of(answer, "traceresponse") == f"00-{ids}-01"
    assert seen.outgoing["traceparent"][3:52] == ids
    assert seen.facts["trace_id"] == exemplar_of(telemetry) == ids[:32]
