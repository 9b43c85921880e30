"""How the event loop is, at the moment when somebody asks: also while it is blocked."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...drops import Drops
from ..history import StallHistory
from ..usage import BACKGROUND

NOT_RUNNING = "off"


class LoopState(Protocol):
    """Of a loop that is watched; read on the ops port's thread."""

    @property
    def utilization_ratio(self) -> float:
        """CPU time of its thread per second, lately."""

    @property
    def blocked_seconds(self) -> float:
        """For how long it has been blocked now; 0 when it is not."""

    @property
    def thread_cpu_seconds(self) -> float:
        """CPU time of its thread, all of it."""

    @property
    def tasks(self) -> int:
        """How many it has that are not done."""

    @property
    def busy_seconds(self) -> Mapping[str, float]:
        """What it has run for, by route or BACKGROUND. A bounded number of routes."""


class LoopMetrics(Collector):
    """One per registry, whichever detector runs."""

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        self.show(None, None)

    def show(self, state: LoopState | None, history: StallHistory | None) -> None:
        """Those of the detector that runs from now on; None: it has stopped."""
        self._state, self._history = state, history

    def collect(self) -> Iterable[Metric]:
        """All 0 where nothing runs."""
        try:
            yield from tuple(_metrics_of(self._state or _STOPPED))
        except Exception:  # noqa: BLE001 - one bad reading must not cost the whole scrape
            self._drops.add("stalls")  # and shows nothing: a counter's 0 would be a restart
        yield self._detector()

    def _detector(self) -> Metric:
        history = self._history
        gauge = GaugeMetricFamily(
            "asyncio_eventloop_detector_info",
            "How stalls are seen: `remote` (also from outside), `watchdog` (from inside), `off`.",
            labels=["mode"],
        )
        gauge.add_metric([NOT_RUNNING if history is None else history.mode], 1)
        return gauge


@dataclass(frozen=True, slots=True)
class _Stopped:
    utilization_ratio: float = 0.0
    blocked_seconds: float = 0.0
    thread_cpu_seconds: float = 0.0
    tasks: int = 0
    busy_seconds: Mapping[str, float] = field(default_factory=lambda: {BACKGROUND: 0.0})


_STOPPED = _Stopped()


def _metrics_of(state: LoopState) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "asyncio_eventloop_utilization_ratio",
        "CPU time of the event loop's thread per second.",
        state.utilization_ratio,
    )
    yield GaugeMetricFamily(
        "asyncio_eventloop_blocked_seconds",
        "For how long the event loop has been blocked now; 0 when it is not.",
        state.blocked_seconds,
    )
    yield CounterMetricFamily(
        "asyncio_eventloop_thread_cpu_seconds",
        "CPU time of the event loop's thread.",
        state.thread_cpu_seconds,
    )
    yield GaugeMetricFamily("asyncio_tasks", "Tasks that are not done.", state.tasks)
    yield _busy(dict(state.busy_seconds))  # a copy: it is being written


def _busy(seconds_by_route: Mapping[str, float]) -> Metric:
    busy = CounterMetricFamily(
        "asyncio_eventloop_busy_seconds",
        "Time that the event loop has run for a route's requests, or `background`; sampled.",
        labels=["http_route"],
    )
    for route, seconds in seconds_by_route.items():
        busy.add_metric([route], seconds)
    return busy
