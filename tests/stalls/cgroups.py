"""A cgroup with a CPU quota of the test's own, where the machine lets one be made."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PERIOD_US = 100_000


class Cgroup:
    """Version 1 or 2; no quota until one is set."""

    def __init__(self, folder: Path, version: int) -> None:
        self.folder, self._version = folder, version

    def entering(self) -> list[str]:
        """A command that executes another one in here."""
        return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.folder)]

    def limit(self, share: float | None) -> None:
        """To this share of one processor."""
        quota = int(share * _PERIOD_US) if share is not None else None
        if self._version == 1:
            (self.folder / "cpu.cfs_quota_us").write_text(str(quota or -1))
        else:
            (self.folder / "cpu.max").write_text(f"{quota or 'max'} {_PERIOD_US}")


@contextmanager
def own_cgroup() -> Iterator[Cgroup]:
    """A new one, empty again by the end. Skips the test where there can be none, and says why."""
    mount = Path("/sys/fs/cgroup")
    version = 1 if (mount / "cpu").is_dir() else 2
    root = mount / "cpu" if version == 1 else mount
    folder = root / f"stallscope-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"cgroup_throttled is NOT TESTED: no cgroup can be made here: {error}")
    try:
        if not any((folder / name).exists() for name in ("cpu.cfs_quota_us", "cpu.max")):
            pytest.skip(f"cgroup_throttled is NOT TESTED: {folder} has no CPU controller")
        yield Cgroup(folder, version)
    finally:
        folder.rmdir()
