"""`python -m benchmarks.cluster.asking QUESTIONS`: every latency of one run, as JSON.

benchmarks.load sums up; a simulation needs the single times. It also asks for predictions.
"""

import asyncio
import gc
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import uvloop

from benchmarks.cores import SURROUNDINGS_CORE, on_core
from benchmarks.load.plan import Ids, Plan
from benchmarks.load.tally import percentile
from benchmarks.overhead.programs import load_averages
from benchmarks.predictions.connection import Connection
from benchmarks.programs import ROOT, module

CONNECTIONS = 64
SLACK_SECONDS = 60.0


@dataclass(frozen=True)
class Questions:
    """Independent arrivals at `rate`; None: `connections` clients who never pause.

    About products, unless there is a `path` that the same `body` is posted to. Nothing is told of
    those who came in the first `warmup_seconds`.
    """

    port: int
    seconds: float
    rate: float | None = None
    ids: Ids = "zipf"
    products: int = 1000
    seed: int = 1
    warmup_seconds: float = 0.0
    connections: int = CONNECTIONS
    path: str | None = None
    body: str = ""

    @property
    def plan(self) -> Plan:
        """When who asks for what."""
        return Plan(
            self.port,
            self.connections,
            self.seconds,
            self.rate,
            self.ids,
            self.products,
            seed=self.seed,
        )

    def requests(self) -> Iterator[bytes]:
        """As they go over the wire."""
        if self.path is None:
            for product_id in self.plan.product_ids():
                yield b"GET /product/%d/enriched HTTP/1.1\r\nHost: b\r\n\r\n" % product_id
        head = f"POST {self.path} HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(self.body)}\r\n\r\n{self.body}".encode()
        yield from itertools.repeat(request)


@dataclass
class Told:
    """What a run showed, in milliseconds; `late_p99` is the generator's own fault."""

    answered: int = 0
    latencies: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    late_p99: float = 0.0


def ask(questions: Questions) -> Told:
    """One run, in a process of its own on the surroundings' core."""
    load_averages.append(os.getloadavg()[0])
    with on_core(SURROUNDINGS_CORE):
        done = subprocess.run(
            module("benchmarks.cluster.asking", json.dumps(asdict(questions))),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=questions.seconds + SLACK_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    told = Told(**json.loads(done.stdout))
    if told.errors:
        print(f"NOTE: errors: {told.errors}", flush=True)
    return told


class Asking:
    """One run."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._requests = questions.requests()
        self._idle: asyncio.Queue[Connection] = asyncio.Queue()
        self._told = Told()
        self._errors: Counter[str] = Counter()
        self._late: list[float] = []

    async def run(self) -> Told:
        """Connect, ask, and wait for the last."""
        questions = self._questions
        for _ in range(questions.connections):
            self._idle.put_nowait(await Connection.to(questions.port))
        self._start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            if questions.rate is None:
                for _ in range(questions.connections):
                    group.create_task(self._keep_asking())
            else:
                for at in questions.plan.arrivals():
                    if (pause := at - self._now()) > 0:
                        await asyncio.sleep(pause)
                    self._late.append((self._now() - at) * 1000)
                    group.create_task(self._ask(at))
        self._told.errors = dict(self._errors)
        self._told.late_p99 = percentile(self._late, 0.99) if self._late else 0.0
        return self._told

    def _now(self) -> float:
        return time.perf_counter() - self._start

    async def _keep_asking(self) -> None:
        while (now := self._now()) < self._questions.seconds:
            await self._ask(now)

    async def _ask(self, appointed: float) -> None:
        request = next(self._requests)
        connection = await self._idle.get()
        try:
            answer = await connection.ask(request)
        except ConnectionError as error:
            self._errors[str(error)] += 1
            connection = await Connection.to(self._questions.port)
        else:
            self._take(answer.status, appointed)
        self._idle.put_nowait(connection)

    def _take(self, status: int, appointed: float) -> None:
        if status != 200:
            self._errors[f"status {status}"] += 1
            return
        self._told.answered += 1
        if appointed >= self._questions.warmup_seconds:
            self._told.latencies.append((self._now() - appointed) * 1000)


def main() -> None:
    """Without garbage collection, whose pauses would pass for the service's."""
    asking = Asking(Questions(**json.loads(sys.argv[1])))
    gc.disable()
    print(json.dumps(asdict(uvloop.run(asking.run()))))


if __name__ == "__main__":
    main()
