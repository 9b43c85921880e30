"""As many workers as processors that may really be used."""

import os
from pathlib import Path

import pytest

from service.adapters.cpu_quota import usable_processors


@pytest.fixture(autouse=True)
def _eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")


V2 = {"proc/self/cgroup": "0::/pod/box"}
V1 = {"proc/self/cgroup": "4:cpu,cpuacct:/pod/box\n2:memory:/elsewhere"}


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/"}, 8),
        (V2 | {"sys/fs/cgroup/pod/box/cpu.max": "max 100000"}, 8),
        (V2 | {"sys/fs/cgroup/pod/box/cpu.max": "200000 100000"}, 2),
        (V2 | {"sys/fs/cgroup/pod/box/cpu.max": "250000 100000"}, 2),
        (V2 | {"sys/fs/cgroup/pod/box/cpu.max": "50000 100000"}, 1),
        (V2 | {"sys/fs/cgroup/pod/cpu.max": "300000 100000"}, 3),
        (V2 | {"sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
        (
            V2
            | {
                "sys/fs/cgroup/pod/box/cpu.max": "600000 100000",
                "sys/fs/cgroup/pod/cpu.max": "300000 100000",
            },
            3,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/cpu/pod/box/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/pod/box/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            8,
        ),
    ],
)
def test_the_narrowest_limit_counts(tmp_path: Path, files: dict[str, str], processors: int) -> None:
    write(tmp_path, files)

    assert usable_processors(tmp_path) == processors


def test_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)

    assert usable_processors(tmp_path) == 1
