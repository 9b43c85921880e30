"""Light traffic, so that every dashboard and metric of the demo has something to show."""

import asyncio
from contextlib import suppress
from random import Random

import aiohttp

from service.demo.answers import LAST_PRODUCT_ID
from service.demo.hosting import end_signal

_TIMEOUT_SECONDS = 6.0
_MOST_IN_FLIGHT = 20
_SHARE_OF_PREDICTIONS = 0.2
_USUAL = (
    *((9.0, 20.0), (12.0, 28.0), (60.0, 130.0), (250.0, 1200.0), (0.07, 0.12)),
    *((0.04, 0.2), (0.01, 0.2), (0.01, 0.1), (0.13, 0.23), (0.053, 0.08)),
)
_OPINIONS = (
    "It boils in no time, and looks good while it does.",
    "The lid broke after a week.",
    "Does what it should, no more.",
    "I have given two of them away, and everybody is happy.",
    "Loud, heavy, and far too expensive for what it is.",
)


async def send_traffic(api_url: str, requests_per_second: float = 5.0) -> None:
    """Ask for random products until cancelled, few of them often, and now and then for a
    prediction; failures do not matter.

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
            predicts = random.random() < _SHARE_OF_PREDICTIONS
            ask = _predict(session, random) if predicts else _look_at(session, random)
            request = group.create_task(ask)
            request.add_done_callback(lambda _: free.release())
            await asyncio.sleep(random.expovariate(requests_per_second))


def run_traffic(api_url: str) -> None:
    """Send traffic until SIGTERM or SIGINT, also while nobody answers."""
    asyncio.run(_send_until_told(api_url))


async def _send_until_told(api_url: str) -> None:
    told = end_signal()
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send_traffic(api_url))
        await told.wait()
        sending.cancel()


def popular_product(random: Random) -> int:
    """A product id, each decade as often as the others: 1 is asked for a thousand times more
    often than 1000 is."""
    return int(LAST_PRODUCT_ID ** random.random())


async def _look_at(session: aiohttp.ClientSession, random: Random) -> None:
    await _ask(session, "GET", f"/v1/product/{popular_product(random)}/enriched")


async def _predict(session: aiohttp.ClientSession, random: Random) -> None:
    if random.random() < 0.5:
        # What the tabular model has learnt from lies between these.
        features = [low + (high - low) * random.random() for low, high in _USUAL]
        await _ask(session, "POST", "/v1/predict", {"features": features})
    else:
        texts = random.choices(_OPINIONS, k=random.randint(1, 5))
        await _ask(session, "POST", "/v1/predict/sentiment", {"texts": texts})


async def _ask(session: aiohttp.ClientSession, method: str, path: str, body: object = None) -> None:
    # An over-eager server may also cut the connection while its body is read.
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with session.request(method, path, json=body) as response:
            await response.read()
