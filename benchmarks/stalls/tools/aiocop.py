"""aiocop, its README's usage with ASGI; CPU sampling is on by default."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import aiocop
from fastapi import FastAPI

from benchmarks.stalls.tools import THRESHOLD_SECONDS

log = logging.getLogger("aiocop-events")


def install(app: FastAPI) -> None:
    """Set up early, activated after start-up."""
    aiocop.patch_audit_functions()
    aiocop.start_blocking_io_detection(trace_depth=20)
    aiocop.detect_slow_tasks(int(THRESHOLD_SECONDS * 1000), on_slow_task=log_it)

    @asynccontextmanager
    async def active(_app: FastAPI) -> AsyncIterator[None]:
        aiocop.activate()
        yield
        aiocop.deactivate()

    app.router.lifespan_context = active


def log_it(event: aiocop.SlowTaskEvent) -> None:
    if event.exceeded_threshold:
        log.warning("slow task %s", json.dumps(asdict(event)))
