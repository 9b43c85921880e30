"""One server per module and kind of loop; what a module needs of it otherwise it overrides."""

from collections.abc import Iterator

import pytest

from tests.middleware.otlp_receiver import OtlpReceiver, http_receiver
from tests.middleware.sentry_receiver import SentryReceiver, receiving

from .serving import RunningApp, running_app


@pytest.fixture(scope="session")
def otlp() -> Iterator[OtlpReceiver]:
    """Takes every server's spans."""
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def sentry() -> Iterator[SentryReceiver]:
    """Takes the events of one module's servers."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def module_settings() -> dict[str, str]:
    """What a module's server has other than the defaults."""
    return {}


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def app(
    request: pytest.FixtureRequest,
    otlp: OtlpReceiver,
    sentry: SentryReceiver,
    module_settings: dict[str, str],
) -> Iterator[RunningApp]:
    """The module's server, on one kind of loop after the other."""
    with running_app(request.param, otlp, sentry, **module_settings) as running:
        yield running
