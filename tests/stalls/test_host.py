"""What the host, its scheduler or a signal takes away is nobody's fault."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.middleware.otlp_receiver import OtlpReceiver
from tests.middleware.sentry_receiver import SentryReceiver

from .cgroups import Cgroup, own_cgroup
from .processes import hogs, state, threads
from .seeing import ended_since, now, stalls_since, until_seen
from .serving import RunningApp, Stall, running_app, until

pytestmark = [pytest.mark.xdist_group("stalls-host"), pytest.mark.no_cover]


@pytest.fixture(scope="module")
def module_settings() -> dict[str, str]:
    return {"SCENARIO": "host"}  # a server of its own, which is not well treated


def test_a_stopped_process_is_nobodys_fault(app: RunningApp) -> None:
    stopped = stop_for(app, 0.7)

    stalls = until(lambda: ended_around(app, stopped), "the stop is told of")
    assert "process_stopped" in {stall["cause"] for stall in stalls}
    assert not [stall for stall in stalls if blames(stall)]


def test_sentry_hears_of_a_block_but_not_of_a_stop(app: RunningApp) -> None:
    stopped = stop_for(app, 0.7)
    until(lambda: ended_around(app, stopped), "the stop is told of")
    seen = until_seen(app, "/sleep/handler/7?seconds=0.6", "blocking_call", "handler")

    events: list[dict[str, Any]] = []
    while seen.stall["trace_id"] not in traces_of(events):
        events.append(app.sentry.next_event())
    assert not [event for event in events if event["tags"]["cause"] == "process_stopped"]


@pytest.mark.skipif(
    os.geteuid() != 0, reason="cpu_starved is NOT TESTED: only root may take SCHED_IDLE back"
)
def test_a_starved_process_blames_no_code(app: RunningApp) -> None:
    began = now()

    stalls = until(lambda: starve(app, began), "the host starves the process")

    assert not [stall for stall in stalls if blames(stall)]


def test_a_quota_that_is_used_up_blames_no_code(
    request: pytest.FixtureRequest,
    cgroup: Cgroup,
    otlp: OtlpReceiver,
    sentry: SentryReceiver,
    loop: str,
) -> None:
    with running_app(loop, otlp, sentry, within=cgroup.entering()) as app:
        cgroup.limit(0.1)
        request.addfinalizer(lambda: cgroup.limit(None))

        seen = until_seen(app, "/compute/spin?seconds=0.05", "cgroup_throttled")

        cgroup.limit(None)
    assert not blames(seen.stall)


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    with own_cgroup() as cgroup:
        yield cgroup


def stop_for(app: RunningApp, seconds: float) -> datetime:
    """A moment at which it was stopped."""
    app.process.send_signal(signal.SIGSTOP)
    until(lambda: state(app.process.pid) == "T", "the process is stopped")
    stopped = now()
    time.sleep(seconds)
    app.process.send_signal(signal.SIGCONT)
    return stopped


def ended_around(app: RunningApp, moment: datetime) -> list[Stall]:
    """Not those that began since: on a busy host it may have been late when it was stopped."""
    return [stall for stall in app.stalls() if stall["phase"] == "ended" and ended(stall) > moment]


def ended(stall: Stall) -> datetime:
    duration = timedelta(seconds=stall["duration_seconds"])
    return datetime.fromisoformat(stall["started_at"]) + duration


@contextmanager
def starved(app: RunningApp) -> Iterator[None]:
    """The process runs only when nobody else wants to, and others want to all the time."""
    schedule(app, os.SCHED_IDLE)
    try:
        with hogs(os.cpu_count() or 1):
            yield
    finally:
        schedule(app, os.SCHED_OTHER)


def schedule(app: RunningApp, policy: int) -> None:
    for thread in threads(app.process.pid):
        os.sched_setscheduler(thread, policy, os.sched_param(0))


def starve(app: RunningApp, began: datetime) -> list[Stall]:
    """All stalls since, if one is for this cause. Who is starved cannot be asked meanwhile."""
    with starved(app):
        time.sleep(1.5)
    ended_since(app, began, "cpu_starved")
    new = stalls_since(app, began)
    return new if any(stall["cause"] == "cpu_starved" for stall in new) else []


def traces_of(events: list[dict[str, Any]]) -> list[str]:
    return [event["contexts"]["trace"].get("trace_id") for event in events]


def blames(stall: Stall) -> bool:
    return stall["culprit"] is not None or stall["route"] != "unattributed"
