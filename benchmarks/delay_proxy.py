"""A database that is far away: `python -m benchmarks.delay_proxy PORT TARGET_PORT DELAY_MS`.

Passes TCP on and holds back what the target says by a fixed time, so that every round trip costs
that much and several on one connection can be under way at once.
"""

import asyncio
import sys
from typing import cast

import uvloop


class Leg(asyncio.Protocol):
    """One side of a relayed connection."""

    def __init__(self, delay_seconds: float) -> None:
        self._delay_seconds = delay_seconds
        self.transport: asyncio.Transport | None = None
        self.other: Leg | None = None
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def join(self, other: "Leg") -> None:
        """Both sides are there: pass on what came before."""
        self.other, other.other = other, self
        if self._early:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
        elif self._delay_seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(self._delay_seconds, self.other.write, data)
        else:
            self.other.write(data)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def serve(port: int, target_port: int, delay_seconds: float) -> None:
    """Relay until killed."""
    loop = asyncio.get_running_loop()
    joining: set[asyncio.Task[None]] = set()

    async def join(client: Leg) -> None:
        _, target = await loop.create_connection(
            lambda: Leg(delay_seconds), "127.0.0.1", target_port
        )
        target.join(client)
        client.join(target)

    class Client(Leg):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = loop.create_task(join(self))
            joining.add(task)
            task.add_done_callback(joining.discard)

    await loop.create_server(lambda: Client(0.0), "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
