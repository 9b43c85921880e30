"""Whatever breaks, consumers get answers that say so, and nobody has to restart anything.

Servers are started on the main thread: they end with the thread that started them.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp
import asyncpg
import pytest

from service.contracts import EnrichedProduct, Problem
from tests.conftest import RunningStandIn
from tests.integration.conftest import World
from tests.integration.running import RunningService, eventually, running_service, until

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.no_cover]

CUSTOMERS = 4
CROWD = 1000
OTHER = {"reviews": "inventory", "inventory": "reviews"}

REASONS = {
    "error": {"bad_response"},
    "hang": {"timeout"},
    "reset": {"unreachable"},
    "garbage": {"bad_response"},
    "wrong_type": {"bad_response"},
    "drip": {"timeout"},
    "endless": {"bad_response", "timeout"},
    "too_many_requests": {"bad_response"},
}

_fresh_product = count(1)


def a_cold_product() -> int:
    """One that nobody has asked for yet."""
    return next(_fresh_product)


@pytest.fixture(scope="module")
def module_settings() -> dict[str, str]:
    """Quick to give up, so that a fault takes no longer to show than it has to."""
    return {"REVIEWS__TIMEOUT_SECONDS": "0.3", "INVENTORY__TIMEOUT_SECONDS": "0.3"}


class Load:
    """A few customers in a closed loop, each asking for another product every time."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []

    async def product(self, product_id: int) -> EnrichedProduct | None:
        """The product; None when the answer was a proper 503."""
        async with self.session.get(f"/product/{product_id}/enriched") as response:
            body = await response.read()
        self.statuses[response.status] += 1
        if response.status == 200:
            return EnrichedProduct.model_validate_json(body)
        if response.status == 503 and "Retry-After" in response.headers:
            Problem.model_validate_json(body)
            return None
        self.wrong.append(f"{response.status}: {body[:200]!r}")
        return None

    async def keep_asking(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.product(a_cold_product())
            except aiohttp.ClientError as error:
                self.wrong.append(repr(error))
            await asyncio.sleep(0.02)

    async def sources(self, product_id: int | None = None) -> dict[str, tuple[str, str | None]]:
        """What an answer says about its sources; empty when there is none."""
        product = await self.product(product_id or a_cold_product())
        if product is None:
            return {}
        if product.sources["reviews"].status == "unavailable":
            assert product.reviews == []
        if product.sources["inventory"].status == "unavailable":
            assert product.inventory == {}
        return {name: (each.status, each.reason) for name, each in product.sources.items()}

    async def all_is_live(self) -> bool:
        """Whether a product that nobody knows yet comes from all its sources."""
        return set((await self.sources()).values()) == {("live", None)}


@asynccontextmanager
async def under_load(service: RunningService) -> AsyncIterator[Load]:
    """Light, constant load, which nothing that happens may make fail but with a proper 503."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(service.url, timeout=timeout) as session:
        load = Load(session)
        async with asyncio.TaskGroup() as group:
            customers = [group.create_task(load.keep_asking()) for _ in range(CUSTOMERS)]
            await eventually(load.all_is_live, "all is well before anything breaks")
            yield load
            await eventually(load.all_is_live, "all is well again")
            for customer in customers:
                customer.cancel()
        assert load.wrong == [], service.unexpected_errors()


@pytest.fixture(scope="module", autouse=True)
def _nothing_leaks(service: RunningService) -> Iterator[None]:
    before = service.metric("process_open_fds")
    yield
    # Pools may have grown to what so few customers can keep busy.
    few = before + 4 * CUSTOMERS
    until(lambda: service.metric("process_open_fds") <= few, "no descriptor is left over")
    assert service.process.poll() is None
    assert "Traceback" not in service.log()


BROKEN = {"reviews": ("reviews",), "inventory": ("inventory",), "both": ("reviews", "inventory")}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("mode", REASONS)
async def test_a_failing_upstream_costs_its_part_and_nothing_else(
    world: World, service: RunningService, mode: str, broken: tuple[str, ...]
) -> None:
    stand_ins: dict[str, RunningStandIn] = {"reviews": world.reviews, "inventory": world.inventory}
    async with under_load(service) as load:
        for name in broken:
            stand_ins[name].behave(mode=mode)

        for _ in range(8):
            sources = await load.sources()

            for name in broken:
                status, reason = sources[name]
                assert status == "unavailable"
                assert reason in REASONS[mode] | {"circuit_open"}
            for name in {"product", "reviews", "inventory"} - set(broken):
                assert sources[name] == ("live", None)

        world.mend()

    assert load.statuses.keys() == {200}


async def test_half_of_the_answers_broken_is_told_of_that_half_only(
    world: World, service: RunningService
) -> None:
    async with under_load(service) as load:
        world.reviews.behave(mode="error", share=0.5)

        told = [(await load.sources())["reviews"] for _ in range(20)]

        world.mend()

    assert {status for status, _ in told} <= {"live", "unavailable"}
    assert {reason for _, reason in told} <= {None, "bad_response", "circuit_open"}
    assert load.statuses.keys() == {200}


async def test_without_valkey_all_goes_on(world: World, service: RunningService) -> None:
    async with under_load(service) as load:
        await asyncio.to_thread(world.valkey.stop)

        for _ in range(20):
            assert await load.all_is_live()

        world.valkey.start()
        await eventually(_shares(world, load), "products are shared again")

    assert load.statuses.keys() == {200}


async def test_while_valkey_hangs_all_goes_on(world: World, service: RunningService) -> None:
    async with under_load(service) as load:
        os.kill(world.valkey.pid, signal.SIGSTOP)
        try:
            for _ in range(20):
                assert await load.all_is_live()
        finally:
            os.kill(world.valkey.pid, signal.SIGCONT)
        await eventually(_shares(world, load), "products are shared again")

    assert load.statuses.keys() == {200}


async def test_a_valkey_that_restarts_under_load_is_not_noticed(
    world: World, service: RunningService
) -> None:
    async with under_load(service) as load:
        for _ in range(2):
            await asyncio.to_thread(world.valkey.stop)
            world.valkey.start()
        await eventually(_shares(world, load), "products are shared again")

    assert load.statuses.keys() == {200}


async def test_without_postgresql_what_is_known_is_served_and_the_rest_is_a_503(
    world: World, service: RunningService
) -> None:
    async with under_load(service) as load:
        known = a_cold_product()
        assert await load.product(known)
        await asyncio.to_thread(world.postgres.stop)

        assert await load.sources(known)
        assert [await load.product(a_cold_product()) for _ in range(10)] == [None] * 10
        assert (await _not_ready(service))["database"]

        world.postgres.start()

    assert load.statuses.keys() == {200, 503}
    assert service.readiness()[0] == 200
    assert await _database_connections(world) <= 10


async def test_while_postgresql_hangs_what_is_known_is_served(
    world: World, service: RunningService
) -> None:
    async with under_load(service) as load:
        known = a_cold_product()
        assert await load.product(known)
        processes = _with_children(world.postgres.pid)
        _signal_all(processes, signal.SIGSTOP)
        try:
            assert await load.sources(known)
            assert await load.product(a_cold_product()) is None
            assert (await _not_ready(service))["database"]
        finally:
            _signal_all(processes, signal.SIGCONT)

    assert await _database_connections(world) <= 10


async def test_all_of_it_may_break_at_once(world: World, service: RunningService) -> None:
    async with under_load(service) as load:
        world.reviews.behave(mode="reset")
        world.inventory.behave(mode="garbage")
        await asyncio.to_thread(world.valkey.stop)
        await asyncio.to_thread(world.postgres.stop)

        assert [await load.product(a_cold_product()) for _ in range(5)] == [None] * 5

        world.mend()

    assert load.statuses.keys() == {200, 503}


async def test_a_thousand_requests_at_once_for_a_cold_product_ask_each_source_once(
    world: World, service: RunningService
) -> None:
    product_id = 9001
    world.reviews.behave(latency_ms=100)

    statuses = await _crowd(product_id, [service])

    assert statuses == {200: CROWD}
    assert _asked(world, product_id) == (1, 1)


async def test_replicas_that_share_a_valkey_ask_each_source_once_in_all(
    world: World,
) -> None:
    product_id = 9002
    world.reviews.behave(latency_ms=100)
    # However slow the machine is, nobody gives up waiting for the other one.
    patient = {"REVIEWS__TIMEOUT_SECONDS": "20", "REQUEST_BUDGET_SECONDS": "60"}
    with (
        running_service(world.folder, **world.settings, **patient) as one,
        running_service(world.folder, **world.settings, **patient) as other,
    ):
        statuses = await _crowd(product_id, [one, other])

    assert statuses == {200: CROWD}
    assert _asked(world, product_id) == (1, 1)


async def _crowd(product_id: int, services: list[RunningService]) -> Counter[int]:
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def ask(service: RunningService) -> int:
            async with session.get(f"{service.url}/product/{product_id}/enriched") as response:
                await response.read()
                return response.status

        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(ask(services[number % len(services)])) for number in range(CROWD)
            ]
    return Counter(task.result() for task in asked)


def _asked(world: World, product_id: int) -> tuple[int, int]:
    counts: list[Any] = [
        stand_in.requests()["by_product"].get(str(product_id), 0)
        for stand_in in (world.reviews, world.inventory)
    ]
    return counts[0], counts[1]


def _shares(world: World, load: Load) -> Callable[[], Awaitable[bool]]:
    async def shares() -> bool:
        product_id = a_cold_product()
        await load.product(product_id)
        return world.shares(product_id)

    return shares


async def _not_ready(service: RunningService) -> dict[str, str]:
    """The reasons of the checks that do not pass, once there are some."""
    reasons: dict[str, str] = {}

    async def not_ready() -> bool:
        status, body = await asyncio.to_thread(service.readiness)
        checks = body["checks"].items()
        reasons.update({name: each["reason"] for name, each in checks if not each["ok"]})
        return status == 503

    await eventually(not_ready, "it says that it is not ready")
    return reasons


async def _database_connections(world: World) -> int:
    connection = await asyncpg.connect(world.postgres.dsn)
    try:
        count_ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stallscope'"
        found: int = await connection.fetchval(count_ours)
        return found
    finally:
        await connection.close()


def _with_children(pid: int) -> list[int]:
    children = [
        int(process)
        for process in os.listdir("/proc")
        if process.isdigit() and _parent_of(process) == pid
    ]
    return [pid, *children]


def _parent_of(process: str) -> int | None:
    try:
        with open(f"/proc/{process}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _signal_all(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            pass  # it has ended meanwhile
