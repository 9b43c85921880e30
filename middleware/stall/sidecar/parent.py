"""Whether the watched process still lives."""

import os
import select

_LAST_BREATH_MS = 2000


class Parent:
    """`descriptor` is a pidfd of it; -1 where the system has none."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self._pid, self.descriptor = pid, descriptor
        self._poll = select.poll()
        if descriptor >= 0:
            self._poll.register(descriptor, select.POLLIN)

    def is_dead(self, patience_ms: int = 0) -> bool:
        """Whether it has died, or does so within that time."""
        if self.descriptor < 0:
            self._poll.poll(patience_ms)
            return os.getppid() != self._pid
        return bool(self._poll.poll(patience_ms))

    def dies(self) -> bool:
        """Asked when its pipe is closed: a process that dies closes its files first."""
        return self.is_dead(_LAST_BREATH_MS)
