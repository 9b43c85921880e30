"""What the supervisor measures; the workers measure themselves."""

from collections.abc import Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from service.workers.slot import Reason, Slot
from service.workers.worker import State

_WAITING = "waiting"


class SupervisorMetrics:
    """Every series is there from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        self._restarts = Counter(
            "stallscope_worker_restarts",
            "Workers started in the place of one that died, or was relieved by it (rolling).",
            ["reason"],
            registry=registry,
        )
        self._workers = Gauge(
            "stallscope_workers",
            "Worker processes by state, and those waiting to be started again.",
            ["state"],
            registry=registry,
        )
        for reason in ("died", "rolling"):
            self._restarts.labels(reason)

    def count_restart(self, reason: Reason) -> None:
        """One more."""
        self._restarts.labels(reason).inc()

    def watch(self, slots: Sequence[Slot]) -> None:
        """Count the workers of `slots` at each scrape."""
        for state in (*State, _WAITING):
            self._workers.labels(state).set_function(partial(_count, slots, state))


def _count(slots: Sequence[Slot], state: str) -> int:
    if state == _WAITING:
        return sum(not slot.workers for slot in slots)
    return sum(worker.state == state for slot in slots for worker in slot.workers)
