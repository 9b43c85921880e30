"""structlog and the standard library's logging through one pipe, while somebody needs it."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from structlog.exceptions import DropEvent
from structlog.typing import EventDict, Processor

from ..drops import Drops
from .console_lines import console_lines
from .events import Finished, finished_by
from .identity import add_identity
from .json_lines import json_line
from .outlet import Stream
from .pipe import LinePipe
from .redaction import redact
from .takeover import standard_logging_taken_over, structlog_taken_over

Format = Literal["json", "console"]

_CLOSE_SECONDS = 2.0


class Logs:
    """The process's log output while it is configured."""

    def __init__(
        self, pipe: LinePipe, encode: Callable[[Mapping[str, object]], bytes], finished: Finished
    ) -> None:
        self.pipe = pipe
        self.encode = encode  # without redaction: for events whose every field is ours
        self._finished = finished

    def render(self, event: Mapping[Any, object]) -> bytes:
        """An event as a line, redacted; for those that go into the pipe without a logger."""
        return self.encode(redact(event))

    def emit(self, level: int, logger: str, seconds: float, fields: EventDict) -> None:
        """Queue one event, `seconds` since the epoch; never raises."""
        try:
            name = logging.getLevelName(level).lower()
            line = self.render(self._finished(name, logger, seconds, fields))
            self.pipe.catch_up()
            self.pipe.put(line, urgent=level >= logging.WARNING)
        except DropEvent:
            pass  # one of the context's processors wants it so
        except Exception:  # noqa: BLE001  whatever it is, it is not the caller's fault
            self.pipe.losses.add()

    def attach_drops(self, drops: Drops) -> None:
        """Count lost lines here, those lost before included."""
        self.pipe.losses.attach(drops)


@contextmanager
def configured_logs(
    level: str = "info",
    log_format: Format = "json",
    *,
    stream: Stream | None = None,
    drops: Drops | None = None,
    context: Sequence[Processor] = (add_identity,),
) -> Iterator[Logs]:
    """Every log line of the process in one format on `stream` (standard output), until left.

    Entered again it gives the same Logs, configured as they were first; whoever leaves last
    writes what is queued and puts everything back. `context` are structlog processors that add
    to every event. Raises ValueError for a level that does not exist.
    """
    with ExitStack() as entered:
        logs = entered.enter_context(_shared.entered(level, log_format, stream, context))
        if drops is not None:
            logs.attach_drops(drops)
            entered.callback(logs.pipe.losses.detach, drops)
        yield logs


class _Shared:
    """The one configuration of the process, and how many are inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._logs: Logs | None = None
        self._undo = ExitStack()

    @contextmanager
    def entered(self, *arguments: Any) -> Iterator[Logs]:
        with self._lock:
            if self._logs is None:
                with ExitStack() as undo:
                    self._logs = _install(undo, *arguments)
                    self._undo = undo.pop_all()
            self._inside += 1
            logs = self._logs
        try:
            yield logs
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._logs = None
                self._undo.close()


_shared = _Shared()


def _install(
    undo: ExitStack,
    level: str,
    log_format: Format,
    stream: Stream | None,
    context: Sequence[Processor],
) -> Logs:
    stream = sys.stdout if stream is None else stream
    number = _level_number(level)
    encode = json_line if log_format == "json" else console_lines(colours=_is_terminal(stream))
    logs = Logs(LinePipe(stream), encode, finished_by(context))
    logs.pipe.start()
    undo.callback(logs.pipe.close, _CLOSE_SECONDS)
    undo.enter_context(standard_logging_taken_over(logs.emit, number))
    undo.enter_context(structlog_taken_over(logs.emit))
    return logs


def _level_number(level: str) -> int:
    try:
        return logging.getLevelNamesMapping()[level.upper()]
    except KeyError:
        raise ValueError(f"there is no log level {level!r}") from None


def _is_terminal(stream: Stream | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (ValueError, AttributeError):  # closed, or only half a stream
        return False
