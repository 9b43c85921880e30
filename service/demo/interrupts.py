"""Ctrl-C and its relatives: the first ends the demo in good order, the second at once."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedDemoError(BaseException):
    """A signal came; like KeyboardInterrupt not an Exception, so that nothing takes it for one."""


class Interrupts:
    """What a signal does, depending on how far the demo is."""

    def __init__(self, kill: Callable[[], None]) -> None:
        """`kill` is called on the second signal."""
        self.killed = False
        self._kill = kill
        self._heard = False
        self._react: Callable[[], None] = _interrupt

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals here; from now on the first raises InterruptedDemoError."""
        # Whoever started us with nohup wants a closed terminal to be ignored.
        numbers = [
            n for n in _SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN
        ]
        previous = {number: signal.signal(number, self._receive) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until it is done or a signal comes, and give it the time to clean up."""
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            task = loop.create_task(work)
            self._react = lambda: _cancel(loop, task)
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                pass
            finally:
                self.stop_reacting()

    def stop_reacting(self) -> None:
        """From now on everything is being stopped anyway; only a second signal does something."""
        self._react = _nothing

    def _receive(self, _: int, __: FrameType | None) -> None:
        if self._heard:
            self.killed = True
            self._kill()
            return
        self._heard = True
        self._react()


def _interrupt() -> NoReturn:
    raise InterruptedDemoError


def _nothing() -> None:
    pass


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    # A signal handler runs between any two instructions; the loop wants to be told from outside.
    loop.call_soon_threadsafe(task.cancel)
