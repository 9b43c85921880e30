"""Models that ONNX Runtime computes in this process."""

import os
from collections.abc import Mapping, Sequence

import onnxruntime  # type: ignore[import-untyped]  # ships no types
from onnxruntime.capi.onnxruntime_pybind11_state import (  # type: ignore[import-untyped]  # neither
    InvalidArgument,
)

from service.adapters.model_folders import WEIGHTS, ModelFolder
from service.adapters.model_sessions import OpenSession
from service.predictions.domain import (
    DATATYPES,
    Array,
    ModelInputError,
    ModelUnavailableError,
    Tensor,
)

_SILENT = 4  # only what ends the process; the rest is raised, and logged as everything is
_TYPES = {
    "tensor(bool)": "BOOL",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    **{f"tensor({datatype.lower()})": datatype for datatype in DATATYPES if "INT" in datatype},
}


def onnx_sessions(providers: Sequence[str]) -> OpenSession:
    """Open sessions on the first of ONNX Runtime's `providers` that can compute an operator.

    Raises ValueError when one is not there: ONNX Runtime itself would go on without it.
    """
    there = onnxruntime.get_available_providers()
    if missing := [provider for provider in providers if provider not in there]:
        raise ValueError(f"ONNX Runtime has no {', '.join(missing)}; it has {', '.join(there)}")

    def open_session(folder: ModelFolder) -> OnnxSession:
        return OnnxSession(folder, providers)

    return open_session


class OnnxSession:
    """One model in memory; it computes on the thread that asks, without others of its own."""

    def __init__(self, folder: ModelFolder, providers: Sequence[str]) -> None:
        """Raises ModelFolderError."""
        if WEIGHTS not in folder.files:
            raise folder.error(f"files: {WEIGHTS} is missing")
        try:
            self._session = onnxruntime.InferenceSession(
                folder.files[WEIGHTS], _options(), providers=list(providers)
            )
        except Exception as error:  # ONNX Runtime's have no other ancestor
            raise folder.error(f"{WEIGHTS} cannot be loaded: {type(error).__name__}") from error
        _check(folder, "inputs", folder.manifest.inputs, self._session.get_inputs())
        _check(folder, "outputs", folder.manifest.outputs, self._session.get_outputs())
        self._outputs = [output.name for output in folder.manifest.outputs]

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Compute one batch. Raises ModelInputError, ModelUnavailableError."""
        try:
            outputs = self._session.run(self._outputs, dict(inputs))
        except InvalidArgument as error:
            raise ModelInputError("The model takes no such values.") from error
        except Exception as error:  # as above
            raise ModelUnavailableError("The model could not compute it.") from error
        return dict(zip(self._outputs, outputs, strict=True))


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it keeps a plan for every shape that it ever saw
    for setting, value in {
        "session.intra_op.allow_spinning": "0",
        "session.inter_op.allow_spinning": "0",
        # Weights beside the graph would be read, unverified, from the working directory.
        "session.model_external_initializers_file_folder_path": os.devnull,
    }.items():
        options.add_session_config_entry(setting, value)
    return options


def _check(
    folder: ModelFolder, kind: str, written: Sequence[Tensor], found: Sequence[onnxruntime.NodeArg]
) -> None:
    """The manifest may name fewer outputs, and fix a size that the graph leaves open."""
    if kind == "inputs" and {tensor.name for tensor in written} != {each.name for each in found}:
        raise folder.error(f"inputs: {WEIGHTS} has {', '.join(each.name for each in found)}")
    by_name = {each.name: each for each in found}
    for tensor in written:
        node = by_name.get(tensor.name)
        if node is None or not _agree(tensor, _TYPES.get(node.type), node.shape):
            has = f"{_TYPES.get(node.type)} {node.shape}" if node else "no such one"
            raise folder.error(f"{kind}: {tensor.name}: {WEIGHTS} has {has}")


def _agree(tensor: Tensor, datatype: str | None, shape: Sequence[object]) -> bool:
    """In a graph's shape only numbers are fixed sizes."""
    return (
        tensor.datatype == datatype
        and len(tensor.shape) == len(shape)
        and all(
            size == want or not isinstance(size, int)
            for size, want in zip(shape, tensor.shape, strict=True)
        )
    )
