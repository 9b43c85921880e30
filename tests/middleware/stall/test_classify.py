"""What is nobody's fault blames nobody, and whoever is blamed was seen."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleware.stall.classify import Evidence, classify, in_run_queue
from middleware.stall.record import BLAMES_CODE, BLAMES_REQUEST, Cause

patient = settings(deadline=None, max_examples=60)  # the machine has other work, too

THRESHOLD = 0.1
# One watched stall of the loop's own: three times the threshold, and its thread slept.
STALL = Evidence(seconds=0.3, threshold_seconds=THRESHOLD, samples=20)

KEPT: dict[str, Any] = {"gil_owner": "other", "gil_wait": 0.28}

NOBODYS = {Cause.CPU_STARVED, Cause.CGROUP_THROTTLED}
HOLD_THE_GIL = {Cause.CPU_GIL_HELD, Cause.GIL_HELD_OFF_CPU}


@st.composite
def stalls(draw: st.DrawFn) -> Evidence:
    """Of any stall; the clocks disagree as much as real ones may."""
    seconds = draw(st.floats(THRESHOLD, 3600))

    def share() -> float:
        return seconds * draw(st.one_of(st.just(0.0), st.floats(0, 1.05)))

    return Evidence(
        seconds=seconds,
        threshold_seconds=THRESHOLD,
        on_cpu=share(),
        run_queue=share(),
        throttled=share(),
        gc=share(),
        other_cpu=share() * 4,
        stopped=draw(st.booleans()),
        gil_wait=share(),
        gil_owner=draw(st.sampled_from([None, "loop", "other"])),
        gil_polls_per_second=draw(st.floats(0, 1000)),
        idle=draw(st.booleans()),
        longest_callback=draw(st.none() | st.floats(0, 3600)),
        samples=draw(st.integers(0, 10_000)),
        over=draw(st.booleans()),
    )


@patient
@given(stalls())
def test_a_stopped_process_is_nobodys_fault_whatever_the_clocks_say(stall: Evidence) -> None:
    assert classify(replace(stall, stopped=True)) is Cause.PROCESS_STOPPED


@patient
@given(stalls())
def test_a_process_that_was_not_stopped_is_not_said_to_have_been(stall: Evidence) -> None:
    assert classify(replace(stall, stopped=False)) is not Cause.PROCESS_STOPPED


@patient
@given(stalls(), st.floats(0, 1))
def test_what_the_host_took_blames_no_code(stall: Evidence, throttled_share: float) -> None:
    taken = stall.seconds - stall.threshold_seconds * 0.49

    starved = replace(
        stall,
        stopped=False,
        throttled=taken * throttled_share,
        run_queue=taken * (1 - throttled_share),
    )

    assert classify(starved) in NOBODYS


@patient
@given(stalls())
def test_a_host_that_took_nothing_is_not_blamed(stall: Evidence) -> None:
    undisturbed = replace(stall, run_queue=0.0, throttled=0.0)

    assert classify(undisturbed) not in NOBODYS


@patient
@given(stalls())
def test_what_nobody_saw_blames_no_request(stall: Evidence) -> None:
    unseen = replace(stall, samples=0, gil_owner=None)

    assert classify(unseen) not in BLAMES_REQUEST


@patient
@given(stalls())
def test_a_loop_that_was_seen_idle_blames_no_request(stall: Evidence) -> None:
    assert classify(replace(stall, idle=True)) not in BLAMES_REQUEST


@patient
@given(stalls(), st.floats(0, THRESHOLD, exclude_max=True))
def test_callbacks_that_are_all_short_blame_no_request(stall: Evidence, longest: float) -> None:
    assert classify(replace(stall, longest_callback=longest)) not in BLAMES_REQUEST


@patient
@given(stalls())
def test_collecting_garbage_all_the_time_blames_no_code(stall: Evidence) -> None:
    assert classify(replace(stall, gc=stall.seconds)) not in BLAMES_CODE


@patient
@given(stalls())
def test_nobody_is_said_to_hold_a_gil_that_nobody_waited_for(stall: Evidence) -> None:
    free = replace(stall, gil_owner=None, gil_wait=0.0)

    assert classify(free) not in HOLD_THE_GIL


@patient
@given(stalls())
def test_another_thread_is_blamed_only_when_it_held_the_gil_or_computed_or_the_loop_asked_for_it(
    stall: Evidence,
) -> None:
    alone = replace(stall, gil_owner=None, other_cpu=0.0, gil_polls_per_second=0.0)

    assert classify(alone) is not Cause.GIL_WAIT_OTHER_THREAD


@patient
@given(stalls())
def test_a_thread_that_slept_is_not_said_to_have_computed(stall: Evidence) -> None:
    assert classify(replace(stall, on_cpu=0.0)) not in {Cause.CPU, Cause.CPU_GIL_HELD}


@patient
@given(stalls())
def test_a_thread_that_computed_all_the_time_is_not_said_to_have_waited(stall: Evidence) -> None:
    computing = replace(stall, on_cpu=stall.seconds)

    assert classify(computing) not in {Cause.BLOCKING_CALL, Cause.GIL_HELD_OFF_CPU}


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        (STALL, Cause.BLOCKING_CALL),
        (replace(STALL, on_cpu=0.29), Cause.CPU),
        (replace(STALL, on_cpu=0.29, gil_wait=0.28), Cause.CPU_GIL_HELD),
        (replace(STALL, on_cpu=0.29, gil_owner="loop", samples=0), Cause.CPU_GIL_HELD),
        (replace(STALL, gil_wait=0.28), Cause.GIL_HELD_OFF_CPU),
        (replace(STALL, gil_owner="loop", samples=0), Cause.GIL_HELD_OFF_CPU),
        (replace(STALL, gil_owner="other", samples=0), Cause.GIL_WAIT_OTHER_THREAD),
        (replace(STALL, gil_wait=0.28, other_cpu=0.29), Cause.GIL_WAIT_OTHER_THREAD),
        (replace(STALL, gil_polls_per_second=180, other_cpu=0.29), Cause.GIL_WAIT_OTHER_THREAD),
        (replace(STALL, gil_polls_per_second=180, gil_wait=0.28), Cause.GIL_WAIT_OTHER_THREAD),
        (replace(STALL, gc=0.28, on_cpu=0.29, gil_wait=0.28), Cause.GC_PAUSE),
        (replace(STALL, run_queue=0.25), Cause.CPU_STARVED),
        (replace(STALL, throttled=0.25), Cause.CGROUP_THROTTLED),
        (replace(STALL, on_cpu=0.29, longest_callback=0.002), Cause.LOOP_SATURATED),
        (replace(STALL, on_cpu=0.29, longest_callback=0.29), Cause.CPU),
        (replace(STALL, samples=0), Cause.UNKNOWN),
        (replace(STALL, runnable_share=0.9), Cause.BLOCKING_CALL),
        (replace(STALL, runnable_share=1.0), Cause.UNKNOWN),
        (replace(STALL, idle=True), Cause.UNKNOWN),
    ],
)
def test_each_cause_has_its_evidence(evidence: Evidence, cause: Cause) -> None:
    assert classify(evidence) is cause


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        # Two processes share a core: the code takes twice its time, and is a stall without that.
        (replace(STALL, seconds=0.6, on_cpu=0.3, run_queue=0.3), Cause.CPU),
        (replace(STALL, seconds=0.6, on_cpu=0.3, throttled=0.3), Cause.CPU),
        (replace(STALL, seconds=0.6, run_queue=0.3), Cause.BLOCKING_CALL),
        (replace(STALL, seconds=0.6, on_cpu=0.04, run_queue=0.56), Cause.CPU_STARVED),
        (replace(STALL, seconds=0.6, run_queue=0.27, throttled=0.3), Cause.CGROUP_THROTTLED),
        # Another thread has the GIL and no CPU; it computes; it sleeps.
        (replace(STALL, **KEPT, gil_owner_ready=True), Cause.CPU_STARVED),
        (replace(STALL, **KEPT, gil_owner_ready=True, other_cpu=0.2), Cause.GIL_WAIT_OTHER_THREAD),
        (replace(STALL, **KEPT), Cause.GIL_WAIT_OTHER_THREAD),
    ],
)
def test_a_stall_on_a_busy_host_is_judged_by_what_the_host_did_not_take(
    evidence: Evidence, cause: Cause
) -> None:
    assert classify(evidence) is cause


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        # A third of a CPU is left for it: as soon as it has computed for a threshold, it is named.
        (replace(STALL, on_cpu=0.09, run_queue=0.2, gil_owner="loop"), Cause.CPU_STARVED),
        (replace(STALL, on_cpu=0.1, run_queue=0.19, gil_owner="loop"), Cause.CPU_GIL_HELD),
        # The system has not counted the wait yet that it is in.
        (replace(STALL, on_cpu=0.09, runnable_share=1.0), Cause.CPU_STARVED),
        (replace(STALL, on_cpu=0.1, runnable_share=1.0), Cause.CPU),
        # It has slept: how much of that was a wait for a CPU is a guess while it lasts.
        (replace(STALL, run_queue=0.18), Cause.CPU_STARVED),
    ],
)
def test_on_a_busy_host_a_stall_that_lasts_is_its_own_when_it_has_computed_for_long_enough(
    evidence: Evidence, cause: Cause
) -> None:
    assert classify(replace(evidence, over=False)) is cause


def test_a_thread_that_waits_while_others_compute_beside_the_gil_waits_for_itself() -> None:
    model_threads_at_work = replace(STALL, other_cpu=1.2)

    assert classify(model_threads_at_work) is Cause.BLOCKING_CALL


def test_a_sleep_that_the_system_counts_as_waiting_for_a_cpu_is_none_where_all_looks_saw_it() -> (
    None
):
    assert in_run_queue(4.9, 5.0, looks=100, runnable_share=0.0) == pytest.approx(0.5)


@pytest.mark.parametrize(("looks", "runnable_share"), [(9, 0.0), (100, 0.5), (100, 1.0)])
def test_else_the_system_is_believed(looks: int, runnable_share: float) -> None:
    assert in_run_queue(4.9, 5.0, looks, runnable_share) == 4.9
