"""Where a task waits: the innermost place, and the nearest in the application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from middleware.ops.waiting import waits_at

Waiting = Callable[[], Awaitable[object]]


async def innermost() -> None:
    await asyncio.Event().wait()


async def nested() -> None:
    await innermost()


async def numbers() -> AsyncIterator[int]:
    await innermost()
    yield 1


async def in_an_async_generator() -> None:
    async for _ in numbers():
        pass


async def in_another_task() -> None:
    await asyncio.create_task(innermost())


async def with_a_time_limit() -> None:
    async with asyncio.timeout(1000):
        await innermost()


class Old:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from innermost().__await__()


async def through_an_awaitable() -> None:
    await Old()


async def in_a_library() -> None:
    await asyncio.sleep(1000)


async def for_a_child() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(innermost())


async def place_of(waiting: Waiting) -> dict[str, Any]:
    """Where a task that awaits `waiting()` waits."""

    async def run() -> None:
        await waiting()

    task = asyncio.create_task(run())
    for _ in range(5):  # turns of the loop: every task gets to where it waits
        await asyncio.sleep(0)
    place = await asyncio.to_thread(waits_at, task)
    task.cancel()
    await asyncio.wait([task])
    assert place is not None
    return place


def test_no_task_waits_nowhere() -> None:
    assert waits_at(None) is None


async def test_a_task_that_has_ended_waits_nowhere() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task

    assert waits_at(task) is None


async def test_what_is_no_task_at_all_waits_nowhere() -> None:
    assert waits_at(object()) is None  # type: ignore[arg-type]  # on purpose


async def test_coroutines_that_never_end_are_followed_for_a_while() -> None:
    async def deeper(levels: int) -> None:
        if levels:
            await deeper(levels - 1)
        await asyncio.Event().wait()

    assert (await place_of(lambda: deeper(300)))["function"].endswith("deeper")


@pytest.mark.parametrize(
    "waiting",
    [nested, in_an_async_generator, in_another_task, with_a_time_limit, through_an_awaitable],
)
async def test_the_innermost_place_is_found(waiting: Waiting) -> None:
    place = await place_of(waiting)

    assert place["function"] == "Event.wait"
    assert Path(place["file"]).name == "locks.py"
    assert place["application"]["function"] == "innermost"
    assert place["application"]["file"] == __file__
    assert not place["running"]


@pytest.mark.parametrize("waiting", [in_a_library, for_a_child])
async def test_the_application_is_named_where_only_a_library_waits(waiting: Waiting) -> None:
    place = await place_of(waiting)

    assert place["application"]["function"] == waiting.__name__
    assert place["file"] != __file__


async def test_the_line_is_where_it_waits() -> None:
    place = await place_of(nested)

    line = innermost.__code__.co_firstlineno + 1
    assert place["application"]["line"] == line


async def test_a_task_of_libraries_alone_has_no_application() -> None:
    task = asyncio.create_task(asyncio.sleep(1000))
    await asyncio.sleep(0)

    place = waits_at(task)

    task.cancel()
    assert place is not None
    assert (place["function"], place["application"]) == ("sleep", None)


async def test_a_running_task_is_shown_at_the_line_that_runs() -> None:
    place: dict[str, Any] | None = None

    def called() -> None:
        nonlocal place
        place = waits_at(asyncio.current_task())

    async def caller() -> None:
        called()

    await asyncio.create_task(caller())

    assert place is not None
    assert place["running"]
    assert place["application"]["function"].endswith("called")
