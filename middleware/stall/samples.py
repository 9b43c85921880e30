"""Where a thread is, as code objects and line numbers. Frames are never kept: they own what is in
their variables, whose end would come late, and on another thread."""

import asyncio
import sys
from collections import Counter
from contextvars import Context
from types import CodeType, FrameType

from ..collector import no_collection
from .culprit import module_of
from .record import Frame, Stack

Sample = tuple[tuple[CodeType, int], ...]  # the innermost first

_DEPTH = 400
_SELECT = "select"
_HANDLE_RUN = asyncio.Handle._run.__code__


class Sampler:
    """Looks at the loop's thread, above what runs the loop."""

    def __init__(self, thread: int, runner: frozenset[CodeType]) -> None:
        self._thread, self.runner = thread, runner
        self._modules: dict[CodeType, str] = {}

    def take(self) -> Sample:
        """Where it is now."""
        with no_collection():
            return self._places(sys._current_frames().get(self._thread))

    def _places(self, frame: FrameType | None) -> Sample:
        places: list[tuple[CodeType, int]] = []
        while frame is not None and frame.f_code not in self.runner and len(places) < _DEPTH:
            code = frame.f_code
            if code not in self._modules:
                self._modules[code] = _module(frame)
            places.append((code, frame.f_lineno or code.co_firstlineno))
            frame = frame.f_back
        return tuple(places)

    def callback_context(self) -> Context | None:
        """The context of the callback that runs, where the loop is asyncio's."""
        with no_collection():
            frame: FrameType | None = sys._current_frames().get(self._thread)
            while frame is not None and frame.f_code is not _HANDLE_RUN:
                frame = frame.f_back
            handle = frame.f_locals.get("self") if frame is not None else None
        context = getattr(handle, "_context", None)
        return context if isinstance(context, Context) else None

    def folded(self, samples: Counter[Sample]) -> tuple[tuple[Stack, int], ...]:
        """Samples as stacks."""
        return tuple((self._stack(sample), count) for sample, count in samples.items())

    def forget(self) -> None:
        """Code that was looked at may be gone by now."""
        self._modules.clear()

    def _stack(self, sample: Sample) -> Stack:
        return tuple(
            Frame(self._modules.get(code, "?"), code.co_qualname, code.co_filename, line)
            for code, line in reversed(sample)
        )


def _module(frame: FrameType) -> str:
    name = str(frame.f_globals.get("__name__", "?"))
    return module_of(frame.f_code.co_filename) if name == "__main__" else name


def is_waiting(sample: Sample) -> bool:
    """Whether the loop is at no callback: it waits for events, or does its own work."""
    return not sample or (len(sample) == 1 and sample[0][0].co_name == _SELECT)
