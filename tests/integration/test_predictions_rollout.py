"""New versions come and go under load, right ones and damaged ones, and nobody's request fails."""

import asyncio
import json
import shutil
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.predictions.domain import SENTIMENT
from tests.integration.conftest import World
from tests.integration.own_models import FIRST, add_version, copy_models, flip_byte
from tests.integration.predicting import (
    QUESTIONS,
    TEXT_QUESTION,
    Load,
    answer_to,
    samples,
    sum_of,
    texts_question,
    under_load,
)
from tests.integration.running import RunningService, eventually, running_service

pytestmark = [pytest.mark.xdist_group("predictions-rollout"), pytest.mark.no_cover]

LOAD = (*QUESTIONS.values(), texts_question(10))
CANARY_SHARE = 0.25


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def module_settings(models: Path) -> dict[str, str]:
    """Under which a new version takes over at once."""
    return {"MODELS_DIR": str(models)}


@pytest.fixture(scope="module")
def gradual_service(world: World, models: Path) -> Iterator[RunningService]:
    """Under which it is compared, and answers a few, until it is promoted."""
    settings = {"MODELS__SHADOW": "true", "MODELS__CANARY_SHARE": str(CANARY_SHARE)}
    with running_service(
        world.folder, **world.settings, **settings, MODELS_DIR=str(models)
    ) as running:
        yield running


@contextmanager
def added(models: Path, version: str, **changes: object) -> Iterator[Path]:
    """A second version of the texts' model, for as long as the block lasts."""
    folder = add_version(models, SENTIMENT, version, **changes)
    yield folder
    shutil.rmtree(folder)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a flipped byte in the model": ("model.onnx", flip_byte),
    "a flipped byte in the tokenizer": ("tokenizer.json", flip_byte),
    "half a model": ("model.onnx", truncate),
    "no model": ("model.onnx", Path.unlink),
    "half a manifest": ("manifest.json", truncate),
    "no manifest": ("manifest.json", Path.unlink),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_new_version_that_is_damaged_is_refused_and_the_old_one_serves_on(
    service: RunningService, models: Path, damage: str
) -> None:
    file, spoil = DAMAGES[damage]
    with added(models, "v1.9") as folder:
        spoil(folder / file)

        states = (await done(service, "/models/reload"))[SENTIMENT]

        assert roles(states) == {FIRST: "current", "v1.9": "refused"}
        assert file in states[0]["fault"]
        assert str(models) not in states[0]["fault"]
        assert service.readiness()[0] == 200
        assert (await answer_to(service, TEXT_QUESTION)).status == 200
    assert roles((await done(service, "/models/reload"))[SENTIMENT]) == {FIRST: "current"}


async def test_an_answer_that_is_not_the_manifests_is_no_model_that_serves(
    service: RunningService, models: Path
) -> None:
    manifest = json.loads((models / SENTIMENT / FIRST / "manifest.json").read_text())
    (example, *others) = manifest["self_test"]
    wrong = [[1 - share for share in row] for row in example["outputs"]["probabilities"]]
    outputs = {**example["outputs"], "probabilities": wrong}
    with added(models, "v1.9", self_test=[{**example, "outputs": outputs}, *others]):
        states = (await done(service, "/models/reload"))[SENTIMENT]

    assert roles(states) == {FIRST: "current", "v1.9": "refused"}
    assert "self_test" in states[0]["fault"]


@pytest.mark.parametrize("spoil", [flip_byte, Path.unlink], ids=["damaged", "gone"])
async def test_a_version_whose_files_are_spoilt_while_it_serves_serves_on(
    service: RunningService, models: Path, spoil: Callable[[Path], None]
) -> None:
    file = models / SENTIMENT / FIRST / "model.onnx"
    whole = file.read_bytes()
    try:
        async with under_load(service, *LOAD):
            spoil(file)
            states = (await done(service, "/models/reload"))[SENTIMENT]

        assert {state["role"] for state in states} == {"current", "refused"}
        assert service.readiness()[0] == 200
    finally:
        file.write_bytes(whole)
    assert roles((await done(service, "/models/reload"))[SENTIMENT]) == {FIRST: "current"}


@pytest.mark.parametrize("path", ["/models/promote", "/models/rollback"])
async def test_what_cannot_be_promoted_or_rolled_back_is_a_409(
    service: RunningService, path: str
) -> None:
    for query in ("", "?model=weather", "?model=tabular"):
        status, body = await asyncio.to_thread(service.ops, path + query, "POST")

        assert status == 409, body
        assert "model" in json.loads(body)["detail"] or "tabular" in json.loads(body)["detail"]


@pytest.mark.parametrize("way", ["by the ops port", "by SIGHUP"])
async def test_a_new_version_takes_over_under_load_and_is_rolled_back(
    service: RunningService, models: Path, way: str
) -> None:
    version = {"by the ops port": "v2.0", "by SIGHUP": "v2.1"}[way]
    async with under_load(service, *LOAD) as load:
        with added(models, version):
            if way == "by SIGHUP":
                service.process.send_signal(signal.SIGHUP)
            else:
                await done(service, "/models/reload")
            await only_answers(load, version)

            states = await done(service, f"/models/rollback?model={SENTIMENT}")

            assert roles(states[SENTIMENT])[FIRST] == "current"
            await only_answers(load, FIRST)
            # It was rolled back for a reason: a later reload does not bring it again.
            states = await done(service, "/models/reload")
            assert roles(states[SENTIMENT])[FIRST] == "current"
        await done(service, "/models/reload")


async def test_a_candidate_that_disagrees_is_seen_and_dropped_under_load(
    gradual_service: RunningService, models: Path
) -> None:
    service = gradual_service
    labels = json.loads((models / SENTIMENT / FIRST / "manifest.json").read_text())["labels"]
    async with under_load(service, *LOAD) as load:
        with added(models, "v2.2", labels=labels[::-1]):
            states = await done(service, "/models/reload")
            assert roles(states[SENTIMENT]) == {FIRST: "current", "v2.2": "candidate"}
            await eventually(compared(service, "v2.2", "disagreed"), "they were compared")

            await done(service, f"/models/rollback?model={SENTIMENT}")

            await only_answers(load, FIRST)
        await done(service, "/models/reload")

    assert sum_of(service, "ml_shadow_rows_total", model_version="v2.2", outcome="agreed") == 0


async def test_a_candidate_answers_its_share_and_is_promoted_under_load(
    gradual_service: RunningService, models: Path
) -> None:
    service = gradual_service
    async with under_load(service, *LOAD[:3]) as load:
        with added(models, "v2.3"):
            await done(service, "/models/reload")
            before = answers(service)
            await load.goes_on(90)  # a third of them about texts
            new = answers(service) - before
            assert new["v2.3"] / new.total() == pytest.approx(CANARY_SHARE, abs=0.1)
            await eventually(compared(service, "v2.3", "agreed"), "they were compared")

            states = await done(service, f"/models/promote?model={SENTIMENT}")

            assert roles(states[SENTIMENT]) == {FIRST: "previous", "v2.3": "current"}
            await only_answers(load, "v2.3")
            await done(service, f"/models/rollback?model={SENTIMENT}")
            await only_answers(load, FIRST)

    assert sum_of(service, "ml_shadow_rows_total", model_version="v2.3", outcome="disagreed") == 0


async def done(service: RunningService, path: str) -> dict[str, list[dict[str, Any]]]:
    """What is done at the ops port, and the versions of each model after it, the newest first."""
    status, body = await asyncio.to_thread(service.ops, path, "POST")
    assert status == 200, body
    states: dict[str, list[dict[str, Any]]] = json.loads(body)
    return states


def roles(states: list[dict[str, Any]]) -> dict[str, str]:
    return {state["version"]: state["role"] for state in states}


async def only_answers(load: Load, version: str) -> None:
    """Return when all new answers about texts are this version's."""

    async def does() -> bool:
        before = answers(load.service)
        await load.goes_on(10)
        return (answers(load.service) - before).keys() == {version}

    await eventually(does, f"{version} answers everybody")


def answers(service: RunningService) -> Counter[str]:
    """About texts, by version."""
    counted = Counter[str]()
    for sample in samples(service, "ml_predictions_total", model=SENTIMENT):
        counted[sample.labels["model_version"]] += int(sample.value)
    return counted


def compared(service: RunningService, version: str, outcome: str) -> Callable[[], Awaitable[bool]]:
    async def some() -> bool:
        labels = {"model": SENTIMENT, "model_version": version, "outcome": outcome}
        return sum_of(service, "ml_shadow_rows_total", **labels) > 0

    return some
