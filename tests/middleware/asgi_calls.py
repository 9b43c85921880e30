"""Hand-made ASGI calls: what a server would send to an app, and what the app answers."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from middleware.asgi import ASGIApp, Message, Receive, Scope

PATIENCE_SECONDS = 30.0

HEAD: Message = {"type": "http.response.start", "status": 200, "headers": []}
LAST: Message = {"type": "http.response.body", "body": b"hello"}
DISCONNECT: Message = {"type": "http.disconnect"}


@dataclass
class Answer:
    """What an app sent."""

    messages: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        """Take a message."""
        self.messages.append(message)

    @property
    def status(self) -> int:
        """Of the response, which has to have begun."""
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, list[str]]:
        """Every value of every header."""
        gathered: dict[str, list[str]] = {}
        for name, value in self.messages[0]["headers"]:
            gathered.setdefault(name.decode(), []).append(value.decode())
        return gathered

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])


async def hello(scope: Scope, receive: Any, send: Any) -> None:
    """An app without a framework, for requests only: it sends the same messages every time."""
    assert scope["type"] == "http"
    await send(HEAD)
    await send(LAST)


def requests_only(app: ASGIApp) -> ASGIApp:
    """An app that knows no lifespan, as ASGI wants it said: by an exception."""

    async def refusing(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await app(scope, receive, send)

    return refusing


def http_scope(
    path: str = "/", method: str = "GET", headers: Iterable[tuple[str, str]] = ()
) -> Scope:
    """As a server would make it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("192.0.2.7", 50_000),
        "server": ("127.0.0.1", 80),
    }


def websocket_scope(path: str = "/") -> Scope:
    """The handshake of a websocket."""
    scope = http_scope(path)
    del scope["method"]
    return {**scope, "type": "websocket", "scheme": "ws", "subprotocols": []}


def receiving(*messages: Message) -> Receive:
    """A client that sends `messages` (an empty body, if there are none), and stays."""
    left = list(messages or [{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        return left.pop(0) if left else await asyncio.Future()

    return receive


async def call(app: ASGIApp, scope: Scope, *received: Message) -> Answer:
    """One call by such a client."""
    answer = Answer()
    await app(scope, receiving(*received), answer.send)
    return answer


class LifespanOf:
    """An app's lifespan, as a server carries it out."""

    def __init__(self, app: ASGIApp) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self.task = asyncio.ensure_future(app(scope, self._to_app.get, self._from_app.put))

    async def tell(self, kind: str) -> Message:
        """The answer to `lifespan.startup` or `lifespan.shutdown`."""
        await self._to_app.put({"type": kind})
        answer = asyncio.ensure_future(self._from_app.get())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait([answer, self.task], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self.task
        return answer.result()


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """The app between a startup and a shutdown that it completes."""
    lifespan = LifespanOf(app)
    assert await lifespan.tell("lifespan.startup") == {"type": "lifespan.startup.complete"}
    yield
    assert await lifespan.tell("lifespan.shutdown") == {"type": "lifespan.shutdown.complete"}
    await lifespan.task
