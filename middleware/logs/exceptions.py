"""Exceptions as structured frames, without the frames' variables: those hold what clients sent."""

import linecache
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from structlog.tracebacks import ExceptionDictTransformer

_structured = ExceptionDictTransformer(show_locals=False)


def structured_exception(exc_info: object) -> object:
    """What `exc_info=` of a log call says, as a list: the exception first, then its causes.

    None where there is no exception. Never raises.
    """
    error = _exception_in(exc_info)
    if error is None:
        return None
    try:
        return _structured((type(error), error, error.__traceback__))
    except Exception:  # noqa: BLE001  a foreign __str__, or groups nested without end
        return [{"exc_type": type(error).__name__, "exc_value": "cannot be shown", "frames": []}]


def _exception_in(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        found = exc_info[1] if len(exc_info) == 3 else None
        return found if isinstance(found, BaseException) else None
    return sys.exception() if exc_info else None


def traceback_lines(stacks: list[Mapping[str, Any]]) -> Iterator[str]:
    """The same as a person reads it: causes first, one line each, whatever the messages hold."""
    for stack in reversed(stacks):
        for frame in stack["frames"]:
            yield f'File "{frame["filename"]}", line {frame["lineno"]}, in {frame["name"]}'
            if source := _source(frame["filename"], frame["lineno"]):
                yield f"  {source}"
        yield f"{stack['exc_type']}: {stack['exc_value']}"
        for inner in stack.get("exceptions", ()):
            yield from (f"  {line}" for line in traceback_lines(inner))


def _source(filename: str, line: int) -> str:
    # A field that only looks like a traceback must not make us show any file.
    return linecache.getline(filename, line).strip() if filename.endswith(".py") else ""
