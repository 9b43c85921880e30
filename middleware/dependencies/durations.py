"""A histogram for paths on which `labels()` would cost more than what it measures."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from ..cells import OTHER, HistogramFamily
from .guard import Guard

__all__ = ["OTHER", "Durations"]

MAX_LABEL_SETS = 2000


class Durations(HistogramFamily):
    """Seconds by labels, observed on one event loop."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        buckets: Sequence[float],
        registry: CollectorRegistry,
        guard: Guard,
    ) -> None:
        super().__init__(
            name,
            documentation,
            tuple(labels),
            buckets,
            max_label_sets=MAX_LABEL_SETS,
            drops=guard.drops,
        )
        self.guard = guard
        registry.register(self)

    def observe(self, seconds: float, labels: tuple[str, ...]) -> None:
        """Count one duration."""
        self.cell(*labels).observe(seconds)
