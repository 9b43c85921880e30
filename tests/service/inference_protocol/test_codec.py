"""Arrays come through as they were; whatever else comes is a ProtocolError, and costs nothing."""

import json
import tracemalloc
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.inference_protocol.codec import (
    ProtocolError,
    read_message,
    read_tensors,
    write_message,
)
from service.inference_protocol.wire import InferRequest, InferTensor
from service.predictions.domain import DATATYPES, Array, Tensor
from tests.service.products.strategies import json_values

patient = settings(deadline=None, max_examples=40)  # the machine has other work, too
VALUE = Tensor("value", "FP32", (-1, -1))


def tensor(**changes: Any) -> InferTensor:
    """Four numbers, with changes."""
    fields = {"name": "value", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    return InferTensor.model_validate({**fields, **changes})


def read(announced: InferTensor, binary: bytes = b"", datatype: str = "FP32") -> Array:
    """The one array."""
    expected = Tensor("value", datatype, (-1, -1))
    return read_tensors([announced], [expected], memoryview(binary))["value"]


@patient
@given(st.binary(max_size=200), st.none() | st.text(max_size=24))
def test_any_bytes_are_understood_or_refused(body: bytes, length: str | None) -> None:
    with suppress(ProtocolError):
        read_message(InferRequest, body, length)


@patient
@given(json_values, st.sampled_from(["inputs", "outputs", "parameters", "id"]))
def test_any_json_in_any_member_is_understood_or_refused(value: Any, member: str) -> None:
    document = {"inputs": [tensor().model_dump()], member: value}

    with suppress(ProtocolError):
        read_message(InferRequest, json.dumps(document).encode(), None)


@patient
@given(st.sampled_from([*DATATYPES]), st.lists(json_values, max_size=6))
def test_any_json_as_data_is_an_array_or_refused(datatype: str, data: list[Any]) -> None:
    announced = tensor(datatype=datatype, shape=[max(1, len(data)), 1], data=data)

    with suppress(ProtocolError):
        array = read(announced, datatype=datatype)
        assert (array.dtype, array.shape) == (DATATYPES[datatype], (len(data), 1))


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("INT64", [1.5]),
        ("INT64", ["1"]),
        ("INT64", [True]),
        ("INT64", [None]),
        ("BOOL", [1]),
        ("FP32", ["1"]),
        ("FP32", [None]),
        ("FP32", [True]),
        ("FP32", [{}]),
    ],
)
def test_nothing_is_turned_into_what_it_is_not(datatype: str, data: list[Any]) -> None:
    with pytest.raises(ProtocolError, match=f"not {datatype}"):
        read(tensor(datatype=datatype, shape=[1, 1], data=data), datatype=datatype)


@pytest.mark.parametrize(
    ("datatype", "number"),
    [
        ("UINT8", 256),
        ("UINT8", -1),
        ("UINT64", -1),
        ("INT8", 128),
        ("INT64", 2**63),
        ("FP16", 1e5),
        ("FP32", 1e39),
    ],
)
def test_a_number_that_does_not_fit_is_refused(datatype: str, number: float) -> None:
    with pytest.raises(ProtocolError, match=f"too large for {datatype}"):
        read(tensor(datatype=datatype, shape=[1, 1], data=[number]), datatype=datatype)


@pytest.mark.parametrize(
    "data", [[], [1, 2, 3], [[1, 2], [3]], [[1, 2, 3, 4]], [[[1], [2]], [[3], [4]]], [[1, 2], 3]]
)
def test_data_of_another_shape_is_refused(data: list[Any]) -> None:
    with pytest.raises(ProtocolError, match="not of the shape"):
        read(tensor(data=data))


@pytest.mark.parametrize("size", [2**31, 2**62])
def test_a_huge_shape_costs_no_memory(size: int) -> None:
    tracemalloc.start()
    with pytest.raises(ProtocolError, match="not of the shape"):
        read(tensor(shape=[size, size]))
    with pytest.raises(ProtocolError, match="not its shape"):
        read(tensor(shape=[size, size], data=None, parameters={"binary_data_size": 4}), bytes(4))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 1e6


def test_strings_of_different_lengths_cost_no_memory() -> None:
    words = ["a" * 1_000_000, *["b"] * 1000]

    tracemalloc.start()
    with pytest.raises(ProtocolError, match="not FP32"):
        read(tensor(shape=[1001, 1], data=words))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 1e6


@pytest.mark.parametrize(("size", "came"), [(15, 15), (17, 17), (16, 15), (0, 0), (2**62, 16)])
def test_a_lie_about_the_size_of_binary_data_is_refused(size: int, came: int) -> None:
    with pytest.raises(ProtocolError, match="bytes"):
        read(tensor(data=None, parameters={"binary_data_size": size}), bytes(came))


def test_bytes_that_belong_to_no_tensor_are_refused() -> None:
    with pytest.raises(ProtocolError, match="1 bytes after the JSON belong to no tensor"):
        read(tensor(data=None, parameters={"binary_data_size": 16}), bytes(17))


def test_a_binary_bool_is_0_or_1() -> None:
    announced = tensor(datatype="BOOL", data=None, parameters={"binary_data_size": 4})

    with pytest.raises(ProtocolError, match="not BOOL"):
        read(announced, b"\0\1\2\1", datatype="BOOL")


@pytest.mark.parametrize("datatype", ["BF16", "BYTES", "FP128", ""])
def test_a_datatype_that_no_model_has_is_refused(datatype: str) -> None:
    with pytest.raises(ProtocolError, match=f"value is FP32, not {datatype}"):
        read(tensor(datatype=datatype))


def test_data_twice_is_refused() -> None:
    with pytest.raises(ProtocolError, match="either"):
        read(tensor(parameters={"binary_data_size": 16}), bytes(16))


def test_what_is_refused_is_not_sent_back() -> None:
    secret = "sesame" * 1000

    with pytest.raises(ProtocolError) as caught:
        read_message(InferRequest, orjson.dumps({"inputs": [{"shape": secret}]}), None)

    assert "sesame" not in str(caught.value)


def test_many_faults_make_a_short_message() -> None:
    with pytest.raises(ProtocolError) as caught:
        read_message(InferRequest, json.dumps({"inputs": [{}] * 64}).encode(), None)

    assert len(str(caught.value)) < 1000


def test_data_may_be_nested_or_flat() -> None:
    nested, flat = read(tensor(data=[[1, 2], [3, 4]])), read(tensor())

    assert nested.tolist() == flat.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("datatype", DATATYPES)
@patient
@given(content=st.data())
def test_an_array_comes_through_as_it_was(
    binary: bool, datatype: str, content: st.DataObject
) -> None:
    shapes = arrays.array_shapes(min_dims=1, max_dims=4, max_side=4)
    numbers: dict[str, Any] = {} if binary else {"allow_nan": False, "allow_infinity": False}
    strategy = arrays.arrays(
        DATATYPES[datatype],
        shapes,
        elements=numbers if datatype.startswith("FP") else None,
    )
    sent = content.draw(strategy)

    message = write_message({}, "inputs", {"value": sent}, ["value"] if binary else [])
    received = read_message(
        InferRequest, message.body, str(message.json_length or len(message.body))
    )
    expected = [Tensor("value", datatype, sent.shape)]
    arrived = read_tensors(received.document.inputs, expected, received.binary)["value"]

    assert arrived.dtype == sent.dtype
    np.testing.assert_array_equal(arrived, sent)


def test_an_array_that_is_a_view_comes_through() -> None:
    sent = np.arange(12, dtype=np.float32).reshape(3, 4)[::2, ::-1].T

    for binary in (["value"], []):
        message = write_message({}, "inputs", {"value": sent}, binary)
        received = read_message(
            InferRequest, message.body, str(message.json_length or len(message.body))
        )
        arrived = read_tensors(received.document.inputs, [VALUE], received.binary)["value"]
        np.testing.assert_array_equal(arrived, sent)
