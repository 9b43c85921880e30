"""What the process uses and may use, as Linux says it: one scrape, one reading."""

import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from middleware.process_metrics import ProcessMetrics, memory_limit_bytes

GIGABYTE = 2**30
NO_LIMIT_OF_VERSION_1 = "9223372036854771712"


def system(root: Path, cgroup: str, **limits: str) -> str:
    """Files as Linux has them: `/proc/self/cgroup`, and `limits` by place."""
    files = {"proc/self/cgroup": cgroup} | limits
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return str(root)


def test_where_the_system_says_nothing_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit_bytes(str(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "nonsense", "4:memory", ":::::", "0::/../elsewhere"])
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, text: str) -> None:
    assert memory_limit_bytes(system(tmp_path, text)) is None


@pytest.mark.parametrize(
    ("cgroup", "limits"),
    [
        ("0::/shop", {"sys/fs/cgroup/shop/memory.max": "max"}),
        (
            "4:memory:/shop",
            {"sys/fs/cgroup/memory/shop/memory.limit_in_bytes": NO_LIMIT_OF_VERSION_1},
        ),
    ],
)
def test_unlimited_memory_is_no_limit(tmp_path: Path, cgroup: str, limits: dict[str, str]) -> None:
    assert memory_limit_bytes(system(tmp_path, cgroup, **limits)) is None


@pytest.mark.parametrize(
    ("cgroup", "limits"),
    [
        pytest.param("0::/shop", {"sys/fs/cgroup/shop/memory.max": str(GIGABYTE)}, id="version 2"),
        pytest.param(
            "3:cpu:/shop\n4:memory:/shop\n0::/",
            {"sys/fs/cgroup/memory/shop/memory.limit_in_bytes": str(GIGABYTE)},
            id="version 1",
        ),
        pytest.param(
            "0::/a/b",
            {
                "sys/fs/cgroup/a/memory.max": str(GIGABYTE),
                "sys/fs/cgroup/a/b/memory.max": str(2 * GIGABYTE),
            },
            id="the slice has less than its unit",
        ),
        pytest.param(
            "4:memory:/docker/3f",
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": str(GIGABYTE)},
            id="in a container of its own namespace",
        ),
    ],
)
def test_the_lowest_limit_counts_of_both_versions(
    tmp_path: Path, cgroup: str, limits: dict[str, str]
) -> None:
    assert memory_limit_bytes(system(tmp_path, cgroup, **limits)) == GIGABYTE


def test_a_thread_more_is_a_thread_more() -> None:
    registry, over = CollectorRegistry(), threading.Event()
    registry.register(ProcessMetrics())
    thread = threading.Thread(target=over.wait)

    before = registry.get_sample_value("process_threads")
    thread.start()
    during = registry.get_sample_value("process_threads")
    over.set()
    thread.join()

    assert during == (before or 0) + 1
