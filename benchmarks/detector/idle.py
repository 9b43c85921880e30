"""What does it cost while nothing happens? Servers with and without it, idle side by side."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.detector.ours import OURS, SWITCH
from benchmarks.overhead.programs import load_averages
from benchmarks.stalls.watched import Watched, watched
from tests.stalls.processes import children

SECONDS = 20.0
CALM_SECONDS = 3.0  # what follows a start is over


class Spent(NamedTuple):
    """CPU seconds, or % of a core; `loop` is the event loop's thread, `sidecar` its process."""

    off: float
    off_loop: float
    on: float
    on_loop: float
    sidecar: float

    @property
    def added(self) -> float:
        """To the process, the sidecar left out."""
        return self.on - self.off

    @property
    def added_on_loop(self) -> float:
        """Of that, on the event loop's thread."""
        return self.on_loop - self.off_loop

    @property
    def in_all(self) -> float:
        """The sidecar included."""
        return self.added + self.sidecar


@dataclass
class Idle:
    """Of one kind of loop: % of a core by window; the sidecar's megabytes at the end."""

    windows: list[Spent] = field(default_factory=list)
    resident: float = 0.0
    proportional: float = 0.0

    def median(self, share: Callable[[Spent], float]) -> float:
        """Over the windows."""
        return median(map(share, self.windows))


@dataclass(frozen=True)
class Pair:
    """Two servers that differ in the detector alone."""

    off: Watched
    on: Watched
    sidecar: int  # process id

    def spent(self) -> Spent:
        """CPU seconds until now."""
        off, on = self.off.process.pid, self.on.process.pid
        return Spent(
            cpu_seconds(off),
            cpu_seconds(off, off),
            cpu_seconds(on),
            cpu_seconds(on, on),
            cpu_seconds(self.sidecar),
        )


def idle(loops: Sequence[str], rounds: int, seconds: float | None) -> dict[str, Idle]:
    """All of them idle at once, so that whatever else goes on meets all alike."""
    found = {loop: Idle() for loop in loops}
    with ExitStack() as opened:
        pairs = [opened.enter_context(_pair(loop)) for loop in loops]
        time.sleep(CALM_SECONDS)
        for _ in range(rounds):
            load_averages.append(os.getloadavg()[0])
            for each, shares in zip(
                found.values(), _window(pairs, seconds or SECONDS), strict=True
            ):
                each.windows.append(shares)
        for each, pair in zip(found.values(), pairs, strict=True):
            memory = megabytes(pair.sidecar)
            each.resident, each.proportional = memory["Rss"], memory["Pss"]
    return found


@contextmanager
def _pair(loop: str) -> Iterator[Pair]:
    with (
        watched(OURS, loop, **{SWITCH: "false"}) as off,
        watched(OURS, loop, **{SWITCH: "true"}) as on,
    ):
        yield Pair(off, on, children(on.process.pid)[0])


def _window(pairs: Sequence[Pair], seconds: float) -> list[Spent]:
    began, before = time.monotonic(), [pair.spent() for pair in pairs]
    time.sleep(seconds)
    percent = 100 / (time.monotonic() - began)
    after = [pair.spent() for pair in pairs]
    return [
        Spent(*(percent * (now - then) for then, now in zip(*both, strict=True)))
        for both in zip(before, after, strict=True)
    ]


def cpu_seconds(pid: int, thread: int | None = None) -> float:
    """Of the threads that live, or of one: to the nanosecond, /proc/PID/stat has hundredths."""
    schedules = Path(f"/proc/{pid}/task").glob(f"{thread or '*'}/schedstat")
    return sum(int(each.read_text().split()[0]) for each in schedules) / 1e9


def megabytes(pid: int) -> dict[str, float]:
    """Its memory by kind, in 10^6 bytes: `Rss`, `Pss` (what is shared, shared out) …"""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return {name.rstrip(":"): int(kilobytes) * 1024 / 1e6 for name, kilobytes, _ in fields}
