"""Stalls as log lines: while one lasts, in case it never ends, and when it is over."""

from contextvars import Context
from dataclasses import replace

import structlog

from ..listener import Requests
from ..record import MOST_NAMED, Stall
from .told import Told

_MOST_FRAMES = 100  # some 30 KiB, of the 64 that a line may have

log = structlog.get_logger(__name__.removesuffix(".report.log_lines"))  # as the sidecar's lines


class StallLines:
    """A Listener that writes `event_loop_stall`, with the fields of `Stall.facts()`."""

    def __init__(self) -> None:
        self._ended = Told()

    def opened(self, stall: Stall, requests: Requests) -> None:
        """Most are over soon: one line is enough for those."""

    def goes_on(self, stall: Stall, requests: Requests) -> None:
        """The phase `ongoing`."""
        _write(stall)

    def ended(self, stall: Stall, requests: Requests) -> None:
        """The phase `ended`."""
        if self._ended.is_news(stall):
            _write(stall)


def _write(stall: Stall) -> None:
    # Whatever is bound on this thread belongs to somebody else.
    Context().run(log.warning, "event_loop_stall", **_bounded(stall))


def _bounded(stall: Stall) -> dict[str, object]:
    shown = replace(stall, stack=stall.stack[-_MOST_FRAMES:], victims=stall.victims[:MOST_NAMED])
    left_out = len(stall.stack) - len(shown.stack)
    return {**shown.facts(), **({"stack_left_out": left_out} if left_out else {})}
