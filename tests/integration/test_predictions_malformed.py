"""What is no picture, no JSON, or a bomb: a clear 4xx, for little memory and time."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.integration.hostile_json import broken_json, hostile_json
from tests.integration.hostile_pictures import MIB, bombs, broken_pictures, huge_pictures
from tests.integration.predicting import (
    QUESTIONS,
    Question,
    answer_to,
    asked,
    clear_problem,
    forget_peak,
    megabytes,
    upload,
)
from tests.integration.running import RunningService
from tests.integration.wire import Answer, connected, request

pytestmark = [pytest.mark.xdist_group("predictions-malformed"), pytest.mark.no_cover]

MANY = 1000
SENDERS = 8
MOST_MEGABYTES = 150
MOST_CPU_SECONDS = 5
THRESHOLD_SECONDS = 0.1
ON_THE_LOOP = {"cpu", "cpu_gil_held", "blocking_call", "gil_held_off_cpu"}


@pytest.mark.parametrize("broken", [broken_json, broken_pictures])
async def test_a_thousand_broken_ones_get_a_clear_4xx_each_unless_they_are_still_right(
    service: RunningService, broken: Callable[[int], Iterator[Question]]
) -> None:
    async with _costing_little(service):
        statuses = await _sent_by_all(service, broken(MANY))

    assert statuses.total() == MANY
    assert statuses.keys() <= {200, 400, 404, 413, 422}
    assert statuses[400] + statuses[422] > MANY / 2


async def test_json_that_parsers_choke_on_is_a_clear_4xx(service: RunningService) -> None:
    async with _costing_little(service):
        statuses = await _statuses(service, hostile_json())

    assert set(statuses.values()) == {400, 422}


async def test_a_picture_that_says_it_is_huge_is_a_413(service: RunningService) -> None:
    async with _costing_little(service):
        statuses = await _statuses(service, _uploads(huge_pictures()))

    assert set(statuses.values()) == {413}


async def test_a_bomb_costs_neither_memory_nor_time(service: RunningService) -> None:
    async with _costing_little(service):
        statuses = await _statuses(service, _uploads(bombs()))

    # Of what begins like any picture only that beginning is read.
    assert statuses.pop("PNG with more pixels than it says") in {200, 400}
    assert statuses.pop("GIF of many frames") == 200
    assert set(statuses.values()) == {400}


@pytest.mark.parametrize(("path", "most_mib"), [("/predict", 1), ("/predict/image", 11)])
async def test_a_body_that_is_too_long_is_a_413_before_it_is_sent(
    service: RunningService, path: str, most_mib: int
) -> None:
    head = request(path, f"Content-Length: {most_mib * MIB + 1}", method="POST")
    async with connected(service.port) as wire:
        await wire.send(head)
        answer = await wire.answer()

    assert answer is not None
    assert answer.status == 413
    clear_problem(answer)


async def test_a_file_of_a_byte_more_than_10_mib_is_a_413(service: RunningService) -> None:
    assert _checked(await answer_to(service, upload(bytes(10 * MIB + 1)))).status == 413


def test_libraries_write_no_lines_of_their_own_about_it(service: RunningService) -> None:
    lines = service.log().splitlines()

    assert [line for line in lines if not line.startswith("{")] == []
    assert "Traceback" not in service.log()


async def test_after_all_of_it_models_answer_as_before(service: RunningService) -> None:
    for question in QUESTIONS.values():
        assert (await answer_to(service, question)).status == 200
    assert service.readiness()[0] == 200


async def _sent_by_all(service: RunningService, questions: Iterable[Question]) -> Counter[int]:
    """Over a few connections at once, each for as long as the service keeps it open."""
    left, statuses = iter(list(questions)), Counter[int]()

    async def send() -> None:
        is_more = True
        while is_more:
            async with connected(service.port) as wire:
                is_more = False
                for question in left:
                    answer = await asked(wire, question)
                    statuses[_checked(answer).status] += 1
                    if answer.closes:
                        is_more = True
                        break

    async with asyncio.TaskGroup() as group:
        for _ in range(SENDERS):
            group.create_task(send())
    return statuses


async def _statuses(service: RunningService, questions: Mapping[str, Question]) -> dict[str, int]:
    """Of all at once."""
    answers = await asyncio.gather(*(answer_to(service, each) for each in questions.values()))
    return {name: _checked(answer).status for name, answer in zip(questions, answers, strict=True)}


def _checked(answer: Answer) -> Answer:
    if answer.status != 200:
        clear_problem(answer)
    return answer


def _uploads(pictures: Mapping[str, bytes]) -> dict[str, Question]:
    return {name: upload(picture) for name, picture in pictures.items()}


@asynccontextmanager
async def _costing_little(service: RunningService) -> AsyncIterator[None]:
    """Memory, processor time, and no stall that our own code is to blame for."""
    forget_peak(service)
    before, stalls = megabytes(service, "VmHWM"), {stall["id"] for stall in _stalls(service)}
    cpu_seconds = service.metric("process_cpu_seconds_total")
    yield
    assert megabytes(service, "VmHWM") < before + MOST_MEGABYTES
    assert service.metric("process_cpu_seconds_total") < cpu_seconds + MOST_CPU_SECONDS
    assert [stall for stall in _stalls(service) if stall["id"] not in stalls] == []


def _stalls(service: RunningService) -> list[dict[str, Any]]:
    """Those for which our own code used the processor, or waited, for longer than is allowed."""
    listed = json.loads(service.ops("/stalls.json?brief")[1])
    return [
        stall
        for stall in listed["stalls"]
        if stall["cause"] in ON_THE_LOOP
        and (stall["culprit"] or {"module": ""})["module"].startswith("service.")
        and stall["duration_seconds"] - stall["run_queue_seconds"] > THRESHOLD_SECONDS
    ]
