"""One request and its response, as facts; what every signal reads."""

import re
from asyncio import CancelledError, current_task
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from random import getrandbits
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any

from .asgi import Headers, Message, Receive, Scope, Send
from .route import UNMATCHED, route_template

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
OTHER_METHOD = "_OTHER"
CLIENT_CLOSED_REQUEST = 499

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")
# W3C Trace Context; only versions after 00 may append something, which is not read.
_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
    rb"(?:(?<!^00.{53})-.*)?"
)

current_exchange: ContextVar["Exchange | None"] = ContextVar("current_exchange", default=None)


class Exchange:
    """Begins with the request's head and ends with the last byte of its response.

    What follows the last byte, a background task say, is part of the request but not of `seconds`.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, when_ended: Callable[["Exchange"], None]
    ) -> None:
        self.started = perf_counter()
        self.started_ns = time_ns()
        self.ended = 0.0
        self.scope = scope
        method = scope.get("method", "GET")  # a websocket's handshake has none in ASGI, and is one
        self.method: str = method if method in METHODS else OTHER_METHOD
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive, self._send, self._when_ended = receive, send, when_ended
        self.task = current_task()
        self.route: str | None = None
        self.status = self.request_bytes = self.response_bytes = 0
        self.error: BaseException | None = None
        self.head_sent = self.client_disconnected = False
        self.server_timing = b""
        self.parent_span_id = 0
        self.parent_context: Context | None = None
        self.span: Span | None = None  # its server span, if one is recorded
        self.sampled = False  # what the trace flags say
        self.traced_elsewhere = False  # somebody else makes its server span
        self.awaits_error = False  # answered 5xx: what is raised is known when the app returns
        # No all-zero id, which is invalid, in as many years as there are.
        ids = getrandbits(192).to_bytes(24).hex()
        self.request_id = self.trace_hex = ids[:32]
        self.span_hex = ids[32:]
        if b"traceparent" in self.headers or b"x-request-id" in self.headers:
            self._read_identity()

    def _read_identity(self) -> None:
        parent = _TRACEPARENT.fullmatch(self.headers.get(b"traceparent", b""))
        if parent is not None:
            self.trace_hex, self.parent_span_id = parent[2].decode(), int(parent[3], 16)
            self.sampled = bool(int(parent[4], 16) & 1)
        request_id = self.headers.get(b"x-request-id", b"")
        if _REQUEST_ID.fullmatch(request_id):
            self.request_id = request_id.decode()

    @property
    def trace_id(self) -> int:
        """As OpenTelemetry has it; `trace_hex` is how everybody writes it."""
        return int(self.trace_hex, 16)

    @property
    def span_id(self) -> int:
        """As OpenTelemetry has it."""
        return int(self.span_hex, 16)

    @property
    def seconds(self) -> float:
        """From the request's head to the last byte of the response, so far if it is under way."""
        return (self.ended or perf_counter()) - self.started

    def belong_to(self, trace_id: int, span_id: int, *, sampled: bool) -> None:
        """Have the ids of a span that somebody else has started for this request."""
        self.trace_hex, self.span_hex = f"{trace_id:032x}", f"{span_id:016x}"
        self.sampled = sampled

    async def receive(self) -> Message:
        """What the app calls as `receive`."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.request_bytes += len(message.get("body", b""))
        elif not self.ended:
            self.client_disconnected = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """What the app calls as `send`."""
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body")
            if body and self.method != "HEAD":  # servers throw that one away
                self.response_bytes += len(body)
            return self._send_body(message)
        if kind == "http.response.start":
            self.status = message["status"]
            message = self._with_own_headers(message)
        elif kind == "http.response.pathsend":  # a whole file, sent by the server
            return self._send_body(message)
        return self._send(message)

    async def _send_body(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # so says a server, from ASGI 2.4 on, that the client has gone
            self.client_disconnected = True
            raise
        if not message.get("more_body"):
            # uvicorn drops what nobody receives without a word; its request knows, if it is one.
            if getattr(getattr(self._receive, "__self__", None), "disconnected", False) is True:
                self.client_disconnected = True
            self._finish()

    def _with_own_headers(self, message: Message) -> Message:
        """Besides, `X-Request-ID`, `traceresponse`, and where the time went until now.

        A copy: the app may send the same message again, to somebody else.
        """
        self.head_sent = True
        flags = "01" if self.sampled else "00"
        trace = f"00-{self.trace_hex}-{self.span_hex}-{flags}"
        milliseconds = (perf_counter() - self.started) * 1e3
        headers: Headers = [
            (b"x-request-id", self.request_id.encode()),
            (b"traceresponse", trace.encode()),
            (b"server-timing", b"total;dur=%.3f" % milliseconds),
        ]
        for header in message.get("headers", ()):
            headers.append(header)
            if header[0] == b"server-timing":
                self.server_timing += b"," + header[1]
        return {**message, "headers": headers}

    def fail(self, error: BaseException) -> None:
        """The app raised: before the response, in the middle of it, or after it."""
        self.error = error
        if self.ended:
            return
        if isinstance(error, CancelledError):
            self.status = self.status or CLIENT_CLOSED_REQUEST
        elif not self.client_disconnected:
            self.status = 500  # whatever the head said: it is not what the client got

    def end(self) -> None:
        """The app is done, and so is the server, whether or not there was a last byte."""
        if not self.ended:
            if self.error is None:
                self.status = 500
            self._finish()

    def _finish(self) -> None:
        """Everything is known; signals are told, once."""
        self.ended = perf_counter()
        if self.client_disconnected:
            self.status = CLIENT_CLOSED_REQUEST
        try:
            self.route = route_template(self.scope)
        except Exception:  # noqa: BLE001 - a framework we do not know put something else there
            self.route = UNMATCHED
        self._when_ended(self)


def identify(headers: Headers) -> tuple[str, Headers]:
    """Id and own headers for the answer to what a server refuses before it is a request."""

    async def nothing(*given: object) -> Any:
        raise NotImplementedError

    exchange = Exchange({"headers": headers}, nothing, nothing, lambda ended: None)
    head = exchange._with_own_headers({})
    return exchange.request_id, head["headers"]
