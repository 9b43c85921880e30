"""What embedded servers have in common: a folder, a log, starting, stopping and starting again.

Start them from a thread that lives as long as they should, the main one: `processes.launch`.
"""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from service.demo.folders import claim
from service.demo.processes import Owner, end, launch

START_SECONDS = 60.0
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.02
_LOG_TAIL_BYTES = 2000


class ServerError(Exception):
    """An embedded server did not start; the message ends with what it logged last."""


class EmbeddedServer(ABC):
    """One server program and its folder; it can be stopped and started again, and is the same.

    `process` is there to be stopped and continued (SIGSTOP, SIGCONT) or killed.
    """

    name: ClassVar[str]
    graceful: ClassVar[signal.Signals]

    def __init__(self, folder: Path, port: int | None = None) -> None:
        """`folder` is made when missing, its parent is not.

        With `port` the server also listens on 127.0.0.1:`port`.
        """
        self.folder = folder
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running server's process id. Raises ServerError when it is not running."""
        if self.process is None or self.process.poll() is not None:
            raise ServerError(f"{self.name} is not running.")
        return self.process.pid

    @property
    def log(self) -> Path:
        """What the server has written since its folder was made."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start, and return when the server accepts connections.

        Raises ServerError when it dies or is not there after 60 s. Does nothing while it runs.
        """
        if self.process is not None and self.process.poll() is None:
            return
        claim(self.folder)
        deadline = time.monotonic() + START_SECONDS
        self.prepare(deadline)
        self.process = self.launch(self.command())
        try:
            self._await_readiness(self.process, deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End gracefully, or after 10 s by force. Does nothing when it is not running."""
        if self.process is not None:
            end(self.process, graceful=self.graceful, grace_seconds=GRACE_SECONDS)
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @abstractmethod
    def prepare(self, deadline: float) -> None:
        """What has to be there before the program starts; `deadline` on the monotonic clock."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program's absolute path and its arguments."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the running server accepts connections."""

    def launch(self, command: Sequence[str], owner: Owner | None = None) -> subprocess.Popen[bytes]:
        """Start one of the server's programs, its output going to the log."""
        with self.log.open("ab") as log:
            return launch(
                command,
                environment=_environment(),
                output=log,
                owner=owner,
                death_signal=self.graceful,
            )

    def _await_readiness(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        while not self.is_ready():
            if process.poll() is not None:
                raise self.error(f"{self.name} ended with exit code {process.returncode}")
            if time.monotonic() > deadline:
                raise self.error(f"{self.name} does not answer after {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def error(self, what: str) -> ServerError:
        """An error that says `what`, and what the log says."""
        tail = self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        return ServerError(f"{what}. Its log, {self.log}, ends with:\n{tail}")


def _environment() -> dict[str, str]:
    # The launcher is Python, which may need that to find its own library.
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {**kept, "LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
