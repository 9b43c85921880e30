"""What waits for one version of a model, and the chunks that are made of it.

Rows wait by lane and by size, and in each such heap in the order in which they are due. A row is
due when it would be ready if one worker had done nothing but its request since that came. So the
hundredth text of a long request lets a short one go first, which came in the meantime.

Nothing here waits or locks: the caller holds the lock.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import NamedTuple, TypeAlias

import numpy as np
from opentelemetry.trace import SpanContext

from service.adapters.model_sessions import Session
from service.adapters.work_estimate import WorkEstimate, kind_of
from service.predictions.domain import Array, Inference, Lane, Manifest, Row

CHUNK_SECONDS = 0.05  # a worker takes on no more than that at once, unless one row is more

_numbers = count()
_Place: TypeAlias = tuple[Lane, int]  # whose turn, and the kind of size


@dataclass(eq=False, slots=True)
class Job:
    """The rows of one request, from its entry until its answer."""

    queue: "InferenceQueue"
    rows: Sequence[Row]
    sizes: Sequence[int]
    deadline: float
    lane: Lane
    most_in_chunk: float
    answer: asyncio.Future[Inference]
    span: SpanContext

    submitted: float = 0.0
    began: float | None = None
    seconds: float = 0.0  # that one worker would need for all rows
    rows_waiting: int = 0  # those that no worker has taken yet
    is_over: bool = False  # answered, or nobody waits for the answer
    parts: "list[Part]" = field(default_factory=list)

    @property
    def seconds_waiting(self) -> float:
        """As `seconds`, for the rows that wait."""
        return self.seconds * self.rows_waiting / len(self.rows)

    def is_complete(self) -> bool:
        """Every row has been computed."""
        return sum(len(part.positions) for part in self.parts) == len(self.rows)

    def inference(self) -> Inference:
        """The answer, when it is complete."""
        order = np.argsort([position for part in self.parts for position in part.positions])
        outputs = {
            name: np.concatenate([part.outputs[name] for part in self.parts])[order]
            for name in self.parts[0].outputs
        }
        began = self.submitted if self.began is None else self.began
        seconds = sum(part.seconds for part in self.parts)
        return Inference(outputs, began - self.submitted, seconds)


class Part(NamedTuple):
    """Those rows of a job that one chunk computed, and their share of its time."""

    positions: Sequence[int]
    outputs: Mapping[str, Array]
    seconds: float


class Waiting(NamedTuple):
    """A row that waits. The first that is due is the least; the number settles who is, of two."""

    due: float
    number: int
    job: Job
    position: int

    @property
    def size(self) -> int:
        """Its elements."""
        return self.job.sizes[self.position]

    @property
    def row(self) -> Row:
        """Its tensors."""
        return self.job.rows[self.position]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Rows of one queue, which a worker computes together."""

    queue: "InferenceQueue"
    kind: int
    rows: Sequence[Waiting]
    elements: int  # with those that fill up shorter rows
    seconds: float  # estimated
    began: float

    @property
    def jobs(self) -> list[Job]:
        """Whose rows they are, each once."""
        return _jobs_of(self.rows)


class InferenceQueue:
    """The rows that wait for `session`; `estimate` has learnt something of it before."""

    def __init__(self, manifest: Manifest, session: Session, estimate: WorkEstimate) -> None:
        self.manifest = manifest
        self.session = session
        self.estimate = estimate
        self._heaps: dict[_Place, list[Waiting]] = {}
        self._elements: dict[_Place, int] = {}

    def seconds_of(self, sizes: Iterable[int], *, at_best: bool = False) -> float:
        """How long one worker would need for inputs of these sizes."""
        seconds = self.estimate.best_seconds if at_best else self.estimate.seconds
        return sum(seconds(kind_of(size), size) for size in sizes)

    def add(self, job: Job, now: float) -> None:
        """Let all its rows wait from now on."""
        job.submitted = due = now
        for position, size in enumerate(job.sizes):
            kind = kind_of(size)
            due += self.estimate.seconds(kind, size)
            place = (job.lane, kind)
            heappush(self._heaps.setdefault(place, []), Waiting(due, next(_numbers), job, position))
            self._elements[place] = self._elements.get(place, 0) + size
        job.seconds, job.rows_waiting = due - now, len(job.rows)

    def remove(self, job: Job) -> int:
        """Take out the rows that still wait; gives their number."""
        removed = 0
        for place in [place for place in self._heaps if place[0] == job.lane]:
            heap = self._heaps[place]
            own = [waiting for waiting in heap if waiting.job is job]
            if own:
                heap[:] = [waiting for waiting in heap if waiting.job is not job]
                heapify(heap)
                self._taken(place, own)
                removed += len(own)
        return removed

    def jobs(self) -> list[Job]:
        """Whose rows wait, each once."""
        return _jobs_of(waiting for heap in self._heaps.values() for waiting in heap)

    def is_empty(self) -> bool:
        """Nothing waits."""
        return not self._heaps

    def rows_waiting(self, lane: Lane) -> int:
        """How many rows there are in this lane."""
        return sum(len(heap) for place, heap in self._heaps.items() if place[0] == lane)

    def seconds_waiting(self, lane: Lane) -> float:
        """How long one worker needs for all rows of this lane."""
        return sum(
            self.estimate.seconds(kind, elements)
            for (of_lane, kind), elements in self._elements.items()
            if of_lane == lane
        )

    def first(self, lane: Lane) -> Waiting | None:
        """The row that is due first."""
        heaps = (heap for place, heap in self._heaps.items() if place[0] == lane)
        return min((heap[0] for heap in heaps), default=None)

    def take(self, first: Waiting, most_rows: int, now: float) -> Chunk:
        """The row which is due first and those of like size after it, for a bounded time."""
        place = (first.job.lane, kind_of(first.size))
        heap, kind = self._heaps[place], place[1]
        taken: list[Waiting] = []
        longest, most = 0, float(most_rows)
        while heap:
            following = heap[0]
            most = min(most, following.job.most_in_chunk)
            elements = max(longest, following.size) * (len(taken) + 1)
            is_short = self.estimate.seconds(kind, elements) <= CHUNK_SECONDS
            is_wanted = following.job.deadline > now
            if taken and not (len(taken) < most and is_short and is_wanted):
                break
            longest = max(longest, following.size)
            taken.append(heappop(heap))
        self._taken(place, taken)
        elements = longest * len(taken)
        seconds = self.estimate.seconds(kind, elements)
        return Chunk(self, kind, taken, elements, seconds, now)

    def _taken(self, place: _Place, rows: Sequence[Waiting]) -> None:
        for waiting in rows:
            self._elements[place] -= waiting.size
            waiting.job.rows_waiting -= 1
        if not self._heaps[place]:
            del self._heaps[place], self._elements[place]


def _jobs_of(rows: Iterable[Waiting]) -> list[Job]:
    return list(dict.fromkeys(waiting.job for waiting in rows))


def unlimited(most_in_chunk: int | None) -> float:
    """The bound that a request sets to its chunks, or none."""
    return inf if most_in_chunk is None else most_in_chunk
