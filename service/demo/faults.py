"""One failure after the other, each with what to look at while it lasts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import aiohttp

from service.demo.addresses import Addresses
from service.demo.answers import Kind
from service.demo.misbehaviour import MISBEHAVIOURS, Mode
from service.demo.server import EmbeddedServer

_TIMEOUT_SECONDS = 3.0
# Products that light traffic hardly ever asks for, so that no cache answers for the sources.
_FIRST_UNPOPULAR_PRODUCT = 9001
_UNPOPULAR_PRODUCTS = 900

_REASONS: dict[Mode, str] = {
    "error": "bad_response",
    "hang": "timeout",
    "reset": "unreachable",
    "garbage": "bad_response",
    "wrong_type": "bad_response",
    "drip": "timeout",
    "endless": "bad_response",
    "too_many_requests": "bad_response",
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a fault lasts and how long it is calm after it, in seconds."""

    fault_seconds: float = 15.0
    calm_seconds: float = 10.0


async def cause_faults(addresses: Addresses, servers: Sequence[EmbeddedServer], pace: Pace) -> None:
    """Cause every fault in turn, again and again, until cancelled; then all is well again.

    Stopping and starting a server blocks the loop for that long: their life hangs on this thread.
    """
    for round_number in count():
        for place, mode in enumerate(MISBEHAVIOURS):
            # Every failure hits each of the two, one round after the other.
            kind: Kind = "reviews" if (place + round_number) % 2 == 0 else "inventory"
            _say(_upstream_line(addresses, kind, mode, pace, place))
            async with _misbehaving(addresses, kind, mode):
                await asyncio.sleep(pace.fault_seconds)
            await _calm(pace)
        for server in servers:
            _say(_server_line(addresses, server, pace))
            async with _stopped(server):
                await asyncio.sleep(pace.fault_seconds)
            await _calm(pace)


@asynccontextmanager
async def _misbehaving(addresses: Addresses, kind: Kind, mode: Mode) -> AsyncIterator[None]:
    url = (addresses.reviews if kind == "reviews" else addresses.inventory).url
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(url, timeout=timeout) as session:
        try:
            await _behave(session, mode)
            yield
        finally:
            await _behave(session, "ok")


async def _behave(session: aiohttp.ClientSession, mode: Mode) -> None:
    try:
        async with session.put("/behaviour", json={"mode": mode}) as response:
            response.raise_for_status()
    except (aiohttp.ClientError, TimeoutError) as error:
        _say(f"a stand-in cannot be told to be {mode}: {error!r}")


@asynccontextmanager
async def _stopped(server: EmbeddedServer) -> AsyncIterator[None]:
    try:
        server.stop()
        yield
    finally:
        server.start()


async def _calm(pace: Pace) -> None:
    _say(f"over; calm for {pace.calm_seconds:g} s")
    await asyncio.sleep(pace.calm_seconds)


def _upstream_line(addresses: Addresses, kind: Kind, mode: Mode, pace: Pace, place: int) -> str:
    product = _FIRST_UNPOPULAR_PRODUCT + place * 7919 % _UNPOPULAR_PRODUCTS
    return (
        f"{kind}: {mode} for {pace.fault_seconds:g} s → "
        f"curl -s {addresses.api.url}/v1/product/{product}/enriched: sources.{kind} says "
        f"unavailable/{_REASONS[mode]}, then circuit_open; {addresses.ops.url}/metrics: "
        f'circuit_breaker_state{{dependency="{kind}",state="open"}} 1'
    )


def _server_line(addresses: Addresses, server: EmbeddedServer, pace: Pace) -> str:
    api, ops = addresses.api.url, addresses.ops.url
    what_to_look_at = {
        "Valkey": "requests are answered as before, a little slower; "
        f'{ops}/metrics: cache_requests_total{{result="error"}} rises',
        "PostgreSQL": f"curl -s {api}/v1/product/1/enriched: sources.product says cached or stale; "
        f"/v1/product/9999/enriched: 503; {ops}/readyz says what is missing",
    }
    return f"{server.name}: stopped for {pace.fault_seconds:g} s → {what_to_look_at[server.name]}"


def _say(line: str) -> None:
    print(f"[faults] {line}", flush=True)
