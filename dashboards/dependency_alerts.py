"""Alerts on what the service stands on: PostgreSQL, Redis, reviews, inventory, its caches.

None of them pages: the service does without most of them, and when it cannot, a budget burns.
"""

from dashboards.alert import Alert
from dashboards.names import INSTANCE, JOB, METRICS, Metric
from dashboards.promql import Matcher, Scope, equals, matches

_LATELY = Scope(window="5m")
_POOL = "db_client_connection_pool_name"
_FEWEST_FAILED = 3


def _pool_saturated() -> Alert:
    on = f"on ({JOB}, {INSTANCE}, {_POOL})"
    used = _LATELY.series(
        METRICS.db_client_connection_count, equals("db_client_connection_state", "used")
    )
    return Alert(
        name="ConnectionPoolSaturated",
        expression=(
            f"{METRICS.db_client_connection_pending_requests} > 0"
            f" and {on} ({used} >= {on} {METRICS.db_client_connection_max})"
        ),
        severity="ticket",
        holds="1m",
        summary=f"Requests of {{{{ $labels.instance }}}} wait for a `{{{{ $labels.{_POOL} }}}}`"
        " connection",
        description=(
            "All connections of the pool are in use, and {{ $value }} requests wait for one; each"
            " gives up after DATABASE__ACQUIRE_TIMEOUT_SECONDS."
        ),
        board="dependencies",
    )


def _cache_hit_ratio_low() -> Alert:
    by = (JOB, "cache")
    hits = _LATELY.share_of(METRICS.cache_requests_total, equals("result", "hit"), by=by)
    return Alert(
        name="CacheHitRatioLow",
        # Of few lookups few can be hits: what is cached is old by the time somebody asks again.
        expression=f"{hits} < 0.5 and {_LATELY.rate_of(METRICS.cache_requests_total, by=by)} > 10",
        severity="ticket",
        holds="15m",
        summary="The cache of {{ $labels.cache }} helps {{ $labels.job }} little",
        description=(
            "Only {{ $value | humanizePercentage }} of its lookups find something fresh, half of"
            " them should: the sources carry the load in its place."
        ),
        board="dependencies",
        of=(JOB,),
    )


def _failing(metric: Metric, failed: Matcher, which: str) -> str:
    by = (JOB, which)
    share, number = (
        _LATELY.share_of(metric, failed, by=by),
        _LATELY.increase_of(metric, failed, by=by),
    )
    return f"{share} > 0.05 and {number} >= {_FEWEST_FAILED}"


# Calls that fail, and what becomes of the answers then.
DEPENDENCY_ALERTS = (
    _pool_saturated(),
    Alert(
        name="UpstreamErrors",
        # What an upstream does not know (404) is an answer.
        expression=_failing(
            METRICS.http_client_request_duration_seconds.count,
            Matcher("error_type", "!~", "|404"),
            "server_address",
        ),
        severity="ticket",
        holds="2m",
        summary="{{ $labels.server_address }} fails {{ $labels.job }}",
        description=(
            "{{ $value | humanizePercentage }} of the calls in the last 5 minutes failed or were"
            " given up, 5 % may. Products are answered without this part."
        ),
        board="dependencies",
        of=(JOB,),
    ),
    Alert(
        name="DatabaseErrors",
        expression=_failing(
            METRICS.db_client_operation_duration_seconds.count,
            Matcher("error_type", "!=", ""),
            "db_system_name",
        ),
        severity="ticket",
        holds="2m",
        summary="{{ $labels.db_system_name }} fails {{ $labels.job }}",
        description=(
            "{{ $value | humanizePercentage }} of the operations in the last 5 minutes failed or"
            " were given up, 5 % may."
        ),
        board="dependencies",
        of=(JOB,),
    ),
    Alert(
        name="CircuitOpen",
        # Not `open == 1`: while a probe is under way it is half open.
        expression=_LATELY.series(METRICS.circuit_breaker_state, equals("state", "closed"))
        + " == 0",
        severity="ticket",
        holds="1m",
        summary="{{ $labels.instance }} has stopped asking {{ $labels.dependency }}",
        description=(
            "Its calls failed one after the other, so that the circuit breaker refuses them"
            " (closed = {{ $value }}) and one probe at a time finds out when it is back."
        ),
        board="dependencies",
    ),
    Alert(
        name="ProductsDegraded",
        expression=(
            _LATELY.share_of(
                METRICS.product_sources_total,
                matches("status", "stale|unavailable"),
                by=(JOB, "source"),
            )
            + " > 0.05"
        ),
        severity="ticket",
        holds="2m",
        summary="Products of {{ $labels.job }} come with old or no {{ $labels.source }}",
        description=(
            "{{ $value | humanizePercentage }} of the products answered in the last 5 minutes had"
            " this part stale or not at all, 5 % may."
        ),
        board="dependencies",
        of=(JOB,),
    ),
    _cache_hit_ratio_low(),
)
