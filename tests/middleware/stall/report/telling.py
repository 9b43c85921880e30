"""Stalls to tell of, and the requests that they met."""

from dataclasses import replace
from typing import Any

from middleware.exchange import Exchange
from middleware.stall.listener import Listener, Requests
from middleware.stall.record import Cause, Frame, Stall, Victim
from tests.middleware.asgi_calls import http_scope

NOBODY = Requests()
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CULPRIT = Frame("shop.prices", "Prices.of", __file__, 1)
OUTER = Frame("asyncio.runners", "run", "/usr/lib/python3/asyncio/runners.py", 195)

_LASTED = Stall(
    id="4f-1",
    phase="ended",
    started_at="2026-11-22T12:00:00.250000Z",
    duration_seconds=0.31,
    cause=Cause.BLOCKING_CALL,
    culprit=CULPRIT,
    culprit_finished=False,
    route="/prices/{item}",
    request_id="r-1",
    trace_id=TRACE,
    victims_count=1,
    victims=(Victim("/health", "r-2", "b" * 32, 0.31),),
    lost_by_route=(("/health", 0.31),),
    thread="MainThread",
    gil_held=False,
    on_cpu_seconds=0.003,
    run_queue_seconds=0.0,
    off_cpu_seconds=0.307,
    gc_seconds=0.0,
    throttled_seconds=0.0,
    system_call="clock_nanosleep",
    evidence="watchdog",
    samples=31,
    stack=(OUTER, CULPRIT),
    folded=(((OUTER, CULPRIT), 31),),
    pid=79,
)


def stall(number: int = 1, **known: Any) -> Stall:
    """One that has ended, with a number of its own."""
    return replace(_LASTED, id=f"4f-{number}", **known)


def ongoing(number: int = 1, **known: Any) -> Stall:
    """The same while it lasts."""
    return stall(number, phase="ongoing", **known)


def tell(listener: Listener, told: Stall, requests: Requests = NOBODY) -> None:
    """Of a short stall, as the watchdog does."""
    listener.opened(replace(told, phase="ongoing"), requests)
    listener.ended(told, requests)


def function(number: int) -> Frame:
    """One of many that can block a loop."""
    return replace(CULPRIT, function=f"block_{number}")


def exchange(path: str = "/prices/7", *, sampled: bool = True) -> Exchange:
    """A request under way; made on a loop."""
    headers = [("traceparent", f"00-{TRACE}-{PARENT}-0{sampled:d}"), ("x-request-id", "r-1")]
    made = Exchange(http_scope(path, headers=headers), _never, _never, lambda _: None)
    made.route = "/prices/{item}"
    return made


async def _never(*_: Any) -> Any:
    raise AssertionError
