"""aiodebug, both of its ways: slow callbacks are logged, and stacks dumped while the loop hangs."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiodebug import hang_inspection, log_slow_callbacks
from fastapi import FastAPI

from benchmarks.stalls.tools import THRESHOLD_SECONDS


def install(app: FastAPI) -> None:
    """Stacks go to $DUMPS."""

    @asynccontextmanager
    async def inspected(_app: FastAPI) -> AsyncIterator[None]:
        log_slow_callbacks.enable(THRESHOLD_SECONDS)
        dumper = hang_inspection.start(os.environ["DUMPS"], interval=THRESHOLD_SECONDS)
        yield
        await hang_inspection.stop_wait(dumper)

    app.router.lifespan_context = inspected
