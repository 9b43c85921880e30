"""uvicorn, started or refused with one clear message, stopped without cutting anything off."""

import asyncio
import gc
import math
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import asyncpg
import structlog
import uvicorn
from fastapi import APIRouter, FastAPI

from middleware import Health, Telemetry
from service.app import create_app, telemetry_of
from service.background import Background
from service.http_protocol import BoundedHttpProtocol
from service.listeners import StartError, bind
from service.predictions.operations import RELOAD
from service.settings import Settings

if sys.platform != "win32":
    import resource

log = structlog.get_logger()

# How long an idle connection may still bring the request that was on its way when we stopped.
LINGER_SECONDS = 0.5
MOST_TO_ACCEPT = 10_000  # then somebody is attacking us
# Longer than load balancers keep an idle connection, or one of them sends into a closed one.
KEEP_ALIVE_SECONDS = 75
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve(
    settings: Settings,
    inherited: socket.socket | None = None,
    *,
    more_routes: APIRouter | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun. Raises StartError.

    `inherited` is a socket to serve instead of HOST and PORT, and not ours alone: who queues there
    when we stop may be answered by somebody else. `more_routes` come after the service's own.
    """
    _allow_connections()
    with (
        inherited or bind("PORT", settings.host, settings.port) as listener,
        bind("OPS_PORT", settings.ops_host, settings.ops_port) as ops_listener,
    ):
        async with telemetry_of(settings, ops_listener) as telemetry:
            app = create_app(settings, telemetry=telemetry)
            app.routes.extend(more_routes.routes if more_routes else ())
            await _wait_for_database(settings)
            log.info("service_started", host=settings.host, port=listener.getsockname()[1])
            config = _config(app, settings)
            server = GracefulServer(config, telemetry.health, shared=inherited is not None)
            async with _reloading_on_hangup(telemetry):
                await server.serve(sockets=[listener])
            log.info("service_stopped")


class GracefulServer(uvicorn.Server):
    """Stops listening, answers what has arrived, and then ends; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, health: Health, *, shared: bool) -> None:
        super().__init__(config)
        self._health = health
        self._shared = shared

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the first signal as a request to stop; leave the second to the operating system."""

        def stop(number: int, frame: object) -> None:
            self._health.stop()
            self.should_exit = True
            for each in _STOP_SIGNALS:
                signal.signal(each, signal.SIG_DFL)

        for each in _STOP_SIGNALS:
            signal.signal(each, stop)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open everything, then tell the garbage collector that it stays, and let it work."""
        await super().startup(sockets)
        # Walking all that is loaded, again and again, took a tenth of a cached answer's time.
        gc.collect()
        gc.freeze()
        gc.enable()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let idle connections bring the requests that are under way; then uvicorn's shutdown."""
        await self._stop_listening(sockets or [])
        # Answers from now on say that they are the connection's last.
        state = self.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        for connection in state.connections:
            if isinstance(connection, BoundedHttpProtocol):
                connection.let_this_be_the_last()
        now = asyncio.get_running_loop().time
        deadline = now() + LINGER_SECONDS
        while state.connections and now() < deadline:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    async def _stop_listening(self, listeners: list[socket.socket]) -> None:
        """Accept who has connected already: closing would reset them, with all they have sent."""
        if not self._shared:  # else that would be for the whole queue's owner to decide
            for listener in listeners:
                listener.listen(0)  # from here on the operating system lets hardly anybody queue
        for _ in range(MOST_TO_ACCEPT):
            if not select.select(listeners, [], [], 0)[0]:
                break
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()


@asynccontextmanager
async def _reloading_on_hangup(telemetry: Telemetry) -> AsyncIterator[None]:
    """SIGHUP is what a POST to /models/reload at the ops port is."""
    async with Background(grace_seconds=0) as background:

        def reload() -> None:
            if action := telemetry.actions.get(RELOAD):
                background.start(action({}), name="model_reload")

        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        yield


def _allow_connections() -> None:
    """As many descriptors as there may be: a process starts with 1,024, and has more users."""
    if sys.platform != "win32":
        _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(ValueError, OSError):  # macOS says "infinite", and does not mean it
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_seconds),
    )


async def _wait_for_database(settings: Settings) -> None:
    delay = 0.1
    try:
        async with asyncio.timeout(settings.startup_timeout_seconds):
            while fault := await _database_fault(settings):
                log.warning("database_awaited", error=fault, retry_seconds=delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
    except TimeoutError:
        raise StartError(
            f"the database of DATABASE_URL did not answer within "
            f"{settings.startup_timeout_seconds:g} s (STARTUP_TIMEOUT_SECONDS)"
        ) from None


async def _database_fault(settings: Settings) -> str | None:
    try:
        connection = await asyncpg.connect(settings.database_url, timeout=5)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as e:
        raise StartError(f"the database of DATABASE_URL refuses us: {e}") from None
    except (asyncpg.exceptions.ClientConfigurationError, ValueError, OverflowError) as error:
        raise StartError(f"DATABASE_URL cannot be used: {error}") from None
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return str(error) or type(error).__name__
    await connection.close(timeout=5)
    return None
