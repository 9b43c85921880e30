"""Starts the benchmark's programs on their cores, waits until they listen, ends them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cores import SURROUNDINGS_CORE, on_core
from service.demo.processes import end, launch

START_SECONDS = 30.0
ROOT = Path(__file__).parent.parent


class ProgramError(Exception):
    """A program did not come up; the message ends with what it said last."""


@contextmanager
def running(
    command: Sequence[str],
    ports: Sequence[int],
    environment: Mapping[str, str] | None = None,
    core: int | None = SURROUNDINGS_CORE,
    log: Path = Path(os.devnull),
) -> Iterator[subprocess.Popen[bytes]]:
    """The program, for as long as the block lasts, once it listens on all its ports."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    settings = {**inherited, "PYTHONPATH": str(ROOT), **(environment or {})}
    with on_core(core), log.open("ab") as output:
        process = launch(command, environment=settings, output=output)
    try:
        for port in ports:
            _await_port(process, port, log)
        yield process
    finally:
        end(process, graceful=signal.SIGTERM, grace_seconds=10)


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module of ours."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:] if log.is_file() else ""
            raise ProgramError(f"Nothing listens on port {port}: {said}")
        time.sleep(0.05)
