"""What the service calls: how often, how fast, how often in vain, and what it does without it."""

from dashboards.board import REPLICAS, Board, Row
from dashboards.names import METRICS, Metric
from dashboards.panel import Query
from dashboards.panels import StateTimeline, TimeSeries
from dashboards.promql import differs, equals, matches, ratio, ratio_within
from dashboards.thresholds import Thresholds, bad_below, bad_from

UID = "stallscope-dependencies"

_OPERATIONS = METRICS.db_client_operation_duration_seconds
_HTTP = METRICS.http_client_request_duration_seconds
_SYSTEM, _OPERATION, _ERROR = "db_system_name", "db_operation_name", "error_type"
_SERVER, _POOL = "server_address", "db_client_connection_pool_name"
_CONNECTIONS = METRICS.db_client_connection_count
_MAX = METRICS.db_client_connection_max
_PENDING = METRICS.db_client_connection_pending_requests
_WAIT = METRICS.db_client_connection_wait_time_seconds
_CACHE, _SOURCES = METRICS.cache_requests_total, METRICS.product_sources_total

_NOT_CALLED = "It has not been called in this time"
_FAILED = differs(_ERROR, "")
_ERRORS = bad_from(0.05, warning=0.01)
_SLOW = bad_from(1, warning=0.5)


def _database(name: str, system: str) -> Row:
    of_system = equals(_SYSTEM, system)
    return Row(
        name,
        (
            TimeSeries(
                title=f"{name}: operations",
                description="Operations per second.",
                unit="ops",
                no_data=_NOT_CALLED,
                stacked=True,
                queries=(
                    Query(
                        REPLICAS.rate_of(_OPERATIONS.count, of_system, by=[_OPERATION]),
                        "{{db_operation_name}}",
                    ),
                ),
                width=8,
            ),
            _errors(name, _OPERATIONS.count, _OPERATION, of_system=system),
            TimeSeries(
                title=f"{name}: duration",
                description="p99 of the time that each operation took, and p50 of all.",
                unit="s",
                no_data=_NOT_CALLED,
                thresholds=_SLOW,
                queries=(
                    Query(
                        REPLICAS.quantile_of(0.99, _OPERATIONS, of_system, by=[_OPERATION]),
                        "p99 {{db_operation_name}}",
                    ),
                    Query(REPLICAS.quantile_of(0.5, _OPERATIONS, of_system), "p50"),
                ),
                width=8,
            ),
        ),
    )


def _errors(name: str, metric: Metric, label: str, *, of_system: str | None = None) -> TimeSeries:
    within = () if of_system is None else (equals(_SYSTEM, of_system),)
    whole = REPLICAS.rate_of(metric, *within, by=[label])
    return TimeSeries(
        title=f"{name}: errors",
        description="Share that failed: the server's own errors, timeouts, and no answer at all.",
        unit="percentunit",
        no_data=_NOT_CALLED,
        maximum=1,
        thresholds=_ERRORS,
        queries=(
            Query(REPLICAS.share_of(metric, _FAILED, of=within, by=[label]), f"{{{{{label}}}}}"),
            Query(
                ratio_within(
                    REPLICAS.rate_of(metric, *within, _FAILED, by=[label, _ERROR]), whole, [label]
                ),
                f"{{{{{label}}}}} {{{{error_type}}}}",
            ),
        ),
        width=8,
    )


_UPSTREAMS = Row(
    "Upstreams over HTTP",
    (
        TimeSeries(
            title="HTTP: requests",
            description="Requests per second to each server, by the status of the answer; none "
            "where there was no answer.",
            unit="reqps",
            no_data=_NOT_CALLED,
            stacked=True,
            queries=(
                Query(
                    REPLICAS.rate_of(_HTTP.count, by=[_SERVER, "http_response_status_code"]),
                    "{{server_address}} {{http_response_status_code}}",
                ),
            ),
            width=8,
        ),
        _errors("HTTP", _HTTP.count, _SERVER),
        TimeSeries(
            title="HTTP: duration",
            description="p50 and p99 of the time to the headers of the answer.",
            unit="s",
            no_data=_NOT_CALLED,
            thresholds=_SLOW,
            queries=(
                Query(REPLICAS.quantile_of(0.99, _HTTP, by=[_SERVER]), "p99 {{server_address}}"),
                Query(REPLICAS.quantile_of(0.5, _HTTP, by=[_SERVER]), "p50 {{server_address}}"),
            ),
            width=8,
        ),
    ),
)

_POOLS = Row(
    "Connection pools",
    (
        TimeSeries(
            title="Pools: used",
            description="Share of the connections that a pool may open that somebody uses: at 1 "
            "the next one waits.",
            unit="percentunit",
            no_data="No pool is open",
            maximum=1,
            thresholds=bad_from(1, warning=0.8),
            queries=(
                Query(
                    ratio(
                        REPLICAS.sum_of(
                            _CONNECTIONS,
                            equals("db_client_connection_state", "used"),
                            by=[_POOL],
                        ),
                        REPLICAS.sum_of(_MAX, by=[_POOL]),
                    ),
                    "{{db_client_connection_pool_name}}",
                ),
            ),
            width=6,
        ),
        TimeSeries(
            title="Pools: connections",
            description="Open connections by pool and state, and how many the pool may open.",
            unit="short",
            no_data="No pool is open",
            queries=(
                Query(
                    REPLICAS.sum_of(_CONNECTIONS, by=[_POOL, "db_client_connection_state"]),
                    "{{db_client_connection_pool_name}} {{db_client_connection_state}}",
                ),
                Query(REPLICAS.sum_of(_MAX, by=[_POOL]), "{{db_client_connection_pool_name}} max"),
            ),
            width=6,
        ),
        TimeSeries(
            title="Pools: waiters",
            description="Requests that wait for a connection now, and those per second that gave "
            "up.",
            unit="short",
            no_data="No pool is open",
            thresholds=bad_from(1),
            queries=(
                Query(REPLICAS.sum_of(_PENDING, by=[_POOL]), "{{db_client_connection_pool_name}}"),
                Query(
                    REPLICAS.increase_of(METRICS.db_client_connection_timeouts_total, by=[_POOL]),
                    "{{db_client_connection_pool_name}} gave up",
                ),
            ),
            width=6,
        ),
        TimeSeries(
            title="Pools: wait",
            description="p99 of the time that it took to get a connection out of a pool.",
            unit="s",
            no_data="Nobody has asked a pool in this time",
            thresholds=bad_from(0.1, warning=0.01),
            queries=(
                Query(
                    REPLICAS.quantile_of(0.99, _WAIT, by=[_POOL]),
                    "{{db_client_connection_pool_name}}",
                ),
            ),
            width=6,
        ),
    ),
)

_OPEN, _HALF_OPEN = "2", "1"
_DEPENDENCY = ("dependency",)


def _in_state(state: str) -> str:
    return REPLICAS.max_of(METRICS.circuit_breaker_state, equals("state", state), by=_DEPENDENCY)


_WITHOUT = Row(
    "Doing without",
    (
        StateTimeline(
            title="Circuits",
            description="Each dependency's circuit breaker, of the replica that is worst off: "
            "while it is open the dependency is not called, and answers come without it.",
            unit="short",
            no_data="No replica answers",
            words={"0": "closed", _HALF_OPEN: "half open", _OPEN: "open"},
            thresholds=Thresholds("green", ((1, "orange"), (2, "red"))),
            queries=(
                Query(
                    f"clamp_max({_OPEN} * {_in_state('open')} + {_in_state('half_open')}, 2)",
                    "{{dependency}}",
                ),
            ),
            width=24,
            height=6,
        ),
        TimeSeries(
            title="Cache hits",
            description="Share of lookups that found something fresh, and that found something "
            "to serve at all.",
            unit="percentunit",
            no_data="Nothing was looked up in this time",
            maximum=1,
            thresholds=bad_below(0.1, warning=0.3),
            queries=(
                Query(
                    REPLICAS.share_of(_CACHE, equals("result", "hit"), by=["cache"]),
                    "{{cache}} fresh",
                ),
                Query(
                    REPLICAS.share_of(_CACHE, matches("result", "hit|stale"), by=["cache"]),
                    "{{cache}} fresh or stale",
                ),
            ),
            width=6,
        ),
        TimeSeries(
            title="Cache lookups",
            description="Lookups per second, by what was found.",
            unit="ops",
            no_data="No replica answers",
            stacked=True,
            queries=(
                Query(REPLICAS.rate_of(_CACHE, by=["cache", "result"]), "{{cache}} {{result}}"),
            ),
            width=6,
        ),
        TimeSeries(
            title="Parts of products",
            description="Parts of enriched products answered per second, by where they came "
            "from: stale ones are served while a source fails.",
            unit="ops",
            no_data="No replica answers",
            stacked=True,
            queries=(
                Query(REPLICAS.rate_of(_SOURCES, by=["source", "status"]), "{{source}} {{status}}"),
            ),
            width=6,
        ),
        TimeSeries(
            title="Degraded answers",
            description="Share of each source's parts that were stale or missing.",
            unit="percentunit",
            no_data="No product was asked for in this time",
            maximum=1,
            thresholds=bad_from(0.1, warning=0.01),
            queries=(
                Query(
                    REPLICAS.share_of(
                        _SOURCES, matches("status", "stale|unavailable"), by=["source"]
                    ),
                    "{{source}}",
                ),
            ),
            width=6,
        ),
    ),
)

BOARD = Board(
    UID,
    "Dependencies",
    "What the service calls: how often, how fast, how often in vain, and what it does without it.",
    (
        _WITHOUT,
        _UPSTREAMS,
        _database("PostgreSQL", "postgresql"),
        _database("Redis", "redis"),
        _POOLS,
    ),
)
