"""The use case: inputs to a model, and its probabilities to answers, within the request's time."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np

from service.predictions.answering import (
    answers_of,
    picture_answer,
    range_warnings,
    text_warnings,
)
from service.predictions.domain import (
    IMAGE,
    SENTIMENT,
    TABULAR,
    DeadlineExceededError,
    Inference,
    Lane,
    Picture,
    Prediction,
    Predictions,
)
from service.predictions.journal import Given, Journal, Origin
from service.predictions.ports import Images, Model, Runtime, Texts

_MARGIN_SECONDS = 0.01
# Farther from all that was learnt nothing changes, except that 32-bit floats overflow.
_FARTHEST = 1e6


@dataclass(frozen=True, slots=True)
class Preparation:
    """What turns inputs into rows."""

    texts: Texts
    images: Images


class Predictor:
    """Answers with the models of `runtime`; no request takes longer than `budget_seconds`.

    All methods raise ModelNotFoundError, ModelNotLoadedError, ModelUnavailableError, QueueFullError
    at once, and DeadlineExceededError. Cancelled, what was not begun is not computed.
    """

    def __init__(
        self,
        runtime: Runtime,
        preparation: Preparation,
        journal: Journal,
        *,
        budget_seconds: float,
    ) -> None:
        self._runtime, self._preparation, self._journal = runtime, preparation, journal
        self._budget_seconds = budget_seconds

    async def classify_features(
        self,
        features: Sequence[float],
        *,
        version: str,
        confidence_threshold: float | None,
        origin: Origin,
    ) -> Predictions:
        """One answer; `uncertain` below the threshold."""
        model = self._runtime.choose(TABULAR, version)
        values = np.minimum(features, _FARTHEST).astype(np.float32)
        async with self._in_time() as deadline:
            inference = await model.infer([{"features": values}], deadline=deadline)
        (answer,) = answers_of(inference, model.manifest.labels)
        answer = answer.unless_below(confidence_threshold)
        answer = replace(answer, warnings=range_warnings(features, model.manifest.features))
        raw = np.array(features, dtype=np.float64).tobytes()
        return self._noted(model, inference, [answer], [Given.of(raw)], origin)

    async def classify_texts(
        self, texts: Sequence[str], *, most_in_chunk: int, origin: Origin
    ) -> Predictions:
        """One answer per text, in their order."""
        model = self._runtime.choose(SENTIMENT)
        inference, answers = await self._read(model, texts, Lane.REQUEST, most_in_chunk)
        return self._noted(
            model, inference, answers, [Given.of(text.encode()) for text in texts], origin
        )

    async def opinions(
        self, texts: Sequence[str], *, within_seconds: float
    ) -> Sequence[Prediction]:
        """One answer per text, after everybody who waits for theirs; nothing is noted."""
        model = self._runtime.choose(SENTIMENT)
        _, answers = await self._read(model, texts, Lane.BACKGROUND, None, within_seconds)
        return answers

    async def classify_image(self, body: bytes, *, origin: Origin) -> tuple[Picture, Predictions]:
        """One answer; `unsure` for what is nothing that the model has learnt.

        Raises UnreadableImageError and ImageTooLargeError, too.
        """
        model = self._runtime.choose(IMAGE)
        model.check_room(1)
        async with self._in_time() as deadline:
            picture = await self._preparation.images.decode(body)
            inference = await model.infer([{"pixels": picture.pixels}], deadline=deadline)
        answer = picture_answer(inference, model.manifest)
        given = Given(body, picture.sha256)
        return picture, self._noted(model, inference, [answer], [given], origin)

    async def _read(
        self,
        model: Model,
        texts: Sequence[str],
        lane: Lane,
        most_in_chunk: int | None,
        within_seconds: float | None = None,
    ) -> tuple[Inference, list[Prediction]]:
        model.check_room(len(texts), lane)
        async with self._in_time(within_seconds) as deadline:
            encoded = await self._preparation.texts.encode(model, texts)
            inference = await model.infer(
                [each.row for each in encoded],
                deadline=deadline,
                lane=lane,
                most_in_chunk=most_in_chunk,
            )
        answers = answers_of(inference, model.manifest.labels)
        return inference, [
            replace(answer, warnings=text_warnings(text, model.manifest))
            for answer, text in zip(answers, encoded, strict=True)
        ]

    @asynccontextmanager
    async def _in_time(self, within_seconds: float | None = None) -> AsyncIterator[float]:
        """Gives the deadline, a reading of `time.monotonic()`."""
        seconds = self._budget_seconds if within_seconds is None else within_seconds
        try:
            async with asyncio.timeout(seconds):
                # The model itself is to notice first, and to say so.
                yield time.monotonic() + seconds - _MARGIN_SECONDS
        except TimeoutError:
            raise DeadlineExceededError("The model did not answer in time.") from None

    def _noted(
        self,
        model: Model,
        inference: Inference,
        answers: Sequence[Prediction],
        inputs: Sequence[Given],
        origin: Origin,
    ) -> Predictions:
        manifest = model.manifest
        predictions = Predictions(
            manifest.name,
            manifest.version,
            answers,
            inference.queue_seconds,
            inference.model_seconds,
        )
        self._journal.note(manifest, predictions, inputs, origin)
        return predictions
