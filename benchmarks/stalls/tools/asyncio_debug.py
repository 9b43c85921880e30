"""asyncio's debug mode; $PYTHONASYNCIODEBUG does not reach uvicorn's loop on every Python."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from benchmarks.stalls.tools import THRESHOLD_SECONDS


def install(app: FastAPI) -> None:
    """See "Debug Mode" in Python's documentation of asyncio."""

    @asynccontextmanager
    async def debugged(_app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = THRESHOLD_SECONDS
        yield

    app.router.lifespan_context = debugged
