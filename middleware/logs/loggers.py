"""The two ways in: structlog's loggers and the standard library's handler."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import structlog
from structlog.exceptions import DropEvent
from structlog.processors import NAME_TO_LEVEL
from structlog.typing import EventDict, Processor

from .events import fields_of

# Level, logger's name, seconds since the epoch, fields. Never raises.
Emit = Callable[[int, str, float, EventDict], None]


class PipeHandler(logging.Handler):
    """Hands records on, whatever library they come from."""

    def __init__(self, emit: Emit) -> None:
        super().__init__()
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        self._emit(record.levelno, record.name, record.created, fields_of(record))


class PipeLogger(structlog.stdlib.BoundLogger):
    """Obeys the standard library's levels, but writes without its detour of records."""

    # Positional only, unlike structlog's, so that a field may be called `method_name`.
    def _proxy_to_logger(  # type: ignore[override]
        self, method_name: str, event: object = None, /, *event_args: object, **event_kw: Any
    ) -> None:
        if not self._logger.isEnabledFor(NAME_TO_LEVEL[method_name]):
            return
        fields: EventDict = {**self._context, **event_kw, "event": event}
        if event_args:
            fields["positional_args"] = event_args
        try:
            for processor in self._processors:
                fields = processor(self._logger, method_name, fields)  # type: ignore[assignment]
        except DropEvent:
            pass  # structlog.testing.capture_logs took it


def emitting(emit: Emit) -> Processor:
    """The end of structlog's chain."""

    def processor(logger: Any, method_name: str, fields: EventDict) -> EventDict:
        emit(NAME_TO_LEVEL[method_name], logger.name, time.time(), fields)
        return fields

    return processor


def logger_named(*names: str) -> logging.Logger:
    """The standard library's logger of this name, or of the calling module's."""
    # structlog's own LoggerFactory sets the process's logger class.
    return logging.getLogger(names[0] if names else _calling_module())


def _calling_module() -> str:
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("structlog"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "?"))
