"""A slot has a worker, whatever becomes of the ones before it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from service.workers.addresses import shared_listeners
from service.workers.slot import Reason, Slot, Terms
from tests.service.workers.fakes import (
    Starts,
    impossible,
    never_ready,
    stillborn,
    torn_away,
    well,
)

OPS_PORTS = (9465, 9467)


class EnoughError(Exception):
    """The test has seen it."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Of the slot; another slot's, on which nobody listens, has the same port."""
    ours, others = shared_listeners("127.0.0.1", 0, 2)
    with ours, others:
        yield ours


@pytest.fixture
def restarts() -> list[Reason]:
    """What was counted."""
    return []


@pytest.fixture
def slot_of(listener: socket.socket, restarts: list[Reason]) -> Iterator[Callable[..., Slot]]:
    slots = []

    def make(starts: Starts, sleep: Callable[[float], Awaitable[None]] = _at_once) -> Slot:
        terms = Terms("127.0.0.1", 0.05, 5.0, restarts.append, starts, sleep)
        slots.append(Slot(1, listener, OPS_PORTS, terms))
        return slots[-1]

    yield make
    for slot in slots:
        slot.close()


async def test_a_worker_that_keeps_dying_is_restarted_after_ever_longer_delays(
    slot_of: Callable[..., Slot], restarts: list[Reason]
) -> None:
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)
        if len(delays) == 12:
            raise EnoughError

    with pytest.raises(EnoughError), capture_logs() as logs:
        await slot_of(Starts(stillborn), sleep).keep_running()

    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0]
    assert restarts == ["died"] * 11
    said = [line["delay_seconds"] for line in logs if line["event"] == "worker_restarting"]
    assert said == delays
    assert [line["exit_status"] for line in logs if line["event"] == "worker_died"] == [1] * 12


async def test_when_no_process_is_to_be_had_it_is_tried_again(
    slot_of: Callable[..., Slot],
) -> None:
    async with kept_running(slot_of(Starts(impossible, impossible, well))) as slot:
        await _until(lambda: bool(slot.workers))


async def test_who_comes_after_a_death_waits_for_the_next_worker(
    slot_of: Callable[..., Slot], listener: socket.socket
) -> None:
    address = listener.getsockname()
    starts = Starts(well, stillborn)

    async def sleep(seconds: float) -> None:
        with socket.create_connection(address):
            raise EnoughError

    slot = slot_of(starts, sleep)
    await slot.start()
    starts.workers[0].kill()

    with pytest.raises(EnoughError):
        await slot.keep_running()


async def test_who_comes_after_a_death_before_readiness_is_sent_elsewhere(
    slot_of: Callable[..., Slot], listener: socket.socket
) -> None:
    address = listener.getsockname()

    async def sleep(seconds: float) -> None:
        socket.create_connection(address)

    # The other slot has no listener either.
    with pytest.raises(ConnectionRefusedError):
        await slot_of(Starts(torn_away), sleep).keep_running()


@pytest.mark.parametrize(("life", "status"), [(stillborn, 1), (impossible, 1), (well, None)])
async def test_a_start_that_fails_gives_the_exit_status(
    life: Callable[..., None], status: int | None, slot_of: Callable[..., Slot]
) -> None:
    assert await slot_of(Starts(life)).start() == status


async def test_a_worker_that_is_not_ready_is_left_alone(slot_of: Callable[..., Slot]) -> None:
    starts = Starts(never_ready)

    with capture_logs() as logs:
        assert await slot_of(starts).start() is None

    assert starts.workers[0].alive
    assert "worker_not_ready" in [line["event"] for line in logs]


@pytest.mark.parametrize("life", [stillborn, never_ready, impossible])
async def test_a_worker_keeps_its_place_when_the_new_one_does_not_get_ready(
    life: Callable[..., None], slot_of: Callable[..., Slot], restarts: list[Reason]
) -> None:
    starts = Starts(well, life)
    slot = slot_of(starts)
    await slot.start()

    with capture_logs() as logs:
        assert not await slot.relieve()

    assert slot.workers == starts.workers[:1]
    assert "worker_not_relieved" in [line["event"] for line in logs]
    assert restarts == []


async def test_a_new_worker_relieves_the_old_one_on_the_other_ops_port(
    slot_of: Callable[..., Slot], restarts: list[Reason]
) -> None:
    async with kept_running(slot_of(starts := Starts(well))) as slot:
        await _until(lambda: bool(slot.workers))

        assert await slot.relieve()
        assert await slot.relieve()

        assert slot.workers == starts.workers[2:]
    ports = [worker.ops[1] for worker in starts.workers]
    assert ports == [OPS_PORTS[0], OPS_PORTS[1], OPS_PORTS[0]]
    assert [worker.alive for worker in starts.workers] == [False, False, True]
    assert restarts == ["rolling", "rolling"]


async def test_a_worker_that_has_relieved_another_is_replaced_on_its_own_port(
    slot_of: Callable[..., Slot], restarts: list[Reason]
) -> None:
    async with kept_running(slot_of(starts := Starts(well))) as slot:
        await _until(lambda: bool(slot.workers))
        await slot.relieve()

        starts.workers[1].kill()

        await _until(lambda: slot.workers == starts.workers[2:] != [])
    assert starts.workers[2].ops[1] == OPS_PORTS[1]
    assert restarts == ["rolling", "died"]


async def test_a_slot_that_waits_to_restart_has_nobody_to_relieve(
    slot_of: Callable[..., Slot],
) -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async with kept_running(slot_of(starts := Starts(stillborn), sleep)) as slot:
        await waiting.wait()

        assert await slot.relieve()

    assert len(starts.workers) == 1


@asynccontextmanager
async def kept_running(slot: Slot) -> AsyncIterator[Slot]:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(slot.keep_running())
        yield slot
        task.cancel()


async def _at_once(seconds: float) -> None:
    await asyncio.sleep(0)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing says when it changes
        await asyncio.sleep(0.005)
