"""The shipped sentiment model keeps what its manifest promises."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

import service

FOLDER = Path(service.__file__).parent / "models" / "sentiment_analysis" / "v1.0"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
SENTENCE = "we liked the soup but not how long it took them to bring a spoon and then the bill "


@pytest.fixture(name="session", scope="module")
def open_session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = str(FOLDER / "model.onnx")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@pytest.fixture(name="tokenizer", scope="module")
def open_tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(FOLDER / "tokenizer.json"))


def answered(session: Any, texts: list[list[int]]) -> NDArray[np.float32]:
    longest = max(map(len, texts))
    ids = np.array([text + [0] * (longest - len(text)) for text in texts], np.int64)
    mask = np.array([[1] * len(text) + [0] * (longest - len(text)) for text in texts], np.int64)
    return np.asarray(session.run(None, {"input_ids": ids, "attention_mask": mask})[0])


def test_a_text_is_answered_alike_alone_and_in_any_batch(session: Any, tokenizer: Any) -> None:
    texts = [tokenizer.encode((SENTENCE * 3)[:length]).ids for length in range(2, 200, 6)]

    together = answered(session, texts)

    alone = np.concatenate([answered(session, [text]) for text in texts])
    assert np.abs(together - alone).max() <= MANIFEST["batch_tolerance"]


def test_the_longest_text_is_answered(session: Any) -> None:
    longest = answered(session, [[1000] * MANIFEST["max_tokens"]])

    assert longest.sum() == pytest.approx(1, abs=1e-5)


def test_the_tokenizer_neither_cuts_nor_pads(tokenizer: Any) -> None:
    short, long = tokenizer.encode_batch(["soup", SENTENCE * 40])

    assert len(short.ids) == 3
    assert len(long.ids) > MANIFEST["max_tokens"]


@pytest.mark.parametrize("stored", MANIFEST["self_test"])
def test_the_stored_answers_are_given(session: Any, stored: dict[str, Any]) -> None:
    inputs = {name: np.array(value, np.int64) for name, value in stored["inputs"].items()}

    (probabilities,) = session.run(None, inputs)

    expected = np.array(stored["outputs"]["probabilities"])
    assert np.abs(probabilities - expected).max() <= MANIFEST["tolerance"]
