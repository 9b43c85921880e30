"""Rates counted in Redis by the `limits` library, in this process while Redis is away."""

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter

from service.adapters.redis_link import RedisLink
from service.products.ports import CacheUnavailableError


class MovingWindowLimits:
    """At most `rate` requests of one caller in any window, exactly, all replicas together.

    Without Redis each replica counts for itself: better a limit per replica than none.
    """

    def __init__(self, rate: RateLimitItem, link: RedisLink | None) -> None:
        self._rate = rate
        self._link = link
        self._here = MovingWindowRateLimiter(MemoryStorage())
        self._shared = MovingWindowRateLimiter(_redis_storage(link)) if link else self._here

    async def hit(self, caller: str) -> float | None:
        """Count one request; None when it is within the rate, else when to retry (epoch s)."""
        if self._link is None:
            return await self._hit(self._here, caller)
        try:
            return await self._link.run(lambda redis: self._hit(self._shared, caller))
        except CacheUnavailableError:
            return await self._hit(self._here, caller)

    async def _hit(self, limiter: MovingWindowRateLimiter, caller: str) -> float | None:
        if await limiter.hit(self._rate, caller):
            return None
        return (await limiter.get_window_stats(self._rate, caller)).reset_time


def _redis_storage(link: RedisLink) -> Storage:
    return RedisStorage(
        "redis://",  # not used: the link's own connections are
        implementation="redispy",
        key_prefix="stallscope:rate",
        connection_pool=link.client.connection_pool,  # type: ignore[arg-type]  # passed on as it is
    )
