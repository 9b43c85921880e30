"""Everything in the runbooks that can be pasted, pasted while all is well."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dashboards.runbooks import RUNBOOKS, Block, blocks, commands
from tests.dashboards.scene import NEEDS_THE_SCENE, Scene
from tests.integration.running import until

pytestmark = NEEDS_THE_SCENE

COMMANDS = sorted({command.text for command in commands()})
# By how they begin.
NOT_RUN = {
    r"(\S+=\S+ )*stallscope demo": "starts everything anew: tests/service/demo does so",
    r"\.venv/bin/pytest": "is a part of the suite itself: test_runbooks.py sees that it is there",
    r"kill": "finds the process by its name: test_acceptance.py suspends the one that is its own",
    r"stallscope serve": "serves until it is stopped",
    r".*\b(ID|NAME)\b": "has a name to fill in",
}


def _why_not(command: str) -> str | None:
    return next((why for how, why in NOT_RUN.items() if re.match(how, command)), None)


@pytest.mark.parametrize("query", list(blocks("promql")), ids=str)
def test_a_query_is_answered_and_says_that_all_is_well(scene: Scene, query: Block) -> None:
    def values() -> list[float]:
        answer = scene.prometheus.ask("query", query=query.text)
        assert answer["resultType"] == "vector"
        return [float(each["value"][1]) for each in answer["result"]]

    if query.healthy is None:
        values()
    else:
        until(lambda: query.is_healthy(values()), f"{query} says {query.healthy}")


@pytest.mark.parametrize("command", [each for each in COMMANDS if not _why_not(each)])
def test_a_command_succeeds_and_says_something(scene: Scene, tmp_path: Path, command: str) -> None:
    program = command.partition(" ")[0]
    if program in {"promtool", "amtool", "psql"} and not shutil.which(program):
        pytest.skip(f"MISSING: {program}")
    (tmp_path / ".curlrc").write_text("fail\n")  # an answer that says no is no success
    ours = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        **scene.world.settings,
    }

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", scene.moved(command)],
        cwd=RUNBOOKS.parents[1],
        env=ours,
        capture_output=True,
        check=False,
        timeout=60,
    )

    scene.world.mend()
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_nothing_is_left_out_that_is_not_there() -> None:
    assert {_why_not(command) for command in COMMANDS} - {None} == set(NOT_RUN.values())
