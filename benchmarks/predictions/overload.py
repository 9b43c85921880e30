"""Ten times as much as can be computed: what becomes of those let in, and of those refused?

Requests are sent at appointed times, on as many connections as it takes, and their latency counts
from then.
"""

import asyncio
import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import islice
from random import Random

from benchmarks.load.tally import percentile
from benchmarks.predictions.connection import Connection
from benchmarks.predictions.question import request, texts

# So that their texts, and not the requests, are what is too much.
TEXTS_OF_EACH = 20
_WORDINGS = 200


@dataclass(frozen=True)
class OverloadPlan:
    """What is asked of whom."""

    port: int
    requests_per_second: float
    seconds: float = 10.0
    seed: int = 1

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "OverloadPlan":
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Overload:
    """What one run showed; times in milliseconds. `lateness_p99` is the generator's own."""

    asked: int
    answered: int
    refused: int
    others: dict[str, int]
    answered_p99: float
    refused_p50: float
    refused_p99: float
    lateness_p99: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Overload":
        return cls(**json.loads(text))


@dataclass
class _Seen:
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


class OverloadGenerator:
    """One run."""

    def __init__(self, plan: OverloadPlan) -> None:
        self._plan = plan
        self._seen = _Seen()
        self._idle: list[Connection] = []
        wordings = texts(plan.seed)
        # Made beforehand: the generator shares two cores with the one whom it asks.
        self._requests = [
            request(list(islice(wordings, TEXTS_OF_EACH)), TEXTS_OF_EACH) for _ in range(_WORDINGS)
        ]

    async def run(self) -> Overload:
        """Ask, until the time is over and all have their answers."""
        random = Random(self._plan.seed)
        start, appointed = time.perf_counter(), 0.0
        async with asyncio.TaskGroup() as group:
            while (appointed := appointed + self._pause(random)) < self._plan.seconds:
                await asyncio.sleep(start + appointed - time.perf_counter())
                group.create_task(self._ask(start + appointed, random.choice(self._requests)))
        for connection in self._idle:
            connection.close()
        return self._overload()

    def _pause(self, random: Random) -> float:
        return random.expovariate(self._plan.requests_per_second)

    async def _ask(self, appointed: float, question: bytes) -> None:
        self._seen.lateness.append((time.perf_counter() - appointed) * 1e3)
        connection = self._idle.pop() if self._idle else await Connection.to(self._plan.port)
        answer = await connection.ask(question)
        spent_ms = (time.perf_counter() - appointed) * 1e3
        if answer.status == 200:
            self._seen.answered.append(spent_ms)
        elif answer.status == 429:
            self._seen.refused.append(spent_ms)
        else:
            self._seen.others[f"status {answer.status}"] += 1
        self._idle.append(connection)

    def _overload(self) -> Overload:
        seen = self._seen
        return Overload(
            asked=len(seen.lateness),
            answered=len(seen.answered),
            refused=len(seen.refused),
            others=dict(seen.others),
            answered_p99=percentile(seen.answered, 0.99),
            refused_p50=percentile(seen.refused, 0.50),
            refused_p99=percentile(seen.refused, 0.99),
            lateness_p99=percentile(seen.lateness, 0.99),
        )
