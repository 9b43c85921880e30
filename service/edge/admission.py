"""Which requests are let in at all: not too many at once, not too large."""

from collections.abc import Mapping
from http import HTTPStatus

from prometheus_client import Counter
from starlette.exceptions import HTTPException

from middleware.asgi import ASGIApp, Message, Receive, Scope, Send
from service.edge.problems import request_id_of, send_problem

MAX_BODY_BYTES = 1024 * 1024
_RETRY_AFTER = (b"retry-after", b"1")
_CLOSE = (b"connection", b"close")


class _BodyTooLargeError(HTTPException):
    """The one kind of exception that FastAPI lets pass while it reads a body."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"A body may have {max_bytes} bytes.",
            {"Connection": "close"},
        )


class Admission:
    """Sheds what exceeds `max_in_flight` with 503, and bodies over MAX_BODY_BYTES with 413.

    `max_bytes` has the paths whose bodies may be larger.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_in_flight: int,
        shed: Counter,
        max_bytes: Mapping[str, int] | None = None,
    ) -> None:
        self.app = app
        self._max_bytes = max_bytes or {}
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self._shed = shed.labels("max_in_flight")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.max_in_flight:
            self._shed.inc()
            detail = "The service is at its limit of requests in progress."
            status = HTTPStatus.SERVICE_UNAVAILABLE
            await send_problem(send, status, detail, request_id_of(scope), [_RETRY_AFTER])
            return
        self.in_flight += 1
        try:
            await self._admit(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared = _declared_bytes(scope)
        if declared == 0:  # nearly always: there is nothing to watch
            await self.app(scope, receive, send)
            return
        max_bytes = self._max_bytes.get(scope["path"], MAX_BODY_BYTES)
        answered = False

        async def note_answer(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            if declared > max_bytes:
                raise _BodyTooLargeError(max_bytes)
            await self.app(scope, _bounded(receive, max_bytes), note_answer)
        except _BodyTooLargeError as error:  # frameworks answer it themselves, others do not
            if answered:
                raise
            request_id = request_id_of(scope)
            await send_problem(send, error.status_code, error.detail, request_id, [_CLOSE])


def _declared_bytes(scope: Scope) -> int:
    """The length that the headers declare: 0 without a body, -1 when it comes in chunks."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)  # the server has parsed it already
        if name == b"transfer-encoding":
            return -1
    return 0


def _bounded(receive: Receive, max_bytes: int) -> Receive:
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise _BodyTooLargeError(max_bytes)
        return message

    return receive_bounded
