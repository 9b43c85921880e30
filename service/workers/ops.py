"""The supervisor's own ops port: where the workers are, how many, and whether one is ready."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from middleware.asgi import ASGIApp, Receive, Scope, Send
from service.workers.slot import Slot
from service.workers.worker import State, Worker

_JSON = "application/json"
_Answer = tuple[int, str, bytes]


@asynccontextmanager
async def ops_served(listener: socket.socket, app: ASGIApp) -> AsyncIterator[None]:
    """Serve `app` on `listener` for as long as the block lasts."""
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        yield
        server.should_exit = server.force_exit = True


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the supervisor."""
        yield


class OpsPages:
    """`/targets` for Prometheus' `http_sd_configs`, `/metrics`, `/livez` and `/readyz`."""

    def __init__(self, slots: Sequence[Slot], registry: CollectorRegistry) -> None:
        self._slots, self._registry = slots, registry
        self._pages = {
            "/targets": self._targets,
            "/metrics": self._metrics,
            "/livez": self._livez,
            "/readyz": self._readyz,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        page = self._pages.get(scope["path"], self._nothing)
        if scope["method"] not in ("GET", "HEAD"):
            page = self._not_allowed
        status, content_type, body = await page(scope)
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _targets(self, scope: Scope) -> _Answer:
        # Where Prometheus reached us it reaches them, also when we listen on every address.
        host: str = scope["server"][0]
        place = f"[{host}]" if ":" in host else host
        return _json(200, [_group(worker, place) for worker in self._serving()])

    async def _metrics(self, scope: Scope) -> _Answer:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        encode, content_type = choose_encoder(headers.get(b"accept", b"").decode("latin-1"))
        return 200, content_type, encode(self._registry)

    async def _livez(self, scope: Scope) -> _Answer:
        return _json(200, {"status": "alive"})

    async def _readyz(self, scope: Scope) -> _Answer:
        workers = self._serving()
        answers = await asyncio.gather(*(worker.is_ready() for worker in workers))
        ready = any(answers)
        listed = [
            {"worker": worker.number, "pid": worker.pid, "ops_port": worker.ops[1], "ready": answer}
            for worker, answer in zip(workers, answers, strict=True)
        ]
        status = "ready" if ready else "not ready"
        return _json(200 if ready else 503, {"status": status, "workers": listed})

    async def _nothing(self, scope: Scope) -> _Answer:
        return _json(404, {"pages": list(self._pages)})

    async def _not_allowed(self, scope: Scope) -> _Answer:
        return _json(405, {"methods": ["GET", "HEAD"]})

    def _serving(self) -> list[Worker]:
        # A new one is listed as soon as it is ready, an old one until it has ended.
        workers = (worker for slot in self._slots for worker in slot.workers)
        return [worker for worker in workers if worker.state is not State.STARTING]


def _group(worker: Worker, host: str) -> dict[str, Any]:
    return {"targets": [f"{host}:{worker.ops[1]}"], "labels": {"worker": str(worker.number)}}


def _json(status: int, content: object) -> _Answer:
    return status, _JSON, json.dumps(content).encode()
