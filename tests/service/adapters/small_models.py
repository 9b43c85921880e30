"""Models of a few bytes, as folders on disk and as sessions that a test holds in its hand."""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from service.adapters.inference_queue import InferenceQueue
from service.adapters.work_estimate import WorkEstimate, kind_of
from service.predictions.domain import (
    MODELS,
    Array,
    Distribution,
    Manifest,
    Row,
    Tensor,
)

WIDTH = 3
PATIENCE_SECONDS = 20.0  # after which a session that is held lets go, so that no test hangs


def write_model(
    models: Path,
    name: str = "tabular",
    version: str = "v1.0",
    *,
    weight: float = 1.0,
    onnx: bytes | None = None,
    **changes: object,
) -> Path:
    """A folder whose model says how likely it is that the features, times `weight`, are above 0.

    With `onnx` it is that model instead; `changes` are made to the manifest. The hashes are right.
    """
    folder = models / name / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph(weight) if onnx is None else onnx)
    batch = [[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]]
    manifest = {
        "name": name,
        "version": version,
        "task": "tabular_classification",
        "description": "Adds up.",
        "labels": ["negative", "positive"],
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, WIDTH]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}],
        "files": {"model.onnx": sha256(folder / "model.onnx")},
        "metrics": {"accuracy": 1.0},
        "measured_on": "nothing",
        "trained_on": "nothing",
        "self_test": [
            {
                "inputs": {"features": batch},
                "outputs": {"probabilities": answers(batch, weight).tolist()},
            }
        ],
        "tolerance": 0.001,
        "batch_tolerance": 0.0,
        "confidence_distribution": {"edges": [0.5, 0.75, 1.0], "shares": [0.5, 0.5]},
        "features": [{"name": f"f{each}", "low": 0.0, "high": 1.0} for each in range(WIDTH)],
    }
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    return folder


def write_all_models(models: Path, version: str = "v1.0", *, weight: float = 1.0) -> None:
    """One of each that the service has to have."""
    for name in MODELS:
        write_model(models, name, version, weight=weight)


def change_manifest(folder: Path, changes: Mapping[str, object]) -> None:
    """None leaves an entry out."""
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    content = {key: value for key, value in manifest.items() if value is not None}
    (folder / "manifest.json").write_text(json.dumps(content))


def flip_a_byte(file: Path) -> None:
    """As a bad disk does."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def sha256(file: Path) -> str:
    """As a manifest has it."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def answers(batch: Sequence[Sequence[float]], weight: float = 1.0) -> Array:
    """What the model computes, by other means."""
    logits = np.array(batch).sum(axis=1) * weight
    positive = 1 / (1 + np.exp(-logits))
    return np.stack([1 - positive, positive], axis=1)


def graph(weight: float = 1.0) -> bytes:
    """The model as ONNX."""
    both = np.array([[0.0, weight]] * WIDTH, np.float32)
    return onnx_bytes(
        [
            helper.make_node("MatMul", ["features", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        {"features": (TensorProto.FLOAT, ["rows", WIDTH])},
        {"probabilities": (TensorProto.FLOAT, ["rows", 2])},
        {"weights": both},
    )


def onnx_bytes(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, tuple[int, list[Any]]],
    outputs: Mapping[str, tuple[int, list[Any]]],
    weights: Mapping[str, Array],
) -> bytes:
    """A graph in bytes; each input and output by its type and shape."""
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "small",
            [helper.make_tensor_value_info(name, *each) for name, each in inputs.items()],
            [helper.make_tensor_value_info(name, *each) for name, each in outputs.items()],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    return bytes(model.SerializeToString())


def text_manifest(name: str = "texts", version: str = "v1.0", max_tokens: int = 512) -> Manifest:
    """Of a model that reads token ids of any length."""
    return Manifest(
        name=name,
        version=version,
        task="text_classification",
        description="",
        labels=("negative", "positive"),
        inputs=(Tensor("input_ids", "INT64", (-1, -1)),),
        outputs=(Tensor("probabilities", "FP32", (-1, 2)),),
        files={},
        metrics={},
        measured_on="",
        trained_on="",
        self_test=(),
        tolerance=0.01,
        batch_tolerance=0.0,
        confidence_distribution=Distribution((0.5, 1.0), (1.0,)),
        max_tokens=max_tokens,
    )


def text(length: int, first: int = 1) -> Row:
    """A text of so many tokens; `first` is told again by the answer."""
    ids = np.ones(length, np.int64)
    ids[0] = first
    return {"input_ids": ids}


class FirstTokens:
    """A session that answers a text with its first token, and remembers what it was asked."""

    def __init__(self) -> None:
        self.batches: list[Array] = []

    @property
    def firsts(self) -> list[list[int]]:
        """The first tokens of each batch, in the order of the batches."""
        return [batch[:, 0].tolist() for batch in self.batches]

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Compute at once."""
        ids = inputs["input_ids"]
        self.batches.append(ids)
        first = ids[:, 0].astype(np.float32)
        return {"probabilities": np.stack([first, -first], axis=1)}


class HeldSession(FirstTokens):
    """Computes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self._gate = threading.Event()

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Remember the question, and wait."""
        outputs = super().run(inputs)
        self._gate.wait(PATIENCE_SECONDS)
        return outputs

    def let_go(self) -> None:
        """From now on it computes at once."""
        self._gate.set()


def queue_of(
    session: FirstTokens, *, token_seconds: float = 1e-6, manifest: Manifest | None = None
) -> InferenceQueue:
    """A queue for this session, which is expected to take so long for each token."""
    estimate = WorkEstimate()
    estimate.learn(kind_of(1), 1, token_seconds)
    return InferenceQueue(manifest or text_manifest(), session, estimate)
