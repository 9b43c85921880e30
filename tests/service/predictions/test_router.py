"""`/predict…` and `/models/status` as their consumers see them, with fakes behind the ports."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.contracts import (
    ImageAnswer,
    ModelsStatus,
    PredictionAnswer,
    Problem,
    SentimentAnswer,
)
from service.predictions.domain import (
    DeadlineExceededError,
    ImageTooLargeError,
    ModelNotLoadedError,
    ModelUnavailableError,
    QueueFullError,
)
from service.predictions.router import MAX_IMAGE_BYTES
from tests.fake_models import FakeModels
from tests.fakes import FakeWorld, fake_settings, open_fake_adapters

FEATURES = [1.5] * 10
PREDICT = ("/v1/predict", {"features": FEATURES})
SENTIMENT = ("/v1/predict/sentiment", {"texts": ["well"]})


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def service(world: FakeWorld, models: FakeModels) -> Iterator[TestClient]:
    app = create_app(fake_settings(), open_adapters=open_fake_adapters(world, models=models))
    with TestClient(app) as client:
        yield client


def problem_of(response: Any, status: int) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return Problem.model_validate_json(response.content)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"features": None}, "body.features"),
        ({"features": FEATURES[:9]}, "body.features"),
        ({"features": [*FEATURES, 1.0]}, "body.features"),
        ({"features": [*FEATURES[:9], -0.1]}, "body.features.9"),
        ({"features": [*FEATURES[:9], "1.5"]}, "body.features.9"),
        ({"features": [*FEATURES[:9], True]}, "body.features.9"),
        ({"features": [*FEATURES[:9], None]}, "body.features.9"),
        ({"confidence_threshold": 1.1}, "body.confidence_threshold"),
        ({"confidence_threshold": -0.1}, "body.confidence_threshold"),
        ({"confidence_threshold": "0.5"}, "body.confidence_threshold"),
        ({"model_version": 1}, "body.model_version"),
        ({"threshold": 0.9}, "body.threshold"),
    ],
)
def test_features_that_are_none_are_a_422_that_names_the_field(
    service: TestClient, changes: dict[str, Any], field: str
) -> None:
    problem = problem_of(service.post("/predict", json={"features": FEATURES} | changes), 422)

    assert problem.errors is not None
    assert [each.field for each in problem.errors] == [field]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_a_422(service: TestClient, number: str) -> None:
    body = '{"features": [' + ", ".join(["1"] * 9 + [number]) + "]}"

    problem_of(service.post("/predict", content=body), 422)


def test_an_absurd_number_is_answered_and_warned_about(service: TestClient) -> None:
    response = service.post("/predict", json={"features": [*FEATURES[:9], 1e308]})

    assert response.status_code == 200
    assert "1e+308" in response.json()["warnings"][0]


@pytest.mark.parametrize(
    "texts",
    [[], [""], ["well", " \n\t "], ["x"] * 101, "well", [7], ["x" * 10_001], None],
    ids=["none", "empty", "blank", "too many", "no list", "no text", "too long", "null"],
)
def test_texts_that_are_none_are_a_422(service: TestClient, texts: object) -> None:
    problem_of(service.post("/predict/sentiment", json={"texts": texts}), 422)


def test_half_a_character_is_a_422(service: TestClient) -> None:
    response = service.post("/predict/sentiment", content=rb'{"texts": ["\ud800"]}')

    problem_of(response, 422)


@pytest.mark.parametrize("batch_size", [0, 33, 1.5, "8", None])
def test_a_batch_size_that_is_none_is_a_422(service: TestClient, batch_size: object) -> None:
    asked = {"texts": ["well"], "batch_size": batch_size}

    problem_of(service.post("/predict/sentiment", json=asked), 422)


def test_an_unknown_version_is_a_404_that_says_which_there_are(service: TestClient) -> None:
    asked = {"features": FEATURES, "model_version": "v9"}

    assert "v1.0" in problem_of(service.post("/predict", json=asked), 404).detail


@pytest.mark.parametrize(("path", "asked"), [PREDICT, SENTIMENT])
def test_a_model_that_is_not_loaded_is_a_503_with_retry_after(
    service: TestClient, models: FakeModels, path: str, asked: dict[str, Any]
) -> None:
    models.runtime.refusal = ModelNotLoadedError("The model is being loaded.")

    response = service.post(path, json=asked)

    problem_of(response, 503)
    assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (QueueFullError(7), 429, "7"),
        (DeadlineExceededError("Too late."), 504, None),
        (ModelUnavailableError("The model's server is gone."), 503, "1"),
    ],
)
def test_what_the_model_cannot_do_is_a_problem(
    service: TestClient, models: FakeModels, error: Exception, status: int, retry_after: str | None
) -> None:
    models.runtime.models["tabular"].error = error

    response = service.post(PREDICT[0], json=PREDICT[1])

    problem_of(response, status)
    assert response.headers.get("retry-after") == retry_after


def test_a_file_that_says_it_is_no_image_is_a_400(service: TestClient) -> None:
    response = service.post("/predict/image", files={"file": ("a.png", b"picture", "text/plain")})

    problem_of(response, 400)


def test_a_file_that_is_no_image_is_a_400(service: TestClient) -> None:
    response = service.post("/predict/image", files={"file": ("a.png", b"?", "image/png")})

    problem_of(response, 400)


@pytest.mark.parametrize("more", [1, 1024 * 1024], ids=["a byte more", "far more"])
def test_an_image_of_more_than_10_mib_is_a_413(service: TestClient, more: int) -> None:
    body = b"picture" + bytes(MAX_IMAGE_BYTES + more)

    problem_of(service.post("/predict/image", files={"file": ("a.png", body, "image/png")}), 413)


def test_a_decompression_bomb_is_a_413(service: TestClient, models: FakeModels) -> None:
    models.runtime.refusal = ImageTooLargeError("Too many pixels.")

    response = service.post("/predict/image", files={"file": ("a.png", b"picture", "image/png")})

    problem_of(response, 413)


@pytest.mark.parametrize("files", [{}, {"picture": ("a.png", b"picture", "image/png")}])
def test_without_a_file_it_is_a_422(service: TestClient, files: dict[str, Any]) -> None:
    problem_of(service.post("/predict/image", files=files), 422)


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_features_are_answered_as_the_contract_says(service: TestClient, prefix: str) -> None:
    response = service.post(f"{prefix}/predict", json={"features": FEATURES})

    assert set(response.json()) == {
        *("prediction", "confidence", "model_version", "timestamp", "processing_time_ms")
    }
    answer = PredictionAnswer.model_validate_json(response.content)
    assert (answer.prediction, answer.model_version) == ("positive", "v1.0")
    assert answer.confidence == pytest.approx(0.9)
    assert answer.timestamp.tzinfo is not None
    assert response.headers["server-timing"].endswith("queue;dur=1.000, model;dur=2.000")


@pytest.mark.parametrize(
    ("threshold", "prediction"),
    [
        (None, "positive"),
        (0, "positive"),
        (0.89, "positive"),
        (0.91, "uncertain"),
        (1, "uncertain"),
    ],
)
def test_below_the_threshold_it_is_uncertain(
    service: TestClient, threshold: float | None, prediction: str
) -> None:
    asked = {"features": FEATURES, "confidence_threshold": threshold}

    answer = service.post("/predict", json=asked).json()

    assert answer["prediction"] == prediction
    assert answer["confidence"] == pytest.approx(0.9)


def test_values_outside_of_the_training_data_are_warned_about(service: TestClient) -> None:
    answer = service.post("/predict", json={"features": [*FEATURES[:9], 101]}).json()

    assert answer["warnings"] == ["mean feature 9: 101 is outside of the training data, 0 to 100."]


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_texts_are_answered_as_the_contract_says(
    service: TestClient, models: FakeModels, prefix: str
) -> None:
    asked = {"texts": ["well", "fine"], "batch_size": 2}

    response = service.post(f"{prefix}/predict/sentiment", json=asked)

    assert set(response.json()) == {"predictions", "total_processed", "processing_time_ms"}
    answer = SentimentAnswer.model_validate_json(response.content)
    assert [each.text for each in answer.predictions] == ["well", "fine"]
    assert response.json()["predictions"][0] == {
        "text": "well",
        "sentiment": "positive",
        "confidence": pytest.approx(0.9),
        "probabilities": None,
    }
    assert answer.total_processed == 2
    assert models.runtime.models["sentiment_analysis"].asked[0]["most_in_chunk"] == 2


def test_probabilities_are_given_to_who_asks(service: TestClient) -> None:
    asked = {"texts": ["well"], "return_probabilities": True}

    (answer,) = service.post("/predict/sentiment", json=asked).json()["predictions"]

    assert answer["probabilities"] == {
        "negative": pytest.approx(0.1),
        "positive": pytest.approx(0.9),
    }


@pytest.mark.parametrize(("text", "about"), [("AÇÃO", "unknown"), ("a longer one", "first 4")])
def test_texts_that_may_be_misread_are_warned_about(
    service: TestClient, text: str, about: str
) -> None:
    answer = service.post("/predict/sentiment", json={"texts": [text, "well"]}).json()

    (warning,) = answer["predictions"][0]["warnings"]
    assert about in warning
    assert "warnings" not in answer["predictions"][1]


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream"])
def test_a_picture_is_answered_as_the_contract_says(
    service: TestClient, prefix: str, kind: str
) -> None:
    response = service.post(
        f"{prefix}/predict/image", files={"file": ("schöner schuh.png", b"picture", kind)}
    )

    assert response.json() == {
        "filename": "schöner schuh.png",
        "image_size": [32, 16],
        "predicted_class": "Sneaker",
        "confidence": pytest.approx(0.9),
    }
    ImageAnswer.model_validate_json(response.content)


def test_what_is_no_product_is_unsure(service: TestClient, models: FakeModels) -> None:
    models.runtime.models["image_classification"].energy = 0.1

    response = service.post("/predict/image", files={"file": ("a.png", b"picture", "image/png")})

    assert response.json()["predicted_class"] == "unsure"


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_the_status_names_every_model(service: TestClient, prefix: str) -> None:
    response = service.get(f"{prefix}/models/status")

    status = ModelsStatus.model_validate_json(response.content)
    assert (status.status, status.models_loaded) == ("healthy", 3)
    assert status.available_models == ["image_classification", "sentiment_analysis", "tabular"]
    assert status.models["tabular"].version == "v1.0"


def test_the_status_says_why_a_model_is_not_loaded(service: TestClient, models: FakeModels) -> None:
    models.runtime.not_serving = {"tabular": "model.onnx is damaged"}

    status = ModelsStatus.model_validate_json(service.get("/models/status").content)

    assert (status.status, status.models_loaded) == ("loading", 2)
    assert not status.models["tabular"].loaded
    assert status.models["tabular"].fault == "model.onnx is damaged"


def test_every_answer_is_logged_with_its_request(service: TestClient, models: FakeModels) -> None:
    response = service.post(
        "/predict/sentiment", json={"texts": ["well", "fine"]}, headers={"X-Request-ID": "r-1"}
    )

    first, second = models.log.rows
    assert (first.model, first.version, first.request_id) == ("sentiment_analysis", "v1.0", "r-1")
    assert first.trace_id is not None
    assert first.trace_id in response.headers["traceresponse"]
    assert first.input_sha256 != second.input_sha256
    assert first.output["label"] == "positive"
    json.dumps(first.output)
