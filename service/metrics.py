"""The service's own metrics, all of them."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from middleware import DependencyMetrics, Drops

CIRCUIT_STATES = ("closed", "open", "half_open")


class ServiceMetrics:
    """Counters and gauges of one application, on a registry of its own."""

    def __init__(self, registry: CollectorRegistry, drops: Drops | None = None) -> None:
        self.registry = registry
        self.dependencies = DependencyMetrics(registry, drops)
        self.cache_requests = Counter(
            "cache_requests_total",
            "Lookups in the shared or the in-process cache, by what was found.",
            ["cache", "result"],
            registry=registry,
        )
        self.product_sources = Counter(
            "product_sources_total",
            "Parts of enriched products answered, by where the part came from.",
            ["source", "status"],
            registry=registry,
        )
        self.circuit_breaker_state = Gauge(
            "circuit_breaker_state",
            "1 for the state in which a dependency's circuit breaker is, 0 for the others.",
            ["dependency", "state"],
            registry=registry,
        )
        self.requests_shed = Counter(
            "requests_shed_total",
            "Requests refused with 503 to protect the others.",
            ["reason"],
            registry=registry,
        )
        self.rate_limited_requests = Counter(
            "rate_limited_requests_total",
            "Requests refused with 429.",
            ["reason"],
            registry=registry,
        )

    def circuit_changed(self, dependency: str, state: str) -> None:
        """Show the state of a dependency's circuit breaker, one of CIRCUIT_STATES."""
        for possible in CIRCUIT_STATES:
            self.circuit_breaker_state.labels(dependency, possible).set(possible == state)
