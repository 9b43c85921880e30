"""The simulation and the formulas against what is known without them; the page against both."""

from itertools import accumulate, pairwise
from random import Random
from statistics import mean

import pytest

from benchmarks.cluster import scaling
from benchmarks.cluster.measured import CACHED, SHARED, UNCACHED, Measured, Work
from benchmarks.cluster.model import INVALIDATIONS_BUSY, RATES, scale
from benchmarks.cluster.simulation import Setting, Simulation

pytestmark = pytest.mark.no_cover

# Milliseconds of CPU, and of waiting.
WORK = {
    CACHED: Work(1.0, [0.0]),
    SHARED: Work(2.0, [1.0]),
    UNCACHED: Work(4.0, [20.0]),
}
FOR_EVER = 1e12


def poisson(rate_per_ms: float, number: int, seed: int = 1) -> list[float]:
    draw = Random(seed)
    return list(accumulate(draw.expovariate(rate_per_ms) for _ in range(number)))


def test_requests_at_once_for_a_cold_product_fetch_it_once_whatever_the_number_of_replicas() -> (
    None
):
    simulation = Simulation(Setting(3, cores=3, fresh_ms=FOR_EVER, work=WORK))

    outcome = simulation.run([(0.0, 1)] * 1000)

    assert outcome.fetches == 1
    assert len(outcome.latencies_ms) == 1000


@pytest.mark.parametrize("busy", [0.3, 0.5, 0.7])
def test_one_replica_waits_as_the_formula_of_pollaczek_and_khinchine_has_it(busy: float) -> None:
    simulation = Simulation(Setting(1, cores=1, fresh_ms=FOR_EVER, work=WORK))

    outcome = simulation.run([(0.0, 1), *((100 + at, 1) for at in poisson(busy, 40_000))])

    waited = mean(list(outcome.latencies_ms.values())[1:]) - WORK[CACHED].cpu_ms
    assert waited == pytest.approx(busy / (2 * (1 - busy)), rel=0.1)


def test_replicas_that_share_a_core_do_no_more_than_one_does() -> None:
    arrivals = [(0.0, 1), *((100 + at, 1) for at in poisson(0.8, 5_000))]

    def busy_ms(replicas: int) -> float:
        setting = Setting(replicas, cores=1, fresh_ms=FOR_EVER, work=WORK)
        outcome = Simulation(setting).run(arrivals)
        return outcome.busy_ms - (outcome.answers.get(SHARED, 0) * WORK[SHARED].cpu_ms)

    assert busy_ms(3) == pytest.approx(busy_ms(1), rel=0.01)


def test_a_product_is_fetched_as_often_as_the_formula_has_it() -> None:
    fresh_ms, per_ms, number = 1_000.0, 0.004, 20_000

    outcome = Simulation(Setting(2, cores=2, fresh_ms=fresh_ms, work=WORK)).run(
        [(at, 1) for at in poisson(per_ms, number)]
    )

    # Lifetimes are a twentieth shorter, and a fifth of each is for renewal, whoever asks then.
    expected = number / (1 + per_ms * fresh_ms * 0.95)
    assert expected * 0.9 < outcome.fetches < expected * 1.3


def test_more_requests_need_more_of_everything_and_a_greater_share_is_cached() -> None:
    scales = [scale(Measured.load(), rate) for rate in RATES]

    for less, more in pairwise(scales):
        assert more.replicas > less.replicas
        assert more.hit_ratio > less.hit_ratio
        assert more.invalidations_busy <= INVALIDATIONS_BUSY


def test_the_page_shows_what_was_measured() -> None:
    assert scaling.filled(scaling.PAGE.read_text()) == scaling.PAGE.read_text(), (
        "python -m benchmarks.cluster.scaling"
    )
