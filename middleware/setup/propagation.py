"""The process' propagator, as `OTEL_PROPAGATORS` says."""

import os

import structlog
from opentelemetry.propagators.textmap import TextMapPropagator

log = structlog.get_logger()

_VARIABLE = "OTEL_PROPAGATORS"


def process_propagator() -> TextMapPropagator:
    """The global one; W3C trace context and baggage where the variable names none that is there."""
    try:
        return _global()
    except Exception as error:  # noqa: BLE001 - a wrong setting must not keep the service down
        log.warning("propagators_not_found", error=str(error), effect="tracecontext and baggage")
    # OpenTelemetry reads it when it is imported, and cannot be imported while it is wrong.
    wrong = os.environ.pop(_VARIABLE, "")
    try:
        return _global()
    finally:
        os.environ[_VARIABLE] = wrong


def _global() -> TextMapPropagator:
    from opentelemetry import propagate  # noqa: PLC0415 - reads the environment

    return propagate.get_global_textmap()
