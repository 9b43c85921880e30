"""The span of a sampled request, written down when it ends.

Most applications add nothing to it. What OpenTelemetry's SDK does to start, guard and end a span
costs a request 50 µs: it is asked for one only when somebody does add something.
"""

from collections.abc import Callable, Mapping
from threading import get_ident
from types import TracebackType
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
)
from opentelemetry.util.types import Attributes, AttributeValue

from ..asgi import Scope
from ..exchange import Exchange
from .trace_context import own_context

_NONE = NonRecordingSpan(INVALID_SPAN_CONTEXT)  # is there instead, once it is too late


class RequestSpan(Span):
    """Everything that it is told goes to the SDK's span, which `start` gives when that begins.

    Any thread may tell it something, also while it ends; no lock, for the SDK runs code of others.
    """

    _context: SpanContext | None = None
    _opened: Span | None = None
    _opener: int | None = None
    _written: ReadableSpan | None = None

    def __init__(self, exchange: Exchange, start: Callable[[Exchange, Scope], Span]) -> None:
        self._exchange: Exchange | None = exchange
        self._start = start
        self.scope: Scope = dict(exchange.scope)  # as it is now: the application may change its own

    def opened(self) -> Span:
        """The SDK's span; one that takes nothing, when this has ended without it."""
        exchange, scope = self._exchange, self.scope  # before looking whether it has let go
        this_thread = get_ident()
        if self._opened is None and exchange is not None and self._opener != this_thread:
            self._opener = this_thread  # processors may add to the current span, which is this
            started = self._start(exchange, scope)
            self.__dict__.setdefault("_opened", started)  # the first; another one never ends
        return self._opened or _NONE

    def end_unopened(self) -> bool:
        """Whether nobody has added anything, and nobody can from now on."""
        return self.__dict__.setdefault("_opened", _NONE) is _NONE

    def let_go(self, written: ReadableSpan | None = None) -> None:
        """It has ended, and keeps nothing of the request alive."""
        self.get_span_context()
        self._written = written
        self._exchange, self.scope = None, {}

    def get_span_context(self) -> SpanContext:
        """The ids that go on."""
        exchange = self._exchange
        if self._context is None and exchange is not None:
            self._context = own_context(exchange)
        return self._context or INVALID_SPAN_CONTEXT

    def is_recording(self) -> bool:
        """Until the last byte of the response."""
        return self._opened is None or self._opened.is_recording()

    def end(self, end_time: int | None = None) -> None:
        """See Span."""
        self.opened().end(end_time)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """See Span."""
        self.opened().set_attributes(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """See Span."""
        self.opened().set_attribute(key, value)

    def add_event(
        self, name: str, attributes: Attributes = None, timestamp: int | None = None
    ) -> None:
        """See Span."""
        self.opened().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """See Span."""
        self.opened().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """See Span."""
        self.opened().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """See Span."""
        self.opened().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """See Span."""
        self.opened().record_exception(exception, attributes, timestamp, escaped)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.opened().__exit__(exc_type, exc_val, exc_tb)

    def __getattr__(self, name: str) -> Any:
        # What the SDK's spans have besides: `attributes`, `name`, `start_time`.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._written or self.opened(), name)
