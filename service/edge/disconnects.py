"""Work for a client that hangs up is called off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request


class ClientDisconnectedError(Exception):
    """The client hung up; nobody waits for the answer any more."""


@asynccontextmanager
async def cancelled_on_disconnect(request: Request) -> AsyncIterator[None]:
    """Cancel the block when the client hangs up, as ClientDisconnectedError."""
    work = asyncio.current_task()
    assert work is not None
    end: Exception | None = None

    async def watch() -> None:
        nonlocal end
        try:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            end = ClientDisconnectedError()
        except Exception as error:  # noqa: BLE001 - a refused body: it belongs to the request
            end = error
        work.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if end is not None and work.uncancel() == 0:
            raise end from None
        raise
    finally:
        watcher.cancel()
