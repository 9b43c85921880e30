"""What an incident amounts to: the stall as everybody is told of it."""

import os
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..exchange import Exchange
from .attribution import route_of
from .blame import stacks_of, to_blame
from .classify import Evidence, classify, in_run_queue
from .clocks import RUNNABLE
from .culprit import Territory, guilty_of
from .incident import Incident, Reading
from .listener import Requests
from .record import (
    BLAMES_CODE,
    HOLDS_GIL,
    MOST_NAMED,
    UNATTRIBUTED,
    Cause,
    Stall,
    Victim,
    stall_id,
    wall_time,
)
from .samples import Sampler, is_waiting

_GIL_WAIT = "futex"  # and every other lock
_SEEN_FROM_OUTSIDE = HOLDS_GIL | {Cause.PROCESS_STOPPED}


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
        evidence = self._evidence(incident, now, over)
        cause = classify(evidence)
        folded, telling = stacks_of(incident, cause, self.sampler, self.native_id)
        culprit, stack = guilty_of(telling, self.territory)
        witness = _witness(incident, cause, evidence)
        if witness == "late" and culprit and not self.territory.is_application(culprit.file):
            culprit = None  # it may have been called since
        exchange = to_blame(incident, cause, culprit, stack)
        victims = tuple(each for each in incident.in_flight if each is not exchange)
        stall = Stall(
            id=stall_id(os.getpid(), incident.last.due_ns),
            phase="ended" if over else "ongoing",
            started_at=wall_time(incident.last.due_ns),
            duration_seconds=evidence.seconds,
            cause=cause,
            culprit=culprit if cause in BLAMES_CODE else None,
            culprit_finished=_had_finished(incident, exchange),
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
            off_cpu_seconds=evidence.off_cpu,
            gc_seconds=evidence.gc,
            throttled_seconds=evidence.throttled,
            system_call=_system_call(incident, cause),
            evidence=witness,
            samples=sum(count for _, count in folded),
            stack=stack,
            folded=folded,
            pid=os.getpid(),
        )
        return stall, Requests(exchange, victims)

    def _evidence(self, incident: Incident, now: Reading, over: bool) -> Evidence:
        last = incident.last
        seconds = (now.at_ns - last.due_ns) / 1e9

        def spent(before: int, after: int) -> float:
            return min(max(0, after - before) / 1e9, seconds)

        gil_wait = incident.gil_wait_ns / 1e9
        on_cpu = now.on_cpu_ns - last.on_cpu_ns
        runnable_share = _runnable_share(incident)
        owners = Counter(each.owner(self.native_id) for each in incident.findings)
        return Evidence(
            seconds=seconds,
            threshold_seconds=self.threshold_seconds,
            on_cpu=spent(0, on_cpu),
            run_queue=in_run_queue(
                spent(last.run_queue_ns, now.run_queue_ns),
                seconds,
                incident.whereabouts.total(),
                runnable_share,
            ),
            waiting_beside=_waiting_beside(incident),
            runnable_share=runnable_share,
            throttled=spent(incident.throttled_ns, now.throttled_ns),
            gc=spent(last.gc_ns, now.gc_ns),
            other_cpu=spent(on_cpu, now.process_cpu_ns - last.process_cpu_ns),
            stopped=incident.stopped or any(each.stopped for each in incident.findings),
            gil_wait=gil_wait,
            # What one thread had for the moment of a look is no reason to blame it.
            gil_owner=owners.most_common(1)[0][0] if owners and gil_wait >= seconds / 2 else None,
            gil_owner_ready=all(each.owner_is_ready for each in incident.findings if each.threads),
            gil_polls_per_second=_polls_per_second(incident, now),
            idle=_was_idle(incident) and gil_wait < seconds / 2,
            longest_callback=incident.longest.ns / 1e9 if incident.turns else None,
            samples=incident.samples.total(),
            over=over,
        )

    def _thread(self, incident: Incident, cause: Cause) -> str | None:
        if cause is not Cause.GIL_WAIT_OTHER_THREAD:
            return self.thread.name
        return next((each.owner_name for each in incident.findings if each.owner_name), None)


def _waiting_beside(incident: Incident) -> float:
    """For how long the watchdog got no CPU, where the loop may have waited for its GIL."""
    elsewhere = incident.whereabouts.keys() - {RUNNABLE, _GIL_WAIT}
    return 0.0 if elsewhere else incident.starved_ns / 1e9


def _runnable_share(incident: Incident) -> float:
    looks = incident.whereabouts.total()
    return incident.whereabouts[RUNNABLE] / looks if looks else 0.0


def _was_idle(incident: Incident) -> bool:
    return bool(incident.samples) and all(map(is_waiting, incident.samples))


def _polls_per_second(incident: Incident, now: Reading) -> float:
    if incident.switches is not None:
        return incident.switches / (now.at_ns - incident.last.at_ns) * 1e9
    if incident.opened is None or now.at_ns <= incident.opened.at_ns:
        return 0.0
    polls = now.voluntary_switches - incident.opened.voluntary_switches
    return polls / (now.at_ns - incident.opened.at_ns) * 1e9


def _had_finished(incident: Incident, exchange: Exchange | None) -> bool | None:
    turn = incident.longest
    return None if exchange is None else turn.finished and turn.running is exchange


def _victim(exchange: Exchange, lost_seconds: float) -> Victim:
    return Victim(route_of(exchange), exchange.request_id, exchange.trace_hex, lost_seconds)


def _lost_by_route(victims: Sequence[Exchange], seconds: float) -> tuple[tuple[str, float], ...]:
    counts = Counter(map(route_of, victims))
    return tuple((route, count * seconds) for route, count in counts.items())


def _system_call(incident: Incident, cause: Cause) -> str | None:
    if cause is Cause.BLOCKING_CALL:
        names = (name for name, _ in incident.whereabouts.most_common() if name != RUNNABLE)
        return next(names, None)
    if cause is Cause.GIL_HELD_OFF_CPU:
        return next((each.system_call for each in incident.findings if each.system_call), None)
    return None  # it did not wait in one


def _witness(incident: Incident, cause: Cause, evidence: Evidence) -> str:
    if incident.findings and cause in _SEEN_FROM_OUTSIDE:
        return "remote"
    return "watchdog" if incident.samples and evidence.gil_wait < evidence.own / 2 else "late"
