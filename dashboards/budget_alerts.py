"""Alerts on what users notice: the error budgets of slo.py are spent too fast."""

from collections.abc import Iterator

from dashboards import slo
from dashboards.alert import Alert
from dashboards.names import JOB
from dashboards.promql import ROUTE, matches
from dashboards.slo import BurnRate, Indicator, Level, Objectives

_WHAT_IS_BAD: dict[Indicator, str] = {
    "availability": "answered with a server error",
    "latency": "slower than promised",
}


def budget_alerts() -> Iterator[Alert]:
    """For all routes together, and for those that have objectives of their own."""
    for indicator in slo.INDICATORS:
        for burn in slo.BURN_RATES:
            yield _alert(indicator, burn, slo.OBJECTIVES, "all")
            for each in slo.ROUTE_OBJECTIVES:
                yield _alert(indicator, burn, each.objectives, each.name, each.pattern)


def _alert(
    indicator: Indicator, burn: BurnRate, objectives: Objectives, name: str, routes: str = ""
) -> Alert:
    level: Level = "job_route" if routes else "job"
    selected = f"{{{matches(ROUTE, routes)}}}" if routes else ""
    budget = objectives.budget_of(indicator)
    ratios = (
        f"{slo.error_ratio_in(indicator, window, level)}{selected} > {burn.factor:g} * {budget}"
        for window in (burn.long, burn.short)
    )
    enough = f"{slo.errors_in(indicator, burn.long, level)}{selected} >= {slo.FEWEST_BAD}"
    where = "{{ $labels.http_route }} of {{ $labels.job }}" if routes else "{{ $labels.job }}"
    return Alert(
        name=f"{indicator.capitalize()}BudgetBurn",
        expression=" and ".join((*ratios, enough)),
        severity=burn.severity,
        holds=burn.holds,
        summary=f"{where} spends its {indicator} budget {burn.factor:g} times too fast",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of the requests in the last {burn.long} were"
            f" {_WHAT_IS_BAD[indicator]}; {budget:.1%} may be, on average over"
            f" {slo.BUDGET_WINDOW}. At this rate the whole budget is gone within"
            f" {_lasts(burn)} hours or less."
        ),
        board="slo" if level == "job" else "route",
        of=(JOB, ROUTE) if routes else (JOB,),
        labels={"slo": name, "window": burn.long},
    )


def _lasts(burn: BurnRate) -> int:
    return round(slo.seconds_of(slo.BUDGET_WINDOW) / burn.factor / 3600)
