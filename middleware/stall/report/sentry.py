"""Stalls as Sentry's issues: one per culprit and cause, and few events of each."""

import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from ...signals.sentry import request_fields
from ..culprit import Territory
from ..listener import Requests
from ..record import BLAMES_REQUEST, Cause, Frame, Stall
from .told import Told

SHORTEST_SECONDS = 0.5
HANG_SECONDS = 1.0  # not waited for any longer: it may never end
WINDOW_SECONDS = 600.0

_MOST_REMEMBERED = 500  # fingerprints
_MOST_FRAMES = 100
_OF_THE_HOST = frozenset({Cause.PROCESS_STOPPED, Cause.CPU_STARVED, Cause.CGROUP_THROTTLED})
_SHOWN_ELSEWHERE = ("culprit", "stack", "victims")

Event = dict[str, Any]
Fingerprint = tuple[str, str, str]


class StallReports:
    """A Listener that gives `report` an event of what is the code's fault, and not the host's.

    `suppressed` is called for every stall that is not reported because its like was, less than
    WINDOW_SECONDS ago by `clock`; the next report says how many those were.
    """

    def __init__(
        self,
        report: Callable[[Event], None],
        suppressed: Callable[[], object],
        territory: Territory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report, self._territory = report, territory
        self._windows = _Windows(suppressed, clock)
        self._told = Told()

    def opened(self, stall: Stall, requests: Requests) -> None:
        """Too early to tell."""

    def goes_on(self, stall: Stall, requests: Requests) -> None:
        """A hang; unless nobody knows why, which `ended` may."""
        if stall.duration_seconds >= HANG_SECONDS and stall.cause is not Cause.UNKNOWN:
            self._tell(stall, requests)

    def ended(self, stall: Stall, requests: Requests) -> None:
        """Whatever was long enough, and is not reported yet."""
        if stall.duration_seconds >= SHORTEST_SECONDS:
            self._tell(stall, requests)

    def _tell(self, stall: Stall, requests: Requests) -> None:
        if stall.cause in _OF_THE_HOST or not self._told.is_news(stall):
            return
        fingerprint = _fingerprint(stall)
        suppressed = self._windows.open(fingerprint)
        if suppressed is not None:
            event = _event(stall, requests, self._territory)
            event["fingerprint"] = list(fingerprint)
            event["contexts"]["stall"]["suppressed"] = suppressed
            # Whatever is bound on this thread belongs to somebody else.
            Context().run(self._report, event)


@dataclass(slots=True)
class _Window:
    ends: float
    suppressed: int = 0


class _Windows:
    """When what was reported; the one whose window ends first comes first."""

    def __init__(self, suppressed: Callable[[], object], clock: Callable[[], float]) -> None:
        self._suppressed, self._clock = suppressed, clock
        self._windows: dict[Fingerprint, _Window] = {}

    def open(self, fingerprint: Fingerprint) -> int | None:
        """How many were suppressed since the last report; None: this one is, too."""
        now = self._clock()
        window = self._windows.get(fingerprint)
        if window is not None and now < window.ends:
            window.suppressed += 1
        elif window is not None or self._has_room(now):
            self._windows.pop(fingerprint, None)
            self._windows[fingerprint] = _Window(now + WINDOW_SECONDS)
            return 0 if window is None else window.suppressed
        self._suppressed()
        return None

    def _has_room(self, now: float) -> bool:
        if len(self._windows) < _MOST_REMEMBERED:
            return True
        first = next(iter(self._windows))
        if now < self._windows[first].ends:
            return False
        del self._windows[first]
        return True


def _fingerprint(stall: Stall) -> Fingerprint:
    culprit = "no culprit" if stall.culprit is None else stall.culprit.name
    return "event_loop_stall", stall.cause.value, culprit


def _event(stall: Stall, requests: Requests, territory: Territory) -> Event:
    facts = stall.facts()
    fields: Event = {"tags": {}, "contexts": {}}
    if requests.culprit is not None and stall.cause in BLAMES_REQUEST:
        fields = request_fields(requests.culprit)
    fields["tags"] |= {"cause": stall.cause.value, "http.route": stall.route}
    fields["contexts"]["stall"] = {
        name: fact for name, fact in facts.items() if name not in _SHOWN_ELSEWHERE
    }
    return {**fields, "level": "warning", "exception": {"values": [_exception(stall, territory)]}}


def _exception(stall: Stall, territory: Territory) -> Event:
    """As if it had been raised: so that Sentry shows the stack, with source lines."""
    where = "" if stall.culprit is None else f" in {stall.culprit.name}"
    frames = [_shown(frame, territory) for frame in stall.stack[-_MOST_FRAMES:]]
    return {
        "type": "EventLoopStall",
        "value": f"{stall.cause.value}{where} for {stall.duration_seconds:.2f} s",
        "mechanism": {"type": "stall_detector", "handled": True},
        "stacktrace": {"frames": frames},
    }


def _shown(frame: Frame, territory: Territory) -> Event:
    return {
        "module": frame.module,
        "function": frame.function,
        "filename": frame.file,
        "abs_path": frame.file,
        "lineno": frame.line,
        "in_app": territory.is_application(frame.file),
    }
