"""How long the garbage collector keeps everybody waiting."""

import gc
from collections.abc import Callable
from time import monotonic_ns
from types import FunctionType, MethodType

from ..forks import forget_in_children
from .pulse import COLLECTED, COLLECTING_SINCE, Pulse


class GarbageClock:
    """Adds up the collections of whichever thread makes them; all threads wait meanwhile."""

    def __init__(self, pulse: Pulse) -> None:
        self.total_ns = 0
        self.since_ns = 0  # of the collection that goes on, else 0
        self.pulse = pulse
        self._note = MethodType(_untraced(_note), self)

    def start(self) -> None:
        """Listen to the collector."""
        gc.callbacks.append(self._note)
        forget_in_children(self)

    def stop(self) -> None:
        """Do not, any more."""
        if self._note in gc.callbacks:
            gc.callbacks.remove(self._note)

    def forget_parent(self) -> None:
        """A child's collections are not its parent's, whose memory page it still has."""
        self.stop()

    def so_far_ns(self) -> int:
        """Together with the collection that goes on."""
        since_ns = self.since_ns
        return self.total_ns + (monotonic_ns() - since_ns if since_ns else 0)


def _note(clock: GarbageClock, phase: str, info: dict[str, int]) -> None:
    """A collection begins or ends. Calls nothing that is written in Python: see `_untraced`."""
    now = monotonic_ns()
    numbers = clock.pulse.numbers
    if phase == "start":
        clock.since_ns = now
    elif clock.since_ns:
        clock.total_ns += now - clock.since_ns
        clock.since_ns = 0
        numbers[COLLECTED] = clock.total_ns
    numbers[COLLECTING_SINCE] = clock.since_ns


def _untraced(function: Callable[..., None]) -> FunctionType:
    """The same, as code of no file.

    A collection may begin anywhere, also while a coverage tool has its own lock, which would then
    wait for itself to trace this function (seen with coverage.py). What has no file is not traced.
    """
    code = function.__code__.replace(co_filename="<garbage collection>")
    return FunctionType(code, function.__globals__)
