"""A worker process ends when it is told to, in one way or the other."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from service.workers.worker import Worker

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
SLOW = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(time.sleep(0.3)))"
WAIT = "; print(flush=True); signal.pause(); signal.pause()"
OPS = ("127.0.0.1", 9)  # nobody is there

Started = Callable[[str], Awaitable[Worker]]


@pytest.fixture
async def started() -> Started:
    async def start(script: str) -> Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            script + WAIT,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        await process.stdout.readline()
        return Worker(1, process, OPS)

    return start


async def test_one_that_does_not_stop_is_killed(started: Started) -> None:
    worker = await started(DEAF)

    await worker.stop(grace_seconds=0.1)

    assert await worker.ended() == -9


async def test_being_stopped_twice_is_no_second_signal(started: Started) -> None:
    worker = await started(SLOW)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(worker.stop(grace_seconds=20))

    assert await worker.ended() == 0


async def test_stopping_or_killing_one_that_is_gone_does_nothing(started: Started) -> None:
    worker = await started(DEAF)
    worker.kill()
    await worker.ended()

    worker.kill()
    await worker.stop(grace_seconds=20)

    assert await worker.ended() == -9


async def test_one_whose_ops_port_is_closed_is_not_ready(started: Started) -> None:
    worker = await started(DEAF)

    assert not await worker.becomes_ready(within_seconds=0.1)

    worker.kill()
    await worker.ended()
