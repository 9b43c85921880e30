"""One row of the outcome: a quantity, its value per contestant, and what was hoped for."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.contestants import OURS


@dataclass(frozen=True)
class Measure:
    """`values` are medians over the rounds; `holds` is None where there is no criterion."""

    label: str
    values: Mapping[str, float]
    criterion: str = ""
    holds: bool | None = None


@dataclass
class Samples:
    """Collects one quantity over rounds and contestants."""

    label: str
    _seen: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, contestant: str, value: float) -> None:
        self._seen[contestant].append(value)

    def medians(self) -> dict[str, float]:
        return {name: median(values) for name, values in self._seen.items()}

    def ours(self) -> float:
        """Our median; not a number when we did not take part."""
        return self.medians().get(OURS.name, float("nan"))

    def measure(self) -> Measure:
        """A row without a criterion."""
        return Measure(self.label, self.medians())

    def judged(self, criterion: str, holds: bool) -> Measure:
        """A row with one; it judges us alone and only when we took part."""
        took_part = OURS.name in self._seen
        return Measure(self.label, self.medians(), criterion, holds if took_part else None)


def ratio(value: float, reference: float) -> float:
    """Not a number where there is nothing to divide by."""
    return value / reference if reference else float("nan")
