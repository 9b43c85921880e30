"""Durations of database operations, whichever database it is."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry

from .durations import Durations
from .error_types import ErrorTypes
from .guard import Guard

# As the semantic conventions advise for db.client.* durations.
SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
OTHER_OPERATION = "OTHER"


def operation_durations(registry: CollectorRegistry, guard: Guard) -> Durations:
    """`db_client_operation_duration_seconds`, of all systems."""
    return Durations(
        "db_client_operation_duration_seconds",
        "Time from sending an operation to the end of its answer, without waiting for a"
        " connection; CONNECT is the making of one.",
        ["db_system_name", "db_operation_name", "error_type"],
        SECONDS,
        registry,
        guard,
    )


class Operations:
    """The operations of one database system. `name_of` gives a value out of a closed list."""

    def __init__(
        self,
        durations: Durations,
        system: str,
        name_of: Callable[[Any], str],
        errors: ErrorTypes,
    ) -> None:
        self.guard = durations.guard
        self._durations = durations
        self._system = system
        self._name_of = name_of
        self._errors = errors

    def timed(self, command: Any) -> "Timed":
        """A context in which `command` is executed."""
        return Timed(self, command)

    def ended(self, command: Any, started: float, error: BaseException | None) -> None:
        """`command`, sent at `started` (perf_counter), has its answer. Never raises."""
        with self.guard:
            seconds = perf_counter() - started
            error_type = "" if error is None else self._errors.name_of(error)
            self._durations.observe(seconds, (self._system, self._name_of(command), error_type))


class Timed:
    """One operation under way."""

    __slots__ = ("_command", "_operations", "_started")

    def __init__(self, operations: Operations, command: Any) -> None:
        self._operations = operations
        self._command = command

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._operations.ended(self._command, self._started, error)
