"""What is remembered of answers: counts, drift, and a row each in the prediction log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Self

from service.metrics import ModelMetrics
from service.predictions.domain import Manifest, Predictions
from service.predictions.drift import DriftMonitor
from service.predictions.ports import LoggedPrediction, PredictionLog


@dataclass(frozen=True, slots=True)
class Origin:
    """The request that an answer is for."""

    request_id: str
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class Given:
    """An input, and its digest."""

    raw: bytes
    sha256: bytes

    @classmethod
    def of(cls, raw: bytes) -> Self:
        """For what is small enough to be hashed on the event loop."""
        return cls(raw, sha256(raw).digest())


class Journal:
    """Notes every answer."""

    def __init__(self, log: PredictionLog, metrics: ModelMetrics) -> None:
        self._log, self._metrics = log, metrics
        self._drift = DriftMonitor(metrics)

    def note(
        self,
        manifest: Manifest,
        predictions: Predictions,
        inputs: Sequence[Given],
        origin: Origin,
    ) -> None:
        """Take note of the answers to one request; `inputs` in the same order."""
        model = predictions.model, predictions.version
        confidence = self._metrics.confidence.labels(*model)
        latency_seconds = predictions.queue_seconds + predictions.model_seconds
        self._drift.observe(manifest, [answer.confidence for answer in predictions.answers])
        now = datetime.now(UTC)
        for answer, given in zip(predictions.answers, inputs, strict=True):
            self._metrics.predictions.labels(*model, answer.label).inc()
            confidence.observe(answer.confidence)
            self._log.append(
                LoggedPrediction(
                    at=now,
                    model=predictions.model,
                    version=predictions.version,
                    input_sha256=given.sha256,
                    output={"label": answer.label, "probabilities": answer.probabilities},
                    confidence=answer.confidence,
                    latency_seconds=latency_seconds,
                    request_id=origin.request_id,
                    trace_id=origin.trace_id,
                    raw_input=given.raw,
                )
            )
