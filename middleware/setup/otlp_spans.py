"""Spans as OTLP protobuf, written directly: a quarter of the time that message objects take.

The exporter's thread holds the GIL while it encodes, so that requests wait for it. A batch with
something seldom in it (links, bytes, mappings) goes the exporter's own way; a test compares both.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status

Scopes = dict[InstrumentationScope | None, list[bytes]]

# Tags: a field's number, then how it is written; see opentelemetry/proto/trace/v1/trace.proto.
_IDS = Struct(">2sQQ2sQ").pack  # trace_id in two halves, span_id
_PARENT = Struct(">2sQ").pack
_TIMES = Struct("<cQcQ").pack
_TIME = Struct("<cQ").pack
_DOUBLE = Struct("<cd").pack
_FLAGS = b"\x85\x01\x00\x01\x00\x00", b"\x85\x01\x00\x03\x00\x00"  # parent is remote: known, and so
_EXPORTER = "OTLPSpanExporter"
_SHORT_CHARS = 64
_MASK = (1 << 64) - 1
_MAX_BYTES = 60 * 1024 * 1024  # the exporter refuses 64 MiB, and says so


class QuickExporter(SpanExporter):
    """Sends what `encoded` gives through the HTTP client of OpenTelemetry's own exporter."""

    def __init__(self, exporter: SpanExporter, client: Any) -> None:
        self._exporter, self._client = exporter, client

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter."""
        try:
            body = encoded(spans)
        except Exception:  # noqa: BLE001 - what is not known here, or not valid; the other says why
            return self._exporter.export(spans)
        if len(body) > _MAX_BYTES:
            return self._exporter.export(spans)
        sent = self._client.export(body).success
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """See SpanExporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See SpanExporter."""
        return self._exporter.force_flush(timeout_millis)


def quickened(exporter: SpanExporter) -> SpanExporter:
    """The same with a quicker encoder; itself, where it has no HTTP client that is known here."""
    client = getattr(exporter, "_client", None)
    known = type(client).__name__ == "_OTLPHTTPClient" and type(exporter).__name__ == _EXPORTER
    return QuickExporter(exporter, client) if known else exporter


def encoded(spans: Sequence[ReadableSpan]) -> bytes:
    """An ExportTraceServiceRequest. Raises TypeError, ValueError: only the exporter can do it."""
    resources: dict[int, tuple[Resource, Scopes]] = {}  # hashing one takes 4 µs
    for span in spans:
        found = resources.get(id(span.resource))
        if found is None:
            found = resources[id(span.resource)] = span.resource, {}
        found[1].setdefault(span.instrumentation_scope, []).append(_field(b"\x12", _span(span)))
    return b"".join([_field(b"\x0a", _resource(*each)) for each in resources.values()])


def _resource(resource: Resource, scopes: Scopes) -> bytes:
    return (
        _field(b"\x0a", _attributes(b"\x0a", resource.attributes))
        + b"".join([_field(b"\x12", _scope(*each)) for each in scopes.items()])
        + _text(b"\x1a", resource.schema_url)
    )


def _scope(scope: InstrumentationScope | None, spans: list[bytes]) -> bytes:
    if scope is None:
        return b"\x0a\x00" + b"".join(spans)
    attributes = _attributes(b"\x1a", scope.attributes)
    own = _text(b"\x0a", scope.name) + _text(b"\x12", scope.version) + attributes
    return _field(b"\x0a", own) + b"".join(spans) + _text(b"\x1a", scope.schema_url)


def _span(span: ReadableSpan) -> bytes:
    context, parent = span.context, span.parent
    if span.links or context is None or span.start_time is None or span.end_time is None:
        raise ValueError("a link, or no context or time")
    trace_id = context.trace_id
    parts = [
        _IDS(b"\x0a\x10", trace_id >> 64, trace_id & _MASK, b"\x12\x08", context.span_id),
        _text(b"\x1a", context.trace_state.to_header() if context.trace_state else ""),
        b"" if parent is None else _PARENT(b"\x22\x08", parent.span_id),
        _text(b"\x2a", span.name),
        b"\x30%c" % (span.kind.value + 1),
        _TIMES(b"\x39", span.start_time, b"\x41", span.end_time),
        _attributes(b"\x4a", span.attributes),
        _count(b"\x50", span.dropped_attributes),
        *[_field(b"\x5a", _event(event)) for event in span.events],
        _count(b"\x60", span.dropped_events),
        _count(b"\x70", span.dropped_links),
        _field(b"\x7a", _status(span.status)),
        _FLAGS[parent is not None and parent.is_remote],
    ]
    return b"".join(parts)


def _event(event: Event) -> bytes:
    attributes = _attributes(b"\x1a", event.attributes)
    dropped = _count(b"\x20", event.dropped_attributes)
    return _TIME(b"\x09", event.timestamp) + _text(b"\x12", event.name) + attributes + dropped


def _status(status: Status) -> bytes:
    return _text(b"\x12", status.description) + _count(b"\x18", status.status_code.value)


def _attributes(tag: bytes, attributes: Mapping[str, Any] | None) -> bytes:
    # A copy is a plain dict, which is walked through much faster than what protects it.
    pairs = attributes.copy().items() if attributes else ()  # type: ignore[attr-defined]
    return b"".join(
        [
            _short_attribute(tag, key, value)
            if type(value) is int or (type(value) is str and len(value) <= _SHORT_CHARS)
            else _attribute(tag, key, value)
            for key, value in pairs
        ]
    )


def _attribute(tag: bytes, key: str, value: object) -> bytes:
    return _field(tag, _text(b"\x0a", key) + _field(b"\x12", _value(value)))


# Most are the same for many spans: routes, methods, hosts. No others, for 1 == True == 1.0.
_short_attribute = lru_cache(1024)(_attribute)


def _value(value: object) -> bytes:
    match value:
        case str():
            return _field(b"\x0a", value.encode())
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int() if -(2**63) <= value < 2**63:
            return b"\x18" + _varint(value & _MASK)
        case float():
            return _DOUBLE(b"\x21", value)
        case tuple():
            return _field(b"\x2a", b"".join([_field(b"\x0a", _value(each)) for each in value]))
    raise TypeError(f"no encoding for {type(value).__name__}")


def _text(tag: bytes, text: str | None) -> bytes:
    return _field(tag, text.encode()) if text else b""


def _count(tag: bytes, number: int) -> bytes:
    return tag + _varint(number) if number else b""


def _field(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return b"%b%c%b" % (tag, size, content) if size < 128 else tag + _varint(size) + content


def _varint(number: int) -> bytes:
    low = []
    while number > 127:
        low.append(number & 127 | 128)
        number >>= 7
    return bytes((*low, number))
