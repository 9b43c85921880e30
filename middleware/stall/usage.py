"""Who uses the loop while it does not stall: looked at now and then, from the watchdog."""

import asyncio
import time
from collections.abc import Mapping

from .attribution import route_of
from .glimpse import Glimpse
from .heartbeat import Heartbeat
from .history import Moment, StallHistory
from .samples import is_waiting

BACKGROUND = "background"  # what the loop does for no request
OTHER = "other"

_MOST_ROUTES = 2000
_LOOK_NS = 200_000_000
_IDLE_LOOK_NS = 1_000_000_000
_MOMENT_NS = 1_000_000_000


class LoopUsage:
    """A look stands for the time since the look before."""

    def __init__(
        self,
        heartbeat: Heartbeat,
        history: StallHistory,
        threshold_seconds: float,
        busy_seconds: dict[str, float],
    ) -> None:
        self._heartbeat, self._history = heartbeat, history
        self._threshold_seconds = threshold_seconds
        self._busy_seconds = busy_seconds
        self._looked_ns = self._moment_ns = time.monotonic_ns()
        self.due_ns = self._looked_ns + _LOOK_NS  # when to look again
        self._on_cpu_ns = heartbeat.clock.on_cpu_ns()
        self.utilization_ratio = 0.0

    @property
    def blocked_seconds(self) -> float:
        """For how long the loop has not run by now; 0 when it runs."""
        late = (time.monotonic_ns() - self._heartbeat.last.due_ns) / 1e9
        return late if late > self._threshold_seconds else 0.0

    @property
    def thread_cpu_seconds(self) -> float:
        """Of the loop's thread."""
        return self._heartbeat.clock.on_cpu_ns() / 1e9

    @property
    def tasks(self) -> int:
        """That are not done."""
        return len(asyncio.all_tasks(self._heartbeat.loop))

    @property
    def busy_seconds(self) -> Mapping[str, float]:
        """By route."""
        return self._busy_seconds

    def note(self, glimpse: Glimpse) -> None:
        """Called at moments that nothing on the loop has chosen."""
        since, self._looked_ns = self._looked_ns, glimpse.at_ns
        self.due_ns = glimpse.at_ns + (_IDLE_LOOK_NS if self._heartbeat.is_idle else _LOOK_NS)
        user = _user(glimpse)
        if user is not None:
            known = user in self._busy_seconds or len(self._busy_seconds) < _MOST_ROUTES
            route = user if known else OTHER
            seconds = (glimpse.at_ns - since) / 1e9
            self._busy_seconds[route] = self._busy_seconds.get(route, 0.0) + seconds
        if glimpse.at_ns - self._moment_ns >= _MOMENT_NS:
            self._end_moment(glimpse.at_ns)

    def _end_moment(self, now_ns: int) -> None:
        heartbeat = self._heartbeat
        on_cpu_ns = heartbeat.clock.on_cpu_ns()
        self.utilization_ratio = (on_cpu_ns - self._on_cpu_ns) / (now_ns - self._moment_ns)
        delay_ns = max(heartbeat.longest_delay_ns, now_ns - heartbeat.last.due_ns, 0)
        heartbeat.longest_delay_ns = 0
        self._moment_ns, self._on_cpu_ns = now_ns, on_cpu_ns
        self._history.moments.append(Moment(time.time(), delay_ns / 1e9, self.utilization_ratio))


def _user(glimpse: Glimpse) -> str | None:
    exchange = glimpse.requests.culprit
    if exchange is not None:
        return route_of(exchange)
    return None if is_waiting(glimpse.sample) else BACKGROUND
