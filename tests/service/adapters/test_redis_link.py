"""Redis costs a request little when it is slow, and nothing once that is known."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack
from random import Random
from typing import Any

import pytest
import redis as blocking
from redis.asyncio import Redis
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.adapters.redis_link import MAX_COMMANDS, RedisLink, open_redis
from service.demo.embedded import EmbeddedValkey
from service.products.ports import CacheUnavailableError
from tests.service.adapters.conftest import eventually, suspended


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    async with open_redis(redis_url) as link:
        assert not link.is_down
        yield link


def get(key: str) -> Any:
    def command(redis: Redis) -> Awaitable[Any]:
        return redis.get(key)

    return command


async def is_refused(link: RedisLink) -> bool:
    try:
        await link.run(get("key"))
    except CacheUnavailableError:
        return True
    return False


def count(logs: list[EventDict], event: str) -> int:
    return [line["event"] for line in logs].count(event)


async def test_a_redis_that_is_not_there_at_the_start_is_a_state_and_ends_by_itself(
    valkey: EmbeddedValkey, redis_url: str
) -> None:
    valkey.stop()

    with capture_logs() as logs:
        async with open_redis(redis_url) as link:
            down = link.is_down
            refused = [await is_refused(link) for _ in range(10)]
            valkey.start()
            await eventually(lambda: not link.is_down)

            assert await link.run(get("key")) is None

    assert down
    assert all(refused)
    assert [line["event"] for line in logs] == ["redis_unavailable", "redis_recovered"]


async def test_a_killed_redis_is_told_once_and_used_again_when_it_is_back(
    valkey: EmbeddedValkey, link: RedisLink
) -> None:
    await link.run(get("key"))

    with capture_logs() as logs:
        assert valkey.process is not None
        valkey.process.kill()
        valkey.process.wait()
        refused = await asyncio.gather(*(is_refused(link) for _ in range(200)))
        down = link.is_down
        valkey.start()
        await eventually(lambda: not link.is_down)

    assert all(refused)
    assert down
    assert count(logs, "redis_unavailable") == 1
    assert count(logs, "redis_recovered") == 1
    assert await link.run(get("key")) is None


async def test_a_redis_that_hangs_is_told_once_and_used_again_when_it_goes_on(
    valkey: EmbeddedValkey, link: RedisLink
) -> None:
    await link.run(get("key"))

    with capture_logs() as logs:
        with suspended(valkey.pid):
            refused = await asyncio.gather(*(is_refused(link) for _ in range(500)))
            refused += [await is_refused(link) for _ in range(500)]
            down = link.is_down
        await eventually(lambda: not link.is_down)

    assert all(refused)
    assert down
    assert count(logs, "redis_unavailable") == 1
    assert await link.run(get("key")) is None


async def test_nothing_is_sent_to_a_redis_that_is_known_to_be_down(
    valkey: EmbeddedValkey, link: RedisLink
) -> None:
    calls = []

    async def command(redis: Redis) -> None:
        calls.append(redis)

    with suspended(valkey.pid):
        await is_refused(link)
        with pytest.raises(CacheUnavailableError):
            await link.run(command)

    assert calls == []


async def test_a_probe_that_fails_does_not_open_the_road(
    valkey: EmbeddedValkey, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = []
    answers = link._answers

    async def counted() -> bool:
        probes.append(await answers())
        return probes[-1]

    monkeypatch.setattr(link, "_answers", counted)
    valkey.stop()
    await is_refused(link)

    await eventually(lambda: len(probes) >= 3)

    assert link.is_down
    assert not any(probes)


async def test_a_blocked_event_loop_is_not_held_against_redis(link: RedisLink) -> None:
    await link.run(get("key"))

    command = asyncio.create_task(link.run(get("key")))
    asyncio.get_running_loop().call_soon(time.sleep, 0.2)
    await asyncio.gather(command, return_exceptions=True)

    assert not link.is_down


async def test_a_thousand_commands_at_once_are_no_sign_of_trouble(link: RedisLink) -> None:
    with capture_logs() as logs:
        commands = (link.run(get(f"key{n}")) for n in range(1000))
        found = await asyncio.gather(*commands, return_exceptions=True)

    assert found == [None] * 1000
    assert not link.is_down
    assert logs == []


async def test_no_more_connections_are_opened_than_commands_may_be_under_way(
    patience: None, link: RedisLink, redis_url: str
) -> None:
    await asyncio.gather(*(link.run(get("key")) for _ in range(1000)))

    with blocking.Redis.from_url(redis_url) as observer:
        assert len(observer.client_list()) <= MAX_COMMANDS + 4 + 1


async def test_cancelled_commands_never_leave_their_answer_to_others(
    patience: None, link: RedisLink
) -> None:
    random = Random(20250601)
    keys = [f"key{n}" for n in range(100)]
    await asyncio.gather(*(_set(link, key) for key in keys))

    for _ in range(150):
        commands = {key: asyncio.create_task(link.run(get(key))) for key in random.sample(keys, 40)}
        for _ in range(random.randrange(12)):
            await asyncio.sleep(0)
        for key in random.sample(sorted(commands), 20):
            commands.pop(key).cancel()
        assert await asyncio.gather(*commands.values()) == [key.encode() for key in commands]

    assert not link.is_down


async def test_cancelled_commands_give_their_connections_and_turns_back(
    patience: None, link: RedisLink
) -> None:
    for turns in range(200):
        command = asyncio.create_task(link.run(get("key")))
        for _ in range(turns % 10):
            await asyncio.sleep(0)
        command.cancel()
        await asyncio.gather(command, return_exceptions=True)

    found = await asyncio.gather(*(link.run(get("key")) for _ in range(MAX_COMMANDS * 3)))

    assert found == [None] * (MAX_COMMANDS * 3)
    assert not link.is_down


async def _set(link: RedisLink, key: str) -> None:
    await link.run(lambda redis: redis.set(key, key))


async def test_an_answer_of_the_wrong_type_is_noted_once_and_closes_nothing(
    link: RedisLink, redis_url: str
) -> None:
    with blocking.Redis.from_url(redis_url) as client:
        client.lpush("key", "not a string")

    with capture_logs() as logs:
        refused = [await is_refused(link) for _ in range(5)]

    assert all(refused)
    assert not link.is_down
    assert [line["event"] for line in logs] == ["redis_refused_command"]
    assert "WRONGTYPE" in logs[0]["error"]


async def test_a_full_redis_is_noted_once_and_still_read(link: RedisLink, redis_url: str) -> None:
    await _set(link, "key")
    with ExitStack() as stack, capture_logs() as logs:
        client = stack.enter_context(blocking.Redis.from_url(redis_url))
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        stack.callback(client.config_set, "maxmemory", "64mb")
        stack.callback(client.config_set, "maxmemory-policy", "allkeys-lru")

        for _ in range(3):
            with pytest.raises(CacheUnavailableError, match="command not allowed"):
                await _set(link, "other")

        assert await link.run(get("key")) == b"key"

    assert count(logs, "redis_refused_command") == 1
    assert not link.is_down


async def test_an_error_of_our_own_passes_and_closes_nothing(link: RedisLink) -> None:
    async def command(_: Redis) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        await link.run(command)

    assert not link.is_down


async def test_closing_it_ends_every_connection(patience: None, redis_url: str) -> None:
    async with open_redis(redis_url) as link:
        await asyncio.gather(*(link.run(get("key")) for _ in range(100)))

    with blocking.Redis.from_url(redis_url) as observer:
        await eventually(lambda: len(observer.client_list()) == 1)
