"""Who is to blame for an incident: the stacks that tell the culprit, and its request."""

from collections import Counter
from inspect import unwrap

from ..exchange import Exchange
from .incident import Incident, Turn
from .record import BLAMES_REQUEST, HOLDS_GIL, Cause, Frame, Stack
from .samples import Sampler

Folded = tuple[tuple[Stack, int], ...]


def stacks_of(
    incident: Incident, cause: Cause, sampler: Sampler, loop_thread: int
) -> tuple[Folded, Folded]:
    """All samples, and those that tell who is to blame."""
    seen = sampler.folded(incident.samples)
    other = cause is Cause.GIL_WAIT_OTHER_THREAD
    outside = Counter(
        each.owner_stack if other else each.loop_stack(loop_thread, sampler.runner)
        for each in incident.findings
        if each.threads
    )
    remote = tuple(outside.items())
    if other or (remote and cause in HOLDS_GIL):
        return (*seen, *remote), remote
    longest = sampler.folded(incident.longest.samples) if incident.turns else seen
    return (*seen, *remote), longest


def to_blame(
    incident: Incident, cause: Cause, culprit: Frame | None, stack: Stack
) -> Exchange | None:
    """The request whose turn it was, if that is known."""
    if cause not in BLAMES_REQUEST:
        return None
    turn, outside = incident.longest, cause in HOLDS_GIL and bool(incident.findings)
    if outside and culprit is not None and not _was_at(turn, culprit):
        # By the time the watchdog got to run, the loop had gone on.
        fitting = [each for each in incident.in_flight if _answers_in(each, stack)]
        return fitting[0] if len(fitting) == 1 else None
    if cause in HOLDS_GIL and not outside and _may_be_another(incident, turn.running):
        return None
    return turn.running


def _may_be_another(incident: Incident, running: Exchange | None) -> bool:
    """Whether the loop may have gone on to this one before anybody could look."""
    ended_late = any(each is not running and each.ended for each in incident.in_flight)
    return ended_late or (running is not None and running not in incident.in_flight)


def _was_at(turn: Turn, culprit: Frame) -> bool:
    place = culprit.file, culprit.function
    return any(
        (code.co_filename, code.co_qualname) == place
        for sample in turn.samples
        for code, _ in sample
    )


def _answers_in(exchange: Exchange, stack: Stack) -> bool:
    """Whether the endpoint that answers this request is on the stack."""
    endpoint = exchange.scope.get("endpoint")
    code = getattr(unwrap(endpoint), "__code__", None) if callable(endpoint) else None
    return code is not None and any(
        (frame.file, frame.function) == (code.co_filename, code.co_qualname) for frame in stack
    )
