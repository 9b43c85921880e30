"""A runtime of models that do sums, and a client of a server over it."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.service.inference_protocol.echo_models import EchoRuntime, app_of


@pytest.fixture
def runtime() -> EchoRuntime:
    """All models serve."""
    return EchoRuntime()


@pytest.fixture
def client(runtime: EchoRuntime) -> Iterator[TestClient]:
    """What no handler answers, fails the test."""
    with TestClient(app_of(runtime)) as client:
        yield client
