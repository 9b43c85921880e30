"""What does a cached answer cost beside a bare endpoint that returns the same bytes?

Both are up at once and take turns on the contestants' core, A B A B, so that what else goes on in
the machine meets both. The ratio is the median over the pairs.
"""

import urllib.request
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.arena import Started, warm_up
from benchmarks.contestants import BARE, OURS
from benchmarks.cores import cpu_seconds
from benchmarks.load.plan import Plan
from benchmarks.load_run import run_load
from benchmarks.measure import Measure
from benchmarks.scenarios import HOT_PRODUCTS, UPSTREAM_MS, Setup

LIMIT = 2.0
PAIRS = 5
# A hit, and nothing but hits: renewals are part of the scenarios that last.
LASTING = {"CACHE__TTL_SECONDS": "300", "CACHE__STALE_SECONDS": "300"}
VALKEY_ONLY = LASTING | {"CACHE__LOCAL_MAX_BYTES": "0"}


def cpu_microseconds(started: Started, plan: Plan) -> float:
    """CPU time per answer, over the contestant's whole process tree."""
    before = cpu_seconds(started.pid)
    result = run_load(replace(plan, port=started.port))
    return (cpu_seconds(started.pid) - before) / max(1, result.answered) * 1e6


def cached_cpu(setup: Setup) -> list[Measure]:
    """The hot mix from the cache; for information also with the in-process cache off."""
    label = "CPU per cached answer, µs, beside a bare endpoint"
    local, bare = _pairs(setup, LASTING)
    remote, again = _pairs(setup, VALKEY_ONLY)
    within = _ratio(local, bare) <= LIMIT
    return [
        Measure(label, _row(local, bare), f"≤ {LIMIT:.0f} × bare", within),
        Measure("… from Valkey only (no in-process cache)", _row(remote, again)),
    ]


def _pairs(setup: Setup, extra: dict[str, str]) -> tuple[list[float], list[float]]:
    ours, bare = [], []
    plan = Plan(0, 32, setup.seconds or 4.0, ids="zipf", products=HOT_PRODUCTS)
    with (
        setup.arena.surroundings(UPSTREAM_MS) as surroundings,
        setup.arena.started(OURS, surroundings, cached=True, extra=extra) as service,
    ):
        assert service is not None
        body = _save_answer(service, setup.arena.folder / "answer.json")
        with setup.arena.started(
            BARE, surroundings, cached=True, extra={"BODY_FILE": str(body)}
        ) as yardstick:
            assert yardstick is not None
            warm_up(service, cached=True)  # the yardstick's start emptied the cache
            for seed in range(max(PAIRS, setup.rounds)):
                ours.append(cpu_microseconds(service, replace(plan, seed=seed)))
                bare.append(cpu_microseconds(yardstick, replace(plan, seed=seed)))
    return ours, bare


def _save_answer(service: Started, file: Path) -> Path:
    url = f"http://127.0.0.1:{service.port}/product/1/enriched"
    with urllib.request.urlopen(url, timeout=10) as answer:
        file.write_bytes(answer.read())
    return file


def _ratio(ours: list[float], bare: list[float]) -> float:
    return median(mine / yours for mine, yours in zip(ours, bare, strict=True))


def _row(ours: list[float], bare: list[float]) -> dict[str, float]:
    # Our median times the ratio of pairs, not the ratio of medians: that is what is judged.
    mine = median(ours)
    return {OURS.name: mine, BARE.name: mine / _ratio(ours, bare)}
