"""One tool, one case, one loop, one process; and the judgement on what the tool said."""

import time
from collections.abc import Sequence

from benchmarks.stalls.cases import Case
from benchmarks.stalls.contestants import Tool
from benchmarks.stalls.guilt import is_application
from benchmarks.stalls.reading import Report
from benchmarks.stalls.watched import watched

LAST_WORDS_SECONDS = 1.0
# The answer takes its time after the loop runs again: what is told just before it is no sooner.
LIVE_BEFORE_ANSWER_SECONDS = 0.5

NOTHING, CRASH = "–", "crash"
LINE, FUNCTION, WRONG, NOTICED = "line", "function", "wrong line", "noticed"
BLAMES, FALSE_ALARM = "**blames code**", "**false alarm**"
_BEST_FIRST = (LINE, FUNCTION, BLAMES, WRONG, NOTICED, FALSE_ALARM)


def outcome(tool: Tool, case: Case, loop: str) -> str:
    """A cell of the table."""
    with watched(tool, loop) as app:
        began = time.time()
        case.provoke(app)
        ended = time.time()
        time.sleep(LAST_WORDS_SECONDS)
        crashed = app.has_crashed()
        reports = [report for report in tool.read(app.said) if report.at >= began]
    return CRASH if crashed else judged(reports, case, ended)


def judged(reports: Sequence[Report], case: Case, ended: float) -> str:
    """The best that is true of any report, and whether it came in time."""
    words = [(_word(report, case), report) for report in reports]
    for best in _BEST_FIRST:
        of_it = [report for word, report in words if word == best]
        if of_it:
            also_wrong = best in {LINE, FUNCTION} and WRONG in {word for word, _ in words}
            return f"{best}{' and a wrong one' * also_wrong}{_when(of_it, case, ended)}"
    return NOTHING


def _word(report: Report, case: Case) -> str:
    named = [place for place in report.places if is_application(place)]
    guilty = case.guilty
    if guilty is None:
        return BLAMES if named else NOTICED if case.stalls else FALSE_ALARM
    if any(map(guilty.is_line, named)):
        return LINE
    if any(map(guilty.is_around, named)) or guilty.name in report.functions:
        return FUNCTION
    return WRONG if named else NOTICED


def _when(reports: Sequence[Report], case: Case, ended: float) -> str:
    if any(report.raised for report in reports):
        return ", raises"
    live = ended - LIVE_BEFORE_ANSWER_SECONDS
    return ", live" if case.guilty and any(report.at < live for report in reports) else ""
