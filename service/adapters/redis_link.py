"""One road to Redis for all who use it, closed as soon as Redis is slow or gone.

The first failure closes it for everybody: nobody else waits, and it is logged once. A probe in the
background opens it again.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from service.background import running
from service.products.ports import CacheUnavailableError

log = structlog.get_logger()

PATIENCE_SECONDS = 0.05  # what Redis may cost a request
MAX_COMMANDS = 32  # under way at once; the others wait for their turn, not for their time
_LATE_SECONDS = 0.005
_EXTENSIONS = 4
_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = (0.1, 0.2, 0.5, 1.0)

Result = TypeVar("Result")


class RedisLink:
    """Runs commands against Redis while it answers, and refuses them at once while it does not."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self._turns = asyncio.Semaphore(MAX_COMMANDS)
        self._down = asyncio.Event()
        self._fault = ""

    @property
    def is_down(self) -> bool:
        """Whether commands are refused right now."""
        return self._down.is_set()

    async def run(self, command: Callable[[Redis], Awaitable[Result]]) -> Result:
        """The result of `command(client)`; raises CacheUnavailableError within PATIENCE_SECONDS."""
        if self.is_down:
            raise CacheUnavailableError(self._fault)
        async with self._turns:
            if self.is_down:  # it went while we waited
                raise CacheUnavailableError(self._fault)
            try:
                async with _Patience():
                    return await command(self.client)
            except ResponseError as error:  # it answers, but not with what was asked for
                self._note(error)
                raise CacheUnavailableError(str(error)) from error
            except (RedisError, OSError, TimeoutError) as error:
                self._close(error)
                raise CacheUnavailableError(self._fault) from error

    async def keep_open(self) -> None:
        """Probe whenever Redis is down, until cancelled."""
        while True:
            await self._down.wait()
            for attempt in itertools.count():
                delay = _PROBE_SECONDS[min(attempt, len(_PROBE_SECONDS) - 1)]
                await asyncio.sleep(delay * random.uniform(0.8, 1.2))
                if await self._answers():
                    break
            self._down.clear()
            self._fault = ""
            log.warning("redis_recovered")

    async def check(self) -> None:
        """Connect, before the first requests need it; close the road at once if that fails."""
        if not all(await asyncio.gather(*(self._answers() for _ in range(MAX_COMMANDS)))):
            self._close(TimeoutError())

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(1.0):
                await self.client.ping()
        except (RedisError, OSError, TimeoutError):
            return False
        return True

    def _close(self, error: Exception) -> None:
        if not self.is_down:
            self._fault = str(error) or type(error).__name__
            log.warning("redis_unavailable", error=self._fault)
            self._down.set()

    def _note(self, error: ResponseError) -> None:
        if str(error) != self._fault:
            self._fault = str(error)
            log.warning("redis_refused_command", error=self._fault)


class _Patience:
    """PATIENCE_SECONDS for Redis, and a little more when it is this loop that is late.

    The answer may have been here for long when a loop that was busy comes to look for it; taking
    that for an outage would turn every hit into a miss just when there is too much to do.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._extensions = _EXTENSIONS

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._wait(PATIENCE_SECONDS)

    async def __aexit__(self, *failure: Any) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(*failure)

    def _wait(self, seconds: float) -> None:
        due = self._loop.time() + seconds
        self._timer = self._loop.call_at(due, self._expire, due)

    def _expire(self, due: float) -> None:
        if self._extensions > 0 and self._loop.time() - due > _LATE_SECONDS:
            self._extensions -= 1
            self._wait(PATIENCE_SECONDS / 2)
        else:
            self._limit.reschedule(self._loop.time())


@asynccontextmanager
async def open_redis(
    url: str, observe: Callable[[Redis], None] = lambda client: None
) -> AsyncIterator[RedisLink]:
    """A link that is watched; a Redis that is not there yet is a state, not an error."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_COMMANDS + 4,  # the commands, the probe, the invalidation messages
        timeout=PATIENCE_SECONDS,
        # _Patience limits what a request waits; these would limit the pool's first connections.
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    client = Redis(connection_pool=pool)
    observe(client)
    link = RedisLink(client)
    await link.check()
    try:
        async with running(link.keep_open(), name="redis_probe"):
            yield link
    finally:
        await client.aclose()
        await pool.aclose()
