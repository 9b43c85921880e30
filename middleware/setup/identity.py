"""Lets the server span have the ids and the decision that the gate has given to its request."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes


class Decided(NamedTuple):
    """Of the server span that is about to start; keeps its attributes if the result has none."""

    trace_id: int
    span_id: int
    result: SamplingResult


decided: ContextVar[Decided | None] = ContextVar("decided", default=None)


class ExchangeIds(RandomIdGenerator):
    """Random ids, but for the span that is about to start."""

    def generate_trace_id(self) -> int:
        """The trace id of a new root span."""
        span = decided.get()
        return super().generate_trace_id() if span is None else span.trace_id

    def generate_span_id(self) -> int:
        """The span id of a new span; asked last, so that the next span is an ordinary one."""
        span = decided.get()
        if span is None:
            return super().generate_span_id()
        decided.set(None)
        return span.span_id


class DecidedSampler(Sampler):
    """Asks `sampler`, but for the span whose sampling was decided already."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def should_sample(  # noqa: PLR0913, PLR0917 - as Sampler has it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See Sampler."""
        span = decided.get()
        if span is None:
            return self.sampler.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
        if span.result.attributes or span.result.trace_state:
            return span.result
        parent = get_current_span(parent_context).get_span_context()
        return SamplingResult(span.result.decision, attributes, parent.trace_state)

    def get_description(self) -> str:
        """As the sampler's own."""
        return self.sampler.get_description()
