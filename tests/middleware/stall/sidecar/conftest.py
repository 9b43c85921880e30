"""Starts processes that have a sidecar, and reads what both of them say."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE_SECONDS = 60.0
_ROOT = Path(__file__).parents[4]


class Running:
    """A process, and the lines of itself and of its sidecar, in the order of their writing."""

    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.middleware.stall.sidecar.watched", name],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self.lines: list[dict[str, Any]] = []
        self._text = b""

    def says(self, event: str) -> dict[str, Any]:
        """Wait for the next line of that event."""
        while (line := self._next_line()) is not None:
            self.lines.append(line)
            if line["event"] == event:
                return line
        raise AssertionError(f"it never said {event!r}, but {self.lines}")

    def says_no_more(self) -> list[dict[str, Any]]:
        """Wait until nobody can write any more, and so until both are gone. What came till then."""
        rest = []
        while (line := self._next_line()) is not None:
            rest.append(line)
        return rest

    def go_on(self) -> None:
        """Tell it to end what it does."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.__exit__(None, None, None)

    def _next_line(self) -> dict[str, Any] | None:
        limit = time.monotonic() + PATIENCE_SECONDS
        while b"\n" not in self._text:
            assert self.process.stdout is not None
            left = max(0.0, limit - time.monotonic())
            assert select.select([self.process.stdout], [], [], left)[0], "it says nothing"
            text = os.read(self.process.stdout.fileno(), 65536)
            if not text:
                return None
            self._text += text
        line, _, self._text = self._text.partition(b"\n")
        return dict(json.loads(line))


def is_gone(pid: int) -> bool:
    """Wait for the end of a process that is not a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE_SECONDS)[0])
    finally:
        os.close(descriptor)


@pytest.fixture
def run() -> Iterator[Callable[[str], Running]]:
    """Start one of `watched`'s programs."""
    running: list[Running] = []

    def start(name: str) -> Running:
        running.append(Running(name))
        return running[-1]

    yield start
    for each in running:
        each.close()
