"""Everything that the service stands on opens and closes without a trace."""

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from service.adapters.rate_limits import MovingWindowLimits
from service.demo.embedded import EmbeddedValkey
from service.lifespan import Adapters, open_adapters
from service.metrics import ServiceMetrics
from service.products.domain import FetchTimes, ProductId
from service.products.ports import CacheUnavailableError, Entry
from service.settings import Settings
from tests.conftest import RunningStandIn
from tests.service.adapters.conftest import eventually

EIGHT = ProductId(8)
ENTRY = Entry(FetchTimes(1.0, 2.0, 3.0), 30.0, b"{}")

MakeSettings = Callable[..., Settings]


@pytest.fixture
def settings(
    database_url: str, redis_url: str, reviews: RunningStandIn, inventory: RunningStandIn
) -> MakeSettings:
    def made(**changes: Any) -> Settings:
        values: dict[str, Any] = {
            "database_url": database_url,
            "database": {"pool_min_size": 2, "pool_max_size": 2},
            "redis_url": redis_url,
            "reviews": {"url": reviews.url},
            "inventory": {"url": inventory.url},
        }
        return Settings(_env_file=None, **(values | changes))

    return made


def metrics() -> ServiceMetrics:
    return ServiceMetrics(CollectorRegistry())


async def use(adapters: Adapters) -> None:
    """Every adapter does something."""
    assert await adapters.sources.catalog.product(EIGHT)
    assert await adapters.sources.reviews.reviews(EIGHT)
    assert await adapters.sources.stock.inventory(EIGHT)
    try:
        await adapters.cache.put(EIGHT, ENTRY)
    except CacheUnavailableError:
        pass  # a moment of a busy machine
    for check in adapters.checks.values():
        await check()


def open_files() -> list[str]:
    return os.listdir("/proc/self/fd")


async def test_without_a_database_nothing_opens_and_nothing_is_left(
    settings: MakeSettings,
) -> None:
    before = asyncio.all_tasks()

    with pytest.raises(ConnectionRefusedError):
        async with open_adapters(
            settings(database_url="postgresql://127.0.0.1:1/nowhere"), metrics()
        ):
            pass

    assert asyncio.all_tasks() == before


async def test_without_redis_url_it_works_and_says_so(settings: MakeSettings) -> None:
    with capture_logs() as logs:
        async with open_adapters(settings(redis_url=None), metrics()) as adapters:
            await use(adapters)

            assert adapters.cache.peek(EIGHT) == ENTRY

    assert "redis_not_configured" in {line["event"] for line in logs}


async def test_a_redis_that_is_not_there_does_not_keep_it_from_opening(
    settings: MakeSettings, valkey: EmbeddedValkey
) -> None:
    valkey.stop()

    with capture_logs() as logs:
        async with open_adapters(settings(), metrics()) as adapters:
            await use(adapters)

    assert "redis_unavailable" in {line["event"] for line in logs}


@pytest.mark.no_cover
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux lists open files")
async def test_opening_and_closing_it_twenty_times_leaves_nothing_behind(
    settings: MakeSettings,
) -> None:
    values = settings(rate_limit="100/second")
    with capture_logs():
        await _open_and_use(values)
        tasks, files, threads = asyncio.all_tasks(), open_files(), lasting_threads()

        for _ in range(20):
            await _open_and_use(values)

    await eventually(lambda: asyncio.all_tasks() <= tasks)
    await eventually(lambda: len(open_files()) <= len(files))
    assert lasting_threads() <= threads


def lasting_threads() -> int:
    """All but those of the loop's own executor, which come when they are wanted, up to a number."""
    return sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate())


async def _open_and_use(values: Settings) -> None:
    async with open_adapters(values, metrics()) as adapters:
        await use(adapters)


async def test_an_error_inside_closes_everything(settings: MakeSettings) -> None:
    before = asyncio.all_tasks()

    with pytest.raises(KeyError):
        async with open_adapters(settings(), metrics()):
            raise KeyError

    await eventually(lambda: asyncio.all_tasks() <= before)


async def test_the_adapters_are_the_real_ones_and_work_together(settings: MakeSettings) -> None:
    async with open_adapters(settings(rate_limit="2/hour"), metrics()) as adapters:
        await use(adapters)
        assert isinstance(adapters.rate_limiter, MovingWindowLimits)

        hits = [await adapters.rate_limiter.hit("somebody") for _ in range(3)]

    assert [hit is None for hit in hits] == [True, True, False]
    assert sorted(adapters.checks) == ["database", "migrations"]


async def test_without_a_rate_there_is_no_limiter(settings: MakeSettings) -> None:
    async with open_adapters(settings(), metrics()) as adapters:
        assert adapters.rate_limiter is None


async def test_what_one_service_fetched_another_one_finds(settings: MakeSettings) -> None:
    newer = Entry(FetchTimes(4.0, 5.0, 6.0), 30.0, b"{}")
    async with (
        open_adapters(settings(), metrics()) as one,
        open_adapters(settings(), metrics()) as other,
    ):
        await one.cache.put(EIGHT, ENTRY)
        assert await other.cache.get(EIGHT) == ENTRY

        await one.cache.put(EIGHT, newer)

        await eventually(lambda: other.cache.peek(EIGHT) is None)
        assert await other.cache.get(EIGHT) == newer


async def test_every_circuit_is_shown_as_closed_from_the_start(settings: MakeSettings) -> None:
    shown = metrics()

    async with open_adapters(settings(), shown):
        states = {
            dependency: shown.registry.get_sample_value(
                "circuit_breaker_state", {"dependency": dependency, "state": "closed"}
            )
            for dependency in ("postgresql", "reviews", "inventory")
        }

    assert states == {"postgresql": 1, "reviews": 1, "inventory": 1}
