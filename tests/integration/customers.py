"""Constant load on the port, by clients who notice when a request is lost."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.running import eventually
from tests.integration.wire import Wire, connected, request


class Customers:
    """Clients in a closed loop, and what became of their requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered = 0
        self.lost: list[str] = []
        self.gone = asyncio.Event()
        self.content = False

    async def have_been_answered(self, times: int) -> None:
        """Return when they have, since they came."""

        async def have() -> bool:
            return self.answered >= times

        await eventually(have, f"{times} answers")

    @contextmanager
    def come(self, group: asyncio.TaskGroup, regulars: int, newcomers: int) -> Iterator[None]:
        """So many, for as long as the block lasts."""
        for number in range(regulars):
            group.create_task(self.regular(number))
        for number in range(regulars, regulars + newcomers):
            group.create_task(self.newcomer(number))
        yield
        self.content = True

    async def regular(self, number: int) -> None:
        """Asks again and again on one connection, until the port is closed."""
        while not self._leave:
            try:
                async with connected(self.port) as wire:
                    while await self._asked(wire, number, "regular") and not self.content:
                        pass
            except OSError:
                self.gone.set()

    async def newcomer(self, number: int) -> None:
        """Comes on a new connection each time, until the port is closed."""
        while not self._leave:
            try:
                async with connected(self.port) as wire:
                    await self._asked(wire, number, "newcomer", "Connection: close")
            except OSError:
                self.gone.set()

    @property
    def _leave(self) -> bool:
        return self.content or self.gone.is_set()

    async def _asked(self, wire: Wire, number: int, who: str, *headers: str) -> bool:
        product = (number * 997 + self.answered) % 1000 + 1
        try:
            await wire.send(request(f"/product/{product}/enriched", *headers))
            answer = await wire.answer()
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self.lost.append(f"{who}: {error!r}")
            return False
        if answer is None or answer.status != 200:
            self.lost.append(f"{who}: {answer}")
            return False
        self.answered += 1
        return not answer.closes
