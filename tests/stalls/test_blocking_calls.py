"""Whatever waits in a synchronous call is named, wherever on a request's way it stands."""

import pytest

from .seeing import until_seen
from .serving import RunningApp

pytestmark = [pytest.mark.xdist_group("stalls-blocking"), pytest.mark.no_cover]

SLEEPS = {
    "handler": "/sleep/handler/{item}",
    "dependency": "/sleep/dependency/{item}",
    "middleware-after": "/sleep/middleware/{item}",
    "child": "/sleep/child/{item}",
}
AFTERWARDS = {"outliving": "/sleep/outliving/{item}", "background": "/sleep/background/{item}"}
WAITS = {
    "lock": {"futex"},
    "socket": {"recvfrom"},
    "http": {"recvfrom"},
    "subprocess": {"wait4", "waitid"},
    "pipe": {"read"},
    "poll": {"poll", "ppoll"},
    "select": {"epoll_wait", "epoll_pwait"},
}


@pytest.mark.parametrize("place", SLEEPS)
def test_a_sleep_is_blamed_on_its_line_its_route_and_its_request(
    app: RunningApp, place: str
) -> None:
    route = SLEEPS[place]

    seen = until_seen(app, path_of(route), "blocking_call", place)

    assert seen.stall["route"] == route
    assert seen.stall["trace_id"] == seen.answered.trace_id
    assert seen.stall["culprit_finished"] is False


@pytest.mark.parametrize("place", AFTERWARDS)
def test_a_sleep_after_the_response_is_blamed_on_a_request_that_has_finished(
    app: RunningApp, place: str
) -> None:
    route = AFTERWARDS[place]

    seen = until_seen(app, path_of(route), "blocking_call", place)

    assert seen.stall["route"] == route
    assert seen.stall["trace_id"] == seen.answered.trace_id
    assert seen.stall["culprit_finished"] is True


def test_a_sleep_before_the_route_is_known_is_blamed_on_its_request(app: RunningApp) -> None:
    seen = until_seen(app, "/sleep/middleware/before", "blocking_call", "middleware-before")

    assert seen.stall["trace_id"] == seen.answered.trace_id
    assert seen.stall["route"] in {"unmatched", "/sleep/middleware/{item}"}


@pytest.mark.parametrize("call", WAITS)
def test_a_synchronous_call_is_blamed_with_the_system_call_that_it_waits_in(
    app: RunningApp, call: str
) -> None:
    seen = until_seen(app, f"/wait/{call}", "blocking_call", call)

    assert seen.stall["system_call"] in WAITS[call]
    assert seen.stall["route"] == f"/wait/{call}"
    assert seen.stall["trace_id"] == seen.answered.trace_id


def test_what_is_said_of_a_stall_adds_up(app: RunningApp) -> None:
    stall = until_seen(app, path_of(SLEEPS["handler"]), "blocking_call", "handler").stall

    assert stall["pid"] == app.process.pid
    assert stall["gil_held"] is False
    assert stall["culprit"]["source_line"].startswith("time.sleep(seconds)")
    assert {**stall["culprit"]}.items() >= stall["stack"][-1].items()
    assert stall["samples"] > 0
    assert 0 <= stall["on_cpu_seconds"] <= stall["duration_seconds"]
    assert stall["off_cpu_seconds"] == pytest.approx(
        stall["duration_seconds"] - stall["on_cpu_seconds"] - stall["run_queue_seconds"], abs=0.05
    )


def path_of(route: str) -> str:
    item = "after" if "middleware" in route else "7"
    return route.replace("{item}", item)
