"""`/livez` and `/readyz`: is the event loop alive, and is what the app needs there?"""

import asyncio
import time
from typing import Any

from ..asgi import Scope
from ..health import Check, Health, NotReadyError, Phase
from .answers import Answer, json_answer

# A liveness probe restarts the process and with it the evidence: it has to be patient.
ALIVE_WITHIN_SECONDS = 30.0
# A load balancer has better replicas to ask meanwhile. The loop beats every half a second.
READY_WITHIN_SECONDS = 1.0
CHECK_SECONDS = 2.0

Results = dict[str, dict[str, Any]]


class Probes:
    """Asks the app's event loop from the ops port's."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._checking: asyncio.Task[Results] | None = None

    async def livez(self, scope: Scope) -> Answer:
        """200 while the event loop is alive, and before there is one."""
        silent = self._health.silent_seconds
        alive = silent < ALIVE_WITHIN_SECONDS
        body = {"status": "alive" if alive else "blocked", "loop_silent_seconds": round(silent, 3)}
        return json_answer(body, 200 if alive else 503)

    async def readyz(self, scope: Scope) -> Answer:
        """200 while the app serves, its event loop runs and all its checks pass."""
        results = await self._results()
        phase = self._health.phase
        ready = phase is Phase.SERVING and all(each["ok"] for each in results.values())
        body = {"status": "ready" if ready else "not ready", "phase": phase, "checks": results}
        return json_answer(body, 200 if ready else 503)

    async def _results(self) -> Results:
        loop = self._health.loop
        if loop is None or self._health.phase is not Phase.SERVING:
            return {}
        if (silent := self._health.silent_seconds) > READY_WITHIN_SECONDS:
            return {"event_loop": _blocked(silent)}  # at once: no check could run
        if self._checking is None or self._checking.done():  # who asks meanwhile shares this run
            self._checking = asyncio.create_task(_run_checks(dict(self._health.checks), loop))
        return await asyncio.shield(self._checking)


def _blocked(seconds: float) -> dict[str, Any]:
    reason = f"it has not run for {seconds:.1f} s"
    return {"ok": False, "latency_ms": round(seconds * 1e3, 3), "reason": reason}


async def _run_checks(checks: dict[str, Check], loop: asyncio.AbstractEventLoop) -> Results:
    results = await asyncio.gather(*(_run_check(check, loop) for check in checks.values()))
    return dict(zip(checks, results, strict=True))


async def _run_check(check: Check, loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    started = time.perf_counter()
    reason = await _why_it_fails(check, loop)
    latency_ms = round((time.perf_counter() - started) * 1e3, 3)
    return {"ok": reason is None, "latency_ms": latency_ms, "reason": reason}


async def _why_it_fails(check: Check, loop: asyncio.AbstractEventLoop) -> str | None:
    async def run() -> None:
        await check()

    work = run()
    try:
        future = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
    except RuntimeError:
        work.close()
        return "the event loop is closed"
    try:
        await asyncio.wait([future], timeout=CHECK_SECONDS)
        return _failure_of(future)
    finally:
        future.cancel()


def _failure_of(future: asyncio.Future[None]) -> str | None:
    if not future.done():
        return f"no answer within {CHECK_SECONDS} s"
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    if error is None:
        return None
    # Any other message may hold a host name or worse.
    return str(error) if isinstance(error, NotReadyError) else type(error).__name__
