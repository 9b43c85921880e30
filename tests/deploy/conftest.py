"""The installations of deploy/kubernetes, each built once by the real kustomize."""

from collections.abc import Callable
from functools import cache

import pytest

from deploy.validate import INSTALLATIONS, NO_KUBECTL, has_kubectl
from tests.deploy.installation import Installation

Built = Callable[[str], Installation]


@pytest.fixture(scope="session")
def _built() -> Built:
    if not has_kubectl():
        pytest.skip(f"NOTHING OF deploy/kubernetes IS TESTED: {NO_KUBECTL}")
    return cache(lambda name: Installation(INSTALLATIONS[name]()))


@pytest.fixture(scope="session", params=INSTALLATIONS)
def installation(request: pytest.FixtureRequest, _built: Built) -> Installation:
    """Each of them."""
    return _built(request.param)


@pytest.fixture(scope="session")
def local(_built: Built) -> Installation:
    """That of one machine."""
    return _built("local")


@pytest.fixture(scope="session")
def production(_built: Built) -> Installation:
    """As it is committed."""
    return _built("production")


@pytest.fixture(scope="session")
def everything(_built: Built) -> Installation:
    """Production with its optional components."""
    return _built("production with all components")
