"""`/inflight`: the requests in progress, oldest first, each with the place where it waits."""

import asyncio
from collections.abc import Collection
from operator import attrgetter
from typing import Any

from ..asgi import Scope
from ..exchange import Exchange
from ..route import UNMATCHED, route_template
from .answers import Answer, json_answer
from .waiting import waits_at

MOST_LISTED = 1000
_PATH_CHARACTERS = 500
_AT_ONCE = 20  # then the event loop gets its turn, as in exposition.py
_PAUSE_SECONDS = 0.0005


class InFlight:
    """Reads what the app's thread writes: a request may end while it is listed."""

    def __init__(self, exchanges: Collection[Exchange]) -> None:
        self._exchanges = exchanges

    async def answer(self, scope: Scope) -> Answer:
        """`total`, and the facts of the oldest."""
        exchanges = sorted(self._exchanges, key=attrgetter("started"))
        listed = []
        for number, exchange in enumerate(exchanges[:MOST_LISTED], 1):
            listed.append(_facts(exchange))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(_PAUSE_SECONDS)
        return json_answer({"total": len(exchanges), "requests": listed})


def _facts(exchange: Exchange) -> dict[str, Any]:
    scope = exchange.scope
    client = scope.get("client")
    return {
        "type": scope["type"],
        "method": exchange.method,
        "route": exchange.route or _route(scope),
        "path": str(scope.get("path", ""))[:_PATH_CHARACTERS],
        "age_seconds": round(exchange.seconds, 3),
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_hex,
        "client": client[0] if client else None,
        "client_disconnected": exchange.client_disconnected,
        "response": {
            "head_sent": exchange.head_sent,
            "status": exchange.status or None,
            "bytes": exchange.response_bytes,
        },
        "waits_at": waits_at(exchange.task),
    }


def _route(scope: Scope) -> str:
    try:
        return route_template(scope)
    except Exception:  # noqa: BLE001 - a framework we do not know, or one that is at it right now
        return UNMATCHED
