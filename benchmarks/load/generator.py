"""Sends a plan's requests at their appointed times over a fixed number of connections."""

import asyncio
import time
from collections import deque
from itertools import islice

from .connection import Connection, Request
from .plan import Plan
from .tally import Result, Tally

OPENED_AT_ONCE = 50
RECONNECT_SECONDS = 0.1
LOOK_SECONDS = 0.02


class Generator:
    """One run. Idle connections take turns, so that all of them are used."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._arrivals = plan.arrivals()
        self._ids = plan.product_ids()
        self._tally = Tally(plan.warmup_seconds)
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Request] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._open: set[Connection] = set()
        self._next = 0
        self._in_flight = 0
        self._start = float("inf")
        self._ended = False

    async def run(self) -> Result:
        """Connect, send everything, wait for the stragglers, sum up."""
        await self._connect_all()
        self._start = time.perf_counter()
        if self._plan.rate is None:
            for connection in list(self._idle):
                self._ready(self._idle.popleft() if self._idle else connection)
        else:
            self._send_what_is_due()
        await asyncio.sleep(self._plan.seconds)
        await self._stragglers()
        self._ended = True
        if unanswered := self._in_flight + len(self._waiting):
            self._tally.errors["unanswered"] = unanswered
        wall = self._now()
        for connection in list(self._open):
            connection.close()
        return self._tally.result(self._plan.seconds - self._plan.warmup_seconds, wall)

    def _now(self) -> float:
        return time.perf_counter() - self._start

    async def _connect_all(self) -> None:
        slots = iter(range(self._plan.connections))
        while batch := list(islice(slots, OPENED_AT_ONCE)):
            await asyncio.gather(*(self._connect() for _ in batch))

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._ended:
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(self._answered, self._lost), "127.0.0.1", self._plan.port
                )
            except OSError:
                self._tally.errors["connect"] += 1
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                self._open.add(connection)
                self._ready(connection)
                return

    def _send_what_is_due(self) -> None:
        now = self._now()
        while self._next < len(self._arrivals) and self._arrivals[self._next] <= now:
            appointed = self._arrivals[self._next]
            self._next += 1
            self._tally.lateness.append((now - appointed) * 1000)
            self._waiting.append(Request(next(self._ids), appointed))
            if self._idle:
                self._ready(self._idle.popleft())
        if self._next < len(self._arrivals):
            pause = self._arrivals[self._next] - self._now()
            asyncio.get_running_loop().call_later(max(0.0, pause), self._send_what_is_due)

    def _ready(self, connection: Connection) -> None:
        """A connection is free: whoever waits goes first."""
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        elif self._plan.rate is None and 0 <= (now := self._now()) < self._plan.seconds:
            self._send(connection, Request(next(self._ids), now))
        else:
            self._idle.append(connection)

    def _send(self, connection: Connection, request: Request) -> None:
        self._in_flight += 1
        connection.send(request)

    def _answered(self, connection: Connection, request: Request, error: str | None) -> None:
        self._in_flight -= 1
        if error:
            self._tally.errors[error] += 1
        else:
            self._tally.answer(request.appointed, self._now() - request.appointed)
        self._ready(connection)

    def _lost(self, connection: Connection, request: Request | None) -> None:
        """Open another one; as HTTP clients do, ask once more what met a closing connection."""
        self._open.discard(connection)
        if self._ended:
            return
        if connection in self._idle:
            self._idle.remove(connection)
        if request is not None:
            self._in_flight -= 1
            if connection.answers and not request.retried:
                request.retried = True
                self._waiting.appendleft(request)
            else:
                self._tally.errors["connection lost"] += 1
        task = asyncio.get_running_loop().create_task(self._connect())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _stragglers(self) -> None:
        for _ in range(int(self._plan.grace_seconds / LOOK_SECONDS)):
            if not self._in_flight and not self._waiting:
                return
            await asyncio.sleep(LOOK_SECONDS)
