"""What is process-wide has to be as it was after every test, or the next one is not alone."""

from collections.abc import Iterator

import pytest

from middleware.logs import configuration


@pytest.fixture(autouse=True)
def _logs_are_left() -> Iterator[None]:
    yield
    assert configuration._shared._inside == 0
