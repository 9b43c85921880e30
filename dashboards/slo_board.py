"""Objectives: what is promised, what is kept, how much may still go wrong, and how fast it does."""

from dashboards import slo
from dashboards.board import REQUESTS_SHOWN, Board, Row, recorded
from dashboards.links import field, to_board
from dashboards.names import METRICS
from dashboards.panel import Panel, Query
from dashboards.panels import Column, Stat, Table, TimeSeries
from dashboards.promql import ROUTE
from dashboards.slo import INDICATORS, OBJECTIVES, Indicator
from dashboards.thresholds import Thresholds, bad_below, bad_from

UID = "stallscope-slo"

_NOT_YET = "Recording rules have not run yet, or there were no requests"
_DAYS = slo.seconds_of(slo.BUDGET_WINDOW) / slo.seconds_of("1d")
_PROMISES = {
    "availability": "answered without a server error",
    "latency": f"answered within {OBJECTIVES.seconds} s",
}


def _row(indicator: Indicator) -> Row:
    return Row(
        f"{indicator.capitalize()}: {1 - OBJECTIVES.budget_of(indicator):.4g} of requests are "
        f"{_PROMISES[indicator]}",
        (*_numbers(indicator), _budget(indicator), _burning(indicator)),
    )


def _numbers(indicator: Indicator) -> tuple[Panel, ...]:
    budget = OBJECTIVES.budget_of(indicator)
    title = indicator.capitalize()
    return (
        Stat(
            title=f"{title}: objective",
            description=f"Share of requests that has to be {_PROMISES[indicator]}, within "
            f"{slo.BUDGET_WINDOW}.",
            unit="percentunit",
            no_data="A constant",
            decimals=2,
            queries=(Query(f"vector({1 - budget:.6g})", "objective"),),
        ),
        Stat(
            title=f"{title}: last hour",
            description=f"Share of requests that was {_PROMISES[indicator]} within the last hour, "
            "but for routes with objectives of their own.",
            unit="percentunit",
            no_data=_NOT_YET,
            decimals=3,
            thresholds=bad_below(1 - 14.4 * budget, warning=1 - budget),
            queries=(Query(f"1 - {recorded(slo.error_ratio_in(indicator, '1h'))}", "{{job}}"),),
        ),
        Stat(
            title=f"{title}: budget left",
            description=f"Share of the {slo.BUDGET_WINDOW} error budget that is left; "
            "below 0 it is overdrawn.",
            unit="percentunit",
            no_data=_NOT_YET,
            minimum=None,
            thresholds=bad_below(0, warning=0.25),
            queries=(Query(recorded(slo.budget_remaining(indicator)), "{{job}}"),),
        ),
    )


def _budget(indicator: Indicator) -> Panel:
    ideal = f"1 - (time() - $__from / 1000) / {slo.seconds_of(slo.BUDGET_WINDOW):g}"
    return TimeSeries(
        title=f"{indicator.capitalize()}: budget left over time",
        description=f"Share of the {slo.BUDGET_WINDOW} error budget that is left. The dashed line "
        f"is one that is spent evenly, full at the left edge: over {_DAYS:g} days it comes to 0. "
        "What falls more steeply does not last.",
        unit="percentunit",
        no_data=_NOT_YET,
        minimum=None,
        maximum=1,
        dashed="spent evenly",
        thresholds=bad_below(0, warning=0.25),
        queries=(
            Query(recorded(slo.budget_remaining(indicator)), "{{job}}"),
            Query(recorded(slo.budget_remaining(indicator, "job_route")), "{{job}} {{http_route}}"),
            Query(ideal, "spent evenly"),
        ),
    )


def _burning(indicator: Indicator) -> Panel:
    budget = OBJECTIVES.budget_of(indicator)
    windows = (
        Query(f"{recorded(slo.error_ratio_in(indicator, window))} / {budget!r}", window)
        for window in slo.WINDOWS
    )
    limits = (
        Query(f"vector({burn.factor:g})", f"{burn.severity}: {burn.long} and {burn.short}")
        for burn in slo.BURN_RATES
    )
    return TimeSeries(
        title=f"{indicator.capitalize()}: burn rate",
        description="How many times faster the budget is spent than it may be, within each "
        "window, and the rates from which an alert fires when both of its windows reach them.",
        unit="short",
        no_data=_NOT_YET,
        thresholds=_burn_thresholds(),
        queries=(*windows, *limits),
        width=24,
    )


def _burn_thresholds() -> Thresholds:
    factors = sorted(burn.factor for burn in slo.BURN_RATES)
    return bad_from(factors[-1], warning=factors[0])


_ROUTES = Row(
    "Routes",
    (
        Table(
            title="Indicators by route",
            description="Shares of good requests to each route within the time that is shown: "
            "which of them spends the budgets. A click on one opens its board.",
            unit="short",
            no_data="No requests in this time",
            labels={ROUTE: "Route"},
            label_links={
                ROUTE: (to_board("This route", "stallscope-route", {"route": field(ROUTE)}),)
            },
            columns=(
                Column(
                    "Requests",
                    REQUESTS_SHOWN.increase_of(
                        METRICS.http_server_request_duration_seconds.count, by=[ROUTE]
                    ),
                    "short",
                ),
                Column(
                    "Without error",
                    f"1 - {REQUESTS_SHOWN.error_ratio(by=[ROUTE])}",
                    "percentunit",
                    bad_below(0.99, warning=OBJECTIVES.availability),
                ),
                Column(
                    f"Within {OBJECTIVES.seconds} s",
                    REQUESTS_SHOWN.fast_ratio(OBJECTIVES.seconds, by=[ROUTE]),
                    "percentunit",
                    bad_below(0.9, warning=OBJECTIVES.latency),
                ),
            ),
        ),
    ),
)

BOARD = Board(
    UID,
    "SLO",
    "What is promised, what is kept, how much may still go wrong, and how fast it does.",
    (*(_row(indicator) for indicator in INDICATORS), _ROUTES),
    since=f"now-{slo.BUDGET_WINDOW}",
)
