"""A stall in words: right numbers, and something to do about every cause."""

from typing import Any

import pytest

from middleware.stall.explain import explanation, in_words, remedy
from middleware.stall.record import Cause
from tests.middleware.ops.stall_records import stall


def test_what_no_clock_said_is_not_made_up() -> None:
    unknown = stall(on_cpu_seconds=None, system_call=None)

    assert explanation(unknown) == (
        "The thread used an unknown amount of CPU in 300 ms and waited for something outside of"
        " Python."
    )


def test_a_system_call_that_nobody_has_explained_is_named_all_the_same() -> None:
    assert "sat in the system call keyctl." in explanation(stall(system_call="keyctl"))


def test_a_thread_name_is_no_template() -> None:
    named = stall(cause=Cause.GIL_WAIT_OTHER_THREAD, thread="{whole} %s {0}")

    assert "“{whole} %s {0}”" in explanation(named)


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_explained_when_nothing_else_is_known(cause: Cause) -> None:
    clocks = ("on_cpu_seconds", "run_queue_seconds", "gc_seconds", "throttled_seconds")
    nothing: dict[str, Any] = dict.fromkeys((*clocks, "thread", "system_call"))

    unknown = stall(cause=cause, **nothing)

    assert explanation(unknown).endswith(".")
    assert "None" not in explanation(unknown)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.BLOCKING_CALL, "used 3 ms of CPU in 300 ms and sat in the system call clock_nano"),
        (Cause.CPU, "used 290 ms of CPU in 300 ms"),
        (Cause.CPU_GIL_HELD, "did not give up the GIL"),
        (Cause.GIL_HELD_OFF_CPU, "held the GIL while it sat in the system call futex"),
        (Cause.GIL_WAIT_OTHER_THREAD, "the thread “prices-importer” had the GIL"),
        (Cause.GC_PAUSE, "for 281 ms of 300 ms"),
        (Cause.CPU_STARVED, "no CPU for 264 ms of 300 ms"),
        (Cause.CGROUP_THROTTLED, "held back for 271 ms of 300 ms"),
        (Cause.PROCESS_STOPPED, "stood still for 300 ms"),
        (Cause.LOOP_SATURATED, "no single callback was long"),
        (Cause.UNKNOWN, "nobody saw why"),
    ],
)
def test_the_numbers_that_tell_a_cause_are_said(cause: Cause, words: str) -> None:
    assert words in explanation(stall(cause=cause))


@pytest.mark.parametrize(
    ("system_call", "words"),
    [
        ("futex", "it waited for a lock"),
        ("clock_nanosleep", "it slept"),
        ("recvfrom", "it waited for the network"),
        ("poll", "it waited for the network"),
        ("wait4", "it waited for a child process"),
        ("fsync", "it waited for a disk"),
        ("connect", "it waited for a connection"),
    ],
)
def test_a_system_call_is_explained(system_call: str, words: str) -> None:
    assert f"{system_call}: {words}" in explanation(stall(system_call=system_call))


def test_one_that_lasts_says_so() -> None:
    assert explanation(stall(phase="ongoing")).startswith("It still lasts. ")


def test_a_busy_host_is_told_of_whatever_the_cause() -> None:
    late = stall(cause=Cause.CPU, run_queue_seconds=0.1)

    assert "For 100 ms of that it got no CPU: the host was busy." in explanation(late)
    assert "the host was busy." not in explanation(stall(cause=Cause.CPU))


def test_work_after_the_response_is_told() -> None:
    assert "The response was out already" in explanation(stall(culprit_finished=True))


@pytest.mark.parametrize("cause", Cause)
def test_there_is_something_to_do_about_every_cause(cause: Cause) -> None:
    assert remedy(cause).endswith(".")


@pytest.mark.parametrize(
    ("system_call", "words"),
    [
        ("clock_nanosleep", "await asyncio.sleep"),
        ("wait4", "create_subprocess_exec"),
        ("futex", "asyncio.Lock"),
        ("recvfrom", "asynchronous client"),
        (None, "asyncio.to_thread"),
    ],
)
def test_what_helps_depends_on_what_it_waited_for(system_call: str | None, words: str) -> None:
    assert words in remedy(Cause.BLOCKING_CALL, system_call)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.003, "3 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (59.994, "59.99 s"),
        (59.996, "1 min 0 s"),
        (125.4, "2 min 5 s"),
    ],
)
def test_a_time_reads_as_a_person_says_it(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
