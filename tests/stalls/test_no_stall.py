"""What does not block the loop is not said to, also on a busy host."""

import os
import time
from concurrent.futures import wait
from datetime import datetime

import pytest

from .processes import hogs
from .seeing import now, stalls_since, until_seen
from .serving import RunningApp, Stall

pytestmark = [pytest.mark.xdist_group("stalls-none"), pytest.mark.no_cover]

SECONDS = float(os.environ.get("STALL_TEST_SECONDS", "3"))  # 60 when it is to be known for sure


@pytest.mark.parametrize("path", ["/threads/def", "/threads/to_thread"])
def test_what_sleeps_on_another_thread_stalls_nobody(app: RunningApp, path: str) -> None:
    began = now()

    answers = [app.ask(path) for _ in range(5)]
    wait(answers, 30)

    assert blamed_until_now(app, began) == []


def test_an_idle_loop_is_not_blamed(app: RunningApp) -> None:
    began = now()

    time.sleep(SECONDS)

    assert blamed_until_now(app, began) == []


def test_an_idle_loop_beside_four_busy_processes_is_not_blamed(app: RunningApp) -> None:
    began = now()

    with hogs(4):
        time.sleep(SECONDS)

    assert blamed_until_now(app, began) == []


def blamed_until_now(app: RunningApp, began: datetime) -> list[Stall]:
    """Stalls that blame somebody. They are told in order: all are, once one made now is."""
    ended = now()
    until_seen(app, "/sleep/handler/7", "blocking_call", "handler")
    return [
        stall
        for stall in stalls_since(app, began)
        if stall["culprit"] is not None and datetime.fromisoformat(stall["started_at"]) <= ended
    ]
