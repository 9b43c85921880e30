"""One observed app, called without a server."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from middleware import Observability, Settings, Telemetry
from middleware.asgi import ASGIApp, Message, Scope
from middleware.settings import Switches

SETTINGS = Settings(
    _env_file=None,
    observability=Switches(logs=False, ops=False, sentry=False, stalls=False),
)


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """The app within its lifespan."""
    requests: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    lifespan = asyncio.create_task(_call(app, scope, requests.get, answers.put))
    requests.put_nowait({"type": "lifespan.startup"})
    assert (await answers.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        requests.put_nowait({"type": "lifespan.shutdown"})
        await lifespan


async def _call(app: ASGIApp, *arguments: Any) -> None:
    await app(*arguments)


@asynccontextmanager
async def observed(
    app: ASGIApp, telemetry: Telemetry | None = None
) -> AsyncIterator[Observability]:
    """`app`, wrapped from outside, within its lifespan."""
    wrapped = Observability(app, telemetry=telemetry or Telemetry(SETTINGS))
    async with running(wrapped):
        yield wrapped


def http_scope(
    path: str = "/", method: str = "GET", headers: Iterable[tuple[str, str]] = (), query: str = ""
) -> Scope:
    """As uvicorn makes them."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 54321),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "state": {},
    }


async def call(app: ASGIApp, scope: Scope, received: Iterable[Message] = ()) -> list[Message]:
    """What the app sends; what it raises is left to the app's server, which would log it."""
    incoming = iter(received or [{"type": "http.request", "body": b"", "more_body": False}])
    sent: list[Message] = []

    async def receive() -> Message:
        try:
            return next(incoming)
        except StopIteration:
            await asyncio.Event().wait()
            raise

    async def send(message: Message) -> None:
        sent.append(dict(message))

    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001
        sent.append({"type": "raised"})
    return sent


def header_of(sent: list[Message], name: str) -> str:
    """A header of the response."""
    head = next(each for each in sent if each["type"] == "http.response.start")
    return str(dict(head["headers"])[name.encode()].decode())
