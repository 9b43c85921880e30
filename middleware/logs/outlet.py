"""Where lines leave the process: a file descriptor, or a stream that has none."""

import os
import select
import stat
from typing import IO, Any

Stream = IO[Any]

_LOOK_AGAIN_MS = 1000
_PIPE_WHOLE_BYTES = getattr(select, "PIPE_BUF", 512)  # of one write; POSIX promises no more


class Outlet:
    """Writes whole lines, may block, and says how many did not arrive; never raises."""

    def __init__(self, target: int | Stream | None) -> None:
        """`target` None stands for a process without standard output: every line is lost."""
        self._target = descriptor_of(target)
        self._piped = isinstance(self._target, int) and _is_pipe(self._target)
        self._torn = b""  # the rest of a line whose beginning is written already
        self.given_up = False

    def write(self, lines: bytes) -> int:
        """Write `lines`, in as few system calls as keep them whole; gives how many were lost."""
        text = self._torn + lines
        written = 0
        try:
            while written < len(text) and not self.given_up:
                written += self._write(memoryview(text)[written : self._end(text, written)])
        except Exception:  # noqa: BLE001  full, closed, gone, or somebody's own stream
            pass  # the next lines try again
        return self._lost(text, written)

    def _end(self, text: bytes, start: int) -> int:
        """Where a write should end: a full pipe tears longer ones, and others write to it, too."""
        if not self._piped or len(text) - start <= _PIPE_WHOLE_BYTES:
            return len(text)
        last_that_fits = text.rfind(b"\n", start, start + _PIPE_WHOLE_BYTES) + 1
        return last_that_fits or text.find(b"\n", start) + 1 or len(text)

    def _lost(self, text: bytes, written: int) -> int:
        within_a_line = text[written - 1 : written] != b"\n" if written else bool(self._torn)
        rest = text[written:]
        self._torn = rest[: rest.find(b"\n") + 1] if within_a_line else b""
        return rest.count(b"\n") - self._torn.count(b"\n")

    def _write(self, text: memoryview) -> int:
        if self._target is None:
            raise OSError("there is no standard output")
        if not isinstance(self._target, int):
            return _write_to_stream(self._target, bytes(text))
        try:
            return os.write(self._target, text)
        except BlockingIOError:  # whoever shares the terminal made it non-blocking
            _wait_until_writable(self._target)
            return 0


def descriptor_of(target: int | Stream | None) -> int | Stream | None:
    """The stream's file descriptor, or itself where it has none (as under pytest's capsys)."""
    if target is None or isinstance(target, int):
        return target
    try:
        return int(target.fileno())
    except (OSError, ValueError, AttributeError):
        return target


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:  # closed: writing will say so
        return False


def _write_to_stream(stream: Stream, text: bytes) -> int:
    try:
        stream.write(text.decode())
    except TypeError:  # a binary stream
        stream.write(text)
    stream.flush()
    return len(text)


def _wait_until_writable(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll(_LOOK_AGAIN_MS)
