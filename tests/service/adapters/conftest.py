"""What the adapters' tests share: waiting for facts, suspended servers, clocks set by hand."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from service.adapters import redis_link

PATIENCE_SECONDS = 20.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time, as `time.monotonic` gives it."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may take its time: for tests that a busy machine must not fail."""
    monkeypatch.setattr(redis_link, "PATIENCE_SECONDS", PATIENCE_SECONDS)


async def eventually(fact: Callable[[], object]) -> None:
    """Wait until `fact()` is true. Raises TimeoutError when it does not become so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not fact():  # noqa: ASYNC110  # of other processes, which set no events here
            await asyncio.sleep(0.005)


async def eventually_told(fact: Callable[[], Awaitable[object]]) -> None:
    """Wait until a server says that `fact` is true. Raises TimeoutError when it does not."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await fact():  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.005)


@contextmanager
def suspended(*pids: int) -> Iterator[None]:
    """Processes that hang, without being gone, for as long as the block lasts."""
    try:
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        _await_stop(pids)
        yield
    finally:
        for pid in pids:
            _signal(pid, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # a backend whose client has just left
        os.kill(pid, number)


def _await_stop(pids: tuple[int, ...]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(_is_running(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _is_running(pid: int) -> bool:
    # Only Linux says; elsewhere the signal has arrived for all that a test can see.
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX"
    return False
