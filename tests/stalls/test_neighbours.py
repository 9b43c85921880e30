"""What an application does with signals, faulthandler, threads and forks goes on undisturbed."""

import signal

import pytest

from .marks import marked
from .processes import children
from .seeing import now, stalls_since, until_seen
from .serving import RunningApp, until

pytestmark = [pytest.mark.xdist_group("stalls-killed"), pytest.mark.no_cover]


def test_sigurg_is_the_applications(app: RunningApp) -> None:
    app.get("/neighbours/sigurg/begin")

    for sent in range(1, 4):
        until_seen(app, "/sleep/handler/7", "blocking_call", "handler")
        app.process.send_signal(signal.SIGURG)
        until(lambda: app.get("/neighbours/sigurg/count").json() >= sent, "the signal has come")  # noqa: B023

    assert app.get("/neighbours/sigurg/count").json() == 3


def test_faulthandlers_alarm_goes_off_beside_ours(app: RunningApp) -> None:
    seen = until_seen(app, "/neighbours/faulthandler", "blocking_call", "faulthandler")

    dump = seen.answered.json()
    assert "Timeout (0:00:00.150000)!" in dump
    assert f"line {seen.stall['culprit']['line']} in faults" in dump


def test_the_applications_own_watchdog_sees_what_ours_sees(app: RunningApp) -> None:
    seen = until_seen(app, "/neighbours/watchdog", "blocking_call", "watchdog")

    assert seen.answered.json() == pytest.approx(seen.stall["duration_seconds"], abs=0.2)


@pytest.mark.parametrize(("way", "status"), [("fork", 7), ("multiprocessing", 0)])
def test_a_child_ends_as_it_wants_to(app: RunningApp, way: str, status: int) -> None:
    assert app.get(f"/neighbours/{way}").json() == status


def test_a_forked_child_is_not_watched_and_its_parent_still_is(app: RunningApp) -> None:
    began, before = now(), set(children(app.process.pid))

    child = app.get("/neighbours/fork_on_loop?seconds=0.6").json()
    seen = until_seen(app, "/sleep/handler/7", "blocking_call", "handler")
    assert app.get(f"/neighbours/reap/{child}").json() == 0

    assert seen.stall["pid"] == app.process.pid
    handler = marked("handler")
    new = stalls_since(app, began)
    assert all(handler.fits(stall["culprit"]) for stall in new if stall["culprit"])
    assert all(event["pid"] != child for event in app.output.events(event="event_loop_stall"))
    assert set(children(app.process.pid)) == before
