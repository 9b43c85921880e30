"""Does the simulation know what a cluster will do? The same requests to both, at the same times.

The kinds of work are measured one by one, at one replica that is hardly busy. What is foretold is
their mixture, at 1, 2 and 3 replicas that share a core which is as busy as it should be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from benchmarks.arena import PRODUCTS, Arena
from benchmarks.cluster.asking import Questions, ask
from benchmarks.cluster.costs import QUESTIONS, warm
from benchmarks.cluster.measured import CACHED, SHARED, UNCACHED, Check, Measured, Trial, Work
from benchmarks.cluster.scene import Scene, open_scene
from benchmarks.cluster.simulation import Outcome, Setting, Simulation
from benchmarks.load.tally import percentile
from benchmarks.scenarios.cached_cpu import LASTING, VALKEY_ONLY

RATE = 120.0
FRESH_SECONDS = 10.0
WARMUP_SECONDS = 10.0
SECONDS = 20.0
TRIAL = {"CACHE__TTL_SECONDS": f"{FRESH_SECONDS:g}", "CACHE__STALE_SECONDS": "60"}

_CROWD = Questions(
    0, WARMUP_SECONDS + SECONDS, RATE, "zipf", PRODUCTS, warmup_seconds=WARMUP_SECONDS
)
_EASY_RATES = {CACHED: 100.0, SHARED: 60.0, UNCACHED: 40.0}
_EASY_SECONDS, _EASY_WARMUP_SECONDS = 15.0, 3.0  # in which connections are opened
_QUANTILES = 200


def work(arena: Arena, surroundings: Mapping[str, str], idle_cpu_ratio: float) -> dict[str, Work]:
    """Each kind by itself."""
    found = {}
    for settings, kinds in ((LASTING, (CACHED, UNCACHED)), (VALKEY_ONLY, (SHARED,))):
        with open_scene(arena, surroundings, 1, **settings) as scene:
            for kind in kinds:
                found[kind] = _work(scene, kind, idle_cpu_ratio)
    return found


def trial(
    arena: Arena,
    surroundings: Mapping[str, str],
    found: Mapping[str, Work],
    numbers: Sequence[int],
    rounds: int,
) -> Trial:
    """Numbers of replicas take turns; every round is another crowd."""
    measured: dict[int, list[list[float]]] = {number: [] for number in numbers}
    busy = []
    with open_scene(arena, surroundings, max(numbers), **TRIAL) as scene:
        warm(scene, UNCACHED)  # its code, its pools
        for turn in range(rounds):
            for number in numbers:
                arena.empty_cache()
                before = scene.cpu_seconds(number)
                port = scene.balancers[number - 1].port
                told = ask(replace(_CROWD, port=port, seed=turn + 1))
                busy.append((scene.cpu_seconds(number) - before) / _CROWD.seconds)
                measured[number].append(told.latencies)
    checks = [_check(number, runs, found) for number, runs in measured.items()]
    return Trial(RATE, SECONDS, rounds, median(busy), checks)


def foretold_again(measured: Measured) -> Measured:
    """The same trial beside what the simulation says now."""
    if measured.trial is None:
        return measured
    found, rounds = measured.work, measured.trial.rounds
    checks = []
    for each in measured.trial.checks:
        p50, p99 = _foretold(found, each.replicas, rounds)
        checks.append(replace(each, simulated_p50_ms=p50, simulated_p99_ms=p99))
    return replace(measured, trial=replace(measured.trial, checks=checks))


def simulated(
    found: Mapping[str, Work], replicas: int, questions: Questions, seed: int, cores: float = 1.0
) -> tuple[Outcome, list[float]]:
    """The outcome, and the latencies of those who came after the warm-up."""
    plan = replace(questions, seed=seed).plan
    arrivals = plan.arrivals()
    setting = Setting(replicas, cores, FRESH_SECONDS * 1000, found, seed)
    outcome = Simulation(setting).run(
        (at * 1000, product) for at, product in zip(arrivals, plan.product_ids(), strict=False)
    )
    late = [
        latency
        for number, latency in outcome.latencies_ms.items()
        if arrivals[number] >= questions.warmup_seconds
    ]
    return outcome, late


def _work(scene: Scene, kind: str, idle_cpu_ratio: float) -> Work:
    questions = QUESTIONS[UNCACHED if kind == UNCACHED else CACHED]
    warm(scene, CACHED)
    if kind == UNCACHED:
        scene.arena.empty_cache()
    asked = replace(
        questions,
        port=scene.balancers[0].port,
        rate=_EASY_RATES[kind],
        seconds=_EASY_SECONDS,
        warmup_seconds=_EASY_WARMUP_SECONDS,
    )
    before = scene.cpu_seconds(1)
    told = ask(asked)
    spent = scene.cpu_seconds(1) - before - idle_cpu_ratio * _EASY_SECONDS
    cpu_ms = spent / max(1, told.answered) * 1000
    others = sorted(max(0.0, latency - cpu_ms) for latency in told.latencies)
    ranks = ((part + 0.5) / _QUANTILES for part in range(_QUANTILES))
    return Work(cpu_ms, [round(percentile(others, rank), 3) for rank in ranks])


def _check(replicas: int, runs: Sequence[list[float]], found: Mapping[str, Work]) -> Check:
    """Medians over the rounds."""
    p99s = [percentile(run, 0.99) for run in runs]
    p50, p99 = _foretold(found, replicas, len(runs))
    return Check(
        replicas=replicas,
        measured_p50_ms=median(percentile(run, 0.5) for run in runs),
        measured_p99_ms=median(p99s),
        simulated_p50_ms=p50,
        simulated_p99_ms=p99,
        p99_least_ms=min(p99s),
        p99_most_ms=max(p99s),
    )


def _foretold(found: Mapping[str, Work], replicas: int, rounds: int) -> tuple[float, float]:
    """Medians over the rounds of the 50th and the 99th percentile."""
    runs = [simulated(found, replicas, _CROWD, turn + 1)[1] for turn in range(rounds)]
    p50, p99 = (median(percentile(run, share) for run in runs) for share in (0.5, 0.99))
    return p50, p99
