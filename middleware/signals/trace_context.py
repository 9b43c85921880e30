"""The trace context that a request comes with, and the one that it goes on with unrecorded."""

from contextvars import ContextVar
from random import getrandbits

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import INVALID_SPAN_ID, NonRecordingSpan, SpanContext, TraceFlags

from ..exchange import Exchange

_FLAGS = slice(53, 55)  # of a traceparent header


class AnotherRuntime:
    """OpenTelemetry's current context where it is no context variable, used like one."""

    get = staticmethod(otel_context.get_current)
    set = staticmethod(otel_context.attach)
    reset = staticmethod(otel_context.detach)


def current_context() -> ContextVar[Context] | type[AnotherRuntime]:
    """The variable itself, where it is one: all requests pay for each function in between."""
    runtime = otel_context._RUNTIME_CONTEXT
    if type(runtime) is not ContextVarsRuntimeContext:
        return AnotherRuntime
    variable: ContextVar[Context] = runtime._current_context
    return variable


class Extraction:
    """Reads what the propagator of the process reads; the exchange has read a plain traceparent."""

    def __init__(self, propagator: TextMapPropagator) -> None:
        self._propagator = propagator
        self._own_ids = "traceparent" not in propagator.fields
        # Else what a request carries besides is in `tracestate` and `baggage`.
        self.always_needed = self._own_ids or not propagator.fields <= {
            "traceparent",
            "tracestate",
            "baggage",
        }

    def extract(self, exchange: Exchange, context: Context) -> None:
        """Give the exchange its parent."""
        if self._own_ids and exchange.parent_span_id:
            exchange.belong_to(getrandbits(128) or 1, exchange.span_id, sampled=False)
            exchange.parent_span_id = 0
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in exchange.headers.items()
        }
        exchange.parent_context = context = self._propagator.extract(carrier, context)
        parent = trace.get_current_span(context).get_span_context()
        if parent.is_valid:
            sampled = parent.trace_flags.sampled
            exchange.belong_to(parent.trace_id, exchange.span_id, sampled=sampled)
            exchange.parent_span_id = parent.span_id


def parent_context(exchange: Exchange) -> Context:
    """The context in which a request's own span starts."""
    if exchange.parent_context is None:
        exchange.parent_context = Context()
        if exchange.parent_span_id:
            flags = TraceFlags(int(exchange.headers[b"traceparent"][_FLAGS], 16))
            parent = SpanContext(exchange.trace_id, exchange.parent_span_id, True, flags)
            exchange.parent_context = trace.set_span_in_context(NonRecordingSpan(parent), Context())
    return exchange.parent_context


def own_context(exchange: Exchange) -> SpanContext:
    """What a request's own span is called, recorded or not."""
    parent = parent_span(exchange)
    # Our ids are random, as the W3C's second flag promises; others may be something else.
    promised = _RANDOM if parent is None else parent.trace_flags
    flags = TraceFlags((promised & _RANDOM) | exchange.sampled)
    state = None if parent is None else parent.trace_state
    return SpanContext(exchange.trace_id, exchange.span_id, False, flags, state)


def parent_span(exchange: Exchange) -> SpanContext | None:
    """The caller's, if there is one."""
    if not exchange.parent_span_id and exchange.parent_context is None:
        return None  # as most are where sampling begins, without three objects made to learn it
    parent = trace.get_current_span(parent_context(exchange)).get_span_context()
    return None if parent.span_id == INVALID_SPAN_ID else parent


class UnrecordedSpan(NonRecordingSpan):
    """The span of a request that is not traced: its context is made when somebody asks for it."""

    _made: SpanContext | None = None

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def get_span_context(self) -> SpanContext:
        """The ids that go on."""
        if self._made is None:
            self._made = own_context(self._exchange)
        return self._made

    def __repr__(self) -> str:
        return f"UnrecordedSpan({self.get_span_context()!r})"


_RANDOM = TraceFlags.RANDOM_TRACE_ID
