"""Bodies in JSON that no client should send: mutated ones, and some that parsers choke on."""

import copy
import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

from tests.integration.mutations import mutated
from tests.integration.predicting import FEATURES, Question, text_of

INFER = "/v2/models/tabular/infer"

_DOCUMENTS: dict[str, Any] = {
    "/predict": {"features": FEATURES, "model_version": "v1.0", "confidence_threshold": 0.5},
    "/predict/sentiment": {
        "texts": [text_of(5, number) for number in range(4)],
        "return_probabilities": True,
        "batch_size": 8,
    },
    INFER: {
        "id": "42",
        "parameters": {"timeout": 10_000_000},
        "inputs": [{"name": "features", "shape": [1, 10], "datatype": "FP32", "data": FEATURES}],
        "outputs": [{"name": "probabilities"}],
    },
}
_ODD: tuple[Any, ...] = (
    *(None, True, "", "1", "\x00", "\ud800", "é" * 10, "x" * 20_000, [], [[]], {}, {"a": 1}),
    *(-1, 0, 1.5, 2**63, -(10**20), 10**400, 1e308, float("nan"), float("inf"), [1] * 2000),
)


def broken_json(how_many: int) -> Iterator[Question]:
    """Bodies with something wrong in their bytes, or in what they say; always the same ones."""
    dice = random.Random(1)
    for number in range(how_many):
        path, document = dice.choice(list(_DOCUMENTS.items()))
        if number % 2:
            odd = copy.deepcopy(document)
            _make_odd(dice, odd)
            yield Question(path, json.dumps(odd).encode())
        else:
            written = json.dumps(document).encode()
            yield Question(path, mutated(dice, written, written))


def hostile_json() -> dict[str, Question]:
    """By name; most are as long as a body may be."""
    many = 300_000
    deep = b"[" * many
    return {
        "deep": Question("/predict", b'{"features": ' + deep),
        "deep and closed": Question("/predict", b'{"features": ' + deep + b"]" * many + b"}"),
        "deep objects": Question("/predict/sentiment", b'{"texts":' * 100_000),
        "a long number": Question("/predict", b'{"features": [' + b"9" * many + b"]}"),
        "a long name": Question.of("/predict", features=FEATURES, model_version="v" * many),
        "many fields": Question.of("/predict", **{str(each): 1 for each in range(50_000)}),
        "many texts": Question("/predict/sentiment", b'{"texts":[' + b"1," * many + b"1]}"),
        "compressed": Question("/predict", gzip.compress(bytes(10_000_000))),
        "nothing": Question("/predict", b""),
        "no JSON": Question("/predict", b"features=1", "application/x-www-form-urlencoded"),
        "many tensors": Question(INFER, b'{"inputs":[' + b"{}," * many + b"{}]}"),
        "a deep tensor": _tensor(deep + b"]" * many),
        "a ragged tensor": _tensor(b"[" + b"[]," * many + b"[]]"),
        "a long tensor": _tensor(b"[" + b"1," * many + b"1]"),
        "a huge shape": _tensor(b"[1]", shape=b"[1000000000000000000, 10]"),
        "a shape of many": _tensor(b"[1]", shape=b"[" + b"1," * many + b"1]"),
    }


def _tensor(data: bytes, shape: bytes = b"[1, 10]") -> Question:
    tensor = b'{"name":"features","datatype":"FP32","shape":%b,"data":%b}' % (shape, data)
    return Question(INFER, b'{"inputs":[%b]}' % tensor)


def _make_odd(dice: random.Random, document: Any) -> None:
    """Change, add or take away one thing, somewhere."""
    while True:
        places = list(document) if isinstance(document, dict) else list(range(len(document)))
        place = dice.choice(places)
        inside = document[place]
        if not (isinstance(inside, dict | list) and inside and dice.random() < 0.7):
            break
        document = inside
    change = dice.randrange(4)
    if change == 0:
        del document[place]
    elif change == 1 and isinstance(document, dict):
        document[dice.choice(("model", "__class__", "", "inputs", "text"))] = dice.choice(_ODD)
    elif change == 1:
        document.insert(place, dice.choice(_ODD))
    else:
        document[place] = dice.choice(_ODD)
