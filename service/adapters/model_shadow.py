"""A candidate is asked what the current version is asked, and its answers are only compared."""

import time
from collections.abc import Sequence

from service.adapters.model_loading import LoadedModel
from service.background import Background
from service.metrics import ModelMetrics
from service.predictions.domain import (
    DeadlineExceededError,
    Inference,
    Lane,
    Manifest,
    ModelInputError,
    ModelUnavailableError,
    QueueFullError,
    Row,
)

_PATIENCE_SECONDS = 30.0


class ShadowedModel:
    """Answers as the current version does; the candidate's work begins after that."""

    def __init__(
        self,
        current: LoadedModel,
        candidate: LoadedModel,
        background: Background,
        metrics: ModelMetrics,
    ) -> None:
        self._current, self._candidate = current, candidate
        self._background = background
        self._metrics = metrics

    @property
    def manifest(self) -> Manifest:
        """The current version's."""
        return self._current.manifest

    def asset(self, name: str) -> bytes:
        """The current version's."""
        return self._current.asset(name)

    def check_room(self, rows: int, lane: Lane = Lane.REQUEST) -> None:
        """The current version's."""
        self._current.check_room(rows, lane)

    async def infer(
        self,
        rows: Sequence[Row],
        *,
        deadline: float,
        lane: Lane = Lane.REQUEST,
        most_in_chunk: int | None = None,
    ) -> Inference:
        """As `ports.Model` says."""
        inference = await self._current.infer(
            rows, deadline=deadline, lane=lane, most_in_chunk=most_in_chunk
        )
        self._background.start(self._compare(rows, inference), name="shadow_inference")
        return inference

    async def _compare(self, rows: Sequence[Row], expected: Inference) -> None:
        agreed = await self._agreed(rows, expected)
        if agreed is None:
            self._count("failed", len(rows))
        else:
            self._count("agreed", agreed)
            self._count("disagreed", len(rows) - agreed)

    async def _agreed(self, rows: Sequence[Row], expected: Inference) -> int | None:
        """How many rows have the same label; None where there is nothing to compare."""
        if not self._candidate.reads_like(self._current):
            return None
        try:
            inference = await self._candidate.infer(
                rows, deadline=time.monotonic() + _PATIENCE_SECONDS, lane=Lane.BACKGROUND
            )
        except (ModelInputError, QueueFullError, DeadlineExceededError, ModelUnavailableError):
            return None
        pairs = zip(
            _labels(inference, self._candidate), _labels(expected, self._current), strict=True
        )
        return sum(own == other for own, other in pairs)

    def _count(self, outcome: str, rows: int) -> None:
        manifest = self._candidate.manifest
        self._metrics.shadow_rows.labels(manifest.name, manifest.version, outcome).inc(rows)


def _labels(inference: Inference, model: LoadedModel) -> list[str]:
    return [model.manifest.labels[best] for best in inference.probabilities.argmax(axis=1)]
