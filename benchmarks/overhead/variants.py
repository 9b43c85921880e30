"""Who is measured: what is installed, in which environment, around an app of how many routes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contestants import OURS as STALLSCOPE

SIGNALS = ("METRICS", "TRACES", "LOGS", "SENTRY", "STALLS", "OPS")
MANY_ROUTES = 100  # besides the 7
_PEERS = "benchmarks.overhead.peers."


@dataclass(frozen=True)
class Variant:
    """`package` is whose it is; `install` "module:function", "" for the bare app."""

    package: str
    label: str
    install: str
    environment: Mapping[str, str] = field(default_factory=dict)
    extra_routes: int = 0
    as_it_comes: bool = False

    @property
    def app(self) -> dict[str, Any]:
        """What makes its app: arguments of `create_app`."""
        return {
            "install": self.install,
            "extra_routes": self.extra_routes,
            "as_it_comes": self.as_it_comes,
        }

    @property
    def name(self) -> str:
        """Unique among the variants."""
        return f"{self.package}: {self.label}" if self.label else self.package


def _sampled(share: float) -> dict[str, str]:
    return {
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(share),
    }


def _ours(
    label: str,
    *,
    share: float = 0.01,
    signals: Sequence[str] = SIGNALS,
    extra_routes: int = 0,
    as_it_comes: bool = False,
) -> Variant:
    switches = {f"OBSERVABILITY__{name}": str(name in signals).lower() for name in SIGNALS}
    environment = {**_sampled(share), **switches, "OPS_PORT": "0"}
    install = f"{_PEERS}stallscope:install"
    return Variant(STALLSCOPE.name, label, install, environment, extra_routes, as_it_comes)


def _otel(label: str, function: str, share: float, extra_routes: int = 0) -> Variant:
    install = f"{_PEERS}opentelemetry_contrib:{function}"
    environment = _sampled(share)
    return Variant("opentelemetry", label, install, environment, extra_routes)


def _peer(package: str, label: str, module: str, extra_routes: int = 0) -> Variant:
    environment = _sampled(1.0)
    return Variant(package, label, f"{_PEERS}{module}:install", environment, extra_routes)


BARE = Variant("bare FastAPI", "", "")

# Beside its twin, which is the same: what it shows is the noise.
BARE_AGAIN = Variant(BARE.package, "again (the noise)", BARE.install)

ALL_AT_1 = _ours("all signals, 1 % sampled")
ALL_AT_100 = _ours("all signals, 100 %", share=1.0)
ALL_AT_1_MANY_ROUTES = _ours("all signals, 1 %, 107 routes", extra_routes=MANY_ROUTES)

OURS = (
    ALL_AT_1,
    ALL_AT_1_MANY_ROUTES,
    _ours("all signals, 1 %, in FastAPI() with its own telemetry left on", as_it_comes=True),
    _ours("all signals, 0 %", share=0.0),
    _ours("all signals, 10 %", share=0.1),
    ALL_AT_100,
    _ours("metrics alone", signals=["METRICS"]),
    _ours("logs alone", signals=["LOGS"]),
    _ours("traces alone, 1 %", signals=["TRACES"]),
)

PEERS = (
    _peer("prometheus-fastapi-instrumentator", "", "instrumentator"),
    _peer("prometheus-fastapi-instrumentator", "107 routes", "instrumentator", MANY_ROUTES),
    _peer("starlette-exporter", "", "exporter"),
    _peer("asgi-correlation-id", "", "correlation_id"),
    _peer("structlog", "a JSON line, pure ASGI", "structlog_asgi"),
    _peer("structlog", "a JSON line, BaseHTTPMiddleware", "structlog_base"),
    _peer("sentry-sdk", "errors only", "sentry"),
    _otel("contrib, 100 %", "install", 1.0),
    _otel("contrib without send/receive spans, 100 %", "install_lean", 1.0),
    _otel("contrib without send/receive spans, 1 %", "install_lean", 0.01),
    _otel("contrib without send/receive spans, 1 %, 107 routes", "install_lean", 0.01, MANY_ROUTES),
    _peer("the usual stack", "metrics, JSON line, spans at 100 %", "usual_stack"),
)

ALL = (BARE_AGAIN, *OURS, *PEERS)
