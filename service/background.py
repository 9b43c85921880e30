"""Work that outlives the request that began it, owned by the service's lifespan."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import structlog

log = structlog.get_logger()


class Background:
    """Runs coroutines beside the requests; on exit waits for them, then cancels what is left.

    Unlike a TaskGroup it survives the failure of one of them, and says so in the log.
    """

    def __init__(self, *, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.grace_seconds
        while self._tasks and (left := deadline - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        while self._tasks:  # again and again: a wait_for of Python 3.11 can lose a cancellation
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=1.0)

    def start(self, work: Coroutine[Any, Any, object], *, name: str) -> None:
        """Run `work`; its failure is logged under `name` and goes no further."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("background_work_failed", work=task.get_name(), exc_info=error)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, object], *, name: str) -> AsyncIterator[None]:
    """Run `work`, which never ends by itself, for as long as the block lasts."""
    background = Background(grace_seconds=0)
    background.start(work, name=name)
    async with background:
        yield
