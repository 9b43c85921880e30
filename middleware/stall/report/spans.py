"""Stalls in the traces: of the request that blocked the loop, and of those that waited."""

from collections.abc import Iterable
from datetime import datetime
from random import getrandbits

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult
from opentelemetry.trace import TracerProvider

from ...exchange import Exchange
from ...setup.identity import Decided, decided
from ...signals.late_spans import LATE
from ...signals.server_span import server_tracer
from ...signals.trace_context import UnrecordedSpan
from ..listener import Requests
from ..record import BLAMES_REQUEST, Stall
from .told import Told

_SAMPLE = SamplingResult(Decision.RECORD_AND_SAMPLE)
_OF_VICTIMS = ("id", "cause", "route", "trace_id")
_OF_CULPRITS = ("id", "cause", "duration_seconds", "victims_count", "evidence")

Attributes = dict[str, str | int | float]


class StallSpans:
    """A Listener that adds `event_loop.stalled_by` to the spans of the victims, and leaves a span
    `event_loop.blocked` on the culprit's trace.

    That is left of requests that were not sampled, too, marked as late spans are, where the
    provider is ours; somebody else's decides by itself.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = server_tracer(provider)
        self._opened, self._ended = Told(), Told()

    def opened(self, stall: Stall, requests: Requests) -> None:
        """Soon: a victim's span may end as soon as the loop runs again."""
        if self._opened.is_news(stall):
            _tell(requests.victims, stall)

    def goes_on(self, stall: Stall, requests: Requests) -> None:
        """Spans are told of once."""

    def ended(self, stall: Stall, requests: Requests) -> None:
        """The span; a request that was not to blame for what it ran into is a victim, too."""
        if requests.culprit is None or not self._ended.is_news(stall):
            return
        if stall.cause in BLAMES_REQUEST:
            self._leave(requests.culprit, stall)
        else:
            _tell([requests.culprit], stall)

    def _leave(self, culprit: Exchange, stall: Stall) -> None:
        attributes = _attributes(stall, _OF_CULPRITS)
        if not culprit.sampled:
            attributes[LATE] = True
        parent = trace.set_span_in_context(culprit.span or UnrecordedSpan(culprit), Context())
        began_ns = max(_began_ns(stall), culprit.started_ns)
        token = decided.set(Decided(culprit.trace_id, getrandbits(64) or 1, _SAMPLE))
        try:
            span = self._tracer.start_span(
                "event_loop.blocked", parent, attributes=attributes, start_time=began_ns
            )
        finally:
            decided.reset(token)
        span.end(began_ns + int(stall.duration_seconds * 1e9))


def _tell(victims: Iterable[Exchange], stall: Stall) -> None:
    began_ns, attributes = _began_ns(stall), _attributes(stall, _OF_VICTIMS)
    for victim in victims:
        if victim.span is not None and victim.span.is_recording():
            at_ns = max(began_ns, victim.started_ns)
            victim.span.add_event("event_loop.stalled_by", attributes, at_ns)


def _began_ns(stall: Stall) -> int:
    return int(datetime.fromisoformat(stall.started_at).timestamp() * 1e9)


def _attributes(stall: Stall, names: tuple[str, ...]) -> Attributes:
    known = {f"stallscope.stall.{name}": getattr(stall, name) for name in names}
    known["stallscope.stall.cause"] = stall.cause.value
    culprit = stall.culprit
    if culprit is not None:
        known["code.function.name"] = f"{culprit.module}.{culprit.function}"
        known["code.file.path"] = culprit.file
        known["code.line.number"] = culprit.line
    return {name: value for name, value in known.items() if value is not None}
