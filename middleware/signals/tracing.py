"""One server span a request, if it is sampled; for all others a context with the right ids.

The decision comes first. What is not sampled gets a context that records nothing and costs next to
nothing, for logs, exemplars and the headers of outgoing calls.
"""

from contextvars import Token

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult
from opentelemetry.trace.propagation import _SPAN_KEY

from ..asgi import ASGIApp, Scope
from ..drops import Drops
from ..exchange import Exchange
from ..setup.identity import Decided, decided
from ..setup.tracing import Tracing
from .late_spans import LateSpans
from .other_tracers import (
    call_learning_ids,
    has_server_spans,
    learn_ids,
    marked,
)
from .request_span import RequestSpan
from .sampling import SAMPLED, gate_of
from .server_span import end_span, server_tracer, start_span, written_span
from .trace_context import Extraction, UnrecordedSpan, current_context

log = structlog.get_logger()

_DROP = SamplingResult(Decision.DROP)


class TracingSignal:
    """Decides what is traced; gives everything else its context.

    Where somebody else makes the server spans, around us or below, they do, and we take their ids.
    """

    def __init__(
        self, app: ASGIApp, tracing: Tracing, drops: Drops, *, slow_request_seconds: float
    ) -> None:
        self.traced_app = marked(app)
        self._app, self._drops = app, drops
        self._tracer = server_tracer(tracing.provider) if tracing.exports else None
        self._own = tracing.own
        self._gate = None if tracing.own is None else gate_of(tracing.own.sampler.sampler)
        self._late: LateSpans | None = None
        if tracing.own is not None:
            self._late = LateSpans(tracing.provider)
        self.slow_seconds = slow_request_seconds
        self._extraction = Extraction(tracing.propagator)
        self._below = has_server_spans(app)
        foreign = tracing.exports and tracing.own is None
        self._unusual = foreign or self._below or self._extraction.always_needed
        self._current = current_context()
        self._said = False
        if self._below:
            self._say("below")

    def begin(self, exchange: Exchange) -> Token[Context] | None:
        """Decide, start the span of what is sampled, and make the request's context the current
        one; None where somebody else does that."""
        headers = exchange.headers
        if (
            self._unusual
            or b"tracestate" in headers
            or b"baggage" in headers
            or self._current.get()
        ):
            return self._begin_unusual(exchange)
        self._start(exchange)
        return self._attach(exchange)

    def _begin_unusual(self, exchange: Exchange) -> Token[Context] | None:
        try:
            self._learn_parent(exchange)
        except Exception:  # noqa: BLE001 - observability never breaks a request
            self._drops.add("traces")
        if self._below:
            exchange.traced_elsewhere = True
        if exchange.traced_elsewhere:
            return None
        self._start(exchange)
        return self._attach(exchange)

    def _learn_parent(self, exchange: Exchange) -> None:
        current = self._current.get()
        if current:
            outer = trace.get_current_span(current)
            if outer.get_span_context().is_valid:
                self._adopt(exchange, outer)
                return
            exchange.parent_context = current
        headers, extraction = exchange.headers, self._extraction
        if current or extraction.always_needed or b"tracestate" in headers or b"baggage" in headers:
            extraction.extract(exchange, current)

    def _start(self, exchange: Exchange) -> None:
        tracer = self._tracer
        if tracer is None:
            return
        try:
            if self._gate is None:  # the provider decides
                exchange.span = start_span(tracer, exchange)
                learn_ids(exchange, exchange.span)
                return
            result = self._gate(exchange)
            exchange.sampled = False
            if result is not None:
                self._start_sampled(tracer, exchange, result)
        except Exception:  # noqa: BLE001 - observability never breaks a request
            self._drops.add("traces")

    def _start_sampled(
        self, tracer: trace.Tracer, exchange: Exchange, result: SamplingResult
    ) -> None:
        own = self._own
        if own is not None and own.has_spans_written and result is SAMPLED:
            exchange.span = RequestSpan(exchange, self._open)
        else:
            exchange.span = _started(tracer, exchange, result)
        exchange.sampled = True

    def _open(self, exchange: Exchange, scope: Scope) -> trace.Span:
        """What the application adds to. Never raises: it is called in the application's code."""
        try:
            assert self._tracer is not None
            return _started(self._tracer, exchange, SAMPLED, scope)
        except Exception:  # noqa: BLE001 - observability never breaks a request
            self._drops.add("traces")
            return trace.INVALID_SPAN

    def _attach(self, exchange: Exchange) -> Token[Context]:
        span = exchange.span or UnrecordedSpan(exchange)
        if exchange.parent_context is None:
            return self._current.set(Context({_SPAN_KEY: span}))
        return self._current.set(trace.set_span_in_context(span, exchange.parent_context))

    def end(self, exchange: Exchange) -> None:
        """End the span; leave one of what failed or was slow, even if it was not sampled."""
        if exchange.status < 500:
            if exchange.span is not None or exchange.ended - exchange.started > self.slow_seconds:
                self._finish(exchange)
        elif exchange.error is None:
            exchange.awaits_error = True
        else:
            self._finish(exchange)

    def _finish(self, exchange: Exchange) -> None:
        span = exchange.span
        if isinstance(span, RequestSpan):
            self._write(span, exchange)
        elif span is not None:
            end_span(span, exchange)
        elif self._late is not None and not exchange.traced_elsewhere:
            self._late.leave(exchange)

    def _write(self, span: RequestSpan, exchange: Exchange) -> None:
        failed = exchange.error is not None or exchange.status >= 500
        if failed or self._own is None or not span.end_unopened():
            end_span(span.opened(), exchange)
            span.let_go()
        else:
            context, resource = span.get_span_context(), self._own.resource
            written = written_span(exchange, span.scope, context, resource)
            self._own.write(written)
            span.let_go(written)

    def detach(self, exchange: Exchange, token: Token[Context]) -> None:
        """Take the request's context back: the app has returned."""
        self._current.reset(token)
        if exchange.awaits_error:
            try:
                self._finish(exchange)
            except Exception:  # noqa: BLE001 - observability never breaks a request
                self._drops.add("traces")

    async def run(self, exchange: Exchange) -> None:
        """Call the app of a request whose server span somebody else makes."""
        if not self._below or trace.get_current_span().get_span_context().is_valid:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        elif self._gate is None:
            await call_learning_ids(self._app, exchange)
        else:
            result = self._gate(exchange) if self._tracer is not None else None
            exchange.sampled = result is not None
            token = decided.set(Decided(exchange.trace_id, exchange.span_id, result or _DROP))
            try:
                await self._app(exchange.scope, exchange.receive, exchange.send)
            finally:
                decided.reset(token)

    def _adopt(self, exchange: Exchange, outer: trace.Span) -> None:
        exchange.traced_elsewhere = True
        learn_ids(exchange, outer)
        self._say("around")

    def _say(self, where: str) -> None:
        if not self._said:
            self._said = True
            log.info("server_spans_found", where=where, effect="they are used, no others made")


def _started(
    tracer: trace.Tracer, exchange: Exchange, result: SamplingResult, scope: Scope | None = None
) -> trace.Span:
    token = decided.set(Decided(exchange.trace_id, exchange.span_id, result))
    try:
        return start_span(tracer, exchange, scope)
    finally:
        decided.reset(token)
