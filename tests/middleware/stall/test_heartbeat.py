"""How often the loop says that it is alive, and that an idle service is not kept awake by it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from middleware.exchange import Exchange
from middleware.in_flight import InFlight
from middleware.settings import StallSettings
from middleware.stall.garbage import GarbageClock
from middleware.stall.heartbeat import Heartbeat
from middleware.stall.pulse import Pulse
from tests.middleware.asgi_calls import http_scope

from .watching import PATIENCE_SECONDS, on_every_loop, on_loop

PERIOD_NS = 5_000_000
SETTINGS = StallSettings(threshold_seconds=0.1, heartbeat_seconds=PERIOD_NS / 1e9)


@contextmanager
def beating(in_flight: InFlight, settings: StallSettings = SETTINGS) -> Iterator[Heartbeat]:
    pulse = Pulse()
    heartbeat = Heartbeat(pulse, GarbageClock(pulse), in_flight, settings, None)
    heartbeat.start()
    try:
        yield heartbeat
    finally:
        heartbeat.stop()
        heartbeat.close()
        pulse.close()


async def never(*_: Any) -> NoReturn:
    raise AssertionError


def request(in_flight: InFlight) -> Exchange:
    exchange = Exchange(http_scope(), never, never, in_flight.end)
    in_flight.begin(exchange)
    return exchange


def period_ns(heartbeat: Heartbeat) -> int:
    return heartbeat.last.due_ns - heartbeat.last.at_ns


async def until_idle(heartbeat: Heartbeat, busy_ns: int = PERIOD_NS) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while period_ns(heartbeat) == busy_ns:  # noqa: ASYNC110  nobody tells of it
            await asyncio.sleep(PERIOD_NS / 1e9)


@on_every_loop
def test_a_loop_without_requests_beats_half_as_often(loop: str) -> None:
    async def work() -> int:
        with beating(InFlight()) as heartbeat:
            assert period_ns(heartbeat) == PERIOD_NS
            await until_idle(heartbeat)
            return period_ns(heartbeat)

    assert on_loop(loop, work) == 2 * PERIOD_NS


@on_every_loop
def test_a_request_to_an_idle_loop_is_measured_from_its_beginning(loop: str) -> None:
    async def work() -> None:
        in_flight = InFlight()
        with beating(in_flight) as heartbeat:
            await until_idle(heartbeat)
            before_ns = time.monotonic_ns()
            request(in_flight)

            assert heartbeat.last.at_ns >= before_ns
            assert period_ns(heartbeat) == PERIOD_NS

    on_loop(loop, work)


async def test_the_loop_is_not_idle_while_a_request_waits_for_something_else() -> None:
    in_flight = InFlight()
    with beating(in_flight) as heartbeat:
        await until_idle(heartbeat)
        waiting = request(in_flight)
        since = heartbeat.last.sequence
        while heartbeat.last.sequence < since + 100:
            await asyncio.sleep(PERIOD_NS / 1e9)
            assert period_ns(heartbeat) == PERIOD_NS
        waiting.end()
        await until_idle(heartbeat)

    assert not in_flight


async def test_only_the_first_request_after_a_beat_is_announced() -> None:
    in_flight = InFlight()
    with beating(in_flight) as heartbeat:
        await until_idle(heartbeat)
        request(in_flight)
        announced = heartbeat.last.sequence
        others = [request(in_flight) for _ in range(100)]

        assert heartbeat.last.sequence == announced
        assert in_flight.issuperset(others)


async def test_a_request_after_the_end_brings_no_beat_back() -> None:
    in_flight = InFlight()
    with beating(in_flight) as heartbeat:
        await until_idle(heartbeat)
    last = heartbeat.last

    late = request(in_flight)

    assert heartbeat.last is last
    assert late in in_flight


async def test_a_request_on_another_loop_leaves_this_one_alone() -> None:
    in_flight = InFlight()

    async def begin() -> None:
        request(in_flight)

    with beating(in_flight) as heartbeat:
        await until_idle(heartbeat)
        last = heartbeat.last
        elsewhere = threading.Thread(target=lambda: asyncio.run(begin()))
        elsewhere.start()
        elsewhere.join()  # this loop does not run meanwhile

        assert heartbeat.last is last
        assert len(in_flight) == 1


async def test_an_idle_heartbeat_is_never_slower_than_the_threshold() -> None:
    slow = StallSettings(threshold_seconds=0.02, heartbeat_seconds=0.015)
    with beating(InFlight(), slow) as heartbeat:
        await until_idle(heartbeat, 15_000_000)

        assert period_ns(heartbeat) == 20_000_000
