"""From a request to the stall that it caused, on a machine that others use, too.

Where the host took the CPU away while the request blocked the loop, saying so instead of blaming
the request is right: then it is asked again. So is not knowing the request, where the GIL was kept
until it had gone on. Blaming another line or another request never is.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from .marks import Mark, marked
from .serving import Answered, RunningApp, Stall

_SEEN_WITHIN_SECONDS = 5.0
_OTHERS_WITHIN_SECONDS = 1.5
_ATTEMPTS = 5
_KEEP_THE_GIL = {"cpu_gil_held", "gil_held_off_cpu"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A stall, and the response to the request that caused it."""

    stall: Stall
    answered: Answered


def until_seen(app: RunningApp, path: str, cause: str, culprit: str | None = None) -> Seen:
    """Ask for `path` until there is a stall for this cause, with the culprit of that mark."""
    mark = marked(culprit) if culprit is not None else None
    seen: list[str] = []
    for _ in range(_ATTEMPTS):
        asked = now()
        answered = app.get(path)
        assert answered.status == 200, answered
        for stall in ended_since(app, asked, cause):
            assert_nobody_else_is_blamed(stall, answered.trace_id, mark)
            may_be_unknown = cause in _KEEP_THE_GIL and stall["trace_id"] is None
            if stall["cause"] == cause and not may_be_unknown:
                return Seen(stall, answered)
            seen.append(f"{stall['cause']} of {stall['route']}")
    pytest.fail(f"{path} was asked {_ATTEMPTS} times; not {cause}, but {seen or 'nothing'}")


def assert_nobody_else_is_blamed(stall: Stall, trace_id: str, mark: Mark | None) -> None:
    """Whoever the stall blames is this line, and this request."""
    culprit = stall["culprit"]
    assert culprit is None or (mark is not None and mark.fits(culprit)), stall
    assert stall["trace_id"] in {None, trace_id}, stall


def now() -> datetime:
    """A moment to compare the beginnings of stalls with."""
    return datetime.now(UTC)


def stalls_since(app: RunningApp, moment: datetime) -> list[Stall]:
    """Those that began later, whenever they were told of: one from before is no answer."""
    return [stall for stall in app.stalls() if datetime.fromisoformat(stall["started_at"]) > moment]


def ended_since(app: RunningApp, moment: datetime, cause: str) -> list[Stall]:
    """Stalls since, once one for this cause is over; whatever there is, if none comes."""
    began = time.monotonic()
    while True:
        ended = [stall for stall in stalls_since(app, moment) if stall["phase"] == "ended"]
        patience = _OTHERS_WITHIN_SECONDS if ended else _SEEN_WITHIN_SECONDS
        found = any(stall["cause"] == cause for stall in ended)
        if found or time.monotonic() - began > patience:
            return ended
        time.sleep(0.05)
