"""Recording rules: what the objectives in slo.py are about, counted once for alerts and boards.

Numbers of requests are recorded, not rates, so that shares of any sum of them are right. The first
error of a route that never had one comes in a new series, and what that begins with is lost: up to
one scrape interval's errors.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NotRequired, TypedDict

from dashboards import slo
from dashboards.names import JOB, METRICS
from dashboards.promql import (
    ROUTE,
    SERVER_ERROR,
    STATUS,
    Matcher,
    Scope,
    aggregated,
    equals,
    matches,
    or_zero,
    ratio,
)
from dashboards.slo import Indicator, Level, Objectives


class Group(TypedDict):
    """As Prometheus reads it."""

    name: str
    interval: NotRequired[str]
    rules: list[dict[str, Any]]


_DURATION = METRICS.http_server_request_duration_seconds
_BY_ROUTE = (JOB, ROUTE)
_LEVELS: tuple[Level, ...] = ("job", "job_route")
_OTHERS = Matcher(ROUTE, "!~", slo.ROUTES_OF_THEIR_OWN)


def recording_groups() -> Iterator[Group]:
    """One for each window, and one for what is left of the budgets."""
    for window in slo.WINDOWS:
        # What a day's share is changes little within a minute.
        interval = "30s" if slo.seconds_of(window) < slo.seconds_of("1d") else "2m"
        yield _group(f"slo_{window}", interval, _counted(window))
    yield _group("slo_budget", "2m", _budgets())


def _group(name: str, interval: str, recorded: Iterable[tuple[str, str]]) -> Group:
    rules: list[dict[str, Any]] = [
        {"record": record, "expr": expression} for record, expression in recorded
    ]
    return {"name": name, "interval": interval, "rules": rules}


def _counted(window: str) -> Iterator[tuple[str, str]]:
    scope = Scope(window=window).where(Matcher(ROUTE, "!~", slo.UNCOUNTED_ROUTES))
    all_requests = slo.requests_in(window, "job_route")
    failed = scope.increase_of(_DURATION.count, matches(STATUS, SERVER_ERROR), by=_BY_ROUTE)
    yield all_requests, scope.increase_of(_DURATION.count, by=_BY_ROUTE)
    yield slo.errors_in("availability", window, "job_route"), or_zero(failed, all_requests)
    yield slo.errors_in("latency", window, "job_route"), _slow(window, all_requests)
    for by_route, of_job in (
        _both(partial(slo.requests_in, window)),
        *(_both(partial(slo.errors_in, indicator, window)) for indicator in slo.INDICATORS),
    ):
        yield of_job, aggregated("sum", f"{by_route}{{{_OTHERS}}}", [JOB])
    for indicator in slo.INDICATORS:
        for level in _LEVELS:
            errors = slo.errors_in(indicator, window, level)
            share = ratio(errors, slo.requests_in(window, level))
            yield slo.error_ratio_in(indicator, window, level), share


def _both(name_of: Callable[[Level], str]) -> tuple[str, str]:
    return name_of("job_route"), name_of("job")


def _slow(window: str, all_requests: str) -> str:
    """Each route's requests that took longer than it may."""
    kinds = [(_OTHERS, slo.OBJECTIVES)]
    kinds += [(matches(ROUTE, each.pattern), each.objectives) for each in slo.ROUTE_OBJECTIVES]
    return " or ".join(
        f"clamp_min({all_requests}{{{routes}}} - {_fast(window, routes, objectives)}, 0)"
        for routes, objectives in kinds
    )


def _fast(window: str, routes: Matcher, objectives: Objectives) -> str:
    bound = equals("le", str(objectives.seconds))
    return Scope(window=window).increase_of(_DURATION.bucket, bound, routes, by=_BY_ROUTE)


def _budgets() -> Iterator[tuple[str, str]]:
    for indicator in slo.INDICATORS:
        yield slo.budget_remaining(indicator), _remaining(indicator, "job", "", slo.OBJECTIVES)
        own = (
            _remaining(
                indicator, "job_route", f"{{{matches(ROUTE, each.pattern)}}}", each.objectives
            )
            for each in slo.ROUTE_OBJECTIVES
        )
        yield slo.budget_remaining(indicator, "job_route"), " or ".join(own)


def _remaining(indicator: Indicator, level: Level, routes: str, objectives: Objectives) -> str:
    bad, whole = (
        f"sum_over_time({recorded}{routes}[{slo.BUDGET_WINDOW}])"
        for recorded in (
            slo.errors_in(indicator, slo.SHORTEST, level),
            slo.requests_in(slo.SHORTEST, level),
        )
    )
    return f"1 - {ratio(bad, whole)} / {objectives.budget_of(indicator)}"
