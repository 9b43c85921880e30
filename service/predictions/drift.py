"""Whether a model is still asked what it was made for, told from how sure it is."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence

from service.metrics import ModelMetrics
from service.predictions.domain import Distribution, Manifest

WINDOW = 1000
# Of fewer answers chance alone makes an index of 0.05 and more, with ten bins.
FEWEST = 200
# What an empty bin counts as, lest a single answer make the index infinite.
_SMALLEST_SHARE = 1e-4


def psi(expected: Sequence[float], observed_counts: Sequence[int]) -> float:
    """Population stability index: 0 for the same shares; above 0.1 they moved, above 0.25 a lot."""
    total = sum(observed_counts)
    return sum(
        (observed - share) * math.log(observed / share)
        for observed, share in (
            (max(count / total, _SMALLEST_SHARE), max(share, _SMALLEST_SHARE))
            for count, share in zip(observed_counts, expected, strict=True)
        )
    )


class Window:
    """How the last values spread over the bins of a distribution."""

    def __init__(self, expected: Distribution) -> None:
        self.expected = expected
        self._inner_edges = expected.edges[1:-1]
        self._bins: deque[int] = deque()
        self._counts = [0] * len(expected.shares)

    def add(self, value: float) -> None:
        """Count it, and forget the one that is WINDOW values older; O(log of bins)."""
        place = bisect_right(self._inner_edges, value)
        self._counts[place] += 1
        self._bins.append(place)
        if len(self._bins) > WINDOW:
            self._counts[self._bins.popleft()] -= 1

    def psi(self) -> float:
        """Against the distribution; NaN below FEWEST values. May be called from any thread."""
        counts = tuple(self._counts)
        return psi(self.expected.shares, counts) if sum(counts) >= FEWEST else math.nan


class DriftMonitor:
    """Watches the confidence of each version of each model, and shows it as `ml_drift_psi`."""

    def __init__(self, metrics: ModelMetrics) -> None:
        self._metrics = metrics
        self._windows: dict[tuple[str, str], Window] = {}

    def observe(self, manifest: Manifest, confidences: Iterable[float]) -> None:
        """Count answers of a model; costs less than a microsecond each."""
        window = self._windows.get((manifest.name, manifest.version))
        if window is None or window.expected != manifest.confidence_distribution:
            window = self._begin(manifest)
        for confidence in confidences:
            window.add(confidence)

    def _begin(self, manifest: Manifest) -> Window:
        window = Window(manifest.confidence_distribution)
        self._windows[manifest.name, manifest.version] = window
        # Computed when somebody looks: a scrape is rarer than an answer.
        self._metrics.drift.labels(manifest.name, manifest.version).set_function(window.psi)
        return window
