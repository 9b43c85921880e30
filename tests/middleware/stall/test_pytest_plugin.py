"""`pytest --fail-on-stall`, as somebody's own test suite runs it."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

TESTS = """
import asyncio
import time

import pytest
import uvloop


def fetch():
    time.sleep(0.3)  # guilty


async def handler():
    fetch()


def test_blocks_asyncio():
    asyncio.run(handler())


def test_blocks_uvloop():
    uvloop.run(handler())


@pytest.fixture
def prepared():
    asyncio.run(handler())


def test_with_a_fixture_that_blocks(prepared):
    pass


def test_waits_as_one_should():
    asyncio.run(asyncio.sleep(0.3))


def test_blocks_a_thread():
    asyncio.run(asyncio.to_thread(fetch))


def test_blocks_without_a_loop():
    fetch()


def test_fails_by_itself():
    asyncio.run(handler())
    raise ValueError("its own")
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_shop.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *options]
    return subprocess.run(
        [*command, "-p", "middleware.pytest_plugin"],
        cwd=folder,
        # Other plugins take seconds to load.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    lines = [line.split() for line in done.stdout.splitlines() if "test_shop.py::" in line]
    return {
        words[1].partition("::")[2]: words[0]
        for words in lines
        if words[0] in ("PASSED", "FAILED", "ERROR")
    }


def test_it_is_there_where_the_middleware_is_installed() -> None:
    (entry,) = metadata.entry_points(group="pytest11", name="stallscope")

    assert hasattr(entry.load(), "pytest_addoption")


@pytest.mark.parametrize("options", [[], ["--fail-on-stall=5"]])
def test_without_the_option_or_below_its_limit_all_is_well(
    tmp_path: Path, options: list[str]
) -> None:
    found = outcomes(run(tmp_path, *options))

    assert found.pop("test_fails_by_itself") == "FAILED"
    assert set(found.values()) == {"PASSED"}


def test_a_test_that_blocks_its_loop_fails_and_names_the_line(tmp_path: Path) -> None:
    done = run(tmp_path, "--fail-on-stall")

    assert outcomes(done) == {
        "test_blocks_asyncio": "FAILED",
        "test_blocks_uvloop": "FAILED",
        "test_with_a_fixture_that_blocks": "ERROR",
        "test_waits_as_one_should": "PASSED",
        "test_blocks_a_thread": "PASSED",
        "test_blocks_without_a_loop": "PASSED",
        "test_fails_by_itself": "FAILED",
    }
    guilty = TESTS.splitlines().index("    time.sleep(0.3)  # guilty") + 1
    reports, _, _ = done.stdout.partition("short test summary info")  # in CI it has them again
    assert reports.count(f"test_shop.py:{guilty}, in fetch\n    time.sleep(0.3)") == 3
    assert "ValueError: its own" in done.stdout


@pytest.mark.parametrize("limit", ["0", "soon"])
def test_a_limit_that_is_none_is_refused(tmp_path: Path, limit: str) -> None:
    done = run(tmp_path, f"--fail-on-stall={limit}")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--fail-on-stall" in done.stderr
