"""Which requests are traced: decided before any span exists, in a comparison where that will do."""

from collections.abc import Callable

from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import SpanKind

from ..exchange import Exchange
from .server_span import request_attributes, span_name
from .trace_context import parent_context

Gate = Callable[[Exchange], SamplingResult | None]

# Without attributes: the span keeps those that it starts with.
SAMPLED = SamplingResult(Decision.RECORD_AND_SAMPLE)

_RANDOM = slice(16, 32)  # hex digits of a trace id: what TraceIdRatioBased compares


def gate_of(sampler: Sampler) -> Gate:
    """`sampler`'s decision for the server span of a request; None: it is not sampled."""
    if sampler is ALWAYS_ON:
        return lambda exchange: SAMPLED
    if sampler is ALWAYS_OFF:
        return lambda exchange: None
    if type(sampler) is TraceIdRatioBased:
        bound = sampler.bound
        return lambda exchange: SAMPLED if int(exchange.trace_hex[_RANDOM], 16) < bound else None
    if isinstance(sampler, ParentBased) and _follows_parent(sampler):
        return _of_parent_or(gate_of(sampler._root))
    return lambda exchange: _asked(sampler, exchange)


def _of_parent_or(of_root: Gate) -> Gate:
    def decide(exchange: Exchange) -> SamplingResult | None:
        if exchange.parent_span_id:
            return SAMPLED if exchange.sampled else None
        return of_root(exchange)

    return decide


def _follows_parent(sampler: ParentBased) -> bool:
    return (
        sampler._remote_parent_sampled is ALWAYS_ON
        and sampler._remote_parent_not_sampled is ALWAYS_OFF
    )


def _asked(sampler: Sampler, exchange: Exchange) -> SamplingResult | None:
    """Asked once a request: a sampler may count."""
    result = sampler.should_sample(
        parent_context(exchange),
        exchange.trace_id,
        span_name(exchange),
        SpanKind.SERVER,
        request_attributes(exchange, exchange.scope),
    )
    return result if result.decision is Decision.RECORD_AND_SAMPLE else None
