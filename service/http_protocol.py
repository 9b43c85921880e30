"""uvicorn's HTTP/1.1 protocol, with limits on what comes before a request is known.

uvicorn keeps an endless header in memory, waits forever for half a request, and answers what it
cannot parse in plain text.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from middleware import identify
from service.edge.problems import problem_body
from service.edge.response_headers import NOTHING_TO_LOAD, SECURITY

MAX_HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
_TOO_LARGE = f"The request line and headers may have {MAX_HEAD_BYTES} bytes."


class BoundedHttpProtocol(HttpToolsProtocol):
    """Request line and headers: MAX_HEAD_BYTES at most (431), within HEAD_SECONDS (408)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._head_open = True
        self._refused = False
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect a request."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it
        self._head_deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, unless it is too much."""
        if self._refused:
            return
        if self._head_open:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_open and self._head_bytes > 0 and not self.transport.is_closing():
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_LARGE)
            elif self._head_deadline is None:
                self._head_deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def on_headers_complete(self) -> None:
        """The request is known."""
        self._head_open = False
        self._stop_waiting()
        if sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._head_bytes = MAX_HEAD_BYTES + 1
            raise ValueError("the head came in one piece, and is too large")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next request may follow."""
        self._head_open = True
        self._head_bytes = 0
        super().on_message_complete()

    def let_this_be_the_last(self) -> None:
        """Close the connection after the answer that is being made."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has too large a head."""
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_LARGE)
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _give_up(self) -> None:
        if self._head_bytes > 0 and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time.")
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        self._refused = True
        if self._head_open and self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False  # its request was good: it gets its answer, the last one
            return
        request_id, own_headers = identify(self.headers or [])
        body = problem_body(status, detail, request_id)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            *own_headers,
            *SECURITY,
            NOTHING_TO_LOAD,
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], lines, body))
        self.transport.close()
