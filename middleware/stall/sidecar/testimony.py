"""What was seen of a stall from outside, as a stall."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..classify import Evidence, classify
from ..culprit import Territory, guilty_frame, guilty_of
from ..record import (
    BLAMES_CODE,
    HOLDS_GIL,
    UNATTRIBUTED,
    Cause,
    Stack,
    Stall,
    stall_id,
    wall_time,
)
from .finding import Finding, Function, above
from .system_calls import WAIT_FOR_EVENTS

_WAITS = frozenset({Cause.BLOCKING_CALL, Cause.GIL_HELD_OFF_CPU})


@dataclass(frozen=True, slots=True)
class Ground:
    """What has to be known of the watched process to judge what is seen of it."""

    pid: int
    threshold_seconds: float
    territory: Territory
    base: frozenset[Function] = frozenset()  # what runs the loop


def stall_of(findings: Sequence[Finding], due_ns: int, loop_thread: int, ground: Ground) -> Stall:
    """What `findings` (at least one, the oldest first) say of the beat that was due."""
    last = findings[-1]
    stacks = [above(ground.base, each.thread(loop_thread)) for each in findings if each.threads]
    evidence = _evidence(findings, stacks, due_ns, loop_thread, ground)
    cause = classify(evidence)
    of_others = cause is Cause.GIL_WAIT_OTHER_THREAD
    if of_others:
        stacks = [each.owner_stack for each in findings if each.owner_stack]
    folded = tuple(Counter(stacks).items())
    culprit, stack = guilty_of(folded, ground.territory)
    return Stall(
        id=stall_id(ground.pid, due_ns),
        phase="ongoing",
        started_at=wall_time(due_ns),
        duration_seconds=evidence.seconds,
        cause=cause,
        culprit=culprit if cause in BLAMES_CODE else None,
        culprit_finished=None,
        route=UNATTRIBUTED,
        request_id=None,
        trace_id=None,
        victims_count=0,
        victims=(),
        lost_by_route=(),
        thread=_owner_name(findings) if of_others else _loop_name(last, loop_thread),
        gil_held=cause in HOLDS_GIL,
        on_cpu_seconds=evidence.on_cpu,
        run_queue_seconds=evidence.run_queue,
        off_cpu_seconds=evidence.off_cpu,
        gc_seconds=evidence.gc,
        throttled_seconds=evidence.throttled,
        system_call=last.system_call if cause in _WAITS else None,
        evidence="remote",
        samples=len(stacks),
        stack=stack,
        folded=folded,
        pid=ground.pid,
    )


def _evidence(
    findings: Sequence[Finding],
    stacks: Sequence[Stack],
    due_ns: int,
    loop_thread: int,
    ground: Ground,
) -> Evidence:
    last = findings[-1]
    seconds = (last.at_ns - due_ns) / 1e9
    owners = Counter(filter(None, (each.owner(loop_thread) for each in findings)))
    idle = last.system_call in WAIT_FOR_EVENTS
    return Evidence(
        seconds=seconds,
        threshold_seconds=ground.threshold_seconds,
        on_cpu=min(last.on_cpu_ns / 1e9, seconds),
        run_queue=min(last.run_queue_ns / 1e9, seconds),
        runnable_share=float(last.system_call is None),
        throttled=min(last.throttled_ns / 1e9, seconds),
        gc=min(last.gc_ns / 1e9, seconds),
        other_cpu=last.other_cpu_ns / 1e9,
        stopped=last.stopped,
        gil_owner=next((owner for owner, _ in owners.most_common(1)), None),
        gil_owner_ready=all(each.owner_is_ready for each in findings if each.threads),
        idle=idle and not any(guilty_frame(stack, ground.territory) for stack in stacks),
        samples=len(stacks),
        over=False,
    )


def _owner_name(findings: Sequence[Finding]) -> str | None:
    return next((each.owner_name for each in reversed(findings) if each.owner_name), None)


def _loop_name(finding: Finding, loop_thread: int) -> str | None:
    thread = finding.thread(loop_thread)
    return thread.name if thread else None
