"""Replicas share what they have fetched, and fetch a product one at a time."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import redis as blocking

from service.adapters import redis_cache
from service.adapters.redis_cache import MAX_ENTRY_BYTES, RedisCache
from service.adapters.redis_link import RedisLink, open_redis
from service.background import running
from service.demo.embedded import EmbeddedValkey
from service.products.domain import FetchTimes, ProductId
from service.products.ports import CacheUnavailableError, Entry
from tests.service.adapters.conftest import eventually, suspended

SEVEN = ProductId(7)
EIGHT = ProductId(8)
KEY = "stallscope:product:1:7"
LOCK = "stallscope:fetching:7"
ENTRY = Entry(FetchTimes(1.5, 2.5, 3.5), 27.25, b'{"id": 7}')

Replica = Callable[..., RedisCache]


@pytest.fixture
async def links(redis_url: str, patience: None) -> AsyncIterator[Iterator[RedisLink]]:
    async with open_redis(redis_url) as first, open_redis(redis_url) as second:
        yield iter((first, second))


@pytest.fixture
def replica(links: Iterator[RedisLink]) -> Replica:
    """Another replica's cache, patient unless told otherwise; there are two."""

    def opened(
        stale_seconds: float = 300.0, lock_seconds: float = 60.0, wait_seconds: float = 60.0
    ) -> RedisCache:
        return RedisCache(
            next(links),
            stale_seconds=stale_seconds,
            lock_seconds=lock_seconds,
            wait_seconds=wait_seconds,
        )

    return opened


@pytest.fixture
def server(redis_url: str) -> Iterator["blocking.Redis"]:
    with blocking.Redis.from_url(redis_url) as client:
        yield client


@asynccontextmanager
async def following(cache: RedisCache) -> AsyncIterator[list[ProductId | None]]:
    """What `follow` tells, without the first None."""
    told: list[ProductId | None] = []
    async with running(cache.follow(told.append), name="follow"):
        await eventually(lambda: told == [None])
        told.clear()
        yield told


async def test_a_redis_that_is_gone_is_said_so(valkey: EmbeddedValkey, replica: Replica) -> None:
    cache = replica()
    valkey.stop()

    with pytest.raises(CacheUnavailableError):
        await cache.get(SEVEN)
    with pytest.raises(CacheUnavailableError):
        await cache.put(SEVEN, ENTRY)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"garbage", b"x" * 32, b"\xff" * 31, struct.pack("<4d", float("nan"), 1, 1, 1) + b"{}"],
)
async def test_garbage_is_a_miss(
    replica: Replica, server: "blocking.Redis", garbage: bytes
) -> None:
    server.set(KEY, garbage)

    assert await replica().get(SEVEN) is None


async def test_a_key_of_another_type_is_told_and_closes_nothing(
    replica: Replica, server: "blocking.Redis"
) -> None:
    cache = replica()
    server.lpush(KEY, "list")

    with pytest.raises(CacheUnavailableError):
        await cache.get(SEVEN)

    assert await cache.get(EIGHT) is None


async def test_an_entry_that_is_too_large_is_not_stored(
    replica: Replica, server: "blocking.Redis"
) -> None:
    cache = replica()
    largest = Entry(ENTRY.times, 30, b"x" * MAX_ENTRY_BYTES)

    await cache.put(SEVEN, Entry(ENTRY.times, 30, largest.body + b"x"))
    await cache.put(EIGHT, largest)

    assert not server.exists(KEY)
    assert await cache.get(EIGHT) == largest


async def test_without_stale_seconds_nothing_is_stored(
    replica: Replica, server: "blocking.Redis"
) -> None:
    await replica(stale_seconds=0).put(SEVEN, ENTRY)

    assert not server.exists(KEY)


async def test_entries_end_by_themselves(replica: Replica, server: "blocking.Redis") -> None:
    cache = replica(stale_seconds=0.05)
    await cache.put(SEVEN, ENTRY)

    await eventually(lambda: not server.exists(KEY))

    assert await cache.get(SEVEN) is None


async def test_entries_are_kept_as_long_as_they_can_stand_in(
    replica: Replica, server: "blocking.Redis"
) -> None:
    await replica(stale_seconds=300).put(SEVEN, ENTRY)

    assert 299_000 < int(str(server.pttl(KEY))) <= 300_000


@pytest.mark.parametrize(
    "times",
    [
        FetchTimes(1.0, 2.0, 3.0),
        FetchTimes(1.0, None, 3.0),
        FetchTimes(1.0, 2.0, None),
        FetchTimes(1748779200.123456, None, None),
    ],
)
async def test_what_one_replica_puts_another_gets_whole(
    replica: Replica, times: FetchTimes
) -> None:
    entry = Entry(times, 27.123456789, '{"name": "Größe \\u0000"}'.encode())

    await replica().put(SEVEN, entry)

    found = await replica().get(SEVEN)
    assert found == entry


async def test_a_product_that_nobody_put_is_a_miss(replica: Replica) -> None:
    await replica().put(EIGHT, ENTRY)

    assert await replica().get(SEVEN) is None


async def test_a_redis_that_is_gone_lets_everybody_in(
    valkey: EmbeddedValkey, replica: Replica
) -> None:
    first, second = replica(), replica()
    valkey.stop()

    async with first.exclusive(SEVEN) as one, second.exclusive(SEVEN) as other:
        assert (one, other) == (False, False)


async def test_a_redis_that_goes_while_a_replica_waits_lets_it_in(
    valkey: EmbeddedValkey, replica: Replica, server: "blocking.Redis"
) -> None:
    first, second = replica(), replica()

    async with first.exclusive(SEVEN), asyncio.TaskGroup() as group:
        waiting = group.create_task(_enter(second))
        await _until_asked(server, times=3)
        valkey.stop()

    assert waiting.result()


async def test_a_holder_that_died_blocks_no_longer_than_its_lock_lives(
    replica: Replica, server: "blocking.Redis"
) -> None:
    server.set(LOCK, "of the dead", px=200)

    assert await _enter(replica())


async def test_a_holder_that_hangs_is_waited_for_no_longer_than_agreed(
    replica: Replica, server: "blocking.Redis"
) -> None:
    first, second = replica(), replica(wait_seconds=0.2)

    async with first.exclusive(SEVEN):
        assert await _enter(second)

        assert server.exists(LOCK)  # still the first one's


async def test_a_release_never_takes_a_lock_that_is_anothers_by_now(
    replica: Replica, server: "blocking.Redis"
) -> None:
    first, second = replica(lock_seconds=0.05), replica()

    async with second_after_first(first, second):
        token = server.get(LOCK)
        assert token is not None

    assert not server.exists(LOCK)


@asynccontextmanager
async def second_after_first(first: RedisCache, second: RedisCache) -> AsyncIterator[None]:
    """The first one's lock has ended before its work; the second holds it when it is done."""
    holder = first.exclusive(SEVEN)
    await holder.__aenter__()
    async with second.exclusive(SEVEN):
        await holder.__aexit__(None, None, None)
        yield


async def test_a_failure_or_cancellation_inside_releases_the_lock(
    replica: Replica, server: "blocking.Redis"
) -> None:
    cache = replica()

    async def work(error: BaseException) -> None:
        async with cache.exclusive(SEVEN):
            assert server.exists(LOCK)
            raise error

    for error in (KeyError(), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            await work(error)
        assert not server.exists(LOCK)


async def test_cancelling_a_replica_that_waits_leaves_the_holder_alone(
    replica: Replica, server: "blocking.Redis"
) -> None:
    first, second = replica(), replica()

    async with first.exclusive(SEVEN):
        waiting = asyncio.create_task(_enter(second))
        await _until_asked(server, times=3)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert server.exists(LOCK)


async def test_the_second_replica_waits_until_the_first_is_done(
    replica: Replica, server: "blocking.Redis"
) -> None:
    first, second = replica(), replica()
    order = []

    async def come_second() -> None:
        async with second.exclusive(SEVEN) as waited:
            order.append(("second", waited))

    async with asyncio.TaskGroup() as group, first.exclusive(SEVEN) as waited:
        group.create_task(come_second())
        await _until_asked(server, times=4)
        order.append(("first", waited))

    assert order == [("first", False), ("second", True)]


async def test_one_at_a_time_fetches_and_different_products_do_not_wait(
    replica: Replica,
) -> None:
    replicas = (replica(), replica())
    inside, most = [0], [0]

    async def fetch(cache: RedisCache) -> None:
        async with cache.exclusive(SEVEN):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            for _ in range(5):
                await asyncio.sleep(0)
            inside[0] -= 1

    async with asyncio.TaskGroup() as group, replicas[0].exclusive(EIGHT) as waited:
        for turn in range(6):
            group.create_task(fetch(replicas[turn % 2]))

    assert most == [1]
    assert not waited


async def _enter(cache: RedisCache) -> bool:
    async with asyncio.timeout(20), cache.exclusive(SEVEN) as waited:
        return waited


async def _until_asked(server: "blocking.Redis", times: int) -> None:
    def sets() -> bool:
        calls = server.info("commandstats").get("cmdstat_set", {"calls": 0})["calls"]
        return int(calls) >= times

    server.config_resetstat()
    await eventually(sets)


async def test_follow_begins_by_saying_that_anything_may_have_changed(replica: Replica) -> None:
    async with following(replica()) as told:
        assert told == []


async def test_follow_tells_what_another_replica_puts(replica: Replica) -> None:
    async with following(replica()) as told:
        await replica().put(SEVEN, ENTRY)

        await eventually(lambda: told == [SEVEN])


async def test_follow_tells_what_is_deleted_or_expires_or_is_flushed(
    replica: Replica, server: "blocking.Redis"
) -> None:
    server.mset({KEY: b"7", KEY[:-1] + "8": b"8"})
    async with following(replica()) as told:
        server.delete(KEY)
        await eventually(lambda: told == [SEVEN])
        server.pexpire(KEY[:-1] + "8", 10)
        await eventually(lambda: told[-1] == EIGHT and not server.exists(KEY[:-1] + "8"))
        await eventually(lambda: told.count(EIGHT) == 2)

        server.flushall()

        await eventually(lambda: told[-1] is None)


async def test_follow_does_not_tell_of_our_own_puts(
    replica: Replica, server: "blocking.Redis"
) -> None:
    cache = replica()
    async with following(cache) as told:
        await cache.put(SEVEN, ENTRY)

        server.set(KEY[:-1] + "8", b"")

        await eventually(lambda: EIGHT in told)
        assert told == [EIGHT]


async def test_a_put_of_ours_that_failed_does_not_hide_anothers(
    replica: Replica, server: "blocking.Redis"
) -> None:
    cache = replica()
    async with following(cache) as told:
        with full(server), pytest.raises(CacheUnavailableError):
            await cache.put(SEVEN, ENTRY)

        await replica().put(SEVEN, ENTRY)

        await eventually(lambda: SEVEN in told)


@contextmanager
def full(server: "blocking.Redis") -> Iterator[None]:
    """A Redis that refuses to write."""
    server.config_set("maxmemory-policy", "noeviction")
    server.config_set("maxmemory", "1")
    yield
    server.config_set("maxmemory", "64mb")
    server.config_set("maxmemory-policy", "allkeys-lru")


async def test_what_is_forgotten_is_gone_for_all(
    replica: Replica, server: "blocking.Redis"
) -> None:
    cache = replica()
    await cache.put(SEVEN, ENTRY)

    await cache.forget(SEVEN)

    assert not server.exists(KEY)


async def test_follow_does_not_tell_of_locks_and_limits(
    replica: Replica, server: "blocking.Redis"
) -> None:
    async with following(replica()) as told:
        server.set(LOCK, "token")
        server.set("stallscope:rate/somebody", "1")
        server.set(KEY, b"last")

        await eventually(lambda: SEVEN in told)

        assert told == [SEVEN]


async def test_follow_survives_a_key_that_is_not_ours(
    replica: Replica, server: "blocking.Redis"
) -> None:
    async with following(replica()) as told:
        server.set("stallscope:product:1:not-a-number", "somebody's")

        server.set(KEY, b"7")

        await eventually(lambda: SEVEN in told)


async def test_follow_goes_on_after_a_restart_and_says_that_anything_may_have_changed(
    valkey: EmbeddedValkey, replica: Replica
) -> None:
    async with following(replica()) as told:
        valkey.stop()
        valkey.start()
        await eventually(lambda: None in told)
        other = replica()
        await eventually(lambda: not other._link.is_down)
        told.clear()

        await other.put(SEVEN, ENTRY)

        await eventually(lambda: SEVEN in told)


@pytest.mark.parametrize("which", ["pubsub", "normal"])
async def test_follow_notices_that_one_of_its_connections_was_cut(
    replica: Replica,
    server: "blocking.Redis",
    monkeypatch: pytest.MonkeyPatch,
    which: str,
) -> None:
    monkeypatch.setattr(redis_cache, "_HEALTH_SECONDS", 0.05)
    async with following(replica()) as told:
        server.client_kill_filter(_type=which, skipme=True)
        await eventually(lambda: None in told)
        told.clear()

        server.set(KEY, b"7")

        await eventually(lambda: SEVEN in told)


async def test_follow_notices_that_redis_hung(
    valkey: EmbeddedValkey, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_cache, "_HEALTH_SECONDS", 0.05)
    cache = replica()
    async with following(cache) as told:
        with suspended(valkey.pid):
            await asyncio.sleep(1.2)  # longer than its patience with a PING

        await eventually(lambda: None in told)
