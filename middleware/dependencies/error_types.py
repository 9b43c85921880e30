"""What went wrong, as one of few words: the values of the label `error_type`."""

from asyncio import CancelledError

CANCELLED = "cancelled"
TIMEOUT = "timeout"
UNKNOWN = "_OTHER"  # as the semantic conventions spell it

_OF_THE_SYSTEM: tuple[type[BaseException], ...] = (
    OSError,
    ConnectionError,
    ConnectionRefusedError,
    ConnectionResetError,
    BrokenPipeError,
)


class ErrorTypes:
    """Names for the errors of one technology: a class that is not `known` has its base's name.

    A limit of time set around an operation by `asyncio.timeout` looks like a cancellation from
    within, and is called one.
    """

    def __init__(
        self, *known: type[BaseException], timeouts: tuple[type[BaseException], ...] = ()
    ) -> None:
        self._names = {each: each.__name__ for each in (*_OF_THE_SYSTEM, *known)}
        self._timeouts: tuple[type[BaseException], ...] = (TimeoutError, *timeouts)

    def name_of(self, error: BaseException | None) -> str:
        """The label's value, empty for no error."""
        if error is None:
            return ""
        if isinstance(error, self._timeouts):
            return TIMEOUT
        if isinstance(error, CancelledError):
            return CANCELLED
        known = (self._names[each] for each in type(error).__mro__ if each in self._names)
        return next(known, UNKNOWN)
