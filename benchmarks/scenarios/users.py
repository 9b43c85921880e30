"""1,000 users who together ask 50,000 times a minute: how long do they wait, and who gets an error?

Open loop: a contestant that cannot keep up lets a queue grow, and the figures show the queue.
"""

from benchmarks.load.plan import Plan
from benchmarks.load_run import run_load
from benchmarks.measure import Measure, Samples
from benchmarks.scenarios import CONNECTIONS, UPSTREAM_MS, Setup, mix

RATE = 50_000 / 60
MEDIAN_LIMIT_MS = 45.0


def users(setup: Setup) -> list[Measure]:
    """The cached mix, then the same without a cache."""
    return [*_variant(setup, cached=True), *_variant(setup, cached=False)]


def _variant(setup: Setup, *, cached: bool) -> list[Measure]:
    word = "cached" if cached else "uncached"
    p50 = Samples(f"1,000 users, 833 requests/s, {word}: p50, ms")
    p99, errors = Samples("… p99, ms"), Samples("… errors, % of requests")
    ids, products = mix(cached=cached)
    with setup.arena.surroundings(UPSTREAM_MS) as surroundings:
        for seed in range(setup.rounds):
            for contestant in setup.variant(cached=cached):
                with setup.arena.started(contestant, surroundings, cached=cached) as started:
                    if started is None:
                        continue
                    seconds = setup.seconds or 60.0
                    result = run_load(
                        Plan(started.port, CONNECTIONS, seconds, RATE, ids, products, seed=seed)
                    )
                    p50.add(started.name, result.p50)
                    p99.add(started.name, result.p99)
                    asked = result.answered + result.error_count
                    errors.add(started.name, 100 * result.error_count / max(1, asked))
    return [
        p50.judged(f"≤ {MEDIAN_LIMIT_MS:.0f} ms", p50.ours() <= MEDIAN_LIMIT_MS),
        p99.measure(),
        errors.judged("none", errors.ours() == 0),
    ]
