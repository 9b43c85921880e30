"""One log line per request, written off the request's path."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from ..exchange import Exchange
from ..logs.events import timestamp_of
from ..websocket import INTERNAL_ERROR

Encode = Callable[[dict[str, Any]], bytes]

log = structlog.get_logger()


class Lines(Protocol):
    """Where lines go: a bounded queue that never blocks."""

    def put(self, line: bytes, *, urgent: bool = False) -> None:
        """Queue a line."""


class LogSignal:
    """Writes `request_completed` to `lines`, in the format that `encode` gives.

    At the level warning and above, only of requests that failed.
    """

    def __init__(self, lines: Lines, encode: Encode, level: str) -> None:
        self._lines, self._encode = lines, encode
        self._failed_ones, self._others = level != "critical", level in ("debug", "info")

    def end(self, exchange: Exchange) -> None:
        """Queue the line; who fails is heard at once."""
        if exchange.status >= 500 and _failed(exchange.status):
            if self._failed_ones:  # soon: Starlette answers first, and raises its error then
                asyncio.get_running_loop().call_soon(self._put_urgent, exchange)
        elif self._others:
            # Encoded here: an exchange that waits in a queue grows old, and every old one makes the
            # garbage collector's next full walk through the whole application come sooner.
            self._lines.put(self._encode(request_facts(exchange)))

    def _put_urgent(self, exchange: Exchange) -> None:
        self._lines.put(self._encode(request_facts(exchange)), urgent=True)

    def fail(self, exchange: Exchange) -> None:
        """Write down where it failed; the server does so, too, but not for which request."""
        if not exchange.client_disconnected and isinstance(exchange.error, Exception):
            log.error("request_failed", exc_info=exchange.error)


def request_facts(exchange: Exchange) -> dict[str, Any]:
    """The facts of a request that has ended, as its log line shows them."""
    scope = exchange.scope
    client, status = scope.get("client"), exchange.status
    seconds = exchange.ended - exchange.started
    facts = {
        "timestamp": timestamp_of(exchange.started_ns / 1e9 + seconds),
        "level": "error" if status >= 500 and _failed(status) else "info",
        "event": "request_completed",
        "method": exchange.method,
        "route": exchange.route,
        "path": scope.get("path", ""),
        "status": status,
        "duration_ms": int(seconds * 1e6) / 1e3,  # `round` takes three times as long
        "request_bytes": exchange.request_bytes,
        "response_bytes": exchange.response_bytes,
        "client": client[0] if client else None,
        "user_agent": exchange.headers.get(b"user-agent", b"").decode("latin-1"),
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_hex,
        "span_id": exchange.span_hex,
        "sampled": exchange.sampled,
    }
    if exchange.server_timing:
        facts["timings"] = timings(exchange.server_timing)
    if exchange.client_disconnected:
        facts["client_disconnected"] = True
    if exchange.error is not None:
        facts["error"] = type(exchange.error).__qualname__
    return facts


def timings(server_timing: bytes) -> dict[str, float]:
    """Milliseconds by name, of a `Server-Timing` header."""
    spent = {}
    for entry in server_timing.decode("latin-1").split(","):
        name, _, rest = entry.strip().partition(";")
        _, _, milliseconds = rest.partition("dur=")
        try:
            spent[name] = float(milliseconds.partition(";")[0])
        except ValueError:  # an entry without a duration
            continue
    return spent


def _failed(status: int) -> bool:
    """Of a response, or of a websocket, which is closed with 1000 and more."""
    return 500 <= status < 600 or status == INTERNAL_ERROR
