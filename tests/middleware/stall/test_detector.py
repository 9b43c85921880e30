"""The detector as a whole: what it does to its process, and what is done to it."""

import asyncio
import gc
import os
import threading
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from middleware import Drops
from middleware.settings import StallSettings
from middleware.stall import StallDetector
from middleware.stall.history import StallHistory
from middleware.stall.listener import Requests
from middleware.stall.record import Stall

from .watching import ALONE, Heard, detector, on_every_loop, on_loop

DESCRIPTORS = Path("/proc/self/fd")


def block(seconds: float) -> None:
    time.sleep(seconds)


class Failing:
    def opened(self, stall: Stall, requests: Requests) -> None:
        raise RuntimeError("opened")

    def goes_on(self, stall: Stall, requests: Requests) -> None:
        raise RuntimeError("goes_on")

    def ended(self, stall: Stall, requests: Requests) -> None:
        raise RuntimeError("ended")


@on_every_loop
def test_a_listener_that_fails_is_counted_and_the_others_hear_all(loop: str) -> None:
    async def work() -> tuple[Heard, float | None]:
        heard, registry = Heard(), CollectorRegistry()
        watched = StallDetector(ALONE, StallHistory(), Drops(registry))
        watched.listeners += [Failing(), heard]
        async with watched:
            block(0.2)
            await heard.next()
        return heard, registry.get_sample_value("telemetry_dropped_total", {"signal": "stalls"})

    heard, dropped = on_loop(loop, work)

    assert len(heard.opened_stalls) == 1
    assert dropped == 2


@on_every_loop
def test_a_long_stall_is_told_of_after_one_second_and_then_at_doubling_intervals(loop: str) -> None:
    async def work() -> Heard:
        heard = Heard()
        async with detector(heard):
            block(2.5)
            await heard.next()
        return heard

    heard = on_loop(loop, work)

    assert [int(stall.duration_seconds) for stall in heard.going_on] == [1, 2]
    assert {stall.phase for stall in heard.going_on} == {"ongoing"}
    assert len({stall.id for stall in [*heard.opened_stalls, *heard.going_on]}) == 1


@on_every_loop
def test_a_loop_says_that_it_is_blocked_while_it_is(loop: str) -> None:
    async def work() -> tuple[list[float], float]:
        heard = Heard()
        async with detector(heard) as watched:
            usage = watched.usage
            assert usage is not None
            await asyncio.sleep(0.1)
            seen: list[float] = []
            looking = threading.Timer(0.3, lambda: seen.append(usage.blocked_seconds))
            looking.start()
            block(0.6)
            await heard.next()
            return seen, usage.blocked_seconds

    while_blocked, afterwards = on_loop(loop, work)

    assert while_blocked[0] > ALONE.threshold_seconds
    assert afterwards == 0


@on_every_loop
def test_what_the_loop_has_been_like_is_written_down_every_second(loop: str) -> None:
    async def work() -> StallHistory:
        history = StallHistory()
        watched = StallDetector(ALONE, history, Drops(CollectorRegistry()))
        async with watched, asyncio.timeout(30):
            while not history.moments:  # noqa: ASYNC110  nobody tells of them
                await asyncio.sleep(0.05)
        return history

    (moment, *_) = on_loop(loop, work).moments

    assert 0 <= moment.utilization_ratio <= 1.1
    assert moment.longest_delay_seconds >= 0


@pytest.mark.no_cover
@on_every_loop
def test_fifty_starts_and_stops_leave_nothing_behind(loop: str) -> None:
    async def start_and_stop(times: int) -> None:
        for _ in range(times):
            async with detector(Heard()):
                await asyncio.sleep(0)

    async def work() -> tuple[object, object]:
        await start_and_stop(1)
        before = left_behind()
        await start_and_stop(50)
        return before, left_behind()

    before, after = on_loop(loop, work)

    assert after == before


def left_behind() -> tuple[int, int, int]:
    descriptors = len(list(DESCRIPTORS.iterdir())) if DESCRIPTORS.exists() else 0
    return threading.active_count(), descriptors, len(gc.callbacks)


def test_a_loop_that_does_not_run_is_not_blocked() -> None:
    """As between two calls of `run_until_complete`."""

    async def begin() -> tuple[StallDetector, Heard]:
        heard = Heard()
        return await detector(heard).__aenter__(), heard

    async def end(watched: StallDetector) -> None:
        await watched.__aexit__(None, None, None)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        watched, heard = runner.run(begin())
        time.sleep(0.5)
        opened = list(heard.opened_stalls)
        runner.run(end(watched))

    assert opened == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@on_every_loop
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_childs_garbage_is_not_its_parents(loop: str) -> None:
    async def work() -> int:
        async with detector(Heard()):
            pid = os.fork()
            if not pid:
                gc.collect()
                os._exit(len(gc.callbacks))
            return os.waitpid(pid, 0)[1] >> 8  # noqa: ASYNC222  nothing else runs here

    callbacks_of_the_child = on_loop(loop, work)

    assert callbacks_of_the_child == len(gc.callbacks)


def test_a_heartbeat_slower_than_the_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="quicker than the threshold"):
        StallSettings(threshold_seconds=0.05, heartbeat_seconds=0.1)


async def test_what_a_collection_calls_is_not_traced_by_coverage_tools() -> None:
    """It may begin while such a tool has its lock, which would then wait for itself."""
    before = list(gc.callbacks)

    async with detector(Heard()):
        (ours,) = [each for each in gc.callbacks if each not in before]
        filename = ours.__func__.__code__.co_filename  # type: ignore[attr-defined]

    assert filename.startswith("<")
