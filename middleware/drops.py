"""What observability lost: counted, never raised."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter

Signal = Literal["metrics", "traces", "logs", "sentry", "stalls", "request_id"]
SIGNALS: tuple[Signal, ...] = ("metrics", "traces", "logs", "sentry", "stalls", "request_id")


class Drops:
    """Counts lost telemetry by signal; may be used from every thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = Counter(
            "telemetry_dropped_total",
            "Telemetry lost: queue full, backend gone, label set refused, a fault of our own.",
            ["signal"],
            registry=registry,
        )
        # All of them from the start: an increase over a series born at 1 is 0.
        self._counters = {signal: counter.labels(signal) for signal in SIGNALS}

    def add(self, signal: Signal, amount: int = 1) -> None:
        """`amount` pieces of `signal` are lost."""
        self._counters[signal].inc(amount)
