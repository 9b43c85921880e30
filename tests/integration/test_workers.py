"""`serve --workers N`: real processes that are killed, relieved and stopped under constant load."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.conftest import World
from tests.integration.running import eventually, until
from tests.integration.supervising import (
    HOST,
    WORKERS,
    RunningSupervisor,
    is_running,
    running_supervisor,
    scrape,
    under_load,
)
from tests.integration.wire import connected, request
from tests.service.command import command, environment_of, run

pytestmark = pytest.mark.xdist_group("workers")


@pytest.fixture(scope="module")
def module_supervisor(world: World) -> Iterator[RunningSupervisor]:
    with running_supervisor(world) as running:
        yield running


@pytest.fixture
def supervisor(module_supervisor: RunningSupervisor) -> RunningSupervisor:
    """With all workers ready, whatever the test before has done to them."""
    until(module_supervisor.all_ready, "the workers are ready")
    return module_supervisor


async def test_every_worker_serves_the_port_and_is_scraped_whole(
    supervisor: RunningSupervisor,
) -> None:
    targets = supervisor.targets()
    assert sorted(targets) == ["1", "2"]
    assert len(set(targets.values())) == WORKERS

    async def each_has_answered() -> bool:
        async with connected(supervisor.port) as wire:
            assert (await wire.ask("/product/1/enriched")).status == 200
        scrapes = [await asyncio.to_thread(scrape, target) for target in targets.values()]
        return all(scraped.get("product_sources_total", 0) > 0 for scraped in scrapes)

    await eventually(each_has_answered, "both workers have had a request")


def test_workers_have_the_ops_ports_after_the_supervisors(supervisor: RunningSupervisor) -> None:
    expected = {str(n): f"{HOST}:{supervisor.ops_port + n}" for n in (1, 2)}

    assert supervisor.targets() == expected


def test_a_worker_killed_in_a_stall_is_told_of_and_replaced(supervisor: RunningSupervisor) -> None:
    pid, restarts = min(supervisor.pids()), supervisor.restarts("died")

    os.kill(pid, signal.SIGSTOP)  # the stall that needs no help of the code's
    until(
        lambda: "process_stopped" in told_of(supervisor, "event_loop_stall", pid),
        "the stall is told",
    )
    os.kill(pid, signal.SIGKILL)
    until(lambda: told_of(supervisor, "worker_died", pid) != [], "its end is told of")

    until(lambda: supervisor.restarts("died") == restarts + 1, "the restart is counted")
    assert told_of(supervisor, "worker_died", pid) == ["process_stopped"]


def told_of(supervisor: RunningSupervisor, event: str, pid: int) -> list[str]:
    """The causes that the worker's sidecar has told."""
    told = [each for each in supervisor.events(event) if each["logger"] == "middleware.stall"]
    return [each["cause"] for each in told if each["pid"] == pid]


async def test_who_connects_while_no_worker_lives_is_answered_by_the_next(
    supervisor: RunningSupervisor,
) -> None:
    before = supervisor.pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(is_running, before)), "the workers are dead")

    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(connected(supervisor.port)) for _ in range(20)]
        for wire in wires:
            await wire.send(request("/health"))
        answers = [await wire.answer() for wire in wires]

    assert [answer and answer.status for answer in answers] == [200] * 20


async def test_a_killed_worker_comes_back_under_load_and_is_counted(
    supervisor: RunningSupervisor,
) -> None:
    restarts = supervisor.restarts("died")
    targets, (victim, other) = supervisor.targets(), supervisor.workers()

    async with under_load(supervisor) as customers:
        os.kill(victim["pid"], signal.SIGKILL)
        await asyncio.to_thread(
            until,
            lambda: supervisor.restarts("died") > restarts and supervisor.all_ready(),
            "it is back",
        )
        await customers.have_been_answered(customers.answered + 200)

    # Only what it had in hand, one request of a customer at most.
    assert len(customers.lost) <= 20
    assert supervisor.restarts("died") == restarts + 1
    assert supervisor.targets() == targets
    assert other["pid"] in supervisor.pids()
    assert victim["pid"] not in supervisor.pids()
    died = supervisor.events("worker_died")[-1]
    assert (died["worker"], died["pid"], died["signal"]) == (
        victim["worker"],
        victim["pid"],
        "SIGKILL",
    )
    assert supervisor.events("worker_restarting")[-1]["delay_seconds"] > 0


async def test_a_rolling_restart_under_load_loses_no_request(
    world: World, supervisor: RunningSupervisor
) -> None:
    world.reviews.behave(latency_ms=20, jitter_ms=10)
    before, rolled = supervisor.pids(), len(supervisor.rolled())
    targets = supervisor.targets()
    restarts = supervisor.restarts("rolling")

    async with under_load(supervisor) as customers:
        supervisor.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(until, lambda: len(supervisor.rolled()) > rolled, "it is over")
        await customers.have_been_answered(customers.answered + 200)

    assert customers.lost == [], supervisor.log()[-4000:]
    assert supervisor.rolled()[-1]
    assert supervisor.all_ready()
    assert not before & supervisor.pids()
    assert not any(map(is_running, before))
    done = supervisor.restarts("rolling") - restarts
    assert done == WORKERS
    assert not set(supervisor.targets().values()) & set(targets.values())
    assert all(scrape(target) for target in supervisor.targets().values())


async def test_workers_stay_when_the_new_ones_cannot_start(
    world: World, supervisor: RunningSupervisor
) -> None:
    before, rolled = supervisor.pids(), len(supervisor.rolled())
    settings = world.folder / ".env"
    settings.write_text("MAX_IN_FLIGHT=-1\n")

    try:
        supervisor.process.send_signal(signal.SIGHUP)
        until(lambda: len(supervisor.rolled()) > rolled, "it is over")
    finally:
        settings.unlink()

    assert not supervisor.rolled()[-1]
    assert supervisor.events("worker_not_relieved")[-1]["pid"] in before
    assert supervisor.pids() == before
    assert supervisor.all_ready()


@pytest.mark.covers_processes
async def test_sigterm_under_load_loses_no_request_and_leaves_no_process(world: World) -> None:
    world.reviews.behave(latency_ms=20, jitter_ms=10)
    with running_supervisor(world) as supervisor:
        pids = supervisor.pids()
        async with under_load(supervisor) as customers:
            supervisor.process.send_signal(signal.SIGTERM)
            await customers.gone.wait()
        status = await asyncio.to_thread(supervisor.process.wait, 30)

    assert customers.lost == [], supervisor.log()[-4000:]
    assert status == 0
    assert not any(map(is_running, pids))
    assert "Traceback" not in supervisor.log()
    assert supervisor.events("worker_killed") == []


async def test_a_second_signal_ends_all_at_once(world: World) -> None:
    with running_supervisor(world, SHUTDOWN_GRACE_SECONDS="3600") as supervisor:
        world.reviews.behave(mode="hang")
        pids = supervisor.pids()
        async with connected(supervisor.port) as wire:
            await wire.send(request("/product/80/enriched"))
            await asyncio.to_thread(
                until, lambda: "80" in world.reviews.requests()["by_product"], "it hangs"
            )
            supervisor.process.send_signal(signal.SIGINT)
            await asyncio.to_thread(until, lambda: not supervisor.all_ready(), "it is stopping")

            supervisor.process.send_signal(signal.SIGINT)

            status = await asyncio.to_thread(supervisor.process.wait, 30)

    assert status == -signal.SIGINT
    until(lambda: not any(map(is_running, pids)), "the workers are gone")


def test_workers_do_not_outlive_a_supervisor_that_is_killed(world: World) -> None:
    with running_supervisor(world) as supervisor:
        pids = supervisor.pids()

        supervisor.process.kill()

        until(lambda: not any(map(is_running, pids)), "the workers are gone")


@pytest.fixture
def sound(world: World) -> dict[str, str]:
    """Settings that are fine."""
    ports = {"HOST": HOST, "PORT": "0", "OPS_PORT": "0"}
    return {**world.settings, **ports, "STARTUP_TIMEOUT_SECONDS": "0.5"}


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("MAX_IN_FLIGHT", "-1", 2),
        ("DATABASE_URL", "postgresql://127.0.0.1:9/products", 1),
        ("HOST", "host.invalid", 1),
        ("OPS_PORT", "65534", 1),
    ],
)
def test_what_keeps_every_worker_from_starting_is_said_once(
    name: str, value: str, status: int, sound: dict[str, str], tmp_path: Path
) -> None:
    ended = run("serve", "--workers", "3", folder=tmp_path, **{**sound, name: value})

    assert ended.returncode == status
    assert ended.stderr.count("stallscope: ") == 1
    assert name in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_signal_while_the_first_worker_starts_ends_both(
    sound: dict[str, str], tmp_path: Path
) -> None:
    nowhere = {"DATABASE_URL": "postgresql://127.0.0.1:9/x", "STARTUP_TIMEOUT_SECONDS": "3600"}
    output = tmp_path / "output"
    with (
        output.open("wb") as log,
        subprocess.Popen(
            command("serve", "--workers", "2"),
            cwd=tmp_path,
            env=environment_of(**{**sound, **nowhere}),
            stdout=log,
            stderr=log,
        ) as process,
    ):
        supervisor = RunningSupervisor(process, 0, 0, output)
        until(lambda: "database_awaited" in supervisor.log(), "a worker starts")

        status = supervisor.stop()

    (started,) = supervisor.events("worker_started")
    assert not is_running(started["pid"])
    assert status == 0
    assert "Traceback" not in supervisor.log()


def test_a_worker_without_its_supervisor_does_not_start(
    sound: dict[str, str], tmp_path: Path
) -> None:
    ended = run("worker", "1", "0", folder=tmp_path, **sound)

    assert ended.returncode == 1
    assert "supervisor ended" in ended.stderr


@pytest.mark.parametrize("workers", ["0", "-1", "many"])
def test_a_number_of_workers_that_is_none_is_misuse(workers: str, tmp_path: Path) -> None:
    ended = run("serve", "--workers", workers, folder=tmp_path)

    assert ended.returncode == 2
    assert "usage: stallscope" in ended.stderr
