"""One fetch for all who ask for the same thing at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Flight(Generic[Value]):
    task: asyncio.Task[Value]
    waiters: int = 0


class SingleFlight(Generic[Key, Value]):
    """Callers with the same key share one running fetch, its result and its error.

    A caller that is cancelled leaves; the fetch is cancelled when the last one has left.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, _Flight[Value]] = {}

    async def join(self, key: Key, fetch: Callable[[], Awaitable[Value]]) -> Value:
        """The result of the fetch that runs for `key`, started now when none does."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._take_off(key, fetch)
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.task.done():
                self._land(key, flight)  # nobody may join a fetch that is being cancelled
                flight.task.cancel()

    def _take_off(self, key: Key, fetch: Callable[[], Awaitable[Value]]) -> _Flight[Value]:
        async def fly() -> Value:
            return await fetch()

        flight = _Flight(asyncio.create_task(fly()))
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._land(key, flight))
        return flight

    def _land(self, key: Key, flight: _Flight[Value]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
