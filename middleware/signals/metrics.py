"""Requests as Prometheus metrics, named as OpenTelemetry's HTTP conventions have them."""

from collections import Counter
from collections.abc import Collection, Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..cells import HistogramCell, HistogramFamily
from ..drops import Drops
from ..exchange import Exchange
from ..records import Record, Records
from ..route import UNMATCHED

# The bounds that the OpenTelemetry HTTP conventions advise.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
BYTES = (100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)

_ROUTE = ("http_request_method", "http_route")

Cells = tuple[HistogramCell, HistogramCell, HistogramCell]


class MetricsSignal:
    """Duration and sizes of the requests; no lock and no `labels()` call for any of them."""

    def __init__(
        self,
        registry: CollectorRegistry,
        drops: Drops,
        *,
        max_label_sets: int,
        records: Records | None = None,
    ) -> None:
        self._max_label_sets = max_label_sets

        def family(
            name: str, documentation: str, labels: tuple[str, ...], bounds: tuple[float, ...]
        ) -> HistogramFamily:
            made = HistogramFamily(
                name, documentation, labels, bounds, max_label_sets=max_label_sets, drops=drops
            )
            made.before_collecting = None if records is None else records.tell
            registry.register(made)
            return made

        self.duration = family(
            "http_server_request_duration_seconds",
            "Time from the request's head to the last byte of its response.",
            (*_ROUTE, "http_response_status_code"),
            SECONDS,
        )
        self.request_body = family(
            "http_server_request_body_size_bytes", "Size of the request's body.", _ROUTE, BYTES
        )
        self.response_body = family(
            "http_server_response_body_size_bytes", "Size of the response's body.", _ROUTE, BYTES
        )
        self._cells: dict[tuple[str, str | None, int], Cells] = {}

    def count(self, record: Record) -> None:
        """Count the request under its route."""
        cells = self._cells.get(record[:3])
        if cells is None:
            cells = self._open(record)
        duration, request_body, response_body = cells
        duration.observe_traced(
            record.seconds, (record.trace_id, record.started_ns, record.sampled)
        )
        request_body.observe(record.request_bytes)
        response_body.observe(record.response_bytes)

    def _open(self, record: Record) -> Cells:
        method, route = record.method, record.route or UNMATCHED
        cells = (
            self.duration.cell(method, route, str(record.status)),
            self.request_body.cell(method, route),
            self.response_body.cell(method, route),
        )
        if len(self._cells) < self._max_label_sets:
            self._cells[method, record.route, record.status] = cells
        return cells


class ActiveRequests(Collector):
    """How many requests are in flight, by method: counted when somebody asks."""

    def __init__(self, in_flight: Collection[Exchange]) -> None:
        self._in_flight = in_flight
        self._seen: set[str] = {"GET"}

    def collect(self) -> Iterable[Metric]:
        """A method that was seen once stays, at 0."""
        active = Counter(exchange.method for exchange in tuple(self._in_flight))
        self._seen |= active.keys()
        gauge = GaugeMetricFamily(
            "http_server_active_requests",
            "Requests that have arrived and not been answered yet.",
            labels=["http_request_method"],
        )
        for method in sorted(self._seen):
            gauge.add_metric([method], active[method])
        yield gauge
