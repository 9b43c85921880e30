"""HTTP in, the use case, the contract out; no decisions."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, File, Request, Response, UploadFile
from opentelemetry import trace

from service.contracts import (
    ImageAnswer,
    ModelsStatus,
    ModelStatus,
    PredictionAnswer,
    PredictionRequest,
    SentimentAnswer,
    SentimentRequest,
    TextSentiment,
)
from service.edge.disconnects import cancelled_on_disconnect
from service.edge.problems import request_id_of
from service.predictions.domain import (
    ImageTooLargeError,
    Predictions,
    UnreadableImageError,
)
from service.predictions.journal import Origin
from service.predictions.ports import Runtime, VersionState
from service.predictions.predictor import Predictor

MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_UPLOAD_BYTES = MAX_IMAGE_BYTES + 64 * 1024  # with what multipart adds
_UNTYPED = {"", "application/octet-stream"}  # what clients send that do not know


def predictions_router(
    prefix: str, responses: dict[int | str, Any], guards: list[Any]
) -> APIRouter:
    """The routes under `prefix`; `responses` are the problems that each may answer."""
    router = APIRouter(
        prefix=prefix,
        tags=["predictions"],
        dependencies=guards,
        include_in_schema=bool(prefix),
        responses=responses,
    )

    router.post("/predict", summary="Ten measurements: benign or malignant?")(predict)
    router.post("/predict/sentiment", summary="Texts: positive or negative?")(predict_sentiment)
    router.post("/predict/image", summary="A photo of a piece of clothing: what is it?")(
        predict_image
    )
    router.get("/models/status", summary="Which models are there?")(models_status)
    return router


async def predict(
    asked: PredictionRequest, request: Request, response: Response
) -> PredictionAnswer:
    """Not for clinical use. Values that the model has never seen are named in `warnings`."""
    started = time.perf_counter()
    async with cancelled_on_disconnect(request):
        predictions = await _predictor(request).classify_features(
            asked.features,
            version=asked.model_version,
            confidence_threshold=asked.confidence_threshold,
            origin=_origin(request),
        )
    _tell_time(response, predictions)
    (answer,) = predictions.answers
    return PredictionAnswer(
        prediction=answer.label,
        confidence=answer.confidence,
        model_version=predictions.version,
        timestamp=datetime.now(UTC),
        processing_time_ms=_ms_since(started),
        warnings=list(answer.warnings),
    )


async def predict_sentiment(
    asked: SentimentRequest, request: Request, response: Response
) -> SentimentAnswer:
    """One answer per text, in their order."""
    started = time.perf_counter()
    async with cancelled_on_disconnect(request):
        predictions = await _predictor(request).classify_texts(
            asked.texts, most_in_chunk=asked.batch_size, origin=_origin(request)
        )
    _tell_time(response, predictions)
    return SentimentAnswer(
        predictions=[
            TextSentiment(
                text=text,
                sentiment=answer.label,
                confidence=answer.confidence,
                probabilities=answer.probabilities if asked.return_probabilities else None,
                warnings=list(answer.warnings),
            )
            for text, answer in zip(asked.texts, predictions.answers, strict=True)
        ],
        total_processed=len(asked.texts),
        processing_time_ms=_ms_since(started),
    )


async def predict_image(
    file: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF or BMP, 10 MiB.")],
    request: Request,
    response: Response,
) -> ImageAnswer:
    """What shows no piece of clothing is answered `unsure`."""
    body = await _image_of(file)
    async with cancelled_on_disconnect(request):
        picture, predictions = await _predictor(request).classify_image(
            body, origin=_origin(request)
        )
    _tell_time(response, predictions)
    (answer,) = predictions.answers
    return ImageAnswer(
        filename=file.filename or "",
        image_size=(picture.width, picture.height),
        predicted_class=answer.label,
        confidence=answer.confidence,
    )


async def models_status(request: Request) -> ModelsStatus:
    """`loading` until every model that the service needs is loaded."""
    runtime: Runtime = request.state.runtime
    models = {name: _status(versions) for name, versions in runtime.states().items()}
    loaded = sorted(name for name, status in models.items() if status.loaded)
    return ModelsStatus(
        models_loaded=len(loaded),
        available_models=loaded,
        status="loading" if runtime.faults() else "healthy",
        models=models,
    )


def _predictor(request: Request) -> Predictor:
    predictor: Predictor = request.state.predictor
    return predictor


def _origin(request: Request) -> Origin:
    context = trace.get_current_span().get_span_context()
    trace_id = f"{context.trace_id:032x}" if context.is_valid else None
    return Origin(request_id_of(request.scope), trace_id)


async def _image_of(file: UploadFile) -> bytes:
    kind = (file.content_type or "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind not in _UNTYPED:
        raise UnreadableImageError("The file says that it is no image: its type is not image/….")
    body = await file.read(MAX_IMAGE_BYTES + 1)
    if len(body) > MAX_IMAGE_BYTES:
        raise ImageTooLargeError(f"An image may have {MAX_IMAGE_BYTES} bytes.")
    return body


def _status(versions: Sequence[VersionState]) -> ModelStatus:
    current = next((state for state in versions if state.role == "current"), None)
    return ModelStatus(
        version=current.version if current else None,
        loaded=current is not None,
        versions={state.version: state.role for state in versions},
        metrics=dict(current.manifest.metrics) if current and current.manifest else {},
        fault="; ".join(state.fault for state in versions if state.fault) or None,
    )


def _tell_time(response: Response, predictions: Predictions) -> None:
    response.headers["Server-Timing"] = (
        f"queue;dur={predictions.queue_seconds * 1e3:.3f}, "
        f"model;dur={predictions.model_seconds * 1e3:.3f}"
    )


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3
