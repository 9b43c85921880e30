"""blockbuster: whoever calls what is known to block gets an exception. It knows no threshold."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from blockbuster import blockbuster_ctx
from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """As its README has it for tests, while the app serves."""

    @asynccontextmanager
    async def forbidden(_app: FastAPI) -> AsyncIterator[None]:
        with blockbuster_ctx():
            yield

    app.router.lifespan_context = forbidden
