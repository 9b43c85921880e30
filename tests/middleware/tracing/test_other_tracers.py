"""Whoever else traces the same requests: no request has two server spans."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from middleware import Observability, Telemetry
from tests.middleware.otlp_receiver import OtlpReceiver

from .observing import SETTINGS, call, header_of, http_scope, observed, running


def make_app() -> FastAPI:
    app, mounted = FastAPI(), FastAPI()

    @app.get("/items/{item}")
    @mounted.get("/items/{item}")
    async def item(item: int) -> int:
        return item

    app.mount("/mounted", mounted)
    return app


def instrument(app: FastAPI) -> None:
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["send", "receive"])


@pytest.fixture(autouse=True)
def background_tasks_as_they_were() -> Iterator[None]:
    yield
    FastAPIInstrumentor.uninstrument_app(FastAPI())


@pytest.fixture
def own_provider() -> InMemorySpanExporter:
    """The application's provider, and what it has exported."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


async def test_contribs_span_around_us_is_the_requests(collector: OtlpReceiver) -> None:
    app = make_app()
    app.add_middleware(Observability, telemetry=Telemetry(SETTINGS))
    instrument(app)

    with capture_logs() as logs:
        async with running(app):
            answers = [await call(app, http_scope("/items/3")) for _ in range(2)]

    assert [span.name for span in collector.spans] == ["GET /items/{item}"] * 2
    for answer, span in zip(answers, collector.spans, strict=True):
        ids = f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
        assert header_of(answer, "traceresponse") == ids
    assert [line["event"] for line in logs] == ["server_spans_found"]


async def test_contribs_span_below_us_has_our_ids(collector: OtlpReceiver) -> None:
    app = make_app()
    instrument(app)

    with capture_logs() as logs:
        async with observed(app) as served:
            answers = [await call(served, http_scope("/items/3")) for _ in range(2)]

    assert [span.name for span in collector.spans] == ["GET /items/{item}"] * 2
    for answer, span in zip(answers, collector.spans, strict=True):
        ids = f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
        assert header_of(answer, "traceresponse") == ids
    assert [line["event"] for line in logs] == ["server_spans_found"]


async def test_contribs_span_below_us_follows_our_sampler(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    app = make_app()
    instrument(app)

    async with observed(app) as served:
        answer = await call(served, http_scope("/items/3"))

    assert header_of(answer, "traceresponse").endswith("-00")
    assert collector.spans == []


async def test_ids_of_contribs_span_below_us_are_learned_from_the_applications_provider(
    own_provider: InMemorySpanExporter,
) -> None:
    app = make_app()
    instrument(app)

    async with observed(app) as served:
        answer = await call(served, http_scope("/items/3"))

    (span,) = own_provider.get_finished_spans()
    context = span.get_span_context()
    assert context is not None
    ids = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    assert header_of(answer, "traceresponse") == ids


async def test_contribs_plain_middleware_below_us_is_found_too(collector: OtlpReceiver) -> None:
    app = make_app()
    app.add_middleware(OpenTelemetryMiddleware, exclude_spans=["send", "receive"])
    app.add_middleware(Observability, telemetry=Telemetry(SETTINGS))

    async with running(app):
        await call(app, http_scope("/items/3"))

    assert [span.kind for span in collector.spans] == [2]  # a server's


@pytest.mark.parametrize("path", ["/items/3", "/mounted/items/3", "/nowhere"])
@pytest.mark.parametrize("outside", [False, True], ids=["added", "wrapped"])
async def test_fastapis_own_telemetry_makes_no_second_span(
    outside: bool, path: str, collector: OtlpReceiver
) -> None:
    app = make_app()
    if not outside:
        app.add_middleware(Observability, telemetry=Telemetry(SETTINGS))
    served = Observability(app, telemetry=Telemetry(SETTINGS)) if outside else app

    async with running(served):
        await call(served, http_scope(path))
        await call(served, http_scope(path))

    assert len(collector.spans) == 2
    assert {span.kind for span in collector.spans} == {2}


async def test_the_applications_provider_is_said_once_and_gets_one_span_a_request(
    own_provider: InMemorySpanExporter,
) -> None:
    app = make_app()
    app.add_middleware(Observability, telemetry=Telemetry(SETTINGS))

    with capture_logs() as logs:
        async with running(app):
            await call(app, http_scope("/items/3"))
            await call(app, http_scope("/mounted/items/3"))

    names = [span.name for span in own_provider.get_finished_spans()]
    assert names == ["GET /items/{item}", "GET /mounted/items/{item}"]
    assert [line["event"] for line in logs] == ["tracer_provider_found"]
