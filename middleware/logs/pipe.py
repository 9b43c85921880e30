"""Log lines on their way out: threads append, one thread writes, and nobody waits for it."""

import atexit
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from ..drops import Drops
from ..forks import forget_in_children
from .json_lines import MAX_LINE_BYTES, cut
from .losses import Losses
from .outlet import Outlet, Stream

Line = bytes | Callable[[], bytes]

_MAX_QUEUED_BYTES = 16 * 1024 * 1024
_EXIT_SECONDS = 2.0


class LinePipe:
    """A bounded queue and the thread that writes it out, every `flush_seconds` or when urgent."""

    def __init__(
        self,
        target: int | Stream | None,
        drops: Drops | None = None,
        max_lines: int = 10_000,
        flush_seconds: float = 0.1,
    ) -> None:
        self._outlet = Outlet(target)
        self.losses = Losses(drops)
        self._target = target
        self._max_lines = max_lines
        self._flush_seconds = flush_seconds
        self._thread: threading.Thread | None = None
        self._started = False
        self._closed = False
        self._feeds: list[Callable[[], None]] = []
        self._reset()

    def _reset(self) -> None:
        self._lines: deque[Line] = deque()
        self._queued_bytes = 0  # of encoded lines; threads may lose an addition, for one batch
        # SimpleQueue, because a destructor may log while this thread is inside `put`: it is
        # reentrant where Event and Condition would deadlock.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._noticed = False
        self._hurried = False
        self._lines_in_flight = 0
        self._starting = threading.Lock()

    def put(self, line: Line, *, urgent: bool = False) -> None:
        """Queue a whole line (its end included), or what will give one on the writer's thread.

        Never blocks, never raises: when the queue is full the line is dropped and counted.
        """
        if (
            len(self._lines) >= self._max_lines
            or self._queued_bytes >= _MAX_QUEUED_BYTES
            or self._closed
        ):
            self.losses.add()
            return
        self._lines.append(line)
        if type(line) is bytes:
            self._queued_bytes += len(line)
        if not self._noticed:
            self.notice()
        if urgent and not self._hurried:
            self._hurried = True
            self._wake.put(None)

    def notice(self) -> None:
        """There is, or will be, something to write: within `flush_seconds`."""
        if not self._noticed:
            self._noticed = True
            self._begin_batch()

    @contextmanager
    def fed_by(self, feed: Callable[[], None]) -> Iterator[None]:
        """Have `feed` put its lines when later ones are, and when some are about to be written."""
        self._feeds.append(feed)
        try:
            yield
        finally:
            feed()
            self._feeds.remove(feed)

    def catch_up(self) -> None:
        """Have the lines put that should come before the next one."""
        for feed in tuple(self._feeds):
            feed()

    def start(self) -> None:
        """Start writing; what was queued before is written, too. Again: nothing."""
        if self._started:
            return
        self._started, self._closed = True, False
        atexit.register(self._at_exit)
        forget_in_children(self)
        self._start_thread()

    def close(self, timeout_seconds: float = _EXIT_SECONDS) -> None:
        """Write what is queued, within the limit; the rest, and what comes later, is dropped."""
        if not self._started:
            return
        self.catch_up()
        self._started, self._closed = False, True
        atexit.unregister(self._at_exit)
        self._finish(timeout_seconds)

    def _start_thread(self) -> None:
        thread = threading.Thread(
            target=self._run, args=(self._outlet,), name="log-writer", daemon=True
        )
        thread.start()
        self._thread = thread

    def _begin_batch(self) -> None:
        if self._started and self._thread is None:
            self._start_in_child()
        self._wake.put(None)

    def _start_in_child(self) -> None:
        """A forked child logs for the first time; where no thread can start, its lines are lost."""
        if self._starting.acquire(blocking=False):  # never wait; whoever has it is starting it
            with suppress(RuntimeError):
                if self._thread is None:
                    self._start_thread()
            self._starting.release()

    def _run(self, outlet: Outlet) -> None:
        while not outlet.given_up:
            last = self._closed
            if not last:
                self._wait_for_lines()
            self._write_queued(outlet)
            if last:
                return

    def _wait_for_lines(self) -> None:
        self._wake.get()
        with suppress(Empty):
            self._wake.get(timeout=self._flush_seconds)

    def _write_queued(self, outlet: Outlet) -> None:
        self._hurried = self._noticed = False  # before taking: what comes now wakes us again
        self.catch_up()
        self._queued_bytes = 0
        queue = self._lines
        lines = [queue.popleft() for _ in range(len(queue))]
        self._lines_in_flight = len(lines)
        text = b"".join(map(self._encoded, lines))
        lost = outlet.write(text) if text else 0
        if not outlet.given_up:  # else all of them were counted then
            self.losses.add(lost)
            self._lines_in_flight = 0

    def _encoded(self, line: Line) -> bytes:
        try:
            text = line if isinstance(line, bytes) else line()
            return text if len(text) <= MAX_LINE_BYTES else cut(text)
        except Exception:  # noqa: BLE001  the writer outlives whatever a line does
            self.losses.add()
            return b""

    def _finish(self, timeout_seconds: float) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._wake.put(None)
        self._wake.put(None)
        thread.join(timeout_seconds)
        if thread.is_alive():  # stdout hangs: leave the thread to it, it ends when that ends
            self._outlet.given_up = True
            self._outlet = Outlet(self._target)
            self.losses.add(self._lines_in_flight)
        self.losses.add(len(self._lines))
        self._reset()

    def _at_exit(self) -> None:
        with suppress(KeyboardInterrupt):
            self.close(_EXIT_SECONDS)

    def forget_parent(self) -> None:
        """In a forked child: the queue is the parent's, its thread is not here."""
        self._thread = None
        self.losses = Losses()  # a counter's lock may be held by a thread that is not here
        self._outlet = Outlet(self._target)
        self._reset()
