"""Every log line, ours and the libraries', in one format on standard output."""

import json
import logging
import sys
from typing import Literal

import orjson
import structlog
from structlog.types import Processor

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
]


def configure_logs(level: str, log_format: Literal["json", "console"]) -> None:
    """Set up structlog and the standard library's logging, once, for the process."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(log_format),
            ],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())


def _renderers(log_format: Literal["json", "console"]) -> list[Processor]:
    if log_format == "console":
        return [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    # Without the frames' variables: they hold keys, passwords, what clients sent.
    transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(transformer), _json]


def _json(logger: object, method: str, event: structlog.types.EventDict) -> str:
    event.pop("color_message", None)  # uvicorn's, for terminals
    try:
        return orjson.dumps(event, default=repr).decode()
    except TypeError:  # half a surrogate pair, a huge number: rare, and worth keeping
        return json.dumps(event, default=repr)
