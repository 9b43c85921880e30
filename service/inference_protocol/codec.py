"""The protocol's messages as bytes, and the arrays in them. Pure; nothing that comes is trusted.

A message is a JSON object and, after it, the data of those tensors that are binary.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, TypeVar

import numpy as np
import orjson
from pydantic import ValidationError

from service.inference_protocol.wire import InferRequest, InferResponse, InferTensor
from service.predictions.domain import DATATYPES, Array, Tensor

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"

_DATATYPES = {dtype: datatype for datatype, dtype in DATATYPES.items()}
_JSON_TYPES: Mapping[str, set[type]] = {
    "b": {bool},
    "u": {int},
    "i": {int},
    "f": {int, float},
}

Document = TypeVar("Document", InferRequest, InferResponse)


class ProtocolError(ValueError):
    """What came is not as the protocol has it; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Received(Generic[Document]):
    """A message whose JSON is understood, and what came after it."""

    document: Document
    binary: memoryview


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent; `json_length` when there is something after the JSON."""

    body: bytes
    json_length: int | None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to it."""
        if self.json_length is None:
            return {"Content-Type": "application/json"}
        return {
            "Content-Type": "application/octet-stream",
            JSON_LENGTH_HEADER: str(self.json_length),
        }


def read_message(kind: type[Document], body: bytes, json_length: str | None) -> Received[Document]:
    """Understand the JSON; `json_length` is the value of its header. Raises ProtocolError."""
    length = _length(json_length, len(body))
    view = memoryview(body)
    try:
        return Received(kind.model_validate(orjson.loads(view[:length])), view[length:])
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"The JSON is not valid: {error}.") from None
    except ValidationError as error:
        raise ProtocolError(_faults(error)) from None


def read_tensors(
    tensors: Sequence[InferTensor], expected: Sequence[Tensor], binary: memoryview
) -> dict[str, Array]:
    """The arrays, by name; all of `binary` has to be theirs. Raises ProtocolError.

    What is announced is compared with what is expected before any data is touched.
    """
    _check_tensors(tensors, {tensor.name: tensor for tensor in expected})
    arrays = {}
    for tensor in tensors:
        size = tensor.parameters.binary_data_size if tensor.parameters else None
        if (size is None) == (tensor.data is None):
            raise _fault(tensor, "needs either `data` or the parameter `binary_data_size`")
        if size is None:
            arrays[tensor.name] = _from_json(tensor, tensor.data or [])
        elif size > len(binary):
            raise _fault(tensor, f"has {size} bytes by its parameter, but {len(binary)} came")
        else:
            arrays[tensor.name] = _from_binary(tensor, binary[:size])
            binary = binary[size:]
    if binary:
        raise ProtocolError(f"{len(binary)} bytes after the JSON belong to no tensor.")
    return arrays


def write_message(
    document: Mapping[str, Any], member: str, arrays: Mapping[str, Array], binary: Collection[str]
) -> Message:
    """`document` with the arrays as tensors in its `member`; those named in `binary` follow it."""
    tensors: list[dict[str, Any]] = []
    tails: list[bytes] = []
    for name, array in arrays.items():
        tensor: dict[str, Any] = {
            "name": name,
            "datatype": _DATATYPES[array.dtype],
            "shape": array.shape,
        }
        if name in binary:
            tails.append(_to_binary(array))
            tensor["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            tensor["data"] = np.ascontiguousarray(array).ravel()
        tensors.append(tensor)
    head = orjson.dumps({**document, member: tensors}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Message(b"".join((head, *tails)), len(head) if tails else None)


def _length(json_length: str | None, body_bytes: int) -> int:
    if json_length is None:
        return body_bytes
    # Not int() alone: it takes signs, spaces and underscores.
    digits = json_length.isascii() and json_length.isdigit() and len(json_length) < 20
    if not digits or int(json_length) > body_bytes:
        raise ProtocolError(f"{JSON_LENGTH_HEADER} has to be a number up to the body's size.")
    return int(json_length)


def _faults(error: ValidationError) -> str:
    # Not `input`: it would send back what was sent.
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    shown = (f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in faults[:8])
    return "; ".join(shown)


def _fault(tensor: InferTensor, fault: str) -> ProtocolError:
    return ProtocolError(f"{tensor.name[:64]} {fault}.")


def _check_tensors(tensors: Sequence[InferTensor], expected: Mapping[str, Tensor]) -> None:
    if sorted(tensor.name for tensor in tensors) != sorted(expected):
        there_are = ", ".join(expected)
        raise ProtocolError(f"Each of these tensors is needed once, and no other: {there_are}.")
    for tensor in tensors:
        _check_tensor(tensor, expected[tensor.name])
    if len({tensor.shape[0] for tensor in tensors}) > 1:
        raise ProtocolError("The first dimension is the batch; it has to be the same for all.")


def _check_tensor(tensor: InferTensor, expected: Tensor) -> None:
    if tensor.datatype != expected.datatype:
        raise _fault(tensor, f"is {expected.datatype}, not {tensor.datatype[:16]}")
    pairs = zip(tensor.shape, expected.shape, strict=False)
    fits = all(wanted in (-1, size) for size, wanted in pairs)
    if len(tensor.shape) != len(expected.shape) or not fits:
        raise _fault(tensor, f"has the shape {list(expected.shape)}, not {tensor.shape}")


def _from_json(tensor: InferTensor, data: list[Any]) -> Array:
    elements = _elements(data, tensor.shape)
    types = set(map(type, elements))
    if not elements or list in types:
        raise _fault(tensor, f"has data that is not of the shape {tensor.shape}, nor flattened")
    dtype = DATATYPES[tensor.datatype]
    if not types <= _JSON_TYPES[dtype.kind]:
        raise _fault(tensor, f"has data that is not {tensor.datatype}")
    try:
        with np.errstate(over="raise"):
            # From objects, or numpy would pass over what is too large.
            return np.array(elements, dtype=object).astype(dtype).reshape(tensor.shape)
    except (OverflowError, FloatingPointError):
        raise _fault(tensor, f"has a number that is too large for {tensor.datatype}") from None


def _elements(data: list[Any], shape: Sequence[int]) -> list[Any]:
    """Row-major; empty when they are not of this shape, nor flattened.

    Not by numpy, which takes its time to find what shape ragged lists may have.
    """
    if len(data) == math.prod(shape) and type(data[0]) is not list:
        return data
    rows = [data]
    for size in shape:
        if any(type(row) is not list or len(row) != size for row in rows):
            return []
        rows = list(chain.from_iterable(rows))
    return rows


def _from_binary(tensor: InferTensor, binary: memoryview) -> Array:
    dtype = DATATYPES[tensor.datatype].newbyteorder("<")
    if math.prod(tensor.shape) * dtype.itemsize != len(binary):
        raise _fault(tensor, f"has {len(binary)} bytes, which is not its shape {tensor.shape}")
    if dtype.kind == "b" and not set(binary) <= {0, 1}:
        raise _fault(tensor, "has data that is not BOOL")
    return np.frombuffer(binary, dtype).reshape(tensor.shape)


def _to_binary(array: Array) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
