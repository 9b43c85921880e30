"""Uploads and texts are made ready beside the event loop, a bounded number of them at a time."""

import asyncio
import threading

import pytest

from service.adapters.preparation_threads import DecodedImages, PreparationThreads
from service.predictions.domain import QueueFullError, UnreadableImageError
from tests.service.adapters.conftest import PATIENCE_SECONDS, eventually


class Held:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self._gate = threading.Event()

    def __call__(self) -> str:
        """On a thread."""
        self.begun += 1
        self._gate.wait(PATIENCE_SECONDS)
        return threading.current_thread().name

    def let_go(self) -> None:
        """Also what begins later."""
        self._gate.set()


async def test_too_much_at_once_is_refused() -> None:
    held = Held()
    async with PreparationThreads(threads=1, most_waiting=2) as threads:
        accepted = [asyncio.create_task(threads.run(held)) for _ in range(2)]
        await eventually(lambda: held.begun)

        with pytest.raises(QueueFullError):
            await threads.run(held)
        held.let_go()

        assert [name.startswith("preparation") for name in await asyncio.gather(*accepted)]
        assert await threads.run(lambda: 1) == 1


async def test_what_is_cancelled_is_not_begun() -> None:
    held = Held()
    async with PreparationThreads(threads=1, most_waiting=2) as threads:
        running = asyncio.create_task(threads.run(held))
        await eventually(lambda: held.begun)
        gone = asyncio.create_task(threads.run(held))
        await asyncio.sleep(0)

        gone.cancel()
        await asyncio.wait([gone])
        held.let_go()
        await running
        await threads.run(lambda: None)

    assert held.begun == 1


async def test_closing_waits_for_what_is_begun_only() -> None:
    held = Held()
    async with PreparationThreads(threads=1, most_waiting=2) as threads:
        running = asyncio.create_task(threads.run(held))
        await eventually(lambda: held.begun)
        waiting = asyncio.create_task(threads.run(held))
        await asyncio.sleep(0)
        waiting.add_done_callback(lambda _: held.let_go())

    await running
    assert waiting.cancelled()
    assert held.begun == 1


async def test_what_is_wrong_with_an_upload_is_told() -> None:
    async with PreparationThreads(threads=1, most_waiting=2) as threads:
        with pytest.raises(UnreadableImageError):
            await DecodedImages(threads).decode(b"nothing")
