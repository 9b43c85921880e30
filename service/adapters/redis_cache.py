"""Products shared by all replicas through Redis, and who may fetch one."""

import asyncio
import math
import random
import secrets
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from redis.exceptions import RedisError

from service.adapters.redis_link import RedisLink
from service.products.domain import FetchTimes, ProductId
from service.products.ports import CacheUnavailableError, Entry

log = structlog.get_logger()

MAX_ENTRY_BYTES = 512 * 1024
_PRODUCTS = "stallscope:product:1:"  # the number is the layout's: replicas of two versions coexist
_LOCKS = "stallscope:fetching:"
_POLL_SECONDS = 0.02
_HEALTH_SECONDS = 5.0
_INVALIDATED = "__redis__:invalidate"

# When product, reviews and inventory were fetched (seconds since the epoch, NaN: never), for how
# many seconds they are fresh; the JSON follows.
_HEAD = struct.Struct("<4d")

_RELEASE = """
if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end
return 0
"""


class RedisCache:
    """The replicas' common memory.

    Entries end by themselves after `stale_seconds`, locks of a replica that died after
    `lock_seconds`; nobody waits for one longer than `wait_seconds`.
    """

    def __init__(
        self, link: RedisLink, *, stale_seconds: float, lock_seconds: float, wait_seconds: float
    ) -> None:
        self._link = link
        self._stale_ms = int(stale_seconds * 1000)
        self._lock_ms = int(lock_seconds * 1000)
        self._wait_seconds = wait_seconds
        self._echoes: set[ProductId] | None = None  # none are to come while nobody follows

    async def get(self, product_id: ProductId) -> Entry | None:
        """The entry that the replicas share. Raises CacheUnavailableError."""
        packed = await self._link.run(lambda redis: redis.get(f"{_PRODUCTS}{product_id}"))
        return _unpack(packed) if isinstance(packed, bytes) else None

    async def put(self, product_id: ProductId, entry: Entry) -> None:
        """Share an entry, unless it is too large. Raises CacheUnavailableError."""
        if len(entry.body) <= MAX_ENTRY_BYTES and self._stale_ms > 0:
            key, packed = f"{_PRODUCTS}{product_id}", _pack(entry)
            if self._echoes is not None:
                self._echoes.add(product_id)
            try:
                await self._link.run(lambda redis: redis.set(key, packed, px=self._stale_ms))
            except CacheUnavailableError:
                if self._echoes is not None:
                    self._echoes.discard(product_id)
                raise

    async def forget(self, product_id: ProductId) -> None:
        """Delete the shared entry. Raises CacheUnavailableError."""
        await self._link.run(lambda redis: redis.delete(f"{_PRODUCTS}{product_id}"))

    @asynccontextmanager
    async def exclusive(self, product_id: ProductId) -> AsyncIterator[bool]:
        """Hold the product's lock; True when another replica had it before."""
        key, token = f"{_LOCKS}{product_id}", secrets.token_hex(8)
        waited = await self._acquire(key, token)
        try:
            yield waited
        finally:
            await self._release(key, token)

    async def follow(self, changed: Callable[[ProductId | None], None]) -> None:
        """Call `changed` for each product that another replica writes or Redis forgets.

        Never returns. Whenever messages may have been missed, `changed(None)`: any may be outdated.
        """
        fault = ""
        while True:
            try:
                await self._follow_once(changed)
            except (RedisError, OSError, TimeoutError) as error:
                if str(error) != fault and not self._link.is_down:
                    log.warning("cache_invalidation_lost", error=str(error))
                fault, self._echoes = str(error), None
                await asyncio.sleep(_poll_later(0.5))

    async def _acquire(self, key: str, token: str) -> bool:
        waited = False
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not await self._link.run(
                    lambda redis: redis.set(key, token, nx=True, px=self._lock_ms)
                ):
                    waited = True
                    await asyncio.sleep(_poll_later(_POLL_SECONDS))
        except (CacheUnavailableError, TimeoutError):
            pass  # fetching twice is better than not at all
        return waited

    async def _release(self, key: str, token: str) -> None:
        try:
            await self._link.run(lambda redis: redis.eval(_RELEASE, 1, key, token))
        except CacheUnavailableError:
            pass  # the lock ends by itself

    async def _follow_once(self, changed: Callable[[ProductId | None], None]) -> None:
        async with self._link.client.pubsub() as messages, self._link.client.client() as tracker:
            await messages.connect()
            await messages.connection.send_command("CLIENT", "ID")
            receiver = await messages.connection.read_response()
            await messages.subscribe(_INVALIDATED)
            await tracker.client_tracking_on(clientid=receiver, bcast=True, prefix=[_PRODUCTS])
            self._echoes = set()
            changed(None)
            while True:
                message = await messages.get_message(
                    ignore_subscribe_messages=True, timeout=_HEALTH_SECONDS
                )
                if message is None:  # quiet: is anybody there?
                    async with asyncio.timeout(1.0):
                        await tracker.ping()
                elif message["data"] is None:  # FLUSHALL
                    changed(None)
                else:
                    for key in message["data"]:
                        self._tell(changed, key.removeprefix(_PRODUCTS.encode()))

    def _tell(self, changed: Callable[[ProductId | None], None], number: bytes) -> None:
        if not number.isdigit():
            return  # somebody else's key under our prefix
        product_id = ProductId(int(number))
        # What we wrote ourselves comes back, too: nothing has changed.
        if self._echoes and product_id in self._echoes:
            self._echoes.discard(product_id)
        else:
            changed(product_id)


def _poll_later(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)


def _pack(entry: Entry) -> bytes:
    times = (entry.times.product, entry.times.reviews, entry.times.inventory)
    moments = (math.nan if moment is None else moment for moment in times)
    return _HEAD.pack(*moments, entry.fresh_seconds) + entry.body


def _unpack(packed: bytes) -> Entry | None:
    if len(packed) <= _HEAD.size:
        return None
    *moments, fresh_seconds = _HEAD.unpack_from(packed)
    product, reviews, inventory = (None if math.isnan(each) else each for each in moments)
    if product is None:
        return None
    return Entry(FetchTimes(product, reviews, inventory), fresh_seconds, packed[_HEAD.size :])
