"""The running callback -> its request; the requests in flight -> victims. Never a guess."""

import asyncio
import gc
import sys
from contextvars import Context
from os.path import basename, dirname, sep

from ..exchange import Exchange, current_exchange
from ..in_flight import InFlight
from ..route import UNMATCHED, route_template
from .samples import Sampler


def running_exchange(loop: asyncio.AbstractEventLoop, sampler: Sampler) -> Exchange | None:
    """The request that the loop runs for at the moment; a child task has its parent's."""
    task = asyncio.current_task(loop)
    context = _context_of(task) if task is not None else sampler.callback_context()
    return context.get(current_exchange) if context is not None else None


def waiting_exchanges(in_flight: InFlight, culprit: Exchange | None) -> tuple[Exchange, ...]:
    """The other requests that the loop has kept waiting, since it is late. A websocket is open
    whether it waits or not."""
    known = [*list(in_flight), *list(in_flight.ended_late)]
    return tuple(each for each in known if each is not culprit and each.scope["type"] == "http")


def route_of(exchange: Exchange) -> str:
    """Its route, also while it is under way."""
    if exchange.route is not None:
        return exchange.route
    try:
        return route_template(exchange.scope)
    except Exception:  # noqa: BLE001 - a framework we do not know put something else there
        return UNMATCHED


def application_of(exchange: Exchange) -> str | None:
    """Where the application's package lies, told by the endpoint; None when that is a framework's.

    An application that is installed looks like any library otherwise.
    """
    scope = exchange.scope
    top = str(getattr(scope.get("endpoint"), "__module__", "")).partition(".")[0]
    framework = type(scope.get("app")).__module__.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None or top == framework:
        return None
    return dirname(file) + sep if basename(file) == "__init__.py" else str(file)


def _context_of(task: "asyncio.Task[object]") -> Context | None:
    # From 3.12 on, a task says so itself.
    known = [task.get_context()] if hasattr(task, "get_context") else gc.get_referents(task)
    return next((each for each in known if isinstance(each, Context)), None)
