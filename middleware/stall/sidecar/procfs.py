"""What the kernel says of another process and its threads."""

import time

from .system_calls import system_call_of

_STOPPED = "Tt"
_OVER = "ZX"


class Process:
    """Another process of ours, which may end at any time."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def is_stopped(self) -> bool:
        """By a signal or a debugger."""
        return self._state() in _STOPPED

    def is_over(self) -> bool:
        """Whether it is dead, or about to be."""
        return self._state() in _OVER

    def schedule_ns(self, thread: int) -> tuple[int, int]:
        """CPU time of one of its threads and its wait for a CPU, so far. Raises OSError."""
        with open(f"/proc/{self.pid}/task/{thread}/schedstat", "rb") as file:
            on_cpu, run_queue, _ = file.read().split()
        return int(on_cpu), int(run_queue)

    def cpu_ns(self) -> int:
        """CPU time of all its threads, so far. Raises OSError."""
        return time.clock_gettime_ns(~self.pid << 3 | 2)  # as clock_getcpuclockid(3) has it

    def system_call(self, thread: int) -> str | None:
        """The one that the thread is in."""
        try:
            with open(f"/proc/{self.pid}/task/{thread}/syscall") as file:
                return system_call_of(file.read())
        except OSError:  # not allowed, or ended
            return None

    def _state(self) -> str:
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                return file.read().rpartition(b") ")[2][:1].decode()
        except OSError:
            return "X"
