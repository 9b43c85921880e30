"""Replicas as queues: what a cluster answers, and how late, before there is one.

Discrete events. A replica is a single server, its event loop: first come, first served. Replicas
that share cores get equal shares of them. A cached answer is one piece of work; one from Valkey or
from the sources is two, with the wait in between. Caches, their lifetimes, renewal in the
background and single flight are as in service/products/enricher.py; the balancer picks the replica
with the fewest requests.

What else an answer takes is drawn from what was measured. A cached answer waits for nobody: where
one took longer than another, the loop or its core was not to be had (the interpreter's pauses, the
host's other guests), so that is work, too, behind which others queue. What an uncached one took
longer than a cached one is a delay, behind which nobody does.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.cluster.measured import CACHED, SHARED, UNCACHED, Work

_RENEW_RATIO = 0.2  # as enricher.RENEW_FRACTION and .JITTER_FRACTION
_JITTER_RATIO = 0.1
_POLL_MS = 20.0  # as redis_cache, for somebody else's fetch

Then = Callable[[], None]


@dataclass(frozen=True)
class Setting:
    """What is simulated; `cores` are what the replicas share."""

    replicas: int
    cores: float
    fresh_ms: float
    work: Mapping[str, Work]
    seed: int = 1


@dataclass
class Outcome:
    """Latencies in milliseconds, in the order of arrival, and who answered."""

    latencies_ms: dict[int, float] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    fetches: int = 0
    busy_ms: float = 0.0


@dataclass
class _Replica:
    """`until` says until when it holds which product fresh; `flights`, who waits for which."""

    queue: deque[tuple[float, Then]] = field(default_factory=deque)
    left_ms: float = 0.0
    requests: int = 0
    until: dict[int, float] = field(default_factory=dict)
    flights: dict[int, list[Callable[[str], None]]] = field(default_factory=dict)


class Simulation:
    """One run over requests, given as (arrival in ms, product)."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._draw = random.Random(setting.seed)
        self._replicas = [_Replica() for _ in range(setting.replicas)]
        self._turns = itertools.count()
        self._shared: dict[int, float] = {}
        self._fetching: dict[int, float] = {}
        self._now = 0.0
        self._events: list[tuple[float, int, Then]] = []
        self._numbers = itertools.count()
        cached = setting.work[CACHED].delays_ms
        self._way_ms = cached[len(cached) // 2]  # to the client and back, and through the balancer
        self.outcome = Outcome()

    def run(self, requests: Iterable[tuple[float, int]]) -> Outcome:
        """All of them, to the last answer."""
        for number, (at_ms, product) in enumerate(requests):
            self._at(at_ms, lambda n=number, p=product: self._arrive(n, p))  # type: ignore[misc]
        while True:
            finish, first = self._next_finish()
            event_at = self._events[0][0] if self._events else float("inf")
            if finish is None and event_at == float("inf"):
                return self.outcome
            if finish is not None and first <= event_at:
                self._work_until(first)
                self._finish(finish)
            else:
                self._work_until(event_at)
                heapq.heappop(self._events)[2]()

    def _at(self, when_ms: float, what: Then) -> None:
        heapq.heappush(self._events, (when_ms, next(self._numbers), what))

    # The cores: every busy replica runs at the same speed.

    def _speed(self, busy: int) -> float:
        return min(1.0, self._setting.cores / busy)

    def _next_finish(self) -> tuple[_Replica | None, float]:
        busy = [each for each in self._replicas if each.queue]
        if not busy:
            return None, float("inf")
        first = min(busy, key=lambda each: each.left_ms)
        return first, self._now + first.left_ms / self._speed(len(busy))

    def _work_until(self, when_ms: float) -> None:
        busy = [each for each in self._replicas if each.queue]
        if busy:
            done = (when_ms - self._now) * self._speed(len(busy))
            self.outcome.busy_ms += done * len(busy)
            for each in busy:
                each.left_ms -= done
        self._now = when_ms

    def _finish(self, replica: _Replica) -> None:
        _, then = replica.queue.popleft()
        if replica.queue:
            replica.left_ms = replica.queue[0][0]
        then()

    def _do(self, replica: _Replica, cpu_ms: float, then: Then) -> None:
        if not replica.queue:
            replica.left_ms = cpu_ms
        replica.queue.append((cpu_ms, then))

    # Requests.

    def _arrive(self, number: int, product: int) -> None:
        turn = next(self._turns)
        count = len(self._replicas)
        index = min(range(count), key=lambda i: (self._replicas[i].requests, (i - turn) % count))
        replica, arrived = self._replicas[index], self._now
        replica.requests += 1

        def answered(kind: str) -> None:
            replica.requests -= 1
            self.outcome.latencies_ms[number] = self._now - arrived + self._way_ms
            self.outcome.answers[kind] = self.outcome.answers.get(kind, 0) + 1

        remaining = replica.until.get(product, 0.0) - self._now
        if remaining > 0:
            cpu_ms = self._setting.work[CACHED].cpu_ms
            self._do(replica, cpu_ms + self._pause_ms(), lambda: answered(CACHED))
            margin = self._setting.fresh_ms * _RENEW_RATIO
            if remaining < margin and product not in replica.flights:
                self._fly(replica, product, margin, [])
        elif product in replica.flights:
            replica.flights[product].append(answered)
        else:
            self._fly(replica, product, 0.0, [answered])

    def _pause_ms(self) -> float:
        return max(0.0, self._draw.choice(self._setting.work[CACHED].delays_ms) - self._way_ms)

    def _fly(
        self,
        replica: _Replica,
        product: int,
        margin: float,
        waiting: list[Callable[[str], None]],
    ) -> None:
        """Find a product that stays fresh for longer than `margin`, for all who wait."""
        replica.flights[product] = waiting
        half_ms = self._setting.work[SHARED].cpu_ms / 2
        begin_ms = half_ms + self._pause_ms()
        self._do(replica, begin_ms, lambda: self._look_up(replica, product, margin))

    def _look_up(self, replica: _Replica, product: int, margin: float) -> None:
        if self._shared.get(product, 0.0) - self._now > margin:
            self._wait_and_land(replica, product, SHARED)
        elif self._fetching.get(product, 0.0) > self._now:  # another replica is at it
            later = self._fetching[product] + _POLL_MS * self._draw.random()
            self._at(later, lambda: self._wait_and_land(replica, product, SHARED))
        else:
            self.outcome.fetches += 1
            self._wait_and_land(replica, product, UNCACHED)

    def _wait_and_land(self, replica: _Replica, product: int, kind: str) -> None:
        work = self._setting.work[kind]
        delay = max(0.0, self._draw.choice(work.delays_ms) - self._way_ms)
        left_ms = work.cpu_ms - self._setting.work[SHARED].cpu_ms / 2
        if kind == UNCACHED:
            self._fetching[product] = self._now + delay + left_ms
        self._at(
            self._now + delay,
            lambda: self._do(replica, left_ms, lambda: self._land(replica, product, kind)),
        )

    def _land(self, replica: _Replica, product: int, kind: str) -> None:
        if kind == UNCACHED:
            jitter = 1 - _JITTER_RATIO * self._draw.random()
            self._shared[product] = self._now + self._setting.fresh_ms * jitter
            self._fetching.pop(product, None)
            for each in self._replicas:  # Valkey tells them
                each.until.pop(product, None)
        replica.until[product] = self._shared.get(product, self._now)
        for answered in replica.flights.pop(product, ()):
            answered(kind)
