"""From verified files to a model that has shown that it computes what its manifest says."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.adapters.inference_queue import InferenceQueue
from service.adapters.inference_threads import InferenceThreads
from service.adapters.model_folders import WEIGHTS, ModelFolder
from service.adapters.model_inputs import check_rows, size_of
from service.adapters.model_sessions import OpenSession, Session
from service.adapters.work_estimate import WorkEstimate, kind_of
from service.predictions.domain import (
    Array,
    Example,
    Inference,
    Lane,
    Manifest,
    Row,
    Tensor,
)


class LoadedModel:
    """A version that serves, on the threads of all; dropped, it is freed with its last request."""

    def __init__(self, folder: ModelFolder, queue: InferenceQueue, threads: InferenceThreads):
        self.manifest = folder.manifest
        self.sha256 = folder.sha256
        self._assets = {name: file for name, file in folder.files.items() if name != WEIGHTS}
        self._queue = queue
        self._threads = threads

    def asset(self, name: str) -> bytes:
        """A file of the model other than its weights."""
        return self._assets[name]

    def reads_like(self, other: "LoadedModel") -> bool:
        """Rows made for the one are rows for the other."""
        return self.manifest.inputs == other.manifest.inputs and self._assets == other._assets

    def check_room(self, rows: int, lane: Lane = Lane.REQUEST) -> None:
        """Before rows are made of inputs. Raises QueueFullError where `infer` would."""
        self._threads.check_room(self._queue, rows, lane)

    async def infer(
        self,
        rows: Sequence[Row],
        *,
        deadline: float,
        lane: Lane = Lane.REQUEST,
        most_in_chunk: int | None = None,
    ) -> Inference:
        """As `ports.Model` says."""
        return await self._threads.infer(
            self._queue, rows, deadline=deadline, lane=lane, most_in_chunk=most_in_chunk
        )


def load(folder: ModelFolder, open_session: OpenSession, threads: InferenceThreads) -> LoadedModel:
    """Open, warm up and test; blocks. Raises ModelFolderError, ModelUnavailableError."""
    session = open_session(folder)
    estimate = WorkEstimate()
    for example in folder.manifest.self_test:
        try:
            _try(session, folder.manifest, example, estimate)
        except (TypeError, ValueError, KeyError) as error:
            raise folder.error(f"self_test: {error}") from error
    queue = InferenceQueue(folder.manifest, session, estimate)
    threads.show_waiting(queue)
    return LoadedModel(folder, queue, threads)


def _try(session: Session, manifest: Manifest, example: Example, estimate: WorkEstimate) -> None:
    inputs = _arrays(manifest.inputs, example.inputs)
    rows = [
        {name: array[position] for name, array in inputs.items()}
        for position in range(min(len(array) for array in inputs.values()))
    ]
    check_rows(manifest, rows)
    session.run(inputs)  # the first time is no measure
    began = time.perf_counter()
    outputs = session.run(inputs)
    seconds = time.perf_counter() - began
    estimate.learn(kind_of(size_of(rows[0])), sum(map(size_of, rows)), seconds)
    for name, expected in _arrays(manifest.outputs, example.outputs).items():
        _compare(name, outputs[name], expected, manifest.tolerance)


def _arrays(tensors: Sequence[Tensor], written: Mapping[str, Any]) -> dict[str, Array]:
    """Raises KeyError, and ValueError for what is no array."""
    return {tensor.name: np.asarray(written[tensor.name], tensor.dtype) for tensor in tensors}


def _compare(name: str, found: Array, expected: Array, tolerance: float) -> None:
    """Raises ValueError."""
    if found.shape != expected.shape:
        raise ValueError(f"{name} has the shape {found.shape}, not {expected.shape}")
    difference = np.abs(found - expected).max(initial=0.0)
    if not difference <= tolerance:  # nor if it is no number
        raise ValueError(f"{name} differs by {difference:.2g}, more than {tolerance:.2g}")
