"""What came of a run's requests, and how well the generator itself kept time."""

import json
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

# A request sent this much later than appointed by the generator's own fault is its saturation.
TOLERATED_LATENESS_MS = 20.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie; not a number without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Result:
    """One run in figures; times in milliseconds, `answered` counts the warm-up too."""

    answered: int
    measured: int
    achieved_rate: float
    p50: float
    p90: float
    p99: float
    max: float
    errors: dict[str, int]
    lateness_p99: float
    generator_cpu_share: float

    @property
    def error_count(self) -> int:
        return sum(self.errors.values())

    @property
    def generator_saturated(self) -> bool:
        return self.lateness_p99 > TOLERATED_LATENESS_MS or self.generator_cpu_share > 0.9

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Result":
        return cls(**json.loads(text))


@dataclass
class Tally:
    """Collects while the run lasts."""

    warmup_seconds: float
    latencies: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    answered: int = 0

    def answer(self, appointed: float, seconds: float) -> None:
        """One good answer; `appointed` counts from the run's start."""
        self.answered += 1
        if appointed >= self.warmup_seconds:
            self.latencies.append(seconds * 1000)

    def result(self, elapsed_seconds: float, wall_seconds: float) -> Result:
        """Sum up; `elapsed_seconds` without warm-up and grace."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        times = self.latencies
        return Result(
            answered=self.answered,
            measured=len(times),
            achieved_rate=len(times) / elapsed_seconds,
            p50=percentile(times, 0.50),
            p90=percentile(times, 0.90),
            p99=percentile(times, 0.99),
            max=max(times, default=float("nan")),
            errors=dict(self.errors),
            lateness_p99=percentile(self.lateness, 0.99) if self.lateness else 0.0,
            generator_cpu_share=(usage.ru_utime + usage.ru_stime) / wall_seconds,
        )
