"""Client spans: for what is sampled, in the server span; nothing but headers for what is not."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import pytest
import redis.asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry import trace
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from prometheus_client import CollectorRegistry

from middleware.dependencies import DependencyMetrics
from middleware.setup.clients import instrumented_clients


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    with instrumented_clients(provider):
        yield


UNSAMPLED = SpanContext(trace_id=7, span_id=9, is_remote=False, trace_flags=TraceFlags(0))


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@asynccontextmanager
async def server() -> AsyncIterator[tuple[str, list[str]]]:
    """Its address, and the `traceparent` of each request."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("traceparent", ""))
        return web.Response()

    app = web.Application()
    app.router.add_get("/prices/3", answer)
    async with TestServer(app) as running:
        yield str(running.make_url("/prices/3")), seen


async def test_an_unsampled_request_leaves_no_client_span_and_sends_its_ids_on(
    instrumented: None, spans: InMemorySpanExporter
) -> None:
    async with server() as (url, seen), aiohttp.ClientSession() as session:
        with trace.use_span(NonRecordingSpan(UNSAMPLED)):
            await (await session.get(url)).read()

    assert seen == [f"00-{7:032x}-{9:016x}-00"]
    assert spans.get_finished_spans() == ()


async def test_an_unsampled_request_leaves_no_span_of_its_database_and_cache(
    instrumented: None, spans: InMemorySpanExporter, database_url: str, redis_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    async with redis.asyncio.from_url(redis_url) as client:
        spans.clear()
        with trace.use_span(NonRecordingSpan(UNSAMPLED)):
            row = await connection.fetchrow("SELECT 1 AS one")
            await client.set("key", "value")
            value = await client.get("key")
    await connection.close()

    assert row is not None
    assert (row["one"], value) == (1, b"value")
    assert spans.get_finished_spans() == ()


async def test_a_sampled_request_has_a_span_of_each_call_and_the_header_names_it(
    instrumented: None,
    provider: TracerProvider,
    spans: InMemorySpanExporter,
    database_url: str,
    redis_url: str,
) -> None:
    connection = await asyncpg.connect(database_url)
    async with (
        server() as (url, seen),
        aiohttp.ClientSession() as session,
        redis.asyncio.from_url(redis_url) as client,
    ):
        await client.ping()
        spans.clear()
        with provider.get_tracer("test").start_as_current_span("request") as request:
            await connection.fetchrow("SELECT $1::text AS secret", "hunter2")
            await client.set("hunter3", "hunter4")
            await (await session.get(url)).read()
    await connection.close()

    *calls, _ = spans.get_finished_spans()
    sql, cache, http = calls
    assert [call.name for call in calls] == ["SELECT", "SET", "GET"]
    assert all(call.kind is trace.SpanKind.CLIENT for call in calls)
    assert all(call.parent == request.get_span_context() for call in calls)
    assert attributes_of(sql)["db.query.text"] == "SELECT $1::text AS secret"
    assert attributes_of(cache)["db.query.text"] == "SET ? ?"
    assert attributes_of(http)["http.response.status_code"] == 200
    assert "hunter" not in "".join(call.to_json() for call in calls)
    context = http.get_span_context()
    assert context is not None
    assert seen[0][:52] == f"00-{context.trace_id:032x}-{context.span_id:016x}"


async def test_measured_clients_have_one_span_a_call_too(
    instrumented: None,
    provider: TracerProvider,
    spans: InMemorySpanExporter,
    database_url: str,
    redis_url: str,
) -> None:
    metrics = DependencyMetrics(CollectorRegistry())
    client = redis.asyncio.from_url(redis_url)
    metrics.observe_redis(client, "cache")
    async with (
        server() as (url, _),
        metrics.create_pool("products", database_url, min_size=1, max_size=1) as pool,
        aiohttp.ClientSession(trace_configs=[metrics.aiohttp_trace_config()]) as session,
        client,
    ):
        await client.ping()
        spans.clear()
        with provider.get_tracer("test").start_as_current_span("request"):
            await pool.fetchrow("SELECT 1")
            await client.get("key")
            await (await session.get(url)).read()
        called = [span.name for span in spans.get_finished_spans()]

    assert called[0] == "SELECT"
    assert called[-3:] == ["GET", "GET", "request"]


async def test_what_a_background_task_calls_after_the_response_is_in_the_trace(
    instrumented: None, provider: TracerProvider, spans: InMemorySpanExporter, redis_url: str
) -> None:
    request = provider.get_tracer("test").start_span("request")
    request.end()
    spans.clear()

    async with redis.asyncio.from_url(redis_url) as client:
        with trace.use_span(request):
            await client.get("key")

    assert [span.name for span in spans.get_finished_spans()] == ["GET"]


async def test_the_last_to_leave_takes_everything_back(provider: TracerProvider) -> None:
    before = (
        asyncpg.Connection.fetchrow,
        redis.asyncio.Redis.execute_command,
        aiohttp.ClientSession.__init__,
    )

    with instrumented_clients(provider):
        with instrumented_clients(provider):
            within = asyncpg.Connection.fetchrow
        still = asyncpg.Connection.fetchrow

    assert within is not before[0]
    assert still == within
    assert before == (
        asyncpg.Connection.fetchrow,
        redis.asyncio.Redis.execute_command,
        aiohttp.ClientSession.__init__,
    )


async def test_what_the_application_has_instrumented_itself_stays_so(
    provider: TracerProvider,
) -> None:
    RedisInstrumentor().instrument(tracer_provider=provider)
    theirs = redis.asyncio.Redis.execute_command

    with instrumented_clients(provider):
        within = redis.asyncio.Redis.execute_command
    after = redis.asyncio.Redis.execute_command
    RedisInstrumentor().uninstrument()

    assert theirs == within == after


async def test_a_library_that_is_not_installed_is_passed_over(
    provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys  # noqa: PLC0415

    before = asyncpg.Connection.fetchrow
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.asyncpg", None)

    with instrumented_clients(provider):
        assert asyncpg.Connection.fetchrow is before
        assert RedisInstrumentor().is_instrumented_by_opentelemetry
