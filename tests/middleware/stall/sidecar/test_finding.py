"""What was seen, and what it amounts to, with no process at all."""

import sys

import pytest

from middleware.stall.culprit import Territory
from middleware.stall.record import Cause, Frame, Stall
from middleware.stall.sidecar.finding import Finding, SeenThread, above
from middleware.stall.sidecar.testimony import Ground, stall_of

LOOP, OTHER = 10, 11
RUNNER = Frame("asyncio.base_events", "run_forever", "/lib/python/asyncio/base_events.py", 600)
MAIN = Frame("main", "<module>", "/srv/main.py", 3)
HANDLER = Frame("shop", "buy", "/srv/shop.py", 7)
MINE = Frame("mine", "dig", "/srv/mine.py", 9)
BASE = frozenset({(MAIN.file, MAIN.function), (RUNNER.file, RUNNER.function)})
GROUND = Ground(1, 0.1, Territory("/ours/", ("/lib/python/",), ("/lib/site/",)), BASE)
NS = 1_000_000_000


def loop_thread(*, owns_gil: bool) -> SeenThread:
    return SeenThread("MainThread", LOOP, owns_gil, (MAIN, RUNNER, HANDLER))


def finding(*threads: SeenThread, **facts: object) -> Finding:
    nothing: dict[str, object] = {
        "sequence": 1,
        "at_ns": NS,
        "stopped": False,
        "on_cpu_ns": 0,
        "run_queue_ns": 0,
        "other_cpu_ns": 0,
        "throttled_ns": 0,
        "gc_ns": 0,
        "system_call": "futex",
    }
    return Finding(threads=threads, **{**nothing, **facts})  # type: ignore[arg-type]  # as above


def judged(*findings: Finding) -> Stall:
    """A stall of a second."""
    return stall_of(findings, 0, LOOP, GROUND)


def test_a_finding_survives_its_journey() -> None:
    found = finding(loop_thread(owns_gil=True), system_call="futex", stopped=True)

    assert Finding.from_json(found.to_json()) == found


def test_the_owner_of_the_gil_is_the_loop_another_thread_or_nobody() -> None:
    other = SeenThread("miner", OTHER, True, (MINE,))

    by_loop = finding(loop_thread(owns_gil=True))
    by_other = finding(loop_thread(owns_gil=False), other)
    by_nobody = finding(loop_thread(owns_gil=False))

    assert [each.owner(LOOP) for each in (by_loop, by_other, by_nobody)] == ["loop", "other", None]
    assert (by_other.owner_name, by_other.owner_stack) == ("miner", (MINE,))
    assert (by_nobody.owner_name, by_nobody.owner_stack) == (None, ())


def test_what_runs_the_loop_is_cut_off() -> None:
    thread = loop_thread(owns_gil=True)

    assert above(BASE, thread) == (HANDLER,)
    assert above(frozenset(), thread) == (MAIN, RUNNER, HANDLER)
    assert above(BASE, None) == ()


def test_the_runner_may_be_told_as_code() -> None:
    code = sys._getframe().f_code
    here = Frame(__name__, code.co_qualname, code.co_filename, 1)
    found = finding(SeenThread("MainThread", LOOP, True, (MAIN, here, HANDLER)))

    assert found.loop_stack(LOOP, {code}) == (HANDLER,)


def test_who_works_with_the_gil_held_is_named() -> None:
    stall = judged(finding(loop_thread(owns_gil=True), on_cpu_ns=NS))

    assert (stall.cause, stall.culprit, stall.stack) == (Cause.CPU_GIL_HELD, HANDLER, (HANDLER,))
    assert (stall.id, stall.evidence, stall.thread) == ("1-0", "remote", "MainThread")


def test_who_waits_with_the_gil_held_is_named_with_the_system_call() -> None:
    stall = judged(finding(loop_thread(owns_gil=True), system_call="read"))

    assert (stall.cause, stall.culprit) == (Cause.GIL_HELD_OFF_CPU, HANDLER)
    assert stall.system_call == "read"


def test_another_thread_that_gets_no_cpu_for_what_it_does_with_the_gil_is_not_blamed() -> None:
    starved = SeenThread("miner", OTHER, True, (MINE,), ready=True)

    stall = judged(finding(loop_thread(owns_gil=False), starved, other_cpu_ns=NS // 100))

    assert (stall.cause, stall.culprit) == (Cause.CPU_STARVED, None)


def test_the_loops_own_code_is_not_blamed_for_another_threads() -> None:
    other = SeenThread("miner", OTHER, True, (MINE,))
    stall = judged(finding(loop_thread(owns_gil=False), other, other_cpu_ns=NS))

    assert (stall.cause, stall.culprit) == (Cause.GIL_WAIT_OTHER_THREAD, MINE)
    assert stall.thread == "miner"


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"stopped": True}, Cause.PROCESS_STOPPED),
        ({"run_queue_ns": NS}, Cause.CPU_STARVED),
        ({"throttled_ns": NS}, Cause.CGROUP_THROTTLED),
        ({"gc_ns": NS, "on_cpu_ns": NS}, Cause.GC_PAUSE),
    ],
)
def test_what_is_nobodys_fault_has_no_culprit(facts: dict[str, object], cause: Cause) -> None:
    stall = judged(finding(loop_thread(owns_gil=True), **facts))

    assert (stall.cause, stall.culprit) == (cause, None)


def test_what_nobody_could_see_is_unknown() -> None:
    stall = judged(finding(on_cpu_ns=NS))

    assert (stall.cause, stall.samples, stall.stack) == (Cause.UNKNOWN, 0, ())


def test_a_loop_that_waits_for_events_is_not_blamed() -> None:
    waiting = SeenThread("MainThread", LOOP, False, (MAIN, RUNNER))
    stall = judged(finding(waiting, system_call="epoll_wait"))

    assert (stall.cause, stall.culprit) == (Cause.UNKNOWN, None)
