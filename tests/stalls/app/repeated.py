"""The same bug again and again, and many different ones."""
# ruff: noqa: ASYNC251

import asyncio
import time
from collections.abc import Callable
from functools import cache

from fastapi import APIRouter

router = APIRouter(prefix="/repeated")

_PAUSE_SECONDS = 0.02  # several beats of the heart


@router.get("/same")
async def same(times: int, seconds: float) -> None:
    for _ in range(times):
        time.sleep(seconds)  # guilty: same
        await asyncio.sleep(_PAUSE_SECONDS)


@router.get("/different")
async def different(first: int, count: int, seconds: float) -> None:
    for number in range(first, first + count):
        culprit(number)(seconds)
        await asyncio.sleep(_PAUSE_SECONDS)


@cache
def culprit(number: int) -> Callable[[float], None]:
    """A function of its own, in a file and a module of its own."""
    source = f"import time\ndef culprit_{number}(seconds):\n    time.sleep(seconds)\n"
    namespace: dict[str, Callable[[float], None]] = {"__name__": f"generated_{number}"}  # type: ignore[dict-item]
    exec(compile(source, f"/srv/generated/generated_{number}.py", "exec"), namespace)
    return namespace[f"culprit_{number}"]
