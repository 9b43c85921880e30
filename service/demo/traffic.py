"""Light traffic, so that every dashboard and metric of the demo has something to show."""

import asyncio
from contextlib import suppress
from random import Random

import aiohttp

from service.demo.answers import LAST_PRODUCT_ID

_TIMEOUT_SECONDS = 6.0
_MOST_IN_FLIGHT = 20


async def send_traffic(api_url: str, requests_per_second: float = 5.0) -> None:
    """Ask for random products until cancelled, few of them often; failures do not matter.

    While 20 requests are waiting for an answer no more are sent.
    """
    random = Random()
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    free = asyncio.Semaphore(_MOST_IN_FLIGHT)
    async with (
        aiohttp.ClientSession(api_url, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        while True:
            await free.acquire()
            request = group.create_task(_ask(session, popular_product(random)))
            request.add_done_callback(lambda _: free.release())
            await asyncio.sleep(random.expovariate(requests_per_second))


def popular_product(random: Random) -> int:
    """A product id, each decade as often as the others: 1 is asked for a thousand times more
    often than 1000 is."""
    return int(LAST_PRODUCT_ID ** random.random())


async def _ask(session: aiohttp.ClientSession, product_id: int) -> None:
    # An over-eager server may also cut the connection while its body is read.
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with session.get(f"/v1/product/{product_id}/enriched") as response:
            await response.read()
