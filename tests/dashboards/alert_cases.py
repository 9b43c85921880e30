"""What each alert is about, as series: silent while all is well, firing when it no longer is.

In promtool's notation: `1x10` is 1 and ten more of it, `0+60x10` a counter, `_` no sample, one
every `interval`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dashboards import slo
from dashboards.slo import BurnRate, Indicator

REPLICA = {"job": "stallscope", "instance": "10.0.0.1:9464"}
OTHER = "10.0.0.2:9464"
_PRODUCTS = "/v1/product/{product_id}/enriched"
_IMAGES = "/v1/predict/image"


@dataclass(frozen=True, slots=True)
class Case:
    """One alert and the series that make it fire; without `silent_at` it is never silent."""

    alert: str
    series: Mapping[str, str]
    silent_at: str | None
    fires_at: str
    labels: Mapping[str, str]
    severity: str
    interval: str = "1m"

    def __str__(self) -> str:
        return "-".join((self.alert, *filter(None, map(self.labels.get, ("slo", "window")))))

    @property
    def expected(self) -> dict[str, str]:
        """The labels that it fires with."""
        return {**self.labels, "severity": self.severity}


@dataclass(frozen=True, slots=True)
class Quiet:
    """Something that may be taken for a reason to fire, and is none."""

    alert: str
    reason: str
    series: Mapping[str, str]
    at: str
    interval: str = "1m"

    def __str__(self) -> str:
        return f"{self.alert}: {self.reason}"


def of(metric: str, instance: str = REPLICA["instance"], **labels: str) -> str:
    """A series of one replica."""
    every = {"job": REPLICA["job"], "instance": instance, **labels}
    inside = ", ".join(f'{name}="{value}"' for name, value in every.items())
    return f"{metric}{{{inside}}}"


def requests(suffix: str, route: str, status: str, **labels: str) -> str:
    return of(
        f"http_server_request_duration_seconds_{suffix}",
        http_request_method="GET",
        http_route=route,
        http_response_status_code=status,
        **labels,
    )


def _burning() -> Iterator[Case]:
    own = {each.name: each for each in slo.ROUTE_OBJECTIVES}
    for burn in slo.BURN_RATES:
        for indicator in slo.INDICATORS:
            yield _burn(indicator, burn, "all", _PRODUCTS, slo.OBJECTIVES.seconds)
            yield _burn(indicator, burn, "models", _IMAGES, own["models"].objectives.seconds)


_SAMPLED_EVERY = {"5m": 60, "30m": 600, "2h": 1800, "6h": 3600}  # often enough for the window


def _burn(indicator: Indicator, burn: BurnRate, name: str, route: str, seconds: float) -> Case:
    """All well for the long window, then everything bad for as long."""
    interval = _SAMPLED_EVERY[burn.short]
    steps = round(slo.seconds_of(burn.long) / interval)
    well, bad = f"0+100x{steps} {100 * steps}+0x{steps}", f"0x{steps} 100+100x{steps}"
    if indicator == "availability":
        series = {requests("count", route, "200"): well, requests("count", route, "503"): bad}
    else:
        fast = requests("bucket", route, "200", le=str(seconds))
        series = {requests("count", route, "200"): f"0+100x{2 * steps}", fast: well}
    labels = {"job": "stallscope", "slo": name, "window": burn.long}
    return Case(
        alert=f"{indicator.capitalize()}BudgetBurn",
        series=series,
        silent_at=f"{steps * interval}s",
        fires_at=f"{2 * steps * interval}s",
        labels=labels if name == "all" else {**labels, "http_route": route},
        severity=burn.severity,
        interval=f"{interval}s",
    )


_MODEL = {"model": "tabular", "model_version": "v1.1"}
_POOL = {"db_client_connection_pool_name": "products"}

CASES = (
    *_burning(),
    Case(
        "EventLoopBlocked",
        {of("asyncio_eventloop_blocked_seconds"): "0x10 4x3"},
        *("10m", "11m", REPLICA, "page"),
    ),
    Case(
        "EventLoopStalled",
        {of("asyncio_eventloop_stalls_total"): "0x10 1x10"},
        *("10m", "12m", REPLICA, "ticket"),
    ),
    Case(
        "EventLoopStalledShare",
        {
            of("asyncio_eventloop_stall_duration_seconds_sum", cause="cpu"): "0x10 3+3x20",
            of("asyncio_eventloop_stall_duration_seconds_sum", cause="gc_pause"): "0x10 3+3x20",
        },
        *("10m", "20m", REPLICA, "page"),
    ),
    Case(
        "EventLoopDelayHigh",
        {
            of("asyncio_eventloop_delay_seconds_bucket", le="0.05"): "0+100x10 1000+0x30",
            of("asyncio_eventloop_delay_seconds_bucket", le="0.25"): "0+100x40",
            of("asyncio_eventloop_delay_seconds_bucket", le="+Inf"): "0+100x40",
        },
        *("10m", "30m", REPLICA, "ticket"),
    ),
    Case(
        "EventLoopSaturated",
        {of("asyncio_eventloop_utilization_ratio"): "0.3x10 0.97x30"},
        *("10m", "30m", REPLICA, "ticket"),
    ),
    Case(
        "StallDetectorOff",
        {
            of("asyncio_eventloop_detector_info", mode="remote"): "1x10 stale",
            of("asyncio_eventloop_detector_info", mode="off"): "_x10 1x20",
        },
        *("10m", "20m", {**REPLICA, "mode": "off"}, "ticket"),
    ),
    Case(
        "ConnectionPoolSaturated",
        {
            of("db_client_connection_pending_requests", **_POOL): "0x10 5x10",
            of(
                "db_client_connection_count", **_POOL, db_client_connection_state="used"
            ): "3x10 10x10",
            of(
                "db_client_connection_count", **_POOL, db_client_connection_state="idle"
            ): "7x10 0x10",
            of("db_client_connection_max", **_POOL): "10x20",
        },
        *("10m", "15m", {**REPLICA, **_POOL}, "ticket"),
    ),
    Case(
        "UpstreamErrors",
        {
            of(
                "http_client_request_duration_seconds_count",
                server_address="reviews:80",
                error_type="",
            ): "0+60x30",
            of(
                "http_client_request_duration_seconds_count",
                server_address="reviews:80",
                error_type="cancelled",
            ): "0x10 10+10x20",
        },
        *("10m", "20m", {"job": "stallscope", "server_address": "reviews:80"}, "ticket"),
    ),
    Case(
        "DatabaseErrors",
        {
            of(
                "db_client_operation_duration_seconds_count",
                db_system_name="redis",
                db_operation_name="GET",
                error_type="",
            ): "0+60x10 600+0x20",
            of(
                "db_client_operation_duration_seconds_count",
                db_system_name="redis",
                db_operation_name="CONNECT",
                error_type="ConnectionError",
            ): "_x10 10+10x20",
        },
        *("10m", "20m", {"job": "stallscope", "db_system_name": "redis"}, "ticket"),
    ),
    Case(
        "CircuitOpen",
        {  # half open now and then
            of("circuit_breaker_state", dependency="reviews", state="closed"): "1x10 0x10",
            of("circuit_breaker_state", dependency="reviews", state="open"): "0x10 1 0 1 1 0x5",
        },
        *("10m", "15m", {**REPLICA, "dependency": "reviews", "state": "closed"}, "ticket"),
    ),
    Case(
        "ProductsDegraded",
        {
            of("product_sources_total", source="reviews", status="live"): "0+60x30",
            of("product_sources_total", source="reviews", status="stale"): "0x10 5+5x20",
            of("product_sources_total", source="reviews", status="unavailable"): "0x10 5+5x20",
        },
        *("10m", "20m", {"job": "stallscope", "source": "reviews"}, "ticket"),
    ),
    Case(
        "CacheHitRatioLow",
        {
            of("cache_requests_total", cache="products", result="hit"): "0+1200x10 12000+60x40",
            of("cache_requests_total", cache="products", result="miss"): "0+60x10 1200+1200x40",
        },
        *("10m", "45m", {"job": "stallscope", "cache": "products"}, "ticket"),
    ),
    Case(
        "ModelQueueWaitHigh",
        {
            of("ml_queue_wait_seconds_bucket", **_MODEL, le="0.01"): "0+60x10 600+0x30",
            of("ml_queue_wait_seconds_bucket", **_MODEL, le="0.5"): "0+60x40",
            of("ml_queue_wait_seconds_bucket", **_MODEL, le="+Inf"): "0+60x40",
        },
        *("10m", "30m", {"job": "stallscope", "model": "tabular"}, "ticket"),
    ),
    Case(
        "ModelDrift",
        {
            of("ml_drift_psi", **_MODEL): "0.02x10 0.9x50",
            of("ml_model_loaded", **_MODEL): "1x60",
        },
        *("10m", "50m", {**REPLICA, **_MODEL}, "ticket"),
    ),
    Case(
        "ModelVersionSkew",
        {
            of("ml_model_loaded", **_MODEL): "1x60",
            of("ml_model_loaded", OTHER, **_MODEL): "1x10 0x50",
        },
        *("10m", "40m", {"job": "stallscope", **_MODEL}, "ticket"),
    ),
    Case(
        "ModelNotLoaded",
        {
            of("ml_model_loaded", **_MODEL): "1x10 0x20",
            of("ml_model_loaded", model="tabular", model_version="v1.0"): "0x30",
        },
        *("10m", "20m", {**REPLICA, "model": "tabular"}, "ticket"),
    ),
    Case(
        "PredictionLogDropping",
        {of("ml_prediction_log_rows_total", outcome="dropped"): "0x10 5x10"},
        *("10m", "12m", REPLICA, "ticket"),
    ),
    Case(
        "FileDescriptorsLow",
        {of("process_open_fds"): "100x10 900x20", of("process_max_fds"): "1024x30"},
        *("10m", "20m", REPLICA, "ticket"),
    ),
    Case(
        "MemoryGrowth",
        {
            of("process_resident_memory_bytes"): "100x48 101+1x60",
            of("process_start_time_seconds"): "1000x110",
        },
        *("480m", "960m", REPLICA, "ticket", "10m"),
    ),
    Case("TargetDown", {of("up"): "1x10 0x10"}, *("10m", "15m", REPLICA, "page")),
    Case(
        "MetricsAbsent",
        {of("asyncio_eventloop_stalls_total"): "0x10 stale"},
        *("10m", "15m", {"job": "stallscope"}, "page"),
    ),
    Case(
        "TelemetryDropped",
        {of("telemetry_dropped_total", signal="traces"): "0x10 5x10"},
        *("10m", "12m", {**REPLICA, "signal": "traces"}, "ticket"),
    ),
    Case("Watchdog", {}, None, "1m", {}, "none"),
)

QUIET = (
    Quiet(
        "AvailabilityBudgetBurn",
        "three of three requests are a bad day for three people",
        {requests("count", _PRODUCTS, "503"): "0x10 1x19 2x19 3x60"},
        "60m",
    ),
    Quiet(
        "AvailabilityBudgetBurn",
        "the errors have ended",
        {
            requests("count", _PRODUCTS, "200"): "0+500x90",
            requests("count", _PRODUCTS, "503"): "0x72 100+100x4 500x15",
        },
        *("425m", "5m"),
    ),
    Quiet(
        "AvailabilityBudgetBurn",
        "probes and unknown paths are not what is promised",
        {
            requests("count", "/v1/health", "503"): "0+100x60",
            requests("count", "unmatched", "500"): "0+100x60",
        },
        "60m",
    ),
    Quiet(
        "AvailabilityBudgetBurn",
        "what a caller did wrong",
        {
            requests("count", _PRODUCTS, "200"): "0+10x60",
            requests("count", _PRODUCTS, "429"): "0+100x60",
            requests("count", _PRODUCTS, "404"): "0+100x60",
        },
        "60m",
    ),
    Quiet(
        "LatencyBudgetBurn",
        "a picture may take longer than a product",
        {
            requests("count", _IMAGES, "200"): "0+100x60",
            requests("bucket", _IMAGES, "200", le="0.5"): "0x60",
            requests("bucket", _IMAGES, "200", le="1.0"): "0+100x60",
        },
        "60m",
    ),
    Quiet(
        "UpstreamErrors",
        "what an upstream does not know",
        {
            of(
                "http_client_request_duration_seconds_count",
                server_address="inventory:80",
                error_type="404",
            ): "0+60x30",
        },
        "30m",
    ),
    Quiet(
        "ConnectionPoolSaturated",
        "waiting while connections are being made",
        {
            of("db_client_connection_pending_requests", **_POOL): "5x20",
            of("db_client_connection_count", **_POOL, db_client_connection_state="used"): "3x20",
            of("db_client_connection_max", **_POOL): "10x20",
        },
        "20m",
    ),
    Quiet(
        "CacheHitRatioLow",
        "of few lookups few can be hits",
        {of("cache_requests_total", cache="products", result="miss"): "0+60x60"},
        "60m",
    ),
    Quiet(
        "ModelDrift",
        "a retired version keeps its last value",
        {
            of("ml_drift_psi", **_MODEL): "0.9x60",
            of("ml_model_loaded", **_MODEL): "0x60",
        },
        "60m",
    ),
    Quiet(
        "ModelVersionSkew",
        "a candidate beside the current version, on every replica",
        {
            of("ml_model_loaded", where, model="tabular", model_version=version): "1x60"
            for where in (REPLICA["instance"], OTHER)
            for version in ("v1.0", "v1.1")
        }
        | {of("ml_model_loaded", model="tabular", model_version="v0.9"): "0x60"},
        "60m",
    ),
    Quiet(
        "ModelNotLoaded",
        "a version that was replaced",
        {
            of("ml_model_loaded", **_MODEL): "1x30",
            of("ml_model_loaded", model="tabular", model_version="v1.0"): "0x30",
        },
        "30m",
    ),
    Quiet(
        "MemoryGrowth",
        "a process that has just warmed up",
        {
            of("process_resident_memory_bytes"): "100x48 101+1x60",
            of("process_start_time_seconds"): "1000x60 2000x50",
        },
        "960m",
        "10m",
    ),
    Quiet(
        "EventLoopBlocked",
        "late, but not blocked for a second",
        {of("asyncio_eventloop_blocked_seconds"): "0.4x20"},
        "20m",
    ),
    Quiet("TargetDown", "somebody else's target", {'up{job="other", instance="x"}': "0x20"}, "20m"),
)
