"""One websocket connection, as facts: from the handshake to the close."""

from collections.abc import Awaitable

from .asgi import Message
from .exchange import Exchange

# RFC 6455's codes.
NORMAL = 1000
ABNORMAL = 1006  # it ended without a close
INTERNAL_ERROR = 1011


class Connection(Exchange):
    """`status` is the code it was closed with, or of the response that refused the handshake."""

    async def receive(self) -> Message:
        """What the app calls as `receive`."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self.request_bytes += _size(message)
        elif message["type"] == "websocket.disconnect":
            self._close(message.get("code", ABNORMAL))
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """What the app calls as `send`."""
        kind = message["type"]
        if kind == "websocket.accept":
            message = self._with_own_headers(message)
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
            message = self._with_own_headers(message)
        elif kind == "websocket.http.response.body":
            self.response_bytes += len(message.get("body", b""))
        elif kind == "websocket.send":
            self.response_bytes += _size(message)
        return self._send_on(message)

    async def _send_on(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # so says a server that the client has gone
            self._close(ABNORMAL)
            raise
        if message["type"] == "websocket.close":
            self._close(message.get("code", NORMAL) if self.head_sent else 403)

    def fail(self, error: BaseException) -> None:
        """The app raised."""
        if not self.ended:
            self.status = INTERNAL_ERROR if self.head_sent else 500
        self.error = error

    def end(self) -> None:
        """The app may just return: then the server closes what is open, and refuses what is not."""
        self._close(self.status or (NORMAL if self.head_sent else 500))

    def _close(self, code: int) -> None:
        if not self.ended:
            self.status = code
            self._finish()


def _size(message: Message) -> int:
    text = message.get("text")
    return len(text.encode() if text else message.get("bytes") or b"")
