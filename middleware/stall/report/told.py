"""Remembers what was told already, so that a stall counts once however often it is told of."""

from collections import deque

from ..record import Stall

_REMEMBERED = 200


class Told:
    """The last stalls of which something was told."""

    def __init__(self) -> None:
        self._ids: deque[str] = deque(maxlen=_REMEMBERED)

    def __contains__(self, stall: Stall) -> bool:
        return stall.id in self._ids

    def is_news(self, stall: Stall) -> bool:
        """Whether this is the first time, which it is no more when asked again."""
        if stall in self:
            return False
        self._ids.append(stall.id)
        return True
