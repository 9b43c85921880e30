"""Log lines of the sidecar, in the shape of the process' own, on the same standard error."""

import json
import os
import signal
import time
from collections.abc import Mapping

from ..record import wall_time

_PATIENCE_SECONDS = 0.2
_LOGGER = __name__.rpartition(".")[0].rpartition(".")[0]


class StandardError:
    """Whoever reads it may not: then lines are lost, and nobody waits for long."""

    def __init__(self) -> None:
        self._torn = b""  # ends what may be the beginning of a line
        signal.signal(signal.SIGALRM, _give_up)

    def say(self, level: str, event: str, facts: Mapping[str, object]) -> None:
        """Write one line."""
        line = {
            "timestamp": wall_time(time.monotonic_ns()),
            "level": level,
            "logger": _LOGGER,
            "event": event,
            **facts,
        }
        text = self._torn + json.dumps(line).encode() + b"\n"
        self._torn = b"" if _write(text) == len(text) else b"\n"


def _write(text: bytes) -> int:
    # O_NONBLOCK would be the watched process' too: it has the same open file.
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE_SECONDS)
    try:
        return os.write(2, text)
    except OSError:
        return 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _give_up(number: int, frame: object) -> None:
    raise TimeoutError
