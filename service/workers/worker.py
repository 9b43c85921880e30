"""One replica, as its supervisor sees it: a child process with an ops port."""

import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from enum import StrEnum

import structlog

log = structlog.get_logger()

_POLL_SECONDS = 0.05
# Longer than the worker itself gives each of its checks.
_ANSWER_SECONDS = 3.0


class State(StrEnum):
    """Where a worker is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class Worker:
    """A running `stallscope worker`, in a session of its own, so that Ctrl-C does not reach it."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, ops: tuple[str, int]):
        self.number, self.ops = number, ops
        self.state = State.STARTING
        self._process = process
        self._started_at = time.monotonic()

    @classmethod
    async def start(cls, number: int, listener: socket.socket, ops: tuple[str, int]) -> "Worker":
        """Start one that serves `listener`; `ops` is where it is to have its ops port.

        On Linux it ends with the *thread* that calls this, however that comes about.
        """
        fd = listener.fileno()
        command = (sys.executable, "-m", "service", "worker", str(os.getpid()), str(fd))
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, "OPS_HOST": ops[0], "OPS_PORT": str(ops[1])},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[fd],
            start_new_session=True,
        )
        log.info("worker_started", worker=number, pid=process.pid, ops_port=ops[1])
        return cls(number, process, ops)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.returncode is None

    @property
    def ran_seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self._started_at

    async def ended(self) -> int:
        """Wait for its end; the exit status, or a signal's number, negative."""
        return await self._process.wait()

    async def becomes_ready(self, within_seconds: float) -> bool:
        """Wait until it is ready, which makes it a running one; False when it ends, or is not."""
        deadline = time.monotonic() + within_seconds
        while not await self.is_ready():
            if await self._ends_within(_POLL_SECONDS) or time.monotonic() > deadline:
                return False
        self.state = State.RUNNING
        log.info("worker_ready", worker=self.number, pid=self.pid)
        return True

    async def is_ready(self) -> bool:
        """Whether its ops port says so."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await _status_line(*self.ops, "/readyz") == b"HTTP/1.1 200 OK"
        except (OSError, TimeoutError):
            return False

    async def stop(self, grace_seconds: float) -> None:
        """Let it finish what it has begun; kill it if that takes longer than `grace_seconds`."""
        if self.state is not State.STOPPING:  # a second signal would end it at once
            self.state = State.STOPPING
            with suppress(ProcessLookupError):
                self._process.terminate()
        if not await self._ends_within(grace_seconds):
            log.warning("worker_killed", worker=self.number, pid=self.pid)
            self.kill()
            await self.ended()

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended()
        return not self.alive


async def _status_line(host: str, port: int, path: str) -> bytes:
    # Where it listens on every address, it listens on this one.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return (await reader.readline()).rstrip()
    finally:
        writer.close()
