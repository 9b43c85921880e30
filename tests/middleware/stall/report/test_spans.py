"""Stalls as a collector receives them: on the culprit's trace, and on each victim's span."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import NoOpTracerProvider
from prometheus_client import CollectorRegistry

from middleware.drops import Drops
from middleware.exchange import Exchange
from middleware.setup.identity import Decided, decided
from middleware.setup.tracing import OwnProvider
from middleware.signals.sampling import SAMPLED
from middleware.signals.server_span import end_span, server_tracer, start_span
from middleware.stall.listener import Requests
from middleware.stall.record import BLAMES_REQUEST, Cause
from middleware.stall.report.spans import StallSpans
from tests.middleware.otlp_receiver import OtlpReceiver, attributes_of, http_receiver

from .telling import CULPRIT, NOBODY, PARENT, TRACE, exchange, ongoing, stall, tell

BEGAN_NS = int(datetime(2026, 11, 22, 12, 0, 0, 250_000, UTC).timestamp() * 1e9)
SECONDS = 20_000

Received = Callable[[], list[Span]]


@pytest.fixture
def collector() -> Iterator[OtlpReceiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def own(collector: OtlpReceiver) -> Iterator[OwnProvider]:
    provider = OwnProvider(Resource.create())
    exporter = OTLPSpanExporter(endpoint=f"{collector.endpoint}/v1/traces")
    provider.processor.start(exporter, Drops(CollectorRegistry()))
    yield provider
    provider.provider.shutdown()


@pytest.fixture
def received(own: OwnProvider, collector: OtlpReceiver) -> Received:
    def spans() -> list[Span]:
        assert own.processor.force_flush(SECONDS)
        return collector.spans

    return spans


@pytest.fixture
def spans(own: OwnProvider) -> StallSpans:
    return StallSpans(own.provider)


def traced(own: OwnProvider, path: str = "/prices/7") -> Exchange:
    """A request that was sampled, as the gate leaves it."""
    request = exchange(path)
    token = decided.set(Decided(request.trace_id, request.span_id, SAMPLED))
    request.span = start_span(server_tracer(own.provider), request)
    decided.reset(token)
    return request


def end(request: Exchange) -> None:
    request.status, request.ended = 200, request.started + 1
    assert request.span is not None
    end_span(request.span, request)


def events_of(span: Span) -> list[dict[str, Any]]:
    return [{"name": each.name, **attributes_of(each.attributes)} for each in span.events]


async def test_without_a_known_request_there_is_no_span(
    spans: StallSpans, received: Received
) -> None:
    tell(spans, stall())

    assert received() == []


@pytest.mark.parametrize("cause", sorted(set(Cause) - BLAMES_REQUEST))
async def test_a_request_that_is_not_to_blame_is_a_victim(
    spans: StallSpans, own: OwnProvider, received: Received, cause: Cause
) -> None:
    request = traced(own)

    tell(spans, stall(cause=cause, culprit=None, trace_id=None), Requests(request))
    end(request)

    (span,) = received()
    (event,) = events_of(span)
    assert (event["name"], event["stallscope.stall.cause"]) == ("event_loop.stalled_by", cause)


async def test_victims_without_a_span_or_with_one_that_has_ended_are_passed_by(
    spans: StallSpans, own: OwnProvider, received: Received, caplog: pytest.LogCaptureFixture
) -> None:
    gone = traced(own)
    end(gone)

    tell(spans, stall(), Requests(victims=(gone, exchange(sampled=False))))

    (span,) = received()
    assert events_of(span) == []
    assert caplog.records == []


async def test_a_stall_told_of_twice_is_one_span_and_one_event(
    spans: StallSpans, own: OwnProvider, received: Received
) -> None:
    culprit, victim = traced(own), traced(own)
    for _ in range(2):
        tell(spans, stall(), Requests(culprit, (victim,)))
    end(victim)

    left = received()
    assert sorted(span.name for span in left) == ["GET /prices/{item}", "event_loop.blocked"]
    assert [len(span.events) for span in left if span.name != "event_loop.blocked"] == [1]


@pytest.mark.parametrize("provider", [NoOpTracerProvider(), TracerProvider()])
async def test_any_provider_will_do(provider: Any) -> None:
    spans = StallSpans(provider)

    tell(spans, stall(), Requests(exchange(), (exchange(),)))


async def test_somebody_elses_provider_decides_by_itself_and_has_the_same_trace(
    collector: OtlpReceiver,
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{collector.endpoint}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = StallSpans(provider)

    tell(spans, stall(1), Requests(exchange(sampled=False)))
    tell(spans, stall(2), Requests(exchange(sampled=True)))
    provider.shutdown()

    (span,) = collector.spans
    assert (span.trace_id.hex(), attributes_of(span.attributes)["stallscope.stall.id"]) == (
        TRACE,
        "4f-2",
    )


async def test_the_culprits_trace_has_a_span_of_the_time_in_which_it_blocked(
    spans: StallSpans, own: OwnProvider, received: Received
) -> None:
    culprit = traced(own)
    culprit.started_ns = BEGAN_NS - 1

    tell(spans, stall(), Requests(culprit))
    end(culprit)

    blocked, server = sorted(received(), key=lambda span: span.name, reverse=True)
    assert (blocked.name, blocked.trace_id.hex()) == ("event_loop.blocked", TRACE)
    assert (blocked.parent_span_id, server.parent_span_id.hex()) == (server.span_id, PARENT)
    assert blocked.span_id != server.span_id
    assert blocked.start_time_unix_nano == BEGAN_NS
    assert blocked.end_time_unix_nano - BEGAN_NS == 310_000_000
    assert attributes_of(blocked.attributes) == {
        "code.function.name": "shop.prices.Prices.of",
        "code.file.path": CULPRIT.file,
        "code.line.number": 1,
        "stallscope.stall.cause": "blocking_call",
        "stallscope.stall.id": "4f-1",
        "stallscope.stall.duration_seconds": 0.31,
        "stallscope.stall.victims_count": 1,
        "stallscope.stall.evidence": "watchdog",
    }


async def test_a_request_that_was_not_sampled_leaves_the_span_too_marked_as_late(
    spans: StallSpans, received: Received
) -> None:
    culprit = exchange(sampled=False)

    tell(spans, stall(), Requests(culprit))

    (span,) = received()
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (
        TRACE,
        f"{culprit.span_id:016x}",
    )
    assert attributes_of(span.attributes)["stallscope.sampled_late"] is True


async def test_every_stall_of_a_request_is_a_span_of_its_own(
    spans: StallSpans, received: Received
) -> None:
    culprit = exchange(sampled=False)

    tell(spans, stall(1), Requests(culprit))
    tell(spans, stall(2), Requests(culprit))

    assert len({span.span_id for span in received()}) == 2


async def test_victims_know_who_it_was_while_it_lasts(
    spans: StallSpans, own: OwnProvider, received: Received
) -> None:
    victims = traced(own, "/a"), traced(own, "/b")

    spans.opened(ongoing(cause=Cause.UNKNOWN), Requests(exchange(sampled=False), victims))
    for victim in victims:
        end(victim)

    for span in received():
        assert events_of(span) == [
            {
                "name": "event_loop.stalled_by",
                "stallscope.stall.id": "4f-1",
                "stallscope.stall.cause": "unknown",
                "stallscope.stall.route": "/prices/{item}",
                "stallscope.stall.trace_id": TRACE,
                "code.function.name": "shop.prices.Prices.of",
                "code.file.path": CULPRIT.file,
                "code.line.number": 1,
            }
        ]
        assert span.events[0].time_unix_nano >= max(BEGAN_NS, span.start_time_unix_nano)


async def test_what_is_not_known_is_left_out(
    spans: StallSpans, own: OwnProvider, received: Received
) -> None:
    victim = traced(own)

    spans.opened(ongoing(culprit=None, trace_id=None), Requests(victims=(victim,)))
    spans.goes_on(ongoing(culprit=None, trace_id=None), NOBODY)
    end(victim)

    (span,) = received()
    assert events_of(span)[0].keys() == {
        "name",
        "stallscope.stall.id",
        "stallscope.stall.cause",
        "stallscope.stall.route",
    }
