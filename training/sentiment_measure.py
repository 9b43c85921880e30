"""What the finished ONNX file does: its accuracy, its speed, and whether neighbours matter."""

import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.sentiment_finetune import padded

LARGEST_BATCH = 32
SHUFFLES = 4
LENGTHS, BATCHES = (16, 64, 256, 512), (1, 8, 32)
REPEATS = 5


def open_model(model: Path | bytes) -> onnxruntime.InferenceSession:
    """A session on one thread, as a worker of the service has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def probabilities_of(
    session: onnxruntime.InferenceSession, texts: Sequence[Sequence[int]]
) -> NDArray[np.float32]:
    """(texts, classes), computed as one batch."""
    ids, mask = padded(texts)
    (probabilities,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
    return np.asarray(probabilities)


def alone(
    session: onnxruntime.InferenceSession, texts: Sequence[Sequence[int]]
) -> NDArray[np.float32]:
    """(texts, classes), every text computed by itself."""
    return np.concatenate([probabilities_of(session, [text]) for text in texts])


def difference_in_batches(
    session: onnxruntime.InferenceSession, texts: Sequence[Sequence[int]], seed: int
) -> float:
    """The largest change of a probability when a text shares a batch of mixed lengths."""
    by_itself, order = alone(session, texts), random.Random(seed)
    largest = 0.0
    for _ in range(SHUFFLES):
        waiting = order.sample(range(len(texts)), len(texts))
        while waiting:
            size = order.randint(2, LARGEST_BATCH)
            batch, waiting = waiting[:size], waiting[size:]
            together = probabilities_of(session, [texts[each] for each in batch])
            largest = max(largest, float(np.abs(together - by_itself[batch]).max()))
    return largest


def print_speed(session: onnxruntime.InferenceSession) -> None:
    """Milliseconds per text, the best of a few runs: one line per length, one column per batch."""
    print("  tokens  " + "".join(f"batch {batch:<4}" for batch in BATCHES) + "  (ms per text)")
    for length in LENGTHS:
        cells = [_milliseconds(session, batch, length) for batch in BATCHES]
        print(f"  {length:6}  " + "".join(f"{cell:<10.2f}" for cell in cells), flush=True)


def _milliseconds(session: onnxruntime.InferenceSession, batch: int, length: int) -> float:
    texts = [[1000 + token for token in range(length)]] * batch
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        probabilities_of(session, texts)
        seconds.append(time.perf_counter() - began)
    return min(seconds) / batch * 1000
