"""`pytest --fail-on-stall`: a test that blocks its event loop fails, and says where.

Every loop that runs in a test is watched, whoever made it.
"""

import asyncio
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from .drops import Drops
from .settings import StallSettings
from .stall import StallDetector
from .stall.explain import explanation, remedy
from .stall.history import StallHistory
from .stall.listener import Requests
from .stall.ready_queue import call_first
from .stall.record import BLAMES_CODE, Cause, Stall

# What a host does to the process is no test's fault.
_FAULTS = BLAMES_CODE | {Cause.LOOP_SATURATED}
_DEFAULT_SECONDS = 0.1
_SHORTEST_SECONDS = 0.02

Hook = Generator[None, Any, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option, which is all that happens without it."""
    parser.getgroup("stallscope").addoption(
        "--fail-on-stall",
        nargs="?",
        type=_seconds,
        const=_DEFAULT_SECONDS,
        metavar="SECONDS",
        help="fail tests that block their event loop for longer (default: %(const)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch, if that is asked for."""
    seconds = config.getoption("--fail-on-stall")
    if seconds is not None:
        guard = StallGuard(seconds)
        config.pluginmanager.register(guard, "stallscope-guard")
        config.add_cleanup(guard.undo())


class StallGuard:
    """Collects the stalls of a test's loops, and fails the test."""

    def __init__(self, threshold_seconds: float) -> None:
        heartbeat_seconds = min(0.02, threshold_seconds / 2)
        self._settings = StallSettings(
            threshold_seconds=threshold_seconds, heartbeat_seconds=heartbeat_seconds, sidecar=False
        )
        self._stalls: list[Stall] = []
        self._patched = [(kind, kind.run_forever) for kind in _loop_classes()]
        for kind, original in self._patched:
            setattr(kind, "run_forever", self._watching(original))  # noqa: B010

    def undo(self) -> Callable[[], None]:
        """What leaves everything as it was."""

        def restore() -> None:
            for kind, original in self._patched:
                setattr(kind, "run_forever", original)  # noqa: B010

        return restore

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Hook:
        """Fixtures are watched, too."""
        return (yield from self._judged())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Hook:
        """The test itself."""
        return (yield from self._judged())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Hook:
        """What comes after it."""
        return (yield from self._judged())

    def opened(self, stall: Stall, requests: Requests) -> None:
        """Whether it is the test's fault is known in the end."""

    def goes_on(self, stall: Stall, requests: Requests) -> None:
        """The test's own time limit sees to that."""

    def ended(self, stall: Stall, requests: Requests) -> None:
        """Keep it for the verdict on the test."""
        if stall.cause in _FAULTS:
            self._stalls.append(stall)

    def _judged(self) -> Hook:
        self._stalls.clear()
        result = yield
        if self._stalls:
            limit = self._settings.threshold_seconds
            pytest.fail("\n\n".join(_shown(each, limit) for each in self._stalls), pytrace=False)
        return result

    def _watching(self, run_forever: Callable[[Any], None]) -> Callable[[Any], None]:
        @wraps(run_forever)
        def watched(loop: asyncio.AbstractEventLoop) -> None:
            with self._watched(loop):
                run_forever(loop)

        return watched

    @contextmanager
    def _watched(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        detector = StallDetector(self._settings, StallHistory(), Drops(CollectorRegistry()))
        detector.listeners.append(self)
        call_first(loop, detector.start)
        try:
            yield
        finally:
            detector.stop()


def _loop_classes() -> Iterator[type[Any]]:
    yield asyncio.BaseEventLoop
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415  where there is one

        yield uvloop.Loop


def _shown(stall: Stall, limit_seconds: float) -> str:
    lines = [
        f"The event loop was blocked for {stall.duration_seconds:.2f} s, longer than"
        f" {limit_seconds:g} s: {stall.cause.value}."
    ]
    if stall.culprit is not None:
        culprit = stall.culprit
        lines.append(f"  {culprit.file}:{culprit.line}, in {culprit.function}")
        lines.append(f"    {culprit.source_line}")
    return "\n".join([*lines, explanation(stall), remedy(stall.cause, stall.system_call)])


def _seconds(text: str) -> float:
    seconds = float(text)
    if not _SHORTEST_SECONDS <= seconds <= sys.float_info.max:
        raise ValueError(f"a stall lasts at least {_SHORTEST_SECONDS} s")
    return seconds
