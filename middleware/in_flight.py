"""The requests in progress."""

from collections import deque
from collections.abc import Callable
from math import inf

from .exchange import Exchange

_MOST_LATE = 1000


class InFlight(set[Exchange]):
    """Those that have begun and not ended; written by the loop.

    Of those that end while the loop owes its heartbeat, `ended_late` has the last: one of them may
    be why. `overdue_at` says from when on that is so, in seconds of `perf_counter`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begin: Callable[[Exchange], None] = self.add
        self.overdue_at = inf
        self.ended_late: deque[Exchange] = deque(maxlen=_MOST_LATE)

    def announce_next(self, announce: Callable[[], None]) -> None:
        """Call this when the next one begins; those after it pay nothing for it."""

        def begin(exchange: Exchange) -> None:
            self.begin = self.add
            self.add(exchange)
            announce()

        self.begin = begin

    def end(self, exchange: Exchange) -> None:
        """It has ended."""
        self.discard(exchange)
        if exchange.ended > self.overdue_at:
            self.ended_late.append(exchange)
