"""Where an SRE begins: is it well, since when not, and which route is it."""

from dashboards import slo
from dashboards.board import (
    FIRING,
    REPLICAS,
    REPLICAS_SHOWN,
    REQUESTS,
    REQUESTS_SHOWN,
    Board,
    Row,
    recorded,
)
from dashboards.links import field, to_board
from dashboards.names import INSTANCE, JOB, METRICS, PROMETHEUS
from dashboards.panel import Query
from dashboards.panels import Column, Stat, Table, TimeSeries
from dashboards.promql import ROUTE, SERVER_ERROR, STATUS, Scope, aggregated, matches
from dashboards.thresholds import bad_below, bad_from

UID = "stallscope-overview"

_DURATION = METRICS.http_server_request_duration_seconds
_STALLS = METRICS.asyncio_eventloop_stalls_total
_NO_REQUESTS = "No requests in this time"

_AVAILABILITY = bad_from(0.01, warning=slo.OBJECTIVES.budget_of("availability"))
_LATENCY = bad_from(2 * slo.OBJECTIVES.seconds, warning=slo.OBJECTIVES.seconds)
_BUDGET = bad_below(0, warning=0.25)

_NOW = Row(
    "Now",
    (
        Stat(
            title="Replicas up",
            description="Replicas whose ops port answered Prometheus' last scrape.",
            unit="short",
            no_data="Prometheus scrapes none of them",
            thresholds=bad_below(1),
            queries=(Query(REPLICAS.sum_of(PROMETHEUS.up), "up"),),
            width=3,
        ),
        Stat(
            title="Blocked now",
            description="For how long the event loop that is worst off cannot run at this moment: "
            "0 when all is well. The ops port says so even while the loop is blocked.",
            unit="s",
            no_data="No replica answers",
            thresholds=bad_from(1, warning=0.1),
            links=(to_board("Event loop", "stallscope-event-loop"),),
            queries=(Query(REPLICAS.max_of(METRICS.asyncio_eventloop_blocked_seconds), "longest"),),
            width=3,
        ),
        Stat(
            title="Stalls",
            description="Times in which an event loop could not run for longer than the threshold, "
            "within the time that is shown.",
            unit="short",
            no_data="No replica answers",
            thresholds=bad_from(10, warning=1),
            decimals=0,
            links=(to_board("Event loop", "stallscope-event-loop"),),
            queries=(Query(REPLICAS_SHOWN.increase_of(_STALLS), "stalls"),),
            width=3,
        ),
        Stat(
            title="Firing alerts",
            description="Alerts that page or open a ticket, of all jobs.",
            unit="short",
            no_data="Prometheus evaluates no alerts",
            thresholds=bad_from(1),
            queries=(
                Query(
                    f"{aggregated('count', Scope().series(PROMETHEUS.ALERTS, *FIRING))}"
                    " or vector(0)",
                    "firing",
                ),
            ),
            width=3,
        ),
        Stat(
            title="Requests",
            description="Requests per second that were answered.",
            unit="reqps",
            no_data=_NO_REQUESTS,
            queries=(Query(REQUESTS.rate_of(_DURATION.count), "requests"),),
            width=3,
        ),
        Stat(
            title="Errors",
            description="Share of requests that were answered with a server error (5xx).",
            unit="percentunit",
            no_data=_NO_REQUESTS,
            thresholds=_AVAILABILITY,
            queries=(Query(REQUESTS.error_ratio(), "errors"),),
            width=3,
        ),
        Stat(
            title="Availability budget left",
            description=f"Share of the {slo.BUDGET_WINDOW} error budget that is left; below 0 it "
            "is overdrawn. Without the routes that have objectives of their own.",
            unit="percentunit",
            no_data="Recording rules have not run yet",
            thresholds=_BUDGET,
            minimum=None,
            links=(to_board("SLO", "stallscope-slo"),),
            queries=(Query(recorded(slo.budget_remaining("availability")), "{{job}}"),),
            width=3,
        ),
        Stat(
            title="Latency budget left",
            description=f"Likewise, of requests that may take longer than "
            f"{slo.OBJECTIVES.seconds} s.",
            unit="percentunit",
            no_data="Recording rules have not run yet",
            thresholds=_BUDGET,
            minimum=None,
            links=(to_board("SLO", "stallscope-slo"),),
            queries=(Query(recorded(slo.budget_remaining("latency")), "{{job}}"),),
            width=3,
        ),
    ),
)

_RED = Row(
    "Rate, errors, duration",
    (
        TimeSeries(
            title="Requests by route",
            description="Requests per second, by route template; `unmatched` is what no route is "
            "for.",
            unit="reqps",
            no_data=_NO_REQUESTS,
            stacked=True,
            queries=(Query(REQUESTS.rate_of(_DURATION.count, by=[ROUTE]), "{{http_route}}"),),
            width=8,
        ),
        TimeSeries(
            title="Errors by route",
            description="Share of each route's requests that were answered with 5xx; the dashed "
            "lines are the availability objective and 1 %.",
            unit="percentunit",
            no_data=_NO_REQUESTS,
            thresholds=_AVAILABILITY,
            queries=(Query(REQUESTS.error_ratio(by=[ROUTE]), "{{http_route}}"),),
            width=8,
        ),
        TimeSeries(
            title="Duration",
            description="Quantiles of the time from a request's head to the last byte of its "
            "response. The dots are single requests: a click shows the trace.",
            unit="s",
            no_data=_NO_REQUESTS,
            thresholds=_LATENCY,
            queries=tuple(
                Query(REQUESTS.quantile_of(quantile, _DURATION), name, exemplars=name == "p99")
                for quantile, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ),
            width=8,
        ),
        TimeSeries(
            title="Longest block",
            description="The longest time for which each event loop was blocked when it was "
            "looked at.",
            unit="s",
            no_data="No replica answers",
            thresholds=bad_from(1, warning=0.1),
            links=(to_board("Event loop", "stallscope-event-loop"),),
            queries=(
                Query(
                    REPLICAS.highest_of(METRICS.asyncio_eventloop_blocked_seconds, by=[INSTANCE]),
                    "{{instance}}",
                ),
            ),
        ),
        TimeSeries(
            title="Refused requests",
            description="Requests within each step that were refused to protect the others: shed "
            "with 503, or limited with 429.",
            unit="short",
            no_data="Nothing was ever refused",
            queries=(
                Query(
                    REPLICAS.growth_of(METRICS.requests_shed_total, by=["reason"]),
                    "shed: {{reason}}",
                ),
                Query(
                    REPLICAS.growth_of(METRICS.rate_limited_requests_total, by=["reason"]),
                    "limited: {{reason}}",
                ),
            ),
        ),
    ),
)

_ROUTES = Row(
    "Routes and alerts",
    (
        Table(
            title="Routes",
            description="Each route within the time that is shown. A click on one opens its board.",
            unit="short",
            no_data=_NO_REQUESTS,
            labels={ROUTE: "Route"},
            label_links={
                ROUTE: (to_board("This route", "stallscope-route", {"route": field(ROUTE)}),)
            },
            columns=(
                Column("Rate", REQUESTS_SHOWN.rate_of(_DURATION.count, by=[ROUTE]), "reqps"),
                Column(
                    "Errors",
                    REQUESTS_SHOWN.error_ratio(by=[ROUTE]),
                    "percentunit",
                    _AVAILABILITY,
                ),
                Column(
                    "Failed requests",
                    REQUESTS_SHOWN.growth_of(
                        _DURATION.count, matches(STATUS, SERVER_ERROR), by=[ROUTE]
                    ),
                    "short",
                    bad_from(1),
                ),
                Column(
                    "p50", REQUESTS_SHOWN.quantile_of(0.5, _DURATION, by=[ROUTE]), "s", _LATENCY
                ),
                Column(
                    "p99", REQUESTS_SHOWN.quantile_of(0.99, _DURATION, by=[ROUTE]), "s", _LATENCY
                ),
                Column(
                    "Lost to stalls",
                    REQUESTS_SHOWN.growth_of(
                        METRICS.asyncio_eventloop_stall_victim_seconds_total, by=[ROUTE]
                    ),
                    "s",
                    bad_from(1),
                ),
            ),
            width=16,
        ),
        Table(
            title="Alerts",
            description="What fires now and pages or opens a ticket, of all jobs.",
            unit="short",
            no_data="Nothing fires: good",
            labels={
                "alertname": "Alert",
                "severity": "Severity",
                JOB: "Job",
                INSTANCE: "Instance",
            },
            columns=(
                Column(
                    "Series",
                    Scope().sum_of(
                        PROMETHEUS.ALERTS, *FIRING, by=["alertname", "severity", JOB, INSTANCE]
                    ),
                    "short",
                ),
            ),
            width=8,
        ),
    ),
)

BOARD = Board(
    UID,
    "Overview",
    "Is the service well, since when is it not, and which route is it.",
    (_NOW, _RED, _ROUTES),
)
