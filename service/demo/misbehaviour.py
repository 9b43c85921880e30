"""The ways an upstream fails in production, each as an aiohttp handler's answer."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from aiohttp import web

from service.demo.answers import Kind, answer_of

Mode = Literal[
    "ok",
    "error",
    "hang",
    "reset",
    "garbage",
    "wrong_type",
    "drip",
    "endless",
    "too_many_requests",
]

_DRIP_SECONDS = 0.2
_CHUNK_BYTES = 64 * 1024


async def _error(_: web.Request, __: Kind) -> web.StreamResponse:
    return web.json_response({"error": "Something broke in here."}, status=500)


async def _hang(_: web.Request, __: Kind) -> web.StreamResponse:
    # Ends when the client leaves: the server cancels the handler then.
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def _reset(request: web.Request, _: Kind) -> web.StreamResponse:
    if request.transport is not None:
        connection: socket.socket = request.transport.get_extra_info("socket")
        # Closing with a linger time of 0 sends RST in place of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


async def _garbage(_: web.Request, __: Kind) -> web.StreamResponse:
    return web.Response(body=b'[{"id": \xff\xfe\x00\x1b, "quantity": }', content_type=_JSON)


async def _wrong_type(_: web.Request, __: Kind) -> web.StreamResponse:
    page = "<!doctype html><title>Maintenance</title><p>We will be back soon."
    return web.Response(text=page, content_type="text/html")


async def _drip(request: web.Request, _: Kind) -> web.StreamResponse:
    response = await _begin(request)
    await response.write(b"[")
    while True:
        await asyncio.sleep(_DRIP_SECONDS)
        await response.write(b" ")


async def _endless(request: web.Request, kind: Kind) -> web.StreamResponse:
    response = await _begin(request)
    item = json.dumps(_ENDLESS_ITEM[kind]).encode() + b","
    chunk = item * (_CHUNK_BYTES // len(item))
    await response.write(_ENDLESS_OPENING[kind])
    while True:
        await response.write(chunk)
        # A write that the socket takes at once gives nobody else a turn.
        await asyncio.sleep(0)


async def _too_many_requests(_: web.Request, __: Kind) -> web.StreamResponse:
    return web.json_response({"error": "Slow down."}, status=429, headers={"Retry-After": "1"})


async def _begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _JSON})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


_JSON: Final = "application/json"
_ENDLESS_OPENING: Final[dict[Kind, bytes]] = {
    "reviews": b"[",
    "inventory": b'{"product_id": 1, "in_stock": true, "quantity": 1, "warehouses": [',
}
_ENDLESS_ITEM: Final[dict[Kind, object]] = {
    "reviews": {
        "id": 1,
        "author": "Alex M.",
        "rating": 5,
        "title": "Excellent",
        "text": "I could go on about it for ever.",
        "created_at": "2025-06-01T12:00:00Z",
    },
    "inventory": {"code": "BER1", "quantity": 1},
}

MISBEHAVIOURS: Final[dict[Mode, Callable[[web.Request, Kind], Awaitable[web.StreamResponse]]]] = {
    "error": _error,
    "hang": _hang,
    "reset": _reset,
    "garbage": _garbage,
    "wrong_type": _wrong_type,
    "drip": _drip,
    "endless": _endless,
    "too_many_requests": _too_many_requests,
}


async def behave(kind: Kind, product_id: int) -> web.StreamResponse:
    """The healthy answer: 200, or 404 where there is no such product."""
    answer = answer_of(kind, product_id)
    if answer is None:
        return web.json_response({"error": "There is no such product."}, status=404)
    return web.json_response(answer)
