"""`python -m tests.stalls.restarts LOOP TIMES`: starts, stalls, stops, and says what is left then.

One line of JSON each time.
"""

import asyncio
import gc
import json
import os
import sys
import time
from dataclasses import asdict

import uvloop

from middleware import Telemetry

from .processes import Possessions, possessions


async def run() -> None:
    async with Telemetry():
        await asyncio.sleep(0.05)
        time.sleep(0.05)  # noqa: ASYNC251  a stall
        await asyncio.sleep(0.05)
    left = asdict(await settled()) | {"callbacks": len(gc.callbacks)}
    print(json.dumps(left))  # noqa: T201


async def settled() -> Possessions:
    """A thread that was joined, and a child that was waited for, are there for a moment yet."""
    for _ in range(100):
        left = possessions(os.getpid())
        if left.threads == 1 and not left.children:
            break
        await asyncio.sleep(0.02)
    return left


def main(loop: str, times: int) -> None:
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        for _ in range(times):
            runner.run(run())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
