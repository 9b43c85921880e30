"""Callbacks have no task, and may be many: nobody is blamed by guessing."""

import pytest

from .seeing import until_seen
from .serving import RunningApp

pytestmark = [pytest.mark.xdist_group("stalls-callbacks"), pytest.mark.no_cover]


def test_a_callback_is_blamed_on_its_own_request_or_on_none(app: RunningApp) -> None:
    others = [app.ask(f"/slow/{number}") for number in range(3)]

    seen = until_seen(app, "/callbacks/later", "blocking_call", "later")

    blamed = (seen.stall["route"], seen.stall["trace_id"])
    if app.loop == "asyncio":
        assert blamed == ("/callbacks/later", seen.answered.trace_id)
    else:
        assert blamed == ("unattributed", None)
    app.get("/release")
    assert [each.result(30).status for each in others] == [200] * 3


@pytest.mark.parametrize("kind", ["many", "tasks"])
def test_many_small_callbacks_are_nobodys_in_particular(app: RunningApp, kind: str) -> None:
    seen = until_seen(app, f"/callbacks/{kind}?count=300", "loop_saturated")

    assert seen.stall["culprit"] is None
