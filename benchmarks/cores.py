"""Who runs on which core, and how much CPU time they took.

The contestant has a core to itself; what it talks to and the generator share another one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_AVAILABLE = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
CONTESTANT_CORE = _AVAILABLE[0] if _AVAILABLE else None
SURROUNDINGS_CORE = _AVAILABLE[-1] if _AVAILABLE else None


def are_apart() -> bool:
    """Whether there are two cores to tell the contestant's work from the rest."""
    return CONTESTANT_CORE != SURROUNDINGS_CORE


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Whatever is started in here stays on `core`; None: anywhere."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of all its living descendants, in 10 ms steps."""
    total = 0.0
    for member in _tree(pid):
        with suppress(OSError):
            # After the name, which is in parentheses and may hold spaces: fields 14 and 15.
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
    return total


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from _tree(int(child))
