"""Mistakes to watch, as people make them: `stallscope serve --with-mistakes`, and so the demo, has
these routes more. Never in production.
"""

import time
from typing import Annotated

from fastapi import APIRouter, Query

# Longer than this would only make the service hard to stop.
_LONGEST_SECONDS = 30.0

mistakes = APIRouter(prefix="/fault", tags=["mistakes"])


@mistakes.get("/block")
async def block(
    seconds: Annotated[float, Query(ge=0, le=_LONGEST_SECONDS)] = 3.0,
) -> dict[str, float]:
    """Waits without `await`: nobody else is answered meanwhile."""
    time.sleep(seconds)  # noqa: ASYNC251 - this is the mistake
    return {"blocked_seconds": seconds}


@mistakes.get("/fail")
async def fail() -> None:
    """Raises what nobody catches."""
    raise RuntimeError("told to fail")
