"""What the system says of one thread, of the process and of its cgroup; 0 where it says nothing."""

import os
import threading
import time
from contextlib import suppress

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from .cgroup import cgroup_folders
from .sidecar.system_calls import system_call_of

RUNNABLE = "running"  # as Linux says it: on a CPU, or waiting for one
_RESOLVE_EVERY_NS = 5_000_000_000


class ThreadClock:
    """CPU time, wait for a CPU and system call of the thread that made it, read from any thread."""

    def __init__(self) -> None:
        self.native_id = threading.get_native_id()
        # Asked for by a thread of itself: of one that has ended, the C library may crash.
        get_clock = getattr(time, "pthread_getcpuclockid", None)
        self._clock = get_clock(threading.get_ident()) if get_clock else None
        self._files = {
            name: _open(f"/proc/self/task/{self.native_id}/{name}")
            for name in ("schedstat", "syscall", "status")
        }

    def on_cpu_ns(self) -> int:
        """CPU time so far; where only a thread itself may ask, 0 for the others."""
        if self._clock is not None:
            with suppress(OSError):  # the thread has ended
                return time.clock_gettime_ns(self._clock)
        return time.thread_time_ns() if threading.get_native_id() == self.native_id else 0

    def both_ns(self) -> tuple[int, int]:
        """CPU time and wait for a CPU, in one reading; for the thread itself, when it has just
        woken up: the system brings these up to date when a thread is put on a CPU or taken off."""
        numbers = self._read("schedstat").split()
        return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else (self.on_cpu_ns(), 0)

    def run_queue_ns(self) -> int:
        """Time so far in which the thread could have run and had no CPU."""
        numbers = self._read("schedstat").split()
        return int(numbers[1]) if len(numbers) > 1 else 0

    def whereabouts(self) -> str | None:
        """The system call that it is in, RUNNABLE when in none; None when the system is silent."""
        text = self._read("syscall").decode()
        return system_call_of(text) or (RUNNABLE if text.startswith(RUNNABLE) else None)

    def voluntary_switches(self) -> int:
        """How often it has given its CPU away so far, to wait for something."""
        _, _, rest = self._read("status").partition(b"\nvoluntary_ctxt_switches:")
        return int(rest.split(maxsplit=1)[0]) if rest else 0

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in self._files.values():
            if descriptor is not None:
                os.close(descriptor)
        self._files = {}

    def _read(self, name: str) -> bytes:
        descriptor = self._files.get(name)
        if descriptor is None:
            return b""
        try:
            return os.pread(descriptor, 4096, 0)
        except OSError:  # the thread has ended
            return b""


def switches_of_this_thread() -> int:
    """How often the calling thread has given its CPU away so far; 0 where nobody counts."""
    who = getattr(resource, "RUSAGE_THREAD", None)
    return resource.getrusage(who).ru_nvcsw if who is not None else 0


class CgroupClock:
    """Time in which the quota of the process' cgroup was used up."""

    def __init__(self) -> None:
        self._file: str | None = None
        self._resolved_ns = -_RESOLVE_EVERY_NS

    def throttled_ns(self) -> int:
        """So far, as versions 1 and 2 count it."""
        now = time.monotonic_ns()
        if now - self._resolved_ns >= _RESOLVE_EVERY_NS:  # a process may be moved
            self._file, self._resolved_ns = _cpu_stat(), now
        if self._file is None:
            return 0
        try:
            with open(self._file) as file:
                numbers = dict(line.split() for line in file)
        except (OSError, ValueError):
            self._file = None
            return 0
        return int(numbers.get("throttled_time", 0)) or int(numbers.get("throttled_usec", 0)) * 1000


def _cpu_stat() -> str | None:
    files = (f"{folder}/cpu.stat" for folder in cgroup_folders("cpu"))
    return next(filter(os.path.exists, files), None)


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
