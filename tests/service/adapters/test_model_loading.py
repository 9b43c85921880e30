"""A model serves after it has answered its own examples as its manifest says."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

import service
from service.adapters.inference_threads import InferenceThreads
from service.adapters.model_folders import ModelFolderError, find_versions, read_folder
from service.adapters.model_loading import load
from service.adapters.onnx_sessions import onnx_sessions
from service.metrics import ModelMetrics
from tests.service.adapters.small_models import answers, graph, write_model

open_session = onnx_sessions(["CPUExecutionProvider"])
BATCH = [[1.0, 2.0, 3.0]]


@pytest.fixture
def threads() -> InferenceThreads:
    return InferenceThreads(ModelMetrics(CollectorRegistry()), workers=1, most_rows=8)


def example(**changes: object) -> dict[str, Any]:
    return {
        "inputs": {"features": BATCH},
        "outputs": {"probabilities": answers(BATCH).tolist()},
        **changes,
    }


@pytest.mark.parametrize(
    ("self_test", "fault"),
    [
        (example(outputs={"probabilities": [[0.5, 0.5]]}), "probabilities differs by 0.5, more"),
        (example(outputs={"probabilities": [[0.5]]}), r"the shape \(1, 2\), not \(1, 1\)"),
        (example(outputs={"probabilities": [[None, 1.0]]}), "differs by nan"),
        (example(outputs={}), "'probabilities'"),
        (example(inputs={"features": [[1.0]]}), r"features: takes FP32 \[3\], got float32 \[1\]"),
        (example(inputs={"features": []}), "There is no input"),
        (example(inputs={"features": [[1.0], [1.0, 2.0]]}), "inhomogeneous"),
        (example(inputs={"features": 1.0}), "len"),
        (example(inputs={}), "'features'"),
    ],
)
def test_a_model_that_fails_its_self_test_is_refused(
    tmp_path: Path, threads: InferenceThreads, self_test: object, fault: str
) -> None:
    write_model(tmp_path, self_test=[self_test])

    with pytest.raises(ModelFolderError, match=f"^tabular v1.0: self_test: .*{fault}"):
        load(read_folder(tmp_path, "tabular", "v1.0"), open_session, threads)


def test_other_weights_than_the_manifest_was_written_for_are_found(
    tmp_path: Path, threads: InferenceThreads
) -> None:
    write_model(tmp_path, onnx=graph(weight=1.2))

    with pytest.raises(ModelFolderError, match="self_test: probabilities differs by"):
        load(read_folder(tmp_path, "tabular", "v1.0"), open_session, threads)


async def test_a_loaded_model_answers(tmp_path: Path, threads: InferenceThreads) -> None:
    write_model(tmp_path)
    folder = read_folder(tmp_path, "tabular", "v1.0")
    model = await asyncio.to_thread(load, folder, open_session, threads)

    async with threads:
        row = {"features": np.array(BATCH[0], np.float32)}
        inference = await model.infer([row], deadline=time.monotonic() + 20)

    np.testing.assert_allclose(inference.probabilities, answers(BATCH), atol=1e-6)


def test_its_weights_are_no_asset(tmp_path: Path, threads: InferenceThreads) -> None:
    write_model(tmp_path)
    model = load(read_folder(tmp_path, "tabular", "v1.0"), open_session, threads)

    with pytest.raises(KeyError):
        model.asset("model.onnx")


SHIPPED = Path(service.__file__).parent / "models"


@pytest.mark.parametrize(
    ("name", "version"),
    [(name, each) for name, versions in find_versions(SHIPPED).items() for each in versions],
)
def test_the_models_of_the_service_load(threads: InferenceThreads, name: str, version: str) -> None:
    model = load(read_folder(SHIPPED, name, version), open_session, threads)

    assert (model.manifest.name, model.manifest.version) == (name, version)
