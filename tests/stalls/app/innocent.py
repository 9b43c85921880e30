"""What asyncio is made for."""

import asyncio

from fastapi import APIRouter

router = APIRouter()


@router.get("/quick")
async def quick() -> None:
    """Answers at once."""


@router.get("/slow/{item}")
async def slow(item: int, seconds: float = 5.0) -> int:
    await asyncio.sleep(seconds)
    return item
