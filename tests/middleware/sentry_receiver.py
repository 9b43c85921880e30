"""A Sentry that takes envelopes over HTTP, or misbehaves in the ways a backend can."""

import gzip
import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import brotli  # type: ignore[import-untyped]  # ships no types

Mode = Literal["well", "error", "rate_limit", "hang", "garbage"]
SECONDS = 20.0


class SentryReceiver:
    """Keeps the events of every envelope it has read, in order."""

    def __init__(self) -> None:
        self.mode: Mode = "well"
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.authorizations: list[str] = []
        self.asked = threading.Event()
        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self.dsn = f"http://public@127.0.0.1:{self.server.server_port}/42"

    def next_event(self) -> dict[str, Any]:
        """The event that comes next; waits for it."""
        return self.events.get(timeout=SECONDS)

    def take(self, body: bytes) -> None:
        """Read one envelope."""
        for kind, payload in _items(body):
            if kind == "event":
                self.events.put(json.loads(payload))


@contextmanager
def receiving() -> Iterator[SentryReceiver]:
    """A receiver on a thread of its own."""
    receiver = SentryReceiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


def _items(envelope: bytes) -> Iterator[tuple[str, bytes]]:
    _, _, rest = envelope.partition(b"\n")
    while rest:
        head, _, rest = rest.partition(b"\n")
        header = json.loads(head)
        payload, rest = rest[: header["length"]], rest[header["length"] + 1 :]
        yield header["type"], payload


# The SDK prefers Brotli where it is installed.
_DECODE: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "br": brotli.decompress}


def _handler_for(receiver: SentryReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/api/42/envelope/", self.path
            receiver.authorizations.append(self.headers["X-Sentry-Auth"])
            receiver.asked.set()
            self._answer(receiver.mode, _DECODE[self.headers["Content-Encoding"]](body))

        def _answer(self, mode: Mode, envelope: bytes) -> None:
            if mode == "hang":
                receiver.released.wait()
            elif mode == "garbage":
                self.wfile.write(b"\x00\xff what is this?\r\n\r\n")
            elif mode == "well":
                receiver.take(envelope)
                self._reply(200)
            else:
                self._reply(500 if mode == "error" else 429)

        def _reply(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Retry-After", "60")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
