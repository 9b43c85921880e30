"""One log line per request, written off the request's path."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from ..exchange import Exchange
from ..logs.events import timestamp_of
from ..records import Record, record_of
from ..websocket import INTERNAL_ERROR

Encode = Callable[[dict[str, Any]], bytes]

log = structlog.get_logger()


class Lines(Protocol):
    """Where lines go: a bounded queue that never blocks."""

    def put(self, line: bytes, *, urgent: bool = False) -> None:
        """Queue a line."""

    def catch_up(self) -> None:
        """Queue the lines that should come before the next one."""


class LogSignal:
    """Writes `request_completed` to `lines`, in the format that `encode` gives.

    At the level warning and above, only of requests that failed.
    """

    def __init__(self, lines: Lines, encode: Encode, level: str) -> None:
        self._lines, self._encode = lines, encode
        self._failed_ones, self.writes_all = level != "critical", level in ("debug", "info")

    def write(self, record: Record) -> None:
        """Queue the line of what has not failed."""
        if self.writes_all and not (record.status >= 500 and _failed(record.status)):
            self._lines.put(self._encode(request_facts(record)))

    def end(self, exchange: Exchange) -> None:
        """Queue the line of what has failed: it is heard at once."""
        if self._failed_ones and _failed(exchange.status):
            # Soon: Starlette answers first, and raises its error then.
            asyncio.get_running_loop().call_soon(self._put_urgent, exchange)

    def close(self, connection: Exchange) -> None:
        """Queue the line of a websocket connection."""
        self.end(connection)
        self.write(record_of(connection))

    def _put_urgent(self, exchange: Exchange) -> None:
        self._lines.catch_up()
        self._lines.put(self._encode(request_facts(record_of(exchange))), urgent=True)

    def fail(self, exchange: Exchange) -> None:
        """Write down where it failed; the server does so, too, but not for which request."""
        if not exchange.client_disconnected and isinstance(exchange.error, Exception):
            log.error("request_failed", exc_info=exchange.error)


def request_facts(record: Record) -> dict[str, Any]:
    """The facts of a request that has ended, as its log line shows them."""
    # In one go: attribute by attribute takes three times as long.
    (
        method,
        route,
        status,
        started_ns,
        seconds,
        path,
        client,
        user_agent,
        request_bytes,
        response_bytes,
        request_id,
        trace_id,
        span_id,
        sampled,
        server_timing,
        client_disconnected,
        error,
    ) = record
    facts: dict[str, Any] = {
        "timestamp": timestamp_of(started_ns / 1e9 + seconds),
        "level": "error" if status >= 500 and _failed(status) else "info",
        "event": "request_completed",
        "method": method,
        "route": route,
        "path": path,
        "status": status,
        "duration_ms": int(seconds * 1e6) / 1e3,  # `round` takes three times as long
        "request_bytes": request_bytes,
        "response_bytes": response_bytes,
        "client": client[0] if client else None,
        "user_agent": user_agent.decode("latin-1"),
        "request_id": request_id,
        "trace_id": trace_id,
        "span_id": span_id,
        "sampled": sampled,
    }
    if server_timing:
        facts["timings"] = timings(server_timing)
    if client_disconnected:
        facts["client_disconnected"] = True
    if error is not None:
        facts["error"] = error
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
