"""What asyncio is made for."""

import asyncio

from fastapi import APIRouter

router = APIRouter()
_waiting: set["asyncio.Future[None]"] = set()


@router.get("/quick")
async def quick() -> None:
    """Answers at once."""


@router.get("/slow/{item}")
async def slow(item: int) -> int:
    """Answers when it is told to."""
    released = asyncio.get_running_loop().create_future()
    _waiting.add(released)
    await asyncio.wait_for(released, timeout=30)
    return item


@router.get("/release")
async def release() -> int:
    """Have all slow requests answered; how many those are."""
    count = len(_waiting)
    for each in _waiting:
        each.set_result(None)
    _waiting.clear()
    return count
