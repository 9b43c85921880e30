"""Whether the loop has gone on to another callback, told from another thread."""

import asyncio
import gc
from collections import deque
from collections.abc import Callable
from typing import Any


class ReadyQueue:
    """The callbacks that wait for their turn: when the first of them changes, one has had it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called on the loop's thread."""
        self._loop = loop
        self._queue = _ready_of(loop, loop.call_soon(int))

    def turn(self) -> int:
        """Changes with every callback, as far as can be seen; 0 when none waits."""
        try:
            if self._queue is None:
                return id(asyncio.current_task(self._loop))
            return id(self._queue[0])
        except IndexError:
            return 0


def call_first(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Call it before all that waits already, if the loop is one that is known and does not run."""
    handle = loop.call_soon(callback)
    queue = _ready_of(loop, handle)
    if queue is not None:
        queue.rotate(1)


def _ready_of(loop: asyncio.AbstractEventLoop, handle: asyncio.Handle) -> "deque[Any] | None":
    """asyncio's and uvloop's loops have a deque of handles; uvloop shows it to the collector only.

    It is the one that has `handle`, which was just put there.
    """
    for each in (getattr(loop, "_ready", None), *gc.get_referents(loop)):
        if isinstance(each, deque) and any(queued is handle for queued in each):
            return each
    return None
