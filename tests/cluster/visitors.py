"""Who comes from outside: steadily, on a thread of their own, or all at once."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import aiohttp

from tests.integration.running import until

# One core is shared by all that a cluster is made of, and other tests have the other one.
REQUESTS_PER_SECOND = 40
PRODUCTS = 20


class Visitors:
    """Come at appointed times, however long the answers take, and none of them comes twice."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered = 0
        self.failed: list[str] = []
        self._over = threading.Event()

    def have_been_answered(self, more: int) -> None:
        """Return when so many more have been."""
        wanted = self.answered + more
        until(lambda: self.answered >= wanted, f"{more} more answers")

    def leave(self) -> None:
        """Nobody comes any more."""
        self._over.set()

    async def come(self) -> None:
        """Until they are told to leave; then until the last has its answer."""
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(self.url, timeout=timeout) as session,
            asyncio.TaskGroup() as group,
        ):
            for number in count():
                if self._over.is_set():
                    return
                group.create_task(self._ask(session, number % PRODUCTS + 1))
                await asyncio.sleep(1 / REQUESTS_PER_SECOND)

    async def _ask(self, session: aiohttp.ClientSession, product_id: int) -> None:
        try:
            async with session.get(f"/v1/product/{product_id}/enriched") as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failed.append(repr(error))
            return
        if response.status == 200:
            self.answered += 1
        else:
            self.failed.append(f"{response.status}: {body[:200]!r}")


@contextmanager
def visitors(url: str) -> Iterator[Visitors]:
    """Some, before, while and after the block runs; not one of them may be failed."""
    visitors = Visitors(url)
    with ThreadPoolExecutor(1, "visitors") as thread:
        coming = thread.submit(asyncio.run, visitors.come())
        try:
            visitors.have_been_answered(PRODUCTS)  # from here on everybody's product is known
            yield visitors
            visitors.have_been_answered(PRODUCTS)
        finally:
            visitors.leave()
        coming.result()
    assert visitors.failed == []


async def crowd(url: str, callers: Sequence[str], seconds: float = 0.0) -> Counter[int]:
    """The statuses of one request for each caller's address, all within so many seconds."""
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def ask(caller: str) -> int:
            async with session.get(url, headers={"X-Forwarded-For": caller}) as response:
                await response.read()
                return response.status

        async with asyncio.TaskGroup() as group:
            asked = []
            for caller in callers:
                asked.append(group.create_task(ask(caller)))
                await asyncio.sleep(seconds / len(callers))
    return Counter(task.result() for task in asked)
