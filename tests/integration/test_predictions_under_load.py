"""More is asked than can be done, clients go away, the database is gone: who waits is answered."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.integration.conftest import World
from tests.integration.predicting import (
    SECONDS,
    TABULAR_QUESTION,
    TEXT_QUESTION,
    Question,
    answer_to,
    asked,
    megabytes,
    refusal_with_a_time,
    sum_of,
    texts_question,
    under_load,
)
from tests.integration.running import RunningService, eventually
from tests.integration.wire import Wire, connected

pytestmark = [pytest.mark.xdist_group("predictions-load"), pytest.mark.no_cover]

QUEUE_ROWS = 200
TEXTS = 20
CLIENTS = 10 * QUEUE_ROWS // TEXTS
FLOODS = max(2, int(SECONDS / 3))


@pytest.fixture(scope="module")
def module_settings() -> dict[str, str]:
    """A queue that is easily filled, and time enough for all that is in it on a slow machine."""
    return {
        "MODELS__THREADS": "1",
        "MODELS__QUEUE_ROWS": str(QUEUE_ROWS),
        "REQUEST_BUDGET_SECONDS": "30",
    }


async def test_ten_times_more_than_fits_is_answered_or_refused_at_once(
    service: RunningService,
) -> None:
    await _flood(service)
    before = megabytes(service, "VmRSS")

    statuses = Counter[int]()
    for _ in range(FLOODS):
        statuses += await _flood(service)

    assert statuses.keys() == {200, 429}
    assert statuses[200] * TEXTS >= FLOODS * QUEUE_ROWS
    assert statuses[429] > statuses[200]
    assert megabytes(service, "VmRSS") < before + 20
    assert (await answer_to(service, TEXT_QUESTION)).status == 200


async def test_the_texts_of_clients_who_hang_up_are_not_computed(service: RunningService) -> None:
    clients, texts = 20, QUEUE_ROWS // 20
    computed, cancelled = _computed(service), _rejected(service, "cancelled")

    async with AsyncExitStack() as connections:
        wires = [
            await connections.enter_async_context(connected(service.port)) for _ in range(clients)
        ]
        for wire in wires:
            await wire.send(texts_question(texts, words=60).sent)
        await _queued(service, computed, clients * texts)
        for wire in wires[::2]:
            wire.writer.transport.abort()
        stayed = await asyncio.gather(*(wire.answer() for wire in wires[1::2]))

    assert [answer.status for answer in stayed if answer] == [200] * (clients // 2)
    await _idle(service)
    not_computed = _rejected(service, "cancelled") - cancelled
    assert not_computed + _computed(service) - computed == clients * texts
    assert not_computed > clients * texts / 4


async def test_without_postgresql_models_answer_and_every_answer_is_logged_or_counted(
    world: World, service: RunningService
) -> None:
    await _all_logged(service)
    answers, rows = sum_of(service, "ml_predictions_total"), await _rows(world)
    written = _logged(service, "written")

    async with under_load(service, TABULAR_QUESTION, TEXT_QUESTION) as load:
        await asyncio.to_thread(world.postgres.stop)
        await asyncio.sleep(SECONDS)
        await load.goes_on()
        world.postgres.start()

    assert sum_of(service, "ml_predictions_total") - answers == load.answered
    await _all_logged(service)
    assert await _rows(world) - rows == _logged(service, "written") - written


async def _flood(service: RunningService) -> Counter[int]:
    """Everybody asks at once, and waits; gives the statuses."""
    question = texts_question(TEXTS)

    async with AsyncExitStack() as connections:
        wires = [
            await connections.enter_async_context(connected(service.port)) for _ in range(CLIENTS)
        ]
        return Counter(await asyncio.gather(*(_status(wire, question) for wire in wires)))


async def _status(wire: Wire, question: Question) -> int:
    answer = await asked(wire, question)
    if answer.status != 200:
        refusal_with_a_time(answer)
    return answer.status


async def _queued(service: RunningService, computed: float, rows: int) -> None:
    async def all_have_come() -> bool:
        waiting = sum_of(service, "ml_queued_rows")
        return waiting + _computed(service) - computed >= rows * 0.9

    await eventually(all_have_come, "the texts wait for the model")


async def _idle(service: RunningService) -> None:
    async def nothing_waits() -> bool:
        return sum_of(service, "ml_queued_rows") == 0

    await eventually(nothing_waits, "the queue is empty")


def _computed(service: RunningService) -> float:
    return sum_of(service, "ml_computed_rows_total")


def _rejected(service: RunningService, outcome: str) -> float:
    return sum_of(service, "ml_rejected_total", outcome=outcome)


async def _all_logged(service: RunningService) -> None:
    async def none_is_missing() -> bool:
        settled = _logged(service, "written") + _logged(service, "dropped")
        return settled == sum_of(service, "ml_predictions_total")

    await eventually(none_is_missing, "every answer is written, or counted as dropped")


def _logged(service: RunningService, outcome: str) -> float:
    return sum_of(service, "ml_prediction_log_rows_total", outcome=outcome)


async def _rows(world: World) -> int:
    connection = await asyncpg.connect(world.settings["DATABASE_URL"])
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM prediction_log")
        return count
    finally:
        await connection.close()
