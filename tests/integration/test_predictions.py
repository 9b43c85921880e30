"""A fresh process with the packaged models, and one that has none it can serve."""

import asyncio
import importlib.util
import json
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from service.predictions.domain import IMAGE, MODELS, SENTIMENT, TABULAR
from service.settings import PACKAGED_MODELS
from tests.integration.conftest import World
from tests.integration.own_models import FIRST, copy_models, flip_byte
from tests.integration.predicting import (
    QUESTIONS,
    Question,
    answer_to,
    megabytes,
    model_fault,
    photo,
    refusal_with_a_time,
    text_of,
    texts_question,
    upload,
)
from tests.integration.running import RunningService, started_service, until
from tests.integration.wire import connected
from tests.service.command import run

pytestmark = [pytest.mark.xdist_group("predictions"), pytest.mark.no_cover]

MOST_MEGABYTES = 300
DOCUMENTED = {
    "/v1/predict",
    "/v1/predict/sentiment",
    "/v1/predict/image",
    "/v2/models/{name}/infer",
    "/v2/models/{name}/versions/{version}/infer",
}
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55)


def test_a_models_dir_that_is_not_there_is_refused_with_one_message(
    world: World, tmp_path: Path
) -> None:
    ended = run("serve", folder=tmp_path, **world.settings, MODELS_DIR=str(tmp_path / "nowhere"))

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("MODELS_DIR: ") == 1
    assert "Traceback" not in ended.stderr


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def without_models(world: World, models: Path) -> Iterator[RunningService]:
    with started_service(world.folder, **world.settings, MODELS_DIR=str(models)) as running:
        until(lambda: "missing" in (model_fault(running) or ""), "it has looked for models")
        yield running


async def test_without_a_model_it_is_never_ready_and_says_so(
    without_models: RunningService,
) -> None:
    fault = model_fault(without_models)

    assert fault == "; ".join(f"{name}: missing" for name in MODELS)
    assert without_models.readiness()[0] == 503
    for question in QUESTIONS.values():
        answer = await answer_to(without_models, question)
        assert answer.status == 503
        refusal_with_a_time(answer)
    status = await _got(without_models, "/models/status")
    assert (status["status"], status["models_loaded"]) == ("loading", 0)


async def test_with_one_damaged_model_the_others_serve_until_it_is_mended(
    world: World, tmp_path: Path
) -> None:
    models = copy_models(tmp_path)
    flip_byte(models / IMAGE / FIRST / "model.onnx")
    with started_service(world.folder, **world.settings, MODELS_DIR=str(models)) as service:
        until(lambda: _only_names(service, IMAGE), "it says which model it cannot serve")

        answers = {name: await answer_to(service, each) for name, each in QUESTIONS.items()}

        assert service.readiness()[0] == 503
        assert answers.pop(IMAGE).status == 503
        assert [answer.status for answer in answers.values()] == [200, 200]
        refusal_with_a_time(await answer_to(service, QUESTIONS[IMAGE]))
        status = await _got(service, "/models/status")
        assert status["available_models"] == sorted(answers)
        assert "model.onnx" in status["models"][IMAGE]["fault"]

        shutil.copy(PACKAGED_MODELS / IMAGE / FIRST / "model.onnx", models / IMAGE / FIRST)
        service.process.send_signal(signal.SIGHUP)
        until(lambda: service.readiness()[0] == 200, "it is ready")
        assert (await answer_to(service, QUESTIONS[IMAGE])).status == 200


async def test_a_fresh_process_has_all_models_in_less_than_300_mb(
    service: RunningService,
) -> None:
    for question in [*QUESTIONS.values(), texts_question(100), texts_question(8, words=400)]:
        assert (await answer_to(service, question)).status == 200

    assert megabytes(service, "VmHWM") < MOST_MEGABYTES


@pytest.mark.parametrize("name", ["torch", "transformers"])
def test_what_trains_models_is_not_there_when_they_serve(name: str) -> None:
    locked = (PACKAGED_MODELS.parent / "requirements.lock").read_text()

    assert "onnxruntime==" in locked
    assert not re.search(rf"^{name}\b", locked, re.MULTILINE)
    assert importlib.util.find_spec(name) is None


async def test_every_example_in_the_documentation_is_answered_as_documented(
    service: RunningService,
) -> None:
    document = await _got(service, "/openapi.json")
    operations = {
        path: operations["post"]
        for path, operations in document["paths"].items()
        if "post" in operations
    }
    assert operations.keys() == DOCUMENTED

    for path, operation in operations.items():
        answer = await answer_to(service, _example(document, path, operation))

        assert answer.status == 200, (path, answer)
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema_rs.validate({**document, **schema}, json.loads(answer.body))


async def test_a_text_gets_the_same_answer_alone_and_in_any_company(
    service: RunningService,
) -> None:
    manifest = json.loads((PACKAGED_MODELS / SENTIMENT / FIRST / "manifest.json").read_text())
    texts = [text_of(words, number) for words in LENGTHS for number in range(3)]
    alone = [await _positive(service, [text], batch_size=1) for text in texts]

    together = [await _positive(service, texts, batch_size=size) for size in (2, 8, 32)]
    at_once = await asyncio.gather(*(_positive(service, [text]) for text in texts))

    expected = [share for (share,) in alone]
    for found in (*together, [share for (share,) in at_once]):
        assert found == pytest.approx(expected, rel=0, abs=manifest["batch_tolerance"])


async def _positive(service: RunningService, texts: list[str], batch_size: int = 32) -> list[float]:
    question = Question.of(
        "/predict/sentiment", texts=texts, return_probabilities=True, batch_size=batch_size
    )
    answer = await answer_to(service, question)
    assert answer.status == 200, answer
    return [each["probabilities"]["positive"] for each in json.loads(answer.body)["predictions"]]


def _example(document: dict[str, Any], path: str, operation: dict[str, Any]) -> Question:
    """As the documentation's page would send it."""
    path = path.format(name=TABULAR, version=FIRST)
    content = operation["requestBody"]["content"]
    if "multipart/form-data" in content:
        return replace(upload(photo()), path=path)
    asked = content["application/json"]
    if "example" in asked:
        return Question.of(path, **asked["example"])
    name = asked["schema"]["$ref"].rpartition("/")[2]
    fields = document["components"]["schemas"][name]["properties"].items()
    examples = {field: each["examples"][0] for field, each in fields if "examples" in each}
    return Question.of(path, **examples)


def _only_names(service: RunningService, model: str) -> bool:
    fault = model_fault(service)
    return fault is not None and fault.startswith(f"{model}: refused") and ";" not in fault


async def _got(service: RunningService, path: str) -> Any:
    async with connected(service.port) as wire:
        answer = await wire.ask(path)
    assert answer.status == 200, answer
    return json.loads(answer.body)
