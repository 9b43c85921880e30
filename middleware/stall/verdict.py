"""What an incident amounts to: the stall as everybody is told of it."""

import os
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..exchange import Exchange
from .attribution import route_of
from .classify import Evidence, classify
from .culprit import Territory, guilty_of
from .incident import Incident, Reading, Turn
from .listener import Requests
from .record import (
    BLAMES_CODE,
    BLAMES_REQUEST,
    HOLDS_GIL,
    MOST_NAMED,
    UNATTRIBUTED,
    Cause,
    Frame,
    Stack,
    Stall,
    Victim,
    stall_id,
    wall_time,
)
from .samples import Sampler, is_waiting

_SEEN_FROM_OUTSIDE = HOLDS_GIL | {Cause.PROCESS_STOPPED}

Folded = tuple[tuple[Stack, int], ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """Tells what incidents amount to, those of one loop."""

    threshold_seconds: float
    sampler: Sampler
    territory: Territory
    thread: threading.Thread  # the loop's
    native_id: int

    def verdict(
        self, incident: Incident, now: Reading, *, over: bool = False
    ) -> tuple[Stall, Requests]:
        """What is known now; `over`: and ever will be."""
        evidence = self._evidence(incident, now)
        cause = classify(evidence)
        folded, blamed = self._folded(incident, cause)
        culprit, stack = guilty_of(blamed, self.territory)
        exchange = _to_blame(incident, cause, culprit)
        victims = tuple(each for each in incident.in_flight if each is not exchange)
        stall = Stall(
            id=stall_id(os.getpid(), incident.last.due_ns),
            phase="ended" if over else "ongoing",
            started_at=wall_time(incident.last.due_ns),
            duration_seconds=evidence.seconds,
            cause=cause,
            culprit=culprit if cause in BLAMES_CODE else None,
            culprit_finished=incident.longest.finished if exchange else None,
            route=route_of(exchange) if exchange else UNATTRIBUTED,
            request_id=exchange.request_id if exchange else None,
            trace_id=exchange.trace_hex if exchange else None,
            victims_count=len(victims),
            victims=tuple(_victim(each, evidence.seconds) for each in victims[:MOST_NAMED]),
            lost_by_route=_lost_by_route(victims, evidence.seconds),
            thread=self._thread(incident, cause),
            gil_held=cause in HOLDS_GIL,
            on_cpu_seconds=evidence.on_cpu,
            run_queue_seconds=evidence.run_queue,
            off_cpu_seconds=max(0.0, evidence.own - evidence.on_cpu),
            gc_seconds=evidence.gc,
            throttled_seconds=evidence.throttled,
            system_call=_system_call(incident, cause),
            evidence=_witness(incident, cause, evidence),
            samples=sum(count for _, count in folded),
            stack=stack,
            folded=folded,
            pid=os.getpid(),
        )
        return stall, Requests(exchange, victims)

    def _evidence(self, incident: Incident, now: Reading) -> Evidence:
        last = incident.last
        seconds = (now.at_ns - last.due_ns) / 1e9

        def spent(before: int, after: int) -> float:
            return min(max(0, after - before) / 1e9, seconds)

        gil_wait = incident.gil_wait_ns / 1e9
        on_cpu = now.on_cpu_ns - last.on_cpu_ns
        owners = Counter(each.owner(self.native_id) for each in incident.findings)
        return Evidence(
            seconds=seconds,
            threshold_seconds=self.threshold_seconds,
            on_cpu=spent(0, on_cpu),
            run_queue=spent(last.run_queue_ns, now.run_queue_ns),
            throttled=spent(incident.throttled_ns, now.throttled_ns),
            gc=spent(last.gc_ns, now.gc_ns),
            other_cpu=spent(on_cpu, now.process_cpu_ns - last.process_cpu_ns),
            stopped=incident.stopped or any(each.stopped for each in incident.findings),
            gil_wait=gil_wait,
            # What one thread had for the moment of a look is no reason to blame it.
            gil_owner=owners.most_common(1)[0][0] if owners and gil_wait >= seconds / 2 else None,
            gil_polls_per_second=_polls_per_second(incident, now),
            idle=bool(incident.samples) and all(map(is_waiting, incident.samples)),
            longest_callback=incident.longest.ns / 1e9 if incident.turns else None,
            samples=incident.samples.total(),
        )

    def _folded(self, incident: Incident, cause: Cause) -> tuple[Folded, Folded]:
        """All samples, and those that tell who is to blame."""
        seen = self.sampler.folded(incident.samples)
        other = cause is Cause.GIL_WAIT_OTHER_THREAD
        outside = Counter(
            each.owner_stack if other else each.loop_stack(self.native_id, self.sampler.runner)
            for each in incident.findings
            if each.threads
        )
        remote = tuple(outside.items())
        if other or (remote and cause in HOLDS_GIL):
            return (*seen, *remote), remote
        longest = incident.longest if incident.turns else None
        return (*seen, *remote), self.sampler.folded(longest.samples) if longest else seen

    def _thread(self, incident: Incident, cause: Cause) -> str | None:
        if cause is not Cause.GIL_WAIT_OTHER_THREAD:
            return self.thread.name
        return next((each.owner_name for each in incident.findings if each.owner_name), None)


def _polls_per_second(incident: Incident, now: Reading) -> float:
    if incident.opened is None or now.at_ns <= incident.opened.at_ns:
        return 0.0
    polls = now.voluntary_switches - incident.opened.voluntary_switches
    return polls / (now.at_ns - incident.opened.at_ns) * 1e9


def _to_blame(incident: Incident, cause: Cause, culprit: Frame | None) -> Exchange | None:
    """The request whose turn it was."""
    turn = incident.longest
    if cause not in BLAMES_REQUEST:
        return None
    if culprit is not None and not _was_at(turn, culprit):
        return None  # seen from outside; by the time the watchdog got to run, the loop had gone on
    return turn.running


def _was_at(turn: Turn, culprit: Frame) -> bool:
    place = culprit.file, culprit.function
    return any(
        (code.co_filename, code.co_qualname) == place
        for sample in turn.samples
        for code, _ in sample
    )


def _victim(exchange: Exchange, lost_seconds: float) -> Victim:
    return Victim(route_of(exchange), exchange.request_id, exchange.trace_hex, lost_seconds)


def _lost_by_route(victims: Sequence[Exchange], seconds: float) -> tuple[tuple[str, float], ...]:
    counts = Counter(map(route_of, victims))
    return tuple((route, count * seconds) for route, count in counts.items())


def _system_call(incident: Incident, cause: Cause) -> str | None:
    if cause is Cause.BLOCKING_CALL:
        return next((name for name, _ in incident.system_calls.most_common(1)), None)
    if cause is Cause.GIL_HELD_OFF_CPU:
        return next((each.system_call for each in incident.findings if each.system_call), None)
    return None  # it did not wait in one


def _witness(incident: Incident, cause: Cause, evidence: Evidence) -> str:
    if incident.findings and cause in _SEEN_FROM_OUTSIDE:
        return "remote"
    return "watchdog" if incident.samples and evidence.gil_wait < evidence.own / 2 else "late"
