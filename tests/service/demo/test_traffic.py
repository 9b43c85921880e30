"""Traffic and faults: bounded, unimpressed by failures, and calm again at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from service.demo.addresses import Address, Addresses
from service.demo.embedded import EmbeddedServer, EmbeddedValkey, short_temp_folder
from service.demo.faults import Pace, Stage, cause_faults
from service.demo.ports import free_port
from service.demo.rehearsals import FAULTS, faults_of
from service.demo.traffic import popular_product, send_traffic
from tests.conftest import RunningStandIn


class _Recorder(EmbeddedServer):
    """Stands for a server: keeps what was asked of it, runs nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(Path("/nonexistent"))
        self.name = name  # type: ignore[misc]
        self.orders: list[str] = []

    def start(self) -> None:
        self.orders.append("start")

    def stop(self) -> None:
        self.orders.append("stop")

    def prepare(self, deadline: float) -> None:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        return self.orders[-1:] != ["stop"]


async def test_traffic_survives_a_service_that_is_not_there() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await send_traffic(f"http://127.0.0.1:{free_port()}", requests_per_second=200)


async def test_traffic_sends_no_more_while_twenty_requests_wait() -> None:
    waiting = 0

    async def hang(_: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async with _serving(hang) as url:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.7):
                await send_traffic(url, requests_per_second=1000)

    assert waiting == 20


def test_some_products_are_asked_for_often_and_all_exist() -> None:
    random = Random(1)

    asked = [popular_product(random) for _ in range(10_000)]

    assert 1 <= min(asked) <= max(asked) <= 10_000
    assert asked.count(1) > 100
    assert len(set(asked)) > 2000


async def test_faults_are_caused_in_turn_and_said_and_the_end_is_calm(
    reviews: RunningStandIn, inventory: RunningStandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = {name: _Recorder(name) for name in ("Valkey", "PostgreSQL")}
    stage = Stage(_addresses(reviews, inventory), servers)

    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            await cause_faults(stage, FAULTS, Pace(0.01, 0.01))

    said = capsys.readouterr().out
    for fault in FAULTS:
        assert f"[faults] {fault.name}, for 0.01 s → " in said
        assert f"; alert {fault.alert} {fault.when}" in said
    assert 'circuit_breaker_state{dependency="reviews",state="open"} 1' in said
    assert all(server.orders[:2] == ["stop", "start"] for server in servers.values())
    assert all(server.is_ready() for server in servers.values())
    assert [stand_in.behave()["mode"] for stand_in in (reviews, inventory)] == ["ok", "ok"]
    assert [stand_in.behave()["share"] for stand_in in (reviews, inventory)] == [1, 1]


async def test_a_server_stopped_as_a_fault_is_started_when_the_demo_ends() -> None:
    with short_temp_folder() as folder, EmbeddedValkey(folder / "valkey") as valkey:
        stage = Stage(_nowhere(), {"Valkey": valkey})
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await cause_faults(stage, faults_of("valkey-stopped"), Pace(0.02, 0))

        assert valkey.is_ready()


async def test_a_mistake_is_made_again_and_again_as_long_as_the_fault_lasts() -> None:
    made = asyncio.Semaphore(0)

    async def fail(_: web.Request) -> web.Response:
        made.release()
        return web.Response(status=500)

    async with _serving(fail, "/fault/fail") as url:
        api = Address("127.0.0.1", urlsplit(url).port or 0, "the API", "PORT")
        stage = Stage(replace(_nowhere(), api=api), {})
        faults = asyncio.create_task(cause_faults(stage, faults_of("own-errors"), Pace(60, 0)))
        async with asyncio.timeout(30):
            await made.acquire()
            await made.acquire()
        faults.cancel()
        await asyncio.wait([faults])

    assert faults.cancelled()


def _nowhere() -> Addresses:
    gone = Address("127.0.0.1", free_port(), "gone", "")
    return Addresses(gone, gone, gone, gone)


def _addresses(reviews: RunningStandIn, inventory: RunningStandIn) -> Addresses:
    return Addresses.from_environment(
        {"REVIEWS__URL": reviews.url, "INVENTORY__URL": inventory.url, "PORT": str(free_port())}
    )


@asynccontextmanager
async def _serving(
    handler: Any, path: str = "/v1/product/{product_id}/enriched"
) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.get(path, handler)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
