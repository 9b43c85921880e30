"""On the loop: writes down, again and again, that the loop is alive."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from ..in_flight import InFlight
from ..settings import StallSettings
from .clocks import ThreadClock, switches_of_this_thread
from .garbage import GarbageClock
from .pulse import Beat, Pulse

_BEATS_PER_PROCESS_TIME = 10  # the system adds up all threads for it
_MOST_LATE = 1000  # beats that the watchdog has not heard of
_IDLE_BEATS = 50  # with no request in between: then they come half as often, until there is one


class Heartbeat:
    """Beats until stopped.

    `late` has the pairs of beats with more than a threshold in between, and how often the loop's
    thread gave its CPU away in that time.
    """

    def __init__(
        self,
        pulse: Pulse,
        garbage: GarbageClock,
        in_flight: InFlight,
        settings: StallSettings,
        observe_delay: Callable[[float], None] | None,
    ) -> None:
        self.pulse, self.garbage, self._in_flight = pulse, garbage, in_flight
        self._busy_seconds = self._seconds = settings.heartbeat_seconds
        self._idle_seconds = min(2 * settings.heartbeat_seconds, settings.threshold_seconds)
        self._idle_beats = 0
        self._threshold_seconds = settings.threshold_seconds
        self._threshold_ns = int(settings.threshold_seconds * 1e9)
        self._observe_delay = observe_delay
        self._timer: asyncio.TimerHandle | None = None
        self.late: deque[tuple[Beat, Beat, int]] = deque(maxlen=_MOST_LATE)
        self.longest_delay_ns = 0  # since somebody has set it back

    def start(self) -> None:
        """Begin to beat. Called on the loop's thread, while the loop runs."""
        self.loop = asyncio.get_running_loop()
        self.clock = ThreadClock()
        self.last = self._now(1)
        self._switches = switches_of_this_thread()
        self.pulse.write_beat(self.last)
        self.pulse["loop_thread"] = self.clock.native_id
        self._timer = self.loop.call_later(self._seconds, self._beat)

    def stop(self) -> None:
        """Beat a last time: what comes late now is not heard of otherwise."""
        self.pulse["loop_thread"] = 0
        self._write_beat()
        self._in_flight.overdue_at = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Give the descriptors back, once nobody looks at the clock any more."""
        self.clock.close()

    @property
    def is_idle(self) -> bool:
        """Whether no request has come for some time."""
        return self._idle_beats > _IDLE_BEATS

    def _now(self, sequence: int) -> Beat:
        now = time.monotonic_ns()
        on_cpu_ns, run_queue_ns = self.clock.both_ns()
        is_late = sequence > 1 and now - self.last.due_ns > self._threshold_ns
        if is_late or sequence % _BEATS_PER_PROCESS_TIME == 1:
            self._process_cpu_ns = time.process_time_ns()
        return Beat(
            now,
            now + int(self._seconds * 1e9),
            on_cpu_ns,
            run_queue_ns,
            self.garbage.total_ns,
            self._process_cpu_ns,
            sequence,
        )

    def _beat(self) -> None:
        if self._in_flight:
            self._idle_beats = 0
        else:
            self._idle_beats += 1
            self._in_flight.announce_next(self._resume)
        self._seconds = self._idle_seconds if self.is_idle else self._busy_seconds
        self._timer = self.loop.call_later(self._seconds, self._beat)
        self._write_beat()

    def _resume(self) -> None:
        """A request has begun: what it does to the loop is measured from now."""
        is_idle, self._idle_beats = self.is_idle, 0
        # Not when it came after the end, or to another loop.
        if is_idle and self._timer is not None and asyncio.get_running_loop() is self.loop:
            self._timer.cancel()
            self._beat()

    def _write_beat(self) -> None:
        last, beat = self.last, self._now(self.last.sequence + 1)
        self.pulse.write_beat(beat)
        self.last = beat
        self._in_flight.overdue_at = time.perf_counter() + self._seconds + self._threshold_seconds
        delay_ns, switches = beat.at_ns - last.due_ns, switches_of_this_thread()
        if delay_ns > self._threshold_ns:
            self.late.append((last, beat, switches - self._switches))
        self._switches = switches
        self.longest_delay_ns = max(delay_ns, self.longest_delay_ns)
        if self._observe_delay is not None:
            self._observe_delay(max(delay_ns, 0) / 1e9)
