"""A preview that runs beside a test, and the Prometheus of its nightmares."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import web

from service.demo.hosting import serving
from service.demo.preview.server import create_preview

DASHBOARDS = Path(__file__).parents[4] / "dashboards"
GENERATED, RUNBOOKS = DASHBOARDS / "generated", DASHBOARDS / "runbooks"


@contextmanager
def running_preview(boards: Path, prometheus_url: str | None) -> Iterator[int]:
    """On a thread and a loop of its own; gives its port."""
    started: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        finished = asyncio.Event()
        async with serving(create_preview(boards, RUNBOOKS, prometheus_url), "127.0.0.1", 0) as url:
            port = int(url.rpartition(":")[2])
            started.set_result((port, asyncio.get_running_loop(), finished))
            await finished.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="preview", daemon=True)
    thread.start()
    port, loop, finished = started.result(timeout=30)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(finished.set)
        thread.join(timeout=30)


@asynccontextmanager
async def broken_prometheus(mode: str) -> AsyncIterator[str]:
    """One that answers as `mode` says; gives its URL."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if mode == "hang":
            await asyncio.Event().wait()
        if mode == "reset":
            assert request.transport is not None
            request.transport.abort()
        texts = {
            "page": "<html>Please log in</html>",
            "cut": '{"status": "success", "da',
            "other": '{"up": true}',
            "list": "[]",
            "endless": '{"status": "success", "data": "' + " " * 20_000_000 + '"}',
            "refuse": '{"status":"error","errorType":"bad_data","error":"parse error"}',
        }
        if mode == "elsewhere":
            raise web.HTTPFound("/api/v1/status/config")
        status = 400 if mode == "refuse" else 200
        return web.Response(text=texts.get(mode, ""), status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with serving(app, "127.0.0.1", 0) as url:
        yield url
