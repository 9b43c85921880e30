"""The app that every tool watches: `uvicorn --factory benchmarks.stalls.app:create`.

Its mistakes are those that the tests have, each of them long enough to be told of meanwhile.
"""

import asyncio
import os
import time
from importlib import import_module

from fastapi import FastAPI

from benchmarks.overhead.app import SILENT, Install
from tests.stalls.app import callbacks, computing, innocent, sleeping, threads, waiting

SECONDS = 2.0
BEGUN_SECONDS = 0.6  # where only the first report counts


def create() -> FastAPI:
    """The app, with the tool that $TOOL names ("module"; none: nobody watches)."""
    sleeping.SECONDS = waiting.WAIT_SECONDS = SECONDS
    app = FastAPI(telemetry=SILENT)
    app.get("/later")(later)
    app.get("/began/{kind}")(began)
    for module in (callbacks, computing, innocent, sleeping, threads, waiting):
        app.include_router(module.router)
    if tool := os.environ.get("TOOL"):
        install: Install = import_module(tool).install
        install(app)
    return app


async def later() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, block, done)
    await done.wait()


def block(done: asyncio.Event) -> None:
    time.sleep(SECONDS)  # guilty: block
    done.set()


async def began(kind: str, amount: int = 0) -> float:
    """When the loop began to be blocked, as `time.time()` has it."""
    at = time.time()
    if kind == "sleep":
        time.sleep(BEGUN_SECONDS)  # noqa: ASYNC251 - it is what this is about
    else:
        computing.WORK[kind](amount)
    return at
