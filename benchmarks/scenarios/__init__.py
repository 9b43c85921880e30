"""The questions the benchmark asks, one per file; each gives rows of the table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arena import PRODUCTS, Arena
from benchmarks.contestants import Contestant
from benchmarks.load.plan import Ids
from benchmarks.measure import Measure

# As far away as the demo's stand-ins: near, so that threads are not what limits the peers.
UPSTREAM_MS = 20.0
CONNECTIONS = 1000
HOT_PRODUCTS = 1000


@dataclass(frozen=True)
class Setup:
    """Who takes part, and for how long; `seconds` None: as long as the scenario finds right."""

    arena: Arena
    contestants: Sequence[Contestant]
    rounds: int
    seconds: float | None

    def variant(self, *, cached: bool) -> list[Contestant]:
        """Those who have such a variant."""
        return [each for each in self.contestants if not cached or each.cached is not None]


def mix(*, cached: bool) -> tuple[Ids, int]:
    """Which products are asked for: the hot ones, or each as rarely as can be."""
    return ("zipf", HOT_PRODUCTS) if cached else ("cycle", PRODUCTS)


Scenario = Callable[[Setup], list[Measure]]
Scenarios = Mapping[str, Scenario]
