"""A real uvicorn on a thread of its own, with either event loop, and clients that block."""

import asyncio
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import Any

import uvicorn
import uvloop

from middleware.asgi import ASGIApp

from .asgi_calls import PATIENCE_SECONDS

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Served:
    """A server that has started."""

    def __init__(self, port: int, server: uvicorn.Server, loop: asyncio.AbstractEventLoop) -> None:
        self.port, self._server, self._loop = port, server, loop

    @contextmanager
    def get(self, path: str, method: str = "GET") -> Iterator[http.client.HTTPResponse]:
        """The response, its body not read yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        with closing(connection):
            connection.request(method, path)
            with connection.getresponse() as response:
                yield response

    def read(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        """Status and body."""
        with self.get(path, method) as response:
            return response.status, response.read()

    def ask(self, path: str) -> socket.socket:
        """A client that has sent its request."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
        return client

    def on_loop(self, call: Callable[[], Any]) -> None:
        """Have the server's loop do something, and wait until it is done."""
        done: Future[None] = Future()

        def do() -> None:
            call()
            done.set_result(None)

        self._loop.call_soon_threadsafe(do)
        done.result(PATIENCE_SECONDS)

    def stop(self) -> None:
        """Ask it to end."""
        self._server.should_exit = True


def hang_up(client: socket.socket) -> None:
    """As a process does that dies: with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class NotStartedError(Exception):
    """The app did not want to."""


@contextmanager
def serving(app: ASGIApp, loop: str = "asyncio", **options: Any) -> Iterator[Served]:
    """The app, served; has shut down when left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started: Future[Served] = Future()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, **options))

        async def serve() -> None:
            port = listener.getsockname()[1]
            watch = asyncio.create_task(_started(server))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await asyncio.wait([watch, serving], return_when=asyncio.FIRST_COMPLETED)
            started.set_result(Served(port, server, asyncio.get_running_loop()))
            await serving
            watch.cancel()

        def run() -> None:
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                try:
                    runner.run(serve())
                except SystemExit:  # uvicorn's way to say that the app did not start
                    started.set_exception(NotStartedError())

        thread = threading.Thread(target=run, name="uvicorn", daemon=True)
        thread.start()
        try:
            yield started.result(PATIENCE_SECONDS)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


async def _started(server: uvicorn.Server) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
