"""Tells everybody of a stall, and goes on telling the others when one of them fails."""

from collections.abc import Callable, Collection, Sequence

from ..drops import Drops
from .history import StallHistory
from .listener import Listener, Requests
from .record import Stall
from .sidecar.finding import Finding
from .sidecar.launcher import Sidecar


class Announcer:
    """The history and the sidecar hear of every stall first, then the listeners.

    Hears what the sidecar has to say, too.
    """

    def __init__(
        self,
        history: StallHistory,
        sidecar: Sidecar | None,
        listeners: Sequence[Listener],
        drops: Drops,
    ) -> None:
        self._history, self._sidecar = history, sidecar
        self._listeners, self._drops = listeners, drops

    def opened(self, stall: Stall, requests: Requests) -> None:
        """See Listener."""
        self._keep(stall)
        self._tell(lambda listener: listener.opened(stall, requests))

    def goes_on(self, stall: Stall, requests: Requests) -> None:
        """See Listener."""
        self._keep(stall)
        self._tell(lambda listener: listener.goes_on(stall, requests))

    def ended(self, stall: Stall, requests: Requests) -> None:
        """See Listener."""
        self._history.put(stall)
        if self._sidecar is not None:
            self._sidecar.tell({"ended": stall.id})
        self._tell(lambda listener: listener.ended(stall, requests))

    def findings(self, patience_seconds: float = 0.0) -> list[Finding]:
        """What the sidecar has found since; waited for while it is just looking."""
        sidecar = self._sidecar
        if sidecar is None:
            return []
        sidecar.wait(patience_seconds)
        findings = sidecar.receive()
        self._history.mode, self._history.limits = sidecar.mode, sidecar.limits
        return findings

    def learnt(self, application: Collection[str]) -> None:
        """Places that belong to the application have become known."""
        if self._sidecar is not None:
            self._sidecar.tell({"application": list(application)})

    def _keep(self, stall: Stall) -> None:
        self._history.put(stall)
        if self._sidecar is not None:  # in case the process is killed
            self._sidecar.tell({"stall": stall.facts()})

    def _tell(self, tell: Callable[[Listener], None]) -> None:
        for listener in self._listeners:
            try:
                tell(listener)
            except Exception:  # noqa: BLE001 - observability never breaks anything
                self._drops.add("stalls")
