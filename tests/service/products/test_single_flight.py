"""One fetch for all who ask at the same time, whoever of them stays."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from service.products.single_flight import SingleFlight


class Fetch:
    """Counts its runs; each lasts until released."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = asyncio.Event()
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.released = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        self.started.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error:
            raise self.error
        return self.runs


@pytest.fixture
def fetch() -> Fetch:
    return Fetch()


@pytest.fixture
def flights() -> SingleFlight[str, int]:
    return SingleFlight()


async def test_the_error_of_the_fetch_reaches_everybody(
    flights: SingleFlight[str, int], fetch: Fetch
) -> None:
    fetch.error = LookupError("no such thing")

    callers = await under_way(flights, fetch, 3)
    fetch.released.set()

    results = await outcomes(callers)
    assert [type(result) for result in results] == [LookupError] * 3
    assert fetch.runs == 1


async def test_an_error_is_not_remembered(flights: SingleFlight[str, int], fetch: Fetch) -> None:
    fetch.error = LookupError()
    fetch.released.set()
    with pytest.raises(LookupError):
        await flights.join("kettle", fetch)
    fetch.error = None

    assert await flights.join("kettle", fetch) == 2


async def test_a_cancelled_leader_leaves_the_fetch_to_its_followers(
    flights: SingleFlight[str, int], fetch: Fetch
) -> None:
    leader, *followers = await under_way(flights, fetch, 3)

    leader.cancel()
    assert isinstance((await outcomes([leader]))[0], asyncio.CancelledError)
    fetch.released.set()

    assert await outcomes(followers) == [1, 1]
    assert not fetch.cancelled.is_set()


async def test_the_last_one_to_leave_cancels_the_fetch(
    flights: SingleFlight[str, int], fetch: Fetch
) -> None:
    callers = await under_way(flights, fetch, 3)

    for caller in callers:
        caller.cancel()
    await outcomes(callers)

    await fetch.cancelled.wait()


async def test_nobody_joins_a_fetch_that_is_being_cancelled(
    flights: SingleFlight[str, int], fetch: Fetch
) -> None:
    (only,) = await under_way(flights, fetch, 1)
    only.cancel()
    await outcomes([only])
    fetch.released.set()

    assert await flights.join("kettle", fetch) == 2


async def test_a_new_fetch_survives_the_end_of_the_cancelled_one(
    flights: SingleFlight[str, int], fetch: Fetch
) -> None:
    (first,) = await under_way(flights, fetch, 1)
    first.cancel()
    await outcomes([first])

    (second,) = await under_way(flights, fetch, 1)
    await fetch.cancelled.wait()
    third = asyncio.create_task(flights.join("kettle", fetch))
    asyncio.get_running_loop().call_soon(fetch.released.set)

    assert await outcomes([second, third]) == [2, 2]


async def test_callers_of_one_key_share_one_fetch(
    flights: SingleFlight[str, int], fetch: Fetch
) -> None:
    callers = await under_way(flights, fetch, 1000)
    fetch.released.set()

    assert await outcomes(callers) == [1] * 1000


async def test_callers_of_two_keys_share_nothing(
    flights: SingleFlight[str, int], fetch: Fetch
) -> None:
    fetch.released.set()

    both = await asyncio.gather(flights.join("kettle", fetch), flights.join("pan", fetch))

    assert set(both) == {1, 2}


async def test_who_comes_after_the_end_fetches_anew(
    flights: SingleFlight[str, int], fetch: Fetch
) -> None:
    fetch.released.set()

    assert await flights.join("kettle", fetch) == 1
    assert await flights.join("kettle", fetch) == 2


async def under_way(
    flights: SingleFlight[str, int], fetch: Fetch, callers: int
) -> list[asyncio.Task[int]]:
    """`callers` tasks that all wait for the same fetch."""
    fetch.started.clear()
    tasks = [asyncio.create_task(flights.join("kettle", fetch)) for _ in range(callers)]
    await fetch.started.wait()
    return tasks


async def outcomes(callers: Iterable[asyncio.Task[int]]) -> list[Any]:
    return await asyncio.gather(*callers, return_exceptions=True)
