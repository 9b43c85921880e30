"""One stall while it is watched: what the witnesses saw, gathered."""

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic_ns, process_time_ns, time_ns

from ..exchange import Exchange
from .glimpse import Glimpse
from .heartbeat import Heartbeat
from .listener import Requests
from .pulse import Beat
from .samples import Sample
from .sidecar.finding import Finding
from .wait import Wait

_MOST_STACKS = 1000  # different ones, of one stall
_SAY_AGAIN_NS = 1_000_000_000  # then after twice that, and so on


@dataclass(frozen=True, slots=True)
class Reading:
    """What the clocks say at some moment, as totals in ns; see Beat."""

    at_ns: int
    on_cpu_ns: int
    run_queue_ns: int
    gc_ns: int
    process_cpu_ns: int
    throttled_ns: int
    voluntary_switches: int

    @classmethod
    def now(cls, heartbeat: Heartbeat, throttled_ns: int) -> "Reading":
        """While the loop does not beat."""
        clock = heartbeat.clock
        return cls(
            monotonic_ns(),
            clock.on_cpu_ns(),
            clock.run_queue_ns(),
            heartbeat.garbage.so_far_ns(),
            process_time_ns(),
            throttled_ns,
            clock.voluntary_switches(),
        )

    @classmethod
    def at(cls, beat: Beat, heartbeat: Heartbeat, throttled_ns: int) -> "Reading":
        """When the loop beat again."""
        return cls(
            beat.at_ns,
            beat.on_cpu_ns,
            beat.run_queue_ns,
            beat.gc_ns,
            beat.process_cpu_ns,
            throttled_ns,
            heartbeat.clock.voluntary_switches(),
        )


@dataclass(slots=True)
class Turn:
    """The samples between two changes of the loop's turn: those of one callback, or of a few."""

    token: int
    since_ns: int
    until_ns: int
    running: Exchange | None = None  # whose request it is for
    finished: bool = False  # whether that had its response already
    samples: Counter[Sample] = field(default_factory=Counter)

    @property
    def ns(self) -> int:
        """How long it was, at most."""
        return self.until_ns - self.since_ns


class Incident:
    """Begins with the last beat before the loop was late. For the watchdog alone."""

    def __init__(self, last: Beat, threshold_ns: int, throttled_ns: int) -> None:
        self.last = last
        self._threshold_ns = threshold_ns
        self.throttled_ns = throttled_ns
        self.run_queue_ns = last.run_queue_ns  # when it was last looked at
        self.in_flight: tuple[Exchange, ...] = ()
        self.opened: Reading | None = None
        self.findings: list[Finding] = []
        self.samples: Counter[Sample] = Counter()
        self.whereabouts: Counter[str] = Counter()  # see ThreadClock
        self.gil_wait_ns = 0  # the watchdog's longest
        self.switches: int | None = None  # of the loop's thread, once it is over
        self.stopped = False  # nothing of the process ran, as far as the watchdog can tell
        self.turns = 0  # that were seen to end
        self.longest = self._turn = Turn(0, last.due_ns, last.due_ns)
        self.starved_ns = 0  # the loop's thread or the watchdog, whichever was longer
        self._say_at_ns = last.due_ns + _SAY_AGAIN_NS

    def note(self, wait: Wait, end_ns: int | None = None) -> None:
        """Take note of how long the watchdog was kept from running, before `end_ns`."""
        waited_ns = wait.kept_waiting_ns(end_ns or wait.ended_ns)
        self.stopped = self.stopped or (wait.stopped and waited_ns > self.gil_wait_ns)
        self.gil_wait_ns = max(self.gil_wait_ns, waited_ns)

    def add(self, glimpse: Glimpse, whereabouts: str | None, starved_ns: int) -> None:
        """Take note of where the loop's thread is, and at whose turn.

        `starved_ns`: how long the loop, or who watches it, got no CPU since it was looked at last.
        """
        self.starved_ns += starved_ns
        # A host that lets nobody run makes no callback long.
        self._take_turn(glimpse.turn, glimpse.at_ns - self.starved_ns)
        sample, turn = glimpse.sample, self._turn
        if not turn.samples:
            turn.running = glimpse.requests.culprit
            turn.finished = turn.running is not None and bool(turn.running.ended)
        if sample in self.samples or len(self.samples) < _MOST_STACKS:
            self.samples[sample] += 1
            turn.samples[sample] += 1
        if whereabouts is not None:
            self.whereabouts[whereabouts] += 1

    def open(self, requests: Requests, now: Reading) -> None:
        """It is a stall, by now: later, it is not known any more who was in flight."""
        began_by_ns = time_ns() - monotonic_ns() + self.last.due_ns + self._threshold_ns
        known = (requests.culprit, *requests.victims)
        self.in_flight = tuple(each for each in known if each and each.started_ns < began_by_ns)
        self.opened = now

    def is_to_be_told_again(self, now_ns: int) -> bool:
        """Whether it has lasted 1 s, 2 s, 4 s … since this was asked before."""
        if now_ns < self._say_at_ns:
            return False
        while self._say_at_ns <= now_ns:
            self._say_at_ns += self._say_at_ns - self.last.due_ns
        return True

    def _take_turn(self, token: int, at_ns: int) -> None:
        # From none to some is no change: the callback that runs has scheduled another.
        if self.samples and self._turn.token not in (0, token):
            self.turns += 1
            self._turn = Turn(token, self._turn.until_ns, at_ns)
        self._turn.token, self._turn.until_ns = token, at_ns
        if self._turn.ns >= self.longest.ns:
            self.longest = self._turn
