"""Liveness is patient, readiness says what is missing; both answer for a loop that cannot."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from middleware.health import Check, Health, NotReadyError
from middleware.ops.probes import ALIVE_WITHIN_SECONDS, READY_WITHIN_SECONDS

from .asking import PATIENCE_SECONDS, Answer, ask, ops_port, serving


async def passes() -> None:
    """Everything is fine."""


async def fails() -> None:
    """Nothing is."""
    raise NotReadyError("the tables are missing")


@pytest.fixture
async def beating() -> AsyncIterator[Health]:
    health = serving({"database": passes})
    beat = asyncio.create_task(health.beat())
    yield health
    beat.cancel()


async def test_a_failing_check_is_named_with_its_reason_and_time() -> None:
    with ops_port(serving({"database": passes, "migrations": fails})) as port:
        answer = await ask(port, "/readyz")

    checks = answer.json()["checks"]
    assert (answer.status, answer.json()["status"]) == (503, "not ready")
    assert (checks["database"]["ok"], checks["database"]["reason"]) == (True, None)
    assert not checks["migrations"]["ok"]
    assert checks["migrations"]["reason"] == "the tables are missing"
    assert all(check["latency_ms"] >= 0 for check in checks.values())


async def test_a_check_that_hangs_is_given_up_and_cancelled() -> None:
    cancelled = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with ops_port(serving({"database": hangs, "cache": passes})) as port:
        answer = await ask(port, "/readyz")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await cancelled.wait()

    assert answer.status == 503
    assert answer.json()["checks"]["database"]["reason"].startswith("no answer within")
    assert answer.json()["checks"]["cache"]["ok"]


async def test_a_check_that_is_still_running_when_the_port_closes_is_cancelled() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with ops_port(serving({"database": hangs})) as port:
        asking = asyncio.create_task(ask(port, "/readyz"))
        await began.wait()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await cancelled.wait()
    with pytest.raises(OSError, match=r".*"):
        await asking


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ZeroDivisionError("secret"), "ZeroDivisionError"),
        (ConnectionRefusedError("db.internal:5432"), "ConnectionRefusedError"),
        (asyncio.CancelledError(), "cancelled"),
        (TimeoutError(), "TimeoutError"),
    ],
)
async def test_a_check_that_fails_unforeseen_does_not_tell_secrets(
    error: BaseException, reason: str
) -> None:
    async def stumbles() -> None:
        raise error

    with ops_port(serving({"database": stumbles, "cache": passes})) as port:
        answer = await ask(port, "/readyz")

    checks = answer.json()["checks"]
    assert answer.status == 503
    assert (checks["database"]["ok"], checks["database"]["reason"]) == (False, reason)
    assert checks["cache"]["ok"]


def test_a_loop_that_is_closed_is_not_ready() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    health = Health(checks={"database": passes}, loop=loop)
    health.serve()

    with ops_port(health) as port:
        answer = Answer(port, "/readyz")

    assert answer.json()["checks"]["database"]["reason"] == "the event loop is closed"


async def test_all_pages_answer_while_the_event_loop_is_blocked(beating: Health) -> None:
    registry = CollectorRegistry()
    Counter("requests_total", "Counted.", registry=registry)
    answers: dict[str, Answer] = {}
    answered = threading.Event()

    def ask_all(port: int) -> None:
        for path in ("/metrics", "/livez", "/inflight", "/readyz"):
            answers[path] = Answer(port, path)
        answered.set()

    with ops_port(beating, registries=[registry]) as port:
        await ask(port, "/livez")
        threading.Thread(target=ask_all, args=(port,), daemon=True).start()
        before_the_block_ended = answered.wait(PATIENCE_SECONDS)

    assert before_the_block_ended
    assert "requests_total" in answers["/metrics"].text
    assert (answers["/livez"].status, answers["/inflight"].status) == (200, 200)
    assert answers["/readyz"].status == 503
    assert answers["/readyz"].json()["checks"]["database"]["reason"].startswith("no answer")


@pytest.mark.parametrize("checks", [{}, {"database": passes}], ids=["no checks", "a check"])
async def test_while_the_loop_is_blocked_it_is_not_ready_and_says_so_at_once(
    checks: dict[str, Check],
) -> None:
    health = serving(checks)
    health.beat_at = time.monotonic() - READY_WITHIN_SECONDS - 1

    with ops_port(health) as port:
        # From here, and not from another thread: this loop does not run meanwhile.
        ready, alive = Answer(port, "/readyz"), Answer(port, "/livez")

    assert (ready.status, alive.status) == (503, 200)
    (name, result), *others = ready.json()["checks"].items()
    assert (name, others) == ("event_loop", [])
    assert not result["ok"]
    assert result["reason"].startswith("it has not run for ")


async def test_a_loop_that_was_blocked_is_ready_again_afterwards(beating: Health) -> None:
    with ops_port(beating) as port:
        time.sleep(0.2)  # noqa: ASYNC251 - it is what blocks the loop

        assert (await ask(port, "/readyz")).status == 200


async def test_checks_run_side_by_side_on_the_apps_own_loop() -> None:
    barrier = asyncio.Barrier(2)
    threads: list[threading.Thread] = []

    async def meets() -> None:
        threads.append(threading.current_thread())
        await barrier.wait()

    with ops_port(serving({"one": meets, "other": meets})) as port:
        answer = await ask(port, "/readyz")

    assert (answer.status, answer.json()["phase"]) == (200, "serving")
    assert set(threads) == {threading.current_thread()}


async def test_who_asks_meanwhile_shares_the_run() -> None:
    runs = 0
    began, go = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        nonlocal runs
        runs += 1
        began.set()
        await go.wait()

    with ops_port(serving({"database": waits})) as port:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(port, "/readyz")) for _ in range(5)]
            await began.wait()
            # This one comes after the others: the port reads what they sent before.
            await ask(port, "/livez")
            go.set()

    assert {task.result().status for task in asked} == {200}
    assert 1 <= runs <= 5


def test_while_starting_the_process_is_alive_but_not_ready() -> None:
    with ops_port(Health()) as port:
        ready, alive = Answer(port, "/readyz"), Answer(port, "/livez")

    assert (ready.status, ready.json()["phase"]) == (503, "starting")
    assert (alive.status, alive.json()["status"]) == (200, "alive")


async def test_while_stopping_it_is_alive_but_not_ready_and_checks_nothing() -> None:
    health = serving({"database": fails})
    health.stop()

    with ops_port(health) as port:
        ready, alive = await ask(port, "/readyz"), await ask(port, "/livez")

    assert (ready.status, ready.json()["phase"]) == (503, "stopping")
    assert ready.json()["checks"] == {}
    assert alive.status == 200


async def test_a_loop_that_is_silent_for_long_is_blocked() -> None:
    health = serving()
    health.beat_at = time.monotonic() - ALIVE_WITHIN_SECONDS - 1

    with ops_port(health) as port:
        answer = await ask(port, "/livez")

    assert (answer.status, answer.json()["status"]) == (503, "blocked")
    assert answer.json()["loop_silent_seconds"] > ALIVE_WITHIN_SECONDS
