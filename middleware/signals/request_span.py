"""The span of a sampled request, written down when it ends.

Most applications add nothing to it. What OpenTelemetry's SDK does to start, guard and end a span
costs a request 50 µs: it is asked for one only when somebody does add something.
"""

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from ..exchange import Exchange
from .trace_context import own_context

_opening = threading.Lock()  # threads of an application may add to one span, and it may end


class RequestSpan(Span):
    """Everything that it is told goes to the SDK's span, which `start` gives when that begins."""

    _context: SpanContext | None = None
    _opened: Span | None = None
    _ended = False

    def __init__(self, exchange: Exchange, start: Callable[[Exchange], Span]) -> None:
        self._exchange, self._start = exchange, start

    def opened(self) -> Span:
        """The SDK's span; one that takes nothing, when this has ended without it."""
        with _opening:
            if self._opened is None:
                self._opened = INVALID_SPAN if self._ended else self._start(self._exchange)
            return self._opened

    def end_unopened(self) -> bool:
        """Whether nobody has added anything, and nobody can from now on."""
        with _opening:
            self._ended = self._opened is None
            return self._ended

    def get_span_context(self) -> SpanContext:
        """The ids that go on."""
        if self._context is None:
            self._context = own_context(self._exchange)
        return self._context

    def is_recording(self) -> bool:
        """Until the last byte of the response."""
        return not self._ended if self._opened is None else self._opened.is_recording()

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
        return getattr(self.opened(), name)
