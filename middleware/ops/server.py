"""Serves the ops port on a thread and a loop of its own, so that it answers while the app cannot.

uvicorn's protocol without its server: that one says when it starts and stops, and takes 0.2 s to
stop, in which the app's loop would wait.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import structlog
import uvicorn
from prometheus_client import CollectorRegistry
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ..exchange import Exchange
from ..health import Health
from ..settings import Settings
from ..stall.history import StallHistory
from .actions import Action, Actions
from .app import OpsApp
from .exposition import Exposition
from .pages import ops_pages
from .stalls import stall_pages

log = structlog.get_logger()

_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What an app lets operators see and do.

    Without a `history`, the page about stalls says that nobody looks for them. `actions` may be
    filled later.
    """

    registries: Sequence[CollectorRegistry]
    health: Health
    in_flight: Collection[Exchange] = ()
    history: StallHistory | None = None
    actions: Mapping[str, Action] = field(default_factory=dict)


class OpsServer:
    """Serves `listener`, which it closes, or else the address that the settings say.

    If that cannot be had, it says so, and there is no ops port: the app matters more.
    """

    def __init__(
        self, settings: Settings, shown: Shown, listener: socket.socket | None = None
    ) -> None:
        token = settings.ops_token.get_secret_value() if settings.ops_token else None
        self._exposition = Exposition(shown.registries)
        stalls = stall_pages(shown.history, settings.stall)
        pages = ops_pages(self._exposition, shown.health, shown.in_flight, stalls)
        self._app = OpsApp(pages, Actions(shown.actions, shown.health), token)
        self._place = settings.ops_host, settings.ops_port
        self._given = listener
        self._stopping: Future[None] = Future()
        self._thread: threading.Thread | None = None
        self.address: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        try:
            listener = self._given or _bound(*self._place)
            listener.listen()
        except OSError as error:
            log.warning(
                "ops_port_unavailable",
                host=self._place[0],
                port=self._place[1],
                reason=error.strerror or str(error),
                effect="no /metrics, no health pages; the app goes on",
                remedy="choose a free port with OPS_PORT (and an address with OPS_HOST)",
            )
            return self
        self.address = listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, args=(listener,), name="ops", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._stopping.set_result(None)
            self._thread.join(_STOP_SECONDS)
            self._thread = self.address = None

    def _run(self, listener: socket.socket) -> None:
        try:
            with listener, asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._serve(listener))
        except Exception:
            log.exception("ops_port_failed", effect="no /metrics, no health pages")
        finally:
            self._exposition.close()

    async def _serve(self, listener: socket.socket) -> None:
        config, state = _config(self._app), ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: _Http(config, state, app_state={}), sock=listener
        )
        await asyncio.wrap_future(self._stopping)
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are closed


class _Http(H11Protocol):
    """Writes no access log, without turning off the app's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False


def _config(app: OpsApp) -> uvicorn.Config:
    # Everything that uvicorn would otherwise do to the process' logging or read from its
    # environment is given here.
    config = uvicorn.Config(
        app,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        forwarded_allow_ips="",
        workers=1,
        lifespan="off",
        ws="none",
    )
    config.load()
    return config


def _bound(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two processes share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
