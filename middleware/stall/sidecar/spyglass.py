"""Runs py-spy, which reads the stacks of a process without its help."""

import json
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence

from ..culprit import module_of
from ..record import Frame
from .finding import SeenThread

_LIMIT_NS = 2_000_000_000
_MOST_BYTES = 8 << 20
_READ_BYTES = 65536
_MOST_FRAMES = 100  # the innermost
_TRIES = 3  # one that runs changes while it is read: 1 in 4 fails, measured


class UnseenError(Exception):
    """The stacks could not be read; the text says why."""


class Spyglass:
    """`program` is py-spy's; `roots` are where the watched process imports from (sys.path)."""

    def __init__(self, program: str, pid: int, roots: Sequence[str]) -> None:
        self._program, self._pid, self._roots = program, pid, roots

    def look(self, loop_thread: int, tries: int = _TRIES) -> tuple[SeenThread, ...]:
        """The loop's thread and the one that owns the GIL. Raises UnseenError."""
        for _ in range(tries - 1):
            try:
                return self._look(loop_thread)
            except UnseenError:
                pass  # once more
        return self._look(loop_thread)

    def _look(self, loop_thread: int) -> tuple[SeenThread, ...]:
        output = self._dump()
        try:
            return tuple(
                self._thread(each)
                for each in _objects(output)
                if each["owns_gil"] or each["os_thread_id"] == loop_thread
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UnseenError(f"py-spy's answer is not understood: {error!r}") from error

    def _thread(self, seen: dict[str, object]) -> SeenThread:
        frames = seen["frames"]
        assert isinstance(frames, list)
        stack = tuple(
            Frame(
                module_of(each["filename"], self._roots),
                each["name"],
                each["filename"],
                each["line"],
            )
            for each in reversed(frames[:_MOST_FRAMES])
        )
        native_id = int(str(seen["os_thread_id"]))
        return SeenThread(
            str(seen["thread_name"] or ""),
            native_id,
            bool(seen["owns_gil"]),
            stack,
            bool(seen["active"]),
        )

    def _dump(self) -> str:
        reading, writing = os.pipe()
        errors = os.memfd_create("py-spy-errors")
        with open(reading, "rb") as output, open(errors, "rb") as said:
            child = self._spawn(writing, errors)
            text = _read(output.fileno())
            if text is None:
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if text is None or status:
                said.seek(0)
                raise UnseenError(_in_short(said.read(_READ_BYTES)) or "py-spy took too long")
        return text.decode(errors="replace")

    def _spawn(self, output: int, errors: int) -> int:
        arguments = [self._program, "dump", "--nonblocking", "--json", "--pid", str(self._pid)]
        files = (
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, errors, 2),
        )
        try:
            return os.posix_spawn(self._program, arguments, os.environ, file_actions=files)
        except OSError as error:
            raise UnseenError(f"py-spy cannot be run: {error}") from error
        finally:
            os.close(output)


def _read(descriptor: int) -> bytes | None:
    """All of it; None when that takes too long, or is too much."""
    parts: list[bytes] = []
    size = 0
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    limit_ns = time.monotonic_ns() + _LIMIT_NS
    while (left_ns := limit_ns - time.monotonic_ns()) > 0 and size < _MOST_BYTES:
        if poll.poll(left_ns // 1_000_000):
            part = os.read(descriptor, _READ_BYTES)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
    return None


def _objects(text: str) -> Iterator[dict[str, object]]:
    """The objects of a JSON list, one at a time: all of a big process' are too many to keep."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        thread, end = decoder.raw_decode(text, start)
        yield thread
        start = text.find("{", end)


def _in_short(said: bytes) -> str:
    text, _, _ = said.decode(errors="replace").partition("Stack backtrace")
    return " ".join(text.split())[:300]
