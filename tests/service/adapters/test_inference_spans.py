"""A chunk's span belongs to the requests that it was computed for."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext, TraceFlags
from opentelemetry.util._once import Once

from service.adapters.inference_spans import chunk_span, current_span
from tests.service.adapters.small_models import text_manifest

MANIFEST = text_manifest()


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Spans of a service which samples no trace that it begins itself."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


def request(number: int, *, sampled: bool) -> SpanContext:
    flags = TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT
    return SpanContext(number, number, is_remote=False, trace_flags=TraceFlags(flags))


def test_there_is_none_for_requests_that_are_not_sampled(exporter: InMemorySpanExporter) -> None:
    with chunk_span(MANIFEST, 2, [INVALID_SPAN_CONTEXT, request(1, sampled=False)]):
        assert not trace.get_current_span().get_span_context().is_valid

    assert exporter.get_finished_spans() == ()


def test_there_is_one_for_all_that_are_sampled(exporter: InMemorySpanExporter) -> None:
    requests = [request(1, sampled=False), request(2, sampled=True), request(3, sampled=True)]

    with chunk_span(MANIFEST, 5, requests):
        current = current_span()

    (span,) = exporter.get_finished_spans()
    assert span.context == current
    assert span.name == "ml.inference texts"
    assert span.parent is not None
    assert span.parent.trace_id == 2
    assert [link.context.trace_id for link in span.links] == [2, 3]
    assert span.attributes == {
        "ml.model.name": "texts",
        "ml.model.version": "v1.0",
        "ml.batch.rows": 5,
    }
