"""Websocket connections as metrics: how many are open, and how long they last."""

from prometheus_client import CollectorRegistry, Gauge

from ..cells import HistogramFamily
from ..drops import Drops
from ..exchange import Exchange
from ..route import UNMATCHED

SECONDS = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)


class WebSocketMetrics:
    """OpenTelemetry has no convention for them yet; these follow the one for HTTP servers."""

    def __init__(self, registry: CollectorRegistry, drops: Drops, *, max_label_sets: int) -> None:
        self.active = Gauge(
            "websocket_server_active_connections",
            "Websocket connections that are open.",
            registry=registry,
        )
        self.duration = HistogramFamily(
            "websocket_server_connection_duration_seconds",
            "Time from a websocket's handshake to its close.",
            ("http_route", "websocket_close_code"),
            SECONDS,
            max_label_sets=max_label_sets,
            drops=drops,
        )
        registry.register(self.duration)

    def begin(self, connection: Exchange) -> None:
        """One more is open."""
        self.active.inc()

    def end(self, connection: Exchange) -> None:
        """Count it under its route and close code."""
        self.active.dec()
        cell = self.duration.cell(connection.route or UNMATCHED, _close_code(connection.status))
        trace = (connection.trace_hex, connection.started_ns, connection.sampled)
        cell.observe_traced(connection.seconds, trace)


def _close_code(status: int) -> str:
    known = 1000 <= status <= 1015 or 400 <= status <= 599  # the handshake's refusals
    return str(status) if known else "other"
