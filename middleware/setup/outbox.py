"""Work that waits for a backend, on a thread: bounded, and never waited for."""

import threading
import time
from collections.abc import Callable
from queue import Full, Queue

from ..drops import Drops, Signal

LIMIT = 100


class Outbox:
    """A bounded queue of jobs and the thread that does them; a job that raises is counted lost."""

    def __init__(self, signal: Signal, drops: Drops) -> None:
        self._signal, self._drops = signal, drops
        self._jobs: Queue[Callable[[], object] | None] = Queue(LIMIT)
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"{signal}_outbox", daemon=True)
        self._thread.start()

    def put(self, job: Callable[[], object]) -> None:
        """Do `job` on the thread, at once when called there; never blocks."""
        if threading.current_thread() is self._thread:
            job()
        elif self._closed:
            self._drops.add(self._signal)
        else:
            try:
                self._jobs.put_nowait(job)
            except Full:
                self._drops.add(self._signal)

    def flush(self, seconds: float) -> None:
        """Wait until everything is done, or the time is up."""
        jobs = self._jobs
        with jobs.all_tasks_done:
            jobs.all_tasks_done.wait_for(lambda: not jobs.unfinished_tasks, seconds)

    def close(self, seconds: float) -> None:
        """Flush, then leave what is left; a job under way may outlast this, on a daemon thread."""
        deadline = time.monotonic() + seconds
        self.flush(seconds)
        self._closed = True
        with self._jobs.mutex:
            self._drops.add(self._signal, len(self._jobs.queue))
            self._jobs.queue.clear()
        self._jobs.put_nowait(None)
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # noqa: BLE001 - whatever became of the backend
                self._drops.add(self._signal)
            finally:
                del job  # it holds a traceback, and with it all that its frames know
                self._jobs.task_done()
