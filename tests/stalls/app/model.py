"""The classic mistake: a handler that tokenizes and runs a model itself, inside `async def`."""

import time
from functools import cache

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # ships no types
from fastapi import APIRouter
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

router = APIRouter(prefix="/model")

_WORDS = ["the", "loop", "waits", "for", "nobody", "but", "everybody", "waits", "for", "it"]
_SENTENCE = " ".join(_WORDS * 10)
_WIDTH, _LAYERS = 256, 12


@router.get("/load")
def load() -> float:
    """How many seconds of CPU time one text takes."""
    predict([_SENTENCE])
    began = time.thread_time()
    predict([_SENTENCE] * 20)
    return (time.thread_time() - began) / 20


@router.get("/predict")
async def mistake(texts: int) -> int:
    return predict([_SENTENCE] * texts)


def predict(texts: list[str]) -> int:
    encoded = tokenizer().encode_batch(texts)  # guilty: model
    ids = np.array([each.ids for each in encoded], dtype=np.int64)
    [scores] = session().run(None, {"ids": ids})  # guilty: model
    return int(scores.argmax())


@cache
def tokenizer() -> Tokenizer:
    vocabulary = {word: number for number, word in enumerate(sorted(set(_WORDS)))}
    made = Tokenizer(WordLevel(vocabulary, unk_token="the"))
    made.pre_tokenizer = Whitespace()
    return made


@cache
def session() -> onnxruntime.InferenceSession:
    """One thread for each request, since there are many of those."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model().SerializeToString(), options)


def model() -> onnx.ModelProto:
    """Embeds words and multiplies them by one matrix after the other."""
    random = np.random.default_rng(7)
    shapes = [(len(set(_WORDS)), _WIDTH), *[(_WIDTH, _WIDTH)] * _LAYERS]
    weights = [random.normal(0, 1 / 16, shape).astype(np.float32) for shape in shapes]
    nodes = [onnx.helper.make_node("Gather", ["weights0", "ids"], ["layer0"])]
    for layer in range(1, _LAYERS + 1):
        inputs = [f"layer{layer - 1}", f"weights{layer}"]
        nodes += [
            onnx.helper.make_node("MatMul", inputs, [f"product{layer}"]),
            onnx.helper.make_node("Tanh", [f"product{layer}"], [f"layer{layer}"]),
        ]
    graph = onnx.helper.make_graph(
        nodes,
        "mistake",
        [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, [None, None])],
        [onnx.helper.make_tensor_value_info(f"layer{_LAYERS}", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(each, f"weights{n}") for n, each in enumerate(weights)],
    )
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
