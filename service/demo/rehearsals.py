"""What `stallscope demo --faults` can break, by name, and which alert tells of it.

Only the standard library: the command line reads the names here whatever it is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from service.demo.misbehaviour import Mode


class UnknownFaultError(ValueError):
    """There is no fault of that name; the message lists those that there are."""


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """An upstream fails a share of its requests; `says` is what products then say of it."""

    mode: "Mode"
    says: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A server is stopped; `look` says where that is to be seen."""

    server: Literal["PostgreSQL", "Valkey"]
    look: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A route of mistakes.py is visited again and again; `look` says where that is to be seen."""

    path: str
    pause_seconds: float
    look: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something to break, and `alert`, which tells of it `when`."""

    name: str
    cause: Misbehaviour | Outage | Mistake
    alert: str
    when: str


def _upstream(mode: "Mode", reason: str) -> Fault:
    name = f"upstream-{mode.replace('_', '-')}"
    says = f"unavailable/{reason}, then circuit_open"
    return Fault(name, Misbehaviour(mode, says), "CircuitOpen", "after about two minutes")


FAULTS = (
    Fault(
        "loop-blocked",
        Mistake("/fault/block?seconds=3", 3, "{ops}/stalls names the line, and who waits for it"),
        "EventLoopBlocked",
        "within ten seconds",
    ),
    Fault(
        "loop-stalling",
        Mistake("/fault/block?seconds=0.5", 1, "{ops}/stalls lists one short stall after another"),
        "EventLoopStalledShare",
        "after about three minutes",
    ),
    Fault(
        "own-errors",
        Mistake("/fault/fail", 0.5, "curl -s {api}/fault/fail: 500, and the log says why"),
        "AvailabilityBudgetBurn",
        "after about three minutes",
    ),
    _upstream("error", "bad_response"),
    _upstream("hang", "timeout"),
    _upstream("reset", "unreachable"),
    _upstream("garbage", "bad_response"),
    _upstream("wrong_type", "bad_response"),
    _upstream("drip", "timeout"),
    _upstream("endless", "bad_response"),
    _upstream("too_many_requests", "bad_response"),
    Fault(
        "upstream-flaky",
        Misbehaviour("error", "unavailable/bad_response now and then", share=0.5),
        "UpstreamErrors",
        "after about three minutes",
    ),
    Fault(
        "valkey-stopped",
        Outage(
            "Valkey",
            "requests are answered as before, a little slower; "
            '{ops}/metrics: cache_requests_total{{result="error"}} rises',
        ),
        "DatabaseErrors",
        "after about three minutes",
    ),
    Fault(
        "postgres-stopped",
        Outage(
            "PostgreSQL",
            "curl -s {api}/v1/product/1/enriched: sources.product says cached or stale; "
            "/v1/product/9999/enriched: 503; {ops}/readyz says what is missing",
        ),
        "AvailabilityBudgetBurn",
        "after about three minutes",
    ),
)


def faults_of(names: str) -> Sequence[Fault]:
    """The faults of these names, which commas part. Raises UnknownFaultError."""
    known = {fault.name: fault for fault in FAULTS}
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in known]:
        raise UnknownFaultError(
            f"there is no {', '.join(map(repr, unknown))}; there is: {', '.join(known)}"
        )
    return tuple(known[name] for name in wanted)
