"""The page of memory that the loop, the watchdog and the sidecar share.

Whole numbers of eight bytes, each written by one side and never torn. Times are nanoseconds of
CLOCK_MONOTONIC, which processes have in common.
"""

import mmap
import os
import struct
from typing import NamedTuple

_FIELDS = (
    # The loop writes these with every beat, the sequence last; `Beat` has the same order.
    "beat_ns",
    "due_ns",
    "on_cpu_ns",
    "run_queue_ns",
    "gc_ns",
    "process_cpu_ns",
    "sequence",
    # Whichever thread collects garbage: how long in all; and since when, else 0.
    "collected_ns",
    "collecting_since_ns",
    # Who the loop's thread is, once it has begun to beat; 0 when nobody beats (any more).
    "loop_thread",
    # The watchdog: by when it will be seen to run again.
    "watchdog_due_ns",
    # The sidecar: the sequence of the beat that it is looking behind of, while it does.
    "looking_after",
)
_SIZE = mmap.PAGESIZE
_SEQUENCE = 6
_BEAT = struct.Struct("7q")
_TRIES = 1000


class Beat(NamedTuple):
    """The loop was alive at `at_ns`, and was to beat again by `due_ns`; what the clocks said then.

    Totals: CPU time of the loop's thread, its wait for a CPU (0 where the system does not say),
    garbage collections, CPU time of the whole process (up to ten beats old).
    """

    at_ns: int
    due_ns: int
    on_cpu_ns: int
    run_queue_ns: int
    gc_ns: int
    process_cpu_ns: int
    sequence: int


class Pulse:
    """Attributes are the fields; made once, opened again by the sidecar from `descriptor`."""

    __slots__ = ("_memory", "descriptor", "numbers")

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None and hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("stallscope-pulse")
            os.ftruncate(descriptor, _SIZE)
        self.descriptor = descriptor  # None: memory of this process alone
        self._memory = mmap.mmap(-1 if descriptor is None else descriptor, _SIZE)
        self.numbers = memoryview(self._memory).cast("q")

    def write_beat(self, beat: Beat) -> None:
        """Called by the loop."""
        numbers = self.numbers
        numbers[_SEQUENCE] = 0  # until the rest is whole
        _BEAT.pack_into(self._memory, 0, *beat)

    def read_beat(self) -> Beat:
        """The last beat; whole, unless the process was stopped in the middle of writing it."""
        numbers = self.numbers
        for _ in range(_TRIES):
            sequence, beat = numbers[_SEQUENCE], Beat(*numbers[: _SEQUENCE + 1])
            if sequence == beat.sequence == numbers[_SEQUENCE] != 0:
                break
        return beat

    def __getitem__(self, field: str) -> int:
        return self.numbers[_INDEX[field]]

    def __setitem__(self, field: str, number: int) -> None:
        self.numbers[_INDEX[field]] = number

    def close(self) -> None:
        """Give the memory back."""
        self.numbers.release()
        self._memory.close()
        if self.descriptor is not None:
            os.close(self.descriptor)


_INDEX = {field: index for index, field in enumerate(_FIELDS)}
COLLECTED, COLLECTING_SINCE = _INDEX["collected_ns"], _INDEX["collecting_since_ns"]
