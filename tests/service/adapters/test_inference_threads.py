"""Models compute on threads of their own: in time or not at all, and only for who still waits."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping

import numpy as np
import pytest
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from service.adapters.inference_queue import InferenceQueue
from service.adapters.inference_threads import InferenceThreads
from service.metrics import ModelMetrics
from service.predictions.domain import (
    Array,
    DeadlineExceededError,
    Inference,
    Lane,
    ModelInputError,
    ModelUnavailableError,
    QueueFullError,
    Row,
)
from tests.service.adapters.conftest import PATIENCE_SECONDS, eventually
from tests.service.adapters.small_models import (
    FirstTokens,
    HeldSession,
    queue_of,
    text,
    text_manifest,
)

MOST_ROWS = 8


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def worker(registry: CollectorRegistry) -> AsyncIterator[InferenceThreads]:
    """One thread."""
    async with InferenceThreads(ModelMetrics(registry), workers=1, most_rows=MOST_ROWS) as threads:
        yield threads


@pytest.fixture
def held() -> HeldSession:
    """A session that computes nothing until it is let go."""
    return HeldSession()


async def infer(
    threads: InferenceThreads,
    queue: InferenceQueue,
    *rows: Row,
    seconds: float = PATIENCE_SECONDS,
    lane: Lane = Lane.REQUEST,
    most_in_chunk: int | None = None,
) -> Inference:
    deadline = time.monotonic() + seconds
    return await threads.infer(
        queue, rows, deadline=deadline, lane=lane, most_in_chunk=most_in_chunk
    )


def firsts(inference: Inference) -> list[int]:
    """The texts' first tokens, which is what they are answered with."""
    return [int(each) for each in inference.probabilities[:, 0]]


def rejected(registry: CollectorRegistry, outcome: str) -> float:
    labels = {"model": "texts", "model_version": "v1.0", "outcome": outcome}
    return registry.get_sample_value("ml_rejected_total", labels) or 0


def value(registry: CollectorRegistry, name: str) -> float:
    labels = {"model": "texts", "model_version": "v1.0"}
    return registry.get_sample_value(name, labels) or 0


async def test_a_cancelled_request_is_not_computed(
    worker: InferenceThreads, registry: CollectorRegistry, held: HeldSession
) -> None:
    queue = queue_of(held)
    running = asyncio.create_task(infer(worker, queue, text(2, first=1)))
    await eventually(lambda: held.firsts == [[1]])
    gone = asyncio.create_task(infer(worker, queue, text(2, first=2), text(9, first=3)))
    stays = asyncio.create_task(infer(worker, queue, text(2, first=4)))
    await eventually(lambda: value(registry, "ml_queued_rows") == 3)

    gone.cancel()
    await asyncio.wait([gone])
    held.let_go()

    assert firsts(await running) == [1]
    assert firsts(await stays) == [4]
    assert held.firsts == [[1], [4]]
    assert rejected(registry, "cancelled") == 2
    assert value(registry, "ml_computed_rows_total") == 2
    assert value(registry, "ml_queued_rows") == 0


async def test_who_goes_while_being_computed_harms_nobody(
    worker: InferenceThreads, registry: CollectorRegistry, held: HeldSession
) -> None:
    queue = queue_of(held)
    gone = asyncio.create_task(infer(worker, queue, text(2), text(50)))
    await eventually(lambda: len(held.batches) == 1)

    gone.cancel()
    await asyncio.wait([gone])
    held.let_go()

    assert firsts(await infer(worker, queue, text(2, first=7))) == [7]
    assert rejected(registry, "cancelled") == 1
    assert value(registry, "ml_computed_rows_total") == 2


async def test_a_deadline_that_passes_while_waiting_is_kept(
    worker: InferenceThreads, registry: CollectorRegistry, held: HeldSession
) -> None:
    queue = queue_of(held)
    running = asyncio.create_task(infer(worker, queue, text(2, first=1)))
    await eventually(lambda: held.firsts == [[1]])

    with pytest.raises(DeadlineExceededError):
        await infer(worker, queue, text(2, first=2), text(2, first=3), seconds=0.2)
    held.let_go()
    await running

    assert held.firsts == [[1]]
    assert rejected(registry, "deadline_exceeded") == 2


async def test_a_late_loop_has_nothing_computed_whose_time_is_over(
    worker: InferenceThreads, registry: CollectorRegistry
) -> None:
    session, entered, go_on = FirstTokens(), threading.Event(), threading.Event()

    class UntilLate(FirstTokens):
        def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
            entered.set()
            go_on.wait(PATIENCE_SECONDS)
            return super().run(inputs)

    queue, other = queue_of(UntilLate()), queue_of(session)
    running = asyncio.create_task(infer(worker, queue, text(2)))
    await asyncio.to_thread(entered.wait)
    late = asyncio.create_task(infer(worker, other, text(2), seconds=0.2))
    await asyncio.sleep(0)

    time.sleep(0.2)  # noqa: ASYNC251  # the loop is held up, as it should never be
    go_on.set()
    while not rejected(registry, "deadline_exceeded") and not session.firsts:
        time.sleep(0.001)  # noqa: ASYNC251  # it still is

    with pytest.raises(DeadlineExceededError):
        await late
    await running
    assert session.firsts == []
    assert rejected(registry, "deadline_exceeded") == 1


async def test_a_deadline_in_the_past_is_refused_at_once(
    worker: InferenceThreads, held: HeldSession
) -> None:
    with pytest.raises(DeadlineExceededError):
        await infer(worker, queue_of(held), text(2), seconds=-1)

    assert held.firsts == []


async def test_a_full_queue_refuses_at_once(
    worker: InferenceThreads, registry: CollectorRegistry, held: HeldSession
) -> None:
    queue = queue_of(held)
    accepted = [asyncio.create_task(infer(worker, queue, text(2, first=1)))]
    await eventually(lambda: held.firsts == [[1]])
    accepted.append(asyncio.create_task(infer(worker, queue, *[text(2)] * MOST_ROWS)))
    await eventually(lambda: value(registry, "ml_queued_rows") == MOST_ROWS)

    with pytest.raises(QueueFullError) as refused:
        await infer(worker, queue, text(2), text(2))
    held.let_go()

    assert refused.value.retry_after_seconds >= 1
    assert rejected(registry, "queue_full") == 2
    assert [len(each.probabilities) for each in await asyncio.gather(*accepted)] == [1, MOST_ROWS]


async def test_who_has_no_room_may_know_before_making_inputs_ready(
    worker: InferenceThreads, registry: CollectorRegistry, held: HeldSession
) -> None:
    queue = queue_of(held)
    worker.check_room(queue, 2 * MOST_ROWS, Lane.REQUEST)
    running = asyncio.create_task(infer(worker, queue, text(2, first=1)))
    await eventually(lambda: held.firsts == [[1]])
    waiting = asyncio.create_task(infer(worker, queue, text(2)))
    await eventually(lambda: value(registry, "ml_queued_rows") == 1)

    worker.check_room(queue, MOST_ROWS - 1, Lane.REQUEST)
    with pytest.raises(QueueFullError):
        worker.check_room(queue, MOST_ROWS, Lane.REQUEST)
    held.let_go()
    await asyncio.gather(running, waiting)

    assert rejected(registry, "queue_full") == MOST_ROWS


async def test_inputs_that_the_model_does_not_take_never_wait(
    worker: InferenceThreads, held: HeldSession
) -> None:
    with pytest.raises(ModelInputError):
        await infer(worker, queue_of(held), {"input_ids": np.ones(3, np.float32)})

    assert held.firsts == []


class Refusing(FirstTokens):
    """Refuses every batch with a 13 in it."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        if 13 in inputs["input_ids"]:
            raise self._error
        return super().run(inputs)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModelInputError("no 13"), ModelInputError),
        (ModelUnavailableError("gone"), ModelUnavailableError),
        (RuntimeError("a bug"), ModelUnavailableError),
    ],
)
async def test_what_is_wrong_with_one_request_is_no_others_fault(
    worker: InferenceThreads, held: HeldSession, error: Exception, told: type[Exception]
) -> None:
    running = asyncio.create_task(infer(worker, queue_of(held), text(1)))
    await eventually(lambda: held.firsts == [[1]])
    queue = queue_of(Refusing(error))
    good, bad, fine = (
        asyncio.create_task(infer(worker, queue, text(2, first=first), text(2, first=first)))
        for first in (12, 13, 14)
    )
    await asyncio.sleep(0)

    held.let_go()

    await running
    assert firsts(await good) == [12, 12]
    assert firsts(await fine) == [14, 14]
    with pytest.raises(told):
        await bad


class Strange(FirstTokens):
    """Answers a 13 with something that is no number, and a 14 with one row less."""

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        probabilities = super().run(inputs)["probabilities"]
        probabilities[probabilities == 13] = np.nan
        return {"probabilities": probabilities[: -1 if 14 in probabilities else None]}


@pytest.mark.parametrize("first", [13, 14])
async def test_an_answer_that_is_not_usable_is_none(worker: InferenceThreads, first: int) -> None:
    queue = queue_of(Strange())

    with pytest.raises(ModelUnavailableError):
        await infer(worker, queue, text(2, first=12), text(2, first=first))
    assert firsts(await infer(worker, queue, text(2, first=12))) == [12]


async def test_a_failed_request_is_computed_no_further(worker: InferenceThreads) -> None:
    session = Refusing(RuntimeError("a bug"))
    rows = [text(2, first=first) for first in (1, 13, 2, 3)]

    with pytest.raises(ModelUnavailableError):
        await infer(worker, queue_of(session), *rows, most_in_chunk=1)

    assert session.firsts == [[1]]


async def test_closing_leaves_nobody_waiting(
    registry: CollectorRegistry, held: HeldSession
) -> None:
    threads = InferenceThreads(ModelMetrics(registry), workers=1, most_rows=MOST_ROWS)
    async with threads:
        queue = queue_of(held)
        running = asyncio.create_task(infer(threads, queue, text(2, first=1)))
        await eventually(lambda: held.firsts == [[1]])
        waiting = asyncio.create_task(infer(threads, queue, text(2, first=2)))
        await eventually(lambda: value(registry, "ml_queued_rows") == 1)
        waiting.add_done_callback(lambda _: held.let_go())

    assert firsts(await running) == [1]
    with pytest.raises(ModelUnavailableError):
        await waiting
    with pytest.raises(ModelUnavailableError):
        await infer(threads, queue, text(2))
    assert held.firsts == [[1]]
    assert not [each for each in threading.enumerate() if each.name.startswith("inference")]


async def test_requests_go_before_background_work(
    worker: InferenceThreads, held: HeldSession
) -> None:
    queue = queue_of(held)
    running = asyncio.create_task(infer(worker, queue, text(2, first=1)))
    await eventually(lambda: held.firsts == [[1]])
    later = asyncio.create_task(infer(worker, queue, text(2, first=2), lane=Lane.BACKGROUND))
    await asyncio.sleep(0)
    sooner = asyncio.create_task(infer(worker, queue, text(2, first=3)))
    await asyncio.sleep(0)

    held.let_go()
    await asyncio.gather(running, later, sooner)

    assert held.firsts == [[1], [3], [2]]


async def test_texts_of_like_length_are_computed_together_and_filled_up(
    worker: InferenceThreads, held: HeldSession
) -> None:
    queue = queue_of(held)
    running = asyncio.create_task(infer(worker, queue, text(1)))
    await eventually(lambda: len(held.batches) == 1)
    several = asyncio.create_task(
        infer(
            worker,
            queue,
            *(text(length, first=length) for length in (20, 200, 19, 205, 21)),
        )
    )
    await asyncio.sleep(0)

    held.let_go()
    await running

    assert firsts(await several) == [20, 200, 19, 205, 21]
    assert held.firsts[1:] == [[20, 19, 21], [200, 205]]
    assert [batch.shape[1] for batch in held.batches[1:]] == [21, 205]
    assert held.batches[2][0, 200:].tolist() == [0] * 5


async def test_no_chunk_is_larger_than_a_request_wants(
    worker: InferenceThreads, held: HeldSession
) -> None:
    queue = queue_of(held)
    running = asyncio.create_task(infer(worker, queue, text(1)))
    await eventually(lambda: len(held.batches) == 1)
    modest = asyncio.create_task(infer(worker, queue, *[text(2)] * 5, most_in_chunk=2))
    await asyncio.sleep(0)

    held.let_go()
    await asyncio.gather(running, modest)

    assert [len(batch) for batch in held.batches[1:]] == [2, 2, 1]


async def test_where_several_are_idle_the_rows_are_shared(registry: CollectorRegistry) -> None:
    session = HeldSession()
    async with InferenceThreads(ModelMetrics(registry), workers=3, most_rows=99) as threads:
        several = asyncio.create_task(infer(threads, queue_of(session), *[text(2)] * 9))
        await eventually(lambda: len(session.batches) == 3)
        session.let_go()
        await several

    assert sum(len(batch) for batch in session.batches) == 9
    assert len(session.batches[0]) < 9


async def test_an_answer_says_where_its_time_went(
    worker: InferenceThreads, registry: CollectorRegistry
) -> None:
    inference = await infer(worker, queue_of(FirstTokens()), text(2), text(200))

    assert inference.queue_seconds >= 0
    assert inference.model_seconds > 0
    assert value(registry, "ml_queue_wait_seconds_count") == 1
    assert value(registry, "ml_inference_duration_seconds_count") == 2
    assert value(registry, "ml_batch_size_sum") == 2


async def test_all_answers_are_their_own_under_load(registry: CollectorRegistry) -> None:
    rng = np.random.default_rng(7)

    async def ask(threads: InferenceThreads, queue: InferenceQueue, first: int) -> bool:
        lengths = rng.integers(1, 40, size=int(rng.integers(1, 6)))
        rows = [text(int(length), first=first + nth) for nth, length in enumerate(lengths)]
        return firsts(await infer(threads, queue, *rows)) == list(range(first, first + len(rows)))

    async with InferenceThreads(ModelMetrics(registry), workers=4, most_rows=9999) as threads:
        queue = queue_of(FirstTokens())
        right = await asyncio.gather(*(ask(threads, queue, 10 * nth) for nth in range(200)))

    assert all(right)


async def test_two_models_share_the_threads(worker: InferenceThreads, held: HeldSession) -> None:
    other = FirstTokens()
    running = asyncio.create_task(infer(worker, queue_of(held), text(2)))
    await eventually(lambda: len(held.batches) == 1)
    waiting = asyncio.create_task(
        infer(worker, queue_of(other, manifest=text_manifest("others")), text(2, first=5))
    )
    await asyncio.sleep(0)

    held.let_go()

    assert firsts(await waiting) == [5]
    await running


async def test_nothing_is_spanned_for_requests_that_are_not_sampled(
    worker: InferenceThreads,
) -> None:
    seen: list[trace.Span] = []

    class Looking(FirstTokens):
        def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
            seen.append(trace.get_current_span())
            return super().run(inputs)

    await infer(worker, queue_of(Looking()), text(2))

    assert [span.get_span_context().is_valid for span in seen] == [False]
