"""Clients of redis.asyncio, measured on their pool, against a real Valkey."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis import exceptions
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from middleware.dependencies import DependencyMetrics
from service.demo.embedded import EmbeddedValkey
from tests.middleware.dependencies.conftest import PATIENCE_SECONDS, Scrape, eventually

Client: TypeAlias = Any  # redis-py types its commands for both worlds, awaited and not
Use = Callable[[Client], Awaitable[Any]]


@asynccontextmanager
async def observed(
    dependencies: DependencyMetrics, url: str, **options: Any
) -> AsyncIterator[Client]:
    pool = BlockingConnectionPool.from_url(
        url, **{"max_connections": 2, "retry": Retry(NoBackoff(), 0)} | options
    )
    client = Redis(connection_pool=pool)
    dependencies.observe_redis(client, "cache")
    yield client
    await client.aclose()
    await pool.aclose()


async def blocked(redis: Client) -> "asyncio.Task[Any]":
    """A command under way that the server has, and will not answer."""
    asking = asyncio.create_task(redis.blpop(["nothing"], 60))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await redis.info("clients"))["blocked_clients"]:  # noqa: ASYNC110  # the server's
            await asyncio.sleep(0.005)
    return asking


@pytest.fixture(params=[2, 3])
async def redis(
    dependencies: DependencyMetrics, redis_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[Client]:
    async with observed(dependencies, redis_url, protocol=request.param) as client:
        yield client


async def test_a_redis_that_is_gone_is_a_connection_that_failed(
    valkey: EmbeddedValkey, redis: Client, scrape: Scrape
) -> None:
    await redis.ping()
    await redis.connection_pool.disconnect()
    valkey.stop()

    for _ in range(2):
        with pytest.raises(exceptions.ConnectionError):
            await redis.ping()

    assert scrape.operations() == {
        ("CONNECT", ""): 1,
        ("PING", ""): 1,
        ("CONNECT", "ConnectionError"): 2,
    }
    assert scrape.pool("cache") == (0, 0, 2, 0)
    assert scrape.timeouts("cache") == 0


async def test_a_connection_that_breaks_under_a_command_is_that_command_s_error(
    valkey: EmbeddedValkey, redis: Client, scrape: Scrape
) -> None:
    asking = await blocked(redis)

    valkey.stop()
    with pytest.raises(exceptions.ConnectionError):
        await asking

    assert scrape.operations()["BLPOP", "ConnectionError"] == 1


async def test_an_error_for_an_answer_is_counted_with_its_kind(
    redis: Client, scrape: Scrape
) -> None:
    await redis.set("text", "a")

    with pytest.raises(exceptions.ResponseError):
        await redis.incr("text")
    with pytest.raises(exceptions.NoScriptError):
        await redis.evalsha("0" * 40, 0)

    assert scrape.operations()["INCRBY", "ResponseError"] == 1
    assert scrape.operations()["EVALSHA", "NoScriptError"] == 1


async def test_an_answer_that_does_not_come_in_time_is_a_timeout(
    dependencies: DependencyMetrics, redis_url: str, scrape: Scrape
) -> None:
    async with observed(dependencies, redis_url, socket_timeout=0.5) as redis:
        with pytest.raises(exceptions.TimeoutError):
            await redis.blpop(["nothing"], 60)

    assert scrape.operations()["BLPOP", "timeout"] == 1
    assert scrape.timeouts("cache") == 0


async def test_a_caller_that_is_cancelled_is_counted_as_such(redis: Client, scrape: Scrape) -> None:
    asking = await blocked(redis)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await redis.ping()

    assert scrape.operations()["BLPOP", "cancelled"] == 1
    assert scrape.operations()["PING", ""] == 1


@pytest.mark.parametrize("pool_class", [BlockingConnectionPool, ConnectionPool])
async def test_who_gets_no_connection_is_counted(
    dependencies: DependencyMetrics,
    redis_url: str,
    scrape: Scrape,
    pool_class: type[ConnectionPool],
) -> None:
    waits = {"timeout": 0.01} if pool_class is BlockingConnectionPool else {}
    pool = pool_class.from_url(redis_url, max_connections=1, **waits)
    redis = Redis(connection_pool=pool)
    dependencies.observe_redis(redis, "narrow")

    async with redis.client():
        with pytest.raises(exceptions.ConnectionError):
            await redis.ping()

        assert scrape.timeouts("narrow") == 1
        assert scrape.pool("narrow") == (1, 0, 1, 0)
    await pool.aclose()


async def test_a_pipeline_is_one_operation_with_its_first_error(
    redis: Client, scrape: Scrape
) -> None:
    await redis.set("text", "a")

    for transaction in (True, False):
        async with redis.pipeline(transaction=transaction) as pipeline:
            pipeline.get("text").incr("text").get("text")
            with pytest.raises(exceptions.ResponseError):
                await pipeline.execute()
    async with redis.pipeline() as pipeline:
        pipeline.execute_command("NONSENSE")
        with pytest.raises(exceptions.ResponseError):
            await pipeline.execute()

    assert scrape.operations()["PIPELINE", "ResponseError"] == 3
    assert ("PIPELINE", "") not in scrape.operations()


async def test_what_cannot_be_measured_is_dropped_and_the_caller_sees_redis_s_own_error(
    dependencies: DependencyMetrics, redis_url: str, scrape: Scrape
) -> None:
    async with observed(dependencies, redis_url) as redis:
        with pytest.raises(exceptions.ResponseError):
            await redis.execute_command(b"\xff\xfe")
        with pytest.raises((TypeError, exceptions.DataError), match="bytearray"):
            await redis.execute_command(bytearray(b"GET"), "key")

    assert scrape.dropped() == 2


async def _two_words(redis: Client) -> None:
    await redis.client_id()


async def _lower(redis: Client) -> None:
    await redis.execute_command(b"get", "key")


async def _pipeline(redis: Client) -> None:
    async with redis.pipeline() as pipeline:
        assert await pipeline.set("a", 1).incr("a").execute() == [True, 2]


async def _plain_pipeline(redis: Client) -> None:
    async with redis.pipeline(transaction=False) as pipeline:
        assert await pipeline.set("a", 1).incr("a").execute() == [True, 2]


async def _watched(redis: Client) -> None:
    async with redis.pipeline() as pipeline:
        await pipeline.watch("a")
        await pipeline.get("a")
        pipeline.multi()
        pipeline.set("a", 1)
        await pipeline.execute()


async def _script(redis: Client) -> None:
    script = redis.register_script(f"return 7 -- {uuid4()}")  # nobody has loaded it before
    assert await script() == 7
    assert await script() == 7


async def _client_of_its_own(redis: Client) -> None:
    async with redis.client() as single:
        await single.ping()


async def _library_s_client(redis: Client) -> None:
    storage = RedisStorage(
        "redis://",
        implementation="redispy",
        connection_pool=redis.connection_pool,
    )
    assert await MovingWindowRateLimiter(storage).hit(RateLimitItemPerMinute(1), "a")


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda redis: redis.get("a"), {("GET", ""): 1}),
        (_two_words, {("CLIENT", ""): 1}),
        (_lower, {("GET", ""): 1}),
        (_pipeline, {("PIPELINE", ""): 1}),
        (_plain_pipeline, {("PIPELINE", ""): 1}),
        (_watched, {("WATCH", ""): 1, ("GET", ""): 1, ("PIPELINE", ""): 1}),
        (_script, {("EVALSHA", "NoScriptError"): 1, ("SCRIPT", ""): 1, ("EVALSHA", ""): 2}),
        (_client_of_its_own, {("PING", ""): 1}),
    ],
)
async def test_every_way_to_execute_is_counted_under_the_command_s_name(
    redis: Client, scrape: Scrape, use: Use, expected: dict[tuple[str, str], float]
) -> None:
    await use(redis)

    assert scrape.operations() == {("CONNECT", ""): 1} | expected


async def test_clients_that_a_library_makes_on_the_pool_are_measured_too(
    redis: Client, scrape: Scrape
) -> None:
    await _library_s_client(redis)

    assert scrape.operations()["EVALSHA", ""] >= 1


async def test_messages_are_not_operations_and_come_as_ever(redis: Client, scrape: Scrape) -> None:
    async with redis.pubsub() as messages:
        await messages.subscribe("news")
        assert await messages.get_message(timeout=5) is not None
        await redis.publish("news", "hello")
        message = await messages.get_message(ignore_subscribe_messages=True, timeout=5)
        assert await messages.get_message(timeout=0.01) is None

        assert message is not None
        assert message["data"] == b"hello"
        assert scrape.operations() == {("CONNECT", ""): 2, ("PUBLISH", ""): 1}
        assert scrape.pool("cache") == (1, 1, 2, 0)


async def test_invalidations_follow_a_connection_that_speaks_for_itself(
    redis: Client, scrape: Scrape
) -> None:
    async with redis.pubsub() as messages:
        await messages.connect()
        await messages.connection.send_command("CLIENT", "ID")

        assert isinstance(await messages.connection.read_response(), int)
        assert scrape.operations() == {("CONNECT", ""): 1, ("CLIENT", ""): 1}


async def test_a_command_that_has_to_connect_again_is_still_counted_as_itself(
    redis: Client, scrape: Scrape
) -> None:
    async with redis.client() as single:
        await single.ping()
        assert single.connection is not None
        await single.connection.disconnect()
        await single.get("a")

    assert scrape.operations() == {("CONNECT", ""): 2, ("PING", ""): 1, ("GET", ""): 1}


async def test_a_pool_that_is_observed_twice_is_counted_once(
    dependencies: DependencyMetrics, redis: Client, scrape: Scrape
) -> None:
    dependencies.observe_redis(redis.connection_pool, "again")

    await redis.ping()

    assert scrape.operations() == {("CONNECT", ""): 1, ("PING", ""): 1}
    assert scrape.pool("again") == (None, None, None, None)


async def test_a_pool_shows_who_uses_it_and_who_waits(redis: Client, scrape: Scrape) -> None:
    assert scrape.pool("cache") == (0, 0, 2, 0)

    async with redis.client() as first:
        assert scrape.pool("cache") == (1, 0, 2, 0)

        async with redis.client() as second:
            asking = [asyncio.create_task(redis.ping()) for _ in range(3)]
            await eventually(lambda: scrape.pool("cache") == (2, 0, 2, 3))
            await first.ping()
            await second.ping()

    await asyncio.gather(*asking)
    assert scrape.pool("cache") == (0, 2, 2, 0)
    assert scrape.waits("cache") == 5


async def test_a_closed_pool_is_not_shown_until_it_is_used_again(
    redis: Client, scrape: Scrape
) -> None:
    await redis.ping()

    await redis.connection_pool.aclose()
    assert scrape.pool("cache") == (None, None, None, None)

    await redis.ping()
    assert scrape.pool("cache") == (0, 1, 2, 0)


async def test_fifty_pools_that_came_and_went_leave_nothing_behind(
    dependencies: DependencyMetrics, redis_url: str, scrape: Scrape
) -> None:
    gone = []
    for _ in range(50):
        async with observed(dependencies, redis_url) as redis:
            await redis.ping()
        gone.append(weakref.ref(redis.connection_pool))
        gone.append(weakref.ref(redis.connection_pool.connection_class))
        del redis
    gc.collect()

    assert [reference for reference in gone if reference() is not None] == []
    assert scrape.pool("cache") == (None, None, None, None)
    assert scrape.waits("cache") == 50


async def test_a_thousand_unknown_commands_make_one_series(
    dependencies: DependencyMetrics, redis_url: str, scrape: Scrape
) -> None:
    async with observed(dependencies, redis_url) as redis:
        for number in range(1000):
            with pytest.raises(exceptions.ResponseError):
                await redis.execute_command(f"NONSENSE{number}")

    assert scrape.operations() == {("CONNECT", ""): 1, ("OTHER", "ResponseError"): 1000}
