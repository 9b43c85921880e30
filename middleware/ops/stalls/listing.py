"""`/stalls.json`: the last stalls, and how the loop has been lately."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ...asgi import Scope
from ...stall.history import StallHistory
from ...stall.record import Stall
from ..answers import Answer
from .described import Description

_SECONDS_SHOWN = 120
_AT_ONCE = 20  # then the event loop gets its turn, as in exposition.py
_PAUSE_SECONDS = 0.0005


class Listing:
    """With `?brief` without stacks and victims, for the page, which asks every second."""

    def __init__(self, history: StallHistory, description: Description) -> None:
        self._history = history
        self._full = _Encoded(description.facts)
        self._brief = _Encoded(description.brief)

    async def answer(self, scope: Scope) -> Answer:
        """The whole list as JSON."""
        brief = scope["query_string"] == b"brief"
        return Answer(200, "application/json", (await self.text(brief=brief)).encode())

    async def text(self, *, brief: bool) -> str:
        """The same as ASCII."""
        stalls = self._history.newest_first()
        encoded = await (self._brief if brief else self._full).each(stalls)
        # Joined as text: most stalls were encoded when somebody asked before.
        return f'{json.dumps(self._head())[:-1]}, "stalls": [{", ".join(encoded)}]}}'

    def _head(self) -> dict[str, Any]:
        history = self._history
        moments = list(history.moments)[-_SECONDS_SHOWN:]
        return {
            "mode": history.mode,
            "limits": history.limits,
            "total": history.total,
            "now": time.time(),
            "loop": {"moments": [asdict(moment) for moment in moments]},
        }


class _Encoded:
    """Stalls as JSON, each made once for as long as nothing new is known of it."""

    def __init__(self, describe: Callable[[Stall], dict[str, Any]]) -> None:
        self._describe = describe
        self._known: dict[str, tuple[Stall, str]] = {}

    async def each(self, stalls: list[Stall]) -> list[str]:
        known, self._known = self._known, {}
        encoded = []
        for number, stall in enumerate(stalls, 1):
            before = known.get(stall.id)
            if before is None or before[0] is not stall:
                before = stall, json.dumps(self._describe(stall))
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(_PAUSE_SECONDS)
            self._known[stall.id] = before
            encoded.append(before[1])
        return encoded
