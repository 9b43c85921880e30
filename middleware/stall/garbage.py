"""How long the garbage collector keeps everybody waiting."""

import gc
import os
import weakref
from time import monotonic_ns

from .pulse import Pulse

_all: "weakref.WeakSet[GarbageClock]" = weakref.WeakSet()
_hooked = False


class GarbageClock:
    """Adds up the collections of whichever thread makes them; all threads wait meanwhile."""

    def __init__(self, pulse: Pulse) -> None:
        self.total_ns = 0
        self._since = 0
        self._pulse = pulse

    def start(self) -> None:
        """Listen to the collector."""
        global _hooked  # noqa: PLW0603  a fork hook cannot be taken back: one for the process
        gc.callbacks.append(self._note)
        _all.add(self)
        if not _hooked and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget_all)
            _hooked = True

    def stop(self) -> None:
        """Do not, any more."""
        if self._note in gc.callbacks:
            gc.callbacks.remove(self._note)

    def so_far_ns(self) -> int:
        """Together with the collection that goes on."""
        return self.total_ns + (monotonic_ns() - self._since if self._since else 0)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        now = monotonic_ns()
        if phase == "start":
            self._pulse["collecting_since_ns"] = self._since = now
        elif self._since:
            self.total_ns += now - self._since
            self._pulse["collected_ns"] = self.total_ns
            self._pulse["collecting_since_ns"] = self._since = 0


def _forget_all() -> None:
    """In a forked child: its collections are not its parent's, whose memory page it still has."""
    for clock in list(_all):
        clock.stop()
