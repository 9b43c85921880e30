"""Who wants to hear of stalls; called on the watchdog's thread, while the loop may be blocked."""

from dataclasses import dataclass
from typing import Protocol

from ..exchange import Exchange
from .record import Stall


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of a stall, as they were when it began to be one."""

    culprit: Exchange | None = None
    victims: tuple[Exchange, ...] = ()


class Listener(Protocol):
    """What one of them raises is counted and does not reach the others. Every stall is told of
    exactly once as `opened` and once as `ended`; a short one as both in a row."""

    def opened(self, stall: Stall, requests: Requests) -> None:
        """There is a stall."""

    def goes_on(self, stall: Stall, requests: Requests) -> None:
        """It still lasts, after 1 s, 2 s, 4 s …"""

    def ended(self, stall: Stall, requests: Requests) -> None:
        """It is over, and everything that will ever be known of it is known."""
