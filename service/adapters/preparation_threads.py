"""The threads on which inputs are made ready for models: text to tokens, uploads to pictures."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from service.adapters.pillow_images import picture_of
from service.adapters.thread_priority import Niceness, step_back
from service.predictions.domain import Picture, QueueFullError

T = TypeVar("T")


class PreparationThreads:
    """A few threads; `most_waiting` is how many pieces of work they have, begun or not."""

    def __init__(self, *, threads: int, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._waiting = 0
        self._executor = ThreadPoolExecutor(
            threads, "preparation", initializer=step_back, initargs=(Niceness.PREPARING,)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    async def run(self, work: Callable[[], T]) -> T:
        """Do it on one of the threads; cancelled, it is not begun. Raises QueueFullError."""
        if self._waiting >= self._most_waiting:
            raise QueueFullError(1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1


class DecodedImages:
    """The `Images` port."""

    def __init__(self, threads: PreparationThreads) -> None:
        self._threads = threads

    async def decode(self, body: bytes) -> Picture:
        """As `ports.Images` says."""
        return await self._threads.run(partial(picture_of, body))
