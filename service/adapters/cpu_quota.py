"""How many processors this process may really use: a container sees all of the machine's."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def usable_processors(root: Path = _ROOT) -> int:
    """Whole processors that affinity and the control group's quota leave, at least one.

    `root` is where `proc` and `sys` are.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, int(min([allowed, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Of the process's control group and those above it, since each limits what is below."""
    mounted = root / "sys/fs/cgroup"
    for line in _words(root / "proc/self/cgroup", separator="\n"):
        _, controllers, path = line.split(":", 2)
        inside = PurePosixPath(path.lstrip("/"))
        for group in (inside, *inside.parents):
            if not controllers:  # version 2
                yield from _quota(*_words(mounted / group / "cpu.max"))
            elif "cpu" in controllers.split(","):
                folder = mounted / "cpu" / group
                quota = _words(folder / "cpu.cfs_quota_us")
                yield from _quota(*quota, *_words(folder / "cpu.cfs_period_us"))


def _quota(quota: str = "max", period: str = "0") -> Iterator[float]:
    if quota not in {"max", "-1"} and int(period):
        yield int(quota) / int(period)


def _words(path: Path, separator: str | None = None) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").strip().split(separator)
    except OSError:
        return []  # another kernel, or another version
