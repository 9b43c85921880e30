"""How many texts per second, and who waits meanwhile? Does batching ever cost anything? And what
becomes of requests when there are ten times too many?

All are up at once and take turns, A B C D A B C D, so that what else goes on in the machine meets
all of them. A ratio is the median over the rounds.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from benchmarks.arena import open_arena
from benchmarks.contestants import OURS
from benchmarks.overhead.outcome import verdict
from benchmarks.predictions.contestants import NAMED_PEER, Contestant, contestants, versions
from benchmarks.predictions.load import HEALTH_PER_SECOND, Plan
from benchmarks.predictions.overload import TEXTS_OF_EACH, Overload, OverloadPlan
from benchmarks.predictions.run import Run, run, run_overload
from benchmarks.report import table

CLIENTS = 32
MORE_OR_FEWER_CLIENTS = (1, 2, 8, 32, 128)
BATCH_SIZE = 8  # what a request says that says nothing
TIMES_PEER, HEALTH_LIMIT_MS = 6.0, 15.0
TIMES_TOO_MUCH, REFUSAL_LIMIT_MS = 10.0, 20.0
# Two runs of the very same differ by so much on two shared cores.
NOISE = 0.03
SECONDS, SECONDS_OF_EACH_SIZE, WARM_UP_SECONDS = 10.0, 5.0, 3.0

_Runs = dict[str, list[Run]]
_Sizes = dict[int, list[tuple[Run, Run]]]  # by clients: each pair with batch size 1 and BATCH_SIZE


def predictions(rounds: int, seconds: float | None) -> str:
    """`seconds` is of one run; the outcome as Markdown."""
    with open_arena() as arena, contestants(arena) as ready:
        for each in ready:
            run(each, _plan(each, WARM_UP_SECONDS, seed=0))
        beside = _beside_peers(ready, rounds, seconds or SECONDS)
        sizes = _with_and_without_batches(ready[0], rounds, seconds or SECONDS_OF_EACH_SIZE)
        overloads = _overloaded(ready[0], beside, rounds, seconds or SECONDS)
    tables = _of_peers(beside), _of_sizes(sizes), _of_overloads(overloads)
    return "\n\n".join([f"{versions()}.", *tables, _verdicts(beside, sizes, overloads)])


def _plan(contestant: Contestant, seconds: float, seed: int) -> Plan:
    return Plan(contestant.port, contestant.prefix, CLIENTS, BATCH_SIZE, seconds, seed=seed)


def _beside_peers(ready: Sequence[Contestant], rounds: int, seconds: float) -> _Runs:
    runs: _Runs = defaultdict(list)
    for seed in range(1, rounds + 1):
        for each in ready:
            done = run(each, _plan(each, seconds, seed))
            runs[each.name].append(done)
            print(f"  {each.name}: {done.load.texts_per_second:.0f} texts/s", flush=True)
    return runs


def _with_and_without_batches(ours: Contestant, rounds: int, seconds: float) -> _Sizes:
    pairs: _Sizes = defaultdict(list)
    for seed in range(1, rounds + 1):
        for clients in MORE_OR_FEWER_CLIENTS:
            plan = replace(_plan(ours, seconds, seed), clients=clients)
            # Each goes first in turn: the second one finds the machine as the first one left it.
            order = (1, BATCH_SIZE) if seed % 2 else (BATCH_SIZE, 1)
            done = {size: run(ours, replace(plan, batch_size=size)) for size in order}
            pair = done[1], done[BATCH_SIZE]
            pairs[clients].append(pair)
            print(f"  {clients} clients: {_gain(pair):.2f} × batch 1", flush=True)
    return pairs


def _overloaded(ours: Contestant, beside: _Runs, rounds: int, seconds: float) -> list[Overload]:
    capacity = median(each.load.texts_per_second for each in beside[OURS.name])
    requests_per_second = TIMES_TOO_MUCH * capacity / TEXTS_OF_EACH
    return [
        run_overload(OverloadPlan(ours.port, requests_per_second, seconds, seed))
        for seed in range(1, rounds + 1)
    ]


def _of_peers(beside: _Runs) -> str:
    head = ["32 clients, one text each", "texts/s", "ours is", "min … max", "p50, ms", "p99, ms"]
    head += ["CPU per text, ms", f"`GET /health`, {HEALTH_PER_SECOND}/s: p50, ms", "p99, ms"]
    head += ["min … max", "stalls", "generator late, p99, ms"]
    return table(head, [_peer_row(name, beside) for name in beside])


def _peer_row(name: str, beside: _Runs) -> list[str]:
    runs, times = beside[name], _times(beside, name)
    health = [each.load.health_p99 for each in runs]
    return [
        name,
        _median(runs, lambda each: each.load.texts_per_second, ".0f"),
        "–" if name == OURS.name else f"{median(times):.1f} ×",
        "–" if name == OURS.name else _range(times),
        _median(runs, lambda each: each.load.p50, ".0f"),
        _median(runs, lambda each: each.load.p99, ".0f"),
        _median(runs, lambda each: each.cpu_ms, ".1f"),
        _median(runs, lambda each: each.load.health_p50, ".1f"),
        f"{median(health):.1f}",
        _range(health),
        str(sum(each.stalls for each in runs)) if name == OURS.name else "–",
        _median(runs, lambda each: each.load.lateness_p99, ".1f"),
    ]


def _of_sizes(sizes: _Sizes) -> str:
    head = ["clients, one text each", "texts/s, `batch_size` 1", f"`batch_size` {BATCH_SIZE}"]
    head += ["ratio", "min … max", "texts per chunk", "p99, ms", "… with `batch_size` 1"]
    return table(head, [_size_row(clients, pairs) for clients, pairs in sizes.items()])


def _size_row(clients: int, pairs: Sequence[tuple[Run, Run]]) -> list[str]:
    alone, batched = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    gains = [_gain(pair) for pair in pairs]
    return [
        str(clients),
        _median(alone, lambda each: each.load.texts_per_second, ".0f"),
        _median(batched, lambda each: each.load.texts_per_second, ".0f"),
        f"{median(gains):.2f}",
        _range(gains, ".2f"),
        _median(batched, lambda each: each.texts_per_chunk, ".1f"),
        _median(batched, lambda each: each.load.p99, ".0f"),
        _median(alone, lambda each: each.load.p99, ".0f"),
    ]


def _of_overloads(overloads: Sequence[Overload]) -> str:
    head = [f"ten times too much, {TEXTS_OF_EACH} texts each", "asked", "200", "429", "others"]
    head += ["200: p99, ms", "429: p50, ms", "p99, ms", "generator late, p99, ms"]
    rows = [
        [
            f"round {number}",
            str(each.asked),
            str(each.answered),
            str(each.refused),
            str(sum(each.others.values())),
            f"{each.answered_p99:.0f}",
            f"{each.refused_p50:.1f}",
            f"{each.refused_p99:.1f}",
            f"{each.lateness_p99:.1f}",
        ]
        for number, each in enumerate(overloads, 1)
    ]
    return table(head, rows)


def _verdicts(beside: _Runs, sizes: _Sizes, overloads: Sequence[Overload]) -> str:
    times = median(_times(beside, NAMED_PEER))
    health = median(each.load.health_p99 for each in beside[OURS.name])
    least = min(
        (median(map(_gain, pairs)) for pairs in sizes.values() if _has_batches(pairs)),
        default=float("nan"),
    )
    of_sizes = [each for pairs in sizes.values() for pair in pairs for each in pair]
    stalls = sum(each.stalls for each in [*beside[OURS.name], *of_sizes])
    failed = sum(sum(each.load.errors.values()) for each in [*beside[OURS.name], *of_sizes])
    refused = median(each.refused_p99 for each in overloads)
    others = sum(sum(each.others.values()) for each in overloads)
    rows = [
        verdict("texts/s, times the named peer's", times, "≥ 6", times >= TIMES_PEER),
        verdict("`GET /health`, p99, ms", health, "≤ 15", health <= HEALTH_LIMIT_MS),
        verdict("stalls, in all runs", stalls, "0", stalls == 0),
        verdict("requests not answered, in all runs", failed, "0", failed == 0),
        verdict(
            "least gain where texts were batched, times batch 1",
            least,
            "≥ 1 (± 3 %)",
            least >= 1 - NOISE,
        ),
        verdict("a refusal under overload, p99, ms", refused, "≤ 20", refused <= REFUSAL_LIMIT_MS),
        verdict("neither 200 nor 429 under overload", others, "0", others == 0),
    ]
    return table(["", "ours", "criterion", "holds"], rows)


def _times(beside: _Runs, name: str) -> list[float]:
    """How many times as fast we are, round by round."""
    return [
        ours.load.texts_per_second / theirs.load.texts_per_second
        for ours, theirs in zip(beside[OURS.name], beside[name], strict=True)
    ]


def _gain(pair: tuple[Run, Run]) -> float:
    alone, batched = pair
    return batched.load.texts_per_second / alone.load.texts_per_second


def _has_batches(pairs: Sequence[tuple[Run, Run]]) -> bool:
    """Else both runs of each pair did the very same, and their ratio is noise."""
    return median(batched.texts_per_chunk for _, batched in pairs) > 1


def _median(runs: Sequence[Run], of: Callable[[Run], float], how: str) -> str:
    return f"{median(map(of, runs)):{how}}"


def _range(values: Sequence[float], how: str = ".1f") -> str:
    return f"{min(values):{how}} … {max(values):{how}}"
