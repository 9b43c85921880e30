"""The only ASGI wrapper: begins an Exchange, watches it, tells the signals."""

import asyncio
from math import inf

import structlog

from .asgi import ASGIApp, Receive, Scope, Send
from .exchange import Exchange, current_exchange
from .lifespan import Lifespan
from .settings import Settings
from .signals.tracing import TracingSignal
from .telemetry import Moments, Telemetry
from .websocket import Connection

log = structlog.get_logger()

_OBSERVED = "observability"  # in the scope of what is observed already
_FASTAPI_TELEMETRY = "fastapi.telemetry"


class Observability:
    """Observes every request to `app`, whatever framework made it.

    Settings come from the environment unless given, here or in a `telemetry` that is shared with
    whoever serves the app. Starts with the ASGI lifespan, or with the first request where the
    server has none.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.app = app  # OpenTelemetry's middleware comes in between, for all who walk this chain
        self.telemetry = telemetry or Telemetry(settings)
        self._observed = app
        # Bound once: each request would make its own.
        self._when_ended, self._when_closed = self._ended, self._closed
        self._tracing: TracingSignal | None = None
        self._ends: Moments = []
        self._connects: Moments = []
        self._closes: Moments = []
        self._slow_seconds = inf
        self._watching = False
        self._lifespan_known = self._said_twice = self._failed = False
        self._starting = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if not self._watching or _OBSERVED in scope or kind == "lifespan":
            await self._call_seldom(scope, receive, send)
            return
        if kind == "http":
            exchange = Exchange(scope, receive, send, self._when_ended)
        else:
            exchange = Connection(scope, receive, send, self._when_closed)
            self.telemetry.tell(self._connects, exchange)
        scope[_OBSERVED] = True
        # FastAPI's own way to say that an app is observed already: it would trace it again.
        scope[_FASTAPI_TELEMETRY] = None
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        current = current_exchange.set(exchange)
        telemetry, tracing = self.telemetry, self._tracing
        telemetry.in_flight.begin(exchange)
        context = None
        try:
            if tracing is not None:
                context = tracing.begin(exchange)
            if exchange.traced_elsewhere and tracing is not None:
                await tracing.run(exchange)
            else:
                await self._observed(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.fail(error)
            telemetry.tell(telemetry.failures, exchange)
            raise
        finally:
            if not exchange.ended:
                exchange.end()
            if context is not None and tracing is not None:
                tracing.detach(exchange, context)
            current_exchange.reset(current)

    def _ended(self, exchange: Exchange) -> None:
        telemetry = self.telemetry
        telemetry.in_flight.end(exchange)
        telemetry.records.add(exchange)
        # Of all others the record says enough.
        if (
            exchange.status >= 500
            or exchange.span is not None
            or exchange.ended - exchange.started > self._slow_seconds
        ):
            telemetry.tell(self._ends, exchange)

    def _closed(self, connection: Exchange) -> None:
        self.telemetry.in_flight.discard(connection)
        self.telemetry.tell(self._closes, connection)

    async def _call_seldom(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _OBSERVED in scope:
            if not self._said_twice:
                self._said_twice = True
                log.warning("observability_added_twice", effect="the outer one observes")
            await self._observed(scope, receive, send)
        elif scope["type"] == "lifespan":
            self._lifespan_known = True
            scope[_OBSERVED] = True
            await self._run_lifespan(scope, receive, send)
        elif await self._start_late():
            await self(scope, receive, send)
        else:
            await self._observed(scope, receive, send)

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._start()
        except Exception as error:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": f"observability: {error}"})
            raise
        try:
            await Lifespan(self._observed, self.telemetry.health, self._stop).run(
                scope, receive, send
            )
        finally:
            await self._stop()

    async def _start_late(self) -> bool:
        """Start with a request, where the server sends no lifespan; whether that worked."""
        if self._lifespan_known:  # it is over, or never began
            return False
        async with self._starting:
            if not self._watching and not self._failed:
                try:
                    await self._start()
                    self.telemetry.health.serve()
                except Exception:
                    self._failed = True
                    log.exception("observability_not_started", effect="nothing is observed")
        return self._watching

    async def _start(self) -> None:
        telemetry = await self.telemetry.__aenter__()
        self._ends = telemetry.ends
        self._connects, self._closes = telemetry.connects, telemetry.closes
        if telemetry.tracing is not None:
            self._tracing = tracing = telemetry.trace(self._observed)
            self.app = tracing.traced_app
            self._slow_seconds = tracing.slow_seconds
            self._ends = [*self._ends, ("traces", tracing.end)]
            self._closes = [*self._closes, ("traces", tracing.end)]
        self._watching = True

    async def _stop(self) -> None:
        if self._watching:
            self._watching = False
            self.app, self._tracing = self._observed, None
            await self.telemetry.__aexit__(None, None, None)
