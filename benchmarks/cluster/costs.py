"""What an answer costs at 1, 2 and 3 replicas: CPU time, bytes, log lines, Valkey's work."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from time import monotonic, sleep

import redis

from benchmarks.arena import PRODUCTS
from benchmarks.cluster.asking import Questions, Told, ask
from benchmarks.cluster.measured import CACHED, SENTIMENT, TABULAR, UNCACHED, Figures
from benchmarks.cluster.scene import Scene
from benchmarks.scenarios import HOT_PRODUCTS
from tests.integration.predicting import FEATURES, text_of

_BUSY_CONNECTIONS = 16  # for each replica: as many times the users as replicas
_IDLE_SECONDS = 5.0
_LEARNING_SECONDS, _WARMING_SECONDS = 7.0, 2.0  # the first: a thousand products, 3 ms each, twice

QUESTIONS = {
    CACHED: Questions(0, 0, ids="zipf", products=HOT_PRODUCTS),
    UNCACHED: Questions(0, 0, ids="cycle", products=PRODUCTS),
    TABULAR: Questions(0, 0, path="/predict", body=json.dumps({"features": FEATURES})),
    SENTIMENT: Questions(
        0, 0, path="/predict/sentiment", body=json.dumps({"texts": [text_of(12)]})
    ),
}


@dataclass
class Costs:
    """Per answer, by kind; `cpu_us` also by the number of replicas."""

    cpu_us: dict[str, Figures] = field(default_factory=dict)
    answer_bytes: Figures = field(default_factory=dict)
    log_bytes: Figures = field(default_factory=dict)
    valkey_commands: Figures = field(default_factory=dict)
    valkey_bytes: Figures = field(default_factory=dict)


def costs(scene: Scene, rounds: int, seconds: float) -> Costs:
    """Numbers of replicas take turns; what others have to do is noted of one replica's answers."""
    found = Costs()
    for kind in QUESTIONS:
        warm(scene, kind)
        seen: dict[int, list[float]] = defaultdict(list)
        for turn in range(rounds):
            for number in range(1, len(scene.replicas) + 1):
                before = _counts(scene)
                cpu_us, answered = at_full_load(scene, kind, number, seconds, turn + 1)
                seen[number].append(cpu_us)
                if number == 1:
                    sleep(0.5)  # the log is written a little later
                    _note(found, kind, before, _counts(scene), answered)
        found.cpu_us[kind] = {str(number): median(each) for number, each in seen.items()}
    return found


def at_full_load(
    scene: Scene, kind: str, number: int, seconds: float, seed: int = 1
) -> tuple[float, int]:
    """CPU time per answer in µs, with the replicas' core full; and how many answers."""
    if kind == UNCACHED:
        scene.arena.empty_cache()
    connections = _BUSY_CONNECTIONS * number
    asked = replace(QUESTIONS[kind], seconds=seconds, connections=connections, seed=seed)
    before = scene.cpu_seconds(number)
    answered = max(1, _ask(scene, number, asked).answered)
    return (scene.cpu_seconds(number) - before) / answered * 1e6, answered


def warm(scene: Scene, kind: str) -> None:
    """Every replica has been asked such questions, and knows all hot products by heart."""
    seconds = _LEARNING_SECONDS if kind == CACHED else _WARMING_SECONDS
    for replica in scene.replicas:
        asked = replace(QUESTIONS[kind], port=replica.place.port, seconds=seconds, connections=16)
        ask(replace(asked, ids="cycle") if kind == CACHED else asked)


def idle_cpu_ratio(scene: Scene) -> float:
    """Of one core, per replica that nobody asks anything."""
    number, began = len(scene.replicas), monotonic()
    before = scene.cpu_seconds(number)
    sleep(_IDLE_SECONDS)
    return (scene.cpu_seconds(number) - before) / (monotonic() - began) / number


def invalidation_us(scene: Scene, idle_ratio: float, seconds: float) -> float:
    """CPU time that it costs a replica when another one has written a product to Valkey."""
    scene.arena.empty_cache()
    number, began = len(scene.replicas), monotonic()
    before = scene.cpu_seconds(number) - scene.cpu_seconds(1)
    asked = replace(QUESTIONS[UNCACHED], seconds=seconds, connections=_BUSY_CONNECTIONS)
    told = _ask(scene, 1, asked)
    spent = (scene.cpu_seconds(number) - scene.cpu_seconds(1) - before) / (number - 1)
    return (spent - idle_ratio * (monotonic() - began)) / max(1, told.answered) * 1e6


def _ask(scene: Scene, replicas: int, questions: Questions) -> Told:
    return ask(replace(questions, port=scene.balancers[replicas - 1].port))


def _note(
    found: Costs, kind: str, before: Sequence[float], after: Sequence[float], answered: int
) -> None:
    per_answer = [(now - then) / answered for then, now in zip(before, after, strict=True)]
    found.answer_bytes[kind], found.log_bytes[kind] = per_answer[:2]
    found.valkey_commands[kind], found.valkey_bytes[kind] = per_answer[2:]


def _counts(scene: Scene) -> tuple[float, float, float, float]:
    sent = scene.balancers[0].metric("haproxy_backend_bytes_out_total", proxy="replicas")
    logged = scene.replicas[0].log.stat().st_size
    with redis.Redis(port=scene.arena.redis_port) as client:
        stats = client.info("stats")
    through = stats["total_net_input_bytes"] + stats["total_net_output_bytes"]
    return sent, logged, stats["total_commands_processed"], through
