"""Python's garbage collector, told that containers come by the hundred, and when to keep still."""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .forks import forget_in_children

PATIENCE = 10_000  # new containers before it looks; Python's 700 are some dozens of requests


@contextmanager
def patient_collector() -> Iterator[None]:
    """Let it wait for PATIENCE new containers, until left; whoever lets it wait longer, may.

    What is noted of a request are a dozen. With 32 in flight these made it look at every few
    requests, and take what was in flight for lasting: it walked through the whole app several times
    a second (measured: requests' p99 42 ms, and 8 ms like this; 7 ms for the app alone).
    """
    before = gc.get_threshold()
    ours = (PATIENCE, *before[1:])
    if 0 < before[0] < PATIENCE:  # 0: it is off
        gc.set_threshold(*ours)
    try:
        yield
    finally:
        if gc.get_threshold() == ours:  # nobody else has set it meanwhile
            gc.set_threshold(*before)


class NoCollection:
    """Keeps it off while another thread's frames are looked at; for moments, by one at a time.

    In Python 3.11 a collection may begin while `sys._current_frames` or `f_back` makes a frame, and
    calls what is written in Python: the other thread gets the GIL, its frame ends, and what is made
    then points to memory that is something else's: a segmentation fault in `frame.f_code` (the test
    has one within 0.1 s without this). From 3.12 on none begins there.
    """

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._is_off = False
        forget_in_children(self)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Until left."""
        if sys.version_info >= (3, 12):
            yield
            return
        with self._looking:
            self._is_off = gc.isenabled()
            gc.disable()
            try:
                yield
            finally:
                self._turn_on()

    def _turn_on(self) -> None:
        if self._is_off:
            gc.enable()
        self._is_off = False

    def forget_parent(self) -> None:
        """In a forked child: who was looking is not there."""
        self._looking = threading.Lock()
        self._turn_on()


no_collection = NoCollection()
