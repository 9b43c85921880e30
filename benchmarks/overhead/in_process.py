"""`python -m benchmarks.overhead.in_process TASK`: one variant and its bare twin, no sockets.

Both are forks of this process, because much of what is installed is global, and take turns on one
core, a block of requests each. What the event loop's thread spends is compared block by block;
what other threads spend comes in lumps (a batch of lines, of spans), so it is averaged over the
whole run, idle time included.
"""

import asyncio
import gc
import json
import os
import socket
import struct
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any, NamedTuple

import uvloop

from benchmarks.overhead.app import create_app, request_scope

BLOCK = 150
WARM_UP = 2000
_GO = b"."

App = Callable[..., Any]


class Spent(NamedTuple):
    """CPU time of one block, in µs per request."""

    loop: float
    others: float


_PACKED = struct.Struct("dd")


@dataclass(frozen=True)
class Cost:
    """µs of CPU time per request, the variant's less its twin's."""

    bare: float
    on_path: float  # median over the pairs of blocks
    on_path_least: float  # the best block less the best of the twin's
    off_path: float

    @property
    def added(self) -> float:
        """All of it."""
        return self.on_path + self.off_path


def compared(bare: list[Spent], variant: list[Spent]) -> Cost:
    """Of blocks that were run in pairs."""
    pairs = zip(bare, variant, strict=True)
    return Cost(
        bare=median(each.loop for each in bare),
        on_path=median(ours.loop - twin.loop for twin, ours in pairs),
        on_path_least=min(each.loop for each in variant) - min(each.loop for each in bare),
        off_path=fmean(each.others for each in variant) - fmean(each.others for each in bare),
    )


class Stopwatch:
    """CPU time since it was last read: nothing between two blocks gets lost."""

    def __init__(self) -> None:
        self._last = (time.thread_time(), time.process_time())

    def read(self) -> Spent:
        """Shared out over a block of requests."""
        now = (time.thread_time(), time.process_time())
        loop, everything = (new - old for new, old in zip(now, self._last, strict=True))
        self._last = now
        return Spent(loop / BLOCK * 1e6, (everything - loop) / BLOCK * 1e6)


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: dict[str, Any]) -> None:
    if message.get("status", 200) != 200:
        raise RuntimeError(f"the app answers {message['status']}")


async def ask(app: App, requests: int) -> None:
    """One after the other, each in a task of its own, as servers have it."""
    for _ in range(requests):
        await asyncio.create_task(app(request_scope(), receive, send))


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    """The app, started; stopped afterwards."""
    asked: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    answered: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    task = asyncio.create_task(
        app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, asked.get, answered.put)
    )
    await asked.put({"type": "lifespan.startup"})
    await _complete(task, answered)
    yield
    await asked.put({"type": "lifespan.shutdown"})
    await _complete(task, answered)
    await task


async def _complete(task: asyncio.Task[None], answered: asyncio.Queue[dict[str, str]]) -> None:
    answer = asyncio.create_task(answered.get())
    await asyncio.wait([task, answer], return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        raise RuntimeError("the app left its lifespan") from task.exception()
    if not answer.result()["type"].endswith(".complete"):
        raise RuntimeError(answer.result().get("message"))


async def take_turns(app: App, turns: socket.socket) -> None:
    """A block for every word from the other end, until it is closed."""
    turns.setblocking(False)
    loop = asyncio.get_running_loop()
    async with lifespan(app):
        await ask(app, WARM_UP)
        gc.collect()
        gc.freeze()
        stopwatch = Stopwatch()
        while await loop.sock_recv(turns, 1):
            await ask(app, BLOCK)
            await loop.sock_sendall(turns, _PACKED.pack(*stopwatch.read()))


def forked(create: Callable[[], App]) -> socket.socket:
    """The near end of a line to a process that takes turns with what `create` gives."""
    near, far = socket.socketpair()
    if os.fork() == 0:
        near.close()
        status = 1
        try:
            uvloop.run(take_turns(create(), far))
            status = 0
        except Exception:  # noqa: BLE001 - the other process must not go on twice
            traceback.print_exc()
        finally:
            os._exit(status)
    far.close()
    return near


def turn(process: socket.socket) -> Spent:
    """Have one block run."""
    process.sendall(_GO)
    answer = process.recv(_PACKED.size)
    if not answer:
        raise SystemExit("one of the twins has failed")
    return Spent(*_PACKED.unpack(answer))


def beside(create_bare: Callable[[], App], create: Callable[[], App], seconds: float) -> Cost:
    """Pairs of blocks for so long; each twin begins every other one."""
    create_app("")  # what both need is imported before they part
    twins = (forked(create_bare), forked(create))
    for twin in twins:
        turn(twin)
    spent: tuple[list[Spent], list[Spent]] = ([], [])
    deadline = time.monotonic() + seconds
    order = (0, 1)
    while time.monotonic() < deadline:
        for index in order:
            spent[index].append(turn(twins[index]))
        order = order[::-1]
    for twin in reversed(twins):  # the later one holds a copy of the earlier one's line
        twin.close()
        os.wait()
    return compared(*spent)


def measure(seconds: float, install: str, extra_routes: int, *, as_it_comes: bool) -> Cost:
    """A variant beside the bare app."""
    return beside(
        lambda: create_app("", extra_routes),
        lambda: create_app(install, extra_routes, as_it_comes=as_it_comes),
        seconds,
    )


def print_alone(measured: Callable[[], object]) -> None:
    """Print the outcome as JSON; what the variants print goes to /dev/null."""
    outcome = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    json.dump(measured(), outcome)
    outcome.close()


if __name__ == "__main__":
    print_alone(lambda: asdict(measure(**json.loads(sys.argv[1]))))
