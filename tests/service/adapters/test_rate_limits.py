"""A caller's rate holds for all replicas together, and still for each without Redis."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from limits import parse

from service.adapters import redis_link
from service.adapters.rate_limits import MovingWindowLimits
from service.adapters.redis_link import RedisLink, open_redis
from service.demo.embedded import EmbeddedValkey
from tests.service.adapters.conftest import eventually, eventually_told, suspended

RATE = parse("10/hour")


@pytest.fixture
async def links(redis_url: str, patience: None) -> AsyncIterator[list[RedisLink]]:
    async with open_redis(redis_url) as first, open_redis(redis_url) as second:
        yield [first, second]


async def passed(limits: MovingWindowLimits, times: int, caller: str = "somebody") -> int:
    """How many of `times` requests were within the rate."""
    return [await limits.hit(caller) for _ in range(times)].count(None)


async def test_a_stopped_redis_leaves_a_limit_for_each_replica(
    valkey: EmbeddedValkey, links: list[RedisLink]
) -> None:
    replicas = [MovingWindowLimits(RATE, link) for link in links]
    valkey.stop()

    assert [await passed(replica, 25) for replica in replicas] == [10, 10]


async def test_a_redis_that_hangs_leaves_a_limit_for_each_replica(
    valkey: EmbeddedValkey, links: list[RedisLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "PATIENCE_SECONDS", 0.05)
    limits = MovingWindowLimits(RATE, links[0])

    with suspended(valkey.pid):
        assert await passed(limits, 25) == 10


async def test_the_shared_count_is_used_again_when_redis_is_back(
    valkey: EmbeddedValkey, links: list[RedisLink]
) -> None:
    limits = MovingWindowLimits(RATE, links[0])
    await limits.hit("somebody")
    valkey.stop()
    await passed(limits, 25)
    valkey.start()
    await eventually(lambda: not links[0].is_down)

    # Nothing that it knew is left, not even the script that counts.
    assert await passed(limits, 25) == 10
    assert not links[0].is_down


async def test_without_redis_it_limits_here() -> None:
    limits = MovingWindowLimits(RATE, None)

    assert await passed(limits, 25) == 10
    assert await passed(limits, 25, caller="another") == 10


async def test_requests_at_once_from_two_replicas_share_one_limit_exactly(
    links: list[RedisLink],
) -> None:
    replicas = [MovingWindowLimits(RATE, link) for link in links]

    hits = await asyncio.gather(*(replicas[n % 2].hit("somebody") for n in range(40)))

    assert hits.count(None) == 10
    assert not any(link.is_down for link in links)


async def test_another_caller_is_not_affected(links: list[RedisLink]) -> None:
    limits = MovingWindowLimits(RATE, links[0])
    await passed(limits, 25)

    assert await passed(limits, 25, caller="another") == 10


@pytest.mark.parametrize("caller", ["2001:db8::1", "a/b c", "ü", "x" * 1000, ""])
async def test_any_callers_name_will_do(links: list[RedisLink], caller: str) -> None:
    limits = MovingWindowLimits(RATE, links[0])

    assert await passed(limits, 11, caller=caller) == 10


@pytest.mark.parametrize("shared", [True, False])
async def test_who_is_refused_is_told_a_time_in_the_future(
    links: list[RedisLink], shared: bool
) -> None:
    limits = MovingWindowLimits(RATE, links[0] if shared else None)
    await passed(limits, 10)

    retry_at = await limits.hit("somebody")

    assert retry_at is not None
    assert 0 < retry_at - time.time() <= 3600


@pytest.mark.parametrize("shared", [True, False])
async def test_the_rate_is_free_again_when_its_window_has_passed(
    links: list[RedisLink], shared: bool
) -> None:
    limits = MovingWindowLimits(parse("2/second"), links[0] if shared else None)
    assert await passed(limits, 2) == 2

    async def is_free() -> bool:
        return await limits.hit("somebody") is None

    await eventually_told(is_free)
