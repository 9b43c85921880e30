"""What structlog's and the standard library's calls say, as one kind of event."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from structlog.contextvars import merge_contextvars
from structlog.exceptions import DropEvent
from structlog.processors import StackInfoRenderer
from structlog.stdlib import PositionalArgumentsFormatter
from structlog.typing import EventDict, Processor

from .exceptions import structured_exception

# What every record has (taskName: from 3.12 on), and uvicorn's second message, for terminals.
_RECORD_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}

Finished = Callable[[str, str, float, EventDict], dict[str, object]]


def finished_by(context: Sequence[Processor]) -> Finished:
    """A function of level, logger, seconds since the epoch and fields that gives the event.

    `context` adds to the fields; what one of them raises costs its own fields, not the line.
    """
    processors: tuple[Processor, ...] = (
        PositionalArgumentsFormatter(),
        StackInfoRenderer(additional_ignores=[__package__ or "", "logging"]),
        merge_contextvars,
        *context,
    )

    def finished(level: str, logger: str, seconds: float, fields: EventDict) -> dict[str, object]:
        for processor in processors:
            fields = _processed(processor, level, fields)
        if error := structured_exception(fields.pop("exc_info", None)):
            fields["exception"] = error
        members = {
            "timestamp": timestamp_of(seconds),
            "level": level,
            "logger": logger,
            "event": fields.get("event", ""),
        }
        return {**members, **fields, **members}  # first in the line, and nobody else's

    return finished


def fields_of(record: logging.LogRecord) -> EventDict:
    """The message, `extra=` and what there is about an exception."""
    extra = {
        name: value for name, value in record.__dict__.items() if name not in _RECORD_ATTRIBUTES
    }
    fields: EventDict = {**extra, **_message(record)}
    if record.exc_info:
        fields["exc_info"] = record.exc_info
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields


def timestamp_of(seconds: float) -> str:
    """ISO 8601 in UTC, with microseconds."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1e6):06d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _message(record: logging.LogRecord) -> EventDict:
    try:
        return {"event": record.getMessage()}
    except Exception:  # noqa: BLE001  arguments that do not fit: both are kept, as structlog's are
        return {"event": record.msg, "positional_args": record.args}


def _processed(processor: Processor, level: str, fields: EventDict) -> EventDict:
    try:
        given = processor(None, level, fields)
        return given if isinstance(given, dict) else fields
    except DropEvent:
        raise
    except Exception:  # noqa: BLE001  somebody else's code, and arguments that do not fit
        return fields
