"""`python -m benchmarks --scenario cluster`: measures, judges, and keeps it for docs/scaling.md."""

from collections.abc import Sequence

from benchmarks import report
from benchmarks.arena import Arena, open_arena
from benchmarks.cluster.costs import (
    Costs,
    at_full_load,
    costs,
    idle_cpu_ratio,
    invalidation_us,
    warm,
)
from benchmarks.cluster.footprint import connections, memory_mb, one_by_one, scrape
from benchmarks.cluster.measured import CACHED, SENTIMENT, SHARED, TABULAR, UNCACHED, Measured
from benchmarks.cluster.scaling import check_table
from benchmarks.cluster.scene import MOST_REPLICAS, open_scene
from benchmarks.cluster.trial import trial, work
from benchmarks.overhead.programs import load_averages
from benchmarks.scenarios import UPSTREAM_MS
from benchmarks.scenarios.cached_cpu import LASTING, VALKEY_ONLY
from tests.cluster.balancer import HAPROXY, MISSING

FLAT = 1.10
NEAR = 0.25
NUMBERS = tuple(range(1, MOST_REPLICAS + 1))
_KINDS = {
    CACHED: "cached product",
    UNCACHED: "uncached product",
    TABULAR: "prediction, ten features",
    SENTIMENT: "prediction, one text of 12 words",
}


def cluster(rounds: int, seconds: float | None) -> str:
    """Measure, save measured.json, give the tables; nothing where there is no balancer."""
    if HAPROXY is None:
        print(f"SKIPPED: cluster. {MISSING}", flush=True)
        return ""
    with open_arena() as arena:
        measured = _measured(arena, rounds, seconds or 4.0)
    measured.save()
    return "\n\n".join((_costs_table(measured), check_table(measured), _verdicts(measured)))


def _measured(arena: Arena, rounds: int, seconds: float) -> Measured:
    with arena.surroundings(UPSTREAM_MS) as surroundings:
        with open_scene(arena, surroundings, MOST_REPLICAS, **LASTING) as scene:
            idle = idle_cpu_ratio(scene)
            found: Costs = costs(scene, rounds, seconds)
            invalidation = invalidation_us(scene, idle, seconds)
            one = scene.replicas[0]
            footprint = memory_mb(scene), connections(scene), scrape(one)
        with open_scene(arena, surroundings, 1, **VALKEY_ONLY) as scene:
            warm(scene, CACHED)
            found.cpu_us[SHARED] = {"1": at_full_load(scene, CACHED, 1, seconds)[0]}
        span_counts, span_bytes, query_ms = one_by_one(arena, surroundings)
        kinds = work(arena, surroundings, idle)
        checked = trial(arena, surroundings, kinds, NUMBERS, rounds)
    memory, connected, scraped = footprint
    return Measured(
        where=f"{report.machine()}; {rounds} rounds; {report.busy(load_averages)}",
        cpu_us=found.cpu_us,
        idle_cpu_ratio=idle,
        invalidation_us=invalidation,
        answer_bytes=found.answer_bytes,
        log_bytes=found.log_bytes,
        valkey_commands=found.valkey_commands,
        valkey_bytes=found.valkey_bytes,
        spans=span_counts,
        span_bytes=span_bytes,
        connections=connected,
        memory_mb=memory,
        query_ms=query_ms,
        scrape=scraped,
        work=kinds,
        trial=checked,
    )


def _costs_table(measured: Measured) -> str:
    head = [
        "CPU per answer, µs",
        *(f"{number} replica{'s' * (number > 1)}" for number in NUMBERS),
        *("3 : 1", "bytes sent", "bytes logged", "Valkey commands", "bytes to and from Valkey"),
    ]
    rows = [
        [
            words,
            *(f"{measured.cpu_us[kind][str(n)]:.0f}" for n in NUMBERS),
            f"{_growth(measured, kind):.2f}",
            f"{measured.answer_bytes[kind]:,.0f}",
            f"{measured.log_bytes[kind]:,.0f}",
            f"{measured.valkey_commands[kind]:.2f}",
            f"{measured.valkey_bytes[kind]:,.0f}",
        ]
        for kind, words in _KINDS.items()
    ]
    return report.table(head, rows)


def _verdicts(measured: Measured) -> str:
    assert measured.trial is not None
    growth = max(_growth(measured, kind) for kind in (CACHED, UNCACHED))
    ratios = [each.simulated_p99_ms / each.measured_p99_ms for each in measured.trial.checks]
    worst = max(ratios, key=lambda ratio: abs(ratio - 1))
    rows: Sequence[Sequence[str]] = [
        ["CPU per product at 3 replicas, of 1", f"{growth:.2f}", f"≤ {FLAT}",
         report.VERDICTS[growth <= FLAT]],
        ["simulated p99 of measured, at worst", f"{worst:.2f}", f"1 ± {NEAR}",
         report.VERDICTS[abs(worst - 1) <= NEAR]],
    ]  # fmt: skip
    return report.table(["", "ours", "criterion", "holds"], rows)


def _growth(measured: Measured, kind: str) -> float:
    by_number = measured.cpu_us[kind]
    return by_number[str(MOST_REPLICAS)] / by_number["1"]
