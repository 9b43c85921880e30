"""A place among the workers: a listening socket that outlives all who serve it."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, NoReturn

import structlog

from service.listeners import bind
from service.workers.backoff import Backoff
from service.workers.worker import State, Worker

log = structlog.get_logger()

Reason = Literal["died", "rolling"]
Start = Callable[[int, socket.socket, tuple[str, int]], Awaitable[Worker]]


@dataclass(frozen=True, slots=True)
class Terms:
    """What all slots have in common."""

    ops_host: str
    ready_seconds: float  # a start may take so long
    stop_seconds: float  # and an end
    restarted: Callable[[Reason], None]
    start: Start = Worker.start
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Slot:
    """Keeps one worker running; while one relieves the other there are two."""

    def __init__(
        self, number: int, listener: socket.socket, ops_ports: tuple[int, int], terms: Terms
    ) -> None:
        self.number = number
        self._listener = listener
        self._ops_port, self._other_ops_port = ops_ports
        self._terms = terms
        self._workers: list[Worker] = []  # the first is the one to keep running
        self._changing = asyncio.Lock()
        self._backoff = Backoff()
        self._ran_seconds = 0.0  # the last one that died

    @property
    def workers(self) -> list[Worker]:
        """Those whose process is there."""
        return [worker for worker in self._workers if worker.alive]

    async def start(self) -> int | None:
        """Start a worker and wait until it is ready; the exit status of one that ends before."""
        async with self._changing:
            worker = await self._launch(self._ops_port)
            if worker is None:
                return 1
            if await worker.becomes_ready(self._terms.ready_seconds):
                return None
            if not worker.alive:
                return await worker.ended()
            log.warning("worker_not_ready", worker=self.number, pid=worker.pid)
            return None

    async def keep_running(self) -> NoReturn:
        """Have a worker, and replace each one that dies, until cancelled."""
        if not self._workers:
            await self.start()
        while True:
            if self._workers:
                await self._outlive(self._workers[0])
            else:
                await self._restart()

    async def relieve(self) -> bool:
        """Put a new worker in the place of the one there is; False when it did not get ready."""
        async with self._changing:
            if not self._workers:  # the next one will be new anyway
                return True
            old = self._workers[0]
            new = await self._launch(self._other_ops_port)
            if new is None or not await new.becomes_ready(self._terms.ready_seconds):
                log.error("worker_not_relieved", worker=self.number, pid=old.pid)
                await self._dismiss(new)
                return False
            self._workers.reverse()
            self._ops_port, self._other_ops_port = self._other_ops_port, self._ops_port
            await self._dismiss(old)
            self._terms.restarted("rolling")
            return True

    def close(self) -> None:
        """Let nobody else queue, and leave the socket to the workers, who answer those who have."""
        if self._listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self._listener.listen(0)
        self._listener.close()

    async def _launch(self, ops_port: int) -> Worker | None:
        ops = (self._terms.ops_host, ops_port)
        try:
            worker = await self._terms.start(self.number, self._listener, ops)
        except OSError as error:  # no memory, too many processes: it may pass
            log.error("worker_not_started", worker=self.number, error=str(error))
            return None
        self._workers.append(worker)
        return worker

    async def _dismiss(self, worker: Worker | None) -> None:
        if worker is not None:
            await worker.stop(self._terms.stop_seconds)
            self._workers.remove(worker)
            cause = _cause(await worker.ended())
            log.info("worker_stopped", worker=self.number, pid=worker.pid, **cause)

    async def _outlive(self, worker: Worker) -> None:
        status = await worker.ended()
        async with self._changing:
            if worker is not self._workers[0]:  # another one has relieved it
                return
            log.error("worker_died", worker=self.number, pid=worker.pid, **_cause(status))
            self._workers.remove(worker)
            self._ran_seconds = worker.ran_seconds
            if worker.state is State.STARTING:
                self._withdraw()

    async def _restart(self) -> None:
        seconds = self._backoff.after(self._ran_seconds)
        self._ran_seconds = 0.0
        log.info("worker_restarting", worker=self.number, delay_seconds=seconds)
        await self._terms.sleep(seconds)
        self._terms.restarted("died")
        await self.start()

    def _withdraw(self) -> None:
        """Send who comes to the other slots: nobody knows when there will be a worker in this."""
        host, port = self._listener.getsockname()[:2]
        fresh = bind("PORT", host, port, shared=True)
        self._listener.close()
        self._listener = fresh


def _cause(status: int) -> dict[str, int | str]:
    """Of a process' end, for its log line."""
    if status >= 0:
        return {"exit_status": status}
    names = {each.value: each.name for each in signal.Signals}
    return {"signal": names.get(-status, str(-status))}
