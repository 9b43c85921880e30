"""Are a model's probabilities to be believed? One temperature mends them, two figures show it.

Everything here takes plain arrays, so that it serves every model, whatever made it.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Labels: TypeAlias = NDArray[np.integer[Any]]

SHARPEST, FLATTEST = 100.0, 0.01  # bounds of 1 / temperature
HALVINGS = 60


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis, in float64 and safe from overflow."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def temperature_of(logits: Floats, labels: Labels) -> float:
    """The number to divide logits by so that the labels become likeliest (Guo et al., 2017).

    The likelihood is concave in 1 / temperature, so its slope is bisected. Logits that rank
    every label first have no best temperature; they get a small one.
    """
    truth = logits[np.arange(len(labels)), labels]
    flat, sharp = FLATTEST, SHARPEST
    for _ in range(HALVINGS):
        middle = (flat + sharp) / 2
        expected = (softmax(logits * middle) * logits).sum(axis=1)
        if expected.mean() < truth.mean():
            flat = middle
        else:
            sharp = middle
    return float(2 / (flat + sharp))


def expected_calibration_error(probabilities: Floats, labels: Labels, bins: int = 15) -> float:
    """Mean distance between confidence and accuracy, over bins of equal width weighted by size."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def confidence_distribution(
    probabilities: Floats, bins: int = 10, low: float | None = None
) -> dict[str, list[float]]:
    """Which share of the answers was given with which confidence: what drift is measured against.

    The bins span `low` to 1; by default `low` is 1 / classes, below which no answer's
    probability can lie.
    """
    floor = 1 / probabilities.shape[1] if low is None else low
    edges = np.linspace(floor, 1.0, bins + 1)
    confidence = np.clip(probabilities.max(axis=1), floor, 1.0)
    counts, _ = np.histogram(confidence, edges)
    return {
        "edges": [round(float(edge), 6) for edge in edges],
        "shares": [round(float(share), 6) for share in counts / len(confidence)],
    }
