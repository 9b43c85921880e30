"""What an exported model answers, run as the service runs it: on one thread, on the CPU."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[Any]

LEAST_TOLERANCE = 1e-5  # other processors add up in other orders
SIZES = (2, 3, 8, 17, 32, 64)


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """Open an exported model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def answers_of(session: onnxruntime.InferenceSession, rows: Array) -> dict[str, Array]:
    """Every output for the rows of its only input, computed by a few hundred."""
    (given,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    parts = np.array_split(rows, len(rows) // 500 + 1)
    answers = [session.run(names, {given.name: part}) for part in parts]
    return {
        name: np.concatenate([answer[place] for answer in answers])
        for place, name in enumerate(names)
    }


def batch_tolerance(session: onnxruntime.InferenceSession, rows: Array) -> float:
    """Three times the largest difference seen between a row alone and the same in a batch."""
    rows = rows[: max(SIZES)]
    alone = [answers_of(session, rows[place : place + 1]) for place in range(len(rows))]
    largest = 0.0
    for size in SIZES:
        for name, batched in answers_of(session, rows[:size]).items():
            one_by_one = np.concatenate([answer[name] for answer in alone[:size]])
            largest = max(largest, float(np.abs(one_by_one - batched).max()))
    return max(LEAST_TOLERANCE, float(f"{3 * largest:.0e}"))
