"""Blocking HTTP for worker threads: connections are kept alive, and every call ends in time."""

import io
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import (
    HTTPConnection,
    HTTPMessage,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
)
from socket import socket
from typing import Any
from urllib.parse import SplitResult

_SHORTEST_SECONDS = 0.001  # a time limit of 0 would mean: fail where it would wait


class AnswerTooLargeError(Exception):
    """The answer has more bytes than are read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: HTTPMessage
    body: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """How long making a connection and a whole call may take, and how large an answer may be."""

    connect_seconds: float
    call_seconds: float
    answer_bytes: int


class HttpConnections:
    """Connections to one server, as many as there were calls at once."""

    def __init__(self, server: SplitResult, limits: Limits) -> None:
        self._server = server
        self._limits = limits
        self._idle: deque[_Connection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Whatever the server answers; it is asked again if it hangs up before it says anything.

        For what does no harm when it is done twice. Raises OSError, of which TimeoutError is one,
        HTTPException or AnswerTooLargeError.
        """
        deadline = time.monotonic() + self._limits.call_seconds
        connection = self._kept_alive() or self._connect(deadline)
        try:
            try:
                response = connection.ask(path, body, headers, deadline)
            except ConnectionError:
                connection.close()
                connection = self._connect(deadline)
                response = connection.ask(path, body, headers, deadline)
            answer = _read(response, self._limits.answer_bytes)
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    def _kept_alive(self) -> "_Connection | None":
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self, deadline: float) -> "_Connection":
        return _Connection(self._server, min(self._limits.connect_seconds, _left(deadline)))


class _Connection:
    def __init__(self, server: SplitResult, timeout_seconds: float) -> None:
        kind = HTTPSConnection if server.scheme == "https" else HTTPConnection
        self._http = kind(server.hostname or "", server.port, timeout=timeout_seconds)
        self._http.connect()
        self._socket = self._http.sock = _TimedSocket(self._http.sock)

    def ask(
        self, path: str, body: bytes, headers: Mapping[str, str], deadline: float
    ) -> HTTPResponse:
        """Send it, and wait for the head of the answer."""
        self._socket.deadline = deadline
        self._http.request("POST", path, body, headers)
        return self._http.getresponse()

    def close(self) -> None:
        self._http.close()


class _TimedSocket:
    """What http.client needs of a socket; nothing waits beyond the deadline.

    A socket's own limit is for each operation: a server could hold a call up byte by byte.
    """

    def __init__(self, plain: socket) -> None:
        self.plain = plain
        self.deadline = 0.0

    def wait_no_longer(self) -> None:
        """Give the next operation the time that is left."""
        self.plain.settimeout(_left(self.deadline))

    def sendall(self, content: bytes) -> None:
        self.wait_no_longer()
        self.plain.sendall(content)  # whose limit is for all of it

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self))

    def close(self) -> None:
        self.plain.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, timed: _TimedSocket) -> None:
        self._timed = timed
        self._raw = timed.plain.makefile("rb", buffering=0)  # keeps the socket until it is closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._timed.wait_no_longer()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), _SHORTEST_SECONDS)


def _read(response: HTTPResponse, most_bytes: int) -> Answer:
    with response:
        body = response.read(most_bytes + 1)
        if len(body) > most_bytes:
            raise AnswerTooLargeError
        if response.length:  # still to come, but the server has hung up
            raise IncompleteRead(body, response.length)
        return Answer(response.status, response.headers, body)


def _close_all(connections: "deque[_Connection]") -> None:
    for connection in connections:
        connection.close()
