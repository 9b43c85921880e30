"""aiohttp's client, measured, against a real server."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from middleware.dependencies import DependencyMetrics
from tests.middleware.dependencies.conftest import PATIENCE_SECONDS, Scrape


@dataclass
class Server:
    """Answers as its paths say."""

    address: str = ""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def status(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]))

    async def hang(self, request: web.Request) -> web.Response:
        self.asked.set()
        await self.may_answer.wait()
        return web.Response()

    async def slow_body(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await self.may_answer.wait()
        await response.write(b"end")
        return response

    async def hang_up(self, request: web.Request) -> web.Response:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.abort()
        return web.Response()

    async def redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/status/200")

    def url(self, path: str) -> str:
        return f"http://{self.address}{path}"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/status/{status}", server.status)
    app.router.add_get("/hang", server.hang)
    app.router.add_get("/slow-body", server.slow_body)
    app.router.add_post("/hang-up", server.hang_up)
    app.router.add_get("/redirect", server.redirect)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.address = f"{host}:{port}"
    yield server
    server.may_answer.set()
    await runner.cleanup()


@pytest.fixture
async def session(dependencies: DependencyMetrics) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        trace_configs=[dependencies.aiohttp_trace_config()]
    ) as session:
        yield session


def connections(scrape: Scrape, address: str) -> tuple[float | None, float | None]:
    """To one server: active, idle."""
    active, idle = (
        scrape.value(
            "http_client_open_connections", server_address=address, http_connection_state=state
        )
        for state in ("active", "idle")
    )
    return active, idle


async def test_a_server_that_is_not_there_is_counted_without_a_status(
    session: aiohttp.ClientSession, scrape: Scrape, closed_port: int
) -> None:
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(f"http://127.0.0.1:{closed_port}/")

    address = f"127.0.0.1:{closed_port}"
    assert scrape.requests() == [(address, "GET", "", "ClientConnectorError", 1)]
    assert connections(scrape, address) == (None, None)


async def test_a_server_that_hangs_is_a_timeout(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server
) -> None:
    with pytest.raises(TimeoutError):
        await session.get(server.url("/hang"), timeout=aiohttp.ClientTimeout(total=0.1))

    assert scrape.requests() == [(server.address, "GET", "", "timeout", 1)]
    assert connections(scrape, server.address) == (0, 0)


async def test_a_socket_that_stays_silent_is_a_timeout(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server
) -> None:
    with pytest.raises(aiohttp.SocketTimeoutError):
        await session.get(server.url("/hang"), timeout=aiohttp.ClientTimeout(sock_read=0.1))

    assert scrape.requests() == [(server.address, "GET", "", "timeout", 1)]


async def test_a_caller_that_is_cancelled_is_counted_as_such(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server
) -> None:
    asking = asyncio.create_task(session._request("GET", server.url("/hang")))
    await asyncio.wait_for(server.asked.wait(), PATIENCE_SECONDS)
    assert connections(scrape, server.address) == (1, 0)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert scrape.requests() == [(server.address, "GET", "", "cancelled", 1)]
    assert connections(scrape, server.address) == (0, 0)


async def test_a_server_that_hangs_up_is_counted(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server
) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await session.post(server.url("/hang-up"))

    assert scrape.requests() == [(server.address, "POST", "", "ServerDisconnectedError", 1)]
    assert connections(scrape, server.address) == (0, 0)


@pytest.mark.parametrize(
    ("status", "error_type"), [(200, ""), (404, "404"), (500, "500"), (503, "503"), (299, "")]
)
async def test_an_answer_is_counted_with_its_status_an_error_s_is_its_type(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server, status: int, error_type: str
) -> None:
    async with session.get(server.url(f"/status/{status}")) as response:
        await response.read()

    assert scrape.requests() == [(server.address, "GET", str(status), error_type, 1)]


async def test_what_cannot_be_measured_is_dropped_and_the_request_is_answered(
    session: aiohttp.ClientSession,
    scrape: Scrape,
    server: Server,
    dependencies: DependencyMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dependencies._http, "_addresses", None)

    async with session.get(server.url("/status/200")) as response:
        assert response.status == 200

    assert scrape.requests() == []
    assert (scrape.dropped() or 0) > 0


@pytest.mark.parametrize(("method", "label"), [("put", "PUT"), ("PURGE", "_OTHER")])
async def test_a_method_is_one_of_those_known(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server, method: str, label: str
) -> None:
    async with session.request(method, server.url("/status/200")):
        pass

    assert scrape.requests() == [(server.address, label, "200", "", 1)]


async def test_a_redirected_request_is_one_request(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server
) -> None:
    async with session.get(server.url("/redirect")) as response:
        await response.read()

    assert scrape.requests() == [(server.address, "GET", "200", "", 1)]
    assert connections(scrape, server.address) == (0, 1)


async def test_a_connection_is_active_until_the_body_is_read_and_idle_then(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server
) -> None:
    async with session.get(server.url("/slow-body")) as response:
        assert scrape.requests() == [(server.address, "GET", "200", "", 1)]
        assert connections(scrape, server.address) == (1, 0)

        server.may_answer.set()
        await response.read()

        assert connections(scrape, server.address) == (0, 1)


async def test_a_connection_that_is_used_again_is_not_counted_twice(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server
) -> None:
    for _ in range(3):
        async with session.get(server.url("/status/200")) as response:
            await response.read()

    assert connections(scrape, server.address) == (0, 1)


async def test_an_answer_that_nobody_reads_frees_its_connection(
    session: aiohttp.ClientSession, scrape: Scrape, server: Server
) -> None:
    async with session.get(server.url("/slow-body")):
        pass

    assert connections(scrape, server.address) == (0, 0)


async def test_sessions_add_up_and_leave_when_they_are_closed(
    dependencies: DependencyMetrics, scrape: Scrape, server: Server
) -> None:
    config = dependencies.aiohttp_trace_config()
    other = dependencies.aiohttp_trace_config()
    async with (
        aiohttp.ClientSession(trace_configs=[config]) as first,
        aiohttp.ClientSession(trace_configs=[other]) as second,
    ):
        for session in (first, second):
            async with session.get(server.url("/status/200")) as response:
                await response.read()
        assert connections(scrape, server.address) == (0, 2)

        await first.close()
        assert connections(scrape, server.address) == (0, 1)

    assert connections(scrape, server.address) == (None, None)


async def test_fifty_sessions_that_came_and_went_leave_nothing_behind(
    dependencies: DependencyMetrics, scrape: Scrape, server: Server
) -> None:
    gone = []
    for _ in range(50):
        config = dependencies.aiohttp_trace_config()
        async with aiohttp.ClientSession(trace_configs=[config]) as session:
            await (await session.get(server.url("/status/200"))).read()
            gone.append(weakref.ref(session.connector))
        del session, config
    gc.collect()

    assert [reference for reference in gone if reference() is not None] == []
    assert connections(scrape, server.address) == (None, None)


async def test_a_thousand_addresses_make_a_hundred_and_one(
    session: aiohttp.ClientSession, scrape: Scrape, closed_port: int
) -> None:
    for number in range(1000):
        host = f"127.0.{1 + number // 250}.{1 + number % 250}"
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://{host}:{closed_port}/")

    counted = {address: count for address, *_, count in scrape.requests()}
    assert len(counted) == 101
    assert counted["other"] == 900
    assert scrape.dropped() == 900


async def test_an_address_of_ipv6_is_written_as_in_a_url(
    session: aiohttp.ClientSession, scrape: Scrape, closed_port: int
) -> None:
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(f"http://[::1]:{closed_port}/")

    assert scrape.requests()[0][0] == f"[::1]:{closed_port}"


def test_asking_for_a_second_trace_config_registers_nothing_again(
    dependencies: DependencyMetrics, registry: CollectorRegistry
) -> None:
    dependencies.aiohttp_trace_config()
    before = [family.name for family in registry.collect()]

    dependencies.aiohttp_trace_config()

    assert [family.name for family in registry.collect()] == before
