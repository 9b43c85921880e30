"""The ops port: metrics, liveness and readiness, on a thread and a loop of its own.

It answers while the main loop is blocked, and nothing of it is reachable through the API port.
"""

import asyncio
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.lifecycle import Check, Lifecycle, NotReadyError, Phase

# A liveness probe restarts the process and with it the evidence: it has to be patient.
ALIVE_WITHIN_SECONDS = 30.0
_CHECK_SECONDS = 2.0


class OpsServer:
    """Serves the ops port on `listener` for as long as the block lasts."""

    def __init__(
        self, listener: socket.socket, lifecycle: Lifecycle, registry: CollectorRegistry
    ) -> None:
        app = ops_app(lifecycle, registry)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", server_header=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="ops", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=5)


def ops_app(lifecycle: Lifecycle, registry: CollectorRegistry) -> Starlette:
    """`/metrics`, `/livez` and `/readyz` of one application."""

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    async def livez(request: Request) -> Response:
        silent = time.monotonic() - lifecycle.beat_at
        alive = lifecycle.loop is None or silent < ALIVE_WITHIN_SECONDS
        body = {"status": "alive" if alive else "blocked", "loop_silent_seconds": round(silent, 3)}
        return JSONResponse(body, 200 if alive else 503)

    async def readyz(request: Request) -> Response:
        checks = await _run_checks(lifecycle)
        ready = lifecycle.phase is Phase.SERVING and all(each["ok"] for each in checks.values())
        body = {"status": "ready" if ready else "not ready", "phase": lifecycle.phase}
        return JSONResponse(body | {"checks": checks}, 200 if ready else 503)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/livez", livez), Route("/readyz", readyz)]
    )


async def _run_checks(lifecycle: Lifecycle) -> dict[str, dict[str, Any]]:
    if lifecycle.loop is None or lifecycle.phase is not Phase.SERVING:
        return {}
    names = list(lifecycle.checks)
    results = [_run_check(lifecycle.loop, lifecycle.checks[name]) for name in names]
    return dict(zip(names, await asyncio.gather(*results), strict=True))


async def _run_check(loop: asyncio.AbstractEventLoop, check: Check) -> dict[str, Any]:
    started = time.perf_counter()
    reason = None
    try:
        await asyncio.wait_for(_on_loop(loop, check), _CHECK_SECONDS)
    except NotReadyError as error:
        reason = str(error)
    except TimeoutError:
        reason = f"no answer within {_CHECK_SECONDS} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is: not ready
        reason = type(error).__name__
    latency_ms = round((time.perf_counter() - started) * 1e3, 3)
    return {"ok": reason is None, "latency_ms": latency_ms, "reason": reason}


async def _on_loop(loop: asyncio.AbstractEventLoop, check: Check) -> None:
    async def run() -> None:
        await check()

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), loop))
