"""What does telemetry cost an answer of the service, cached and uncached?

The service with every signal, a log line per request included, and the service with none: both are
up at once and take turns on one core, A B A B. The ratio is the median over the pairs.
"""

from dataclasses import replace
from statistics import median

from benchmarks.arena import warm_up
from benchmarks.contestants import OURS, SILENT
from benchmarks.load.plan import Plan
from benchmarks.measure import Measure
from benchmarks.scenarios import UPSTREAM_MS, Setup, mix
from benchmarks.scenarios.cached_cpu import LASTING, PAIRS, cpu_microseconds

_SIGNALS = ("METRICS", "TRACES", "LOGS", "SENTRY", "STALLS")
OFF = {f"OBSERVABILITY__{name}": "false" for name in _SIGNALS}
ON = {"LOG_LEVEL": "info"}


def telemetry(setup: Setup) -> list[Measure]:
    """CPU per answer with and without; for information."""
    return [_row(setup, cached=cached) for cached in (True, False)]


def _row(setup: Setup, *, cached: bool) -> Measure:
    ids, products = mix(cached=cached)
    plan = Plan(0, 32, setup.seconds or 4.0, ids=ids, products=products)
    lasting = LASTING if cached else {}
    spent: list[tuple[float, float]] = []
    with (
        setup.arena.surroundings(UPSTREAM_MS) as surroundings,
        setup.arena.started(OURS, surroundings, cached=cached, extra=lasting | ON) as loud,
        setup.arena.started(SILENT, surroundings, cached=cached, extra=lasting | OFF) as silent,
    ):
        assert loud is not None
        assert silent is not None
        warm_up(loud, cached=cached)  # the other one's start emptied the cache
        for seed in range(max(PAIRS, setup.rounds)):
            turn = replace(plan, seed=seed)
            spent.append((cpu_microseconds(loud, turn), cpu_microseconds(silent, turn)))
    mine = median(with_all for with_all, _ in spent)
    ratio = median(with_all / without for with_all, without in spent)
    label = f"CPU per {'cached' if cached else 'uncached'} answer, µs, with every signal"
    return Measure(label, {OURS.name: mine, SILENT.name: mine / ratio})
