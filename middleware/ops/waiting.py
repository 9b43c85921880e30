"""Where a task waits, told from another thread: from its outermost coroutine to the innermost.

A running task has no such chain; its place is on the stack of the thread that runs it. What is
looked at goes on meanwhile: nothing here may rely on what it has seen a moment ago.
"""

import asyncio
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

from ..collector import no_collection
from ..stall.culprit import Territory

_DEPTH = 200
_PREFIXES: dict[type, str] = {CoroutineType: "cr", GeneratorType: "gi", AsyncGeneratorType: "ag"}
_AWAITED = {"cr": "cr_await", "gi": "gi_yieldfrom", "ag": "ag_await"}
# What `await` puts in between: built in, and silent about what it waits for.
_WRAPPERS = {"async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "FutureIter"}
_territory = cache(Territory.here)


@dataclass(frozen=True, slots=True)
class Place:
    """A line that a function is at."""

    file: str
    line: int | None
    function: str

    @classmethod
    def of(cls, frame: FrameType) -> "Place":
        """Where `frame` is now; the frame is not kept."""
        code = frame.f_code
        return cls(code.co_filename, frame.f_lineno, code.co_qualname)

    def facts(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"file": self.file, "line": self.line, "function": self.function}


def waits_at(task: "asyncio.Task[Any] | None") -> dict[str, Any] | None:
    """The innermost place of `task`, whether it runs, and the nearest place in application code.

    None when there is no such place (any more). Never raises.
    """
    try:
        places, running = _places(task)
    except Exception:  # noqa: BLE001 - it has moved on
        return None
    if not places:
        return None
    territory = _territory()
    ours = (place for place in reversed(places) if territory.is_application(place.file))
    application = next(ours, None)
    return {
        **places[-1].facts(),
        "running": running,
        "application": application.facts() if application else None,
    }


def _places(awaited: object) -> tuple[list[Place], bool]:
    """From the outermost to the innermost, and whether that is running now."""
    places: list[Place] = []
    for _ in range(_DEPTH):
        if isinstance(awaited, asyncio.Task):
            awaited = awaited.get_coro()
        prefix = _PREFIXES.get(type(awaited))
        if prefix is None:
            awaited = _behind(awaited)
            if awaited is None:
                break
            continue
        frame: FrameType | None = getattr(awaited, prefix + "_frame")
        if frame is None:
            break
        # An async generator says that it runs also while it waits: the stack knows better.
        if getattr(awaited, prefix + "_running") and (stack := _called_by(frame)):
            return places + [Place.of(each) for each in reversed(stack)], True
        places.append(Place.of(frame))
        awaited = getattr(awaited, _AWAITED[prefix])
    return places, False


def _behind(awaited: object) -> object:
    """What a wrapper wraps, if that waits for something in turn."""
    if type(awaited).__name__ not in _WRAPPERS:
        return None
    kinds = (*_PREFIXES, asyncio.Task)
    return next((each for each in gc.get_referents(awaited) if isinstance(each, kinds)), None)


def _called_by(frame: FrameType) -> list[FrameType]:
    """The frames that `frame` has called, innermost first, and itself last."""
    with no_collection():
        stacks = [list(_stack(innermost)) for innermost in sys._current_frames().values()]
    for stack in stacks:
        if frame in stack:
            return stack[: stack.index(frame) + 1]
    return []


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    depth = 0
    while frame is not None and depth < 10 * _DEPTH:
        yield frame
        frame, depth = frame.f_back, depth + 1
