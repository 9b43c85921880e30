"""The same bug again and again, and many different ones: counted exactly, shown within bounds."""

import os

import pytest

from .serving import QUICK, RunningApp, until

pytestmark = [
    pytest.mark.xdist_group("stalls-quick"),
    pytest.mark.timeout(600),
    pytest.mark.no_cover,
]

# 1,000 of one bug and 500 different ones take their time: FULL runs have them.
FULL = float(os.environ.get("STALL_TEST_SECONDS", "3")) >= 60
SAME, DIFFERENT = (1000, 500) if FULL else (40, 55)
STALL_SECONDS = 0.06

STALLS = "asyncio_eventloop_stalls_total"
DURATIONS = "asyncio_eventloop_stall_duration_seconds_count"
CULPRITS = "asyncio_eventloop_stall_culprit_seconds_total"


@pytest.fixture(scope="module")
def module_settings() -> dict[str, str]:
    return QUICK


def test_every_stall_of_the_same_bug_is_counted(app: RunningApp) -> None:
    before = app.metric(STALLS), app.metric(DURATIONS), app.metric(DURATIONS, cause="blocking_call")

    for _ in range(SAME // 20):
        assert app.get(f"/repeated/same?times=20&seconds={STALL_SECONDS}").status == 200

    until(lambda: app.metric(STALLS) == app.metric(DURATIONS), "every stall has ended")
    stalls, ended = app.metric(STALLS) - before[0], app.metric(DURATIONS) - before[1]
    assert stalls == ended >= SAME
    # The host may have taken the CPU from some; then those are its fault.
    blocking = app.metric(DURATIONS, cause="blocking_call") - before[2]
    assert 0.9 * SAME <= blocking <= stalls
    culprits = [labels["culprit"] for labels, _ in app.series(CULPRITS)]
    assert "tests.stalls.app.repeated:same" in culprits


def test_however_many_culprits_there_are_the_first_fifty_have_a_label(app: RunningApp) -> None:
    for first in range(0, DIFFERENT, 5):
        path = f"/repeated/different?first={first}&count=5&seconds={STALL_SECONDS}"
        assert app.get(path).status == 200

    until(lambda: app.metric(STALLS) == app.metric(DURATIONS), "every stall has ended")
    culprits = {labels["culprit"] for labels, _ in app.series(CULPRITS)}
    assert len(culprits) == 51
    assert "other" in culprits
    assert "generated_0:culprit_0" in culprits


def test_the_page_keeps_the_last_hundred(app: RunningApp) -> None:
    stalls = app.stalls()

    assert len(stalls) == min(100, app.metric(STALLS))
    assert len({stall["id"] for stall in stalls}) == len(stalls)
    assert [each["started_at"] for each in stalls] == sorted(
        (each["started_at"] for each in stalls), reverse=True
    )
