"""A worker that is killed while it hangs leaves behind where it hung."""

import signal
from collections.abc import Iterator

import pytest

from tests.middleware.otlp_receiver import OtlpReceiver
from tests.middleware.sentry_receiver import SentryReceiver

from .marks import Mark, marked
from .output import Event
from .serving import PATIENCE_SECONDS, RunningApp, running_app

pytestmark = [pytest.mark.xdist_group("stalls-killed"), pytest.mark.no_cover]

HANGS = {
    "gil": "/threads/gil?seconds=100",
    "handler": "/sleep/handler/7?seconds=100",
}


@pytest.fixture
def own_app(loop: str, otlp: OtlpReceiver, sentry: SentryReceiver) -> Iterator[RunningApp]:
    """One that may be killed."""
    with running_app(loop, otlp, sentry) as running:
        yield running


@pytest.mark.parametrize("hang", HANGS)
def test_the_culprit_is_known_before_and_after_the_kill(own_app: RunningApp, hang: str) -> None:
    output, guilty = own_app.output, marked(hang)
    own_app.ask(HANGS[hang])

    said = output.await_event(lambda event: ongoing(event, guilty), PATIENCE_SECONDS)
    own_app.process.send_signal(signal.SIGKILL)
    died = output.await_event(
        lambda event: event.get("event") == "worker_died", PATIENCE_SECONDS, "stderr"
    )

    assert said["stack"]
    assert guilty.fits(died["culprit"])
    assert died["pid"] == own_app.process.pid
    output.join(PATIENCE_SECONDS)  # the sidecar is gone, too


def test_a_worker_that_was_killed_while_all_was_well_accuses_nobody(own_app: RunningApp) -> None:
    own_app.process.kill()
    own_app.process.wait()

    own_app.output.join(PATIENCE_SECONDS)
    assert not [event for event in own_app.output.events("stderr") if event.get("culprit")]


def ongoing(event: Event, guilty: Mark) -> bool:
    return (
        event["event"] == "event_loop_stall"
        and event["phase"] == "ongoing"
        and event["culprit"] is not None
        and guilty.fits(event["culprit"])
    )
