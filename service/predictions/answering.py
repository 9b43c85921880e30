"""From a model's numbers to answers, and to what is to be said of their worth (pure)."""

from collections.abc import Sequence

import numpy as np

from service.predictions.domain import (
    UNSURE,
    EncodedText,
    Feature,
    Inference,
    Manifest,
    Prediction,
)

MOST_UNKNOWN = 0.45  # share of words; above it a text is hardly one in the model's language


def answers_of(inference: Inference, labels: Sequence[str]) -> list[Prediction]:
    """The likeliest label of each row, with its probability."""
    return [
        Prediction(labels[best], float(row[best]), dict(zip(labels, row.tolist(), strict=True)))
        for row, best in zip(
            inference.probabilities, np.argmax(inference.probabilities, axis=1), strict=True
        )
    ]


def picture_answer(inference: Inference, manifest: Manifest) -> Prediction:
    """The only row's answer: `unsure` where its energy is above what products have."""
    (answer,) = answers_of(inference, manifest.labels)
    limit = manifest.energy_limit
    if limit is not None and inference.outputs["energy"][0] > limit:
        return answer.as_label(UNSURE)
    return answer


def range_warnings(values: Sequence[float], features: Sequence[Feature]) -> tuple[str, ...]:
    """One for each value that lies outside of what the model has seen."""
    return tuple(
        f"{feature.name}: {value:g} is outside of the training data, "
        f"{feature.low:g} to {feature.high:g}."
        for value, feature in zip(values, features, strict=True)
        if not feature.low <= value <= feature.high
    )


def text_warnings(text: EncodedText, manifest: Manifest) -> tuple[str, ...]:
    """Why a text may have been misread."""
    warnings = []
    if text.truncated:
        warnings.append(f"Only the first {manifest.max_tokens} tokens were read.")
    if text.unknown_share > MOST_UNKNOWN:
        warnings.append("Most of its words are unknown to the model: is it English?")
    return tuple(warnings)
