"""The protocol's JSON objects, by its specification and Triton's binary tensor data extension.

https://github.com/kserve/open-inference-protocol
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

BINARY_TENSORS = "binary_tensor_data"  # the extension's name

# Without a limit, a body full of wrong tensors would be seconds of work.
MAX_TENSORS = 64
MAX_DIMENSIONS = 8

Size = Annotated[int, Field(ge=1)]


class _Wire(BaseModel):
    # What is not known is passed over: clients send parameters of other servers, too.
    model_config = ConfigDict(strict=True, protected_namespaces=())


class ServerLive(_Wire):
    """The server answers."""

    live: bool


class ServerReady(_Wire):
    """Every model serves."""

    ready: bool


class ModelReady(_Wire):
    """This model serves."""

    name: str
    ready: bool


class ServerMetadata(_Wire):
    """Who serves, and what it can do beyond the protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(_Wire):
    """An input or output of a model; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(_Wire):
    """What a model takes and gives; `versions` may be asked for in the path."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorParameters(_Wire):
    """`binary_data_size` bytes after the JSON are the tensor's data."""

    binary_data_size: Annotated[int, Field(ge=0)] | None = None


class InferTensor(_Wire):
    """A tensor: `data` row-major, flattened or nested, or binary after the JSON."""

    name: str
    datatype: str
    shape: Annotated[list[Size], Field(min_length=1, max_length=MAX_DIMENSIONS)]
    parameters: TensorParameters | None = None
    data: list[Any] | None = None


class OutputParameters(_Wire):
    """How an output is returned."""

    binary_data: bool | None = None
    classification: Any = None
    shared_memory_region: Any = None


class RequestedOutput(_Wire):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters | None = None


class RequestParameters(_Wire):
    """`timeout` is in microseconds, 0 for none; `binary_data_output` is for all outputs."""

    timeout: Annotated[int, Field(ge=0)] | None = None
    binary_data_output: bool | None = None


class InferRequest(_Wire):
    """Inputs, each with the whole batch on its first axis; without `outputs`, all are returned."""

    id: str | None = None
    parameters: RequestParameters | None = None
    inputs: Annotated[list[InferTensor], Field(min_length=1, max_length=MAX_TENSORS)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=MAX_TENSORS)] | None = None


class InferResponse(_Wire):
    """Outputs, each with the whole batch on its first axis."""

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: Annotated[list[InferTensor], Field(max_length=MAX_TENSORS)]
