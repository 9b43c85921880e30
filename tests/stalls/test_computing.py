"""Work for the CPU: told apart by who may run beside it, named also while it keeps the GIL."""

import pytest

from .calibration import amount_for
from .marks import marked
from .seeing import until_seen
from .serving import RunningApp

pytestmark = [pytest.mark.xdist_group("stalls-computing"), pytest.mark.no_cover]

SECONDS = 0.6  # of CPU time
LONG_SECONDS = 2.5


def test_a_python_loop_is_blamed_on_its_lines(app: RunningApp) -> None:
    seen = until_seen(app, "/compute/spin?seconds=0.3", "cpu", "spin")

    assert seen.stall["route"] == "/compute/spin"
    assert seen.stall["trace_id"] == seen.answered.trace_id


@pytest.mark.parametrize("kind", ["pbkdf2", "zlib"])
def test_c_code_that_lets_go_of_the_gil_is_not_said_to_keep_it(app: RunningApp, kind: str) -> None:
    seen = until_seen(app, prepared(app, kind, 0.3), "cpu", kind)

    assert seen.stall["gil_held"] is False
    assert seen.stall["route"] == "/compute/{kind}"
    assert seen.stall["trace_id"] == seen.answered.trace_id


@pytest.mark.parametrize("kind", ["match", "sum", "sorted", "dumps"])
def test_c_code_that_keeps_the_gil_is_blamed_on_the_applications_line(
    app: RunningApp, kind: str
) -> None:
    seen = until_seen(app, prepared(app, kind, SECONDS), "cpu_gil_held", kind)

    assert seen.stall["gil_held"] is True
    assert seen.stall["evidence"] in {"remote", "late"}
    assert seen.stall["route"] == "/compute/{kind}"
    assert seen.stall["trace_id"] == seen.answered.trace_id


@pytest.mark.parametrize("kind", ["match", "sum"])
def test_c_code_that_keeps_the_gil_is_reported_before_it_returns(
    app: RunningApp, kind: str
) -> None:
    path = prepared(app, kind, LONG_SECONDS)
    guilty = marked(kind)

    answer = app.ask(path)
    said = app.output.await_event(
        lambda event: bool(event.get("culprit")) and guilty.fits(event["culprit"]), 20, "stderr"
    )

    assert not answer.done()
    assert (said["event"], said["phase"]) == ("event_loop_stall", "ongoing")
    assert said["pid"] == app.process.pid
    assert said["route"] == "unattributed"  # whose it was is in the process' memory
    assert answer.result(60).status == 200


def prepared(app: RunningApp, kind: str, seconds: float) -> str:
    """The path of so much work, once its material is at hand."""
    amount = amount_for(kind, seconds)
    assert app.get(f"/compute/prepare/{kind}?amount={amount}").status == 200
    return f"/compute/{kind}?amount={amount}"
