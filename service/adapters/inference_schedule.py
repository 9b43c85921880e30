"""Who is let in, and what is computed next, over the queues of all models.

An accepted request is answered in time: nobody is let in whose own work, or whom an earlier one's
deadline, would not allow it, as far as the estimates are right. Nothing here waits or locks.
"""

from math import ceil

from service.adapters.inference_queue import CHUNK_SECONDS, Chunk, InferenceQueue, Job, Waiting
from service.predictions.domain import DeadlineExceededError, Lane, QueueFullError

_MARGIN = 1.25  # of the estimated time: the machine is not ours alone


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
        if self._is_full_for(job) or not self._is_in_time(job, now):
            raise QueueFullError(max(1, ceil(self._backlog_seconds(job.lane) / self._workers)))
        job.queue.add(job, now)
        self._busy[job.queue] = None
        if job.seconds > CHUNK_SECONDS:
            self._long[job] = None

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

    def finish(self, chunk: Chunk) -> None:
        """A chunk is no longer being computed."""
        del self._running[chunk]
        for job in chunk.jobs:
            if job.is_complete():
                self._long.pop(job, None)

    def jobs(self) -> list[Job]:
        """All that wait, each once."""
        return [job for queue in self._busy for job in queue.jobs()]

    def _settle(self, queue: InferenceQueue) -> None:
        if queue.is_empty():
            self._busy.pop(queue, None)

    def _is_full_for(self, job: Job) -> bool:
        """A request larger than the queue has to wait until that is empty, not for ever."""
        ahead = sum(job.queue.rows_waiting(lane) for lane in Lane if lane <= job.lane)
        return ahead > 0 and ahead + len(job.rows) > self._most_rows

    def _is_in_time(self, job: Job, now: float) -> bool:
        # Judged by the best that was seen where nothing else is in the way, so that one slow
        # time cannot lock a request out for ever.
        is_idle = not self._busy and not self._running
        own = job.queue.seconds_of(job.sizes, at_best=is_idle)
        backlog = self._backlog_seconds(job.lane)
        ahead = backlog - sum(_after(job, own, now, other) for other in self._long)
        alone = (ahead + own) / self._workers + min(own, CHUNK_SECONDS)
        return alone * _MARGIN <= job.deadline - now and all(
            (backlog + own) / self._workers <= other.deadline - now
            for other in self._long
            if other.lane == job.lane
        )

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
