"""What every response carries, whoever made it, and the one for what nobody has answered."""

import asyncio
from http import HTTPStatus

from middleware.asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from service.edge.problems import request_id_of, send_problem

_CLOSE = (b"connection", b"close")
SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
NOTHING_TO_LOAD = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class ResponseHeaders:
    """Gives each response the headers that keep browsers from misuse, and each request a response.

    An error that nobody has foreseen is answered here and goes on: to logs, Sentry and the server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        response = _Response(send)
        try:
            await self.app(scope, receive, response.send)
        except asyncio.CancelledError:  # by the server, whose time to stop gracefully is over
            detail = "The service is being stopped."
            await response.answer(scope, HTTPStatus.SERVICE_UNAVAILABLE, detail, [_CLOSE])
            raise
        except Exception:
            detail = "An error of ours; it was logged under this request_id."
            await response.answer(scope, HTTPStatus.INTERNAL_SERVER_ERROR, detail, [])
            raise


class _Response:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            headers: Headers = [*message.get("headers", ()), *SECURITY]
            if not any(name == b"content-security-policy" for name, _ in headers):
                headers.append(NOTHING_TO_LOAD)
            message["headers"] = headers
        await self._send(message)

    async def answer(self, scope: Scope, status: HTTPStatus, detail: str, headers: Headers) -> None:
        if not self._begun:
            await send_problem(self.send, status, detail, request_id_of(scope), headers)
