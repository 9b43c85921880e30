"""A loop with a detector and nothing else, and something that blocks it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from middleware import Drops
from middleware.settings import StallSettings
from middleware.stall import StallDetector
from middleware.stall.history import StallHistory
from middleware.stall.listener import Requests
from middleware.stall.record import Cause, Stall

PATIENCE_SECONDS = 30.0
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}
ALONE = StallSettings(sidecar=False)

on_every_loop = pytest.mark.parametrize("loop", LOOPS)


class Heard:
    """A Listener that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.opened_stalls: list[Stall] = []
        self.going_on: list[Stall] = []
        self.stalls: list[tuple[Stall, Requests]] = []
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def opened(self, stall: Stall, requests: Requests) -> None:
        self.opened_stalls.append(stall)

    def goes_on(self, stall: Stall, requests: Requests) -> None:
        self.going_on.append(stall)

    def ended(self, stall: Stall, requests: Requests) -> None:
        self.stalls.append((stall, requests))
        self._loop.call_soon_threadsafe(self._changed.set)

    async def next(self) -> Stall:
        """The next stall that ends, from the first on."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.stalls:
                self._changed.clear()
                await self._changed.wait()
        return self.stalls.pop(0)[0]


def detector(heard: Heard, settings: StallSettings = ALONE, **more: Any) -> StallDetector:
    made = StallDetector(settings, StallHistory(), Drops(CollectorRegistry()), **more)
    made.listeners.append(heard)
    return made


def on_loop(kind: str, work: Callable[[], Awaitable[Any]]) -> Any:
    """Run `work` on a loop of its own, of that kind."""

    async def coroutine() -> Any:
        return await work()

    with asyncio.Runner(loop_factory=LOOPS[kind]) as runner:
        return runner.run(coroutine())


def stalled_by(kind: str, block: Callable[[], object], settings: StallSettings = ALONE) -> Stall:
    """The stall that `block` makes."""

    async def work() -> Stall:
        heard = Heard()
        async with detector(heard, settings):
            await asyncio.sleep(3 * settings.heartbeat_seconds)
            block()
            return await heard.next()

    stall: Stall = on_loop(kind, work)
    return stall


def seen_as(
    cause: Cause,
    kind: str,
    block: Callable[[], object],
    guilty: Callable[..., object] | None = None,
) -> Stall:
    """The stall that `block` makes, and that `guilty` is blamed for, if it is given.

    A host that lets nobody run may need it more than once. Until then another cause may be found,
    and nobody who could be blamed; but for this cause nobody else ever is.
    """
    wanted = f"{guilty.__module__}:{guilty.__qualname__}" if guilty is not None else None
    for _ in range(5):
        stall = stalled_by(kind, block)
        name = stall.culprit.name if stall.culprit is not None else None
        if stall.cause is cause:
            assert name in (None, wanted), stall
            if name == wanted:
                return stall
    raise AssertionError(f"{stall.cause} of {name} and not {cause} of {wanted}: {stall}")


def spin(cpu_seconds: float) -> None:
    """Compute in Python for that much CPU time."""
    end = time.thread_time() + cpu_seconds
    while time.thread_time() < end:
        pass
