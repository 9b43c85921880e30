"""A busy exporter: 20,000 series, three ways to scrape them, and how long the loop stood still.

`uvicorn --factory benchmarks.overhead.scrape_app:create`; the fourth way is our ops port.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from prometheus_client import REGISTRY, Histogram, generate_latest

from benchmarks.overhead.app import SILENT
from middleware import Observability

SERIES = 20_000
_BEAT_SECONDS = 0.001
_BUCKETS = tuple(0.001 * 2**power for power in range(14))
_SERIES_PER_LABEL_SET = len(_BUCKETS) + 3  # +Inf, count, sum


class Heartbeat:
    """Notes the longest time between two turns on the event loop."""

    def __init__(self) -> None:
        self._longest_seconds = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        last = time.perf_counter()
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            now = time.perf_counter()
            self._longest_seconds = max(self._longest_seconds, now - last - _BEAT_SECONDS)
            last = now

    async def take_longest_ms(self) -> float:
        """What was longest since this was last asked."""
        await asyncio.sleep(2 * _BEAT_SECONDS)  # what has just passed is noted by then
        longest, self._longest_seconds = self._longest_seconds, 0.0
        return longest * 1e3


def create() -> FastAPI:
    """The app, observed, its series on prometheus_client's own registry."""
    _fill()
    heartbeat = Heartbeat()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        beating = asyncio.create_task(heartbeat.run())
        yield
        beating.cancel()

    app = FastAPI(telemetry=SILENT, lifespan=lifespan)
    app.add_middleware(Observability)
    app.get("/longest-gap")(heartbeat.take_longest_ms)
    app.get("/on-the-loop")(_on_the_loop)
    app.get("/in-a-thread")(_in_a_thread)
    return app


def _fill() -> None:
    durations = Histogram("steps_duration_seconds", "Durations.", ["step"], buckets=_BUCKETS)
    for number in range(-(-SERIES // _SERIES_PER_LABEL_SET)):
        durations.labels(f"step-{number}").observe(0.01 * number)


async def _on_the_loop() -> Response:
    return Response(generate_latest(REGISTRY), media_type="text/plain")


def _in_a_thread() -> Response:
    return Response(generate_latest(REGISTRY), media_type="text/plain")
