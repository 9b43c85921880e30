"""Where lines go, and where the lost ones are counted."""

import fcntl
import os
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from .counting import CountedDrops


@pytest.fixture
def ends() -> Iterator[tuple[BinaryIO, int]]:
    """The two ends of a pipe that holds 4 KiB: where lines are read, where they are written."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with open(reading, "rb") as reader:
        yield reader, writing
        os.close(writing)


@pytest.fixture
def drops() -> CountedDrops:
    return CountedDrops()
