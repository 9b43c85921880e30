"""What the benchmark has measured, in measured.json: all that docs/scaling.md stands on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("measured.json")

# An answer from a replica's own memory, from Valkey, from the sources; a row; a text.
CACHED, SHARED, UNCACHED = "cached", "shared", "uncached"
TABULAR, SENTIMENT = "tabular", "sentiment"

Figures = dict[str, float]


@dataclass(frozen=True)
class Work:
    """One kind of answer for the simulation, at an easy rate, one replica.

    CPU time of the replica, and what else an answer took: the 200-quantiles of its latency without
    that CPU time.
    """

    cpu_ms: float
    delays_ms: list[float]


@dataclass(frozen=True)
class Check:
    """One number of replicas: what came of a load, and what the simulation had said."""

    replicas: int
    measured_p50_ms: float
    measured_p99_ms: float
    simulated_p50_ms: float
    simulated_p99_ms: float
    p99_least_ms: float
    p99_most_ms: float


@dataclass(frozen=True)
class Trial:
    """The load of the checks: who came, and how busy the replicas' core was."""

    rate: float
    seconds: float
    rounds: int
    core_busy_ratio: float
    checks: list[Check]


@dataclass(frozen=True)
class Measured:
    """Figures by kind of answer; `cpu_us` also by the number of replicas. Bytes are on the wire."""

    where: str
    cpu_us: dict[str, Figures]
    idle_cpu_ratio: float
    invalidation_us: float
    answer_bytes: Figures
    log_bytes: Figures
    valkey_commands: Figures
    valkey_bytes: Figures
    spans: Figures
    span_bytes: Figures
    connections: Figures
    memory_mb: Figures
    query_ms: float
    scrape: Figures
    work: dict[str, Work]
    trial: Trial | None = None

    def save(self, file: Path = FILE) -> None:
        """As JSON."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, file: Path = FILE) -> "Measured":
        """What was saved. Raises OSError when nothing was."""
        found: dict[str, Any] = json.loads(file.read_text())
        work = {kind: Work(**each) for kind, each in found.pop("work").items()}
        trial = found.pop("trial")
        if trial is not None:
            checks = [Check(**each) for each in trial.pop("checks")]
            trial = Trial(**trial, checks=checks)
        return cls(**found, work=work, trial=trial)
