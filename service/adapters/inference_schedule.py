"""Who is let in, and what is computed next, over the queues of all models.

An accepted request is answered in time: nobody is let in whose own work, or whom an earlier one's
deadline, would not allow it, as far as the estimates are right. Nothing here waits or locks.
"""

from math import ceil

from service.adapters.inference_queue import CHUNK_SECONDS, Chunk, InferenceQueue, Job, Waiting
from service.predictions.domain import DeadlineExceededError, Lane, QueueFullError

# How much longer than estimated it may take: the machine is not ours alone. What was promised is
# kept at a smaller one, or a long request would shut out all others until it is done.
_MARGIN = 1.25
_MARGIN_OF_PROMISES = 1.1


class InferenceSchedule:
    """The work of `workers` that compute one chunk each at a time."""

    def __init__(self, workers: int, *, most_rows: int) -> None:
        self._workers = workers
        self._most_rows = most_rows
        self._busy: dict[InferenceQueue, None] = {}  # those in which something waits, in order
        self._long: dict[Job, None] = {}  # those of more than a chunk, which others may overtake
        self._running: dict[Chunk, None] = {}

    def add(self, job: Job, now: float) -> None:
        """Let a request wait. Raises DeadlineExceededError, QueueFullError."""
        if job.deadline <= now:
            raise DeadlineExceededError("The time for the answer is over.")
        self.check_room(job.queue, len(job.rows), job.lane)
        if not self._is_in_time(job, now):
            raise self._full(job.lane)
        job.queue.add(job, now)
        self._busy[job.queue] = None
        if job.seconds > CHUNK_SECONDS:
            self._long[job] = None

    def check_room(self, queue: InferenceQueue, rows: int, lane: Lane) -> None:
        """Raises QueueFullError. What is larger than the queue waits until that is empty."""
        ahead = sum(queue.rows_waiting(each) for each in Lane if each <= lane)
        if ahead > 0 and ahead + rows > self._most_rows:
            raise self._full(lane)

    def remove(self, job: Job) -> int:
        """Take out what still waits of it; gives the number of rows."""
        job.is_over = True
        removed = job.queue.remove(job)
        self._settle(job.queue)
        self._long.pop(job, None)
        return removed

    def first(self) -> Waiting | None:
        """Whose turn it is."""
        for lane in Lane:
            heads = (queue.first(lane) for queue in self._busy)
            if first := min((head for head in heads if head is not None), default=None):
                return first
        return None

    def take(self, first: Waiting, idle_workers: int, now: float) -> Chunk:
        """What a worker shall compute, of whom `idle_workers` have nothing to do, itself included.

        The rows that wait are shared among them.
        """
        waiting = sum(queue.rows_waiting(first.job.lane) for queue in self._busy)
        chunk = first.job.queue.take(first, ceil(waiting / idle_workers), now)
        self._running[chunk] = None
        self._settle(chunk.queue)
        return chunk

    def finish(self, chunk: Chunk, now: float, *, is_right: bool = True) -> None:
        """A worker is free again; how long that took tells what the next chunk will take."""
        del self._running[chunk]
        if is_right:
            chunk.queue.estimate.learn(chunk.kind, chunk.elements, now - chunk.began)
        for job in chunk.jobs:
            if job.is_complete():
                self._long.pop(job, None)

    def jobs(self) -> list[Job]:
        """All that wait, each once."""
        return [job for queue in self._busy for job in queue.jobs()]

    def _settle(self, queue: InferenceQueue) -> None:
        if queue.is_empty():
            self._busy.pop(queue, None)

    def _is_in_time(self, job: Job, now: float) -> bool:
        # Judged by the best that was seen where nothing else is in the way, so that one slow
        # time cannot lock a request out for ever.
        is_idle = not self._busy and not self._running
        own = job.queue.seconds_of(job.sizes, at_best=is_idle)
        backlog = self._backlog_seconds(job.lane)
        ahead = backlog - sum(_after(job, own, now, other) for other in self._long)
        # Who waits may find itself in a chunk with others.
        last_chunk = min(own, CHUNK_SECONDS) if is_idle else CHUNK_SECONDS
        seconds = (ahead + own) / self._workers + last_chunk
        return seconds * _MARGIN <= job.deadline - now and all(
            (backlog + own) / self._workers * _MARGIN_OF_PROMISES <= other.deadline - now
            for other in self._long
            if other.lane == job.lane
        )

    def _full(self, lane: Lane) -> QueueFullError:
        return QueueFullError(max(1, ceil(self._backlog_seconds(lane) / self._workers)))

    def _backlog_seconds(self, lane: Lane) -> float:
        """What one worker would have to do before whoever comes last in this lane."""
        running = sum(chunk.seconds for chunk in self._running)
        return running + sum(
            queue.seconds_waiting(each) for queue in self._busy for each in Lane if each <= lane
        )


def _after(job: Job, own_seconds: float, now: float, other: Job) -> float:
    """How much of the other's work is due later than this job's last row."""
    if other.lane != job.lane:
        return 0.0
    other_is_at = other.submitted + other.seconds - other.seconds_waiting
    before = min(max(0.0, now + own_seconds - other_is_at), other.seconds_waiting)
    return other.seconds_waiting - before
