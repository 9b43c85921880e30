"""`stallscope demo` as a process of its own, and what is left of it."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MARK = "STALLSCOPE_DEMO_TEST"
PATIENCE_SECONDS = 60.0


class RunningDemo:
    """One that has been started, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said = ""
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def await_words(self, words: str) -> None:
        """Return when it has said `words`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in self.said:
            assert self._listener.is_alive(), f"ended before {words!r}: {self.said}"
            assert time.monotonic() < deadline, f"not said: {words!r}: {self.said}"
            time.sleep(0.02)

    def listen_to_the_end(self) -> None:
        """Return when nobody is left who could say something."""
        self._listener.join()

    def _listen(self) -> None:
        # Nobody has to wait for a reader: whoever prints may be the event loop.
        assert self.process.stdout is not None
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            self.said += chunk.decode(errors="replace")


def command(*options: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "service", "demo", *options]


def run(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(*options),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@contextmanager
def started(environment: dict[str, str], step: str, *options: str) -> Iterator[RunningDemo]:
    """A demo that has got as far as printing `step`."""
    with subprocess.Popen(command(*options), env=environment, stdout=subprocess.PIPE) as process:
        demo = RunningDemo(process)
        try:
            demo.await_words(step)
            yield demo
        finally:
            process.kill()
            demo.listen_to_the_end()


def get(port: str, path: str) -> tuple[int, str]:
    """Status and body of what listens on 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def get_json(port: str, path: str) -> Any:
    """The answer of what listens on 127.0.0.1, taken apart."""
    return json.loads(get(port, path)[1])


def await_none_left(environment: dict[str, str]) -> None:
    """A child that was being launched ends itself, as soon as it finds its parent gone."""
    deadline = time.monotonic() + 30
    while left := left_running(environment):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def left_running(environment: dict[str, str], words: str = "") -> list[int]:
    """Processes of this demo: its children carry the mark, its servers the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = f"{MARK}={environment[MARK]}".encode() in variables or environment[MARK] in line
        if ours and line and words in line:
            found.append(int(process.name))
    return found
