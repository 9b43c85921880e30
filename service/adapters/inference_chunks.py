"""Computes one chunk, so that what is wrong with one request is no other's fault."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import structlog

from service.adapters.inference_queue import InferenceQueue, Job, Part, Waiting
from service.adapters.model_inputs import batch_of
from service.predictions.domain import Array, ModelInputError, ModelUnavailableError

log = structlog.get_logger()

_ByJob: TypeAlias = dict[Job, list[int]]  # whose the rows are, by their places in the chunk


@dataclass(frozen=True, slots=True)
class Computed:
    """What became of rows that were computed together."""

    rows: Sequence[Waiting]
    outputs: Mapping[str, Array] | Exception
    seconds: float

    def parts(self) -> Iterator[tuple[Job, Part | Exception]]:
        """Each request's share."""
        for job, places in _by_job(self.rows).items():
            if isinstance(self.outputs, Exception):
                yield job, self.outputs
                continue
            outputs = {name: array[places] for name, array in self.outputs.items()}
            if all(np.isfinite(array).all() for array in outputs.values()):
                positions = [self.rows[place].position for place in places]
                yield job, Part(positions, outputs, self.seconds * len(places) / len(self.rows))
            else:
                yield job, ModelUnavailableError("The model found no number to answer with.")


def compute(queue: InferenceQueue, rows: Sequence[Waiting]) -> list[Computed]:
    """Compute rows together; if that fails, each request's by themselves. Raises nothing."""
    began = time.perf_counter()
    try:
        outputs = queue.session.run(batch_of([waiting.row for waiting in rows]))
        _check(queue, outputs, len(rows))
    except Exception as error:  # noqa: BLE001  # a session may raise anything
        by_job = _by_job(rows)
        if len(by_job) > 1:
            own = ([rows[place] for place in places] for places in by_job.values())
            return [each for those in own for each in compute(queue, those)]
        return [Computed(rows, _reason(queue, error), time.perf_counter() - began)]
    return [Computed(rows, outputs, time.perf_counter() - began)]


def _check(queue: InferenceQueue, outputs: Mapping[str, Array], rows: int) -> None:
    for tensor in queue.manifest.outputs:
        if outputs[tensor.name].shape != (rows, *tensor.shape[1:]):
            raise ModelUnavailableError(f"{tensor.name}: the model gave another shape.")


def _reason(queue: InferenceQueue, error: Exception) -> Exception:
    """What the request is told; the log has the rest."""
    if isinstance(error, ModelInputError):
        return error
    log.error(
        "inference_failed",
        model=queue.manifest.name,
        model_version=queue.manifest.version,
        exc_info=error,
    )
    if isinstance(error, ModelUnavailableError):
        return error
    return ModelUnavailableError("The model could not compute it.")


def _by_job(rows: Sequence[Waiting]) -> _ByJob:
    by_job: _ByJob = {}
    for place, waiting in enumerate(rows):
        by_job.setdefault(waiting.job, []).append(place)
    return by_job
