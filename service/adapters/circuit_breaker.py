"""Stop asking a dependency that keeps failing, and find out with one probe when it is back.

Our own, because none of the kept libraries (purgatory, pybreaker, aiobreaker) lets just one call
through while half open, nor treats a cancelled call as neither success nor failure.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

import structlog

log = structlog.get_logger()


class CircuitState(StrEnum):
    """Closed: calls pass. Open: they are refused. Half open: one probe is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpenError(Exception):
    """The call was not made: the dependency failed lately."""


class CircuitBreaker:
    """Opens after `failures_to_open` failures in a row, for `open_seconds`; then one call probes.

    Every failure of the probe doubles the time it stays open, up to `max_open_seconds`.
    """

    def __init__(
        self,
        dependency: str,
        *,
        failures_to_open: int = 5,
        open_seconds: float = 1.0,
        max_open_seconds: float = 10.0,
        on_change: Callable[[str, str], None] = lambda dependency, state: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dependency = dependency
        self.state = CircuitState.CLOSED
        self._failures_to_open = failures_to_open
        self._shortest, self._longest = open_seconds, max_open_seconds
        self._open_seconds = open_seconds
        self._on_change = on_change
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        on_change(dependency, self.state)

    @contextmanager
    def call(self, *failures: type[Exception]) -> Iterator[None]:
        """Make one call inside; `failures` raised there count against the dependency.

        Anything else that leaves the block (a cancellation) counts neither way. Raises
        CircuitOpenError instead of entering while the circuit is open.
        """
        probing = self._admit()
        try:
            yield
        except failures:
            self._failed(probing)
            raise
        except BaseException:
            if probing and self.state is CircuitState.HALF_OPEN:
                self._change(CircuitState.OPEN)  # its time is over: the next call probes
            raise
        self._succeeded(probing)

    def open_for(self, seconds: float) -> None:
        """Open now, at the dependency's own request (Retry-After), for as long as it says.

        `seconds` counts up to the longest time that the breaker ever stays open.
        """
        self._open_until = max(self._open_until, self._clock() + min(seconds, self._longest))
        if self.state is CircuitState.CLOSED:  # half open: the probe's end decides
            self._change(CircuitState.OPEN)

    def _admit(self) -> bool:
        if self.state is CircuitState.CLOSED:
            return False
        if self.state is CircuitState.OPEN and self._clock() >= self._open_until:
            self._change(CircuitState.HALF_OPEN)
            return True
        raise CircuitOpenError(self.dependency)

    def _succeeded(self, probing: bool) -> None:
        self._failures = 0
        if probing:
            self._open_seconds = self._shortest
            self._change(CircuitState.CLOSED)

    def _failed(self, probing: bool) -> None:
        self._failures += 1
        if probing:
            self._open_seconds = min(self._open_seconds * 2, self._longest)
        elif self.state is not CircuitState.CLOSED or self._failures < self._failures_to_open:
            return
        self._open_until = max(self._open_until, self._clock() + self._open_seconds)
        self._change(CircuitState.OPEN)

    def _change(self, state: CircuitState) -> None:
        if state is self.state:
            return
        if CircuitState.CLOSED in (state, self.state):
            log.warning("circuit_changed", dependency=self.dependency, state=state.value)
        self.state = state
        self._on_change(self.dependency, state)
