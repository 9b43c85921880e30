"""Stalls in Sentry: an issue for each bug, few events, and nothing that is the host's fault."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from middleware.drops import Drops
from middleware.exchange import current_exchange
from middleware.setup.sentry import reporting
from middleware.stall.culprit import Territory
from middleware.stall.listener import Requests
from middleware.stall.record import BLAMES_CODE, Cause, Frame
from middleware.stall.report.metrics import StallMetrics
from middleware.stall.report.sentry import WINDOW_SECONDS, StallReports
from tests.middleware.sentry_receiver import SentryReceiver, receiving

from .telling import CULPRIT, NOBODY, TRACE, exchange, function, ongoing, stall, tell

SUPPRESSED = "asyncio_eventloop_stall_reports_suppressed_total"
OF_THE_HOST = [Cause.PROCESS_STOPPED, Cause.CPU_STARVED, Cause.CGROUP_THROTTLED]


class Clock:
    """Goes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Reported(StallReports):
    """Reports that are kept, and their suppressed ones counted as in production."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.clock = Clock()
        self._registry = CollectorRegistry()
        metrics = StallMetrics(self._registry, Drops(self._registry))
        suppressed = metrics.reports_suppressed.inc
        super().__init__(self.events.append, suppressed, Territory.here(), self.clock)

    @property
    def suppressed(self) -> float | None:
        return self._registry.get_sample_value(SUPPRESSED)


@pytest.fixture
def reports() -> Reported:
    return Reported()


@pytest.fixture
def sentry() -> Iterator[SentryReceiver]:
    with receiving() as receiver:
        yield receiver


Received = Callable[[Callable[[StallReports], object]], dict[str, Any]]


@pytest.fixture
def received(sentry: SentryReceiver) -> Received:
    """What Sentry has received when something was said."""

    def saying(say: Callable[[StallReports], object]) -> dict[str, Any]:
        with reporting(sentry.dsn, Drops(CollectorRegistry())) as reporter:
            say(StallReports(reporter.report, list, Territory.here()))
            return sentry.next_event()

    return saying


def long(number: int = 1, **known: Any) -> Any:
    return stall(number, **{"duration_seconds": 0.6, **known})


@pytest.mark.parametrize("cause", OF_THE_HOST)
@pytest.mark.parametrize("seconds", [0.6, 60.0])
def test_what_is_the_hosts_fault_is_never_reported(
    reports: Reported, cause: Cause, seconds: float
) -> None:
    lasted: dict[str, Any] = {"cause": cause, "culprit": None, "duration_seconds": seconds}

    reports.goes_on(ongoing(**lasted), NOBODY)
    tell(reports, stall(**lasted))

    assert (reports.events, reports.suppressed) == ([], 0)


def test_a_short_one_is_not_reported(reports: Reported) -> None:
    tell(reports, stall(duration_seconds=0.49))

    assert (reports.events, reports.suppressed) == ([], 0)


def test_a_stall_told_of_twice_is_neither_reported_nor_suppressed_twice(reports: Reported) -> None:
    tell(reports, long())
    tell(reports, long())

    assert (len(reports.events), reports.suppressed) == (1, 0)


def test_a_hang_is_reported_while_it_lasts_and_not_again_when_it_ends(reports: Reported) -> None:
    for seconds in (1.0, 2.0, 4.0):
        reports.goes_on(ongoing(duration_seconds=seconds), NOBODY)
    reports.clock.now += 2 * WINDOW_SECONDS
    reports.ended(stall(duration_seconds=1300.0), NOBODY)

    (event,) = reports.events
    assert event["contexts"]["stall"]["phase"] == "ongoing"
    assert reports.suppressed == 0


def test_while_nobody_knows_why_it_hangs_the_end_is_waited_for(reports: Reported) -> None:
    reports.goes_on(ongoing(cause=Cause.UNKNOWN, culprit=None, duration_seconds=1.0), NOBODY)
    assert reports.events == []

    reports.ended(stall(duration_seconds=1.5), NOBODY)

    assert [event["tags"]["cause"] for event in reports.events] == ["blocking_call"]


def test_what_seemed_to_be_the_hosts_fault_may_turn_out_to_be_the_codes(reports: Reported) -> None:
    reports.goes_on(ongoing(cause=Cause.CPU_STARVED, duration_seconds=1.0), NOBODY)
    reports.ended(stall(cause=Cause.CPU, duration_seconds=1.5), NOBODY)

    assert [event["tags"]["cause"] for event in reports.events] == ["cpu"]


def test_the_same_bug_a_thousand_times_is_one_event(reports: Reported) -> None:
    for number in range(1000):
        tell(reports, long(number))

    (event,) = reports.events
    assert event["fingerprint"] == ["event_loop_stall", "blocking_call", "shop.prices:Prices.of"]
    assert reports.suppressed == 999


def test_the_next_event_says_how_many_were_suppressed_before_it(reports: Reported) -> None:
    for number in range(10):
        tell(reports, long(number))
    reports.clock.now += WINDOW_SECONDS
    tell(reports, long(10))
    tell(reports, long(11))
    reports.clock.now += WINDOW_SECONDS
    tell(reports, long(12))

    said = [event["contexts"]["stall"]["suppressed"] for event in reports.events]
    assert said == [0, 9, 1]
    assert reports.suppressed == 10


def test_each_culprit_and_each_cause_is_an_issue_of_its_own(reports: Reported) -> None:
    tell(reports, long(1, culprit=function(1)))
    tell(reports, long(2, culprit=function(2)))
    tell(reports, long(3, culprit=function(2), cause=Cause.CPU))
    tell(reports, long(4, culprit=None, cause=Cause.GC_PAUSE))

    assert [event["fingerprint"][1:] for event in reports.events] == [
        ["blocking_call", "shop.prices:block_1"],
        ["blocking_call", "shop.prices:block_2"],
        ["cpu", "shop.prices:block_2"],
        ["gc_pause", "no culprit"],
    ]


def test_another_line_of_the_same_function_is_the_same_issue(reports: Reported) -> None:
    tell(reports, long(1))
    tell(reports, long(2, culprit=Frame(CULPRIT.module, CULPRIT.function, CULPRIT.file, 99)))

    assert len(reports.events) == 1


def test_ever_new_bugs_are_no_flood_and_no_leak(reports: Reported) -> None:
    for number in count():
        tell(reports, long(number, culprit=function(number)))
        if number == 5000:
            break
    assert (len(reports.events), reports.suppressed) == (500, 4501)

    reports.clock.now += WINDOW_SECONDS
    tell(reports, long(6000, culprit=function(6000)))

    assert len(reports.events) == 501
    assert len(reports._windows._windows) == 500


def test_a_stack_without_end_is_cut(reports: Reported) -> None:
    frames = tuple(Frame("m", f"f{number}", "/m.py", number) for number in range(1000))

    tell(reports, long(stack=frames))

    (raised,) = reports.events[0]["exception"]["values"]
    shown = [frame["function"] for frame in raised["stacktrace"]["frames"]]
    assert (len(shown), shown[-1]) == (100, "f999")


@pytest.mark.parametrize("cause", sorted(set(Cause) - set(OF_THE_HOST) - BLAMES_CODE))
def test_a_stall_without_a_culprit_blames_nobody(reports: Reported, cause: Cause) -> None:
    nobody: dict[str, Any] = {"route": "unattributed", "request_id": None, "trace_id": None}

    tell(reports, long(cause=cause, culprit=None, **nobody))

    (event,) = reports.events
    assert event["tags"] == {"cause": cause, "http.route": "unattributed"}
    assert event["exception"]["values"][0]["value"] == f"{cause} for 0.60 s"


async def test_a_request_is_not_blamed_for_another_threads_work(reports: Reported) -> None:
    told = long(cause=Cause.GIL_WAIT_OTHER_THREAD, route="unattributed")

    tell(reports, told, Requests(exchange()))

    assert not reports.events[0].keys() & {"transaction", "request"}
    assert "trace" not in reports.events[0]["contexts"]


async def test_an_event_tells_what_blocked_where_and_for_whom(received: Received) -> None:
    culprit = exchange()

    event = received(lambda reports: tell(reports, long(), Requests(culprit)))

    (raised,) = event["exception"]["values"]
    assert event["level"] == "warning"
    assert raised["type"] == "EventLoopStall"
    assert raised["value"] == "blocking_call in shop.prices:Prices.of for 0.60 s"
    assert raised["mechanism"] == {"type": "stall_detector", "handled": True}
    assert event["transaction"] == "GET /prices/{item}"
    assert event["tags"] == {
        "cause": "blocking_call",
        "http.route": "/prices/{item}",
        "http.request.method": "GET",
        "request_id": "r-1",
    }
    assert event["contexts"]["trace"]["trace_id"] == TRACE
    assert event["contexts"]["trace"]["span_id"] == f"{culprit.span_id:016x}"
    stalled = event["contexts"]["stall"]
    assert (stalled["id"], stalled["system_call"], stalled["suppressed"]) == (
        "4f-1",
        "clock_nanosleep",
        0,
    )


async def test_the_stack_shows_the_source_and_whose_it_is(received: Received) -> None:
    event = received(lambda reports: tell(reports, long(), Requests(exchange())))

    outer, inner = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert (inner["abs_path"], inner["lineno"], inner["in_app"]) == (CULPRIT.file, 1, True)
    assert inner["context_line"].startswith('"""Stalls to tell of')
    assert outer["function"] == "run"


async def test_whose_request_is_current_on_the_thread_does_not_matter(received: Received) -> None:
    somebodys = exchange("/somebodys")
    somebodys.request_id = "somebodys"

    def say(reports: StallReports) -> None:
        current = current_exchange.set(somebodys)
        tell(reports, long(), Requests(exchange()))
        current_exchange.reset(current)

    event = received(say)

    assert event["tags"]["request_id"] == "r-1"
    assert event["contexts"]["trace"]["span_id"] != f"{somebodys.span_id:016x}"
