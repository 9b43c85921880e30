"""Our encoding of spans says what the exporter's own says; what it does not know is left to it."""

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import AnyValue

from middleware.setup.exporters import configured_exporter
from middleware.setup.otlp_spans import QuickExporter, encoded, quickened
from tests.middleware.otlp_receiver import OtlpReceiver

VALUES: dict[str, AnyValue] = {
    "text": "GET",
    "empty": "",
    "long": "x" * 70_000,
    "foreign": "naïve 🦉 \x00\n",
    "true": True,
    "false": False,
    "one": 1,
    "zero": 0,
    "negative": -1,
    "large": 2**63 - 1,
    "small": -(2**63),
    "float": 1.0,
    "infinite": float("inf"),
    "texts": ["a", "b"],
    "none": [],
    "numbers": [1, 2**40],
    "k" * 200: "long key",
}


class Spans:
    """A tracer whose ended spans are kept."""

    def __init__(self, resource: Resource | None = None, limits: SpanLimits | None = None) -> None:
        self._kept = InMemorySpanExporter()
        self._provider = TracerProvider(
            resource=resource, span_limits=limits, shutdown_on_exit=False
        )
        self._provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = self._provider.get_tracer("shop", "1.2", "https://schema", {"a": "b"})
        self.other = self._provider.get_tracer("other")

    @property
    def ended(self) -> Sequence[ReadableSpan]:
        return self._kept.get_finished_spans()


@pytest.fixture
def spans() -> Spans:
    return Spans()


def assert_same(spans: Sequence[ReadableSpan]) -> None:
    assert spans
    assert ExportTraceServiceRequest.FromString(encoded(spans)) == encode_spans(spans)


def parent(*, remote: bool) -> Any:
    state = TraceState([("vendor", "1"), ("other", "x")])
    context = SpanContext(2**127 + 5, 2**63 + 7, remote, TraceFlags(1), state)
    return trace.set_span_in_context(trace.NonRecordingSpan(context))


@pytest.mark.parametrize("value", [2**63, b"bytes", {"a": "mapping"}, "\ud800"], ids=repr)
def test_a_value_that_is_not_known_is_refused(spans: Spans, value: Any) -> None:
    spans.tracer.start_span("odd", attributes={"odd": value}).end()

    with pytest.raises((TypeError, ValueError)):
        encoded(spans.ended)


def test_a_link_is_refused(spans: Spans) -> None:
    link = trace.Link(SpanContext(1, 2, False))
    spans.tracer.start_span("linked", links=[link]).end()

    with pytest.raises(ValueError, match="link"):
        encoded(spans.ended)


def test_a_batch_that_is_refused_goes_the_exporters_own_way(
    spans: Spans, collector: OtlpReceiver
) -> None:
    exporter = configured_exporter()
    assert isinstance(exporter, QuickExporter)
    spans.tracer.start_span("plain").end()
    spans.tracer.start_span("odd", attributes={"odd": {"a": 1}}).end()

    result = exporter.export(spans.ended)

    exporter.shutdown()
    assert result is SpanExportResult.SUCCESS
    assert [span.name for span in collector.spans] == ["plain", "odd"]


def test_an_exporter_that_is_not_known_stays_as_it_is() -> None:
    exporter: SpanExporter = InMemorySpanExporter()

    assert quickened(exporter) is exporter


def test_every_kind_of_value_is_the_same(spans: Spans) -> None:
    spans.tracer.start_span("values", attributes=VALUES).end()

    assert_same(spans.ended)


def test_one_true_and_one_point_zero_stay_apart(spans: Spans) -> None:
    for value in (1, True, 1.0, 0, False, 0.0, -0.0):
        spans.tracer.start_span("same", attributes={"key": value}).end()

    assert_same(spans.ended)


@pytest.mark.parametrize("kind", SpanKind)
@pytest.mark.parametrize("remote", [True, False])
def test_kinds_and_parents_are_the_same(spans: Spans, kind: SpanKind, remote: bool) -> None:
    spans.tracer.start_span("child", parent(remote=remote), kind).end()
    spans.tracer.start_span("root", kind=kind).end()

    assert_same(spans.ended)


def test_what_went_wrong_is_the_same(spans: Spans) -> None:
    span = spans.tracer.start_span("GET /größe")
    span.add_event("retried", {"attempt": 2})
    span.record_exception(ValueError("wrong"))
    span.set_status(StatusCode.ERROR, "ValueError: wrong")
    span.end()
    fine = spans.tracer.start_span("fine")
    fine.set_status(StatusCode.OK)
    fine.end()

    assert_same(spans.ended)


def test_what_the_limits_dropped_is_the_same() -> None:
    spans = Spans(limits=SpanLimits(max_span_attributes=1, max_events=1, max_event_attributes=1))
    span = spans.tracer.start_span("limited", attributes={"a": 1, "b": 2, "c": 3})
    for number in range(200):
        span.add_event(f"event {number}", {"a": 1, "b": 2})
    span.end()

    assert_same(spans.ended)


def test_spans_are_grouped_by_who_made_them() -> None:
    resource = Resource({"service.name": "shop", "process.command_args": ["a", "b"]}, "https://r")
    one, two = Spans(resource), Spans(Resource({}))
    for tracer in (one.tracer, two.tracer, one.other, one.tracer):
        tracer.start_span("span").end()

    assert_same([*one.ended, *two.ended])
