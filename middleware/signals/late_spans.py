"""Spans of requests that turned out to matter after it was decided not to trace them."""

from opentelemetry.sdk.trace.sampling import Decision, SamplingResult
from opentelemetry.trace import TracerProvider

from ..exchange import Exchange
from ..setup.identity import Decided, decided
from .server_span import end_span, server_tracer, start_span

LATE = "stallscope.sampled_late"

_SAMPLE = SamplingResult(Decision.RECORD_AND_SAMPLE)


class LateSpans:
    """Leaves a span of what failed or was slow, marked with `stallscope.sampled_late`.

    It has all that the request's own span would have, but no child: what was called on the way was
    not recorded, and services further on were told not to. It comes on top of what was sampled, so
    shares of traces are not to be computed with it.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = server_tracer(provider)

    def leave(self, exchange: Exchange) -> None:
        """Leave the span of a request that has ended."""
        token = decided.set(Decided(exchange.trace_id, exchange.span_id, _SAMPLE))
        try:
            span = start_span(self._tracer, exchange)
        finally:
            decided.reset(token)
        span.set_attribute(LATE, True)
        end_span(span, exchange)
