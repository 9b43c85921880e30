"""Stand-ins for the reviews and inventory APIs: real HTTP servers that fail when told to.

The demo, the compose stack and the tests use them. `PUT /behaviour` changes only the fields it is
given: `{"mode": "hang"}` keeps the latency, `{"mode": "ok"}` makes a broken one well again.
"""

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager
from random import Random

from aiohttp import web
from aiohttp.typedefs import Handler
from opentelemetry import propagate, trace
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from middleware import Drops, configured_tracing
from service.demo.answers import Kind
from service.demo.hosting import end_signal, serving
from service.demo.misbehaviour import MISBEHAVIOURS, Mode, behave
from service.version import __version__

DEFAULT_PORTS: dict[Kind, int] = {"reviews": 8101, "inventory": 8102}
_HOUR_MS = 3_600_000


class Behaviour(BaseModel):
    """How a stand-in treats product requests; `share` (0 to 1) of them as `mode` says, else ok.

    Each is delayed by a normally distributed time, also a failing one, but not where it hangs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    mode: Mode = "ok"
    latency_ms: float = Field(default=20, ge=0, le=_HOUR_MS)
    jitter_ms: float = Field(default=5, ge=0, le=_HOUR_MS)
    share: float = Field(default=1.0, ge=0, le=1)


class StandIn:
    """One stand-in: its behaviour, and which products it was asked for."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.behaviour = Behaviour()
        self.asked: Counter[int] = Counter()
        self._random = Random()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer, or fail, about one product."""
        product_id = int(request.match_info["product_id"])
        self.asked[product_id] += 1
        behaviour = self.behaviour
        chosen = self._random.random() < behaviour.share
        mode: Mode = behaviour.mode if chosen else "ok"
        if mode != "hang":
            delay_ms = self._random.gauss(behaviour.latency_ms, behaviour.jitter_ms)
            await asyncio.sleep(max(0.0, delay_ms) / 1000)
        if mode == "ok":
            return await behave(self.kind, product_id)
        return await MISBEHAVIOURS[mode](request, self.kind)

    async def read_behaviour(self, _: web.Request) -> web.Response:
        """The behaviour as it is."""
        return web.json_response(self.behaviour.model_dump())

    async def change_behaviour(self, request: web.Request) -> web.Response:
        """Change the given fields and answer all of them; 422 says what is wrong."""
        try:
            change = from_json(await request.read(), allow_inf_nan=False)
        except ValueError as error:
            return _rejected(("body", f"not JSON: {error}"))
        if not isinstance(change, dict):
            return _rejected(("body", 'not a JSON object, such as {"mode": "hang"}'))
        try:
            self.behaviour = Behaviour.model_validate({**self.behaviour.model_dump(), **change})
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            return _rejected(*((str(fault["loc"][0]), fault["msg"]) for fault in faults))
        return await self.read_behaviour(request)

    async def count_requests(self, _: web.Request) -> web.Response:
        """How many product requests there were, and for which products."""
        by_product = {str(product_id): times for product_id, times in sorted(self.asked.items())}
        return web.json_response({"count": self.asked.total(), "by_product": by_product})

    async def forget_requests(self, _: web.Request) -> web.Response:
        """Count from 0 again."""
        self.asked.clear()
        return web.Response(status=204)


def stand_in_app(kind: Kind) -> web.Application:
    """The stand-in as an application; its server has to cancel handlers whose client left."""
    stand_in = StandIn(kind)
    path = r"/products/{product_id:[0-9]{1,18}}" + ("/reviews" if kind == "reviews" else "")
    app = web.Application(middlewares=[_traced, _json_errors])
    app.add_routes(
        [
            web.get(path, stand_in.answer, allow_head=False),
            web.get("/behaviour", stand_in.read_behaviour),
            web.put("/behaviour", stand_in.change_behaviour),
            web.get("/requests", stand_in.count_requests),
            web.delete("/requests", stand_in.forget_requests),
            web.get("/health", _health),
        ]
    )
    return app


def serve_stand_in(
    kind: Kind, host: str = "127.0.0.1", port: int = 0
) -> AbstractAsyncContextManager[str]:
    """Serve on the running loop and yield the base URL; port 0 takes a free one.

    Leaving does not wait for requests that hang. Raises OSError when the port is taken.
    """
    return serving(stand_in_app(kind), host, port)


def run_stand_in(kind: Kind, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises SystemExit, saying why, when the port is taken."""
    try:
        asyncio.run(_serve_until_told(kind, host, port))
    except OSError as error:
        raise SystemExit(f"The {kind} stand-in cannot listen: {error.strerror or error}") from None


async def _serve_until_told(kind: Kind, host: str, port: int) -> None:
    told = end_signal()
    with configured_tracing(Drops(CollectorRegistry()), kind, __version__):
        async with serve_stand_in(kind, host, port):
            await told.wait()


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "healthy"})


@web.middleware
async def _traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    resource = request.match_info.route.resource
    name = f"{request.method} {resource.canonical}" if resource else request.method
    with trace.get_tracer(__name__).start_as_current_span(
        name, context=propagate.extract(request.headers), kind=trace.SpanKind.SERVER
    ):
        return await handler(request)


@web.middleware
async def _json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"error": error.reason}, status=error.status)


def _rejected(*faults: tuple[str, str]) -> web.Response:
    fields = [{"field": field, "message": message} for field, message in faults]
    return web.json_response({"error": "Not a behaviour.", "fields": fields}, status=422)
