"""Where spans go, as the `OTEL_*` variables say."""

import os
from importlib.metadata import entry_points

import structlog
from opentelemetry.sdk.trace.export import SpanExporter

from .otlp_spans import quickened

log = structlog.get_logger()

_GROUP = "opentelemetry_traces_exporter"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


def configured_exporter() -> SpanExporter | None:
    """None if nothing is to be exported, or nothing can be: then that has been said."""
    name = _said("OTEL_TRACES_EXPORTER")
    if _said("OTEL_SDK_DISABLED").lower() == "true" or name == "none":
        return None
    if not name and not any(map(_said, _ENDPOINTS)):
        return None
    try:
        return _load(_PROTOCOLS[_protocol()] if name in ("", "otlp") else name)
    except Exception as error:  # noqa: BLE001 - a wrong setting must not keep the service down
        reason = str(error) or type(error).__name__
        log.warning("traces_not_exported", exporter=name or "otlp", error=reason)
        return None


def _protocol() -> str:
    protocol = (
        _said("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or _said("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    if protocol not in _PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} is none of {', '.join(_PROTOCOLS)}")
    return protocol


def _load(name: str) -> SpanExporter:
    found = tuple(entry_points(group=_GROUP, name=name))
    if not found:
        raise LookupError(f"no exporter {name!r} is installed")
    exporter = found[0].load()()
    if not isinstance(exporter, SpanExporter):
        raise TypeError(f"{name!r} is no exporter of spans")
    return quickened(exporter)


def _said(variable: str) -> str:
    return os.environ.get(variable, "").strip()
