"""What has become of requests, as plain facts, told to the signals some at a time.

A signal's code and cells have left the processor's caches when the next request ends: told of each
request by itself, it takes three times as long as when it is told of many in a row.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from .drops import Drops, Signal
from .exchange import Exchange
from .forks import forget_in_children

_ENOUGH = 32  # at a time; four times as many take as long each


class Record(NamedTuple):
    """A request that has ended. It keeps nothing alive that belongs to the request."""

    method: str
    route: str | None
    status: int
    started_ns: int
    seconds: float
    path: str
    client: tuple[str, int] | None
    user_agent: bytes
    request_bytes: int
    response_bytes: int
    request_id: str
    trace_id: str
    span_id: str
    sampled: bool
    server_timing: bytes
    client_disconnected: bool
    error: str | None


Reader = Callable[[Record], None]


def _facts_of(exchange: Exchange) -> tuple[Any, ...]:
    scope, error = exchange.scope, exchange.error
    return (
        exchange.method,
        exchange.route,
        exchange.status,
        exchange.started_ns,
        exchange.ended - exchange.started,
        scope.get("path", ""),
        scope.get("client"),
        exchange.headers.get(b"user-agent", b""),
        exchange.request_bytes,
        exchange.response_bytes,
        exchange.request_id,
        exchange.trace_hex,
        exchange.span_hex,
        exchange.sampled,
        exchange.server_timing,
        exchange.client_disconnected,
        None if error is None else type(error).__qualname__,
    )


def record_of(exchange: Exchange) -> Record:
    """What is known of a request that has ended."""
    return Record._make(_facts_of(exchange))


class Records:
    """Those that the signals have not been told of yet: they are when there are enough of them,
    and when somebody who waits for one of the signals says so."""

    def __init__(self, drops: Drops) -> None:
        self.readers: list[tuple[Signal, Reader]] = []
        self.when_waiting: Callable[[], None] | None = None
        self._enough = _ENOUGH
        self._drops = drops
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._telling = threading.RLock()  # what reads may log, and a log line has this told
        forget_in_children(self)

    def add(self, exchange: Exchange) -> None:
        """It has ended. Never waits, never raises."""
        waiting = self._waiting
        try:
            waiting.append(_facts_of(exchange))
        except Exception:  # noqa: BLE001 - a server we do not know put something else there
            for signal, _ in self.readers:
                self._drops.add(signal)
            return
        if len(waiting) >= self._enough:
            self.try_to_tell()
        elif self.when_waiting is not None:
            self.when_waiting()

    def open(self) -> None:
        """From now on other signals may read."""
        self.readers.clear()
        self._enough = _ENOUGH

    def close(self) -> None:
        """Tell the signals at once, from now on: nobody may ask them to catch up any more."""
        self._enough = 1
        self.when_waiting = None
        self.tell()

    def try_to_tell(self) -> None:
        """Tell the signals, from any thread, unless one is doing so: never waits."""
        if self._waiting and self._telling.acquire(blocking=False):
            self._tell()

    def tell(self) -> None:
        """Tell the signals, from any thread; when this returns they have been told."""
        self._telling.acquire()
        self._tell()

    def _tell(self) -> None:
        try:
            waiting, new = self._waiting, tuple.__new__
            # `Record(*facts)` takes three times as long.
            records = [new(Record, waiting.popleft()) for _ in range(len(waiting))]
            for signal, read in self.readers:
                self._have_read(signal, read, records)
        finally:
            self._telling.release()
        if self._waiting and self.when_waiting is not None:  # who tried meanwhile has gone
            self.when_waiting()

    def _have_read(self, signal: Signal, read: Reader, records: list[Record]) -> None:
        for record in records:
            try:
                read(record)
            except Exception:  # noqa: BLE001 - observability never breaks a request
                self._drops.add(signal)

    def forget_parent(self) -> None:
        """In a forked child: the parent tells of its requests, and may be doing so right now."""
        self._waiting.clear()
        self._telling = threading.RLock()
