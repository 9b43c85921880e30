"""In-memory implementations of the predictions' ports, which fail and hang when told to."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from service.lifespan import ModelAdapters
from service.predictions.domain import (
    IMAGE,
    SENTIMENT,
    TABULAR,
    DeploymentError,
    Distribution,
    EncodedText,
    Feature,
    Inference,
    Lane,
    Manifest,
    ModelNotFoundError,
    Picture,
    QueueFullError,
    Row,
    UnreadableImageError,
)
from service.predictions.ports import LoggedPrediction, Model, VersionState
from service.predictions.predictor import Preparation

FEATURES = tuple(Feature(f"mean feature {number}", 0.0, 100.0) for number in range(10))


def a_manifest(name: str = TABULAR, **changes: Any) -> Manifest:
    """What a small model says of itself, with `changes`."""
    manifest = Manifest(
        name=name,
        version="v1.0",
        task="tabular_classification",
        description="Made up.",
        labels=("Bag", "Sneaker") if name == IMAGE else ("negative", "positive"),
        inputs=(),
        outputs=(),
        files={},
        metrics={"accuracy": 0.9},
        measured_on="nothing",
        trained_on="nothing",
        self_test=(),
        tolerance=0.01,
        batch_tolerance=0.01,
        confidence_distribution=Distribution((0.5, 1.0), (1.0,)),
        features=FEATURES if name == TABULAR else (),
        max_tokens=4 if name == SENTIMENT else None,
        energy_limit=0.0 if name == IMAGE else None,
    )
    return replace(manifest, **changes)


@dataclass
class FakeModel:
    """Gives the last label the same probability for every row."""

    manifest: Manifest
    probability: float = 0.9
    energy: float = -1.0
    error: Exception | None = None
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    cancelled: bool = False
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    hangs: bool = False

    def asset(self, name: str) -> bytes:
        """Nothing."""
        return b""

    def check_room(self, rows: int, lane: Lane = Lane.REQUEST) -> None:
        """There is room unless a test says that the queue is full."""
        if isinstance(self.error, QueueFullError):
            raise self.error

    async def infer(
        self,
        rows: Sequence[Row],
        *,
        deadline: float,
        lane: Lane = Lane.REQUEST,
        most_in_chunk: int | None = None,
    ) -> Inference:
        """Rows to the probability that is set."""
        self.asked.append({"rows": rows, "lane": lane, "most_in_chunk": most_in_chunk})
        if self.hangs:
            try:
                await self._open.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        if self.error is not None:
            raise self.error
        other = 1 - self.probability
        outputs = {
            "probabilities": np.array([[other, self.probability]] * len(rows), dtype=np.float32),
            "energy": np.array([self.energy] * len(rows), dtype=np.float32),
        }
        return Inference(outputs, queue_seconds=0.001, model_seconds=0.002)


class FakeRuntime:
    """One version of each model; `refuse` makes choosing fail."""

    def __init__(self) -> None:
        self.models = {name: FakeModel(a_manifest(name)) for name in (TABULAR, SENTIMENT, IMAGE)}
        self.refusal: Exception | None = None
        self.not_serving: dict[str, str] = {}
        self.changes: list[str] = []

    def choose(self, name: str, version: str | None = None) -> FakeModel:
        """The only version."""
        if self.refusal is not None:
            raise self.refusal
        model = self.models[name]
        if version not in (None, model.manifest.version):
            raise ModelNotFoundError(f"{name} has no version {version}, but v1.0.")
        return model

    def faults(self) -> Mapping[str, str]:
        """What a test has set."""
        return self.not_serving

    async def reload(self) -> None:
        """Note that it was asked for."""
        self.changes.append("reload")

    def promote(self, name: str) -> None:
        """Note that it was asked for."""
        self._model_named(name)
        self.changes.append(f"promote {name}")

    def rollback(self, name: str) -> None:
        """There is nothing to go back to."""
        self._model_named(name)
        raise DeploymentError(f"{name} has no other version.")

    def states(self) -> Mapping[str, Sequence[VersionState]]:
        """All current, except what does not serve."""
        return {
            name: [
                VersionState(None, "v1.0", "refused", self.not_serving[name])
                if name in self.not_serving
                else VersionState(model.manifest, "v1.0", "current")
            ]
            for name, model in self.models.items()
        }

    def _model_named(self, name: str) -> None:
        if name not in self.models:
            raise ModelNotFoundError(f"There is no model {name}.")


class FakeTexts:
    """A token per letter; words in capitals are unknown."""

    async def encode(self, model: Model, texts: Sequence[str]) -> Sequence[EncodedText]:
        """As long as the model reads."""
        most = model.manifest.max_tokens or 0
        return [
            EncodedText(
                {"input_ids": np.ones(min(len(text), most), dtype=np.int64)},
                tokens=min(len(text), most),
                unknown_share=float(text.isupper()),
                truncated=len(text) > most,
            )
            for text in texts
        ]


class FakeImages:
    """Every body that begins with `picture` is one."""

    async def decode(self, body: bytes) -> Picture:
        """32 × 16."""
        if not body.startswith(b"picture"):
            raise UnreadableImageError("It is no picture.")
        digest = hashlib.sha256(body).digest()
        return Picture(32, 16, np.zeros((1, 28, 28), dtype=np.float32), digest)


@dataclass
class FakePredictionLog:
    """Keeps all in memory."""

    rows: list[LoggedPrediction] = field(default_factory=list)

    def append(self, prediction: LoggedPrediction) -> None:
        """Keep it."""
        self.rows.append(prediction)


@dataclass
class FakeModels:
    """One of each, and what `open_fake_adapters` makes of them."""

    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    log: FakePredictionLog = field(default_factory=FakePredictionLog)

    @property
    def adapters(self) -> ModelAdapters:
        """What the application gets."""
        return ModelAdapters(self.runtime, Preparation(FakeTexts(), FakeImages()), self.log)
