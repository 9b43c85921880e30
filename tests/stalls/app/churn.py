"""Stalls in the middle of coroutines and generators that come and go as fast as they can."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from fastapi import APIRouter

router = APIRouter(prefix="/churn")

_STALL_SECONDS = 0.06
_DEPTH = 30


@router.get("")
async def churn(seconds: float) -> int:
    """How often the loop was stalled."""
    until = time.monotonic() + seconds
    stalls = 0
    while time.monotonic() < until:
        await stall()
        await asyncio.sleep(0.012)
        stalls += 1
    return stalls


async def stall() -> None:
    until = time.monotonic() + _STALL_SECONDS
    while time.monotonic() < until:
        await nested(_DEPTH)
        async for number in numbers():
            await nested(number)
        list(tree(6))


async def nested(depth: int) -> int:
    return 1 + await nested(depth - 1) if depth else 0


async def numbers() -> AsyncIterator[int]:
    for number in range(10):
        yield number


def tree(depth: int) -> Iterator[int]:
    yield depth
    if depth:
        yield from tree(depth - 1)
        yield from tree(depth - 1)
