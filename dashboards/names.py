"""Every metric that service and middleware emit: read off the metric objects, never retyped.

So a metric that was misspelled or renamed, or a label that it does not have, fails on import.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from middleware.cells import HistogramFamily
from middleware.drops import Drops
from middleware.process_metrics import ProcessMetrics
from middleware.setup.tracing import resource_of
from middleware.signals.metrics import ActiveRequests, MetricsSignal
from middleware.signals.websockets import WebSocketMetrics
from middleware.stall.report.metrics import StallMetrics
from service.metrics import ServiceMetrics
from service.workers.metrics import SupervisorMetrics

Kind = Literal["counter", "gauge", "histogram"]

# What Prometheus puts on every series that it scrapes.
JOB, INSTANCE = "job", "instance"


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of series; `name` is as PromQL has it, but a histogram's has no suffix."""

    name: str
    kind: Kind
    documentation: str
    labels: frozenset[str]

    def __str__(self) -> str:
        if self.kind == "histogram":
            raise TypeError(f"{self.name} is a histogram: say bucket, count or sum")
        return self.name

    @property
    def bucket(self) -> "Metric":
        """A histogram's buckets, counters by `le`."""
        return self._part("_bucket", "le")

    @property
    def count(self) -> "Metric":
        """How often a histogram was observed."""
        return self._part("_count")

    @property
    def sum(self) -> "Metric":
        """What a histogram's observations add up to."""
        return self._part("_sum")

    def _part(self, suffix: str, *labels: str) -> "Metric":
        if self.kind != "histogram":
            raise TypeError(f"{self.name} is a {self.kind}")
        return Metric(self.name + suffix, "counter", self.documentation, self.labels.union(labels))

    @property
    def samples(self) -> frozenset[str]:
        """The names that its series have."""
        if self.kind != "histogram":
            return frozenset({self.name})
        return frozenset(part.name for part in (self.bucket, self.count, self.sum))


class Metrics:
    """Metrics as attributes, by name: `METRICS.asyncio_tasks`."""

    def __init__(self, metrics: Iterator[Metric]) -> None:
        self._by_name = {metric.name: metric for metric in metrics}

    def __getattr__(self, name: str) -> Metric:
        try:
            return self._by_name[name]
        except KeyError:
            raise AttributeError(f"nothing emits a metric named {name}") from None

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._by_name.values())


class _Recording(CollectorRegistry):
    """Remembers its collectors: they alone know the labels of what has no series yet."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        self.collectors.append(collector)
        super().register(collector)


def _emitted() -> Iterator[Metric]:
    """Everything that a replica shows, and its supervisor."""
    replica, supervisor = _Recording(), _Recording()
    drops = Drops(replica)
    MetricsSignal(replica, drops, max_label_sets=1)
    WebSocketMetrics(replica, drops, max_label_sets=1)
    replica.register(ActiveRequests(()))
    StallMetrics(replica, drops)
    ServiceMetrics(replica, drops).dependencies.aiohttp_trace_config()
    ProcessCollector(registry=replica)
    replica.register(ProcessMetrics())
    PlatformCollector(registry=replica)
    GCCollector(registry=replica)
    SupervisorMetrics(supervisor)
    for collector in (*replica.collectors, *supervisor.collectors):
        for family in collector.collect():
            yield _metric_of(family, _labels_of(collector, family))
    resource = resource_of("stallscope", "0").attributes
    labels = frozenset(re.sub(r"\W", "_", name) for name in resource)
    yield Metric("target_info", "gauge", "What runs there.", labels)


def _labels_of(collector: Collector, family: Family) -> frozenset[str]:
    if isinstance(collector, HistogramFamily):
        return frozenset(collector.label_names)
    seen = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
    # There is no public way to ask for the names where no series has values for them.
    declared = (getattr(known, "_labelnames", ()) for known in (family, collector))
    return seen.union(*declared)


def _metric_of(family: Family, labels: frozenset[str]) -> Metric:
    suffix = "_total" if family.type == "counter" else ""
    return Metric(family.name + suffix, cast(Kind, family.type), family.documentation, labels)


METRICS = Metrics(_emitted())
EMITTED: frozenset[str] = frozenset[str]().union(*(metric.samples for metric in METRICS))


def _of_prometheus(name: str, documentation: str, *labels: str) -> Metric:
    return Metric(name, "gauge", documentation, frozenset(labels))


# What Prometheus itself says of each target that it scrapes, and of the alerts that it evaluates.
PROMETHEUS = Metrics(
    iter(
        (
            _of_prometheus("up", "Whether the last scrape succeeded."),
            _of_prometheus("scrape_duration_seconds", "How long the last scrape took."),
            _of_prometheus("scrape_samples_scraped", "Samples that the target showed."),
            _of_prometheus(
                "scrape_samples_post_metric_relabeling", "Samples of it that were stored."
            ),
            _of_prometheus("scrape_series_added", "Series in it that were new."),
            _of_prometheus("ALERTS", "1 for an alert.", "alertname", "alertstate", "severity"),
        )
    )
)
