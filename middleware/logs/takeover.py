"""Puts our ways in where others had theirs, and everything back afterwards."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from .loggers import Emit, PipeHandler, PipeLogger, emitting, logger_named

_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")


@contextmanager
def standard_logging_taken_over(emit: Emit, level: int) -> Iterator[None]:
    """The root logger and uvicorn's hand everything to `emit`; uvicorn's access log is silent."""
    with _kept(logging.root), _kept(*map(logging.getLogger, _UVICORN)):
        logging.root.handlers[:] = [PipeHandler(emit)]
        logging.root.setLevel(level)
        for logger in map(logging.getLogger, _UVICORN):
            logger.handlers[:] = []
            logger.setLevel(logging.NOTSET)
            logger.propagate = True
        access = logging.getLogger("uvicorn.access")  # one line per request replaces it
        access.propagate, access.disabled = False, True
        yield


@contextmanager
def structlog_taken_over(emit: Emit) -> Iterator[None]:
    """structlog's loggers hand everything to `emit`, those already made included."""
    configured, before = structlog.is_configured(), structlog.get_config()
    structlog.configure(
        processors=[emitting(emit)],
        wrapper_class=PipeLogger,
        context_class=dict,
        logger_factory=logger_named,
        cache_logger_on_first_use=False,  # what is cached would outlive us
    )
    try:
        yield
    finally:
        structlog.reset_defaults()
        if configured:
            structlog.configure(**before)


@contextmanager
def _kept(*loggers: logging.Logger) -> Iterator[None]:
    before = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    disabled = [each.disabled for each in loggers]
    try:
        yield
    finally:
        for (logger, handlers, level, propagate), was_disabled in zip(
            before, disabled, strict=True
        ):
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate, logger.disabled = propagate, was_disabled
