"""Who waits because of a stall: exactly those, and for how long."""

from collections.abc import Iterator

import pytest

from .seeing import until_seen
from .serving import RunningApp, new_trace, until

pytestmark = [pytest.mark.xdist_group("stalls-callbacks"), pytest.mark.no_cover]

LOST = "asyncio_eventloop_stall_victim_seconds_total"


@pytest.fixture
def waiting(app: RunningApp) -> Iterator[list[str]]:
    """The trace ids of twenty requests that are in flight, until released."""
    waiting = [new_trace() for _ in range(20)]
    answers = [app.ask(f"/slow/{number}", each) for number, each in enumerate(waiting)]
    until(lambda: in_flight(app) == 20, "twenty requests are in flight")
    yield waiting
    app.get("/release")
    assert {answer.result(30).status for answer in answers} == {200}


def test_the_victims_are_those_in_flight_but_for_the_culprit(
    app: RunningApp, waiting: list[str]
) -> None:
    lost_before = app.metric(LOST, http_route="/slow/{item}")

    seen = until_seen(app, "/sleep/handler/7?seconds=0.4", "blocking_call", "handler")

    stall = seen.stall
    assert stall["victims_count"] == 20
    assert len(stall["victims"]) == 10
    assert {each["trace_id"] for each in stall["victims"]} <= set(waiting)
    assert {each["route"] for each in stall["victims"]} == {"/slow/{item}"}
    assert seen.answered.trace_id not in {each["trace_id"] for each in stall["victims"]}
    assert all(0 < each["lost_seconds"] <= stall["duration_seconds"] for each in stall["victims"])
    named = sum(each["lost_seconds"] for each in stall["victims"])
    lost = app.metric(LOST, http_route="/slow/{item}") - lost_before
    assert lost == pytest.approx(2 * named, rel=0.05)
    assert lost == pytest.approx(20 * stall["duration_seconds"], rel=0.05)


def in_flight(app: RunningApp) -> int:
    return int(app.metric("http_server_active_requests"))
