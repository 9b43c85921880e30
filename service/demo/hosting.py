"""Small HTTP servers on the running loop, and processes that serve until they are told to end."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

# For requests under way when the server ends; 0 would mean for ever.
_PATIENCE_SECONDS = 0.1


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve `app` on the running loop and yield the base URL; port 0 takes a free one.

    Leaving does not wait for requests that hang; a handler whose client left is cancelled. Raises
    OSError when the port is taken.
    """
    runner = web.AppRunner(
        app, handler_cancellation=True, shutdown_timeout=_PATIENCE_SECONDS, access_log=None
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def end_signal() -> asyncio.Event:
    """Set when SIGTERM or SIGINT comes to the running loop."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told
