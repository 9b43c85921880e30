"""The service's own metrics, all of them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from middleware import DependencyMetrics, Drops

CIRCUIT_STATES = ("closed", "open", "half_open")

_MODEL = ("model", "model_version")
_MODEL_SECONDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
_CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


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
        self.models = ModelMetrics(registry)
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


class ModelMetrics:
    """What models do, by model and version."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.inference_duration = Histogram(
            "ml_inference_duration_seconds",
            "Time that a model computed one chunk.",
            _MODEL,
            buckets=_MODEL_SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "ml_batch_size",
            "Rows that were computed together.",
            _MODEL,
            buckets=_BATCH_SIZES,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "ml_queue_wait_seconds",
            "Time from a request's entry into a model's queue to its first chunk.",
            _MODEL,
            buckets=_MODEL_SECONDS,
            registry=registry,
        )
        self.queued_rows = Gauge(
            "ml_queued_rows",
            "Rows that wait for a model.",
            _MODEL,
            registry=registry,
        )
        self.rows = Counter(
            "ml_computed_rows_total",
            "Rows that a model has computed, whoever they were for.",
            _MODEL,
            registry=registry,
        )
        self.predictions = Counter(
            "ml_predictions_total",
            "Predictions answered, by the label given.",
            [*_MODEL, "outcome"],
            registry=registry,
        )
        self.confidence = Histogram(
            "ml_confidence_ratio",
            "Probability of the likeliest label.",
            _MODEL,
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self.rejected = Counter(
            "ml_rejected_total",
            "Rows that were not computed, by the reason.",
            [*_MODEL, "outcome"],  # queue_full, deadline_exceeded, cancelled
            registry=registry,
        )
        self.loaded = Gauge(
            "ml_model_loaded",
            "1 for a version that is loaded and serves, 0 for one that no longer does.",
            _MODEL,
            registry=registry,
        )
        self.shadow_rows = Counter(
            "ml_shadow_rows_total",
            "Rows that a candidate computed beside the current version, by whether they agree.",
            [*_MODEL, "outcome"],  # agreed, disagreed, failed
            registry=registry,
        )
        self.drift = Gauge(
            "ml_drift_psi",
            "Population stability index of the confidence, against held-out data of the training.",
            _MODEL,
            registry=registry,
        )
        self.logged = Counter(
            "ml_prediction_log_rows_total",
            "Rows for the prediction log, by what became of them.",
            ["outcome"],  # written, dropped
            registry=registry,
        )
