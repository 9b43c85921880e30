"""Background work outlives the request that began it, but not the service."""

import asyncio

import pytest
from structlog.testing import capture_logs

from service.background import Background, running
from tests.service.adapters.conftest import eventually


async def test_a_failure_is_logged_under_its_name_and_goes_no_further() -> None:
    async def fail() -> None:
        raise KeyError("oops")

    with capture_logs() as logs:
        async with Background(grace_seconds=20) as background:
            background.start(fail(), name="renew")
            await eventually(lambda: logs)

    assert [(line["event"], line["work"]) for line in logs] == [("background_work_failed", "renew")]
    assert isinstance(logs[0]["exc_info"], KeyError)


async def test_one_failure_leaves_the_others_running() -> None:
    done = []

    async def fail() -> None:
        raise KeyError

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append(1)

    with capture_logs():
        async with Background(grace_seconds=20) as background:
            background.start(fail(), name="fail")
            background.start(work(), name="work")

    assert done == [1]


async def test_what_is_not_done_within_the_grace_is_cancelled() -> None:
    cancelled = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cancelled.append(1)
            raise

    with capture_logs() as logs:
        async with Background(grace_seconds=0.01) as background:
            background.start(hang(), name="hang")
            background.start(hang(), name="hang")

    assert cancelled == [1, 1]
    assert logs == []


async def test_work_that_work_begins_at_the_end_is_not_left_behind() -> None:
    before = asyncio.all_tasks()

    async def begin_more() -> None:
        await asyncio.sleep(0.01)
        background.start(asyncio.Event().wait(), name="more")

    async with Background(grace_seconds=0.1) as background:
        background.start(begin_more(), name="begin")

    assert asyncio.all_tasks() == before


async def test_work_that_misses_one_cancellation_is_cancelled_again() -> None:
    async def miss_one() -> None:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                missed.append(error)
        raise missed[-1]

    missed: list[asyncio.CancelledError] = []
    async with asyncio.timeout(5), Background(grace_seconds=0.01) as background:
        background.start(miss_one(), name="miss")

    assert len(missed) == 2


async def test_leaving_on_an_error_still_ends_the_work() -> None:
    before = asyncio.all_tasks()

    async def fail_with(background: Background) -> None:
        async with background:
            background.start(asyncio.Event().wait(), name="hang")
            raise KeyError

    with pytest.raises(KeyError):
        await fail_with(Background(grace_seconds=0))

    assert asyncio.all_tasks() == before


async def test_it_waits_for_work_under_way() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0.02)
        done.append(1)

    async with Background(grace_seconds=20) as background:
        for _ in range(3):
            background.start(work(), name="work")

    assert done == [1, 1, 1]


async def test_running_ends_with_its_block() -> None:
    events = []

    async def serve() -> None:
        events.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            events.append("ended")

    async with running(serve(), name="serve"):
        await eventually(lambda: events)
        events.append("inside")

    assert events == ["begun", "inside", "ended"]
