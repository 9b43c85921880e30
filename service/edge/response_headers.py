"""The headers that every response carries, whoever made it."""

import asyncio
import re
import time
from http import HTTPStatus
from random import getrandbits

from service.edge.asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from service.edge.problems import send_problem

_WELL_FORMED_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

_CLOSE = (b"connection", b"close")
_SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
NOTHING_TO_LOAD = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


def request_id_of(scope: Scope) -> str:
    """The id of the request: the caller's if it is well-formed, else ours."""
    return str(scope["state"]["request_id"])


def own_headers(scope: Scope) -> Headers:
    """`X-Request-ID`, `traceresponse`, `Server-Timing`, and what keeps browsers from misuse."""
    state = scope["state"]
    spent_ms = (time.perf_counter() - state["started"]) * 1e3
    return [*state["identity"], *_SECURITY, (b"server-timing", b"total;dur=%.3f" % spent_ms)]


class ResponseHeaders:
    """Gives each request its id, and each response the headers that all of them carry."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identify(scope)
        answered = False

        async def send_with_headers(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                headers: Headers = [*message.get("headers", ()), *own_headers(scope)]
                if not any(name == b"content-security-policy" for name, _ in headers):
                    headers.append(NOTHING_TO_LOAD)
                message["headers"] = headers
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # by the server, whose time to stop gracefully is over
            if not answered:
                status, detail = HTTPStatus.SERVICE_UNAVAILABLE, "The service is being stopped."
                request_id = request_id_of(scope)
                await send_problem(send_with_headers, status, detail, request_id, [_CLOSE])
            raise


def identify(scope: Scope) -> None:
    """Give the request its id and its place in a trace."""
    state = scope.setdefault("state", {})
    state["started"] = time.perf_counter()
    request_id, trace = _identity(scope["headers"])
    state["request_id"] = request_id.decode()
    state["identity"] = [(b"x-request-id", request_id), (b"traceresponse", trace)]


def _identity(headers: Headers) -> tuple[bytes, bytes]:
    request_id = trace_id = b""
    for name, value in headers:
        if name == b"x-request-id" and _WELL_FORMED_ID.fullmatch(value):
            request_id = value
        elif name == b"traceparent" and (parent := _TRACEPARENT.fullmatch(value)):
            trace_id = parent[1]
    if not trace_id:
        trace_id = b"%032x" % (getrandbits(128) or 1)
    trace = b"00-%b-%016x-00" % (trace_id, getrandbits(64) or 1)
    return request_id or b"%032x" % getrandbits(128), trace
