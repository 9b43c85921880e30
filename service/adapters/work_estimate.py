"""How long a model will take: learnt from how long it took, for inputs of each size."""

from dataclasses import dataclass
from math import ceil, log

# Inputs whose sizes differ by less than this factor are of one kind, and may share a chunk.
_SPREAD = 1.5
_NEWS = 0.2  # the weight of the latest time
_MOST_NEWS = 4.0  # one time in which the process was stopped says nothing about the model


def kind_of(size: int) -> int:
    """The class of inputs with `size` elements; the classes are ordered."""
    return ceil(log(size, _SPREAD))


@dataclass(frozen=True, slots=True)
class _Pace:
    """Seconds per element."""

    usual: float
    best: float


class WorkEstimate:
    """Seconds that a model needs, by the kind of its inputs and the elements in all of them."""

    def __init__(self) -> None:
        self._paces: dict[int, _Pace] = {}

    def learn(self, kind: int, elements: int, seconds: float) -> None:
        """Take note of how long it took."""
        new = seconds / elements
        known = self._nearest(kind) if self._paces else _Pace(new, new)
        weight = _NEWS if kind in self._paces else 1.0
        usual = known.usual + weight * (min(new, _MOST_NEWS * known.usual) - known.usual)
        self._paces[kind] = _Pace(usual, min(new, known.best))

    def seconds(self, kind: int, elements: int) -> float:
        """As long as it usually takes; a kind never seen is taken for the nearest that was."""
        return self._nearest(kind).usual * elements

    def best_seconds(self, kind: int, elements: int) -> float:
        """As long as it took when nothing else held it up."""
        return self._nearest(kind).best * elements

    def _nearest(self, kind: int) -> _Pace:
        if kind not in self._paces:
            kind = min(self._paces, key=lambda known: abs(known - kind))
        return self._paces[kind]
