"""Stalls as Prometheus metrics: how many, how long, why, whose fault, and who waited."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from ...cells import OTHER, HistogramFamily
from ...drops import Drops
from ..listener import Requests
from ..record import Cause, Stall
from .loop_metrics import LoopMetrics
from .told import Told

DELAY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_MOST_CULPRITS = 50
_MOST_ROUTES = 2000


class StallMetrics:
    """A Listener. One per registry: it outlives the detectors that it listens to.

    `delay` is for the heartbeat, which alone writes to it; `loop` shows the loop that runs now;
    `reports_suppressed` is for whoever reports stalls elsewhere, and limits their number.
    """

    def __init__(self, registry: CollectorRegistry, drops: Drops) -> None:
        delays = HistogramFamily(
            "asyncio_eventloop_delay_seconds",
            "How much later than it was due the event loop came to its heartbeat.",
            (),
            DELAY_SECONDS,
            max_label_sets=1,
        )
        registry.register(delays)
        self.delay = delays.cell()
        self.loop = LoopMetrics(drops)
        registry.register(self.loop)
        self.reports_suppressed = Counter(
            "asyncio_eventloop_stall_reports_suppressed_total",
            "Stalls that were not reported to Sentry because the same one was a while ago.",
            registry=registry,
        )
        self._register_stalls(registry)
        self._opened, self._ended = Told(), Told()
        self._culprits, self._routes = _Names(_MOST_CULPRITS), _Names(_MOST_ROUTES)

    def _register_stalls(self, registry: CollectorRegistry) -> None:
        self._stalls = Counter(
            "asyncio_eventloop_stalls_total",
            "Times in which the event loop could not run for longer than the threshold.",
            registry=registry,
        )
        durations = Histogram(
            "asyncio_eventloop_stall_duration_seconds",
            "Time in which the event loop could not run, by cause.",
            ["cause"],
            buckets=STALL_SECONDS,
            registry=registry,
        )
        # All of them from the start: an increase over a series born at 1 is 0.
        self._durations = {cause: durations.labels(cause.value) for cause in Cause}
        self._culprit_seconds = Counter(
            "asyncio_eventloop_stall_culprit_seconds_total",
            "Time in which code blocked the event loop, by function (`module:qualname`).",
            ["culprit", "cause"],
            registry=registry,
        )
        self._victim_seconds = Counter(
            "asyncio_eventloop_stall_victim_seconds_total",
            "Time that requests lost while something else blocked the event loop.",
            ["http_route"],
            registry=registry,
        )

    def opened(self, stall: Stall, requests: Requests) -> None:
        """One more."""
        if self._opened.is_news(stall):
            self._stalls.inc()

    def goes_on(self, stall: Stall, requests: Requests) -> None:
        """`asyncio_eventloop_blocked_seconds` says so already."""

    def ended(self, stall: Stall, requests: Requests) -> None:
        """How long, why, whose fault, who waited."""
        if not self._ended.is_news(stall):
            return
        seconds, cause = stall.duration_seconds, stall.cause
        exemplar = {"trace_id": stall.trace_id} if stall.trace_id else None
        self._durations[cause].observe(seconds, exemplar)
        if stall.culprit is not None:
            culprit = self._culprits.known(stall.culprit.name)
            self._culprit_seconds.labels(culprit, cause.value).inc(seconds)
        for route, lost_seconds in stall.lost_by_route:
            self._victim_seconds.labels(self._routes.known(route)).inc(lost_seconds)


class _Names:
    """The first so many names; then `other` stands for all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def known(self, name: str) -> str:
        if name not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return name
