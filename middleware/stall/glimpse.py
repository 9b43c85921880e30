"""The loop as it is at one moment, seen from the watchdog's thread.

Taken before anything that lets go of the GIL: with it, the loop would go on.
"""

from dataclasses import dataclass
from time import monotonic_ns

from ..in_flight import InFlight
from .attribution import running_exchange, waiting_exchanges
from .heartbeat import Heartbeat
from .listener import Requests
from .pulse import Beat
from .ready_queue import ReadyQueue
from .samples import Sample, Sampler


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Where the loop's thread is, and for whom. Victims are looked for only when it is late."""

    at_ns: int
    last: Beat
    sample: Sample
    turn: int
    requests: Requests

    @property
    def late_ns(self) -> int:
        """For how long the loop has owed a beat; negative when it does not."""
        return self.at_ns - self.last.due_ns


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """What there is to be seen of a loop."""

    heartbeat: Heartbeat
    sampler: Sampler
    turns: ReadyQueue
    in_flight: InFlight

    def glimpse(self, early_ns: int) -> Glimpse:
        """How it is now; `early_ns`: from when on it is late."""
        last, at_ns = self.heartbeat.last, monotonic_ns()
        sample, turn = self.sampler.take(), self.turns.turn()
        running = running_exchange(self.heartbeat.loop, self.sampler)
        late = at_ns - last.due_ns >= early_ns
        victims = waiting_exchanges(self.in_flight, running) if late else ()
        return Glimpse(at_ns, last, sample, turn, Requests(running, victims))
