"""One run of load: clients who ask again once they are answered, and somebody who asks for health.

Health is asked for at appointed times, each on a connection of its own if need be, and its latency
counts from then: a loop that stands still for a second delays twenty of them, not one.
"""

import asyncio
import json
import resource
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from benchmarks.load.tally import percentile
from benchmarks.predictions.connection import Connection
from benchmarks.predictions.question import HEALTH, request, texts

HEALTH_PER_SECOND = 20
_SENTIMENT = b'"sentiment"'


@dataclass(frozen=True)
class Plan:
    """What is asked of whom; the first `warmup_seconds` come before the others and do not count."""

    port: int
    prefix: str = ""
    clients: int = 32
    batch_size: int = 8
    seconds: float = 10.0
    warmup_seconds: float = 1.0
    seed: int = 1

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Load:
    """What one run showed; times in milliseconds. `lateness_p99` is the generator's own."""

    texts_per_second: float
    p50: float
    p99: float
    health_p50: float
    health_p99: float
    health_asked: int
    lateness_p99: float
    generator_cpu_share: float
    errors: dict[str, int]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Load":
        return cls(**json.loads(text))


@dataclass
class _Seen:
    latencies: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


class Generator:
    """One run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seen = _Seen()
        self._idle: list[Connection] = []
        self._start = 0.0

    async def run(self) -> Load:
        """Ask, until the time is over and all have their answers."""
        plan = self._plan
        connections = [await Connection.to(plan.port) for _ in range(plan.clients)]
        self._start = time.perf_counter() + plan.warmup_seconds
        async with asyncio.TaskGroup() as group:
            for number, connection in enumerate(connections):
                group.create_task(self._client(connection, texts(1000 * plan.seed + number)))
            for appointed in self._appointed():
                await asyncio.sleep(appointed - self._now())
                group.create_task(self._ask_for_health(appointed))
        wall = self._now() + plan.warmup_seconds
        for connection in [*connections, *self._idle]:
            connection.close()
        return self._load(wall)

    def _now(self) -> float:
        """Seconds since what counts began."""
        return time.perf_counter() - self._start

    def _appointed(self) -> Iterator[float]:
        for number in range(round(self._plan.seconds * HEALTH_PER_SECOND)):
            yield number / HEALTH_PER_SECOND

    async def _client(self, connection: Connection, texts: Iterator[str]) -> None:
        plan = self._plan
        while (asked := self._now()) < plan.seconds:
            answer = await connection.ask(request([next(texts)], plan.batch_size, plan.prefix))
            if answer.status != 200 or _SENTIMENT not in answer.body:
                self._seen.errors[f"status {answer.status}"] += 1
            elif 0 <= (now := self._now()) < plan.seconds:
                self._seen.latencies.append((now - asked) * 1e3)

    async def _ask_for_health(self, appointed: float) -> None:
        self._seen.lateness.append((self._now() - appointed) * 1e3)
        connection = self._idle.pop() if self._idle else await Connection.to(self._plan.port)
        answer = await connection.ask(HEALTH)
        self._seen.health.append((self._now() - appointed) * 1e3)
        if answer.status != 200:
            self._seen.errors[f"health: status {answer.status}"] += 1
        self._idle.append(connection)

    def _load(self, wall_seconds: float) -> Load:
        usage, seen = resource.getrusage(resource.RUSAGE_SELF), self._seen
        return Load(
            texts_per_second=len(seen.latencies) / self._plan.seconds,
            p50=percentile(seen.latencies, 0.50),
            p99=percentile(seen.latencies, 0.99),
            health_p50=percentile(seen.health, 0.50),
            health_p99=percentile(seen.health, 0.99),
            health_asked=len(seen.health),
            lateness_p99=percentile(seen.lateness, 0.99),
            generator_cpu_share=(usage.ru_utime + usage.ru_stime) / wall_seconds,
            errors=dict(seen.errors),
        )
