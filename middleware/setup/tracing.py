"""The process' tracer provider, as the `OTEL_*` variables say; set up once, whoever asks first.

A provider can be made global once only, so ours stays for the life of the process; what exports its
spans starts with the first user and is shut down with the last.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import structlog
from opentelemetry import trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter

from ..drops import Drops
from .exporters import configured_exporter
from .identity import DecidedSampler, ExchangeIds
from .propagation import process_propagator
from .span_export import RestartableProcessor

log = structlog.get_logger()

_MOST_ATTRIBUTES = 32  # a server span has fewer

_lock = threading.Lock()
_users = 0
_own: "OwnProvider | None" = None


@dataclass(frozen=True, slots=True)
class Tracing:
    """What a wrapper needs to know of the process' tracing."""

    provider: trace.TracerProvider
    own: "OwnProvider | None"  # None: nothing is exported, or the provider is not ours
    exports: bool
    propagator: TextMapPropagator


class OwnProvider:
    """A TracerProvider whose exporter can be stopped and started again."""

    def __init__(self, resource: Resource) -> None:
        self.processor = RestartableProcessor()
        self.write = self.processor.on_end
        self.resource = resource
        self.provider = _SeenProvider(resource=resource, id_generator=ExchangeIds())
        self.sampler = self.provider.sampler = DecidedSampler(self.provider.sampler)
        self.provider.add_span_processor(self.processor)
        limits = SpanLimits()
        self._limited = limits.max_span_attribute_length is not None or (
            limits.max_span_attributes is not None and limits.max_span_attributes < _MOST_ATTRIBUTES
        )

    @property
    def has_spans_written(self) -> bool:
        """Whether an ended span may be written down instead of started: nobody else sees it start,
        and no limit would cut it."""
        return self.provider.processors == 1 and not self._limited


class _SeenProvider(TracerProvider):
    """Knows how many see its spans start."""

    processors = 0

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """See TracerProvider."""
        super().add_span_processor(span_processor)
        self.processors += 1


@contextmanager
def configured_tracing(
    drops: Drops, service_name: str | None, service_version: str | None
) -> Iterator[Tracing]:
    """Tracing for as long as the block lasts; the first to enter starts the exporter."""
    global _users  # noqa: PLW0603 - as process-wide as OpenTelemetry's own provider
    with _lock:
        tracing = _open(drops, service_name, service_version)
        _users += 1
    try:
        yield tracing
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _own is not None:
                _own.processor.stop()


def _open(drops: Drops, service_name: str | None, service_version: str | None) -> Tracing:
    present, propagator = trace.get_tracer_provider(), process_propagator()
    if _own is None and not isinstance(present, trace.ProxyTracerProvider):
        log.info("tracer_provider_found", effect="it decides what is sampled and exported")
        return Tracing(present, None, True, propagator)
    own = _own
    if own is None or not own.processor.exports:
        exporter = configured_exporter()
        own = None if exporter is None else _export(exporter, drops, service_name, service_version)
    if own is None:
        return Tracing(trace.NoOpTracerProvider(), None, False, propagator)
    return Tracing(own.provider, own, True, propagator)


def _export(
    exporter: SpanExporter, drops: Drops, service_name: str | None, service_version: str | None
) -> OwnProvider | None:
    global _own  # noqa: PLW0603
    try:
        own = _own or OwnProvider(resource_of(service_name, service_version))
        own.processor.start(exporter, drops)
    except ValueError as error:  # a wrong setting must not keep the service down
        log.warning("traces_not_exported", error=str(error))
        exporter.shutdown()
        return None
    if _own is None:
        _own = own
        trace.set_tracer_provider(own.provider)
    return own


@cache
def _instance_id() -> str:
    """One per process, so that spans and `target_info` speak of the same."""
    return str(uuid.uuid4())


def resource_of(service_name: str | None, service_version: str | None) -> Resource:
    """What runs here, in OpenTelemetry's terms; what `OTEL_*` says of it has the last word."""
    ours = {"service.instance.id": _instance_id()}
    if service_name:
        ours["service.name"] = service_name
    if service_version:
        ours["service.version"] = service_version
    detected = Resource.create()
    said = {
        key: value
        for key, value in detected.attributes.items()
        if not (key == "service.name" and str(value).startswith("unknown_service"))
    }
    return detected.merge(Resource({**ours, **said}))
