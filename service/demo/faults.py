"""One failure after the other, each with what to look at while it lasts and the alert it causes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Self

import aiohttp

from service.demo.addresses import Addresses
from service.demo.answers import Kind
from service.demo.rehearsals import FAULTS, Fault, Misbehaviour, Mistake, Outage
from service.demo.server import EmbeddedServer

_TIMEOUT_SECONDS = 5.0
# Products that light traffic hardly ever asks for, so that no cache answers for the sources.
_FIRST_UNPOPULAR_PRODUCT = 9001
_UNPOPULAR_PRODUCTS = 900


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a fault lasts and how long it is calm after it, in seconds."""

    fault_seconds: float
    calm_seconds: float

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> Self:
        """All of them are to be seen soon; chosen ones last until their alerts fire."""
        return cls(15, 10) if tuple(faults) == FAULTS else cls(240, 60)


@dataclass(frozen=True, slots=True)
class Stage:
    """What can be broken."""

    addresses: Addresses
    servers: Mapping[str, EmbeddedServer]


async def cause_faults(stage: Stage, faults: Sequence[Fault], pace: Pace) -> None:
    """Cause every fault in turn, again and again, until cancelled; then all is well again.

    Stopping and starting a server blocks the loop for that long: their life hangs on this thread.
    """
    for number in count():
        for place, fault in enumerate(faults):
            # What upstreams do hits each of the two, one round after the other.
            kind: Kind = "reviews" if (place + number) % 2 == 0 else "inventory"
            look = _what_to_look_at(stage.addresses, fault, kind, place)
            _say(
                f"{fault.name}, for {pace.fault_seconds:g} s → {look}; "
                f"alert {fault.alert} {fault.when}"
            )
            async with _broken(stage, fault, kind):
                await asyncio.sleep(pace.fault_seconds)
            _say(f"over; calm for {pace.calm_seconds:g} s")
            await asyncio.sleep(pace.calm_seconds)


def _broken(stage: Stage, fault: Fault, kind: Kind) -> AbstractAsyncContextManager[None]:
    match fault.cause:
        case Misbehaviour() as misbehaviour:
            return _misbehaving(_url_of(stage.addresses, kind), misbehaviour)
        case Outage(server):
            return _stopped(stage.servers[server])
        case Mistake() as mistake:
            return _made(stage.addresses.api.url, mistake)


@asynccontextmanager
async def _misbehaving(url: str, misbehaviour: Misbehaviour) -> AsyncIterator[None]:
    async with _session(url) as session:
        try:
            await _behave(session, misbehaviour.mode, misbehaviour.share)
            yield
        finally:
            await _behave(session, "ok", 1.0)


async def _behave(session: aiohttp.ClientSession, mode: str, share: float) -> None:
    try:
        async with session.put("/behaviour", json={"mode": mode, "share": share}) as response:
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


@asynccontextmanager
async def _made(url: str, mistake: Mistake) -> AsyncIterator[None]:
    async with _session(url) as session, asyncio.TaskGroup() as group:
        visits = group.create_task(_visit_again_and_again(session, mistake))
        try:
            yield
        finally:
            visits.cancel()


async def _visit_again_and_again(session: aiohttp.ClientSession, mistake: Mistake) -> None:
    while True:
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with session.get(mistake.path) as response:
                await response.read()
        await asyncio.sleep(mistake.pause_seconds)


def _session(url: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS))


def _url_of(addresses: Addresses, kind: Kind) -> str:
    return (addresses.reviews if kind == "reviews" else addresses.inventory).url


def _what_to_look_at(addresses: Addresses, fault: Fault, kind: Kind, place: int) -> str:
    api, ops = addresses.api.url, addresses.ops.url
    match fault.cause:
        case Misbehaviour() as misbehaviour:
            product = _FIRST_UNPOPULAR_PRODUCT + place * 7919 % _UNPOPULAR_PRODUCTS
            return (
                f"{kind}: {misbehaviour.mode}; curl -s {api}/v1/product/{product}/enriched: "
                f"sources.{kind} says {misbehaviour.says}; {ops}/metrics: "
                f'circuit_breaker_state{{dependency="{kind}",state="open"}} 1'
            )
        case Outage(look=look) | Mistake(look=look):
            return look.format(api=api, ops=ops)


def _say(line: str) -> None:
    print(f"[faults] {line}", flush=True)
