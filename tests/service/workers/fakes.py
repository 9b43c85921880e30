"""Workers without processes, that do as they are told."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from itertools import count
from typing import cast

from service.workers.worker import Worker

_pids = count(1000)


class FakeProcess:
    """As asyncio's; SIGTERM ends it."""

    def __init__(self) -> None:
        self.pid = next(_pids)
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def end(self, status: int) -> None:
        """Be over."""
        self.returncode = status
        self._ended.set()

    def terminate(self) -> None:
        """Be told to stop."""
        self.end(0)

    async def wait(self) -> int | None:
        """The exit status."""
        await self._ended.wait()
        return self.returncode


class FakeWorker(Worker):
    """Ready when it is told so."""

    def __init__(self, number: int, ops: tuple[str, int], *, ready: bool = True) -> None:
        self.fake = FakeProcess()
        super().__init__(number, cast(asyncio.subprocess.Process, self.fake), ops)
        self.ready = ready

    async def is_ready(self) -> bool:
        """Whether it was told so, and lives."""
        return self.ready and self.alive

    def kill(self) -> None:
        """As the operating system would."""
        self.fake.end(-signal.SIGKILL)


Life = Callable[[FakeWorker, socket.socket], None]


def well(worker: FakeWorker, listener: socket.socket) -> None:
    """Listens, and lives."""
    listener.listen()


def stillborn(worker: FakeWorker, listener: socket.socket) -> None:
    """Ends before it is ready."""
    worker.ready = False
    worker.fake.end(1)


def torn_away(worker: FakeWorker, listener: socket.socket) -> None:
    """Listens, and ends before it is ready."""
    listener.listen()
    stillborn(worker, listener)


def never_ready(worker: FakeWorker, listener: socket.socket) -> None:
    """Lives, and is of no use."""
    worker.ready = False


def impossible(worker: FakeWorker, listener: socket.socket) -> None:
    """There is no process to be had."""
    raise BlockingIOError("Resource temporarily unavailable")


class Starts:
    """Stands for Worker.start: each start leads the next life; the last one for ever."""

    def __init__(self, *lives: Life) -> None:
        self.workers: list[FakeWorker] = []
        self._lives: Iterator[Life] = iter(lives)
        self._last = lives[-1]

    async def __call__(
        self, number: int, listener: socket.socket, ops: tuple[str, int]
    ) -> FakeWorker:
        """Start one."""
        worker = FakeWorker(number, ops)
        next(self._lives, self._last)(worker, listener)
        self.workers.append(worker)
        return worker
