"""When another thread keeps the GIL, or the collector does, no request is blamed."""

import pytest

from .calibration import amount_for
from .seeing import until_seen
from .serving import RunningApp

pytestmark = [pytest.mark.xdist_group("stalls-none"), pytest.mark.no_cover]


@pytest.mark.parametrize("kind", ["sleeps", "matches"])
def test_a_thread_that_keeps_the_gil_is_named_and_no_route_blamed(
    app: RunningApp, kind: str
) -> None:
    amount = f"amount={amount_for('match', 0.6)}" if kind == "matches" else "seconds=0.6"

    seen = until_seen(app, f"/threads/hog/{kind}?{amount}", "gil_wait_other_thread", f"hog-{kind}")

    assert seen.stall["thread"].startswith("gil-hog")
    assert seen.stall["gil_held"] is True
    assert (seen.stall["route"], seen.stall["trace_id"]) == ("unattributed", None)


def test_a_loop_that_sleeps_with_the_gil_is_blamed_on_its_line(app: RunningApp) -> None:
    seen = until_seen(app, "/threads/gil?seconds=0.6", "gil_held_off_cpu", "gil")

    assert seen.stall["gil_held"] is True
    assert seen.stall["route"] == "/threads/gil"
    assert seen.stall["trace_id"] == seen.answered.trace_id


def test_the_garbage_collector_is_nobodys_fault(app: RunningApp) -> None:
    assert app.get("/threads/heap?count=3000000").status == 200

    seen = until_seen(app, "/threads/collect", "gc_pause")
    assert app.get("/threads/shrink").status == 200

    assert seen.stall["culprit"] is None
    assert seen.stall["route"] == "unattributed"
    assert seen.stall["gc_seconds"] >= seen.stall["duration_seconds"] / 2
