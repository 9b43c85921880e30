"""Who is let in, and whose turn it is: what is accepted is in time, and what is short is soon."""

import asyncio
from itertools import repeat
from math import inf

import pytest
from opentelemetry.trace import INVALID_SPAN_CONTEXT

from service.adapters.inference_queue import CHUNK_SECONDS, Chunk, InferenceQueue, Job
from service.adapters.inference_schedule import InferenceSchedule
from service.adapters.model_inputs import size_of
from service.adapters.work_estimate import kind_of
from service.predictions.domain import DeadlineExceededError, Lane, QueueFullError
from tests.service.adapters.small_models import FirstTokens, queue_of, text

NOW = 1000.0
ROW_SECONDS = 0.02  # of a text of 20 tokens
TOKEN_SECONDS = ROW_SECONDS / 20


@pytest.fixture
def queue() -> InferenceQueue:
    return queue_of(FirstTokens(), token_seconds=TOKEN_SECONDS)


@pytest.fixture
def schedule() -> InferenceSchedule:
    return InferenceSchedule(1, most_rows=512)


def job(
    queue: InferenceQueue,
    rows: int = 1,
    *,
    tokens: int = 20,
    seconds: float = 5.0,
    lane: Lane = Lane.REQUEST,
) -> Job:
    texts = list(repeat(text(tokens), rows))
    sizes = [size_of(each) for each in texts]
    answer = asyncio.get_running_loop().create_future()
    return Job(queue, texts, sizes, NOW + seconds, lane, inf, answer, INVALID_SPAN_CONTEXT)


def is_let_in(schedule: InferenceSchedule, job: Job) -> bool:
    try:
        schedule.add(job, NOW)
    except QueueFullError:
        return False
    return True


def take(schedule: InferenceSchedule, *, idle: int = 1, now: float = NOW) -> Chunk:
    first = schedule.first()
    assert first is not None
    return schedule.take(first, idle, now)


async def test_whose_time_is_over_is_not_let_in(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    with pytest.raises(DeadlineExceededError):
        schedule.add(job(queue, seconds=0), NOW)


async def test_who_would_be_answered_too_late_is_not_let_in(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    for _ in range(40):  # 0.8 seconds of work
        schedule.add(job(queue), NOW)

    with pytest.raises(QueueFullError) as refused:
        schedule.add(job(queue, seconds=0.8), NOW)

    assert refused.value.retry_after_seconds == 1
    schedule.add(job(queue, seconds=2), NOW)


async def test_who_asks_for_more_than_can_be_done_in_time_is_not_let_in(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    with pytest.raises(QueueFullError):
        schedule.add(job(queue, rows=400, seconds=5), NOW)


async def test_a_queue_takes_so_many_rows_of_each_lane(queue: InferenceQueue) -> None:
    schedule = InferenceSchedule(1, most_rows=10)
    schedule.add(job(queue, rows=10), NOW)

    with pytest.raises(QueueFullError):
        schedule.add(job(queue), NOW)
    with pytest.raises(QueueFullError):
        schedule.add(job(queue, lane=Lane.BACKGROUND), NOW)


async def test_background_rows_do_not_take_the_requests_places(queue: InferenceQueue) -> None:
    schedule = InferenceSchedule(1, most_rows=10)
    schedule.add(job(queue, rows=10, lane=Lane.BACKGROUND), NOW)

    schedule.add(job(queue, rows=10), NOW)

    assert take(schedule).jobs[0].lane is Lane.REQUEST


async def test_a_request_larger_than_the_queue_is_let_in_when_that_is_empty(
    queue: InferenceQueue,
) -> None:
    schedule = InferenceSchedule(1, most_rows=10)

    schedule.add(job(queue, rows=11), NOW)

    with pytest.raises(QueueFullError):
        schedule.add(job(queue, rows=11), NOW)


async def test_one_slow_time_does_not_lock_requests_out(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    for _ in range(20):
        queue.estimate.learn(kind_of(20), 20, 1000 * ROW_SECONDS)

    schedule.add(job(queue, rows=10, seconds=1), NOW)

    with pytest.raises(QueueFullError):
        schedule.add(job(queue, rows=10, seconds=1), NOW)


async def test_a_short_request_does_not_wait_for_a_long_one(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    long, short = job(queue, rows=100, seconds=20), job(queue, rows=1, seconds=20)
    schedule.add(long, NOW)
    take(schedule)

    schedule.add(short, NOW + 0.1)

    chunks = [take(schedule, now=NOW + 0.1) for _ in range(4)]
    assert any(short in chunk.jobs for chunk in chunks)


async def test_a_long_request_is_not_put_off_for_ever(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    long = job(queue, rows=20, seconds=100)
    schedule.add(long, NOW)
    now = NOW

    for _ in range(200):  # short ones come as fast as they can be computed
        now += ROW_SECONDS
        schedule.add(job(queue, seconds=100), now)
        schedule.finish(take(schedule, now=now), now + ROW_SECONDS)

    assert long.rows_waiting == 0


async def test_nobody_is_let_in_at_the_cost_of_a_promise(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    promised = job(queue, rows=190, seconds=5)  # 3.8 seconds of work
    schedule.add(promised, NOW)

    accepted = [is_let_in(schedule, job(queue, seconds=60)) for _ in range(100)]

    assert any(accepted)
    assert not accepted[-1]
    now = NOW
    while promised.rows_waiting:
        chunk = take(schedule, now=now)
        now += chunk.seconds
        schedule.finish(chunk, now)
    assert now <= promised.deadline


async def test_a_short_request_is_let_in_beside_a_long_one(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    schedule.add(job(queue, rows=190, seconds=5), NOW)

    schedule.add(job(queue, seconds=0.5), NOW)


async def test_models_take_turns_in_the_order_of_their_requests(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    others = queue_of(FirstTokens(), token_seconds=TOKEN_SECONDS)
    jobs = [job(each) for each in (queue, others, queue, others)]
    for nth, each in enumerate(jobs):
        schedule.add(each, NOW + nth)

    first, second = take(schedule), take(schedule)

    assert (first.queue, second.queue) == (queue, others)
    assert first.jobs == [jobs[0], jobs[2]]
    assert second.jobs == [jobs[1], jobs[3]]


async def test_a_chunk_is_as_long_as_a_worker_may_be_held_up(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    schedule.add(job(queue, rows=100), NOW)

    chunk = take(schedule)

    assert len(chunk.rows) == int(CHUNK_SECONDS / ROW_SECONDS)
    assert chunk.seconds <= CHUNK_SECONDS


async def test_one_row_is_computed_however_long_it_takes(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    schedule.add(job(queue, rows=2, tokens=500), NOW)

    assert len(take(schedule).rows) == 1


async def test_chunks_become_shorter_when_the_model_becomes_slower(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    for _ in range(10):
        schedule.add(job(queue, rows=10), NOW)
        chunk = take(schedule)
        schedule.remove(chunk.jobs[0])
        schedule.finish(chunk, NOW + 2 * chunk.seconds)

    assert (len(chunk.rows), chunk.seconds > CHUNK_SECONDS) == (1, True)


async def test_what_failed_at_once_says_nothing_about_the_time(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    schedule.add(job(queue, rows=2), NOW)
    before = take(schedule)
    schedule.finish(before, NOW, is_right=False)

    schedule.add(job(queue, rows=2), NOW)

    assert take(schedule).seconds == before.seconds


async def test_idle_workers_share_what_waits(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    schedule.add(job(queue, rows=8, tokens=1), NOW)

    assert len(take(schedule, idle=3).rows) == 3
    assert len(take(schedule, idle=2).rows) == 3
    assert len(take(schedule, idle=1).rows) == 2
    assert schedule.first() is None


async def test_a_row_whose_time_is_over_is_not_filled_in(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    schedule.add(job(queue, tokens=1), NOW)
    schedule.add(job(queue, tokens=1, seconds=1), NOW)

    assert len(take(schedule, now=NOW + 2).rows) == 1


async def test_what_is_removed_leaves_nothing_behind(
    schedule: InferenceSchedule, queue: InferenceQueue
) -> None:
    stays, gone = job(queue, rows=2), job(queue, rows=3)
    schedule.add(stays, NOW)
    schedule.add(gone, NOW)

    assert schedule.remove(gone) == 3
    assert schedule.remove(gone) == 0
    assert schedule.jobs() == [stays]
    assert take(schedule).jobs == [stays]
