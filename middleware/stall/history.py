"""The last stalls, and how the loop has been lately; written by the watchdog, read by anybody."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

from .record import Stall

_KEPT = 100
_MOMENTS = 300


@dataclass(frozen=True, slots=True)
class Moment:
    """About one second of the loop: when it ended (s since the epoch), and how the loop was."""

    at: float
    longest_delay_seconds: float
    utilization_ratio: float  # CPU time of its thread per second


class StallHistory:
    """`mode` says how much can be seen ("remote", "watchdog"), `limits` what not, in words."""

    def __init__(self, mode: str = "watchdog", limits: Iterable[str] = ()) -> None:
        self.mode = mode
        self.limits = tuple(limits)
        self.total = 0
        self.moments: deque[Moment] = deque(maxlen=_MOMENTS)
        self._stalls: dict[str, Stall] = {}
        self._lock = Lock()

    def put(self, stall: Stall) -> None:
        """Keep what is known now of this stall instead of what was."""
        with self._lock:
            self.total += stall.id not in self._stalls
            self._stalls[stall.id] = stall
            if len(self._stalls) > _KEPT:
                del self._stalls[next(iter(self._stalls))]

    def newest_first(self) -> list[Stall]:
        """The last 100."""
        with self._lock:
            return list(reversed(self._stalls.values()))

    def find(self, stall_id: str) -> Stall | None:
        """The stall of this id, while it is among them."""
        with self._lock:
            return self._stalls.get(stall_id)
