"""What prometheus_client's own metrics of the process leave out."""

import os
from collections.abc import Iterable
from contextlib import suppress

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .stall.cgroup import cgroup_folders

# By version of cgroups: 2, 1.
_LIMITS = ("memory.max", "memory.limit_in_bytes")
# Version 1 has a number where there is no limit: the highest one, in whole pages.
_UNLIMITED_BYTES = 2**62


class ProcessMetrics(Collector):
    """Threads, and the memory that the process may have: asked of Linux at each scrape.

    OpenTelemetry's `process.thread.count`, in a name that Prometheus' own linter accepts for a
    gauge, and `k8s.container.memory.limit.current` without `k8s`, since systemd and Docker set
    limits, too.
    What the system does not say, or does not limit, has no series.
    """

    def collect(self) -> Iterable[Metric]:
        """Never raises."""
        yield _gauge("process_threads", "Threads of the process.", thread_count())
        yield _gauge(
            "container_memory_limit_bytes",
            "Memory that the process' cgroup may have, all its processes together.",
            memory_limit_bytes(),
        )


def thread_count() -> int | None:
    """Native ones, too: those of the models and of libraries."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/task"))
    return None


def memory_limit_bytes(root: str = "") -> int | None:
    """The lowest of those on the process' cgroup and on whatever that is in."""
    files = (f"{folder}/{name}" for folder in cgroup_folders("memory", root) for name in _LIMITS)
    limits = [limit for file in files if (limit := _limit_in(file)) < _UNLIMITED_BYTES]
    return min(limits, default=None)


def _limit_in(file: str) -> int:
    # ValueError: version 2 says `max` where there is no limit.
    with suppress(OSError, ValueError), open(file) as opened:
        return int(opened.read())
    return _UNLIMITED_BYTES


def _gauge(name: str, documentation: str, value: int | None) -> Metric:
    gauge = GaugeMetricFamily(name, documentation)
    if value is not None:
        gauge.add_metric([], value)
    return gauge
