"""Makes any ASGI service observable: `app.add_middleware(Observability)`."""

from .dependencies import DependencyMetrics
from .drops import Drops
from .exchange import Exchange, identify
from .health import Check, Health, NotReadyError
from .logs import configured_logs
from .observability import Observability
from .ops import Action, RefusedError
from .settings import Settings
from .setup.tracing import configured_tracing
from .telemetry import Telemetry

__all__ = [
    "Action",
    "Check",
    "DependencyMetrics",
    "Drops",
    "Exchange",
    "Health",
    "NotReadyError",
    "Observability",
    "RefusedError",
    "Settings",
    "Telemetry",
    "configured_logs",
    "configured_tracing",
    "identify",
]
