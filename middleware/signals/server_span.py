"""What a server span says: names, attributes and status as OpenTelemetry's HTTP conventions, 1.21.

The same as `opentelemetry-instrumentation-fastapi` makes; a test compares the two.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, Tracer, TracerProvider
from opentelemetry.util.http import detect_synthetic_user_agent

from ..asgi import Scope
from ..exchange import METHODS, OTHER_METHOD, Exchange
from ..logs.redaction import redact_query
from ..route import UNMATCHED
from .trace_context import parent_context, parent_span

SCOPE = "stallscope.middleware"
SCHEMA = "https://opentelemetry.io/schemas/1.21.0"

_OURS = InstrumentationScope(SCOPE, "", SCHEMA)  # as a tracer has it
_synthetic_type = lru_cache(1024)(detect_synthetic_user_agent)


def server_tracer(provider: TracerProvider) -> Tracer:
    """The tracer that server spans come from."""
    return provider.get_tracer(SCOPE, schema_url=SCHEMA)


def request_attributes(exchange: Exchange, scope: Scope) -> dict[str, Any]:
    """What is known of a request when it begins, with this scope."""
    host, port = scope.get("server") or ("0.0.0.0", 80)
    attributes = {
        "url.scheme": scope.get("scheme", "http"),
        "server.address": host if port in (80, None) else f"{host}:{port}",
        "network.protocol.version": scope.get("http_version", "1.1"),
        "url.path": scope["path"],
    }
    if port:
        attributes["server.port"] = port
    if scope["type"] == "http":
        attributes["http.request.method"] = exchange.method
        if exchange.method == OTHER_METHOD:
            attributes["http.request.method_original"] = scope["method"]
    query = scope.get("query_string")
    if query:
        attributes["url.query"] = redact_query(query.decode("utf-8", "replace"))
    _add_client(attributes, exchange.headers, scope.get("client"))
    return attributes


def _add_client(
    attributes: dict[str, Any], headers: Mapping[bytes, bytes], client: tuple[str, int] | None
) -> None:
    user_agent = headers.get(b"user-agent")
    if user_agent:
        attributes["user_agent.original"] = original = user_agent.decode("latin-1")
        synthetic = _synthetic_type(original)
        if synthetic:
            attributes["user_agent.synthetic.type"] = synthetic
    if client:
        attributes["client.address"] = client[0]
        if client[1]:
            attributes["client.port"] = client[1]


def start_span(tracer: Tracer, exchange: Exchange, scope: Scope | None = None) -> Span:
    """The span of a request, since the request began; `scope` as it was then."""
    return tracer.start_span(
        span_name(exchange),
        parent_context(exchange),
        SpanKind.SERVER,
        request_attributes(exchange, exchange.scope if scope is None else scope),
        start_time=exchange.started_ns,
    )


def written_span(
    exchange: Exchange, scope: Scope, context: SpanContext, resource: Resource
) -> ReadableSpan:
    """The span of a request that has ended well, as `start_span` and `end_span` make it."""
    return ReadableSpan(
        span_name(exchange),
        context,
        parent_span(exchange),
        resource,
        {**request_attributes(exchange, scope), **_response_attributes(exchange)},
        kind=SpanKind.SERVER,
        start_time=exchange.started_ns,
        end_time=_ended_ns(exchange),
        instrumentation_scope=_OURS,
    )


def end_span(span: Span, exchange: Exchange) -> None:
    """Say what became of the request, and when."""
    if span.is_recording():
        if exchange.route is not None and exchange.route != UNMATCHED:
            span.update_name(span_name(exchange))
        span.set_attributes(_response_attributes(exchange))
        error = exchange.error
        if isinstance(error, Exception) and not exchange.client_disconnected:
            span.record_exception(error)
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        elif 500 <= exchange.status <= 599:
            span.set_status(StatusCode.ERROR)
    span.end(_ended_ns(exchange))


def _ended_ns(exchange: Exchange) -> int:
    return exchange.started_ns + int(exchange.seconds * 1e9)


def _response_attributes(exchange: Exchange) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if exchange.route is not None and exchange.route != UNMATCHED:
        attributes["http.route"] = exchange.route
    # What became of a websocket is no HTTP status, unless its handshake was refused.
    if exchange.scope["type"] == "http" or not exchange.head_sent:
        attributes["http.response.status_code"] = exchange.status
    if 500 <= exchange.status <= 599:
        attributes["error.type"] = str(exchange.status)
    return attributes


def span_name(exchange: Exchange) -> str:
    """`GET /v1/product/{product_id}`, or what is known of that."""
    route = exchange.route if exchange.route != UNMATCHED else None
    known = exchange.scope["type"] == "http" and exchange.method in METHODS
    method = exchange.method if known else "HTTP"
    return f"{method} {route}" if route else method
