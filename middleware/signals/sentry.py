"""What the app raised, as a report to Sentry; requests that do not fail cost nothing."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from ..asgi import Scope
from ..exchange import Exchange
from ..logs.redaction import redact, redact_query, redact_url
from ..route import UNMATCHED, route_template

Describe = Callable[[], dict[str, Any]]

# Frameworks' names for a client that hung up, whether or not the app has heard of it.
_DISCONNECTS = frozenset({"ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect"})
_PERSONAL = frozenset(
    {b"cookie", b"forwarded", b"x-forwarded-for", b"x-real-ip", b"true-client-ip"}
    | {b"cf-connecting-ip", b"x-client-ip"}
)


class Reporter(Protocol):
    """Where errors go: a bounded queue that never blocks."""

    def report_error(self, error: BaseException, describe: Describe) -> None:
        """Queue `error`; `describe` gives fields of the event when its turn comes."""


class SentrySignal:
    """Reports what the app raised, before, during or after its response."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def fail(self, exchange: Exchange) -> None:
        """Queue a report, unless the client hung up or the process is ending."""
        error = exchange.error
        if error is not None and _is_fault(error, exchange):
            self._reporter.report_error(error, partial(request_fields, exchange))


def _is_fault(error: BaseException, exchange: Exchange) -> bool:
    # Cancellation, Ctrl-C and exit are no Exceptions.
    return (
        isinstance(error, Exception)
        and not exchange.client_disconnected
        and type(error).__name__ not in _DISCONNECTS
    )


def request_fields(exchange: Exchange) -> dict[str, Any]:
    """The fields of a Sentry event that say which request it belongs to."""
    route = _route(exchange)
    return {
        "transaction": f"{exchange.method} {route}",
        "transaction_info": {"source": "route"},
        "tags": {
            "http.route": route,
            "http.request.method": exchange.method,
            "request_id": exchange.request_id,
        },
        "contexts": {"trace": trace_context(exchange)},
        "request": _request(exchange),
    }


def trace_context(exchange: Exchange) -> dict[str, Any]:
    """Links a Sentry event to the request's OpenTelemetry trace."""
    context = {
        "trace_id": exchange.trace_hex,
        "span_id": exchange.span_hex,
        "op": "http.server" if exchange.scope["type"] == "http" else "websocket.server",
    }
    if exchange.parent_span_id:
        context["parent_span_id"] = f"{exchange.parent_span_id:016x}"
    return context


def _route(exchange: Exchange) -> str:
    if exchange.route is None:  # it has not ended yet
        with suppress(Exception):  # as Exchange.end does
            return route_template(exchange.scope)
    return exchange.route or UNMATCHED


def _request(exchange: Exchange) -> dict[str, Any]:
    """Without body, cookies and addresses, and redacted: a client may not care what it sends."""
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in exchange.headers.items()
        if name not in _PERSONAL
    }
    return {
        "method": exchange.method,
        "url": _url(exchange.scope, headers.pop("host", "")),
        "query_string": redact_query(exchange.scope.get("query_string", b"").decode("latin-1")),
        "headers": redact(headers),
    }


def _url(scope: Scope, host: str) -> str:
    return redact_url(f"{scope.get('scheme', 'http')}://{host}{scope.get('path', '')}")
