"""The threads on which models compute, so that the event loop never does."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeAlias

from service.adapters.inference_chunks import Computed, compute
from service.adapters.inference_queue import Chunk, InferenceQueue, Job, unlimited
from service.adapters.inference_schedule import InferenceSchedule
from service.adapters.inference_spans import chunk_span, current_span
from service.adapters.model_inputs import check_rows, size_of
from service.adapters.thread_priority import Niceness, step_back
from service.metrics import ModelMetrics
from service.predictions.domain import (
    DeadlineExceededError,
    Inference,
    Lane,
    ModelUnavailableError,
    QueueFullError,
    Row,
)

_Answer: TypeAlias = tuple[Job, Inference | Exception]


class InferenceThreads:
    """Workers for all models, opened and closed on the event loop that asks them.

    Closing waits for the chunks that are being computed; what waits then is not computed.
    """

    def __init__(self, metrics: ModelMetrics, *, workers: int, most_rows: int) -> None:
        self._metrics = metrics
        self._schedule = InferenceSchedule(workers, most_rows=most_rows)
        self._changed = threading.Condition()  # its lock guards all that the schedule knows
        self._idle = 0
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{number}", daemon=True)
            for number in range(workers)
        ]

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closing = True
            left = self._schedule.jobs()
            for job in left:
                self._schedule.remove(job)
            self._changed.notify_all()
        _deliver([(job, ModelUnavailableError("The service shuts down.")) for job in left])
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    async def infer(
        self,
        queue: InferenceQueue,
        rows: Sequence[Row],
        *,
        deadline: float,
        lane: Lane,
        most_in_chunk: int | None,
    ) -> Inference:
        """Compute rows, as `ports.Model` says."""
        check_rows(queue.manifest, rows)
        job = Job(
            queue,
            rows,
            [size_of(row) for row in rows],
            deadline,
            lane,
            unlimited(most_in_chunk),
            self._loop.create_future(),
            current_span(),
        )
        self._submit(job)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await job.answer
        except TimeoutError:
            self._withdraw(job, "deadline_exceeded")
            raise DeadlineExceededError("The model did not answer in time.") from None
        except asyncio.CancelledError:
            self._withdraw(job, "cancelled")
            raise

    def check_room(self, queue: InferenceQueue, rows: int, lane: Lane) -> None:
        """Before inputs are made ready. Raises QueueFullError where `infer` would."""
        with self._changed, self._counting(queue, rows):
            self._schedule.check_room(queue, rows, lane)

    def show_waiting(self, queue: InferenceQueue) -> None:
        """In `ml_queued_rows`; that a queue is empty is to be seen before anything was in it."""
        waiting = sum(queue.rows_waiting(lane) for lane in Lane)
        self._metrics.queued_rows.labels(*_labels(queue)).set(waiting)

    def _submit(self, job: Job) -> None:
        with self._changed:
            if self._closing:
                raise ModelUnavailableError("The service shuts down.")
            with self._counting(job.queue, len(job.rows)):
                self._schedule.add(job, time.monotonic())
            self.show_waiting(job.queue)
            self._changed.notify(len(job.rows))

    def _withdraw(self, job: Job, outcome: str) -> None:
        """Compute no more of it than is being computed already."""
        with self._changed:
            self._reject(job.queue, self._schedule.remove(job), outcome)
            self.show_waiting(job.queue)

    def _work(self) -> None:
        step_back(Niceness.COMPUTING)
        while chunk := self._next_chunk():
            spans = [job.span for job in chunk.jobs]
            with chunk_span(chunk.queue.manifest, len(chunk.rows), spans):
                computed = compute(chunk.queue, chunk.rows)
            self._count(chunk, computed)
            self._post(self._finish(chunk, computed))

    def _next_chunk(self) -> Chunk | None:
        """Wait for work; None when there will be no more."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                first = self._schedule.first()
                if first is None:
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                elif first.job.deadline <= now:
                    self._expire(first.job)
                else:
                    return self._begin(self._schedule.take(first, self._idle + 1, now))
        return None

    def _begin(self, chunk: Chunk) -> Chunk:
        self.show_waiting(chunk.queue)
        for job in chunk.jobs:
            if job.began is None:
                job.began = chunk.began
                waited = job.began - job.submitted
                self._metrics.queue_wait.labels(*_labels(chunk.queue)).observe(waited)
        return chunk

    def _expire(self, job: Job) -> None:
        """The loop is late: its own clock would have withdrawn the request."""
        self._reject(job.queue, self._schedule.remove(job), "deadline_exceeded")
        self.show_waiting(job.queue)
        self._post([(job, DeadlineExceededError("The model did not answer in time."))])

    def _finish(self, chunk: Chunk, computed: Sequence[Computed]) -> list[_Answer]:
        answers: list[_Answer] = []
        with self._changed:
            for job, part in (part for each in computed for part in each.parts()):
                if job.is_over:
                    continue
                if isinstance(part, Exception):
                    self._schedule.remove(job)
                    answers.append((job, part))
                else:
                    job.parts.append(part)
            is_right = not any(isinstance(each.outputs, Exception) for each in computed)
            self._schedule.finish(chunk, time.monotonic(), is_right=is_right)
            complete = [job for job in chunk.jobs if not job.is_over and job.is_complete()]
            for job in complete:
                job.is_over = True
        return answers + [(job, job.inference()) for job in complete]

    def _post(self, answers: Sequence[_Answer]) -> None:
        if answers:
            self._loop.call_soon_threadsafe(_deliver, answers)

    def _count(self, chunk: Chunk, computed: Sequence[Computed]) -> None:
        labels = _labels(chunk.queue)
        for each in computed:
            self._metrics.inference_duration.labels(*labels).observe(each.seconds)
            self._metrics.batch_size.labels(*labels).observe(len(each.rows))
            self._metrics.rows.labels(*labels).inc(len(each.rows))

    @contextmanager
    def _counting(self, queue: InferenceQueue, rows: int) -> Iterator[None]:
        try:
            yield
        except QueueFullError:
            self._reject(queue, rows, "queue_full")
            raise

    def _reject(self, queue: InferenceQueue, rows: int, outcome: str) -> None:
        self._metrics.rejected.labels(*_labels(queue), outcome).inc(rows)


def _labels(queue: InferenceQueue) -> tuple[str, str]:
    return queue.manifest.name, queue.manifest.version


def _deliver(answers: Sequence[_Answer]) -> None:
    """On the event loop."""
    for job, answer in answers:
        if job.answer.done():
            continue
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)
