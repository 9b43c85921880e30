"""Requests as clients write them, and as no client should."""

import json
from typing import Any

import numpy as np

from service.inference_protocol.codec import Message, write_message

NUMBERS = {"name": "numbers", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6.5]}
COUNTS = {"name": "counts", "datatype": "INT64", "shape": [2, 2], "data": [1, 2, 3, 4]}
ARRAYS = {
    "numbers": np.array([[1, 2, 3], [4, 5, 6.5]], dtype=np.float32),
    "counts": np.array([[1, 2], [3, 4]]),
}
MODEL = "/v2/models/sums"


def question(*inputs: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A request of JSON, by default one that `sums` can answer."""
    return {"inputs": list(inputs or (NUMBERS, COUNTS)), **members}


def numbers(**changes: Any) -> dict[str, Any]:
    """The first input, with changes; None takes a member away."""
    return {key: value for key, value in {**NUMBERS, **changes}.items() if value is not None}


def counts(**changes: Any) -> dict[str, Any]:
    """The second input, likewise."""
    return {key: value for key, value in {**COUNTS, **changes}.items() if value is not None}


def binary_question(**members: Any) -> Message:
    """The same, all in binary."""
    return write_message(members, "inputs", ARRAYS, ARRAYS)


def binary_body(document: Any, binary: bytes) -> Message:
    """JSON and whatever follows it."""
    head = json.dumps(document).encode()
    return Message(head + binary, len(head))
