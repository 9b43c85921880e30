"""`time.sleep` in all the places that a request passes."""
# ruff: noqa: ASYNC251  it is what this is about

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends

from middleware.asgi import ASGIApp, Message, Receive, Scope, Send

SECONDS = 0.3

router = APIRouter(prefix="/sleep")
_outliving: set["asyncio.Task[None]"] = set()


@router.get("/handler/{item}")
async def handler(item: str, seconds: float = SECONDS) -> str:
    time.sleep(seconds)  # guilty: handler
    return item


@router.get("/reported")
async def reported() -> None:
    time.sleep(0.6)  # guilty: reported


async def dependency() -> str:
    time.sleep(SECONDS)  # guilty: dependency
    return "slept"


@router.get("/dependency/{item}")
async def with_dependency(slept: Annotated[str, Depends(dependency)]) -> str:
    return slept


@router.get("/middleware/{item}")
async def below_middleware(item: str) -> str:
    return item


class SleepyMiddleware:
    """Sleeps before `/sleep/middleware/before` is asked, and when `…/after` answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")

        async def send_late(message: Message) -> None:
            if path == "/sleep/middleware/after" and message["type"] == "http.response.start":
                time.sleep(SECONDS)  # guilty: middleware-after
            await send(message)

        if path == "/sleep/middleware/before":
            time.sleep(SECONDS)  # guilty: middleware-before
        await self.app(scope, receive, send_late)


@router.get("/child/{item}")
async def parent(item: str) -> str:
    await asyncio.gather(innocent_child(), child())
    return item


async def innocent_child() -> None:
    await asyncio.sleep(SECONDS)


async def child() -> None:
    await asyncio.sleep(0)
    time.sleep(SECONDS)  # guilty: child


@router.get("/outliving/{item}")
async def begetter(item: str) -> str:
    task = asyncio.create_task(outliving())
    _outliving.add(task)
    task.add_done_callback(_outliving.discard)
    return item


async def outliving() -> None:
    await asyncio.sleep(0.05)
    time.sleep(SECONDS)  # guilty: outliving


@router.get("/background/{item}")
async def with_background(item: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(background)
    return item


async def background() -> None:
    time.sleep(SECONDS)  # guilty: background
