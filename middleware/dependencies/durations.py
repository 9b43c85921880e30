"""A histogram for paths on which `labels()` would cost more than what it measures."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Histogram

from .guard import Guard

MAX_LABEL_SETS = 2000
OTHER = "other"


class Durations:
    """Seconds by labels; at most MAX_LABEL_SETS of them, the rest is `other`."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        buckets: Sequence[float],
        registry: CollectorRegistry,
        guard: Guard,
    ) -> None:
        self._histogram = Histogram(name, documentation, labels, buckets=buckets, registry=registry)
        self._other = (OTHER,) * len(labels)
        self._observers: dict[tuple[str, ...], Callable[[float], None]] = {}
        self.guard = guard

    def observe(self, seconds: float, labels: tuple[str, ...]) -> None:
        """Count one duration."""
        observe = self._observers.get(labels)
        if observe is None:
            observe = self.observer(labels)
        observe(seconds)

    def observer(self, labels: tuple[str, ...]) -> Callable[[float], None]:
        """What counts durations of one label set; its series exists from now on."""
        if len(self._observers) >= MAX_LABEL_SETS and labels != self._other:
            self.guard.count()
            return self._histogram.labels(*self._other).observe
        observe: Callable[[float], None] = self._histogram.labels(*labels).observe
        return self._observers.setdefault(labels, observe)
