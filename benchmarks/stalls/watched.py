"""The watched process: uvicorn with one tool, on one kind of loop, and all that comes out of it."""

import os
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO

from benchmarks.installation import peer_program
from benchmarks.programs import ROOT
from benchmarks.stalls.contestants import Tool
from benchmarks.stalls.reading import Said
from service.demo.ports import free_port

START_SECONDS = 60.0
SETTLE_SECONDS = 1.0  # until every tool watches
PATIENCE_SECONDS = 12.0


@dataclass(frozen=True)
class Watched:
    """One process."""

    process: subprocess.Popen[bytes]
    port: int
    said: Said

    def ask(self, path: str) -> bytes | None:
        """The answer; None for a failure, whatever it is."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_SECONDS
            ) as answer:
                body: bytes = answer.read()
                return body
        except (OSError, HTTPException):
            return None

    def has_crashed(self) -> bool:
        """Whether it has ended before anybody asked it to."""
        return self.process.poll() is not None


@contextmanager
def watched(tool: Tool | None, loop: str, **settings: str) -> Iterator[Watched]:
    """Ready, and killed at the end."""
    port = free_port()
    command = [peer_program("python"), "-m", "uvicorn", "--factory", "benchmarks.stalls.app:create"]
    options = ["--loop", loop, "--port", str(port), "--no-access-log"]
    with tempfile.TemporaryDirectory() as dumps:
        process = subprocess.Popen(
            [*command, *options, "--timeout-graceful-shutdown", "1"],
            cwd=ROOT,
            env={**_environment(tool, dumps), **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        running = Watched(process, port, Said(Path(dumps)))
        readers = [_reader(stream, running.said) for stream in (process.stdout, process.stderr)]
        try:
            _await(running)
            yield running
        finally:
            _end(process)
            for reader in readers:
                reader.join(PATIENCE_SECONDS)


def _environment(tool: Tool | None, dumps: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    told = {"PYTHONPATH": str(ROOT), "DUMPS": dumps, **inherited}
    return {**told, "TOOL": tool.module, **tool.environment} if tool else told


def _reader(stream: IO[bytes] | None, said: Said) -> threading.Thread:
    def read() -> None:
        assert stream is not None
        with stream:
            for line in stream:
                said.lines.append((time.time(), line.decode(errors="replace").rstrip()))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _await(running: Watched) -> None:
    deadline = time.monotonic() + START_SECONDS
    while running.ask("/quick") is None:
        if running.has_crashed() or time.monotonic() > deadline:
            last = "\n".join(line for _, line in running.said.lines[-20:])
            raise TimeoutError(f"it did not come up: {last}")
        time.sleep(0.05)
    time.sleep(SETTLE_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
