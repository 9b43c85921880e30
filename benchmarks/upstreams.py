"""The reviews and inventory APIs of the benchmark: `python -m benchmarks.upstreams R I LATENCY_MS`.

They answer as the demo's stand-ins do, from bytes made beforehand and at a tenth of the cost:
they share a core with the database, the cache and the generator, and must never be the limit.
"""

import asyncio
import json
import sys
from typing import Any, cast

import uvloop

MOMENT = "2025-06-01T12:00:00Z"
TEXT = "Sturdy, quiet and easy to clean. The manual could be better, the handle could not. " * 2


def reviews() -> list[dict[str, Any]]:
    """What the reviews API says of every product."""
    return [
        {
            "id": number,
            "author": f"Customer {number}",
            "rating": 1 + number % 5,
            "title": "Does what it says",
            "text": TEXT,
            "created_at": MOMENT,
        }
        for number in range(1, 6)
    ]


def inventory() -> dict[str, Any]:
    """What the inventory API says, but for the product's id, which goes in per request."""
    stock = [{"code": code, "quantity": 7} for code in ("BER-1", "LYS-2", "GDN-3")]
    return {"in_stock": True, "quantity": 21, "warehouses": stock, "updated_at": MOMENT}


def reply(body: bytes) -> bytes:
    """The whole HTTP answer."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return (head % len(body)).encode() + body


REVIEWS = reply(json.dumps(reviews()).encode())
INVENTORY_TAIL = json.dumps(inventory())[1:].encode()


class Upstream(asyncio.Protocol):
    """One connection; a request is over at its empty line, for nobody sends a body."""

    def __init__(self, latency_seconds: float) -> None:
        self._latency_seconds = latency_seconds
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, self._received = self._received.split(b"\r\n\r\n", 1)
            loop = asyncio.get_running_loop()
            loop.call_later(self._latency_seconds, self._answer, request)

    def _answer(self, request: bytes) -> None:
        if self._transport.is_closing():
            return
        path = request.split(b" ", 2)[1]
        if path.endswith(b"/reviews"):
            self._transport.write(REVIEWS)
        else:
            product_id = path.rsplit(b"/", 1)[1]
            self._transport.write(reply(b'{"product_id": %s, %s' % (product_id, INVENTORY_TAIL)))


async def serve(ports: list[int], latency_seconds: float) -> None:
    """Listen until killed."""
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(lambda: Upstream(latency_seconds), "127.0.0.1", port, backlog=2048)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve([int(sys.argv[1]), int(sys.argv[2])], float(sys.argv[3]) / 1000))
