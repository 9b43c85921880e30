"""A time in which neither the loop nor the watchdog could run; when to look, and when to speak."""

from collections import deque

from ..pulse import Beat
from ..record import Cause
from .finding import Finding

_FIRST_LOOK_NS = 15_000_000  # who overslept together with the others sees them wake up
_FIRST_PAUSE_NS = 100_000_000
_LONGEST_PAUSE_NS = 10_000_000_000
_MOST_FINDINGS = 50
_SAYS_LITTLE = {Cause.CPU_STARVED, Cause.CGROUP_THROTTLED, Cause.UNKNOWN}


class Hang:
    """Began after the beat `last`, and was noticed at `now_ns`."""

    def __init__(self, last: Beat, now_ns: int) -> None:
        self.last = last
        self.findings: deque[Finding] = deque(maxlen=_MOST_FINDINGS)
        self._look_ns = now_ns + _FIRST_LOOK_NS
        self._pause_ns = _FIRST_PAUSE_NS
        self._say_ns = last.due_ns + 1_000_000_000
        self._is_said = self._is_due = False

    @property
    def next_ns(self) -> int:
        """When to look again."""
        return min(self._look_ns, self._say_ns)

    def add(self, finding: Finding | None, now_ns: int) -> None:
        """What a look gave. The next ones come ever later, so that an hour costs little."""
        if finding is not None:
            self.findings.append(finding)
        self._look_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, _LONGEST_PAUSE_NS)
        self._is_due = now_ns >= self._say_ns
        while self._say_ns <= now_ns:
            self._say_ns += self._say_ns - self.last.due_ns

    def is_to_be_said(self, cause: Cause) -> bool:
        """After the first look, unless that says little, and when it has lasted 1 s, 2 s, 4 s …"""
        is_first = not self._is_said and cause not in _SAYS_LITTLE
        self._is_said = self._is_said or is_first or self._is_due
        return is_first or self._is_due
