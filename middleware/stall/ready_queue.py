"""Whether the loop has gone on to another callback, told from another thread."""

import asyncio
import gc
from collections import deque
from typing import Any


class ReadyQueue:
    """The callbacks that wait for their turn: when the first of them changes, one has had it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called on the loop's thread."""
        self._loop = loop
        self._queue = _ready_of(loop)

    def turn(self) -> int:
        """Changes with every callback, as far as can be seen; 0 when none waits."""
        try:
            if self._queue is None:
                return id(asyncio.current_task(self._loop))
            return id(self._queue[0])
        except IndexError:
            return 0


def _ready_of(loop: asyncio.AbstractEventLoop) -> "deque[Any] | None":
    """asyncio's and uvloop's loops have a deque of handles; uvloop shows it to the collector only.

    It is the one in which a callback is found that was just put there.
    """
    handle = loop.call_soon(int)
    for each in (getattr(loop, "_ready", None), *gc.get_referents(loop)):
        if isinstance(each, deque) and any(queued is handle for queued in each):
            return each
    return None
