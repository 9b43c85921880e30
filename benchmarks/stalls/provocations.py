"""What is done to the watched process; each ends when the loop runs again."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.stalls.app import SECONDS
from benchmarks.stalls.watched import Watched
from tests.stalls.calibration import amount_for
from tests.stalls.processes import hogs, threads

Provocation = Callable[[Watched], None]

BUSY_SECONDS = 4.0
# A fifth of the threshold: innocent.
_INNOCENT_WORK = "/compute/spin?seconds=0.02"


def asking(path: str) -> Provocation:
    """One request."""
    return lambda app: _discard(app.ask(path))


def computing(kind: str, path: str) -> Provocation:
    """One request for as much of that work as takes SECONDS of CPU time here."""
    return lambda app: _discard(app.ask(f"{path}?amount={amount_for(kind, SECONDS)}"))


def collecting(app: Watched) -> None:
    """The garbage collector walks through four million objects."""
    app.ask("/threads/heap?count=4000000")
    app.ask("/threads/collect")


def stopping(app: Watched) -> None:
    """SIGSTOP, in the midst of innocent work."""
    with _innocent_work(app):
        time.sleep(0.2)
        app.process.send_signal(signal.SIGSTOP)
        time.sleep(SECONDS)
        app.process.send_signal(signal.SIGCONT)


def starving(app: Watched) -> None:
    """It runs only when nobody else wants to, and others want to all the time."""
    for thread in threads(app.process.pid):
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    with _innocent_work(app), hogs(os.cpu_count() or 1):
        time.sleep(BUSY_SECONDS)


def idling_beside_hogs(app: Watched) -> None:
    """Nothing to do, beside four who have."""
    with hogs(4):
        time.sleep(BUSY_SECONDS)


def sleeping_elsewhere(app: Watched) -> None:
    """What sleeps on another thread."""
    for _ in range(5):
        app.ask("/threads/to_thread")


@contextmanager
def _innocent_work(app: Watched) -> Iterator[None]:
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            app.ask(_INNOCENT_WORK)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        yield
    finally:
        over.set()


def _discard(_answer: bytes | None) -> None:
    """Whether it was answered says nothing: some tools raise instead."""
