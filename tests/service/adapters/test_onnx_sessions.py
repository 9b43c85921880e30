"""ONNX Runtime computes what was verified, and what it cannot do is said in our words."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.adapters.model_folders import ModelFolder, ModelFolderError, read_folder
from service.adapters.onnx_sessions import onnx_sessions
from service.predictions.domain import ModelInputError, ModelUnavailableError
from tests.service.adapters.small_models import (
    answers,
    graph,
    onnx_bytes,
    sha256,
    write_model,
)

open_session = onnx_sessions(["CPUExecutionProvider"])


def folder_with(models: Path, weights: bytes) -> ModelFolder:
    """A model with another graph than its manifest was written for."""
    write_model(models, onnx=weights)
    return read_folder(models, "tabular", "v1.0")


def fault_of(folder: ModelFolder) -> str:
    with pytest.raises(ModelFolderError) as refused:
        open_session(folder)
    return refused.value.fault


def test_a_provider_that_is_not_there_is_not_replaced_by_another() -> None:
    with pytest.raises(ValueError, match=r"has no CUDAOnTheMoon; it has .*CPUExecutionProvider"):
        onnx_sessions(["CUDAOnTheMoon", "CPUExecutionProvider"])


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    fault = fault_of(folder_with(tmp_path, b"nothing"))

    assert fault == "model.onnx cannot be loaded: InvalidProtobuf"


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (write_model(tmp_path) / "other.onnx").write_bytes(graph())
    write_model(tmp_path, files={"other.onnx": sha256(tmp_path / "tabular/v1.0/other.onnx")})

    assert fault_of(read_folder(tmp_path, "tabular", "v1.0")) == "files: model.onnx is missing"


@pytest.mark.parametrize(
    ("tensor", "fault"),
    [
        ({"name": "f"}, "inputs: model.onnx has features"),
        ({"datatype": "FP64"}, "inputs: features: model.onnx has FP32 ['rows', 3]"),
    ],
)
def test_other_inputs_than_the_manifest_says_are_refused(
    tmp_path: Path, tensor: dict[str, object], fault: str
) -> None:
    whole = {"name": "features", "datatype": "FP32", "shape": [-1, 3], **tensor}
    write_model(tmp_path, inputs=[whole])

    assert fault_of(read_folder(tmp_path, "tabular", "v1.0")) == fault


def test_other_outputs_than_the_manifest_says_are_refused(tmp_path: Path) -> None:
    energy = {"name": "energy", "datatype": "FP32", "shape": [-1]}
    probabilities = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}
    write_model(tmp_path, outputs=[probabilities, energy])

    fault = fault_of(read_folder(tmp_path, "tabular", "v1.0"))

    assert fault == "outputs: energy: model.onnx has no such one"


def test_a_batch_of_fixed_size_is_refused(tmp_path: Path) -> None:
    fixed = onnx_bytes(
        [helper.make_node("Softmax", ["features"], ["probabilities"])],
        {"features": (TensorProto.FLOAT, [1, 3])},
        {"probabilities": (TensorProto.FLOAT, [1, 2])},
        {},
    )

    assert "model.onnx" in fault_of(folder_with(tmp_path, fixed))


def test_weights_beside_the_graph_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = onnx.load_model_from_string(graph())
    onnx.save(
        model,
        "beside.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )

    fault = fault_of(folder_with(tmp_path, (tmp_path / "beside.onnx").read_bytes()))

    assert fault == "model.onnx cannot be loaded: Fail"


def test_values_that_the_graph_refuses_are_the_inputs_fault(tmp_path: Path) -> None:
    embedding = onnx_bytes(
        [
            helper.make_node("Cast", ["features"], ["ids"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "ids"], ["found"]),
            helper.make_node("ReduceSum", ["found", "axis"], ["probabilities"], keepdims=0),
        ],
        {"features": (TensorProto.FLOAT, ["rows", 3])},
        {"probabilities": (TensorProto.FLOAT, ["rows", 2])},
        {"table": np.zeros((4, 2), np.float32), "axis": np.array([1])},
    )
    session = open_session(folder_with(tmp_path, embedding))

    with pytest.raises(ModelInputError, match="The model takes no such values"):
        session.run({"features": np.full((1, 3), 99, np.float32)})


def test_what_fails_inside_is_unavailable(tmp_path: Path) -> None:
    reshape = onnx_bytes(
        [helper.make_node("Reshape", ["features", "shape"], ["probabilities"])],
        {"features": (TensorProto.FLOAT, ["rows", 3])},
        {"probabilities": (TensorProto.FLOAT, ["rows", 2])},
        {"shape": np.array([-1, 2])},
    )
    session = open_session(folder_with(tmp_path, reshape))

    with pytest.raises(ModelUnavailableError):
        session.run({"features": np.ones((1, 3), np.float32)})


def test_a_batch_is_computed(tmp_path: Path) -> None:
    write_model(tmp_path, weight=0.5)
    session = open_session(read_folder(tmp_path, "tabular", "v1.0"))
    batch = [[1.0, 2.0, 3.0], [-4.0, 0.0, 1.0]]

    outputs = session.run({"features": np.array(batch, np.float32)})

    np.testing.assert_allclose(outputs["probabilities"], answers(batch, 0.5), atol=1e-6)
