"""What blocks the loop without being a task of a request."""

import asyncio
import time

from fastapi import APIRouter

router = APIRouter(prefix="/callbacks")


@router.get("/later")
async def later() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, block, done)
    await done.wait()


def block(done: asyncio.Event) -> None:
    time.sleep(0.3)  # guilty: later
    done.set()


@router.get("/many")
async def many(count: int = 300) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    for _ in range(count):
        loop.call_soon(work_a_little)
    loop.call_soon(done.set_result, None)
    await done


@router.get("/tasks")
async def many_tasks(count: int = 300) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(work_a_little_in_a_task())


async def work_a_little_in_a_task() -> None:
    work_a_little()


def work_a_little() -> None:
    """1 ms of CPU time."""
    until = time.thread_time() + 0.001
    while time.thread_time() < until:
        pass
