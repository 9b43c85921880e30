"""Pools of connections: how full they are, who waits, and who waited in vain."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .durations import Durations
from .guard import Guard
from .operations import SECONDS

POOL_NAME = "db_client_connection_pool_name"
_STATE = "db_client_connection_state"


@dataclass(frozen=True, slots=True)
class Occupancy:
    """One pool at one moment, in connections; `pending` are those who wait for one."""

    used: int
    idle: int
    most: int
    pending: int


class WatchedPool(Protocol):
    """What can be asked at any time, from another thread, too."""

    name: str

    def occupancy(self) -> Occupancy | None:
        """None once it is closed."""


class PoolMetrics(Collector):
    """All `db_client_connection_*` metrics. Pools are held weakly; those of one name add up."""

    def __init__(self, registry: CollectorRegistry, guard: Guard) -> None:
        self._guard = guard
        self._pools: WeakKeyDictionary[WatchedPool, None] = WeakKeyDictionary()
        self._wait_time = Durations(
            "db_client_connection_wait_time_seconds",
            "Time it took to get an open connection out of the pool.",
            [POOL_NAME],
            SECONDS,
            registry,
            guard,
        )
        self._timeouts = Counter(
            "db_client_connection_timeouts_total",
            "Attempts to get a connection out of the pool that ran out of time, or of connections.",
            [POOL_NAME],
            registry=registry,
        )
        registry.register(self)

    def waiters(self, name: str, is_timeout: Callable[[BaseException], bool]) -> "Waiters":
        """For a new pool; its series exist from now on."""
        return Waiters(
            self._wait_time.cell(name).observe,
            self._timeouts.labels(name).inc,
            is_timeout,
            self._guard,
        )

    def watch(self, pool: WatchedPool) -> None:
        """Show `pool` at every scrape, until it is closed or gone."""
        self._pools[pool] = None

    def describe(self) -> Iterable[Metric]:
        """The families, empty: what the registry must know to find duplicates."""
        return _families({})

    def collect(self) -> Iterable[Metric]:
        """The families as the pools are now."""
        open_now: defaultdict[str, list[Occupancy]] = defaultdict(list)
        # keyrefs() is one copy: other threads may add pools meanwhile.
        for reference in self._pools.keyrefs():
            pool = reference()
            with self._guard:
                occupancy = pool and pool.occupancy()
                if pool and occupancy:
                    open_now[pool.name].append(occupancy)
        return _families(open_now)


class Waiters:
    """Those who want a connection out of one pool."""

    def __init__(
        self,
        obtained: Callable[[float], None],
        timed_out: Callable[[], None],
        is_timeout: Callable[[BaseException], bool],
        guard: Guard,
    ) -> None:
        self.pending = 0
        self._obtained = obtained
        self._timed_out = timed_out
        self._is_timeout = is_timeout
        self._guard = guard

    def waiting(self) -> "Waiting":
        """A context in which one connection is asked for."""
        return Waiting(self)

    def ended(self, seconds: float, error: BaseException | None) -> None:
        """One of them has waited, until it got a connection or an error. Never raises."""
        with self._guard:
            if error is None:
                self._obtained(seconds)
            elif self._is_timeout(error):
                self._timed_out()


class Waiting:
    """One who waits."""

    __slots__ = ("_started", "_waiters")

    def __init__(self, waiters: Waiters) -> None:
        self._waiters = waiters

    def __enter__(self) -> None:
        self._waiters.pending += 1
        self._started = perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._waiters.pending -= 1
        self._waiters.ended(perf_counter() - self._started, error)


def _families(open_now: dict[str, list[Occupancy]]) -> Iterator[Metric]:
    count = GaugeMetricFamily(
        "db_client_connection_count",
        "Open connections, by whether somebody uses them.",
        labels=[POOL_NAME, _STATE],
    )
    most = GaugeMetricFamily(
        "db_client_connection_max",
        "Connections that the pool may open.",
        labels=[POOL_NAME],
    )
    pending = GaugeMetricFamily(
        "db_client_connection_pending_requests",
        "Requests that wait for a connection.",
        labels=[POOL_NAME],
    )
    for name, pools in open_now.items():
        count.add_metric([name, "used"], sum(pool.used for pool in pools))
        count.add_metric([name, "idle"], sum(pool.idle for pool in pools))
        most.add_metric([name], sum(pool.most for pool in pools))
        pending.add_metric([name], sum(pool.pending for pool in pools))
    yield from (count, most, pending)
