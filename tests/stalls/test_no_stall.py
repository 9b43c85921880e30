"""What does not block the loop is not said to, also on a busy host."""

import os
import time
from concurrent.futures import wait

import pytest

from .marks import marked
from .processes import hogs
from .seeing import ids, until_seen
from .serving import RunningApp, Stall

pytestmark = pytest.mark.xdist_group("stalls-none")

SECONDS = float(os.environ.get("STALL_TEST_SECONDS", "5"))  # 60 when it is to be known for sure


@pytest.mark.parametrize("path", ["/threads/def", "/threads/to_thread"])
def test_what_sleeps_on_another_thread_stalls_nobody(app: RunningApp, path: str) -> None:
    known = ids(app)

    answers = [app.ask(path) for _ in range(5)]
    wait(answers, 30)

    assert blamed_until_now(app, known) == []


def test_an_idle_loop_is_not_blamed(app: RunningApp) -> None:
    known = ids(app)

    time.sleep(SECONDS)

    assert blamed_until_now(app, known) == []


def test_an_idle_loop_beside_four_busy_processes_is_not_blamed(app: RunningApp) -> None:
    known = ids(app)

    with hogs(4):
        time.sleep(SECONDS)

    assert blamed_until_now(app, known) == []


def blamed_until_now(app: RunningApp, known: set[str]) -> list[Stall]:
    """Stalls that blame somebody. They are told in order: all are, once one made now is."""
    until_seen_or_blamed = ids(app) - known
    until_seen(app, "/sleep/handler/7", "blocking_call", "handler")
    handler = marked("handler")
    return [
        stall
        for stall in app.stalls()
        if stall["id"] not in known
        and stall["culprit"] is not None
        and (stall["id"] in until_seen_or_blamed or not handler.fits(stall["culprit"]))
    ]
