"""How long does one uncached answer take, when the database is 50 ms and the upstreams 100 ms away?

Concurrent, it takes as long as the slowest source: 100 ms; one after the other: 250 ms.
"""

from benchmarks.arena import PRODUCTS
from benchmarks.load.plan import Plan
from benchmarks.load_run import run_load
from benchmarks.measure import Measure, Samples
from benchmarks.scenarios import Setup

UPSTREAM_MS, DATABASE_MS = 100.0, 50.0
SLOWEST_SOURCE_MS = max(UPSTREAM_MS, DATABASE_MS)
LIMIT = 1.10


def latency(setup: Setup) -> list[Measure]:
    """Median and 99th percentile at ten requests per second."""
    p50 = Samples("uncached latency p50, ms (database 50 ms, upstreams 100 ms)")
    p99 = Samples("… p99, ms")
    with setup.arena.surroundings(UPSTREAM_MS, DATABASE_MS) as surroundings:
        for seed in range(setup.rounds):
            for contestant in setup.contestants:
                with setup.arena.started(contestant, surroundings, cached=False) as started:
                    if started is None:
                        continue
                    seconds = setup.seconds or 10.0
                    plan = Plan(started.port, 8, seconds, 10.0, "cycle", PRODUCTS, seed=seed + 2)
                    result = run_load(plan)
                    p50.add(started.name, result.p50)
                    p99.add(started.name, result.p99)
    limit_ms = LIMIT * SLOWEST_SOURCE_MS
    return [p50.judged(f"≤ {limit_ms:.0f} ms", p50.ours() <= limit_ms), p99.measure()]
