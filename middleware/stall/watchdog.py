"""On a thread: sees the missing beat, watches until it comes, and tells.

Sleeps until a beat would be late, so that it costs nothing while all is well. It needs the GIL for
everything it does: that it does not get it is evidence, too.
"""

import threading
from collections import deque
from contextlib import suppress
from time import monotonic_ns

from ..drops import Drops
from ..exchange import Exchange
from ..route import UNMATCHED
from .announcer import Announcer
from .attribution import application_of, route_of, waiting_exchanges
from .clocks import CgroupClock
from .gil import prompt_gil
from .glimpse import Glimpse, Viewpoint
from .incident import Incident, Reading
from .listener import Requests
from .pulse import Beat
from .sidecar.finding import Finding
from .usage import LoopUsage
from .verdict import Judge
from .wait import Wait

_RUN_UP_NS = 1_000_000
_WORK_NS = 150_000_000
_SAMPLE_NS = 10_000_000
_LATER_SAMPLE_NS = 50_000_000
_LATER_NS = 1_000_000_000
_REST_NS = 250_000_000
_FINDING_SECONDS = 0.5
_ROUTING_NS = 10_000_000
_ROUTING_TRIES = 10
_JOIN_SECONDS = 5.0
_MOST_FINDINGS = 100
_FAULT_NS = 1_000_000_000


class Watchdog:
    """Watches a loop from `start` to `stop`."""

    def __init__(
        self,
        viewpoint: Viewpoint,
        judge: Judge,
        announcer: Announcer,
        usage: LoopUsage,
        drops: Drops,
    ) -> None:
        self._viewpoint, self._judge, self._announcer = viewpoint, judge, announcer
        self._usage, self._drops = usage, drops
        self._heartbeat = viewpoint.heartbeat
        self._threshold_ns = int(judge.threshold_seconds * 1e9)
        # Early, so that a first callback which is short is seen to end.
        self._early_ns = self._threshold_ns * 7 // 10
        self._cgroup = CgroupClock()
        self._throttled_ns = self._cgroup.throttled_ns()
        self._rested_ns = 0
        self._incident: Incident | None = None
        self._findings: deque[Finding] = deque(maxlen=_MOST_FINDINGS)
        self._ends = False
        self._gate = threading.Lock()
        self._gate.acquire()  # released when it is to end
        self._thread = threading.Thread(target=self._run, name="stall-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; what is over by now is told."""
        self._gate.release()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        wait = Wait()
        while not self._ends:
            try:
                self._look_again(wait)
            except Exception:  # noqa: BLE001 - whatever it is, it goes on watching
                self._incident = None
                self._drops.add("stalls")
                self._sleep(monotonic_ns() + _FAULT_NS)
        with suppress(Exception):
            self._heed(self._viewpoint.glimpse(self._early_ns), wait)  # what is over by now
        wait.close()

    def _look_again(self, wait: Wait) -> None:
        due_ns = self._due_ns()
        self._heartbeat.pulse["watchdog_due_ns"] = due_ns
        wait.begin(due_ns)
        is_to_look_for_users = due_ns >= self._usage.due_ns
        self._sleep(due_ns - _RUN_UP_NS if is_to_look_for_users else due_ns)
        is_late = monotonic_ns() - self._heartbeat.last.due_ns >= self._early_ns - _RUN_UP_NS
        if not (is_late or is_to_look_for_users or self._heartbeat.late):
            self._incident = None
            return
        if not is_late and is_to_look_for_users:
            with prompt_gil():
                self._sleep(max(due_ns, monotonic_ns() + _RUN_UP_NS))
                glimpse = self._viewpoint.glimpse(self._early_ns)
        else:
            glimpse = self._viewpoint.glimpse(self._early_ns)
        # It runs; what it does now takes long where every system call lets go of the GIL.
        self._heartbeat.pulse["watchdog_due_ns"] = glimpse.at_ns + _WORK_NS
        wait.end(glimpse.at_ns)
        if is_to_look_for_users:
            self._usage.note(glimpse)
        self._heed(glimpse, wait)

    def _sleep(self, until_ns: int) -> None:
        """Until then, or until it is to end. A lock, since an Event is twenty times the work."""
        if self._gate.acquire(timeout=max(0, until_ns - monotonic_ns()) / 1e9):
            self._gate.release()
            self._ends = True

    def _due_ns(self) -> int:
        last = self._heartbeat.last
        if self._incident is None or self._incident.last is not last:
            return last.due_ns + self._early_ns
        now_ns = monotonic_ns()
        is_young = now_ns - last.due_ns < _LATER_NS
        return now_ns + (_SAMPLE_NS if is_young else _LATER_SAMPLE_NS)

    def _heed(self, glimpse: Glimpse, wait: Wait) -> None:
        self._learn(glimpse)
        is_late = glimpse.late_ns >= self._early_ns and self._heartbeat.loop.is_running()
        if is_late:
            self._watch(glimpse, wait)
        elif not self._heartbeat.late:
            self._rest(glimpse)
            return
        throttled_ns = self._cgroup.throttled_ns()
        # By now the beat may have come: then the glimpse was the last of this stall.
        while self._heartbeat.late:
            self._end(self._heartbeat.late.popleft(), throttled_ns, wait)
        if self._incident is not None and glimpse.late_ns >= self._threshold_ns:
            self._tell(self._incident, glimpse, Reading.now(self._heartbeat, throttled_ns))

    def _rest(self, glimpse: Glimpse) -> None:
        """All is well; now and then, take note of how it is."""
        self._incident = None
        self._viewpoint.in_flight.ended_late.clear()
        if glimpse.at_ns >= self._rested_ns + _REST_NS:
            self._rested_ns = glimpse.at_ns
            self._throttled_ns = self._cgroup.throttled_ns()
            self._findings += self._announcer.findings()

    def _watch(self, glimpse: Glimpse, wait: Wait) -> None:
        incident = self._incident
        if incident is None or incident.last is not glimpse.last:
            incident = self._incident = Incident(
                glimpse.last, self._threshold_ns, self._throttled_ns
            )
        incident.note(wait)
        clock = self._heartbeat.clock
        run_queue_ns = clock.run_queue_ns()
        starved_ns = max(wait.starved_ns, run_queue_ns - incident.run_queue_ns)
        incident.run_queue_ns = run_queue_ns
        incident.add(glimpse, clock.whereabouts(), starved_ns)

    def _tell(self, incident: Incident, glimpse: Glimpse, now: Reading) -> None:
        if incident.opened is None:
            incident.open(glimpse.requests, now)
            self._announcer.opened(*self._judge.verdict(incident, now))
        if incident.is_to_be_told_again(now.at_ns):
            self._receive(incident)
            self._announcer.goes_on(*self._judge.verdict(incident, now))

    def _end(self, late: tuple[Beat, Beat, int], throttled_ns: int, wait: Wait) -> None:
        """The beat has come; the stall before it may not have been seen while it lasted."""
        last, beat, switches = late
        incident, self._incident = self._incident, None
        if incident is None or incident.last is not last:
            incident = Incident(last, self._threshold_ns, self._throttled_ns)
            incident.note(wait, beat.at_ns)
        incident.switches = switches
        self._receive(incident, _FINDING_SECONDS)
        end = Reading.at(beat, self._heartbeat, throttled_ns)
        in_flight, was_seen = self._viewpoint.in_flight, incident.opened is not None
        if not was_seen:
            incident.open(Requests(None, waiting_exchanges(in_flight, None)), end)
        in_flight.ended_late.clear()
        self._await_route(incident.longest.running)
        verdict = self._judge.verdict(incident, end, over=True)
        if not was_seen:
            self._announcer.opened(*verdict)
        self._announcer.ended(*verdict)

    def _receive(self, incident: Incident, patience_seconds: float = 0.0) -> None:
        self._findings += self._announcer.findings(patience_seconds)
        sequence = incident.last.sequence
        incident.findings += [each for each in self._findings if each.sequence == sequence]
        self._findings.clear()

    def _learn(self, glimpse: Glimpse) -> None:
        exchange = glimpse.requests.culprit
        place = application_of(exchange) if exchange is not None else None
        if place is not None and self._judge.territory.learn(place):
            self._announcer.learnt(self._judge.territory.application)

    def _await_route(self, exchange: Exchange | None) -> None:
        """What stalls in a middleware stalls before its request has found its route."""
        for _ in range(_ROUTING_TRIES):
            if exchange is None or exchange.ended or route_of(exchange) != UNMATCHED:
                return
            self._sleep(monotonic_ns() + _ROUTING_NS)
