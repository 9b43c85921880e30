"""A demo's environment: ports and a folder of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.demo.embedded import short_temp_folder
from service.demo.ports import free_port
from tests.service.demo.running import MARK

PORTS = ("PORT", "OPS_PORT", "PREVIEW_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "WEBHOOK_PORT")


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Of one test's demo."""
    with environment_of_its_own() as environment:
        yield environment


@contextmanager
def environment_of_its_own() -> Iterator[dict[str, str]]:
    """What somebody else's demo meanwhile does not matter to."""
    with short_temp_folder() as folder:
        yield {
            **os.environ,
            MARK: str(folder),
            "TMPDIR": str(folder),
            **{name: str(free_port()) for name in PORTS},
            "REVIEWS__URL": f"http://127.0.0.1:{free_port()}",
            "INVENTORY__URL": f"http://127.0.0.1:{free_port()}",
        }
