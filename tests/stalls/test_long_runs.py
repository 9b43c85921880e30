"""Watching costs the application nothing that it would notice after a long time."""

import json
import os
import subprocess
import sys

import pytest

from tests.service.command import environment_of

from .processes import hogs, possessions
from .serving import QUICK, ROOT, RunningApp, until

pytestmark = [
    pytest.mark.xdist_group("stalls-quick"),
    pytest.mark.timeout(600),
    pytest.mark.no_cover,
]

SECONDS = float(os.environ.get("STALL_TEST_SECONDS", "3"))  # 60 when it is to be known for sure
RESTARTS = 50 if SECONDS >= 60 else 8


@pytest.fixture(scope="module")
def module_settings() -> dict[str, str]:
    return QUICK


def test_stalls_at_full_rate_on_a_busy_host_crash_and_leak_nothing(app: RunningApp) -> None:
    pid = app.process.pid
    app.get("/churn?seconds=1")
    before = possessions(pid)

    with hogs(os.cpu_count() or 1):
        answers = [app.ask(f"/churn?seconds={SECONDS / 2}") for _ in range(3)]
        stalls = sum(each.result(SECONDS * 10).json() for each in answers)
        stalls += app.get(f"/churn?seconds={SECONDS / 2}").json()

    assert stalls > 0
    assert app.process.poll() is None, app.output.text()
    assert app.get("/quick").status == 200
    assert app.metric("asyncio_eventloop_stalls_total") > 0
    assert app.metric("telemetry_dropped_total", signal="stalls") == 0
    until(lambda: not possessions(pid).exceed(before), "nothing is left behind")


def test_starting_and_stopping_leaves_nothing_behind(loop: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stalls.restarts", loop, str(RESTARTS)],
        cwd=ROOT,
        env=environment_of(OBSERVABILITY__OPS="false", STALL__THRESHOLD_SECONDS="0.02"),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    possessed = [json.loads(line) for line in done.stdout.splitlines() if "threads" in line]
    assert len(possessed) == RESTARTS
    assert possessed[-1] == possessed[1]  # the first start imports, and the second is alone
