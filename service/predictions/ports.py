"""What the predictor needs of the world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from service.predictions.domain import EncodedText, Inference, Lane, Manifest, Picture, Row


class Model(Protocol):
    """One version of a model, as it was chosen for a request; it answers until the request ends,
    whatever is swapped meanwhile."""

    @property
    def manifest(self) -> Manifest:
        """What it says of itself."""

    def asset(self, name: str) -> bytes:
        """A file of the model other than its weights, as it was verified when it was loaded."""

    def check_room(self, rows: int, lane: Lane = Lane.REQUEST) -> None:
        """Raise QueueFullError if so many rows would find no place: before they are prepared."""

    async def infer(
        self,
        rows: Sequence[Row],
        *,
        deadline: float,
        lane: Lane = Lane.REQUEST,
        most_in_chunk: int | None = None,
    ) -> Inference:
        """Compute all rows, in chunks of at most `most_in_chunk`; cancelled, it is not computed.

        `deadline` is a reading of `time.monotonic()`. Raises ModelInputError, QueueFullError at
        once, DeadlineExceededError, ModelUnavailableError.
        """


@dataclass(frozen=True, slots=True)
class VersionState:
    """Where a version of a model is; `fault` says why it is not loaded."""

    manifest: Manifest | None
    version: str
    role: str  # "current", "candidate", "previous", "available", "loading" or "refused"
    fault: str | None = None


class Runtime(Protocol):
    """The models that serve."""

    def choose(self, name: str, version: str | None = None) -> Model:
        """The model in this version; without one the current version, or now and then its canary.

        Raises ModelNotFoundError, ModelNotLoadedError.
        """

    def faults(self) -> Mapping[str, str]:
        """The models that the service needs and that do not serve, with the reason."""

    async def reload(self) -> None:
        """Load what is new or changed, beside what serves. Nothing that serves is given up."""

    def promote(self, name: str) -> None:
        """Have the candidate answer everybody. Raises DeploymentError, ModelNotFoundError."""

    def rollback(self, name: str) -> None:
        """Drop the candidate; without one, go back to the previous version, at once.

        Raises DeploymentError, ModelNotFoundError.
        """

    def states(self) -> Mapping[str, Sequence[VersionState]]:
        """Every model that there is or should be, by name, with its versions, the newest first."""


class Texts(Protocol):
    """Turns texts into rows, off the event loop."""

    async def encode(self, model: Model, texts: Sequence[str]) -> Sequence[EncodedText]:
        """As this model reads them. Raises QueueFullError when too many others are at it."""


class Images(Protocol):
    """Turns uploads into pictures, off the event loop."""

    async def decode(self, body: bytes) -> Picture:
        """Raises UnreadableImageError, ImageTooLargeError, QueueFullError."""


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """A row of the prediction log, which keeps `raw_input` only where a setting says so."""

    at: datetime
    model: str
    version: str
    input_sha256: bytes
    output: Mapping[str, Any]
    confidence: float
    latency_seconds: float
    request_id: str
    trace_id: str | None
    raw_input: bytes | None = None


class PredictionLog(Protocol):
    """Remembers what was answered."""

    def append(self, prediction: LoggedPrediction) -> None:
        """Take it and return at once; what cannot be kept is counted."""
