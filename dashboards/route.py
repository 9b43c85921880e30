"""One route, or a few: how long it takes, how it ends, and where the time goes."""

from dashboards.board import REPLICAS, REQUESTS, Board, Row
from dashboards.links import to_board, to_logs
from dashboards.names import INSTANCE, METRICS, Metric
from dashboards.panel import Query
from dashboards.panels import Heatmap, TimeSeries
from dashboards.promql import ROUTE, STATUS, Matcher, equals
from dashboards.slo import OBJECTIVES
from dashboards.thresholds import bad_from

UID = "stallscope-route"

_DURATION = METRICS.http_server_request_duration_seconds
_OPERATIONS = METRICS.db_client_operation_duration_seconds
_NO_REQUESTS = "No requests to this route in this time"
_LATENCY = bad_from(2 * OBJECTIVES.seconds, warning=OBJECTIVES.seconds)
_LOGS = to_logs(
    "Log lines of these requests",
    '{service_name="stallscope"} | json | event="request_completed" | route=~"${route:pipe}"',
)


def _per_request(metric: Metric, *matchers: Matcher, by: tuple[str, ...] = ()) -> str:
    requests = REPLICAS.rate_of(_DURATION.count)
    return f"{REPLICAS.rate_of(metric.sum, *matchers, by=by)} / scalar({requests} > 0)"


_TIMES = Row(
    "Duration",
    (
        Heatmap(
            title="Durations",
            description="How many requests took how long. The dots are single requests: a click "
            "shows the trace.",
            unit="s",
            no_data=_NO_REQUESTS,
            links=(_LOGS,),
            queries=(
                Query(REQUESTS.increase_of(_DURATION.bucket, by=["le"]), "{{le}}", exemplars=True),
            ),
        ),
        TimeSeries(
            title="Duration quantiles",
            description="Quantiles of the time from a request's head to the last byte of its "
            "response, and the mean. The dots are single requests: a click shows the trace.",
            unit="s",
            no_data=_NO_REQUESTS,
            thresholds=_LATENCY,
            queries=(
                Query(REQUESTS.quantile_of(0.5, _DURATION), "p50"),
                Query(REQUESTS.quantile_of(0.95, _DURATION), "p95"),
                Query(REQUESTS.quantile_of(0.99, _DURATION), "p99", exemplars=True),
                Query(REQUESTS.mean_of(_DURATION), "mean"),
            ),
        ),
        TimeSeries(
            title="p99 by replica",
            description="One replica that is slower than the others has a trouble of its own, "
            "such as a blocked event loop.",
            unit="s",
            no_data=_NO_REQUESTS,
            thresholds=_LATENCY,
            links=(to_board("Event loop", "stallscope-event-loop"),),
            queries=(Query(REQUESTS.quantile_of(0.99, _DURATION, by=[INSTANCE]), "{{instance}}"),),
        ),
        TimeSeries(
            title="Where a request's time goes",
            description="Seconds that the parts took, as in `Server-Timing`, for each request "
            "that a replica answered, on average: of all routes, since these metrics know no "
            "route. Parts that run side by side add up to more than the request takes; each "
            "request's own parts are in its log line.",
            unit="s",
            no_data=_NO_REQUESTS,
            stacked=True,
            links=(_LOGS,),
            queries=(
                Query(_per_request(_OPERATIONS, equals("db_system_name", "postgresql")), "db"),
                Query(_per_request(_OPERATIONS, equals("db_system_name", "redis")), "cache"),
                Query(
                    _per_request(
                        METRICS.http_client_request_duration_seconds, by=("server_address",)
                    ),
                    "{{server_address}}",
                ),
                Query(_per_request(METRICS.ml_queue_wait_seconds), "queue"),
                Query(_per_request(METRICS.ml_inference_duration_seconds), "model"),
            ),
        ),
    ),
)

_ENDS = Row(
    "Traffic",
    (
        TimeSeries(
            title="Requests by status",
            description="Requests per second, by the status of the response.",
            unit="reqps",
            no_data=_NO_REQUESTS,
            stacked=True,
            links=(_LOGS,),
            queries=(
                Query(
                    REQUESTS.rate_of(_DURATION.count, by=[STATUS]),
                    "{{http_response_status_code}}",
                ),
            ),
            width=8,
        ),
        TimeSeries(
            title="Requests by method",
            description="Requests per second, by route and method.",
            unit="reqps",
            no_data=_NO_REQUESTS,
            stacked=True,
            queries=(
                Query(
                    REQUESTS.rate_of(_DURATION.count, by=["http_request_method", ROUTE]),
                    "{{http_request_method}} {{http_route}}",
                ),
            ),
            width=8,
        ),
        TimeSeries(
            title="In flight",
            description="Requests that have arrived and not been answered yet, by method, of all "
            "routes.",
            unit="short",
            no_data="No replica answers",
            stacked=True,
            queries=(
                Query(
                    REPLICAS.sum_of(
                        METRICS.http_server_active_requests, by=["http_request_method"]
                    ),
                    "{{http_request_method}}",
                ),
            ),
            width=8,
        ),
        TimeSeries(
            title="Body sizes",
            description="Mean size of the bodies that came and went.",
            unit="bytes",
            no_data=_NO_REQUESTS,
            queries=(
                Query(REQUESTS.mean_of(METRICS.http_server_request_body_size_bytes), "requests"),
                Query(REQUESTS.mean_of(METRICS.http_server_response_body_size_bytes), "responses"),
            ),
            width=8,
        ),
        TimeSeries(
            title="Event loop's time",
            description="Share of an event loop's time that it runs for each route; sampled.",
            unit="percentunit",
            no_data="The event loop has run for none of these routes yet",
            queries=(
                Query(
                    REQUESTS.rate_of(METRICS.asyncio_eventloop_busy_seconds_total, by=[ROUTE]),
                    "{{http_route}}",
                ),
            ),
            width=8,
        ),
        TimeSeries(
            title="Lost to others' stalls",
            description="Seconds within each step that requests to each route lost while "
            "something else blocked the event loop.",
            unit="s",
            no_data="No request to these routes has lost time: good",
            links=(to_board("Event loop", "stallscope-event-loop"),),
            queries=(
                Query(
                    REQUESTS.growth_of(
                        METRICS.asyncio_eventloop_stall_victim_seconds_total, by=[ROUTE]
                    ),
                    "{{http_route}}",
                ),
            ),
            width=8,
        ),
    ),
)

_WEBSOCKETS = Row(
    "Websockets",
    (
        TimeSeries(
            title="Open websockets",
            description="Connections that are open, by replica.",
            unit="short",
            no_data="No replica answers",
            queries=(
                Query(
                    REPLICAS.sum_of(METRICS.websocket_server_active_connections, by=[INSTANCE]),
                    "{{instance}}",
                ),
            ),
        ),
        TimeSeries(
            title="Closed websockets",
            description="Connections closed per second, by route and close code.",
            unit="cps",
            no_data="No websocket was ever closed",
            queries=(
                Query(
                    REQUESTS.rate_of(
                        METRICS.websocket_server_connection_duration_seconds.count,
                        by=[ROUTE, "websocket_close_code"],
                    ),
                    "{{http_route}} {{websocket_close_code}}",
                ),
            ),
        ),
    ),
)

BOARD = Board(
    UID,
    "Route",
    "One route, or a few: how long it takes, how it ends, and where the time goes.",
    (_TIMES, _ENDS, _WEBSOCKETS),
)
