"""Other processes: hogs that take the CPU away, and what a process has, as the system sees it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """So many processes that compute, spread over the processors."""
    processors = sorted(os.sched_getaffinity(0))
    program = (
        "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); parent = os.getppid()\n"
        "while os.getppid() == parent: sum(range(10_000))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(processors[n % len(processors)])])
        for n in range(count)
    ]
    try:
        yield
    finally:
        for each in running:
            each.kill()
        for each in running:
            each.wait()


@dataclass(frozen=True, slots=True)
class Possessions:
    """Whatever can leak."""

    threads: int
    descriptors: int
    children: int

    def exceed(self, others: "Possessions") -> bool:
        """Whether there is more of anything."""
        return (
            self.threads > others.threads
            or self.descriptors > others.descriptors
            or self.children > others.children
        )


def possessions(pid: int) -> Possessions:
    """Of a process, at the moment."""
    folder = Path(f"/proc/{pid}")
    return Possessions(
        threads=len(threads(pid)),
        descriptors=len(list((folder / "fd").iterdir())),
        children=len(children(pid)),
    )


def threads(pid: int) -> list[int]:
    """Their ids."""
    return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]


def children(pid: int) -> list[int]:
    """Their process ids, the dead ones included that nobody has waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parent = path.read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid:
                found.append(int(path.parent.name))
    return found


def state(pid: int) -> str:
    """One letter: R, S, T …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
