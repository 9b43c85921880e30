"""What is promised, and how fast a promise may be broken: the one table.

Recording rules, alerts and boards are looped over it. A request is bad for `availability` when it
is answered with a server error, for `latency` when it takes longer than its route may.
"""

import re
from dataclasses import dataclass
from typing import Literal

from middleware.signals.metrics import SECONDS as BOUNDS

Indicator = Literal["availability", "latency"]
Level = Literal["job", "job_route"]
Severity = Literal["page", "ticket", "none"]

INDICATORS: tuple[Indicator, ...] = ("availability", "latency")
BUDGET_WINDOW = "30d"  # Prometheus has to keep data for as long: it does so for 15 days by default
# Fewer bad requests within the long window alert nobody: of three requests one is a third.
FEWEST_BAD = 10
# Probes and pages for people would make every share of bad requests look small.
UNCOUNTED_ROUTES = r"unmatched|/static.*|.*/(health|live|ready|docs|redoc|openapi\.json)"


@dataclass(frozen=True, slots=True)
class Objectives:
    """Shares of good requests, and within how many seconds a good one is answered."""

    availability: float = 0.999
    latency: float = 0.99
    seconds: float = 0.5

    def __post_init__(self) -> None:
        if self.seconds not in BOUNDS:
            raise ValueError(f"{self.seconds} s is no bound of the histogram: {BOUNDS}")

    def budget_of(self, indicator: Indicator) -> float:
        """The share of requests that may be bad."""
        return round(1 - {"availability": self.availability, "latency": self.latency}[indicator], 9)


@dataclass(frozen=True, slots=True)
class RouteObjectives:
    """Objectives of routes that match `pattern`, held apart from all the others."""

    name: str
    pattern: str
    objectives: Objectives


@dataclass(frozen=True, slots=True)
class BurnRate:
    """So many times faster than the budget lasts, over both windows: alert after `holds`."""

    factor: float
    long: str
    short: str
    holds: str
    severity: Severity


OBJECTIVES = Objectives()
ROUTE_OBJECTIVES = (
    # A hundred texts or a photo of ten megabytes are more work than a row out of a cache.
    RouteObjectives(
        "models", r"(/v1)?/predict/(sentiment|image)|/v2/models/.*/infer", Objectives(seconds=1.0)
    ),
)
ROUTES_OF_THEIR_OWN = "|".join(each.pattern for each in ROUTE_OBJECTIVES)

BURN_RATES = (
    BurnRate(14.4, "1h", "5m", "2m", "page"),
    BurnRate(6, "6h", "30m", "15m", "page"),
    BurnRate(3, "1d", "2h", "1h", "ticket"),
    BurnRate(1, "3d", "6h", "3h", "ticket"),
)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(duration: str) -> float:
    """Of `5m` and the like."""
    found = re.fullmatch(r"(\d+)([smhd])", duration)
    if found is None:
        raise ValueError(f"{duration!r} is no duration")
    return int(found[1]) * _UNITS[found[2]]


WINDOWS = tuple(
    sorted({window for burn in BURN_RATES for window in (burn.long, burn.short)}, key=seconds_of)
)
SHORTEST = WINDOWS[0]


def requests_in(window: str, level: Level = "job") -> str:
    """The recorded number of requests within a window that objectives are about."""
    return f"{level}:slo_requests:increase{_known(window)}"


def errors_in(indicator: Indicator, window: str, level: Level = "job") -> str:
    """The recorded number of bad ones among them."""
    return f"{level}:slo_{indicator}_errors:increase{_known(window)}"


def error_ratio_in(indicator: Indicator, window: str, level: Level = "job") -> str:
    """The recorded share of bad ones; nothing where there were no requests."""
    return f"{level}:slo_{indicator}_errors:ratio_rate{_known(window)}"


def budget_remaining(indicator: Indicator, level: Level = "job") -> str:
    """The recorded share of the budget that is left; below 0 when it is overdrawn.

    By route, of those that have objectives of their own.
    """
    return f"{level}:slo_{indicator}_budget:remaining_ratio"


def _known(window: str) -> str:
    if window not in WINDOWS:
        raise ValueError(f"nothing is recorded over {window}; there are {', '.join(WINDOWS)}")
    return window
