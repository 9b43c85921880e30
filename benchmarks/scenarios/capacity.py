"""How many requests per second does one core carry with p99 under a second and no error?

A closed loop says about where to look, then short open-loop runs close in on the highest rate.
"""

from dataclasses import replace

from benchmarks.arena import Started
from benchmarks.contestants import FLASK
from benchmarks.cores import cpu_seconds
from benchmarks.load.plan import Plan
from benchmarks.load.tally import Result
from benchmarks.load_run import run_load
from benchmarks.measure import Measure, Samples, ratio
from benchmarks.scenarios import CONNECTIONS, UPSTREAM_MS, Setup, mix

FAR_UPSTREAM_MS = 100.0
P99_LIMIT_MS = 1000.0
STEPS = 7
PRECISION = 1.07
TIMES_FLASK = 5.0


def capacity(setup: Setup) -> list[Measure]:
    """Cached, uncached, uncached from afar; each with the CPU time of an answer at full load."""
    return [
        *_variant(setup, UPSTREAM_MS, cached=True),
        *_variant(setup, UPSTREAM_MS, cached=False),
        *_variant(setup, FAR_UPSTREAM_MS, cached=False),
    ]


def _variant(setup: Setup, upstream_ms: float, *, cached: bool) -> list[Measure]:
    word = "cached" if cached else f"uncached, upstreams at {upstream_ms:.0f} ms"
    rates = Samples(f"capacity, requests/s on one core: {word}")
    cpu = Samples("… CPU per answer at full load, µs")
    with setup.arena.surroundings(upstream_ms) as surroundings:
        for seed in range(setup.rounds):
            for contestant in setup.variant(cached=cached):
                with setup.arena.started(contestant, surroundings, cached=cached) as started:
                    if started is None:
                        continue
                    plan = _plan(started, setup.seconds or 5.0, seed + 1, cached=cached)
                    rough, microseconds = _full_load(started, plan)
                    rates.add(started.name, _highest_rate(plan, rough))
                    cpu.add(started.name, microseconds)
    holds = ratio(rates.ours(), rates.medians().get(FLASK.name, 0.0)) >= TIMES_FLASK
    return [rates.judged(f"≥ {TIMES_FLASK:.0f} × Flask", holds), cpu.measure()]


def _plan(started: Started, seconds: float, seed: int, *, cached: bool) -> Plan:
    ids, products = mix(cached=cached)
    return Plan(started.port, CONNECTIONS, seconds, None, ids, products, 0.0, 3.0, seed)


def _full_load(started: Started, plan: Plan) -> tuple[float, float]:
    before = cpu_seconds(started.pid)
    result = run_load(replace(plan, connections=128, seconds=3.0))
    spent = cpu_seconds(started.pid) - before
    return result.achieved_rate, spent / max(1, result.answered) * 1e6


def _highest_rate(plan: Plan, rough: float) -> float:
    """Widen until one rate is carried and one is not, then halve the distance."""
    low, high, rate = 0.0, float("inf"), 0.9 * max(rough, 1.0)
    for step in range(STEPS):
        if _carries(run_load(replace(plan, rate=rate, seed=plan.seed + 10 * step))):
            low = rate
        else:
            high = rate
        if low and high / low <= PRECISION:
            break
        if high == float("inf"):
            rate *= 1.25
        elif not low:
            rate *= 0.8
        else:
            rate = (low + high) / 2
    return low


def _carries(result: Result) -> bool:
    return result.error_count == 0 and result.measured > 0 and result.p99 < P99_LIMIT_MS
