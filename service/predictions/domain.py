"""What models and predictions are, and the rules of answering with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Row = Mapping[str, Array]  # one input of a model, tensor by tensor, without the batch's dimension

TABULAR = "tabular"
SENTIMENT = "sentiment_analysis"
IMAGE = "image_classification"
MODELS = (TABULAR, SENTIMENT, IMAGE)

# The Open Inference Protocol's words for what a tensor's elements are.
DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}

UNCERTAIN = "uncertain"  # the probability is below what the client asked for
UNSURE = "unsure"  # the picture is nothing that the model has learnt


class ModelNotFoundError(Exception):
    """There is no such model, or not in that version; the message says which there are."""


class ModelNotLoadedError(Exception):
    """The model is being loaded, or could not be."""


class ModelUnavailableError(Exception):
    """The model did not answer: its server is gone, or what it computed is not usable."""


class DeploymentError(Exception):
    """There is nothing to promote, or to go back to."""


class ModelInputError(ValueError):
    """The model takes no such input; the message says what it takes."""


class QueueFullError(Exception):
    """More work waits than can be done in time."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("The model has more work than it can do in time. Try again later.")
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceededError(Exception):
    """The answer did not come in time."""


class UnreadableImageError(Exception):
    """It is no picture of a known kind, or a damaged one; the message says what is wrong."""


class ImageTooLargeError(Exception):
    """The picture has more pixels than are decoded."""


class Lane(IntEnum):
    """Who is served first."""

    REQUEST = 0
    BACKGROUND = 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output in the words of the Open Inference Protocol; -1 is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """What numpy calls its datatype."""
        return DATATYPES[self.datatype]


@dataclass(frozen=True, slots=True)
class Feature:
    """A number that goes into the tabular model, and where it lay in training."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """Shares of values between edges, of which there is one more; the shares add up to 1."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A batch with its answer, by which a loaded model is tested."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model says of itself.

    `files` has the SHA-256 of each file that is read to serve; `tolerance` is how far an output may
    be from that of `self_test`, `batch_tolerance` how far from that of the same input in another
    batch. `confidence_distribution` is that of held-out data.
    """

    name: str
    version: str
    task: str
    description: str
    labels: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    files: Mapping[str, str]
    metrics: Mapping[str, float]
    measured_on: str
    trained_on: str
    self_test: tuple[Example, ...]
    tolerance: float
    batch_tolerance: float
    confidence_distribution: Distribution
    features: tuple[Feature, ...] = ()
    max_tokens: int | None = None
    energy_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """What a model gave for some rows: each output has them on its first axis, in their order."""

    outputs: Mapping[str, Array]
    queue_seconds: float
    model_seconds: float

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(rows, labels), each row adding up to 1."""
        return self.outputs["probabilities"]


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text as a model reads it; `unknown_share` of its words are not in the vocabulary."""

    row: Row
    tokens: int
    unknown_share: float
    truncated: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: its size as displayed, and its pixels as the model takes them.

    `sha256` is that of the upload.
    """

    width: int
    height: int
    pixels: NDArray[np.float32]
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer: a label, or that there is none, with the probability of the likeliest label."""

    label: str
    confidence: float
    probabilities: Mapping[str, float]
    warnings: tuple[str, ...] = ()

    def as_label(self, label: str) -> "Prediction":
        """The same numbers under another label."""
        return replace(self, label=label)

    def unless_below(self, threshold: float | None) -> "Prediction":
        """`uncertain`, if the probability is below the threshold."""
        below = threshold is not None and self.confidence < threshold
        return self.as_label(UNCERTAIN) if below else self


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers to one request, and where its time went."""

    model: str
    version: str
    answers: Sequence[Prediction]
    queue_seconds: float
    model_seconds: float
