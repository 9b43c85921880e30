"""Servers that tests share: one for each kind of loop and each way to set it up."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.middleware.otlp_receiver import OtlpReceiver, http_receiver
from tests.middleware.sentry_receiver import SentryReceiver, receiving

from .serving import RunningApp, running_app


class Servers:
    """Started when first asked for: that takes seconds."""

    def __init__(self, otlp: OtlpReceiver, sentry: SentryReceiver, opened: ExitStack) -> None:
        self._otlp, self._sentry, self._opened = otlp, sentry, opened
        self._running: dict[tuple[str, ...], RunningApp] = {}

    def get(self, loop: str, settings: dict[str, str]) -> RunningApp:
        """The one on this kind of loop with these settings."""
        key = (loop, *settings, *settings.values())
        if key not in self._running or self._running[key].process.poll() is not None:
            running = running_app(loop, self._otlp, self._sentry, **settings)
            self._running[key] = self._opened.enter_context(running)
        return self._running[key]


@pytest.fixture(scope="session")
def otlp() -> Iterator[OtlpReceiver]:
    """Takes every server's spans."""
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def sentry() -> Iterator[SentryReceiver]:
    """Takes every server's events."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def servers(otlp: OtlpReceiver, sentry: SentryReceiver) -> Iterator[Servers]:
    """Those that modules share."""
    with ExitStack() as opened:
        yield Servers(otlp, sentry, opened)


@pytest.fixture(scope="module")
def own_servers(otlp: OtlpReceiver, sentry: SentryReceiver) -> Iterator[Servers]:
    """Those that nobody else wants: idle ones would take a few percent of a processor each."""
    with ExitStack() as opened:
        yield Servers(otlp, sentry, opened)


@pytest.fixture(scope="module")
def module_settings() -> dict[str, str]:
    """What a module's server has other than the defaults; no two modules share it then."""
    return {}


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """The kind of loop."""
    kind: str = request.param
    return kind


@pytest.fixture
def app(
    servers: Servers, own_servers: Servers, loop: str, module_settings: dict[str, str]
) -> RunningApp:
    """A server that may have served other tests before."""
    return (own_servers if module_settings else servers).get(loop, module_settings)
