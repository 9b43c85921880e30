"""A demo's environment: ports and a folder of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.demo.embedded import short_temp_folder
from service.demo.ports import free_port
from tests.service.demo.running import MARK

PORTS = ("PORT", "OPS_PORT", "PREVIEW_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "WEBHOOK_PORT")


@pytest.fixture(scope="module")
def demo_folder() -> Iterator[Path]:
    """Where a module's demos have their files, each those of the one before."""
    with short_temp_folder() as folder:
        yield folder


@pytest.fixture
def environment(demo_folder: Path) -> dict[str, str]:
    """Of one test's demo."""
    return environment_in(demo_folder)


def environment_in(folder: Path) -> dict[str, str]:
    """What somebody else's demo meanwhile does not matter to."""
    return {
        **os.environ,
        MARK: str(folder),
        "TMPDIR": str(folder),
        **{name: str(free_port()) for name in PORTS},
        "REVIEWS__URL": f"http://127.0.0.1:{free_port()}",
        "INVENTORY__URL": f"http://127.0.0.1:{free_port()}",
    }
