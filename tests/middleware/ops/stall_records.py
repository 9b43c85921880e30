"""Stalls as the detector records them, of every cause, and an ops port that shows them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import starlette.routing
import uvicorn.server
from pydantic import SecretStr

from middleware.health import Health
from middleware.ops import OpsServer, Shown
from middleware.settings import Settings, StallSettings
from middleware.stall.history import Moment, StallHistory
from middleware.stall.record import BLAMES_CODE, HOLDS_GIL, Cause, Frame, Stack, Stall, Victim

from . import shop_prices

ATTACK = "<img src=x onerror=alert(1)>"


def _in_shop(function: Any) -> Frame:
    """At its first line below the docstring."""
    code = function.__code__
    return Frame("shop.prices", code.co_qualname, code.co_filename, code.co_firstlineno + 2)


WAY_IN: Stack = (
    Frame("uvicorn.server", "Server.serve", str(uvicorn.server.__file__), 60),
    Frame("uvicorn.server", "Server._serve", str(uvicorn.server.__file__), 70),
    *(
        Frame("starlette.routing", name, str(starlette.routing.__file__), line)
        for name, line in (
            ("Router.__call__", 300),
            ("Route.handle", 280),
            ("request_response", 70),
        )
    ),
)
HANDLER = _in_shop(shop_prices.list_prices)
SLEEP = _in_shop(shop_prices.fetch_rates)
CONVERT = _in_shop(shop_prices.convert)
ROUND = _in_shop(shop_prices.rounded)

_CLOCKS: dict[Cause, dict[str, Any]] = {
    Cause.BLOCKING_CALL: {"system_call": "clock_nanosleep"},
    Cause.CPU: {"on_cpu_seconds": 0.29, "off_cpu_seconds": 0.009},
    Cause.CPU_GIL_HELD: {"on_cpu_seconds": 0.295, "off_cpu_seconds": 0.004},
    Cause.GIL_HELD_OFF_CPU: {"system_call": "futex"},
    Cause.GIL_WAIT_OTHER_THREAD: {"thread": "prices-importer", "route": "unattributed"},
    Cause.GC_PAUSE: {"on_cpu_seconds": 0.294, "off_cpu_seconds": 0.005, "gc_seconds": 0.281},
    Cause.CPU_STARVED: {"run_queue_seconds": 0.264, "off_cpu_seconds": 0.033},
    Cause.CGROUP_THROTTLED: {"throttled_seconds": 0.271},
    Cause.LOOP_SATURATED: {"on_cpu_seconds": 0.288, "off_cpu_seconds": 0.011},
}


def stall(stall_id: str = "1-a", cause: Cause = Cause.BLOCKING_CALL, **changes: Any) -> Stall:
    """One that ended half a minute ago."""
    blames = cause in BLAMES_CODE
    began = datetime.now(UTC) - timedelta(seconds=30)
    made = Stall(
        id=stall_id,
        phase="ended",
        started_at=began.isoformat().replace("+00:00", "Z"),
        duration_seconds=0.3,
        cause=cause,
        culprit=SLEEP if blames else None,
        culprit_finished=False if blames else None,
        route="/v1/prices/{currency}" if blames else "unattributed",
        request_id="r-1" if blames else None,
        trace_id="0af7651916cd43dd8448eb211c80319c" if blames else None,
        victims_count=12,
        victims=tuple(
            Victim("/v1/orders/{order_id}", f"r-{number}", f"{number:032x}", 0.3)
            for number in range(2, 12)
        ),
        lost_by_route=(("/v1/orders/{order_id}", 3.6),),
        thread="MainThread",
        gil_held=cause in HOLDS_GIL,
        on_cpu_seconds=0.003,
        run_queue_seconds=0.001,
        off_cpu_seconds=0.296,
        gc_seconds=0.0,
        throttled_seconds=0.0,
        system_call=None,
        evidence="remote" if cause in HOLDS_GIL else "watchdog",
        samples=28,
        stack=(*WAY_IN, HANDLER, SLEEP),
        folded=(
            ((*WAY_IN, HANDLER, SLEEP), 20),
            ((*WAY_IN, HANDLER, CONVERT, ROUND), 6),
            ((*WAY_IN, HANDLER, CONVERT), 2),
        ),
        pid=4711,
    )
    return replace(made, **{**_CLOCKS.get(cause, {}), **changes})


def attacking() -> Stall:
    """One whose every name is markup."""
    frame = Frame(ATTACK, ATTACK, f"/{ATTACK}", 1)
    victim = Victim(ATTACK, ATTACK, ATTACK, 0.3)
    return stall(
        "1-bad",
        culprit=frame,
        route=f"/</script><script>alert(1)</script>{ATTACK}",
        request_id=ATTACK,
        thread=ATTACK,
        victims=(victim,),
        stack=(frame,),
        folded=(((frame,), 3),),
    )


def history_of_every_cause() -> StallHistory:
    """One stall of each cause, a loop that was watched for two minutes, and something to limit."""
    history = StallHistory("watchdog", ["py-spy is not allowed to look: no ptrace here"])
    for number, cause in enumerate(Cause):
        began = datetime.now(UTC) - timedelta(seconds=100 - 8 * number)
        history.put(
            stall(f"1-{number:x}", cause, started_at=began.isoformat().replace("+00:00", "Z"))
        )
    for second in range(120):
        delay = 0.3 if second % 8 == 4 else 0.0008 + 0.0003 * (second % 5)
        history.moments.append(Moment(time.time() - 120 + second, delay, 0.2 + second % 17 / 40))
    return history


@contextmanager
def stalls_shown(
    history: StallHistory | None, settings: StallSettings | None = None, token: str | None = None
) -> Iterator[int]:
    """An ops server; gives its port."""
    every = Settings(
        ops_host="127.0.0.1",
        ops_port=0,
        ops_token=SecretStr(token) if token else None,
        stall=settings or StallSettings(),
    )
    with OpsServer(every, Shown([], Health(), history=history)) as server:
        assert server.address is not None
        yield server.address[1]


def history_of(*stalls: Stall) -> StallHistory:
    """These, the last one the newest."""
    history = StallHistory()
    for each in stalls:
        history.put(each)
    return history
