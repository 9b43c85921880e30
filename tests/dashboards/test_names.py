"""Names and PromQL that cannot be misspelled."""

import promql_parser as promql
import pytest

from dashboards.names import EMITTED, METRICS
from dashboards.panel import panel_id
from dashboards.promql import Scope, equals, matches, ratio_within

DURATION = METRICS.http_server_request_duration_seconds
CHOSEN = Scope((equals("job", "shop"), matches("http_route", "/a|/b")), "5m")


def test_a_misspelled_metric_is_none() -> None:
    with pytest.raises(AttributeError, match="nothing emits a metric named asyncio_task"):
        _ = METRICS.asyncio_task


def test_a_label_that_a_metric_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="has no label http_rout"):
        CHOSEN.rate_of(DURATION.count, by=["http_rout"])
    with pytest.raises(ValueError, match="has no label cause"):
        CHOSEN.series(METRICS.asyncio_tasks, equals("cause", "cpu"))


def test_a_histogram_alone_is_no_series() -> None:
    with pytest.raises(TypeError, match="say bucket, count or sum"):
        str(DURATION)
    with pytest.raises(TypeError, match="asyncio_tasks is a gauge"):
        _ = METRICS.asyncio_tasks.bucket


def test_a_gauge_has_no_rate_and_a_counter_no_sum() -> None:
    with pytest.raises(TypeError, match="is a gauge, not a counter"):
        CHOSEN.rate_of(METRICS.asyncio_tasks)
    with pytest.raises(TypeError, match="is a counter, not a gauge"):
        CHOSEN.sum_of(DURATION.count)


def test_names_are_as_prometheus_shows_them() -> None:
    assert {
        "asyncio_eventloop_stalls_total",
        "asyncio_tasks",
        "http_server_request_duration_seconds_bucket",
        "http_client_request_duration_seconds_sum",
        "stallscope_workers",
        "target_info",
    } <= EMITTED
    assert "http_server_request_duration_seconds" not in EMITTED


def test_a_scope_narrows_down_what_has_the_label_and_nothing_else() -> None:
    assert CHOSEN.series(METRICS.asyncio_tasks) == 'asyncio_tasks{job="shop"}'
    assert (
        CHOSEN.over("1h").rate_of(DURATION.count, by=["http_route"])
        == "sum by (http_route) (rate(http_server_request_duration_seconds_count"
        '{job="shop", http_route=~"/a|/b"}[1h]))'
    )
    assert Scope().series(METRICS.asyncio_tasks) == "asyncio_tasks"


@pytest.mark.parametrize(
    "expression",
    [
        CHOSEN.error_ratio(),
        CHOSEN.fast_ratio(0.5, by=["http_route"]),
        CHOSEN.growth_of(DURATION.count),
        CHOSEN.highest_of(METRICS.asyncio_tasks),
        CHOSEN.mean_of(DURATION),
        CHOSEN.quantile_of(0.99, DURATION, by=["http_route"]),
        ratio_within("a", "b", ["c", "d"]),
    ],
)
def test_what_is_made_parses(expression: str) -> None:
    promql.parse(expression)


def test_a_panel_keeps_its_id() -> None:
    assert panel_id("Blocked now") == 106122
