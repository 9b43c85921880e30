"""One fake world for each test."""

import pytest

from tests.fakes import FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    """Everything works, nothing is cached."""
    return FakeWorld()
