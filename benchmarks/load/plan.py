"""What one run shall do, handed to the generator's process as JSON."""

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

Ids = Literal["one", "zipf", "cycle"]


@dataclass(frozen=True)
class Plan:
    """One run; `rate` in requests per second, None for a closed loop that never pauses.

    `ids`: `one` product, `zipf` over `products` (exponent 1), or a `cycle` through all of them,
    in which each is asked for as rarely as can be.
    """

    port: int
    connections: int
    seconds: float
    rate: float | None = None
    ids: Ids = "one"
    products: int = 1000
    warmup_seconds: float = 0.0
    grace_seconds: float = 10.0
    seed: int = 1

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        return cls(**json.loads(text))

    def arrivals(self) -> list[float]:
        """Seconds from the start at which users come: independent of each other (Poisson)."""
        if self.rate is None:
            return []
        draw = random.Random(self.seed)
        gaps = iter(lambda: draw.expovariate(self.rate or 1), None)
        times = itertools.accumulate(gaps)
        return list(itertools.takewhile(lambda at: at < self.seconds, times))

    def product_ids(self) -> Iterator[int]:
        """An endless sequence of product ids, the same for the same seed."""
        if self.ids == "one":
            return itertools.repeat(1)
        if self.ids == "cycle":
            offset = self.seed * 997 % self.products
            return (1 + (offset + step) % self.products for step in itertools.count())
        return self._zipf()

    def _zipf(self) -> Iterator[int]:
        draw = random.Random(self.seed)
        ranks = range(1, self.products + 1)
        weights = list(itertools.accumulate(1 / rank for rank in ranks))
        while True:
            yield from draw.choices(ranks, cum_weights=weights, k=4096)
