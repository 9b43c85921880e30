"""The watchdog's sleep: how much later it ended than was asked for, and why."""

from time import monotonic_ns

from .clocks import ThreadClock, switches_of_this_thread

# A wait for the GIL wakes up every 5 ms to ask for it; a stopped thread does not wake up at all.
_STOPPED_SWITCHES_PER_SECOND = 20
_NOTABLE_NS = 50_000_000


class Wait:
    """Made and used on one thread, which sleeps in between `begin` and `end`."""

    def __init__(self) -> None:
        self._clock = ThreadClock()
        self.planned_ns = self.ended_ns = monotonic_ns()
        self.starved_ns = 0  # in the last wait: it was to run, and there was no CPU
        self.stopped = False  # in the last wait: it did not even try to run

    def begin(self, planned_ns: int) -> None:
        """It is to end at `planned_ns`."""
        self.planned_ns = planned_ns
        self._starved_ns = self._clock.run_queue_ns()
        self._switches = switches_of_this_thread()

    def end(self, ended_ns: int) -> None:
        """It ended."""
        self.ended_ns = ended_ns
        self.starved_ns = self._clock.run_queue_ns() - self._starved_ns
        switches = switches_of_this_thread() - self._switches
        late_ns = self.kept_waiting_ns(ended_ns)
        expected = late_ns / 1e9 * _STOPPED_SWITCHES_PER_SECOND
        self.stopped = late_ns > _NOTABLE_NS and self._switches > 0 and switches < expected

    def kept_waiting_ns(self, end_ns: int) -> int:
        """How long before `end_ns` it had waited for something else than a CPU: for the GIL."""
        return max(0, min(self.ended_ns, end_ns) - self.planned_ns - self.starved_ns)

    def close(self) -> None:
        """Give the descriptors back."""
        self._clock.close()
