"""The hottest products stay in this process, within their bytes, until somebody changes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from service.adapters.local_cache import LocalCache
from service.adapters.redis_cache import RedisCache
from service.adapters.redis_link import open_redis
from service.products.domain import FetchTimes, ProductId
from service.products.ports import Cache, CacheUnavailableError, Entry
from tests.fakes import FakeCache
from tests.service.adapters.conftest import eventually

ONE, TWO, THREE = ProductId(1), ProductId(2), ProductId(3)
OVERHEAD_BYTES = 500


def entry(body: bytes = b"{}", *, version: float = 1.0) -> Entry:
    return Entry(FetchTimes(version, version, version), 30.0, body)


class GatedCache:
    """A shared cache whose answers wait, in the order of the questions, until they are let go."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[Entry | None]] = []
        self.kept: dict[ProductId, Entry] = {}
        self.available = True

    async def get(self, product_id: ProductId) -> Entry | None:
        """What the test answers."""
        answer = asyncio.get_running_loop().create_future()
        self.asked.append(answer)
        found: Entry | None = await answer
        return found

    async def put(self, product_id: ProductId, entry: Entry) -> None:
        """Keep it, unless unavailable."""
        if not self.available:
            raise CacheUnavailableError
        self.kept[product_id] = entry

    async def forget(self, product_id: ProductId) -> None:
        """Keep nothing of it."""
        self.kept.pop(product_id, None)

    @asynccontextmanager
    async def exclusive(self, product_id: ProductId) -> AsyncIterator[bool]:
        """As if somebody else had been in."""
        yield True


@pytest.fixture
def shared() -> GatedCache:
    return GatedCache()


@pytest.fixture
def cache(shared: GatedCache) -> LocalCache:
    return LocalCache(shared, max_bytes=100_000)


async def test_a_put_is_kept_here_although_the_shared_cache_is_gone(
    cache: LocalCache, shared: GatedCache
) -> None:
    shared.available = False

    with pytest.raises(CacheUnavailableError):
        await cache.put(ONE, entry())

    assert cache.peek(ONE) == entry()


async def test_a_shared_cache_that_fails_says_so_and_nothing_is_kept(
    cache: LocalCache, shared: GatedCache
) -> None:
    looking = asyncio.create_task(cache.get(ONE))
    await eventually(lambda: shared.asked)
    shared.asked[0].set_exception(CacheUnavailableError())

    with pytest.raises(CacheUnavailableError):
        await looking

    assert cache.peek(ONE) is None


@pytest.mark.parametrize("changed", [ONE, None])
async def test_what_changes_while_it_is_on_its_way_is_given_but_not_kept(
    cache: LocalCache, shared: GatedCache, changed: ProductId | None
) -> None:
    looking = asyncio.create_task(cache.get(ONE))
    await eventually(lambda: shared.asked)

    cache.outdated(changed)
    shared.asked[0].set_result(entry())

    assert await looking == entry()
    assert cache.peek(ONE) is None


async def test_a_later_get_does_not_make_an_outdated_answer_good_again(
    cache: LocalCache, shared: GatedCache
) -> None:
    early = asyncio.create_task(cache.get(ONE))
    await eventually(lambda: len(shared.asked) == 1)
    cache.outdated(ONE)
    late = asyncio.create_task(cache.get(ONE))
    await eventually(lambda: len(shared.asked) == 2)

    shared.asked[0].set_result(entry(version=1.0))
    await early

    assert cache.peek(ONE) is None
    shared.asked[1].set_result(entry(version=2.0))
    assert await late == cache.peek(ONE) == entry(version=2.0)


async def test_another_products_change_does_not_matter(
    cache: LocalCache, shared: GatedCache
) -> None:
    looking = asyncio.create_task(cache.get(ONE))
    await eventually(lambda: shared.asked)

    cache.outdated(TWO)
    shared.asked[0].set_result(entry())
    await looking

    assert cache.peek(ONE) == entry()


async def test_a_cancelled_get_keeps_nothing(cache: LocalCache, shared: GatedCache) -> None:
    looking = asyncio.create_task(cache.get(ONE))
    await eventually(lambda: shared.asked)

    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)

    assert cache.peek(ONE) is None


async def test_a_miss_is_not_kept(cache: LocalCache, shared: GatedCache) -> None:
    looking = asyncio.create_task(cache.get(ONE))
    await eventually(lambda: shared.asked)
    shared.asked[0].set_result(None)

    assert await looking is None
    assert cache.peek(ONE) is None


async def test_zero_bytes_keep_nothing(shared: GatedCache) -> None:
    cache = LocalCache(shared, max_bytes=0)

    await cache.put(ONE, entry())

    assert cache.peek(ONE) is None
    assert shared.kept == {ONE: entry()}


async def test_the_least_recently_used_goes_when_the_bytes_are_used_up() -> None:
    cache = LocalCache(None, max_bytes=2 * (OVERHEAD_BYTES + 1000))
    large = entry(b"x" * 1000)
    await cache.put(ONE, large)
    await cache.put(TWO, large)
    cache.peek(ONE)

    await cache.put(THREE, large)

    kept = {each for each in (ONE, TWO, THREE) if cache.peek(each)}
    assert kept == {ONE, THREE}


async def test_an_entry_larger_than_all_room_is_not_kept_and_drives_nobody_out() -> None:
    cache = LocalCache(None, max_bytes=OVERHEAD_BYTES + 1000)
    await cache.put(ONE, entry())

    await cache.put(TWO, entry(b"x" * 1001))

    assert cache.peek(TWO) is None
    assert cache.peek(ONE) == entry()


async def test_what_changes_elsewhere_is_dropped_here(cache: LocalCache) -> None:
    for each in (ONE, TWO, THREE):
        await cache.put(each, entry())

    cache.outdated(ONE)
    cache.outdated(ProductId(404))
    after_one = [cache.peek(each) for each in (ONE, TWO, THREE)]
    cache.outdated(None)

    assert after_one == [None, entry(), entry()]
    assert [cache.peek(each) for each in (ONE, TWO, THREE)] == [None, None, None]


async def test_what_is_forgotten_is_gone_here_and_for_all(
    cache: LocalCache, shared: GatedCache
) -> None:
    await cache.put(ONE, entry())

    await cache.forget(ONE)

    assert cache.peek(ONE) is None
    assert shared.kept == {}


async def test_exclusive_is_the_shared_caches(cache: LocalCache) -> None:
    async with cache.exclusive(ONE) as waited:
        assert waited
    async with LocalCache(None, max_bytes=0).exclusive(ONE) as waited:
        assert not waited


async def test_without_a_shared_cache_it_is_the_only_one() -> None:
    cache = LocalCache(None, max_bytes=100_000)

    await cache.put(ONE, entry())

    assert await cache.get(ONE) == cache.peek(ONE) == entry()
    assert await cache.get(TWO) is None


@asynccontextmanager
async def _real(redis_url: str) -> AsyncIterator[Cache]:
    async with open_redis(redis_url) as link:
        shared = RedisCache(link, stale_seconds=300, lock_seconds=30, wait_seconds=30)
        yield LocalCache(shared, max_bytes=100_000)


@asynccontextmanager
async def _alone() -> AsyncIterator[Cache]:
    yield LocalCache(None, max_bytes=100_000)


@asynccontextmanager
async def _fake() -> AsyncIterator[Cache]:
    yield FakeCache()


@pytest.fixture(params=["real", "alone", "fake"])
async def any_cache(request: pytest.FixtureRequest, patience: None) -> AsyncIterator[Cache]:
    """The contract that the fake keeps as the real ones do."""
    opened: dict[str, AbstractAsyncContextManager[Cache]] = {"alone": _alone(), "fake": _fake()}
    if request.param == "real":
        opened["real"] = _real(request.getfixturevalue("redis_url"))
    async with opened[request.param] as cache:
        yield cache


async def test_every_cache_misses_what_nobody_put(any_cache: Cache) -> None:
    assert any_cache.peek(ONE) is None
    assert await any_cache.get(ONE) is None


async def test_every_cache_gives_back_what_was_put(any_cache: Cache) -> None:
    first, second = entry(b"1"), Entry(FetchTimes(2.0, None, 1.0), 3.0, b"2")

    await any_cache.put(ONE, first)
    await any_cache.put(TWO, second)

    assert (any_cache.peek(ONE), await any_cache.get(ONE)) == (first, first)
    assert (any_cache.peek(TWO), await any_cache.get(TWO)) == (second, second)


async def test_every_cache_keeps_the_last_of_several_puts(any_cache: Cache) -> None:
    await any_cache.put(ONE, entry(version=1.0))
    await any_cache.put(ONE, entry(version=2.0))

    assert any_cache.peek(ONE) == await any_cache.get(ONE) == entry(version=2.0)


async def test_every_cache_forgets(any_cache: Cache) -> None:
    await any_cache.put(ONE, entry())
    await any_cache.put(TWO, entry())

    await any_cache.forget(ONE)
    await any_cache.forget(THREE)

    assert (any_cache.peek(ONE), await any_cache.get(ONE)) == (None, None)
    assert await any_cache.get(TWO) == entry()


async def test_every_cache_lets_one_in_who_is_alone(any_cache: Cache) -> None:
    for _ in range(2):
        async with any_cache.exclusive(ONE) as waited:
            assert not waited
