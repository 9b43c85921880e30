"""The ASGI lifespan of what is observed: telemetry starts before the app and stops after it."""

from collections.abc import Awaitable, Callable

from .asgi import ASGIApp, Message, Receive, Scope, Send
from .health import Health

_STARTED = "lifespan.startup.complete"
_SHUTDOWN, _STOPPED = "lifespan.shutdown", "lifespan.shutdown.complete"


class Lifespan:
    """Carries `app` through its lifespan, and one that knows none, or not all of it, through ours.

    `stop` is awaited before the server learns that the app has stopped: it may end the process.
    """

    def __init__(self, app: ASGIApp, health: Health, stop: Callable[[], Awaitable[None]]) -> None:
        self._app, self._health, self._stop = app, health, stop
        self._asked: str | None = None
        self._answered: str | None = None

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the server shuts down, or the app fails to start."""

        async def watched_receive() -> Message:
            message = await receive()
            self._asked = message["type"]
            if self._asked == _SHUTDOWN:
                self._health.stop()
            return message

        async def watched_send(message: Message) -> None:
            kind = message["type"]
            if not kind.startswith("lifespan."):
                raise LifespanUnknownError(f"the app answers the lifespan with {kind!r}")
            self._answered = kind
            if kind == _STARTED:
                self._health.serve()
            else:
                await self._stop()
            await send(message)

        try:
            await self._app(scope, watched_receive, watched_send)
        except Exception:
            if self._answered:
                raise
            # ASGI: an exception before any answer says that the app knows no lifespan.
        await self._finish(watched_receive, watched_send)

    async def _finish(self, receive: Receive, send: Send) -> None:
        if self._answered is None:
            if self._asked is None:
                await receive()
            await send({"type": _STARTED})
        if self._answered == _STARTED:
            if self._asked != _SHUTDOWN:
                await receive()
            await send({"type": _STOPPED})


class LifespanUnknownError(Exception):
    """The app takes the lifespan for a request, as a plain function may."""
